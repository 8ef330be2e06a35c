// `millrace demo`: the whole line once, on real data: engines, contract, backfill, training, seeded history, stream, API. The data are
// a sample that is replayed, or with --live a feed and its past.
// Strings the other commands' functions together and says how far it is; computes and decides nothing of its own.
// A second run skips what an earlier one has done if contract and code still match, and goes on from the source's cursor: also
// after a step that failed.

import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { Listr, type ListrTask } from "listr2";
import { PipelineError } from "../../contract/index.ts";
import { mlflowOf } from "../../engines/mlflow.ts";
import { httpOf } from "../../ground/http.ts";
import { ONCE } from "../../ground/repeat.ts";
import { until } from "../../ground/until.ts";
import { planBackfill } from "../../jobs/backfill.ts";
import { type JobName, jobsOf, jobTypeOf, standardOf } from "../../jobs/index.ts";
import { tables } from "../../jobs/plan/tables.ts";
import { planSeed } from "../../jobs/seed.ts";
import { TRAIN } from "../../jobs/train.ts";
import { connectKafka } from "../../kafka/client.ts";
import type { Kafka } from "../../kafka/kafka.ts";
import { connectRegistry, type Registry } from "../../kafka/registry.ts";
import type { Files } from "../../lines/files.ts";
import { readPosition } from "../../lines/position.ts";
import { webHdfs } from "../../lines/webhdfs.ts";
import type { Demo } from "../../pipelines/define.ts";
import {
  namesOf,
  type Pipeline,
  pipelineNames,
  pipelineOf,
  type Registered,
  requirePart,
} from "../../pipelines/index.ts";
import { type Optional, onOurHdfs, type Settings, stateDir } from "../../settings/settings.ts";
import { fileInput } from "../../source/replay/input.ts";
import { stage } from "../../source/replay/stage.ts";
import type { Input } from "../../source/row.ts";
import { apply } from "../../supervise/apply.ts";
import { type BatchRunOptions, type Finished, runBatch } from "../../supervise/batch.ts";
import { readDesired } from "../../supervise/desired.ts";
import type { Report } from "../../supervise/progress.ts";
import { portOf, settingOf, submitJobs, untilRunning } from "../../supervise/submit.ts";
import { supervisedJobs } from "../../supervise/views.ts";
import { status } from "../../topology/local/index.ts";
import { countersLine, forPipeline, withPipeline } from "../batch.ts";
import { doctor } from "../engines/doctor.ts";
import { stopAll } from "../engines/down.ts";
import { startShown } from "../engines/up.ts";
import { collected } from "../flags.ts";
import { interruptible } from "../interrupt.ts";
import { train } from "../models/train.ts";
import { openBrowser } from "./browser.ts";
import {
  freePort,
  isOnline,
  LIVE_FEEDS,
  type LiveWish,
  type Located,
  locate,
  namedOf,
  namespaceOf,
  pastOf,
  sourceFor,
  sourceWords,
  wishOf,
} from "./live.ts";
import { type Done, doneSteps, during, failureOf, StepError } from "./steps.ts";

/** What goes for every demo's training; the rest is the definition's. */
const TRAINING = {
  from_ms: null,
  workers: 2,
  seed: 1,
  // What the demo shows is the line; a certificate takes a stream of its own first.
  allow_uncertified: true,
};

const HOUR_MS = 3_600_000;
/** Longest a step may take on a slow machine before something is wrong, wall time. */
const BATCH_MS = 900_000;
const RUNNING_MS = 180_000;
const FIRST_MS = 180_000;

/** A pipeline with its demo. Errors: `config_invalid` for one without. */
interface Shown extends Registered {
  readonly demo: Demo;
}

export function shownOf(name: string): Shown {
  const registered = pipelineOf(name);
  const { demo } = registered.pipeline;
  if (demo) return { ...registered, demo };
  const others = pipelineNames().filter((other) => pipelineOf(other).pipeline.demo);
  throw new PipelineError(
    "config_invalid",
    `Cannot show pipeline "${name}": expected one whose definition has a demo (${others.join(", ")}), it has none`,
  );
}

export function demoCommand(settingsOf: (command: Command) => Settings): Command {
  return withPipeline(new Command("demo"))
    .description(
      "Runs the whole line of a pipeline on a sample, as its definition says; weather's is bundled",
    )
    .option("--detach", "return once the first forecast is served and leave everything running", false)
    .option("--open", "open the page in this machine's browser once it is served", false)
    .option(
      "--live",
      "on a live feed and its last 92 days, in a namespace of its own if none is named: live, live-nws, or made-up without internet",
      false,
    )
    .option(
      "--place <names>",
      'with --live: places by name, "Lisbon, Oslo", or stations of nws; repeatable',
      collected,
      [],
    )
    .option("--feed <feed>", `with --live: ${LIVE_FEEDS.join(" or ")}`, "open-meteo")
    .addHelpText(
      "after",
      "\nExample:\n  millrace demo --detach\n  curl http://127.0.0.1:8000/predictions/new-york\n  millrace down\n" +
        '  millrace demo --live --place "Lisbon, Oslo"',
    )
    .action(
      async (name: string | undefined, { detach, open, live, place, feed }: Options, command: Command) => {
        const given = forPipeline(settingsOf(command), name);
        if (!live && (place.length > 0 || feed !== "open-meteo"))
          throw new PipelineError(
            "config_invalid",
            "Cannot use --place or --feed: expected --live beside them",
          );
        const shown = shownOf(given.pipeline);
        const wish = live ? wishOf(feed, place) : null;
        if (wish !== null) sourceFor(shown.pipeline, wish.feed);
        const online = wish === null || (await isOnline(AGENT));
        const settings =
          wish !== null && given.namespace === ""
            ? { ...given, namespace: namespaceOf(wish, online) }
            : given;
        await interruptible(
          async (signal) => {
            try {
              const page = await demo(settings, wish === null ? null : { ...wish, online }, signal).catch(
                async (error: unknown) => {
                  throw error instanceof StepError ? failureOf(error, await runningParts(settings)) : error;
                },
              );
              const unopened = open && page !== null ? await openBrowser(page) : null;
              if (unopened !== null) console.log(`\n${unopened}`);
              if (detach) return;
              console.log("\nCtrl-C stops everything.");
              await watch(settings, signal);
            } catch (error) {
              if (!signal.aborted) throw error;
            } finally {
              if (signal.aborted) await stopAll(settings, (line) => console.log(line));
            }
          },
          () => new PipelineError("job_timed_out", "The demo was interrupted"),
        );
      },
    );
}

/** What is shown live, and whether it is real. */
type LiveChoice = LiveWish & { readonly online: boolean };

const AGENT = "millrace (demo)";

interface Options {
  readonly detach: boolean;
  readonly open: boolean;
  readonly live: boolean;
  readonly place: readonly string[];
  readonly feed: string;
}

/** Returns the page's address; null for a pipeline that serves none. */
async function demo(
  settings: Settings,
  wish: LiveChoice | null,
  signal: AbortSignal,
): Promise<string | null> {
  const begin_ms = performance.now();
  await doctor(settings, (line) => console.log(line));
  const defined = shownOf(settings.pipeline);
  await during("Engines", () => startShown(settings, { quiet: false, with: optionalOf(settings, defined) }));
  const names = namesOf(defined.pipeline, settings.namespace);
  const kafka = connectKafka(settings.kafka, { client_id: `${names.prefix}demo` });
  const registry = connectRegistry(settings.registryUrl);
  const origin =
    wish === null ? definedOrigin(settings, defined) : await livingOn(settings, defined, wish, kafka, signal);
  const shownContract = { ...defined.contract, stations: origin.stations ?? defined.contract.stations };
  const shown: Shown = { ...defined, demo: { ...defined.demo, ...origin.demo } };
  try {
    await steps(settings, shown, origin, kafka, registry, signal).run();
    const url = apiOf(settings, names.job("serve"));
    const path = url === null ? null : shownPath(shown);
    const forecast =
      url === null || path === null
        ? null
        : await during(shown.pipeline.forecast ? "First forecast" : "First figures", () =>
            served(settings, `${url}${path}`, shown.demo.show ?? null, signal),
          );
    const seconds = ((performance.now() - begin_ms) / 1000).toFixed(0);
    console.log(
      [
        "",
        forecast === null
          ? `Everything runs after ${seconds} s`
          : `${shown.pipeline.forecast ? "First forecast" : "First figures"} served after ${seconds} s: ${forecast}`,
        "",
        ...closing(settings, { ...shown, contract: shownContract }, url, path).map((line) => `  ${line}`),
      ].join("\n"),
    );
    return url;
  } finally {
    await kafka.close();
  }
}

/** Where the API of a demo answers; null for a pipeline that serves none. */
function apiOf(settings: Settings, job: string): string | null {
  const desired = readDesired(settings)[job];
  const port = desired === undefined ? null : portOf(desired);
  return port === null ? null : `http://${settings.host}:${port}`;
}

/** The path of what is shown; null for a pipeline whose demo shows nothing over HTTP. */
function shownPath({ pipeline, demo }: Shown): string | null {
  if (!pipeline.forecast) return demo.path ?? null;
  return demo.show === undefined ? null : `/predictions/${demo.show}`;
}

/** Engines that only some pipelines need: HDFS where the lines lie on ours. */
export function optionalOf(settings: Settings, { pipeline }: Pick<Shown, "pipeline">): readonly Optional[] {
  const { lines } = pipeline;
  const place = lines && tables({ ...settings, pipeline: pipeline.name }).lines(lines);
  return place !== undefined && onOurHdfs(settings, place) ? ["hdfs"] : [];
}

/** Where to look now: the pages of what runs, and the definition's own commands. */
export function closing(
  settings: Settings,
  { pipeline, contract, demo }: Shown,
  url: string | null,
  path: string | null,
): string[] {
  const engines = new Set(jobsOf(pipeline).map((job) => jobTypeOf(pipeline, job).engine));
  const others = Object.keys(contract.stations).length - 1;
  const place = demo.show === undefined ? null : (contract.stations[demo.show]?.name ?? demo.show);
  const model = namesOf(pipeline, settings.namespace).model;
  const lines = [
    ...(url === null ? [] : [`API       ${url}   the page; its description is at /openapi.json`]),
    ...(engines.has("spark") ? [`Spark     ${settings.sparkUiUrl}`] : []),
    ...(engines.has("ray") ? [`Ray       ${settings.rayUrl}`] : []),
    ...(pipeline.forecast
      ? [
          `MLflow    ${settings.mlflowUrl}   model "${model}"${place === null ? "" : `, ${place} and ${others} more stations`}`,
        ]
      : []),
  ];
  const commands = [...(path === null ? [] : [`curl ${url}${path}`]), ...demo.closing];
  return commands.length === 0 ? lines : [...lines, "", ...commands];
}

/** Engines and jobs that run. */
async function runningParts(settings: Settings): Promise<string[]> {
  const engines = (await status(settings)).filter(({ state }) => state === "up" || state === "unwell");
  const jobs = supervisedJobs(settings).filter(({ state }) => state === "running" || state === "waiting");
  return [...engines, ...jobs].map(({ name }) => name);
}

type Step = ListrTask;
/** Steps that need not be done twice. */
type StepName = "backfill" | "training" | "seed";
type Follow = Required<Pick<BatchRunOptions, "signal" | "onReport" | "onState">>;

/** What a demo's observations come from: a past to learn from, and a stream that goes on behind it. */
interface Origin {
  /** Steps done for another one do not count; empty for the definition's sample. */
  readonly identity: string;
  /** What differs from the definition's. */
  readonly demo: Partial<Demo>;
  /** Stations that are shown; null for all of the definition. */
  readonly stations: Shown["contract"]["stations"] | null;
  /** What comes first, once the contract is applied. */
  readonly first: readonly Step[];
  /** What lies before the stream, to learn from; null to learn from nothing. */
  readonly past: Past | null;
  readonly stream: { readonly title: string; readonly job: JobName; readonly words: () => readonly string[] };
  /** What comes once the stream runs. */
  last?(kafka: Kafka, signal: AbortSignal): readonly Step[];
}

interface Past {
  /** Where it ends and the stream begins, epoch ms. */
  readonly cut_ms: number;
  readonly title: string;
  readonly input: () => Promise<Input>;
}

const DAY_MS = 24 * HOUR_MS;

/** Where the observations come from that the definition names. */
function definedOrigin(settings: Settings, shown: Shown): Origin {
  const { sample } = shown.demo;
  return sample === null ? madeUp(settings, shown) : replayed(settings, shown, sample);
}

/** Made-up values since yesterday's midnight, until they have come to now; then the batch that sums them up. */
function madeUp(settings: Settings, { pipeline, demo }: Shown): Origin {
  const { every_ms } = requirePart(pipeline, "simulated");
  const from_ms = Math.floor(Date.now() / DAY_MS - 1) * DAY_MS;
  const { lines } = pipeline;
  return {
    identity: "",
    demo: {},
    stations: null,
    first: [],
    past: null,
    stream: {
      title: `Made-up values from ${new Date(from_ms).toISOString()} on, an hour every ${HOUR_MS / demo.speed / 1000} s`,
      job: "simulate",
      words: () => ["--from", new Date(from_ms).toISOString(), "--speed", String(demo.speed)],
    },
    last: (kafka, signal) => [
      ...(lines
        ? [
            {
              title: "Lines: until they have come to now",
              task: async (_, task) => {
                const place = tables(settings).lines(lines);
                const files = webHdfs(settings, place);
                await untilWritten(files, 2 * every_ms, signal, (line) => (task.output = line));
              },
            } satisfies Step,
          ]
        : []),
      ...(demo.batch === undefined
        ? []
        : [
            {
              title: `Running: ${demo.batch}, once now and then by its schedule`,
              task: async (_, task) => {
                const desired = await submitJobs(settings, kafka, [demo.batch!], { now: true });
                await untilRunning(settings, desired, {
                  deadline_ms: RUNNING_MS,
                  signal,
                  onState: (name, state) => {
                    task.output = `${name}: ${state}`;
                  },
                });
              },
            } satisfies Step,
          ]),
    ],
  };
}

/** Until the lines are no further behind the wall's clock than that. Errors: `job_timed_out` with how far they are. */
async function untilWritten(
  files: Files,
  behind_ms: number,
  signal: AbortSignal,
  say: (line: string) => void,
): Promise<void> {
  const { done, seen } = await until(
    async () => {
      const position = await readPosition(files).catch(() => null);
      signal.throwIfAborted();
      const newest_ms = Math.max(0, ...Object.values(position?.newest_ms ?? {}));
      const seen = newest_ms === 0 ? "nothing yet" : new Date(newest_ms).toISOString();
      say(seen);
      return { done: Date.now() - newest_ms <= behind_ms, seen };
    },
    { deadline_ms: BATCH_MS, interval_ms: 500, signal },
  );
  if (!done)
    throw new PipelineError(
      "job_timed_out",
      `Cannot see the lines come to now at "${files.address}": expected it within ${BATCH_MS / 1000} s, last seen: ${seen}`,
    );
}

/** The definition's sample. */
function replayed(settings: Settings, { pipeline, contract, folder, demo }: Shown, sample: string): Origin {
  const path = join(folder === null ? settings.root : join(folder, pipeline.name), sample);
  const { from_ms } = demo;
  const day = from_ms === null ? "its beginning" : new Date(from_ms).toISOString().slice(0, 10);
  const from = from_ms === null ? [] : ["--from", new Date(from_ms).toISOString()];
  return {
    identity: "",
    demo: {},
    stations: null,
    first: [],
    past:
      from_ms === null
        ? null
        : {
            cut_ms: from_ms,
            title: `Observations before ${day} from ${sample}`,
            input: async () => fileInput({ path, contract, units: {}, to_ms: from_ms }),
          },
    stream: {
      title: `Replay of ${sample} from ${day} on`,
      job: "replay",
      words: () => [path, ...from, "--speed", String(demo.speed)],
    },
  };
}

/** A live feed, or a stand-in for it where there is no internet. */
async function livingOn(
  settings: Settings,
  { pipeline, contract, demo }: Shown,
  wish: LiveChoice,
  kafka: Kafka,
  signal: AbortSignal,
): Promise<Origin> {
  const named = namedOf(wish);
  const agent = AGENT;
  const { online } = wish;
  const port = online ? 0 : await freePort();
  const standin = online ? null : `http://127.0.0.1:${port}`;
  const cut_ms = Math.floor(Date.now() / HOUR_MS) * HOUR_MS;
  let places: readonly Located[] = [];
  const note = `made-up weather of a stand-in at ${standin}: there is no internet here`;
  if (!online)
    console.log(`No internet: ${note}. Nothing that is shown was ever measured or forecast by anybody.`);
  return {
    identity: `${wish.feed} ${named.map(({ key, name }) => `${key}=${name}`).join(" ")}${online ? "" : " made up"}`,
    demo: {
      show: named[0]!.key,
      // A quarter of a year is a tenth of the sample: every row counts.
      training: { trees: 100, leaves: 31, learning_rate: 0.1, sample_every: 1 },
      closing: [
        ...demo.closing,
        `bin/millrace jobs${settings.namespace === "" ? "" : ` --namespace ${settings.namespace}`}`,
        ...(online ? [] : ["", `All of it is ${note}`]),
      ],
    },
    stations: Object.fromEntries(
      named.map(({ key, name }) => [
        key,
        contract.stations[key] ?? { name, latitude: null, longitude: null, elevation_m: null },
      ]),
    ),
    first: [
      ...(online
        ? []
        : [
            {
              title: `Stand-in for ${wish.feed}`,
              task: async () => {
                const desired = await submitJobs(settings, kafka, ["standin"], {
                  words: ["--port", String(port)],
                });
                await untilRunning(settings, desired, { deadline_ms: RUNNING_MS, signal, onState: () => {} });
                await untilAnswers(standin!, signal);
              },
            } satisfies Step,
          ]),
      {
        title: "Places",
        task: async (_, task) => {
          const found: Located[] = [];
          for (const one of named)
            found.push(await locate(one, { feed: wish.feed, standin, agent, stations: contract.stations }));
          places = found;
          task.title += `: ${found.map(({ words }) => words).join("; ")}`;
        },
      },
    ],
    past: {
      cut_ms,
      title: "The last 92 days of the places",
      input: () => pastOf(places, { cut_ms, standin, agent, contract }),
    },
    stream: {
      title: `Live: ${wish.feed}`,
      job: sourceFor(pipeline, wish.feed),
      words: () => sourceWords(wish.feed, places, standin),
    },
  };
}

/** A process that runs does not listen yet. Errors: `job_timed_out`. */
async function untilAnswers(url: string, signal: AbortSignal): Promise<void> {
  const http = httpOf("job_timed_out", { pace: ONCE });
  const { done, seen } = await until(
    async () => {
      try {
        await http({ action: "see the stand-in", url: `${url}/v1/search?name=Oslo` });
        return { done: true, seen: "" };
      } catch (error) {
        signal.throwIfAborted();
        return { done: false, seen: String(error) };
      }
    },
    { deadline_ms: RUNNING_MS, interval_ms: 200, signal },
  );
  if (!done) throw new PipelineError("job_timed_out", `Cannot see the stand-in at "${url}": ${seen}`);
}

function steps(
  settings: Settings,
  shown: Shown,
  origin: Origin,
  kafka: Kafka,
  registry: Registry,
  signal: AbortSignal,
): Listr {
  const { pipeline, contract, demo } = shown;
  const names = namesOf(pipeline, settings.namespace);
  const mlflow = mlflowOf(settings);
  // Known once the contract is applied.
  let done: Done | null = null;
  /** Whether an earlier run has done it. */
  const before = (name: StepName) => () =>
    done?.of(name) != null && "done before, with the same contract and code";
  const step = <F extends Finished>(
    name: StepName,
    title: string,
    work: (follow: Follow) => Promise<F>,
    resultOf: (finished: F) => string = () => "",
  ): Step => ({
    title,
    skip: before(name),
    task: async (_, task) => {
      const say = (line: string) => {
        task.output = line;
      };
      const onReport = ({ message, counters }: Report) => say(message ?? countersLine(counters));
      const finished = await work({ signal, onState: say, onReport });
      done?.add(name, resultOf(finished));
      const { message } = finished;
      task.title = message ? `${title}: ${message}` : title;
    },
  });

  const staged = () => join(stateDir(settings), "staged", `${pipeline.name}.avro`);
  /** What a forecast stands on: windows, model and history of what lies before the stream. */
  const learning = ({ cut_ms, title, input }: Past): Step[] => [
    {
      title,
      skip: before("backfill"),
      task: async (_, task) => {
        mkdirSync(join(stateDir(settings), "staged"), { recursive: true });
        const { rows } = await stage(await input(), staged(), contract.schemas.observation);
        task.title += `: ${rows.toLocaleString("en")}`;
      },
    },
    step("backfill", "Backfill on Spark", (follow) => {
      const plan = planBackfill(settingOf(settings), {
        from: { files: [staged()] },
        from_ms: null,
        to_ms: null,
      });
      return runBatch(settings, plan, { ...follow, deadline_ms: BATCH_MS });
    }),
    {
      title: "Model, history and stream",
      task: (_, task) =>
        task.newListr(
          [
            step(
              "training",
              "Training on Ray",
              (follow) => train(settings, { ...TRAIN, ...demo.training, ...TRAINING, cut_ms }, follow),
              ({ champion }) => champion ?? "",
            ),
            step("seed", "Seed: history before the cut", (follow) =>
              runBatch(settings, planSeed(settingOf(settings), { cutover_ms: cut_ms }), {
                ...follow,
                deadline_ms: BATCH_MS,
              }),
            ),
            ...running(
              standardOf(pipeline).filter((job) => !jobTypeOf(pipeline, job).reads.includes("models")),
            ),
          ].map(named),
          { concurrent: true },
        ),
    },
    ...running(standardOf(pipeline).filter((job) => jobTypeOf(pipeline, job).reads.includes("models"))),
  ];
  const tasks: Step[] = [
    {
      title: "Contract: schemas and topics",
      task: async (_, task) => {
        const { subjects, topics } = await apply({
          settings,
          kafka,
          registry,
          signal,
          onStep: (line) => (task.output = line),
        });
        task.title += `: ${subjects.length} schemas, ${topics.filter(({ kind }) => kind === "create").length} new topics`;
        const champion = pipeline.forecast ? await mlflow.byAlias(names.model, "champion") : null;
        const earlier = doneSteps(settings, {
          fingerprint: [contract.fingerprint, origin.identity].filter(Boolean).join(" "),
          code: settingOf(settings).code,
        });
        // Somebody may have moved the alias, or thrown the table away.
        const stands: Readonly<Record<StepName, boolean>> = {
          backfill: existsSync(tables(settings).features),
          training: champion !== null && champion.version === earlier.of("training"),
          seed: true,
        };
        done = { add: earlier.add, of: (name) => (stands[name as StepName] ? earlier.of(name) : null) };
      },
    },
    ...origin.first,
    ...(pipeline.forecast && origin.past !== null
      ? learning(origin.past)
      : running(demoStreams(pipeline).filter((job) => job !== origin.stream.job))),
    ...running([origin.stream.job], origin.stream.title),
    ...(origin.last?.(kafka, signal) ?? []),
  ];
  return new Listr(tasks.map(named), {
    // Ours stop what was started; listr2's would leave at once.
    registerSignalListeners: false,
    fallbackRenderer: "simple",
    rendererOptions: { collapseSubtasks: false },
  });

  /** An error of a task names the task by the title it began with. */
  function named(task: Step): Step {
    const { title, task: work } = task;
    return { ...task, task: (context, wrapper) => during(String(title), async () => work(context, wrapper)) };
  }

  /** Jobs that are submitted together; no step without any. */
  function running(jobs: readonly JobName[], title = `Running: ${jobs.join(", ")}`): Step[] {
    if (jobs.length === 0) return [];
    const task: Step["task"] = async (_, task) => {
      const desired = await submitJobs(settings, kafka, jobs, { words: origin.stream.words() });
      await untilRunning(settings, desired, {
        deadline_ms: RUNNING_MS,
        signal,
        onState: (name, state) => {
          task.output = `${name}: ${state}`;
        },
      });
    };
    return [{ title, task }];
  }
}

/** What a demo without training starts: what a bare submit would; every stream there is where that leaves nothing but rejects. */
export function demoStreams(pipeline: Pipeline): readonly JobName[] {
  const standard = standardOf(pipeline);
  return standard.some((job) => jobTypeOf(pipeline, job).writes.some((what) => what !== "rejects"))
    ? standard
    : jobsOf(pipeline).filter((job) => jobTypeOf(pipeline, job).kind === "stream");
}

/**
 * Waits for the first forecast of a key, or for the first answer where there is none, and says it in one line.
 * Errors: `job_timed_out` with what was last seen.
 */
async function served(
  settings: Settings,
  url: string,
  key: string | null,
  signal: AbortSignal,
): Promise<string> {
  // One try a look: it is looked at again anyway.
  const http = httpOf("job_timed_out", { pace: ONCE });
  const { done, seen } = await until(
    async () => {
      try {
        const { status, text } = await http({ action: "read a forecast", url });
        if (status !== 200) return { done: false, seen: `HTTP ${status}` };
        if (key === null) return { done: true, seen: `${text.trim().slice(0, ANSWER_LENGTH)}…` };
        const { timestamp, predictions } = JSON.parse(text) as {
          timestamp: string;
          predictions: Record<string, number | null>;
        };
        const [name, value] = Object.entries(predictions)[0] ?? ["nothing", null];
        return { done: true, seen: `${key} at ${timestamp}, ${name} ${value}` };
      } catch (error) {
        signal.throwIfAborted();
        return { done: false, seen: String(error) };
      }
    },
    { deadline_ms: FIRST_MS, interval_ms: 250, signal },
  );
  if (done) return seen;
  const jobs = supervisedJobs(settings).map(({ name, state, reason }) => `${name} ${reason ?? state}`);
  throw new PipelineError(
    "job_timed_out",
    `Cannot see a forecast at "${url}": expected one within ${FIRST_MS / 1000} s, last seen: ${seen}; jobs: ${jobs.join("; ")}`,
  );
}

/** What is shown of an answer that is no forecast. */
const ANSWER_LENGTH = 160;

/** Prints each change of a job's state until the signal fires. */
async function watch(settings: Settings, signal: AbortSignal): Promise<void> {
  const before = new Map(supervisedJobs(settings).map(({ name, state }) => [name, state]));
  await until(
    () => {
      for (const { name, state, reason } of supervisedJobs(settings)) {
        if (before.get(name) !== state)
          console.log(`${name}: ${state}${reason === null ? "" : ` (${reason})`}`);
        before.set(name, state);
      }
      return { done: signal.aborted, seen: null };
    },
    { deadline_ms: Number.POSITIVE_INFINITY, interval_ms: 1_000, signal },
  );
}
