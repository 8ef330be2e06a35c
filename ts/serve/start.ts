// Puts the API together: stores, feed, probes, routes, port. Everything foreign is passed in, so the same start serves
// the CLI on real engines and a test on a fake Kafka. Reads no setting and no environment.

import type { Decoded } from "../contract/index.ts";
import { pause } from "../ground/pause.ts";
import type { Kafka } from "../kafka/kafka.ts";
import type { SupervisedJob } from "../supervise/views.ts";
import type { Link } from "../web/cells.ts";
import { assets, page } from "../web/page.ts";
import { createApp } from "./app.ts";
import { cached, withDeadline } from "./cache.ts";
import { Feed, type FeedKind } from "./feed.ts";
import type { EngineProbe } from "./health.ts";
import { JobProgress } from "./jobs.ts";
import { aheadOf, Latest, type StaleRule } from "./latest.ts";
import { type Listening, listen } from "./listen.ts";
import { type GroupLag, Metrics } from "./metrics.ts";
import type { ServedContract } from "./records.ts";
import { Verified } from "./verified.ts";

export interface ServeOptions {
  readonly contract: ServedContract;
  readonly version: string;
  /** What the confidence means, one paragraph for the API's description. */
  readonly confidence: string;
  readonly host: string;
  readonly port: number;
  /** Name of the setting that moves the port, for the error about a port in use. */
  readonly setting: string;
  readonly topics: Readonly<Record<string, FeedKind>>;
  /** Consumer groups whose lag is shown, with the topic each reads. */
  readonly groups: readonly { readonly group: string; readonly topic: string }[];
  readonly needed_jobs: readonly string[];
  readonly links: readonly Link[];
  readonly arm: string;
  readonly rule: StaleRule;
  readonly kafka: Kafka;
  decode(kind: FeedKind, value: Buffer): Promise<Decoded<unknown>>;
  engines(): Promise<readonly EngineProbe[]>;
  jobs(): Promise<readonly SupervisedJob[]>;
  readonly clock: { nowMs(): number };
  log(error: unknown): void;
}

export interface Serving extends Listening {
  /** Resolves once the newest predictions were read, or the server was closed. */
  readonly caught_up: Promise<void>;
}

/** How often the end of the catch-up is looked for, wall time. */
const POLL_MS = 50;

/** Committed offset against the end, for each partition of each group; a group that cannot be asked is left out. */
async function groupLags(kafka: Kafka, groups: ServeOptions["groups"]): Promise<GroupLag[]> {
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

/** Serves until closed. Errors: `config_invalid` for a port in use. Kafka may be away: then it is not ready. */
export async function startApi(options: ServeOptions): Promise<Serving> {
  const { contract, kafka, clock, links, log } = options;
  const latest = new Latest(options.rule, undefined, aheadOf(contract));
  const verified = new Verified(contract);
  const progress = new JobProgress();
  const metrics = new Metrics();
  const stop = new AbortController();
  const feed = new Feed({
    contract,
    topics: options.topics,
    arm: options.arm,
    latest,
    verified,
    progress,
    metrics,
    decode: options.decode,
    log,
    pause,
  });
  const files = assets();
  const app = createApp({
    contract,
    version: options.version,
    confidence: options.confidence,
    latest,
    verified,
    progress,
    metrics,
    clock,
    feed: () => feed.state(),
    jobs: cached(() => withDeadline(options.jobs()), clock),
    engines: cached(() => withDeadline(options.engines()), clock),
    lags: cached(() => groupLags(kafka, options.groups), clock),
    needed_jobs: options.needed_jobs,
    page: (data) => page({ ...data, links }),
    asset: (path) => files.get(path) ?? null,
    log,
  });
  // The port first: one in use must not cost a catch-up.
  const listening = await listen(app, options);
  const following = feed.run(kafka, stop.signal);
  const caughtUp = async () => {
    while (!stop.signal.aborted && !feed.state().caught_up) await pause(POLL_MS, stop.signal);
  };
  return {
    url: listening.url,
    caught_up: caughtUp(),
    close: async () => {
      stop.abort();
      await listening.close();
      await following;
    },
  };
}
