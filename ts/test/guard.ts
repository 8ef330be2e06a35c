// Runs a command once the process that asked for it is gone without having said that all is in order: what it started must not
// outlive it, whether it ended by Ctrl-C, by a kill, or in the middle of its own cleaning up. A process of its own, in a group
// of its own, that waits for the end of its input; nothing has to be caught in the one that it watches.

import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

const DONE = "done";

export interface Guard {
  /** All is in order: the command is not run. Resolves once the guard has ended. */
  release(): Promise<void>;
}

/** Guards this process. `env` is the command's whole environment, `said` what it prints before it runs. */
export function guard(command: readonly string[], env: NodeJS.ProcessEnv, said: string): Guard {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), said, ...command], {
    detached: true,
    env,
    stdio: ["pipe", "inherit", "inherit"],
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  return {
    async release() {
      child.stdin.end(DONE);
      await ended;
    },
  };
}

if (import.meta.main) {
  const [said = "", command = "", ...args] = process.argv.slice(2);
  if ((await text(process.stdin)) !== DONE) {
    console.error(said);
    const child = spawn(command, args, { stdio: ["ignore", "inherit", "inherit"] });
    process.exitCode = await new Promise<number>((resolve) => {
      child.once("error", () => resolve(127));
      child.once("close", (code) => resolve(code ?? 1));
    });
  }
}
