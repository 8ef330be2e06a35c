// The proof that nothing is lost or doubled: a whole line on real engines, its processes killed with SIGKILL in mid-stream in
// a seeded order, and afterwards everything that was committed compared with the file sent, with the oracle and with a run
// without kills (tests.line_check). One call is one round in a namespace of its own.

import { join } from "node:path";
import { PipelineError } from "../../contract/index.ts";
import { belonging, costs } from "../../ground/cost.ts";
import { until } from "../../ground/until.ts";
import { topicOf } from "../../pipelines/index.ts";
import type { Settings } from "../../settings/settings.ts";
import { requireApplied } from "../../supervise/applied.ts";
import { currentRecords, readRecords, startSupervisor } from "../../supervise/run.ts";
import { publishChampion } from "../line/champion.ts";
import { closeLine, type Line, openLine, startJobs, stopReplay } from "../line/line.ts";
import { runPython } from "../line/python.ts";
import {
  type ArchiveChecked,
  archiveFlows,
  archiveGoesOn,
  compareArchive,
  startArchive,
  type Upkeep,
} from "./archive.ts";
import { Committed, type CommittedPrediction } from "./committed.ts";
import { KILL_KINDS, type Kill, type Kind, scheduleOf } from "./schedule.ts";
import { kill, type Victim, victimOf } from "./victims.ts";

export interface KillsOptions {
  readonly engines: Settings;
  readonly seed: number;
  /** Kills of each kind. */
  readonly count: number;
  readonly kinds?: readonly Kind[];
  /** Folder that keeps the small model between rounds. */
  readonly champion: string;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

export interface Killed {
  readonly kind: Kind;
  readonly what: string;
  /** Predictions committed before it. */
  readonly at: number;
  /** From the kill to the first commit that needed the successor, the archive's own for the archive; for the supervisor until its successor sees all jobs run. Wall time. */
  readonly recovery_ms: number;
  /**
   * Processor time that the whole line, engines included, used meanwhile, beside its ordinary work. Says the same on a slow machine
   * as on a fast one. Absent in rounds from before it was measured.
   */
  readonly processor_ms?: number;
}

/** What tests.line_check says. */
export interface Checked {
  readonly observations: number;
  readonly windows: number;
  /** Records of the feature topic, and how one run without kills covers them. */
  readonly features: number;
  readonly predicted: number;
  readonly skipped: number;
  readonly expired: number;
  readonly rejected: number;
  readonly history_keys: number;
  readonly restored_cells: number;
  /** Rows of neighbours in the predictions' inputs, and how many forecasts are other ones for it. */
  readonly heard: number;
  readonly moved_by_neighbours: number;
  readonly rejects_repeated: number;
  readonly wrong: number;
  readonly first_wrong: readonly string[];
}

export interface KillsRound {
  readonly seed: number;
  readonly kills: readonly Killed[];
  readonly checked: Checked;
  /** Every committed observation in the archive, once, and whether `millrace archive` found it whole. */
  readonly archived: ArchiveChecked & { readonly whole: boolean };
  readonly seconds: number;
}

/** Everything that is wrong in a round. */
export function killsWrong({ checked, archived }: Pick<KillsRound, "checked" | "archived">): number {
  return checked.wrong + archived.wrong + (archived.whole ? 0 : 1);
}

const SAMPLE = "samples/singapore-1min-3days.csv.gz";
/** Event time per wall time: forty observations a second from twenty stations, for 36 minutes. */
const SPEED = 120;
const SOURCE = "proof";
/** The archive beside the line: a commit every few seconds and upkeep a few times a round, or it costs the line a core. */
const BESIDE: Upkeep = { trigger_ms: 8_000, compact_ms: 60_000, vacuum_ms: 120_000 };
// A micro-batch may take a minute on a machine that is busy with other things; a line that hangs does so for good.
const DEADLINE_MS = 600_000;

/** One round. Errors: `job_timed_out` when the line does not go on after a kill; whatever its parts raise. */
export async function proveKills(options: KillsOptions): Promise<KillsRound> {
  const { engines, seed, count, kinds = KILL_KINDS, champion, signal, log } = options;
  const begin_ms = performance.now();
  const line = await openLine(engines, { what: "kills", signal, log });
  let committed: Committed | null = null;
  let fine = false;
  try {
    const kills = scheduleOf(seed, count, kinds);
    const sample = join(engines.root, SAMPLE);
    log(`${line.settings.namespace}: ${kills.length} kills, seed ${seed}`);
    // The jobs come up while the model is made: the actor waits for its champion.
    await Promise.all([
      publishChampion(line, champion),
      startJobs(line, ["features", "infer"]),
      startArchive(line, BESIDE),
    ]);
    await startJobs(line, ["replay"], [sample, "--source", SOURCE, "--json", "--speed", String(SPEED)]);
    committed = new Committed(line.kafka, line.registry, line.names, line.contract);
    await committed.more(1, { deadline_ms: DEADLINE_MS, signal });
    await archiveFlows(line);
    const done: Killed[] = [];
    for (const next of kills) done.push(await strike(line, committed, next));
    const sent = await stopReplay(line, SOURCE);
    log(`${sent} observations sent`);
    const { archive, checked: found } = await compareArchive(line);
    const archived = { ...found.said, whole: archive.whole };
    const checked = await check(line, sample, sent);
    const wrong = killsWrong({ checked, archived });
    fine = wrong === 0;
    const seconds = Math.round((performance.now() - begin_ms) / 1000);
    log(`${wrong} wrong, ${seconds} s`);
    return { seed, kills: done, checked, archived, seconds };
  } finally {
    await committed?.close();
    await closeLine(line, { keep: !fine && !signal.aborted });
  }
}

/** Waits for its time, kills, and waits until the line has gone on by itself. */
async function strike(line: Line, committed: Committed, { kind, after, aim }: Kill): Promise<Killed> {
  const { settings, names, signal, log } = line;
  await committed.more(after, { deadline_ms: DEADLINE_MS, signal });
  if (readRecords(settings)[names.job("replay")]?.done)
    throw new PipelineError(
      "job_failed",
      `Cannot kill the ${kind} in mid-stream: the source has sent everything`,
    );
  const victims = [await findVictim(line, kind, aim)];
  // Half of the supervisors die together with a job, which nobody but their successor can notice.
  const alone = kind !== "supervisor" || aim < 0.5;
  if (!alone) victims.push(await findVictim(line, "source", aim));
  const what = victims.map((victim) => victim.what).join(" and ");
  const at = committed.count;
  const before = submissions(line, alone);
  const kill_ms = Date.now();
  for (const victim of victims) await kill(victim);
  const spent = processorTime(settings.home);
  const dead_ms = Date.now();
  if (kind === "supervisor") {
    // What `millrace run` or the next `submit` would do.
    startSupervisor(settings);
    await adopted(line, before, alone);
  }
  if (kind === "archive") await archiveGoesOn(line);
  const recovered_ms = kind === "supervisor" || kind === "archive" ? Date.now() : null;
  const back_ms = await committed.until((seen) => needs(alone ? kind : "source", seen) > dead_ms, {
    what: `a prediction after the kill of the ${kind} (${what})`,
    deadline_ms: DEADLINE_MS,
    signal,
  });
  const recovery_ms = (recovered_ms ?? back_ms) - kill_ms;
  const processor_ms = Math.round(spent());
  log(
    `${kind} (${what}) killed at ${at} predictions, back after ${(recovery_ms / 1000).toFixed(1)} s and ${(processor_ms / 1000).toFixed(1)} s of processor time`,
  );
  return { kind, what, at, recovery_ms, processor_ms };
}

/** Milliseconds of processor time that everything of a home has used since the call; of a process that has ended since, nothing. */
function processorTime(home: string): () => number {
  const look = () => costs(belonging(home), new Set([process.pid]));
  const before = new Map(look().map(({ pid, cpu_ms }) => [pid, cpu_ms]));
  return () => look().reduce((sum, { pid, cpu_ms }) => sum + cpu_ms - (before.get(pid) ?? 0), 0);
}

/** The stage of a prediction that only the successor of a killed process can have written. */
function needs(kind: Kind, { stages }: CommittedPrediction): number {
  switch (kind) {
    case "source":
      return stages.raw_append_time;
    case "spark":
    // Windows and archive have one driver.
    case "archive":
      return stages.feature_processing_time;
    case "actor":
    case "driver":
    case "supervisor":
      return stages.predict_time;
  }
}

async function findVictim({ settings, names, signal }: Line, kind: Kind, aim: number): Promise<Victim> {
  const look = await until(
    async () => {
      const seen = await victimOf(settings, names, kind, aim);
      return { done: seen !== null, seen };
    },
    { deadline_ms: DEADLINE_MS, interval_ms: 50, signal },
  );
  if (look.seen) return look.seen;
  throw new PipelineError(
    "job_timed_out",
    `Cannot kill the ${kind}: expected to find its process, found none`,
  );
}

/** The submissions there are, with or without the source's. */
const submissions = ({ settings, names }: Line, source: boolean) =>
  Object.entries(readRecords(settings))
    .filter(([job]) => source || job !== names.job("replay"))
    .map(([, { submission }]) => submission?.submission ?? "none")
    .sort()
    .join(" ");

/** Resolves once a new supervisor has seen every job running, and that it started none again but a source that had died. */
async function adopted(line: Line, before: string, source: boolean): Promise<void> {
  const { settings, signal } = line;
  const look = await until(
    () => {
      const records = Object.values(currentRecords(settings) ?? {});
      const running =
        records.length > 0 &&
        records.every(({ submission, status }) => submission !== null && status?.state === "running");
      return { done: running, seen: submissions(line, source) };
    },
    { deadline_ms: DEADLINE_MS, interval_ms: 50, signal },
  );
  if (!look.done) throw new PipelineError("job_timed_out", "Cannot see the new supervisor adopt the jobs");
  if (look.seen !== before)
    throw new PipelineError(
      "job_failed",
      `Cannot accept the new supervisor: expected it to adopt ${before}, it has ${look.seen}`,
    );
}

async function check(line: Line, sample: string, sent: number): Promise<Checked> {
  const { settings, names, contract } = line;
  const applied = requireApplied(settings, contract.fingerprint);
  const topics = [
    ...(["raw", "features", "history", "predictions", "verifications"] as const),
    ...(["anomalies", "rejects"] as const),
  ];
  const { said } = await runPython<Checked>(line, "line_check", {
    bootstrap: settings.kafka.bootstrap,
    mlflow: settings.mlflowUrl,
    model: names.model,
    model_cache: join(line.folder, "models"),
    namespace: settings.namespace,
    topics: Object.fromEntries(topics.map((what) => [what, topicOf(names, what).topic])),
    tables: Object.fromEntries(topics.map((what) => [what, applied.tables[what]])),
    writers: applied.writers,
    group: names.groups.ray,
    arm: "champion",
    sample,
    sent,
    deadline_s: DEADLINE_MS / 1000,
  });
  return said;
}
