// The batch layer on the bundled sample: the feature table of 27 cities computed from a file, all heads trained on two years
// of it, and what 100 forecasts of that model cost. Measures from outside, but for the last, which the job measures itself.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { belonging } from "../../ground/cost.ts";
import { type BackfillFrom, planBackfill } from "../../jobs/backfill.ts";
import { planTrain, TRAIN } from "../../jobs/train.ts";
import { type Settings, stateDir } from "../../settings/settings.ts";
import { fileInput } from "../../source/replay/input.ts";
import { stage } from "../../source/replay/stage.ts";
import { runBatch } from "../../supervise/batch.ts";
import { settingOf } from "../../supervise/submit.ts";
import { GB, Memory } from "./memory.ts";

export interface BatchResult {
  readonly observations: number;
  /** From the file's first byte to the finished job. */
  readonly backfill_s: number;
  readonly backfill_per_s: number;
  readonly train_s: number;
  /** Sum of PSS of the job's driver and of every Ray worker, at its largest. */
  readonly train_gb: number;
  /** All heads, 100 rows, one thread. */
  readonly predict_100_rows_ms: number;
  readonly processes: ReturnType<Memory["report"]>;
}

const SAMPLE = "samples/us-cities-hourly.csv.gz";
/** Two years, the sample's first. */
const TO_MS = Date.UTC(2017, 0, 1);
const DEADLINE_MS = 3_600_000;

/** Errors: those of the jobs. */
export async function batch(
  settings: Settings,
  { signal, say }: { readonly signal: AbortSignal; readonly say: (line: string) => void },
): Promise<BatchResult> {
  const setting = settingOf(settings);
  const begin_ms = performance.now();
  const folder = join(stateDir(settings), "staged");
  mkdirSync(folder, { recursive: true });
  const input = fileInput({ path: join(settings.root, SAMPLE), contract: setting.contract, to_ms: TO_MS });
  const staged = await stage(input, join(folder, "bench.avro"), setting.contract.schemas.observation);
  const { per_s } = await backfilled(settings, { files: [staged.path] }, TO_MS, signal);
  const backfill_s = (performance.now() - begin_ms) / 1000;
  say(`backfill: ${staged.rows} observations in ${backfill_s.toFixed(0)} s`);

  const before = new Set(belonging(settings.home));
  const memory = new Memory(
    settings.home,
    ({ pid, command }) => !before.has(pid) || command.startsWith("ray::"),
  );
  const train_ms = performance.now();
  const { counters } = await memory.during(500, () =>
    runBatch(settings, planTrain(setting, { ...TRAIN, cut_ms: TO_MS, allow_uncertified: true }), {
      deadline_ms: DEADLINE_MS,
      signal,
    }),
  );
  const train_s = (performance.now() - train_ms) / 1000;
  say(`training: ${train_s.toFixed(0)} s`);
  return {
    observations: staged.rows,
    backfill_s,
    backfill_per_s: per_s,
    train_s,
    train_gb: memory.peak_bytes / GB,
    predict_100_rows_ms: counters["predict_ms_per_100_rows"] ?? Number.NaN,
    processes: memory.report(),
  };
}

export interface Backfilled {
  readonly observations: number;
  readonly published: number;
  /** From the submission to the finished job. */
  readonly seconds: number;
  /** Observations a second from the job's first word that it runs to its end; its start is in the seconds. */
  readonly per_s: number;
}

/** A backfill of everything before `to_ms`. Errors: those of the job. */
export async function backfilled(
  settings: Settings,
  from: BackfillFrom,
  to_ms: number | null,
  signal: AbortSignal,
): Promise<Backfilled> {
  const begin_ms = performance.now();
  let running_ms = Number.NaN;
  const { counters } = await runBatch(
    settings,
    planBackfill(settingOf(settings), { from, from_ms: null, to_ms }),
    {
      deadline_ms: DEADLINE_MS,
      signal,
      onReport: ({ state }) => {
        if (state === "running" && Number.isNaN(running_ms)) running_ms = performance.now();
      },
    },
  );
  const end_ms = performance.now();
  const observations = counters["input_rows"] ?? Number.NaN;
  return {
    observations,
    published: counters["published_rows"] ?? Number.NaN,
    seconds: (end_ms - begin_ms) / 1000,
    per_s: (1000 * observations) / (end_ms - running_ms),
  };
}
