// What each process of a namespace and its engines uses: cores, memory, storage, TCP. Told apart by the marks they were started
// with, their submissions and their parents; a name says what a process does and never its command line, in which somebody else's
// paths stand. Two looks make a rate. Linux only, as ts/ground/proc.ts.

import { readFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import {
  commandOf,
  environmentOf,
  livingProcesses,
  type ProcessRow,
  pssOf,
  type StorageUse,
  storageOf,
} from "../ground/proc.ts";
import { openSockets, type SocketUse } from "../ground/tcp.ts";

/** One process, or an engine that somebody else runs, of which nothing is known. */
export interface ProcessUse {
  /** The job or engine it works for. */
  readonly of: string;
  /** What it is: the main class, script or title, without arguments. */
  readonly name: string;
  readonly pid: number | null;
  /** Since the look before; null before the second one. */
  readonly cores: number | null;
  /** Proportional set size; null where the kernel does not say. */
  readonly memory_bytes: number | null;
  readonly read_bytes_s: number | null;
  readonly written_bytes_s: number | null;
  /** Of its TCP sockets that are open now; null where nobody can tell. */
  readonly received_bytes_s: number | null;
  readonly sent_bytes_s: number | null;
}

/** One look at all of them. */
export interface Uses {
  /** Since the look before, which the rates are over; null for the first. */
  readonly over_s: number | null;
  /** By what they work for, and then by memory. */
  readonly processes: readonly ProcessUse[];
}

/** Who is looked for. */
export interface Known {
  /** Engines of ours by the mark in their environment. */
  readonly engines: readonly { readonly name: string; readonly mark: string }[];
  /** Engines that are given by address. */
  readonly external: readonly string[];
  /** Jobs by their submission. */
  readonly jobs: readonly { readonly name: string; readonly submission: string }[];
  /** Others by their pid: the supervisor, this very process. */
  readonly pids: ReadonlyMap<number, string>;
}

/** Rates over less than this are noise, and over more are no longer how it is now. */
const LEAST_MS = 500;
const MOST_S = 10;

/** `java … kafka.Kafka` → `Kafka`: a process's name in few words, from its command line. */
export function titleOf(command: string): string {
  const words = command.split(" ").filter((word) => word !== "");
  const [first = ""] = words;
  const base = (path: string) => path.split("/").at(-1)!;
  const program = base(first);
  // Titles that a process has given itself.
  if (first.startsWith("ray::") || first.endsWith(":")) return words.slice(0, 2).join(" ").slice(0, 60);
  const rest = words.slice(1);
  if (program === "java") {
    const after = rest.findIndex((word) => /^(?:[a-z_]\w*\.)+[A-Z]\w*$/.test(word));
    const jar = rest[rest.indexOf("-jar") + 1];
    return after >= 0 ? rest[after]!.split(".").at(-1)! : rest.includes("-jar") && jar ? base(jar) : program;
  }
  if (/^(?:python[\d.]*|node|sh|bash)$/.test(program)) {
    const module = rest.indexOf("-m");
    if (module >= 0 && rest[module + 1]) return rest[module + 1]!;
    const script = rest.find((word) => /^[\w./@+-]+\.(?:py|ts|js|mjs)$/.test(word));
    return script === undefined ? program : base(script);
  }
  return program.slice(0, 60);
}

/** Whom each process works for: by its own mark or submission, else its parent's. What belongs to nobody is absent. */
export function ownersOf(
  rows: readonly Pick<ProcessRow, "pid" | "parent">[],
  { engines, jobs, pids }: Known,
  words: (pid: number) => { readonly command: string; readonly environment: string },
): ReadonlyMap<number, string> {
  const parents = new Map(rows.map(({ pid, parent }) => [pid, parent]));
  const own = (pid: number): string | undefined => {
    const named = pids.get(pid);
    if (named !== undefined) return named;
    const { command, environment } = words(pid);
    // A job that an engine runs has the engine's mark too: the job is nearer.
    const job = jobs.find(
      ({ submission }) => command.includes(submission) || environment.includes(`job=${submission};`),
    );
    return job?.name ?? engines.find(({ mark }) => environment.includes(mark))?.name;
  };
  const found = new Map<number, string | undefined>();
  const owner = (pid: number): string | undefined => {
    if (found.has(pid)) return found.get(pid);
    // Set before the parent is asked: a table that changed while it was read may hold a circle.
    found.set(pid, undefined);
    const parent = parents.get(pid);
    const name = own(pid) ?? (parent === undefined ? undefined : owner(parent));
    found.set(pid, name);
    return name;
  };
  return new Map(rows.flatMap(({ pid }) => (owner(pid) === undefined ? [] : [[pid, owner(pid)!] as const])));
}

interface Look {
  readonly at_ms: number;
  readonly cpu_ms: ReadonlyMap<string, number>;
  readonly storage: ReadonlyMap<string, StorageUse>;
  readonly sockets: ReadonlyMap<string, SocketUse> | null;
}

/** Looks at the processes from time to time. */
export class Processes {
  #before: Look | null = null;

  /** With rates of the last seconds: looks twice where the look before is older, so that nobody has to look while nobody asks. */
  async recent(known: Known): Promise<Uses> {
    const uses = await this.look(known);
    if (uses.over_s !== null && uses.over_s <= MOST_S) return uses;
    await setTimeout(LEAST_MS);
    return this.look(known);
  }

  async look(known: Known): Promise<Uses> {
    const rows = livingProcesses();
    const owners = ownersOf(rows, known, (pid) => ({
      command: commandOf(pid),
      environment: environmentOf(pid),
    }));
    const ours = rows.filter(({ pid }) => owners.has(pid));
    const sockets = await openSockets();
    const at_ms = performance.now();
    const key = ({ pid, start }: ProcessRow) => `${pid} ${start}`;
    const now: Look = {
      at_ms,
      cpu_ms: new Map(ours.map((row) => [key(row), row.cpu_ms])),
      storage: new Map(
        ours.flatMap((row) => {
          const use = storageOf(row.pid);
          return use ? [[key(row), use] as const] : [];
        }),
      ),
      sockets: sockets && new Map(sockets.map((one) => [one.socket, one])),
    };
    const before = this.#before;
    if (before === null || at_ms - before.at_ms >= LEAST_MS) this.#before = now;
    const over_s = before === null ? 0 : Math.max(LEAST_MS, at_ms - before.at_ms) / 1000;
    /** Null where one of both looks did not see it: nobody knows since when it counted. */
    const rate = (from: number | undefined, to: number | undefined): number | null =>
      from === undefined || to === undefined || over_s === 0 ? null : Math.max(0, to - from) / over_s;
    const carried = carriedBy(before?.sockets ?? null, now.sockets, over_s);
    const seen = await Promise.all(
      ours.map(async (row): Promise<ProcessUse> => {
        const id = key(row);
        const cpu_ms = rate(before?.cpu_ms.get(id), row.cpu_ms);
        const [from, to] = [before?.storage.get(id), now.storage.get(id)];
        return {
          of: owners.get(row.pid)!,
          name: titleOf(commandOf(row.pid)),
          pid: row.pid,
          cores: cpu_ms === null ? null : cpu_ms / 1000,
          // Read beside the event loop: the kernel walks the process's pages for it.
          memory_bytes: pssOf(await readFile(`/proc/${row.pid}/smaps_rollup`, "utf8").catch(() => "")),
          read_bytes_s: rate(from?.read_bytes, to?.read_bytes),
          written_bytes_s: rate(from?.written_bytes, to?.written_bytes),
          received_bytes_s: carried?.get(row.pid)?.received ?? (carried ? 0 : null),
          sent_bytes_s: carried?.get(row.pid)?.sent ?? (carried ? 0 : null),
        };
      }),
    );
    const unknown = known.external.map((name): ProcessUse => ({ ...NOBODY, of: name }));
    return {
      over_s: over_s === 0 ? null : over_s,
      processes: [...seen, ...unknown].sort((a, b) =>
        a.of < b.of ? -1 : a.of > b.of ? 1 : (b.memory_bytes ?? 0) - (a.memory_bytes ?? 0),
      ),
    };
  }
}

/** An engine whose processes are not on this machine, or not ours. */
const NOBODY: Omit<ProcessUse, "of"> = {
  name: "unknown",
  pid: null,
  cores: null,
  memory_bytes: null,
  read_bytes_s: null,
  written_bytes_s: null,
  received_bytes_s: null,
  sent_bytes_s: null,
};

/** Bytes a second by process, of the sockets that are open at the second look; one that was opened since counts from 0. */
export function carriedBy(
  before: ReadonlyMap<string, SocketUse> | null,
  now: ReadonlyMap<string, SocketUse> | null,
  over_s: number,
): ReadonlyMap<number, { readonly received: number; readonly sent: number }> | null {
  if (before === null || now === null || over_s === 0) return null;
  const carried = new Map<number, { received: number; sent: number }>();
  for (const [socket, { pids, received_bytes, sent_bytes }] of now) {
    const from = before.get(socket);
    // An inode can come again: then it carried less.
    const since = (bytes: number, then: number) => (bytes >= then ? bytes - then : bytes) / over_s;
    for (const pid of pids) {
      const sum = carried.get(pid) ?? { received: 0, sent: 0 };
      sum.received += since(received_bytes, from?.received_bytes ?? 0);
      sum.sent += since(sent_bytes, from?.sent_bytes ?? 0);
      carried.set(pid, sum);
    }
  }
  return carried;
}
