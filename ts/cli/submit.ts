// `millrace submit`: adds long-running jobs to the desired state and follows them until they run. Words only; the
// supervisor does the work, or with --once this process submits and nobody watches.

import { join } from "node:path";
import { Command } from "commander";
import { explain, PipelineError } from "../contract/index.ts";
import { ended } from "../engines/job.ts";
import { runnersOf } from "../engines/runners.ts";
import { type Settings, stateDir } from "../engines/settings.ts";
import { until } from "../ground/until.ts";
import { JOBS, type JobName, STANDARD, typeOf } from "../jobs/index.ts";
import { connectKafka } from "../kafka/client.ts";
import { namesOf, pipelineOf } from "../pipelines/index.ts";
import { hashOf, readDesired } from "../supervise/desired.ts";
import { paramsIn, unique } from "../supervise/run.ts";
import { planOf, settingOf, submitJobs, untilRunning } from "../supervise/submit.ts";
import { said } from "../supervise/supervisor.ts";
import { printJobs } from "./jobs.ts";

interface Options {
  readonly list: boolean;
  readonly once: boolean;
  readonly json: boolean;
  readonly wait: string;
}

/** Every job of the pipeline by its full name. */
export function jobsNamed(settings: Settings, words: readonly string[]): JobName[] {
  const names = namesOf(pipelineOf(settings.pipeline).pipeline, settings.namespace);
  return words.map((word) => {
    const job = JOBS.find((candidate) => names.job(candidate) === word || candidate === word);
    if (job) return job;
    throw new PipelineError(
      "config_invalid",
      `Cannot use job "${word}": expected one of ${JOBS.map((candidate) => names.job(candidate)).join(", ")}`,
    );
  });
}

/** The jobs named, and what stands behind one that takes words: commander has taken the "--" away. */
function jobsAndRest(settings: Settings, words: readonly string[]): [JobName[], readonly string[]] {
  const jobs: JobName[] = [];
  for (const [at, word] of words.entries()) {
    const job = jobsNamed(settings, [word])[0]!;
    jobs.push(job);
    if (typeOf(job).words !== undefined) return [jobs, words.slice(at + 1)];
  }
  return [jobs, []];
}

export function submitCommand(settingsOf: (command: Command) => Settings): Command {
  return new Command("submit")
    .description(
      "Submits long-running jobs, all of the pipeline or those named, and follows them until they run",
    )
    .argument("[job...]", "jobs, weather-features; words after -- go to weather-replay")
    .option("--list", "only say which jobs there are and their state", false)
    .option("--once", "submit without supervision: nobody restarts it", false)
    .option("--wait <seconds>", "how long to wait for the jobs to run", "300")
    .option("--json", "print the result as JSON", false)
    .addHelpText(
      "after",
      "\nExamples:\n  millrace submit\n  millrace submit weather-features\n  millrace submit weather-replay -- samples/us-cities-hourly.csv.gz --speed 3600",
    )
    .action(async (words: string[], options: Options, command: Command) => {
      const settings = settingsOf(command);
      if (options.list) return printJobs(settings, options.json);
      const wait_s = Number(options.wait);
      if (!(wait_s > 0))
        throw new PipelineError(
          "config_invalid",
          `Cannot use --wait "${options.wait}": expected seconds above 0`,
        );
      const [jobs, rest] = words.length === 0 ? [[...STANDARD], []] : jobsAndRest(settings, words);
      for (const job of jobs) {
        const { words: taken } = typeOf(job);
        if (taken !== undefined && rest.length === 0)
          throw new PipelineError("config_invalid", `Cannot submit "${job}": expected ${taken}, got nothing`);
      }
      const say = (line: string) => {
        if (!options.json) console.log(line);
      };
      const kafka = connectKafka(settings.kafka);
      const stop = new AbortController();
      process.once("SIGINT", () => stop.abort());
      try {
        if (options.once) await submitOnce(settings, jobs, rest, wait_s * 1000, say);
        else {
          const desired = await submitJobs(settings, kafka, jobs, { words: rest });
          await untilRunning(settings, desired, {
            deadline_ms: wait_s * 1000,
            signal: stop.signal,
            onState: (job, state) => say(`${job}: ${state}`),
          });
        }
        if (options.json) printJobs(settings, true);
      } finally {
        await kafka.close();
      }
    });
}

async function submitOnce(
  settings: Settings,
  jobs: readonly JobName[],
  rest: readonly string[],
  deadline_ms: number,
  say: (line: string) => void,
): Promise<void> {
  const setting = settingOf(settings);
  const names = namesOf(setting.pipeline, settings.namespace);
  const runners = runnersOf(settings);
  const params = paramsIn(join(stateDir(settings), "jobs"));
  const kafka = connectKafka(settings.kafka);
  try {
    for (const job of jobs) {
      const plan = await planOf(setting, kafka, job, { words: rest });
      const runner = runners[plan.launch.engine];
      const start = `${names.prefix}${plan.name}-`;
      const twin = (await runner.list()).find(({ handle }) => handle.submission.startsWith(start));
      if (twin || readDesired(settings)[plan.name])
        throw new PipelineError(
          "config_invalid",
          `Cannot submit job "${plan.name}" once: expected it not to run, ${
            twin ? `${twin.handle.submission} does` : "it is supervised"
          }; run "millrace stop ${plan.name}" first`,
        );
      const submission = `${start}${hashOf({ ...plan, attempt: 0 })}-${unique()}`;
      const params_path = params.path(submission);
      params.write(params_path, { ...plan.params, submission });
      const handle = await runner.submit({ name: plan.name, submission, params_path, launch: plan.launch });
      say(`${plan.name}: submitted as ${submission}`);
      const look = await until(
        async () => {
          const seen = await runner.status(handle);
          return { done: seen.state === "running" || ended(seen), seen };
        },
        { deadline_ms, interval_ms: 300 },
      );
      say(`${plan.name}: ${said(look.seen)}`);
      if (look.seen.state !== "running" && look.seen.state !== "succeeded")
        throw new PipelineError(
          look.done ? "job_failed" : "job_timed_out",
          `Cannot run job "${plan.name}": expected it to run, it is ${said(look.seen)}`,
          { cause: new Error(await runner.logs(handle, { tail: 20 }).catch(explain)) },
        );
    }
  } finally {
    await kafka.close();
  }
}
