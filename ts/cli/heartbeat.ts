// How a process job says how it fares, every few seconds, as every job does. Started by hand it says nothing: nobody waits for it.

import { encoder, explain, type JobProgress } from "../contract/index.ts";
import { pause } from "../ground/pause.ts";
import type { Kafka, Producer } from "../kafka/kafka.ts";
import type { Registry } from "../kafka/registry.ts";
import type { Contract, Names } from "../pipelines/index.ts";

/** Nine in the time after which the supervisor takes it for dead. */
const REPORT_MS = 10_000;

/** The submission that this process is of, in the mark it was started with (ts/engines/process.ts); null by hand. */
export const submissionIn = (mark: string | undefined): string | null =>
  /^job=(.+);$/.exec(mark ?? "")?.[1] ?? null;

export interface Fares {
  /** What it waits for, or what is not as it should be; null when all is well. */
  readonly message: string | null;
  readonly counters: Readonly<Record<string, number>>;
}

export interface Reporting {
  /** Its type, or the name of the member of one. */
  readonly job: string;
  readonly submission: string | null;
  readonly state: () => Fares;
  readonly kafka: Kafka;
  readonly registry: Registry;
  readonly names: Names;
  readonly contract: Contract;
  readonly log: (line: string) => void;
}

/** Does the work while saying how it fares, and once more at its end. That it cannot be said is no reason to stop. */
export async function whileReporting<T>(reporting: Reporting, work: () => Promise<T>): Promise<T> {
  const done = new AbortController();
  const { submission } = reporting;
  const reports = submission === null ? Promise.resolve() : report({ ...reporting, submission }, done.signal);
  try {
    return await work();
  } finally {
    done.abort();
    await reports;
  }
}

async function report(
  {
    job,
    submission,
    state,
    kafka,
    registry,
    names,
    contract,
    log,
  }: Reporting & { readonly submission: string },
  signal: AbortSignal,
): Promise<void> {
  const { topic, subject } = names.topics.progress;
  const { progress } = contract.schemas;
  let producer: Producer | null = null;
  let encode: ((record: JobProgress) => Buffer) | null = null;
  let failed = "";
  const say = async (word: JobProgress["state"]) => {
    const record: JobProgress = {
      job: names.job(job),
      submission,
      state: word,
      timestamp: Date.now(),
      error_code: null,
      ...state(),
    };
    try {
      encode ??= encoder<JobProgress>(progress, await registry.idOf(subject, progress));
      producer ??= await kafka.producer({ transactional_id: names.transactionalId(`${job}-reports`, 0) });
      const transaction = await producer.begin();
      await transaction.send([{ topic, key: record.job, value: encode(record) }]);
      await transaction.commit();
      failed = "";
    } catch (error) {
      await producer?.close().catch(() => undefined);
      producer = null;
      const reason = explain(error);
      if (reason !== failed) log(`cannot report: ${reason}`);
      failed = reason;
    }
  };
  await say("starting");
  while (!signal.aborted) {
    await say("running");
    await pause(REPORT_MS, signal);
  }
  await say("stopped");
  await (producer as Producer | null)?.close().catch(() => undefined);
}
