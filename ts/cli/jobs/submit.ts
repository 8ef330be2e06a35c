// `millrace submit`: adds long-running jobs to the desired state and follows them until they run. Words only; the
// supervisor does the work, or with --once this process submits and nobody watches.

import { Command } from "commander";
import { explain, PipelineError } from "../../contract/index.ts";
import { ended } from "../../engines/job.ts";
import { runnersOf } from "../../engines/runners.ts";
import { until } from "../../ground/until.ts";
import { type JobName, jobsOf, jobTypeOf, standardOf } from "../../jobs/index.ts";
import { connectKafka } from "../../kafka/client.ts";
import { isShared, namesOf, type Pipeline, pipelineNames, pipelineOf } from "../../pipelines/index.ts";
import type { Settings } from "../../settings/settings.ts";
import { always, readDesired, runHash } from "../../supervise/desired.ts";
import { launchJob, liveSubmissions, paramsFiles } from "../../supervise/launch.ts";
import type { Span } from "../../supervise/schedule.ts";
import { submissionName, uniqueSuffix } from "../../supervise/submission.ts";
import { planOf, portOf, settingOf, submitJobs, untilRunning } from "../../supervise/submit.ts";
import { describeStatus } from "../../supervise/supervisor.ts";
import { forPipeline } from "../batch.ts";
import { positive, timesOf } from "../flags.ts";
import { printJobs } from "./jobs.ts";

interface Options {
  readonly list: boolean;
  readonly once: boolean;
  readonly json: boolean;
  readonly wait: string;
  readonly schedule?: string;
  readonly now: boolean;
  readonly from?: string;
  readonly to?: string;
}

/** A job by its full name, whatever the pipeline, or by its type alone for the settings' pipeline. */
export interface NamedJob {
  readonly pipeline: string;
  readonly job: JobName;
  /** `<pipeline>-<job>`, or the job alone where all pipelines share it. */
  readonly name: string;
}

/** Errors: `config_invalid` for a word that names no job. */
export function jobNamed(settings: Settings, word: string): NamedJob {
  // Only the pipeline that the word begins with is opened: another one, not generated yet, is nobody's business here.
  const pipeline = pipelineNames().find((name) => word.startsWith(`${name}-`)) ?? settings.pipeline;
  const known = jobsOf(pipelineOf(pipeline).pipeline);
  const nameOf = (job: JobName) => (isShared(job) ? job : `${pipeline}-${job}`);
  const job = known.find(
    (job) => word === `${pipeline}-${job}` || (word === job && pipeline === settings.pipeline),
  );
  if (job !== undefined) return { pipeline, job, name: nameOf(job) };
  const others = pipelineNames().filter((name) => name !== pipeline);
  const jobs = known.map(nameOf);
  throw new PipelineError(
    "config_invalid",
    `Cannot use job "${word}": expected one of ${jobs.join(", ")}${
      others.length > 0 ? `, or a job of ${others.join(", ")}` : ""
    }`,
  );
}

/** The jobs named, all of one pipeline, and what stands behind one that takes words: commander has taken the "--" away. */
function jobsAndRest(settings: Settings, words: readonly string[]) {
  const named: NamedJob[] = [];
  let rest: readonly string[] = [];
  for (const [at, word] of words.entries()) {
    const job = jobNamed(settings, word);
    named.push(job);
    if (jobTypeOf(pipelineOf(job.pipeline).pipeline, job.job).words === undefined) continue;
    rest = words.slice(at + 1);
    break;
  }
  const [pipeline, ...others] = new Set(named.map((job) => job.pipeline));
  if (others.length > 0)
    throw new PipelineError(
      "config_invalid",
      `Cannot submit ${words.join(", ")}: expected jobs of one pipeline at a time, got ${[pipeline, ...others].join(" and ")}`,
    );
  return { pipeline: pipeline ?? settings.pipeline, jobs: named.map(({ job }) => job), rest };
}

export function submitCommand(settingsOf: (command: Command) => Settings): Command {
  return new Command("submit")
    .description(
      "Submits jobs under supervision and follows them until they run: all long-running ones of the pipeline and its queries, or those named",
    )
    .argument("[job...]", "jobs, weather-features; words after -- go to weather-replay, or a source")
    .option("--list", "only say which jobs there are and their state", false)
    .option("--once", "submit without supervision: nobody restarts it", false)
    .option("--schedule <cron>", "for batches: when they are due, five fields of cron in UTC")
    .option("--now", "for batches: one run now, whatever their schedule", false)
    .option("--from <time>", "for a query by a schedule: one run now of the event time from here, inclusive")
    .option("--to <time>", "and until here, exclusive: RFC 3339 or a date; now where nothing is said")
    .option("--wait <seconds>", "how long to wait for the jobs to run", "300")
    .option("--json", "print the result as JSON", false)
    .addHelpText(
      "after",
      "\nExamples:\n  millrace submit\n  millrace submit weather-features\n  millrace submit weather-replay -- samples/us-cities-hourly.csv.gz --speed 3600\n  millrace submit city-analytics --from 2026-11-01 --to 2026-12-01",
    )
    .action(async (words: string[], options: Options, command: Command) => {
      const given = settingsOf(command);
      if (options.list) return printJobs(given, options.json);
      const wait_s = positive("--wait", options.wait);
      const { pipeline, rest, ...named } = jobsAndRest(given, words);
      const jobs = words.length === 0 ? standardOf(pipelineOf(pipeline).pipeline) : named.jobs;
      const settings = forPipeline(given, pipeline);
      const span = spanOf(options);
      for (const job of jobs) {
        const { words: taken, wordless, kind } = jobTypeOf(pipelineOf(pipeline).pipeline, job);
        if (span !== null && !spans(pipelineOf(pipeline).pipeline, job))
          throw new PipelineError(
            "config_invalid",
            `Cannot submit "${job}" of a range of event time: expected a query by a schedule, it is none`,
          );
        if (kind !== "batch" && (options.now || options.schedule !== undefined))
          throw new PipelineError(
            "config_invalid",
            `Cannot submit "${job}" ${options.now ? "with --now" : "by a schedule"}: expected a batch, it runs all the time`,
          );
        if (taken !== undefined && !wordless && rest.length === 0)
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
          const desired = await submitJobs(settings, kafka, jobs, {
            words: rest,
            now: options.now || span !== null,
            span,
            ...(options.schedule === undefined ? {} : { schedule: options.schedule }),
          });
          await untilRunning(settings, desired, {
            deadline_ms: wait_s * 1000,
            signal: stop.signal,
            onState: (job, state) => say(`${job}: ${state}`),
          });
          for (const job of Object.values(desired)) {
            const port = portOf(job);
            if (port !== null) say(`${job.name}: http://${settings.host}:${port}`);
          }
        }
        if (options.json) printJobs(settings, true);
      } finally {
        await kafka.close();
      }
    });
}

/** The range of --from and --to; null without one. Errors: `config_invalid`, also for --to alone. */
function spanOf({ from, to }: Options): Span | null {
  const { from_ms, to_ms } = timesOf(from, to);
  if (from_ms === null && to_ms === null) return null;
  if (from_ms === null)
    throw new PipelineError("config_invalid", `Cannot use --to "${to}": expected --from beside it`);
  return { from_ms, to_ms: to_ms ?? Date.now() };
}

/** Whether a job is a query that runs by a schedule over a range of event time. */
const spans = (pipeline: Pipeline, job: JobName): boolean =>
  (pipeline.queries ?? []).some((query) => query.name === job && "span_ms" in query);

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
  const params = paramsFiles(settings);
  const kafka = connectKafka(settings.kafka);
  try {
    for (const job of jobs) {
      const plan = await planOf(setting, kafka, job, { words: rest });
      const runner = runners[plan.launch.engine];
      const [twin] = await liveSubmissions(runner, names.prefix, plan.name);
      if (twin || readDesired(settings)[plan.name])
        throw new PipelineError(
          "config_invalid",
          `Cannot submit job "${plan.name}" once: expected it not to run, ${
            twin ? `${twin.handle.submission} does` : "it is supervised"
          }; run "millrace stop ${plan.name}" first`,
        );
      const submission = submissionName(names.prefix, {
        job: plan.name,
        hash: runHash(always(plan)),
        unique: uniqueSuffix(),
      });
      const handle = await launchJob({ runner, params }, plan, { submission, due_ms: Date.now() });
      say(`${plan.name}: submitted as ${submission}`);
      const look = await until(
        async () => {
          const seen = await runner.status(handle);
          return { done: seen.state === "running" || ended(seen), seen };
        },
        { deadline_ms, interval_ms: 300 },
      );
      say(`${plan.name}: ${describeStatus(look.seen)}`);
      if (look.seen.state !== "running" && look.seen.state !== "succeeded")
        throw new PipelineError(
          look.done ? "job_failed" : "job_timed_out",
          `Cannot run job "${plan.name}": expected it to run, it is ${describeStatus(look.seen)}`,
          { cause: new Error(await runner.logs(handle, { tail: 20 }).catch(explain)) },
        );
    }
  } finally {
    await kafka.close();
  }
}
