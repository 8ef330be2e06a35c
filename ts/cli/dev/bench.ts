// `millrace bench`: starts the whole line in a home of its own, measures it from outside, writes out/bench.json and prints
// a table. Measured: the demo cold and warm, the line with nothing to do, latency and memory under a live load, a backlog, the
// batch layer, the city system, and serving. Judges nothing.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { Command } from "commander";
import { execa } from "execa";
import { PipelineError } from "../../contract/index.ts";
import { decided } from "../../jobs/backfill.ts";
import { topicOf } from "../../pipelines/index.ts";
import { untilCaughtUp, writeBacklog } from "../../rehearse/bench/backlog.ts";
import { backfilled, batch } from "../../rehearse/bench/batch.ts";
import { cityBench } from "../../rehearse/bench/city.ts";
import { lineIn } from "../../rehearse/bench/line.ts";
import { type BenchPrediction, live } from "../../rehearse/bench/live.ts";
import { GB, Memory } from "../../rehearse/bench/memory.ts";
import { SERVING, serving } from "../../rehearse/bench/serving.ts";
import { freePorts } from "../../rehearse/line/ports.ts";
import { PORT_SETTING, type Port, type Settings, settingsOf as settingsIn } from "../../settings/settings.ts";
import { stopEverything } from "../../supervise/stop.ts";
import { up } from "../../topology/local/index.ts";
import { stopAll } from "../engines/down.ts";
import { parseInteger } from "../flags.ts";
import { interruptible } from "../interrupt.ts";

/** Floor and goal of each figure, in its unit, on a machine that adds ten million numbers in a Python loop in 0.6 s or less. */
const WANTED = {
  latency_p50_ms: { floor: 550, goal: 400 },
  latency_p99_ms: { floor: 1_250, goal: 900 },
  /** Of the whole line but the load, at the same 1,000 events/s. */
  cores: { floor: 0.85, goal: 0.65 },
  features_per_s: { floor: 100_000, goal: 150_000 },
  memory_gb: { floor: 3.4, goal: 2.9 },
  backlog_s: { floor: 300, goal: 300 },
  memory_with_archive_gb: { floor: 4.2, goal: 3.6 },
  // Of a feed by the second, from the topic; of an hourly file, where each observation is a row of its own.
  backfill_topic_per_s: { floor: 50_000, goal: 150_000 },
  backfill_per_s: { floor: 50_000, goal: 150_000 },
  train_s: { floor: 900, goal: 480 },
  train_gb: { floor: 3, goal: 3 },
  predict_100_rows_ms: { floor: 120, goal: 50 },
  sink_per_s: { floor: 20_000, goal: 50_000 },
  latest_p99_ms: { floor: 5, goal: 2 },
  stream_lost: { floor: 0, goal: 0 },
  stream_mb: { floor: 300, goal: 300 },
  history_day_p99_ms: { floor: 30, goal: 30 },
  lines_per_s: { floor: 1_000, goal: 10_000 },
  lines_batch_ms: { floor: 200, goal: 200 },
  city_analytics_s: { floor: 30, goal: 30 },
  city_routes_p99_ms: { floor: 500, goal: 50 },
  demo_s: { floor: 115, goal: 80 },
  demo_again_s: { floor: 25, goal: 15 },
  // What stands idle has no floor: it is measured to be looked at.
  idle_cores: { floor: null, goal: null },
  idle_gb: { floor: null, goal: null },
} as const;
type Figure = keyof typeof WANTED;

const LIVE = { stations: 100, rate: 1_000, warmup_ms: 60_000, measure_ms: 180_000, drain_ms: 15_000 };
/** The same load once more with the archive beside it, shorter: memory is there at once. */
const ARCHIVED = { warmup_ms: 20_000, measure_ms: 60_000 };
const BACKLOG = { stations: 1_000, rate: 1_000, count: 3_600_000 };
const BACKLOG_MS = 600_000;
/** Long enough for the slowest periodic work there is: a checkpoint of PostgreSQL, a look of Kafka's log cleaner. */
const IDLE_MS = 120_000;
const PARTS = ["idle", "live", "backlog", "batch", "city", "serve"];
/** Parts that need no model. */
const WITHOUT_DEMO = new Set(["city", "serve"]);

export function benchCommand(settingsOf: (command: Command) => Settings): Command {
  return new Command("bench")
    .description("Measures latency, throughput, memory and start-up of the whole line, in a home of its own")
    .option(
      "--only <parts>",
      `comma separated: ${PARTS.join(", ")} (the demo runs before all but city and serve: it trains the model)`,
    )
    .option(
      "--measure <seconds>",
      "length of the live load after its warm-up",
      String(LIVE.measure_ms / 1000),
    )
    .option(
      "--history-rows <number>",
      "rows in the store while a day of history is asked for",
      String(SERVING.history_rows),
    )
    .option("--json", "print the figures as JSON", false)
    .addHelpText(
      "after",
      "\nExamples:\n  millrace bench --only live --measure 60\n  millrace bench --only city,serve --history-rows 1000000",
    )
    .action(
      async (
        options: { only?: string; measure: string; historyRows: string; json: boolean },
        command: Command,
      ) => {
        const { root, pipeline } = settingsOf(command);
        const parts = new Set(options.only?.split(",") ?? PARTS);
        const measure_ms = 1000 * parseInteger("--measure", options.measure, 1);
        const history_rows = parseInteger("--history-rows", options.historyRows, 100_000);
        if ([...parts].some((part) => !PARTS.includes(part)))
          throw new PipelineError(
            "config_invalid",
            `Cannot bench: expected --only with some of ${PARTS.join(",")}`,
          );
        const home = mkdtempSync(join(tmpdir(), "millrace-bench-"));
        const settings = settingsIn(root, { home, pipeline, ports: await freePorts() });
        const say = (line: string) => process.stderr.write(`${line}\n`);
        await interruptible(async (signal) => {
          try {
            const figures = await bench(settings, { parts, measure_ms, history_rows, signal, say });
            mkdirSync(join(root, "out"), { recursive: true });
            writeFileSync(join(root, "out", "bench.json"), `${JSON.stringify(figures, null, 2)}\n`);
            console.log(options.json ? JSON.stringify(figures) : tableOf(figures.figures));
          } finally {
            await stopAll(settings, () => {});
            rmSync(home, { recursive: true, force: true });
          }
        });
      },
    );
}

interface Options {
  readonly parts: ReadonlySet<string>;
  readonly measure_ms: number;
  readonly history_rows: number;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

async function bench(settings: Settings, { parts, measure_ms, history_rows, signal, say }: Options) {
  const figures: Partial<Record<Figure, number>> = {};
  const detail: Record<string, unknown> = {};

  if ([...parts].some((part) => !WITHOUT_DEMO.has(part))) {
    say("demo, from a warm install …");
    figures.demo_s = await timedDemo(settings, signal);
    await stopAll(settings, () => {});
    say(`demo: ${figures.demo_s.toFixed(0)} s; again …`);
    figures.demo_again_s = await timedDemo(settings, signal);
    say(`again: ${figures.demo_again_s.toFixed(0)} s`);
    await stopEverything(settings.home);
  } else await up(settings, { signal });

  if (parts.has("idle")) {
    const line = await lineIn({ ...settings, namespace: "bench-idle" }, signal);
    try {
      await line.start(["features", "infer", "serve"]);
      say(`the line stands with nothing to do for ${IDLE_MS / 1000} s …`);
      const memory = new Memory(settings.home);
      await memory.during(PROGRESS_MS, () => setTimeout(IDLE_MS, undefined, { signal }));
      memory.sample();
      figures.idle_cores = memory.cores;
      figures.idle_gb = memory.peak_bytes / GB;
      detail["idle"] = memory.report();
    } finally {
      await line.end();
    }
  }

  if (parts.has("live")) {
    const line = await lineIn({ ...settings, namespace: "bench-live" }, signal);
    try {
      await line.start(["features", "infer", "serve"]);
      const memory = new Memory(settings.home);
      const result = await live(line, {
        ...LIVE,
        measure_ms,
        signal,
        sample: () => memory.sample(),
        onProgress: progress(say),
      });
      figures.latency_p50_ms = result.p50_ms;
      figures.latency_p99_ms = result.p99_ms;
      figures.memory_gb = memory.peak_bytes / GB;
      figures.cores = memory.cores;
      detail["live"] = result;
      detail["processes"] = memory.report();
      say(`live: p50 ${result.p50_ms.toFixed(0)} ms, p99 ${result.p99_ms.toFixed(0)} ms`);
      say("live, with the archive …");
      await line.start(["archive"]);
      const withArchive = new Memory(settings.home);
      const beside = { ...line, target: await line.from("bench-archived") };
      detail["live_with_archive"] = await live(beside, {
        ...LIVE,
        ...ARCHIVED,
        signal,
        sample: () => withArchive.sample(),
        onProgress: progress(say),
      });
      figures.memory_with_archive_gb = withArchive.peak_bytes / GB;
      detail["processes_with_archive"] = withArchive.report();
    } finally {
      await line.end();
    }
  }

  if (parts.has("backlog")) {
    const namespace = "bench-backlog";
    const line = await lineIn({ ...settings, namespace }, signal);
    try {
      const start_ms = Date.now() - 2 * 3_600_000;
      const backlog = await writeBacklog(line, { ...BACKLOG, start_ms, onProgress: progress(say) });
      say(`${backlog.count} observations written, ${backlog.sent_per_s.toFixed(0)} a second`);
      const memory = new Memory(settings.home);
      await memory.during(2_000, async () => {
        const features = untilCaughtUp(
          line.kafka,
          topicOf(line.names, "features").topic,
          line.newest("features", (row) => Number(row["max_event_time"])),
          backlog,
          BACKLOG.stations,
          BACKLOG_MS,
        );
        const predictions = untilCaughtUp(
          line.kafka,
          topicOf(line.names, "predictions").topic,
          line.newest("predictions", (row) => (row["stages"] as BenchPrediction["stages"]).event_time),
          backlog,
          BACKLOG.stations,
          BACKLOG_MS,
        );
        const begin_ms = Date.now();
        // The rate runs from the job's own first word: its start of some 15 s counts in the backlog's time, not in a
        // figure that is to hold for hours.
        const spoke = line.firstWord("features");
        await line.start(["features", "infer"]);
        const features_ms = (await features) - begin_ms;
        const predictions_ms = (await predictions) - begin_ms;
        const running_ms = (await spoke) - begin_ms;
        figures.features_per_s = (1000 * backlog.count) / (features_ms - running_ms);
        figures.backlog_s = predictions_ms / 1000;
        detail["backlog"] = {
          ...backlog,
          running_ms,
          features_ms,
          predictions_ms,
          memory_samples_gb: memory.totals_gb,
        };
      });
      // What the stream has worked off, once more by the batch; the stream's jobs have nothing to do meanwhile.
      const { topic } = topicOf(line.names, "raw");
      const from = decided(topic, await line.kafka.admin.offsets(topic));
      const again = await backfilled({ ...settings, namespace }, from, null, signal);
      figures.backfill_topic_per_s = again.per_s;
      detail["backlog_backfill"] = again;
      say(`backfill of the backlog: ${again.observations} observations in ${again.seconds.toFixed(0)} s`);
    } finally {
      await line.end();
    }
  }

  if (parts.has("batch")) {
    const namespace = "bench-batch";
    const line = await lineIn({ ...settings, namespace }, signal);
    try {
      const result = await batch({ ...settings, namespace }, { signal, say });
      const { backfill_per_s, train_s, train_gb, predict_100_rows_ms } = result;
      Object.assign(figures, { backfill_per_s, train_s, train_gb, predict_100_rows_ms });
      detail["batch"] = result;
    } finally {
      await line.end();
    }
  }
  if (parts.has("city")) {
    await up(settings, { signal, with: ["hdfs"] });
    const result = await cityBench({ ...settings, namespace: "bench-city" }, { signal, say });
    figures.lines_per_s = result.lines_per_s;
    figures.lines_batch_ms = result.batch.p99_ms;
    figures.city_analytics_s = result.analytics_s;
    figures.city_routes_p99_ms = result.routes.p99_ms;
    detail["city"] = result;
    await stopEverything(settings.home);
  }

  // The last of all: PostgreSQL cleans up behind ten million rows for minutes, which would count in what comes after.
  if (parts.has("serve")) {
    const result = await serving(
      { ...settings, namespace: "bench-serve" },
      { load: { ...SERVING, history_rows }, signal, say },
    );
    figures.sink_per_s = result.sink_per_s;
    figures.latest_p99_ms = result.latest.p99_ms;
    figures.stream_lost = result.stream.lost;
    figures.stream_mb = result.stream.memory_mb;
    figures.history_day_p99_ms = result.history.p99_ms;
    detail["serve"] = result;
  }

  return {
    figures,
    wanted: WANTED,
    detail,
    machine: { cpus: cpus().length, model: cpus()[0]?.model ?? "unknown", memory_gb: totalmem() / GB },
  };
}

/** Seconds from the command to its first served forecast, by the command as a user calls it. */
async function timedDemo(settings: Settings, signal: AbortSignal): Promise<number> {
  const env: Record<string, string> = { MILLRACE_HOME: settings.home };
  for (const [port, name] of Object.entries(PORT_SETTING) as [Port, string][])
    env[name] = String(settings.ports[port]);
  const begin_ms = performance.now();
  await execa(join(settings.root, "bin", "millrace"), ["demo", "--detach"], {
    env,
    stdio: ["ignore", "ignore", "inherit"],
    cancelSignal: signal,
    forceKillAfterDelay: 60_000,
  });
  return (performance.now() - begin_ms) / 1000;
}

const PROGRESS_MS = 10_000;

/** A line now and then. */
function progress(say: (line: string) => void): (line: string) => void {
  let said_ms = Number.NEGATIVE_INFINITY;
  return (line) => {
    if (performance.now() - said_ms < PROGRESS_MS) return;
    said_ms = performance.now();
    say(line);
  };
}

const wanted = (figure: number | null): string => (figure?.toLocaleString("en") ?? "–").padStart(12);

function tableOf(figures: Partial<Record<Figure, number>>): string {
  const rows = Object.entries(figures).map(([name, value]) => {
    const { floor, goal } = WANTED[name as Figure];
    const shown = value >= 100 ? Math.round(value).toLocaleString("en") : value.toFixed(2);
    return `${name.padEnd(24)}${shown.padStart(12)}${wanted(floor)}${wanted(goal)}`;
  });
  return [
    `${"".padEnd(24)}${"measured".padStart(12)}${"floor".padStart(12)}${"goal".padStart(12)}`,
    ...rows,
  ].join("\n");
}
