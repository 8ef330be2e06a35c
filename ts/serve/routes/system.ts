// GET /system: how the line runs: what waits where, how long each stage takes, what each process uses. Shows what jobs said of
// themselves and what was counted here; judges nothing (health.ts, alerts.ts do).

import type { AppEffects, Served } from "../effects.ts";
import { iso } from "../forecast.ts";
import { jobRows } from "../jobs.ts";
import { defineRoute } from "../route.ts";
import { integer, list, map, nullable, number, seconds, text, time, z } from "../schema.ts";
import { JobRow } from "./jobs.ts";

const count = (description: string) => integer(description, { unit: "1" });
const ms = (description: string) => number(description, { unit: "ms", minimum: 0 });
const bytes = (description: string) => number(description, { unit: "B", minimum: 0 });
const bytesPerSecond = (description: string) => number(description, { unit: "B/s", minimum: 0 });
const perSecond = (description: string) => number(description, { unit: "1/s", minimum: 0 });

const Stage = z
  .object({
    from: text("The stage before."),
    to: text("The stage that was passed."),
    begins_ms: ms("From the first stage to `from`, median: where its bar begins."),
    p50_ms: ms("Half of the predictions took at most this."),
    p99_ms: ms("All but one in a hundred took at most this."),
  })
  .openapi("StageLatency");

const SystemPipeline = z
  .object({
    pipeline: text("Name of the pipeline."),
    model_versions: list(z.string(), "Versions that made the newest predictions of its stations."),
    champion: nullable(
      text("Version that serves, as the registry says; null without one, or while it is away."),
    ),
    stations: count("Stations with a prediction in memory."),
    events_per_s: nullable(
      perSecond(
        "Raw records its features job read a second in the last minute; null before it has said so twice.",
      ),
    ),
    late_rows: nullable(
      count(
        "Groups of window and station that came too late, as the features job counts since it began; null before it has said so.",
      ),
    ),
    rejected: list(
      z.object({
        reason: text("A symbol of the contract."),
        records: count("Records this server has seen: those retained at its start, and all since."),
        last: time("Append of the newest, wall time."),
      }),
      "Records that could not be used, by reason.",
    ),
    latency: nullable(
      z
        .object({
          predictions: count("Predictions of the last five minutes it rests on, at most 2,000."),
          p50_ms: ms("From the append of the newest raw record to the commit, median."),
          p99_ms: ms("The same, all but one in a hundred."),
          stages: list(Stage, "In their order; together the waterfall."),
        })
        .openapi("Latency"),
    ),
    topics: list(
      z.object({
        topic: text("Topic."),
        records_per_s: perSecond("Records this server read a second in the last minute."),
        lag: count("Records this server has still to read; commit markers may leave it above 0."),
        undecodable: count("Records it could not decode."),
      }),
      "What this server follows of it.",
    ),
  })
  .openapi("SystemPipeline");

const SparkBatches = z
  .object({
    job: text("Name of the job."),
    pipeline: text("The pipeline it works for."),
    at: time("When it said so, wall time."),
    batch: count("Number of the newest micro-batch."),
    rows: count("Rows of it."),
    took_ms: ms("From its trigger to its end."),
    parts_ms: map(z.number(), "Where the time went, by part; the unit is in the name."),
    rows_per_s: perSecond("Rows a second while it worked."),
    read_per_s: nullable(perSecond("Rows a second over the last minute; null before it has said so twice.")),
    lag: count("Records not read yet."),
    watermark: nullable(time("What is late lies before it, event time; null before there is one.")),
    late_rows: count("Groups of window and station that came too late, since it began."),
    state_rows: count("Rows of its state."),
    state_bytes: bytes("Memory of its state."),
  })
  .openapi("SparkBatches");

const RayActors = z
  .object({
    job: text("Name of the job."),
    pipeline: text("The pipeline it works for."),
    at: time("When it said so, wall time."),
    actors: count("Actors."),
    restarts: nullable(count("Loops that were started again.")),
    predict_ms: nullable(ms("One model call over a batch, the slowest actor's newest.")),
    batch_ms: nullable(ms("One batch from its poll to its commit, the slowest of the last seconds.")),
    feature_to_commit_ms: nullable(ms("From the append of a feature row to the commit of its prediction.")),
    read_per_s: nullable(perSecond("Feature rows a second over the last minute.")),
    lag: nullable(count("Feature rows not read yet.")),
    stations: nullable(count("Stations in memory.")),
    model_version: nullable(text("Oldest version that an actor serves with.")),
  })
  .openapi("RayActors");

const Process = z
  .object({
    of: text("The engine or job it works for."),
    name: text("Its program; `unknown` for an engine that somebody else runs."),
    pid: nullable(integer("Process id; null where the process is not ours.")),
    cores: nullable(number("Processor cores in use since the look before.", { unit: "1", minimum: 0 })),
    memory_bytes: nullable(bytes("Memory; a page that n processes share counts 1/n in each.")),
    read_bytes_s: nullable(bytesPerSecond("Read from storage.")),
    written_bytes_s: nullable(bytesPerSecond("Written to storage.")),
    received_bytes_s: nullable(bytesPerSecond("Received by its TCP sockets, of this machine too.")),
    sent_bytes_s: nullable(bytesPerSecond("Sent by them.")),
  })
  .openapi("Process");

export const System = z
  .object({
    at: time("When this was answered, wall time."),
    pipelines: list(SystemPipeline, "Every pipeline that is served, the default one first."),
    groups: list(
      z.object({
        group: text("Consumer group."),
        topic: text("Topic it reads."),
        lag: count("Records between its committed offsets and the end, all partitions."),
      }),
      "Lag by consumer group and topic. A Spark job keeps its offsets in its checkpoint: its lag is in `spark`.",
    ),
    spark: list(SparkBatches, "Newest micro-batch of each Spark job that streams."),
    ray: list(RayActors, "Each Ray job that infers."),
    jobs: list(JobRow, "As GET /jobs."),
    processes: list(
      Process,
      "Processes of this namespace's jobs and of the engines, by what they work for. Null is unknown: an engine that is not ours, a first look, a number the kernel does not give. TCP is of the sockets that are open at both looks or were opened between them; what a socket carried before it was closed is not in it. Null where `ss` of iproute2 is not installed.",
    ),
    processes_over_s: nullable(seconds("How long ago the look before was; null for the first.")),
    links: list(
      z.object({ name: text("What it is."), href: text("Its address.") }),
      "Pages of Spark, Ray and MLflow, and this server's own.",
    ),
  })
  .openapi("System");
export type System = Readonly<z.infer<typeof System>>;

/** Parts of a micro-batch's time, as jobs name them. */
const PARTS = [
  "latest_offset_ms",
  "query_planning_ms",
  "wal_commit_ms",
  "add_batch_ms",
  "commit_ms",
] as const;

type Row = z.infer<typeof JobRow>;
type Beating = Row & { readonly heartbeat: NonNullable<Row["heartbeat"]> };

const beats = (row: Row, counter: string): row is Beating => row.heartbeat?.counters[counter] !== undefined;

function sparkOf(row: Beating, read_per_s: number | null): System["spark"][number] {
  const { at, counters } = row.heartbeat;
  const counted = (name: string) => counters[name] ?? 0;
  return {
    job: row.name,
    pipeline: row.pipeline,
    at,
    batch: counted("batch_id"),
    rows: counted("batch_rows"),
    took_ms: counted("batch_ms"),
    parts_ms: Object.fromEntries(PARTS.map((part) => [part, counted(part)])),
    rows_per_s: counted("rows_per_s"),
    read_per_s,
    lag: counted("lag"),
    watermark: counted("watermark_ms") > 0 ? iso(counted("watermark_ms")) : null,
    late_rows: counted("late_rows"),
    state_rows: counted("state_rows"),
    state_bytes: counted("state_bytes"),
  };
}

function rayOf(row: Beating, read_per_s: number | null): System["ray"][number] {
  const { at, counters } = row.heartbeat;
  const counted = (name: string) => counters[name] ?? null;
  const version = counted("model_version");
  return {
    job: row.name,
    pipeline: row.pipeline,
    at,
    actors: counted("actors") ?? 0,
    restarts: counted("actor_restarts"),
    predict_ms: counted("predict_ms"),
    batch_ms: counted("batch_ms"),
    feature_to_commit_ms: counted("feature_to_commit_ms"),
    read_per_s,
    lag: counted("lag"),
    stations: counted("stations"),
    model_version: version === null ? null : String(version),
  };
}

function versionsOf({ latest }: Served): string[] {
  const versions = new Set<string>();
  for (const id of latest.ids()) {
    const version = latest.get(id)?.prediction?.record.model_version;
    if (version !== undefined) versions.add(version);
  }
  return [...versions].sort();
}

function predictedStations({ latest }: Served): number {
  let stations = 0;
  for (const id of latest.ids()) if (latest.get(id)?.prediction) stations++;
  return stations;
}

export async function systemNow(effects: AppEffects): Promise<System> {
  const { pipelines, progress, clock, links } = effects;
  const [views, lags, looked, models] = await Promise.all([
    effects.jobs(),
    effects.lags(),
    effects.processes(),
    // The registry may be away, and nothing else waits for it.
    effects.models().catch(() => []),
  ]);
  const now_ms = clock.nowMs();
  const jobs = jobRows(views, progress, now_ms);
  const groups = Map.groupBy(lags, ({ group, topic }) => `${group} ${topic}`);
  return {
    at: iso(now_ms),
    pipelines: pipelines.map((served) => {
      const { contract, flow, needed_jobs } = served;
      const { pipeline } = contract;
      const features = jobs.find(
        (row): row is Beating => needed_jobs.includes(row.name) && beats(row, "watermark_ms"),
      );
      return {
        pipeline,
        model_versions: versionsOf(served),
        champion:
          models.find((model) => model.pipeline === pipeline && model.aliases.includes("champion"))
            ?.version ?? null,
        stations: predictedStations(served),
        events_per_s: features ? progress.rate(features.name) : null,
        late_rows: features?.heartbeat.counters["late_rows"] ?? null,
        rejected: flow
          .rejects()
          .map(({ reason, records, last_ms }) => ({ reason, records, last: iso(last_ms) })),
        latency: flow.latency(),
        topics: served.feed().topics.map(({ topic, lag, undecodable }) => ({
          ...{ topic, records_per_s: flow.rate(topic), lag, undecodable },
        })),
      };
    }),
    groups: [...groups.values()].map((rows) => ({
      group: rows[0]!.group,
      topic: rows[0]!.topic,
      lag: rows.reduce((sum, { lag }) => sum + lag, 0),
    })),
    spark: jobs.flatMap((row) => (beats(row, "batch_id") ? [sparkOf(row, progress.rate(row.name))] : [])),
    ray: jobs.flatMap((row) => (beats(row, "actors") ? [rayOf(row, progress.rate(row.name))] : [])),
    jobs,
    processes: looked.processes,
    processes_over_s: looked.over_s,
    links,
  };
}

export function systemRoute(effects: AppEffects) {
  return defineRoute({
    name: "system",
    path: "/system",
    tag: "operation",
    summary: "How the line runs: lag, latency by stage, batches, actors, processes",
    description:
      "What `millrace top` and the system page show. A job that has not spoken yet is in `jobs` alone. What each process uses is since the look before, at most some seconds ago.",
    schema: System,
    answer: async () => ({ body: await systemNow(effects) }),
  });
}
