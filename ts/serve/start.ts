// Puts the API together: stores, feed, probes, routes, port. Everything foreign is passed in, so the same start serves
// the CLI on real engines and a test on a fake Kafka. Reads no setting and no environment.

import { aheadOf, type Decoded } from "../contract/index.ts";
import { collectGarbage } from "../ground/heap.ts";
import { pause } from "../ground/pause.ts";
import type { Kafka } from "../kafka/kafka.ts";
import type { LinesReader } from "../lines/reader.ts";
import type { SupervisedJob } from "../supervise/views.ts";
import { Since } from "./alerts.ts";
import { createApp } from "./app.ts";
import { builtPage } from "./built.ts";
import { cached, withDeadline } from "./cache.ts";
import type { Domain } from "./domain.ts";
import type { AppEffects, KnownModel, Link, Served } from "./effects.ts";
import { Feed, type FeedKind } from "./feed.ts";
import { Flow } from "./flow.ts";
import type { GuardOptions } from "./guard.ts";
import type { EngineProbe } from "./health.ts";
import { JobProgress } from "./jobs.ts";
import { Latest, type StaleRule } from "./latest.ts";
import { isLoopback, type Listening, listen, type Tls } from "./listen.ts";
import { type GroupLag, Metrics } from "./metrics.ts";
import type { Uses } from "./processes.ts";
import type { ServedContract } from "./records.ts";
import { alertsNow, newest } from "./routes/alerts.ts";
import { healthNow } from "./routes/health.ts";
import { systemNow } from "./routes/system.ts";
import type { ServedStore } from "./store.ts";
import { Stream } from "./stream.ts";
import { Verified } from "./verified.ts";
import { alertsState, healthState, type Look, watch } from "./watch.ts";

/** What is served of one pipeline. */
export interface PipelineOptions {
  readonly contract: ServedContract;
  /** Its own topics and those it shares with others, which the first that names them follows. */
  readonly topics: Readonly<Record<string, FeedKind>>;
  /** Consumer groups whose lag is shown, with the topic each reads. */
  readonly groups: readonly { readonly group: string; readonly topic: string }[];
  readonly needed_jobs: readonly string[];
  readonly rule: StaleRule;
  readonly domain: Domain | null;
  /** What its JSON Lines say; null for a pipeline that keeps none. */
  readonly lines?: LinesReader | null;
  /** Opened when it is first asked; closed with the pipeline. */
  store(): ServedStore;
  decode(kind: FeedKind, value: Buffer): Promise<Decoded<unknown>>;
}

export interface ServeOptions {
  /** At least one; the first answers the paths that name none. */
  readonly pipelines: readonly PipelineOptions[];
  readonly version: string;
  /** What the confidence means, one paragraph for the API's description. */
  readonly confidence: string;
  readonly host: string;
  /** Address under which others reach it, where that is not `host`. */
  readonly published?: string | null;
  readonly port: number;
  /** Name of the setting that moves the port, for the error about a port in use. */
  readonly setting: string;
  readonly tls?: Tls | null;
  /** Sockets at once. */
  readonly connections_max?: number;
  readonly guard: Omit<GuardOptions, "loopback" | "tls" | "clock">;
  readonly links: readonly Link[];
  /** Folder of the built page. */
  readonly web: string;
  readonly arm: string;
  readonly kafka: Kafka;
  engines(): Promise<readonly EngineProbe[]>;
  jobs(): Promise<readonly SupervisedJob[]>;
  models(): Promise<readonly KnownModel[]>;
  processes(): Promise<Uses>;
  readonly clock: { nowMs(): number };
  log(error: unknown): void;
}

export interface Serving extends Listening {
  /** Resolves once the newest predictions were read, or the server was closed. */
  readonly caught_up: Promise<void>;
  /** Serves these pipelines from now on: what is known of one that stays is kept. */
  use(pipelines: readonly PipelineOptions[]): Promise<void>;
}

/** How often it is looked whether something fell or came back while anybody follows the stream, wall time. */
const HEALTH_MS = 1_000;
/** How often it is told how the line runs while anybody follows that, wall time. */
const SYSTEM_MS = 2_000;
/** How often it is looked what is wrong, wall time, whether anybody asks or not: an alert says since when it has been there. */
const LOOK_MS = 10_000;
/** How long a look at the processes is good for, wall time: each reads some files of every process. */
const PROCESSES_MS = 2_000;

/** How often the end of the catch-up is looked for, wall time. */
const POLL_MS = 50;

/** Committed offset against the end, for each partition of each group; a group that cannot be asked is left out. */
async function groupLags(kafka: Kafka, groups: PipelineOptions["groups"]): Promise<GroupLag[]> {
  const lags = await Promise.allSettled(
    groups.map(async ({ group, topic }) =>
      (await withDeadline(kafka.admin.lag(group, topic))).map(({ partition, lag }) => ({
        group,
        topic,
        partition,
        lag,
      })),
    ),
  );
  return lags.flatMap((l) => (l.status === "fulfilled" ? l.value : []));
}

/** One pipeline while it is followed. */
interface Followed extends Served {
  readonly options: PipelineOptions;
  readonly topics: readonly string[];
  stop(): Promise<void>;
}

/** Serves until closed. Errors: `config_invalid` for a port in use. Kafka may be away: then it is not ready. */
export async function startApi(options: ServeOptions): Promise<Serving> {
  const { kafka, clock, links, log } = options;
  const progress = new JobProgress();
  const metrics = new Metrics();
  const stop = new AbortController();
  const stream = new Stream({ kafka, arm: options.arm, clock });
  const web = builtPage(options.web);
  const since = new Since();
  /** By the pipeline's name, the default one first. */
  let followed: ReadonlyMap<string, Followed> = new Map();

  const follow = (pipeline: PipelineOptions, names: readonly string[]): Followed => {
    const { contract } = pipeline;
    const latest = new Latest(pipeline.rule, undefined, aheadOf(contract));
    const verified = new Verified(contract);
    const flow = new Flow(clock);
    const store = pipeline.store();
    const topics = Object.fromEntries(names.map((topic) => [topic, pipeline.topics[topic]!]));
    const feed: Feed = new Feed({
      contract,
      stream,
      topics,
      arm: options.arm,
      latest,
      verified,
      progress,
      metrics,
      flow,
      decode: pipeline.decode,
      log,
      pause,
    });
    for (const [topic, kind] of Object.entries(topics))
      stream.follow(topic, {
        kind,
        served: { contract, latest, feed: () => feed.state() },
        decode: pipeline.decode,
      });
    const end = new AbortController();
    const running = feed.run(kafka, AbortSignal.any([stop.signal, end.signal]));
    return {
      options: pipeline,
      topics: names,
      contract,
      latest,
      verified,
      flow,
      store,
      needed_jobs: pipeline.needed_jobs,
      domain: pipeline.domain,
      lines: pipeline.lines ?? null,
      feed: () => feed.state(),
      stop: async () => {
        end.abort();
        await running;
        await store.close();
        for (const topic of Object.keys(topics)) stream.leave(topic);
      },
    };
  };
  const effectsOf = (pipelines: readonly Followed[]): AppEffects => ({
    pipelines,
    version: options.version,
    confidence: options.confidence,
    arm: options.arm,
    progress,
    metrics,
    stream,
    since,
    guard: {
      ...options.guard,
      loopback: isLoopback(options.published ?? options.host),
      tls: options.tls != null,
      clock,
    },
    clock,
    jobs: cached(() => withDeadline(options.jobs()), clock),
    engines: cached(() => withDeadline(options.engines()), clock),
    lags: cached(
      () =>
        groupLags(
          kafka,
          pipelines.flatMap((one) => one.options.groups),
        ),
      clock,
    ),
    models: cached(() => withDeadline(options.models()), clock),
    processes: cached(() => withDeadline(options.processes()), clock, PROCESSES_MS),
    links,
    web,
    log,
  });
  let app: ReturnType<typeof createApp> | null = null;
  let effects: AppEffects | null = null;
  /** Keeps the beginnings of alerts young. */
  const lookAround = async () => {
    while (!stop.signal.aborted) {
      // What fails here fails again, with words, for whoever asks.
      if (effects) await alertsNow(effects).catch(() => undefined);
      await pause(LOOK_MS, stop.signal);
    }
  };
  const use = async (pipelines: readonly PipelineOptions[]): Promise<void> => {
    const taken = new Set<string>();
    const wanted = pipelines.map((pipeline) => {
      const topics = Object.keys(pipeline.topics).filter((topic) => !taken.has(topic));
      for (const topic of topics) taken.add(topic);
      const held = followed.get(pipeline.contract.pipeline);
      // Whoever is to follow a shared topic from now on begins anew.
      return { pipeline, topics, held: held?.topics.join() === topics.join() ? held : undefined };
    });
    const kept = new Set(wanted.map(({ held }) => held));
    await Promise.all([...followed.values()].map((one) => (kept.has(one) ? undefined : one.stop())));
    followed = new Map(
      wanted.map(({ pipeline, topics, held }) => [
        pipeline.contract.pipeline,
        held ?? follow(pipeline, topics),
      ]),
    );
    effects = effectsOf([...followed.values()]);
    app = createApp(effects);
  };

  // The port first: one in use must not cost a catch-up.
  const listening = await listen({ fetch: (request, env) => app!.fetch(request, env as object) }, options);
  await use(options.pipelines);
  const tellOf = <T extends object>(look: Look<T>, every_ms = HEALTH_MS) =>
    watch(look, { stream, pause, log }, every_ms, stop.signal);
  const watching = Promise.all([
    tellOf({ kind: "health", see: () => healthNow(effects!), state: healthState }),
    tellOf({
      kind: "alerts",
      see: async () => newest(await alertsNow(effects!), clock.nowMs()),
      state: alertsState,
    }),
    tellOf({ kind: "system", see: () => systemNow(effects!), state: null }, SYSTEM_MS),
  ]);
  const looking = lookAround();
  const caughtUp = async () => {
    const reads = () => [...followed.values()].every((one) => one.feed().caught_up);
    while (!stop.signal.aborted && !reads()) await pause(POLL_MS, stop.signal);
    // What was decoded on the way is of no use any more.
    if (!stop.signal.aborted) collectGarbage();
  };
  return {
    url: listening.url,
    caught_up: caughtUp(),
    use,
    close: async () => {
      stop.abort();
      stream.close();
      await listening.close();
      await watching;
      await looking;
      await Promise.all([...followed.values()].map((one) => one.stop()));
    },
  };
}
