// `millrace bench`: starts the whole line in a home of its own, measures it from outside, writes out/bench.json and prints
// a table. Measured: the demo cold and warm, latency and memory under a live load, and a backlog. Judges nothing.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { execa } from "execa";
import { caughtUp, writeBacklog } from "../bench/backlog.ts";
import { type BenchPrediction, type Line, live } from "../bench/live.ts";
import { belonging, costs, type ProcessCost } from "../bench/processes.ts";
import { Decoder, PipelineError } from "../contract/index.ts";
import { freePorts } from "../engines/local/index.ts";
import { mlflowOf } from "../engines/mlflow.ts";
import { PORT_SETTING, type Port, type Settings, settingsOf as settingsIn } from "../engines/settings.ts";
import { connectKafka } from "../kafka/client.ts";
import type { Kafka } from "../kafka/kafka.ts";
import { connectRegistry } from "../kafka/registry.ts";
import { type JobName, namesOf, pipelineOf } from "../pipelines/index.ts";
import { targetOf } from "../source/target.ts";
import { apply } from "../supervise/apply.ts";
import { followProgress } from "../supervise/progress.ts";
import { stopEverything, stopNamespace } from "../supervise/stop.ts";
import { submitJobs, untilRunning } from "../supervise/submit.ts";
import { stopAll } from "./down.ts";

/** Floor and goal of each figure, in its unit. */
const WANTED = {
  latency_p50_ms: { floor: 1_100, goal: 800 },
  latency_p99_ms: { floor: 2_000, goal: 1_500 },
  features_per_s: { floor: 60_000, goal: 150_000 },
  memory_gb: { floor: 4.8, goal: 4.2 },
  backlog_s: { floor: 300, goal: 300 },
  demo_s: { floor: 240, goal: 150 },
  demo_again_s: { floor: 60, goal: 60 },
} as const;
type Figure = keyof typeof WANTED;

const LIVE = { stations: 100, rate: 1_000, warmup_ms: 60_000, measure_ms: 180_000, drain_ms: 15_000 };
const BACKLOG = { stations: 1_000, rate: 1_000, count: 3_600_000 };
const RUNNING_MS = 180_000;
const BACKLOG_MS = 600_000;
const GB = 1e9;

export function benchCommand(settingsOf: (command: Command) => Settings): Command {
  return new Command("bench")
    .description("Measures latency, throughput, memory and start-up of the whole line, in a home of its own")
    .option("--only <parts>", "comma separated: live, backlog (the demo always runs: it trains the model)")
    .option(
      "--measure <seconds>",
      "length of the live load after its warm-up",
      String(LIVE.measure_ms / 1000),
    )
    .option("--json", "print the figures as JSON", false)
    .addHelpText("after", "\nExample:\n  millrace bench --only live --measure 60")
    .action(async (options: { only?: string; measure: string; json: boolean }, command: Command) => {
      const { root, pipeline } = settingsOf(command);
      const parts = new Set(options.only?.split(",") ?? ["live", "backlog"]);
      const measure_ms = Number(options.measure) * 1000;
      if (!(measure_ms > 0) || [...parts].some((part) => part !== "live" && part !== "backlog"))
        throw new PipelineError(
          "config_invalid",
          "Cannot bench: expected --measure in seconds and --only live,backlog",
        );
      const home = mkdtempSync(join(tmpdir(), "millrace-bench-"));
      const settings = settingsIn(root, { home, pipeline, ports: await freePorts() });
      const stop = new AbortController();
      const interrupt = () => stop.abort();
      process.on("SIGINT", interrupt);
      process.on("SIGTERM", interrupt);
      const say = (line: string) => process.stderr.write(`${line}\n`);
      try {
        const figures = await bench(settings, { parts, measure_ms, signal: stop.signal, say });
        mkdirSync(join(root, "out"), { recursive: true });
        writeFileSync(join(root, "out", "bench.json"), `${JSON.stringify(figures, null, 2)}\n`);
        console.log(options.json ? JSON.stringify(figures) : tableOf(figures.figures));
      } finally {
        await stopAll(settings, () => {});
        rmSync(home, { recursive: true, force: true });
        process.off("SIGINT", interrupt);
        process.off("SIGTERM", interrupt);
      }
    });
}

interface Options {
  readonly parts: ReadonlySet<string>;
  readonly measure_ms: number;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

async function bench(settings: Settings, { parts, measure_ms, signal, say }: Options) {
  const figures: Partial<Record<Figure, number>> = {};
  const detail: Record<string, unknown> = {};

  say("demo, from a warm install …");
  figures.demo_s = await timedDemo(settings, signal);
  await stopAll(settings, () => {});
  say(`demo: ${figures.demo_s.toFixed(0)} s; again …`);
  figures.demo_again_s = await timedDemo(settings, signal);
  say(`again: ${figures.demo_again_s.toFixed(0)} s`);
  await stopEverything(settings.home);

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
      detail["live"] = result;
      detail["processes"] = memory.report();
    } finally {
      await line.end();
    }
  }

  if (parts.has("backlog")) {
    const line = await lineIn({ ...settings, namespace: "bench-backlog" }, signal);
    try {
      const start_ms = Date.now() - 2 * 3_600_000;
      const backlog = await writeBacklog(line, { ...BACKLOG, start_ms, onProgress: progress(say) });
      say(`${backlog.count} observations written, ${backlog.sent_per_s.toFixed(0)} a second`);
      const memory = new Memory(settings.home);
      const timer = setInterval(() => memory.sample(), 2_000);
      try {
        const features = caughtUp(
          line.kafka,
          line.names.topics.features.topic,
          line.newest("features", (row) => Number(row["max_event_time"])),
          backlog,
          BACKLOG.stations,
          BACKLOG_MS,
        );
        const predictions = caughtUp(
          line.kafka,
          line.names.topics.predictions.topic,
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
      } finally {
        clearInterval(timer);
      }
    } finally {
      await line.end();
    }
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

interface Benched extends Line {
  readonly kafka: Kafka;
  readonly names: ReturnType<typeof namesOf>;
  newest(
    what: "features" | "predictions",
    event_time: (row: Readonly<Record<string, unknown>>) => number,
  ): (value: Buffer | null) => Promise<{ key: string; event_time: number } | null>;
  start(jobs: readonly JobName[]): Promise<void>;
  /** Resolves to the time (epoch ms, broker's clock) of the job's first report from now on that says it runs. */
  firstWord(job: JobName): Promise<number>;
  end(): Promise<void>;
}

/** A namespace with the demo's model under its own name, nothing running yet. */
async function lineIn(settings: Settings, signal: AbortSignal): Promise<Benched> {
  const { pipeline, contract } = pipelineOf(settings.pipeline);
  const names = namesOf(pipeline, settings.namespace);
  const kafka = connectKafka(settings.kafka, { client_id: `${names.prefix}bench` });
  const registry = connectRegistry(settings.registryUrl);
  await apply({ settings, kafka, registry, signal });
  const mlflow = mlflowOf(settings);
  const demo = namesOf(pipeline, "").model;
  const champion = await mlflow.byAlias(demo, "champion");
  if (champion === null)
    throw new PipelineError(
      "model_refused",
      `Cannot bench: expected a champion of model "${demo}", got none`,
    );
  await mlflow.setAlias(names.model, "champion", await mlflow.copy(champion, names.model));
  const decoderOf = (what: "features" | "predictions") =>
    new Decoder<BenchPrediction & Readonly<Record<string, unknown>>>(contract.schemas[what], (id) =>
      registry.schemaById(id),
    );
  return {
    kafka,
    names,
    contract,
    target: await targetOf({ kafka, registry, names, contract, source: "bench" }),
    predictions_topic: names.topics.predictions.topic,
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
            if (name !== names.jobs[job] || state !== "running") return;
            resolve(at_ms);
            void reports.close();
          },
        });
      });
    },
    async end() {
      await stopNamespace(settings);
      await kafka.close();
    },
  };
}

/** Memory and CPU of everything of a home but the bench itself. */
class Memory {
  readonly #home: string;
  #peak: readonly ProcessCost[] = [];
  #first: ReadonlyMap<number, ProcessCost> = new Map();
  #last: readonly ProcessCost[] = [];
  #first_ms = 0;
  #last_ms = 0;
  peak_bytes = 0;
  readonly totals_gb: number[] = [];

  constructor(home: string) {
    this.#home = home;
  }

  sample(): void {
    const now = costs(belonging(this.#home), new Set([process.pid]));
    const total = now.reduce((sum, { pss_bytes }) => sum + pss_bytes, 0);
    this.totals_gb.push(Number((total / GB).toFixed(3)));
    if (this.#first.size === 0) {
      this.#first = new Map(now.map((cost) => [cost.pid, cost]));
      this.#first_ms = performance.now();
    }
    this.#last = now;
    this.#last_ms = performance.now();
    if (total <= this.peak_bytes) return;
    this.peak_bytes = total;
    this.#peak = now;
  }

  /** Each process at the moment of the peak, and its share of one core over the whole stretch. */
  report() {
    const wall_ms = this.#last_ms - this.#first_ms;
    const last = new Map(this.#last.map((cost) => [cost.pid, cost]));
    return this.#peak.map(({ pid, command, pss_bytes }) => {
      const used = (last.get(pid)?.cpu_ms ?? Number.NaN) - (this.#first.get(pid)?.cpu_ms ?? 0);
      return {
        command: command.slice(0, 160),
        pss_mb: Math.round(pss_bytes / 1e6),
        cores: Number((used / wall_ms).toFixed(3)),
      };
    });
  }
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

function tableOf(figures: Partial<Record<Figure, number>>): string {
  const rows = Object.entries(figures).map(([name, value]) => {
    const { floor, goal } = WANTED[name as Figure];
    const shown = value >= 100 ? Math.round(value).toLocaleString("en") : value.toFixed(2);
    return `${name.padEnd(18)}${shown.padStart(12)}${floor.toLocaleString("en").padStart(12)}${goal.toLocaleString("en").padStart(12)}`;
  });
  return [
    `${"".padEnd(18)}${"measured".padStart(12)}${"floor".padStart(12)}${"goal".padStart(12)}`,
    ...rows,
  ].join("\n");
}
