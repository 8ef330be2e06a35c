// The range a certificate is made of, and the stream behind it: what the features job has committed of the raw topic, or an
// input streamed in a namespace of its own for nothing else. Judges nothing; the Spark job does.

import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { PipelineError } from "../contract/index.ts";
import { wallClock } from "../ground/clock.ts";
import { tryLock } from "../ground/lock.ts";
import { until } from "../ground/until.ts";
import { type CertifyChoice, planCertify } from "../jobs/certify.ts";
import { tableFor } from "../jobs/plan/params.ts";
import { tables } from "../jobs/plan/tables.ts";
import { connectKafka } from "../kafka/client.ts";
import type { Kafka } from "../kafka/kafka.ts";
import { connectRegistry } from "../kafka/registry.ts";
import { namesOf, pipelineOf, topicOf } from "../pipelines/index.ts";
import { type Settings, stateDir } from "../settings/settings.ts";
import { feed } from "../source/replay/feed.ts";
import { pauseBefore, piecesOf } from "../source/replay/pieces.ts";
import type { Input } from "../source/row.ts";
import { spanOf, targetOf } from "../source/send/target.ts";
import { apply } from "./apply.ts";
import { type BatchRunOptions, type Finished, runBatch } from "./batch.ts";
import { readEpoch } from "./epoch.ts";
import { clearNamespace } from "./remove.ts";
import { settingOf, submitJobs, untilEnded, untilRunning, withdrawJobs } from "./submit.ts";

type Offsets = Readonly<Record<string, number>>;

/**
 * End offsets (exclusive) of the raw topic that the features job has published, by partition; null before its first batch.
 * Source: Spark's checkpoint, where `offsets/<batch>` names a batch's ends and `commits/<batch>` says that it was written.
 */
export function committedOffsets(settings: Settings): Offsets | null {
  const { pipeline, contract } = pipelineOf(settings.pipeline);
  const names = namesOf(pipeline, settings.namespace);
  const job = names.job("features");
  const epoch = readEpoch(settings, job);
  if (epoch === null) return null;
  const checkpoint = names.checkpoint(job, epoch.plan_hash, epoch.plan_epoch);
  const folder = join(stateDir(settings), checkpoint, "features");
  const commits = join(folder, "commits");
  if (!existsSync(commits)) return null;
  const batches = readdirSync(commits).filter((name) => /^\d+$/.test(name));
  if (batches.length === 0) return null;
  const path = join(folder, "offsets", String(Math.max(...batches.map(Number))));
  const { topic } = topicOf(names, contract.stream);
  const line = readFileSync(path, "utf8")
    .split("\n")
    .find((text) => text.startsWith(`{"${topic}":`));
  if (line === undefined)
    throw new PipelineError("job_failed", `Cannot read checkpoint "${path}": expected offsets of "${topic}"`);
  return (JSON.parse(line) as Record<string, Offsets>)[topic]!;
}

/** What can be certified of a namespace now, in Spark's JSON. Errors: `config_invalid` when nothing was streamed. */
async function streamedRange(
  settings: Settings,
  kafka: Kafka,
): Promise<Pick<CertifyChoice, "starting_offsets" | "ending_offsets">> {
  const { pipeline, contract } = pipelineOf(settings.pipeline);
  const names = namesOf(pipeline, settings.namespace);
  const { topic } = topicOf(names, contract.stream);
  const ends = committedOffsets(settings);
  if (ends === null)
    throw new PipelineError(
      "config_invalid",
      `Cannot certify "${topic}": expected a range that was streamed, "${names.job("features")}" has not committed any; run "millrace submit ${names.job("features")}" and replay into it, or take --file`,
    );
  // Spark wants every partition named. What retention has deleted is gone; a partition that is younger than the last
  // batch has nothing committed.
  const offsets = await kafka.admin.offsets(topic);
  const json = (of: (partition: number, start: number) => number) =>
    JSON.stringify({
      [topic]: Object.fromEntries(
        offsets.map(({ partition, start }) => [String(partition), of(partition, start)]),
      ),
    });
  return {
    starting_offsets: json((_, start) => start),
    ending_offsets: json((partition, start) => Math.max(start, ends[partition] ?? start)),
  };
}

export interface CertifyRequest extends Pick<CertifyChoice, "from_ms" | "to_ms" | "sample" | "seed"> {
  /** Beside whose feature table the certificate goes; null: this namespace's. */
  readonly certificates_path: string | null;
  /** The input that was streamed for it, and the event time it stands for; null for what a source sent. */
  readonly file: {
    readonly name: string;
    readonly sha256: string;
    readonly covers: { readonly from_ms: number; readonly to_ms: number };
  } | null;
}

export interface Certificate {
  readonly verdict: "passed" | "failed";
  readonly reasons: readonly string[];
  readonly notes: readonly string[];
  readonly first_differences: readonly Readonly<Record<string, unknown>>[];
  readonly counts: Readonly<Record<string, number>>;
}

export interface Certified extends Finished {
  readonly sha256: string;
  readonly path: string;
  readonly certificate: Certificate;
}

/** From the largest of files; most of it is the driver's pass over the raw records, some 50,000 a second. */
const DEADLINE_MS = 2 * 3_600_000;

/** Runs the job over what this namespace's stream has committed. Errors: those of the job, `config_invalid`. */
export async function runCertify(
  settings: Settings,
  { file, certificates_path, ...request }: CertifyRequest,
  effects: Pick<BatchRunOptions, "signal" | "onReport" | "onState">,
): Promise<Certified> {
  const setting = settingOf(settings);
  const names = namesOf(setting.pipeline, settings.namespace);
  const registry = connectRegistry(settings.registryUrl);
  const kafka = connectKafka(settings.kafka);
  let choice: CertifyChoice;
  try {
    const { stream } = setting.contract;
    const versions = await registry.versions(topicOf(names, stream).subject);
    choice = {
      ...(await streamedRange(settings, kafka)),
      // Also those a writer has brought in beside `apply`: the stream refuses their records, the certificate their units.
      writer_schemas: {
        ...Object.fromEntries(versions.map(({ id, schema }) => [String(id), schema])),
        ...tableFor(setting.applied, stream),
      },
      ...request,
      certificates_path,
      file_name: file?.name ?? null,
      file_sha256: file?.sha256 ?? null,
      covers_from_ms: file?.covers.from_ms ?? null,
      covers_to_ms: file?.covers.to_ms ?? null,
    };
  } finally {
    await kafka.close();
  }
  const finished = await runBatch(settings, planCertify(setting, choice), {
    deadline_ms: DEADLINE_MS,
    ...effects,
  });
  return {
    ...finished,
    ...readCertificate(
      certificates_path ?? tables(settings).certificates,
      finished.submission,
      names.job("certify"),
    ),
  };
}

/**
 * The certificate a run has left in a folder: `runs/<submission>` holds its name (spark_jobs/certify/certificate.py).
 * Errors: `job_failed` where the run left none.
 */
export function readCertificate(
  folder: string,
  submission: string,
  job: string,
): Pick<Certified, "sha256" | "path" | "certificate"> {
  const note = join(folder, "runs", submission);
  let sha256: string;
  try {
    sha256 = readFileSync(note, "utf8");
  } catch (cause) {
    throw new PipelineError(
      "job_failed",
      `Cannot find the certificate of "${submission}": expected its name in "${note}", there is none; see "millrace logs ${job}"`,
      { cause },
    );
  }
  const path = join(folder, `${sha256}.json`);
  return { sha256, path, certificate: JSON.parse(readFileSync(path, "utf8")) as Certificate };
}

interface StreamEffects {
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

const START_MS = 600_000;
/** Between two lines about a catch-up. */
const SAY_MS = 5_000;
const SOURCE = "certify";

/**
 * Streams an input through the features job in a namespace of its own, does the work there, and removes every trace, also
 * when it is interrupted. Half of the rows are met as one catch-up, half as they come.
 */
async function streamed<T>(
  engines: Settings,
  namespace: string,
  input: Input,
  rows: number,
  { signal, log }: StreamEffects,
  work: (settings: Settings) => Promise<T>,
): Promise<T> {
  const settings: Settings = Object.freeze({ ...engines, namespace });
  const { pipeline, contract } = pipelineOf(settings.pipeline);
  const names = namesOf(pipeline, namespace);
  const kafka = connectKafka(settings.kafka, { client_id: `${names.prefix}certify` });
  const registry = connectRegistry(settings.registryUrl);
  try {
    // What a run that was killed has left: the input goes into empty topics or it is another stream.
    await clearNamespace(settings, { kafka, registry, names }, () => {});
    await apply({ settings, kafka, registry, signal });
    const desired = await submitJobs(settings, kafka, ["features"]);
    const onState = (job: string, state: string) => log(`${job}: ${state}`);
    await untilRunning(settings, desired, { deadline_ms: START_MS, signal, onState });
    const target = await targetOf({ kafka, registry, names, contract, source: SOURCE });
    const wait = () => caughtUp(settings, kafka, { signal, log });
    const { sent } = await feed(pauseBefore(input, Math.floor(rows / 2), wait), target, {
      speed: "max",
      loop: false,
      span_ms: spanOf(contract),
      clock: wallClock,
      signal,
    });
    signal.throwIfAborted();
    log(`sent ${sent.toLocaleString("en-US")} observations`);
    await wait();
    // Its cores and memory are the batch's now.
    await withdrawJobs(settings, [names.job("features")]);
    await untilEnded(settings, [names.job("features")], { deadline_ms: START_MS, signal, onState });
    return await work(settings);
  } finally {
    await clearNamespace(settings, { kafka, registry, names }, log);
    await kafka.close();
  }
}

export interface CertifyEffects extends Pick<BatchRunOptions, "signal" | "onReport" | "onState"> {
  readonly say: (line: string) => void;
}

/** An observation makes about one published window; some are bad rows, and some windows hold none in their last slide. */
const ROWS_PER_WINDOW = 1.3;

/** Streams a sample of an input in a namespace of its own and certifies it for `settings`. Errors: `config_invalid`. */
export async function certifyInput(
  settings: Settings,
  input: Input,
  { sample, seed }: { readonly sample: number; readonly seed: number },
  { say, ...effects }: CertifyEffects,
): Promise<Certified> {
  const { contract } = pipelineOf(settings.pipeline);
  const pieces = await piecesOf(input, Math.ceil(sample * ROWS_PER_WINDOW));
  if (pieces.span === null)
    throw new PipelineError(
      "config_invalid",
      `Cannot certify "${input.name}": expected observations in the range, found none; choose other --from and --to`,
    );
  const sha256 = createHash("sha256")
    .update(await pieces.input.fingerprint())
    .digest("hex");
  const namespace = `certify-${sha256.slice(0, 12)}`;
  const taken = tryLock(join(stateDir(settings), "locks", namespace));
  if ("holder" in taken)
    throw new PipelineError(
      "config_invalid",
      `Cannot certify "${input.name}": expected no other run of it, process ${taken.holder.pid} has one`,
    );
  try {
    const number = (value: number) => value.toLocaleString("en-US");
    say(`streams ${number(pieces.rows)} of ${number(pieces.total)} observations in namespace "${namespace}"`);
    const { first_ms, last_ms } = pieces.span;
    return await streamed(
      settings,
      namespace,
      pieces.input,
      pieces.rows,
      { signal: effects.signal, log: say },
      (own) =>
        runCertify(
          own,
          {
            from_ms: null,
            to_ms: null,
            sample,
            seed,
            certificates_path: tables(settings).certificates,
            file: {
              name: basename(input.name),
              sha256,
              covers: { from_ms: first_ms, to_ms: last_ms + contract.window_ms },
            },
          },
          effects,
        ),
    );
  } finally {
    taken.lock.release();
  }
}

/** Resolves once the features job has committed all that the raw topic held at this call. Errors: `job_timed_out`. */
async function caughtUp(settings: Settings, kafka: Kafka, { signal, log }: StreamEffects): Promise<void> {
  const { pipeline, contract } = pipelineOf(settings.pipeline);
  const names = namesOf(pipeline, settings.namespace);
  const ends = await kafka.admin.offsets(topicOf(names, contract.stream).topic);
  let said_ms = performance.now();
  const look = await until(
    () => {
      const committed = committedOffsets(settings) ?? {};
      // The last offset of a transactional topic is a marker, at which a stream may rest.
      const seen = ends.reduce(
        (sum, o) => sum + Math.max(0, o.stable - 1 - (committed[o.partition] ?? 0)),
        0,
      );
      if (seen > 0 && performance.now() - said_ms > SAY_MS) {
        said_ms = performance.now();
        log(`${names.job("features")}: ${seen.toLocaleString("en-US")} records behind`);
      }
      return { done: seen === 0, seen };
    },
    { deadline_ms: START_MS, interval_ms: 200, signal },
  );
  if (!look.done)
    throw new PipelineError(
      "job_timed_out",
      `Cannot see "${names.job("features")}" catch up: expected it within ${START_MS / 1000} s, ${look.seen} records are left; see "millrace logs ${names.job("features")}"`,
    );
}
