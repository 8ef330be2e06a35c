// Which processes of this machine a job is that runs as one: the shell that notes its end, and the program below it.

import { commandOf, livingProcesses } from "../../ground/proc.ts";

/** What is read of the supervisor's records. */
type Records = Readonly<
  Record<string, { readonly submission: { readonly submission: string } | null }>
> | null;

/** Processes whose command line holds a text. */
export function running(
  text: string,
): { readonly pid: number; readonly parent: number; readonly command: string }[] {
  return livingProcesses()
    .map(({ pid, parent }) => ({ pid, parent, command: commandOf(pid) }))
    .filter(({ command }) => command.includes(text));
}

/** Shells and programs of a job; `word` is its command. Empty while it does not run. */
export function shellAndProgram(records: Records, job: string, word: string) {
  const submission = records?.[job]?.submission?.submission;
  if (!submission) return { shells: [], program: [] };
  // The shell carries the submission in the path of its note; the program is its child.
  const shells = running(`${submission}.exit`).filter(({ command }) => command.startsWith("/bin/sh"));
  const program = running(`ts/cli/main.ts ${word}`).filter(({ parent }) =>
    shells.some(({ pid }) => pid === parent),
  );
  return { shells: shells.map(({ pid }) => pid), program: program.map(({ pid }) => pid) };
}

/** The program alone. */
export const ownProcesses = (records: Records, job: string, word: string): readonly number[] =>
  shellAndProgram(records, job, word).program;
