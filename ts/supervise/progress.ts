// What jobs say of themselves, followed live: the newest report of each, from the topic job-progress. Feeds the supervisor's
// heartbeats and the progress a command shows. Judges nobody.

import { Decoder, type JobProgress } from "../contract/index.ts";
import { pause } from "../ground/pause.ts";
import type { Kafka, Start } from "../kafka/kafka.ts";
import type { Registry } from "../kafka/registry.ts";
import type { Heartbeat, Heartbeats } from "./supervisor.ts";

export interface Report extends JobProgress {
  /** When the broker took it, epoch ms. */
  readonly at_ms: number;
}

export interface ProgressReader extends Heartbeats {
  latest(job: string): Report | null;
  close(): Promise<void>;
}

export interface ProgressSource {
  readonly kafka: Kafka;
  readonly registry: Registry;
  readonly topic: string;
  /** The contract's job_progress as Avro JSON. */
  readonly schema: string;
  readonly from?: Start;
  readonly onReport?: (report: Report) => void;
}

/** Wait after Kafka or the registry did not answer. */
const AGAIN_MS = 2_000;

/** Follows until closed; whatever goes wrong it tries again, because jobs must not depend on being watched. */
export function followProgress({
  kafka,
  registry,
  topic,
  schema,
  from = "beginning",
  onReport,
}: ProgressSource): ProgressReader {
  const latest = new Map<string, Report>();
  const decoder = new Decoder<JobProgress>(schema, (id) => registry.schemaById(id));
  const stop = new AbortController();
  let positions: ReadonlyMap<number, number> = new Map();

  async function follow(): Promise<void> {
    const reader = kafka.read(topic, {
      from: positions.size === 0 ? from : positions,
      until: "never",
      signal: stop.signal,
    });
    try {
      for await (const records of reader) {
        for (const record of records) {
          const decoded = await decoder.decode(record.value);
          if (!decoded.ok) continue;
          const report: Report = { ...decoded.record, at_ms: record.timestamp };
          latest.set(report.job, report);
          onReport?.(report);
        }
        positions = new Map(reader.positions());
      }
    } finally {
      await reader.close();
    }
  }

  const following = (async () => {
    while (!stop.signal.aborted) {
      try {
        await follow();
      } catch {
        await pause(AGAIN_MS, stop.signal);
      }
    }
  })();

  return {
    latest: (job) => latest.get(job) ?? null,
    of(job): Heartbeat | null {
      return latest.get(job) ?? null;
    },
    async caughtUp() {
      try {
        const ends = await kafka.admin.offsets(topic);
        return ends.every(
          ({ partition, start, stable }) => (positions.get(partition) ?? start) >= stable - 1,
        );
      } catch {
        return false;
      }
    },
    async close() {
      stop.abort();
      await following;
    },
  };
}
