// A namespace of the bench's own on running engines: contract applied, the demo's champion under its name, nothing running
// yet. Measures nothing.

import { Decoder } from "../../contract/index.ts";
import type { JobName } from "../../jobs/index.ts";
import type { Kafka } from "../../kafka/kafka.ts";
import { type Names, schemaOf, topicOf } from "../../pipelines/index.ts";
import type { Settings } from "../../settings/settings.ts";
import { targetOf } from "../../source/send/target.ts";
import { followProgress } from "../../supervise/progress.ts";
import { submitJobs, untilRunning } from "../../supervise/submit.ts";
import { copyChampion } from "../line/champion.ts";
import { closeNamespace, openNamespace } from "../line/namespace.ts";
import type { BenchLine, BenchPrediction } from "./live.ts";

const RUNNING_MS = 180_000;

export interface Benched extends BenchLine {
  readonly kafka: Kafka;
  readonly names: Names;
  newest(
    what: "features" | "predictions",
    event_time: (row: Readonly<Record<string, unknown>>) => number,
  ): (value: Buffer | null) => Promise<{ key: string; event_time: number } | null>;
  /** Where a second load goes: a source sends one input. */
  from(source: string): Promise<BenchLine["target"]>;
  start(jobs: readonly JobName[]): Promise<void>;
  /** Resolves to the time (epoch ms, broker's clock) of the job's first report from now on that says it runs. */
  firstWord(job: JobName): Promise<number>;
  end(): Promise<void>;
}

/** The namespace of the settings with the demo's model under its own name, nothing running yet. */
export async function lineIn(settings: Settings, signal: AbortSignal): Promise<Benched> {
  const opened = await openNamespace(settings, settings.namespace, { signal });
  const { kafka, registry, names, contract } = opened;
  await copyChampion(opened);
  const decoderOf = (what: "features" | "predictions") =>
    new Decoder<BenchPrediction & Readonly<Record<string, unknown>>>(schemaOf(contract, what), (id) =>
      registry.schemaById(id),
    );
  return {
    kafka,
    names,
    contract,
    target: await targetOf({ kafka, registry, names, contract, source: "bench" }),
    from: (source) => targetOf({ kafka, registry, names, contract, source }),
    predictions_topic: topicOf(names, "predictions").topic,
    decoder: decoderOf("predictions"),
    newest(what, event_time) {
      const decoder = decoderOf(what);
      return async (value) => {
        const decoded = await decoder.decode(value);
        if (!decoded.ok) return null;
        return { key: String(decoded.record[contract.key]), event_time: event_time(decoded.record) };
      };
    },
    async start(jobs) {
      const desired = await submitJobs(settings, kafka, jobs);
      await untilRunning(settings, desired, { deadline_ms: RUNNING_MS, signal });
    },
    firstWord(job) {
      return new Promise((resolve) => {
        const reports = followProgress({
          kafka,
          registry,
          topic: names.topics.progress.topic,
          schema: contract.schemas.progress,
          from: "end",
          onReport: ({ job: name, state, at_ms }) => {
            if (name !== names.job(job) || state !== "running") return;
            resolve(at_ms);
            void reports.close();
          },
        });
      });
    },
    end: () => closeNamespace(opened),
  };
}
