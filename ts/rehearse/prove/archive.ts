// The proof that the archive holds every committed record once: dirty records of Singapore and aborted transactions go to the
// topic while the driver of the archive's job is killed with SIGKILL at seeded moments. Then table and topic are compared
// byte by byte (tests.archive_check), and a backfill from the archive is judged by the oracle, as the one from the topic is in
// windows.ts. One call is one round in a namespace of its own.

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { ArchiveParams } from "../../contract/generated/params.ts";
import { PipelineError } from "../../contract/index.ts";
import { pause } from "../../ground/pause.ts";
import { until } from "../../ground/until.ts";
import { planArchive } from "../../jobs/archive.ts";
import { planBackfill } from "../../jobs/backfill.ts";
import { tables } from "../../jobs/plan/tables.ts";
import { webHdfs } from "../../lines/webhdfs.ts";
import { topicOf } from "../../pipelines/index.ts";
import type { Settings } from "../../settings/settings.ts";
import { requireApplied } from "../../supervise/applied.ts";
import { type ArchiveState, archiveOf, offsetsOfRange } from "../../supervise/archive.ts";
import { runBatch } from "../../supervise/batch.ts";
import { always, changeDesired } from "../../supervise/desired.ts";
import { requirePlace } from "../../supervise/place.ts";
import { startSupervisor } from "../../supervise/run.ts";
import { settingOf, untilEnded, untilRunning, withdrawJobs } from "../../supervise/submit.ts";
import { closeLine, type Line, openLine } from "../line/line.ts";
import { type PythonResult, runPython } from "../line/python.ts";
import { randomOf } from "./random.ts";
import { kill, sparkDriver } from "./victims.ts";
import type { TableChecked } from "./windows.ts";

export interface ArchiveOptions {
  /** With the place of the archive: a folder, or the HDFS of this set. */
  readonly engines: Settings;
  readonly seed: number;
  readonly kills: number;
  /** Share of a day of Singapore that is sent, in (0, 1]. */
  readonly share: number;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

/** What tests.archive_check says. */
export interface ArchiveChecked {
  readonly records: number;
  readonly rows: number;
  readonly missing: number;
  readonly extra: number;
  readonly repeated: number;
  readonly changed: number;
  readonly wrong: number;
}

export interface ArchiveRound {
  readonly seed: number;
  readonly kills: readonly {
    readonly what: string;
    readonly version: number;
    readonly recovery_ms: number;
  }[];
  readonly checked: ArchiveChecked;
  /** Whether `millrace archive` found it whole. */
  readonly whole: boolean;
  readonly versions: number;
  readonly files: number;
  readonly backfill: TableChecked;
  readonly first_wrong: readonly string[];
  readonly seconds: number;
}

/** Records of a day, about: what the pace is reckoned from. */
const DAY_RECORDS = 29_000;
/** How long one part of the records takes to send, and within which of it a kill comes. Wall time. */
const PART_S = 5;
const KILL_MS_MAX = 3_000;
const DEADLINE_MS = 600_000;

export function archiveWrong({ checked, whole, backfill }: ArchiveRound): number {
  return checked.wrong + (whole ? 0 : 1) + backfill.wrong;
}

/** One round. Errors: whatever its parts raise; what is wrong with the table is in the result. */
export async function proveArchive(options: ArchiveOptions): Promise<ArchiveRound> {
  const { engines, seed, kills, share, signal, log } = options;
  const begin_ms = performance.now();
  const random = randomOf(seed);
  const line = await openLine(engines, { what: "archive", signal, log });
  const { settings, names, contract, kafka } = line;
  const path = tables(settings).archive;
  let fine = false;
  try {
    await requirePlace(settings, tables(settings).archive);
    const parts = kills + 1;
    const singapore = {
      bootstrap: settings.kafka.bootstrap,
      raw_topic: topicOf(names, "raw").topic,
      features_topic: topicOf(names, "features").topic,
      rejects_topic: names.topics.rejects.topic,
      raw_schema_id: requireApplied(settings, contract.fingerprint).writers["raw"],
      sample: join(engines.root, "samples", "singapore-1min-3days.csv.gz"),
      days: 1,
      seed,
      duplicates: "source",
      records_per_s: (DAY_RECORDS * share) / parts / PART_S,
      sent_path: join(line.folder, "sent.json"),
      deadline_s: DEADLINE_MS / 1000,
      table_path: tables(settings).features,
      rejects_path: tables(settings).rejects,
    };
    const call = <T>(args: object) => runPython<T>(line, "singapore", { ...singapore, ...args }, "pyspark");
    const produce = async (part: number) => {
      await call({ action: "produce", part: [(share * part) / parts, (share * (part + 1)) / parts] });
      await aborted(line, part);
    };
    await Promise.all([startArchive(line), produce(0)]);
    await archiveFlows(line);
    const done: ArchiveRound["kills"][number][] = [];
    for (let i = 0; i < kills; i++) {
      const before = await sent(line);
      const [killed] = await Promise.all([
        strike(line, { before, after_ms: random() * KILL_MS_MAX, aim: random() }),
        produce(i + 1),
      ]);
      done.push(killed);
    }
    const { archive, checked } = await compareArchive(line);
    const { starting_offsets, ending_offsets } = await offsetsOfRange(settings, kafka, {});
    const from = { archive: true, starting_offsets, ending_offsets };
    const plan = planBackfill(settingOf(settings), { from, from_ms: null, to_ms: null });
    await runBatch(settings, plan, { signal, deadline_ms: DEADLINE_MS });
    const backfill = await call<TableChecked>({ action: "check_table", part: [0, share] });
    log(`backfill from the archive: ${JSON.stringify(backfill.said)}`);
    const first_wrong = [...checked.errors, ...backfill.errors].filter(() => !(checked.ok && backfill.ok));
    fine = checked.ok && backfill.ok && archive.whole;
    return {
      seed,
      kills: done,
      checked: checked.said,
      whole: archive.whole,
      versions: archive.version,
      files: archive.files,
      backfill: backfill.said,
      first_wrong,
      seconds: Math.round((performance.now() - begin_ms) / 1000),
    };
  } finally {
    await closeLine(line, { keep: !fine && !signal.aborted });
    // Elsewhere it went with the namespace's folder.
    if (fine && path.startsWith("hdfs:")) {
      const [, above, folder] = /^(.*)\/([^/]+)\/[^/]+$/.exec(path)!;
      await webHdfs(settings, above!).remove(folder!);
    }
  }
}

/** How often the archive's job does what it does on a schedule. */
export type Upkeep = Pick<ArchiveParams, "trigger_ms" | "compact_ms" | "vacuum_ms">;

/** As often as it can, so that a kill meets each of them. */
const OFTEN: Upkeep = { trigger_ms: 1_000, compact_ms: 2_000, vacuum_ms: 4_000 };

/** The archive's job under the supervisor. */
export async function startArchive(line: Line, upkeep: Upkeep = OFTEN): Promise<void> {
  const { settings, signal, log } = line;
  const plan = planArchive(settingOf(settings), upkeep);
  const job = always(plan);
  await changeDesired(settings, (before) => ({ ...before, [plan.name]: job }));
  startSupervisor(settings);
  await untilRunning(
    settings,
    { [plan.name]: job },
    {
      deadline_ms: DEADLINE_MS,
      signal,
      onState: (job, state) => log(`${job}: ${state}`),
    },
  );
}

async function stop({ settings, names, signal }: Line): Promise<void> {
  await withdrawJobs(settings, [names.job("archive")]);
  await untilEnded(settings, [names.job("archive")], { deadline_ms: DEADLINE_MS, signal });
}

/** Resolves once the archive holds records. */
export function archiveFlows(line: Line): Promise<void> {
  // 0 and 1 are the empty table and its properties.
  return untilVersion(line, 1);
}

/** Resolves once the archive commits something it has not committed yet. */
export async function archiveGoesOn(line: Line): Promise<void> {
  await untilVersion(line, await versionOf(line.settings));
}

/** Waits until everything committed is archived, ends the job, and compares table and topic record by record. */
export async function compareArchive(
  line: Line,
): Promise<{ archive: ArchiveState; checked: PythonResult<ArchiveChecked> }> {
  const { settings, names, log } = line;
  const archive = await untilWhole(line);
  await stop(line);
  const place = { raw_topic: topicOf(names, "raw").topic, table_path: tables(settings).archive };
  const given = { bootstrap: settings.kafka.bootstrap, ...place };
  const checked = await runPython<ArchiveChecked>(line, "archive_check", given, "pyspark");
  log(`archive: ${JSON.stringify(checked.said)}`);
  return { archive, checked };
}

/** Records nobody may ever see, on every partition. */
async function aborted({ kafka, names }: Line, part: number): Promise<void> {
  const { topic, partitions } = topicOf(names, "raw");
  const producer = await kafka.producer({ transactional_id: names.transactionalId("aborted", part) });
  try {
    const transaction = await producer.begin();
    const nothing = { topic, key: null, value: Buffer.from("nobody may see this") };
    await transaction.send(
      Array.from({ length: 3 * partitions }, (_, i) => ({ ...nothing, partition: i % partitions })),
    );
    await transaction.abort();
  } finally {
    await producer.close();
  }
}

/** Newest version of the archive, in a folder or on the HDFS of these engines; -1 without a table. */
async function versionOf(settings: Settings): Promise<number> {
  const { archive } = tables(settings);
  const names = archive.startsWith("hdfs:")
    ? (await webHdfs(settings, archive).list("_delta_log")).map(({ name }) => name)
    : await readdir(join(archive.replace(/^file:(?:\/\/)?(?=\/)/, ""), "_delta_log")).catch(
        (): string[] => [],
      );
  const commits = names.filter((name) => /^\d{20}\.json$/.test(name));
  return Math.max(-1, ...commits.map((name) => Number(name.slice(0, 20))));
}

/** End of the raw topic, summed over its partitions. */
async function sent({ kafka, names }: Line): Promise<number> {
  return (await kafka.admin.offsets(topicOf(names, "raw").topic)).reduce((sum, { end }) => sum + end, 0);
}

/**
 * Waits until records flow, then a while, and kills the driver: in a batch, between two, in a compaction, as it falls. More
 * records come after, so that there is something to commit for its successor.
 */
async function strike(
  line: Line,
  { before, after_ms, aim }: { before: number; after_ms: number; aim: number },
): Promise<ArchiveRound["kills"][number]> {
  const { settings, names, signal, log } = line;
  const flow = await until(
    async () => {
      const seen = await sent(line);
      return { done: seen > before, seen };
    },
    { deadline_ms: DEADLINE_MS, interval_ms: 50, signal },
  );
  if (!flow.done)
    throw new PipelineError("job_timed_out", "Cannot see records flow: expected more in the topic");
  await pause(after_ms, signal);
  const look = await until(
    () => {
      const seen = sparkDriver(settings, names.job("archive"), aim);
      return { done: seen !== null, seen };
    },
    { deadline_ms: DEADLINE_MS, interval_ms: 50, signal },
  );
  if (!look.seen) throw new PipelineError("job_timed_out", "Cannot kill the archive's driver: found none");
  const version = await versionOf(settings);
  const kill_ms = Date.now();
  await kill(look.seen);
  await archiveGoesOn(line);
  const recovery_ms = Date.now() - kill_ms;
  log(
    `${look.seen.what} killed at version ${version}, committed again after ${(recovery_ms / 1000).toFixed(1)} s`,
  );
  return { what: look.seen.what, version, recovery_ms };
}

async function untilVersion({ settings, signal }: Line, above: number): Promise<void> {
  const look = await until(
    async () => {
      const seen = await versionOf(settings);
      return { done: seen > above, seen };
    },
    { deadline_ms: DEADLINE_MS, interval_ms: 50, signal },
  );
  if (!look.done)
    throw new PipelineError(
      "job_timed_out",
      `Cannot see the archive commit: expected a version above ${above}`,
    );
}

/** Resolves once everything committed is archived. A gap never fills, so it is returned as it is. */
async function untilWhole({ settings, kafka, names, signal }: Line): Promise<ArchiveState> {
  const { partitions } = topicOf(names, "raw");
  const look = await until(
    async () => {
      const seen = await archiveOf(settings, kafka);
      // Behind the last record of a partition lie the aborted ones of the last transaction and its marker.
      const rest = seen.partitions.every(({ behind }) => behind <= 4);
      return { done: rest && seen.partitions.length === partitions, seen };
    },
    { deadline_ms: DEADLINE_MS, interval_ms: 1_000, signal },
  );
  return look.seen;
}
