// Bytes that the TCP sockets of processes have carried, as the kernel counts them. /proc has no such number a process; the `ss`
// of iproute2 reads it socket by socket. Where it is not installed nobody knows, and this says so.

import { execa } from "execa";

/** What one socket has carried since it was opened, payload only, of the loopback too. */
export interface SocketUse {
  /** Its inode: no other open socket has it. */
  readonly socket: string;
  /** Who has it open; several after a fork. */
  readonly pids: readonly number[];
  readonly sent_bytes: number;
  readonly received_bytes: number;
}

/** A machine with some thousand sockets takes a tenth of it. */
const WITHIN_MS = 3_000;

/** A socket from its line; null for one that belongs to nobody we may see, as one that waits for its end. */
export function socketOf(line: string): SocketUse | null {
  const socket = /\bino:(\d+)/.exec(line)?.[1];
  const pids = [...line.matchAll(/\bpid=(\d+),/g)].map(([, pid]) => Number(pid));
  if (socket === undefined || pids.length === 0) return null;
  // A socket that carried nothing has no word of it.
  const bytes = (word: string) => Number(new RegExp(`\\b${word}:(\\d+)`).exec(line)?.[1] ?? 0);
  return {
    socket,
    pids: [...new Set(pids)],
    sent_bytes: bytes("bytes_sent"),
    received_bytes: bytes("bytes_received"),
  };
}

/** Every TCP socket that is open now; null where it cannot be told. */
export async function openSockets(): Promise<readonly SocketUse[] | null> {
  try {
    // -t TCP, -i what it carried, -n numbers, -p whose, -H no heading, -O one line each, -e its inode.
    const { stdout } = await execa("ss", ["-tinpHOe"], { timeout: WITHIN_MS });
    return stdout.split("\n").flatMap((line) => socketOf(line) ?? []);
  } catch {
    return null;
  }
}
