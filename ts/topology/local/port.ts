// Ports of this machine: whether one is free, who holds it, and a free set for a test's own engines.
// Looks only; the engines open them.

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createServer } from "node:net";
import { PORTS, type Port, type Ports } from "../../engines/settings.ts";

/** True if nobody listens on the port, on this address or on all of them. */
export function free(port: number, host = "127.0.0.1"): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.unref();
    server.once("error", () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** "java (pid 123)" of the process that listens on a port; null when it cannot be told, as for another user's. */
export function holder(port: number): string | null {
  const inodes = new Set<string>();
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    try {
      for (const line of readFileSync(table, "utf8").split("\n").slice(1)) {
        const field = line.trim().split(/\s+/);
        // 0A is LISTEN. Source: include/net/tcp_states.h.
        if (field[3] === "0A" && Number.parseInt(field[1]!.split(":")[1]!, 16) === port)
          inodes.add(field[9]!);
      }
    } catch {
      // No such table: an address family the kernel does not have.
    }
  }
  if (inodes.size === 0) return null;
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      for (const fd of readdirSync(`/proc/${pid}/fd`)) {
        const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1];
        if (inode && inodes.has(inode))
          return `${readFileSync(`/proc/${pid}/comm`, "utf8").trim()} (pid ${pid})`;
      }
    } catch {
      // Another user's process, or one that has just ended.
    }
  }
  return null;
}

/** First port the system hands out by itself; ours stay below, or an outgoing connection could sit on them. */
function ephemeralMin(): number {
  try {
    return Number(readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").trim().split(/\s+/)[0]);
  } catch {
    return 32_768;
  }
}

/** Ray's workers a test set gets: it runs a handful at a time. */
const WORKERS = 100;
/** Above Ray's default worker ports, so that a test set never meets a set on the default ports. */
const LOWEST = 20_300;

/**
 * A set of ports that are free now, all in one block outside the ephemeral range: Ray's worker ports first, the named
 * ones after them. `random` in [0, 1) picks the block, so that two test runs at once seldom try the same one.
 */
export async function freePorts(random: () => number = Math.random): Promise<Ports> {
  const named = (Object.keys(PORTS) as Port[]).filter((p) => p !== "rayWorkerMin" && p !== "rayWorkerMax");
  const size = WORKERS + named.length;
  const blocks = Math.floor((ephemeralMin() - LOWEST) / size);
  for (let attempt = 0; attempt < 50; attempt++) {
    const first = LOWEST + Math.floor(random() * blocks) * size;
    const numbers = Array.from({ length: size }, (_, i) => first + i);
    const all = await Promise.all(numbers.map((n) => free(n)));
    if (!all.every(Boolean)) continue;
    return {
      ...PORTS,
      rayWorkerMin: first,
      rayWorkerMax: first + WORKERS - 1,
      ...Object.fromEntries(named.map((name, i) => [name, first + WORKERS + i])),
    };
  }
  throw new Error(`No block of ${size} free ports between ${LOWEST} and ${ephemeralMin()}`);
}
