// Ray's head on this machine: a folder short enough for its sockets, one process less, and no server for interactive sessions.

import { createHash } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PipelineError } from "../../../contract/errors.ts";
import type { Hook } from "../hook.ts";

/** Ray puts sockets 64 characters below its folder, and a socket's path ends at 107 bytes. Source: unix(7), `sun_path`. */
const FOLDER_BYTES_MAX = 43;
/** Where every Linux has a folder for all, whatever TMPDIR says. */
const SHORT = "/tmp";

/** Short enough for a socket, and plain: Ray hands its folder on inside command lines. */
const suits = (folder: string) =>
  Buffer.byteLength(folder) <= FOLDER_BYTES_MAX && /^[\w./+@=~-]+$/.test(folder);

/** Ray's folder: below the engine's own, else in the system's temporary folder, else in /tmp: the first that suits it. */
export function rayFolder(dir: string, temporary = tmpdir()): string {
  const name = `millrace-ray-${createHash("sha256").update(dir).digest("hex").slice(0, 8)}`;
  const short = join(SHORT, name);
  return [join(dir, "t"), join(temporary, name)].find(suits) ?? short;
}

/** Makes the folder anew: nothing in it outlives the head, and each start would add a session with its logs. */
function makeFolder(folder: string): void {
  try {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
  } catch (cause) {
    throw new PipelineError(
      "config_invalid",
      `Cannot make Ray's folder "${folder}": expected a folder to write to, whose path has at most ${FOLDER_BYTES_MAX} bytes for Ray's sockets; set TMPDIR to a short one of your own, or MILLRACE_HOME`,
      { cause },
    );
  }
}

// `ray start --block` keeps 150 MB for waiting. Without it the same processes stay behind in this session, and `tail`
// keeps the session's leader: the pid that is recorded.
// A job's entrypoint says `python`: the environment's folder comes first.
const START = 'PATH="$(dirname "$0"):$PATH" "$0" "$@" && exec tail -f /dev/null';

export const ray: Hook = {
  prepare({ dir }, { command, args, env }) {
    const folder = rayFolder(dir);
    makeFolder(folder);
    return { command: "/bin/sh", args: ["-c", START, command, ...args, `--temp-dir=${folder}`], env };
  },
  settle(members) {
    // The server for remote interactive sessions cannot be left out by an option; nobody here uses its 50 MB.
    const client = members.find(({ command }) => command.includes("ray.util.client.server"));
    if (client) process.kill(client.pid, "SIGTERM");
  },
};
