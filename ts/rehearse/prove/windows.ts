// The proof that every window is right: days of Singapore with every fault added (tests.singapore), first as a catch-up at full
// speed, then paced, then hours of the next day from a file with repeats, both line ends and rows of the future, through the
// real features job and through the backfill; both judged by the oracle. One call is one round in a namespace of its own.
// Knows no window.

import { join } from "node:path";
import { PipelineError } from "../../contract/index.ts";
import type { Launch } from "../../engines/job.ts";
import { wallClock } from "../../ground/clock.ts";
import { until } from "../../ground/until.ts";
import { decided, planBackfill } from "../../jobs/backfill.ts";
import { tables } from "../../jobs/plan/tables.ts";
import { topicOf } from "../../pipelines/index.ts";
import type { Settings } from "../../settings/settings.ts";
import { feed } from "../../source/replay/feed.ts";
import { fileInput } from "../../source/replay/input.ts";
import { type BadRow, describeBad } from "../../source/row.ts";
import { spanOf, targetOf } from "../../source/send/target.ts";
import { requireApplied } from "../../supervise/applied.ts";
import { runBatch } from "../../supervise/batch.ts";
import { always, changeDesired } from "../../supervise/desired.ts";
import { startSupervisor } from "../../supervise/run.ts";
import { planOf, settingOf, untilRunning } from "../../supervise/submit.ts";
import { closeLine, type Line, openLine } from "../line/line.ts";
import { runPython } from "../line/python.ts";

export interface WindowsOptions {
  readonly engines: Settings;
  readonly seed: number;
  readonly days: number;
  /** `engine` adds repeats and runs the job that drops them. */
  readonly duplicates: "source" | "engine";
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

/** What tests.singapore says of a stream; `beyond` are windows of stations late far beyond the lateness. */
export interface StreamChecked {
  readonly windows: number;
  readonly published: number;
  readonly batches: number;
  readonly observations: number;
  readonly rejects: number;
  readonly rejects_repeated: number;
  readonly beyond_wanted: number;
  readonly beyond_dropped: number;
  readonly wrong: number;
}

export interface TableChecked {
  readonly windows: number;
  readonly observations: number;
  readonly rejects: number;
  readonly wrong: number;
}

export interface WindowsRound {
  readonly seed: number;
  readonly days: number;
  readonly duplicates: "source" | "engine";
  readonly stream: StreamChecked;
  /** Null for `engine`: a backfill drops repeats by another rule, proved in its own tests. */
  readonly backfill: TableChecked | null;
  readonly first_wrong: readonly string[];
  readonly seconds: number;
}

/** Of the records, what is sent before the job starts: it meets them as one catch-up. */
const CATCH_UP = 0.5;
const RECORDS_PER_S = 1_000;
const DEADLINE_MS = 600_000;

/** One round. Errors: whatever its parts raise; what is wrong with a window is in the result. */
export async function proveWindows(options: WindowsOptions): Promise<WindowsRound> {
  const { engines, seed, days, duplicates, signal, log } = options;
  const begin_ms = performance.now();
  const line = await openLine(engines, { what: "windows", signal, log });
  const { settings, names, contract } = line;
  let fine = false;
  try {
    const { writers } = requireApplied(settings, contract.fingerprint);
    const common = {
      bootstrap: settings.kafka.bootstrap,
      raw_topic: topicOf(names, "raw").topic,
      features_topic: topicOf(names, "features").topic,
      rejects_topic: names.topics.rejects.topic,
      raw_schema_id: writers["raw"],
      sample: join(engines.root, "samples", "singapore-1min-3days.csv.gz"),
      days,
      seed,
      duplicates,
      part: [0, 1],
      records_per_s: null,
      sent_path: join(line.folder, "sent.json"),
      deadline_s: DEADLINE_MS / 1000,
      table_path: null,
      rejects_path: null,
      file_path: join(line.folder, "next-day.csv"),
    };
    const call = <T>(args: object) => runPython<T>(line, "singapore", { ...common, ...args }, "pyspark");
    await call({ action: "produce", part: [0, CATCH_UP] });
    await submit(line, duplicates);
    await caughtUp(line);
    await call({ action: "produce", part: [CATCH_UP, 1], records_per_s: RECORDS_PER_S });
    const file = await call<DirtyFile>({ action: "write_file" });
    await replay(line, common.file_path, file.said);
    const stream = await call<StreamChecked>({ action: "check" });
    log(`stream: ${JSON.stringify(stream.said)}`);
    const table = duplicates === "source" ? await backfill(line, call) : null;
    if (table) log(`backfill: ${JSON.stringify(table.said)}`);
    const first_wrong = [stream, table].flatMap((judged) => (judged && !judged.ok ? judged.errors : []));
    fine = first_wrong.length === 0 && stream.ok && (table?.ok ?? true);
    return {
      seed,
      days,
      duplicates,
      stream: stream.said,
      backfill: table?.said ?? null,
      first_wrong,
      seconds: Math.round((performance.now() - begin_ms) / 1000),
    };
  } finally {
    await closeLine(line, { keep: !fine && !signal.aborted });
  }
}

interface DirtyFile {
  readonly observations: number;
  readonly future: number;
}

/** Sends the file as `millrace replay` does: each observation once, and the rows of the future as they are. */
async function replay(line: Line, path: string, { observations, future }: DirtyFile): Promise<void> {
  const { registry, names, contract, kafka, signal, log } = line;
  const target = await targetOf({ kafka, registry, names, contract, source: "file" });
  const bad: BadRow[] = [];
  const { sent } = await feed(fileInput({ path, contract, onBad: (row) => bad.push(row) }), target, {
    speed: "max",
    loop: false,
    span_ms: spanOf(contract),
    clock: wallClock,
    signal,
  });
  log(`file: ${sent} rows sent, ${future} of them of the future`);
  if (sent === observations + future && bad.length === 0) return;
  throw new PipelineError(
    "job_failed",
    `Cannot replay "${path}": expected ${observations + future} rows sent and none bad, got ${sent} sent and ${bad.length} bad${bad[0] ? `, ${describeBad(bad[0])}` : ""}`,
  );
}

/** The features job under the supervisor; for `engine` the same with the contract that drops repeats. */
async function submit(line: Line, duplicates: "source" | "engine"): Promise<void> {
  const { settings, kafka, signal, log } = line;
  const plan = await planOf(settingOf(settings), kafka, "features", {});
  const launch =
    duplicates === "engine" && plan.launch.engine === "spark" ? alone(settings, plan.launch) : plan.launch;
  const desired = await changeDesired(settings, () => ({ [plan.name]: always({ ...plan, launch }) }));
  startSupervisor(settings);
  await untilRunning(settings, desired, {
    deadline_ms: DEADLINE_MS,
    signal,
    onState: (job, state) => log(`${job}: ${state}`),
  });
}

/** In an application of its own, whose entrypoint has that contract. */
function alone({ root }: Settings, { shared: _, ...launch }: Extract<Launch, { engine: "spark" }>): Launch {
  return { ...launch, entrypoint: join(root, "jobs", "pyspark", "tests", "engine_features.py") };
}

/** Resolves once the first micro-batch has published: what follows meets a stream that runs. */
async function caughtUp({ kafka, names, signal }: Line): Promise<void> {
  const { topic } = topicOf(names, "features");
  const look = await until(
    async () => {
      const seen = (await kafka.admin.offsets(topic)).reduce((sum, { end }) => sum + end, 0);
      return { done: seen > 0, seen };
    },
    { deadline_ms: DEADLINE_MS, interval_ms: 250, signal },
  );
  if (!look.done)
    throw new PipelineError(
      "job_timed_out",
      `Cannot see windows in "${topic}": expected the catch-up to publish some`,
    );
}

async function backfill(
  line: Line,
  call: (args: object) => ReturnType<typeof runPython<TableChecked>>,
): ReturnType<typeof runPython<TableChecked>> {
  const { settings, kafka, names, signal } = line;
  const { topic } = topicOf(names, "raw");
  const from = decided(topic, await kafka.admin.offsets(topic));
  const plan = planBackfill(settingOf(settings), { from, from_ms: null, to_ms: null });
  await runBatch(settings, plan, { signal, deadline_ms: DEADLINE_MS });
  const { features, rejects } = tables(settings);
  return call({ action: "check_table", table_path: features, rejects_path: rejects });
}
