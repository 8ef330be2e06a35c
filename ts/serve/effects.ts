// What the routes are given: the pipelines that are served, each with what is known of it in memory, and what is asked of the
// rest of the namespace. Types only; start.ts fills them in.

import type { LinesReader } from "../lines/reader.ts";
import type { SupervisedJob } from "../supervise/views.ts";
import type { Since } from "./alerts.ts";
import type { Built } from "./built.ts";
import type { Domain } from "./domain.ts";
import type { Flow } from "./flow.ts";
import type { GuardOptions } from "./guard.ts";
import type { EngineProbe, FeedState } from "./health.ts";
import type { JobProgress } from "./jobs.ts";
import type { Latest } from "./latest.ts";
import type { GroupLag, Metrics } from "./metrics.ts";
import type { Uses } from "./processes.ts";
import type { ServedContract } from "./records.ts";
import type { Asks } from "./store.ts";
import type { Stream } from "./stream.ts";
import type { Verified } from "./verified.ts";

/** One pipeline as it is served. */
export interface Served {
  readonly contract: ServedContract;
  readonly latest: Latest;
  readonly verified: Verified;
  readonly flow: Flow;
  /** What it was before; may be away. */
  readonly store: Asks;
  /** Jobs a live forecast needs. */
  readonly needed_jobs: readonly string[];
  /** What its JSON Lines say; null for a pipeline that keeps none. May be away. */
  readonly lines: LinesReader | null;
  /** Its own routes; null for none. */
  readonly domain: Domain | null;
  feed(): FeedState;
}

/** A page elsewhere, or a path of this server. */
export interface Link {
  readonly name: string;
  readonly href: string;
}

/** One version of a pipeline's model, as the registry has it. */
export interface KnownModel {
  readonly pipeline: string;
  readonly model: string;
  readonly version: string;
  readonly aliases: readonly string[];
  readonly created_ms: number;
  readonly parent: string | null;
  readonly digest: string | null;
  readonly contract_fingerprint: string | null;
  readonly url: string;
}

export interface AppEffects {
  /** At least one; the first answers the paths that name no pipeline. */
  readonly pipelines: readonly Served[];
  /** Version of the software, for the API's description. */
  readonly version: string;
  /** What the confidence means, one paragraph. */
  readonly confidence: string;
  /** Whose forecasts are served. */
  readonly arm: string;
  readonly progress: JobProgress;
  readonly metrics: Metrics;
  readonly stream: Stream;
  /** Since when each alert has been there. */
  readonly since: Since;
  /** The engines' own pages, and ours. */
  readonly links: readonly Link[];
  readonly guard: GuardOptions;
  readonly clock: { nowMs(): number };
  /** Each of these four answers within a bound and never rejects for an engine that is down. */
  jobs(): Promise<readonly SupervisedJob[]>;
  engines(): Promise<readonly EngineProbe[]>;
  lags(): Promise<readonly GroupLag[]>;
  /** What each process of ours uses, and one row without numbers for an engine that is not ours. */
  processes(): Promise<Uses>;
  /** Within a bound; rejects while the registry of models is away. */
  models(): Promise<readonly KnownModel[]>;
  /** The page for people. */
  readonly web: Built;
  log(error: unknown): void;
}
