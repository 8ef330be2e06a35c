// `millrace logs JOB`: what a job printed, from wherever its engine keeps it. Of a restarted job the newest submission.

import { Command } from "commander";
import type { EngineKind, JobHandle } from "../../engines/job.ts";
import { runnersOf } from "../../engines/runners.ts";
import { pause } from "../../ground/pause.ts";
import type { Settings } from "../../settings/settings.ts";
import { readRecords } from "../../supervise/run.ts";
import { parseInteger } from "../flags.ts";
import { jobNamed } from "./submit.ts";

interface Options {
  readonly follow: boolean;
  readonly tail: string;
}

const POLL_MS = 1_000;
/** Lines fetched at a look in --follow: more than a job prints in a second. */
const FOLLOW_LINES = 2_000;

export function logsCommand(settingsOf: (command: Command) => Settings): Command {
  return new Command("logs")
    .description("Prints what a job printed")
    .argument("<job>", "weather-features")
    .option("-f, --follow", "go on until Ctrl-C", false)
    .option("--tail <lines>", "how many of the last lines", "100")
    .addHelpText("after", "\nExample:\n  millrace logs weather-features --tail 50 -f")
    .action(async (word: string, { follow, tail }: Options, command: Command) => {
      const settings = settingsOf(command);
      const lines = parseInteger("--tail", tail, 1);
      const { name } = jobNamed(settings, word);
      const runners = runnersOf(settings);
      const read = async (count: number) => {
        const found = newest(settings, name);
        return found ? runners[found.engine].logs(found.handle, { tail: count }) : "";
      };
      const first = await read(lines);
      if (first !== "") console.log(first);
      else if (!follow) {
        console.error(`${name} has printed nothing that is known here`);
        process.exitCode = 1;
      }
      if (!follow) return;
      const stop = new AbortController();
      process.once("SIGINT", () => stop.abort());
      let before = first.split("\n");
      while (!stop.signal.aborted) {
        await pause(POLL_MS, stop.signal);
        const now = (await read(FOLLOW_LINES)).split("\n");
        for (const line of fresh(before, now)) console.log(line);
        before = now;
      }
    });
}

/** Lines of `now` behind the end of `before`; all of them when the log is another one. */
export function fresh(before: readonly string[], now: readonly string[]): string[] {
  const last = before.slice(-5);
  if (last.length === 0 || last.join("") === "") return [...now];
  for (let at = now.length - last.length; at >= 0; at--)
    if (last.every((line, i) => now[at + i] === line)) return now.slice(at + last.length);
  return [...now];
}

function newest(settings: Settings, name: string): { engine: EngineKind; handle: JobHandle } | null {
  const record = readRecords(settings)[name];
  if (record?.submission?.handle) return { engine: record.engine, handle: record.submission.handle };
  if (!record?.last) return null;
  const { submission, id } = record.last;
  return { engine: record.engine, handle: { id, submission, params_path: "" } };
}
