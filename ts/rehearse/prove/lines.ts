// The proof that every record of a stream is one line on HDFS: the writer is killed with SIGKILL again and again while records come, a
// reader never stops looking for half a line, and in the end all lines are compared with all records. One call is one round in a
// namespace of its own.

import { join } from "node:path";
import { execa } from "execa";
import { PipelineError } from "../../contract/index.ts";
import { pause } from "../../ground/pause.ts";
import { until } from "../../ground/until.ts";
import { tables } from "../../jobs/plan/tables.ts";
import { readAll } from "../../kafka/kafka.ts";
import { days } from "../../lines/days.ts";
import type { Files } from "../../lines/files.ts";
import { hourFile } from "../../lines/layout.ts";
import { readPosition } from "../../lines/position.ts";
import { webHdfs } from "../../lines/webhdfs.ts";
import { pipelineOf, requirePart, topicOf } from "../../pipelines/index.ts";
import { type Settings, settingsPath } from "../../settings/settings.ts";
import { writeSettings } from "../../supervise/namespace.ts";
import { sendCities } from "../line/cities.ts";
import { type Namespace, openNamespace, removeNamespace, uniqueName } from "../line/namespace.ts";
import { randomOf } from "./random.ts";

export interface LinesOptions {
  /** HDFS is one of them. */
  readonly engines: Settings;
  readonly seed: number;
  readonly kills: number;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

export interface LinesRound {
  readonly seed: number;
  /** Until the successor has committed a batch, wall time. */
  readonly kills: readonly { readonly lines: number; readonly recovery_ms: number }[];
  /** Of the topic. */
  readonly records: number;
  readonly lines: number;
  readonly files: number;
  /** Readings of a file while it was written, each of whole lines. */
  readonly readings: number;
  readonly missing: number;
  readonly repeated: number;
  /** Lines in the file of another hour, or that are no record's. */
  readonly strange: number;
  readonly halves: number;
  readonly seconds: number;
}

export const linesWrong = ({
  missing,
  repeated,
  strange,
  halves,
}: Pick<LinesRound, "missing" | "repeated" | "strange" | "halves">): number =>
  missing + repeated + strange + halves;

const MINUTE_MS = 60_000;
/** Records of a transaction: every city at so many minutes; several hours between two kills. */
const MINUTES = 20;
const EVERY_MS = 150;
/** A kill comes within this time of the one before being overcome: before, in, or behind a batch. */
const KILL_MS_MAX = 1_500;
const DEADLINE_MS = 120_000;
const FIRST_MS = Date.UTC(2026, 0, 1);

/** One round. Errors: `job_timed_out` when the writer does not go on; whatever its parts raise. */
export async function proveLines({ engines, seed, kills, signal, log }: LinesOptions): Promise<LinesRound> {
  const begin_ms = performance.now();
  const random = randomOf(seed);
  const line = await openNamespace({ ...engines, pipeline: "city" }, uniqueName("lines"), { signal, log });
  const place = tables(line.settings).lines(requirePart(pipelineOf("city").pipeline, "lines"));
  const files = webHdfs(line.settings, place);
  const stop = new AbortController();
  const ends = AbortSignal.any([signal, stop.signal]);
  let writer: ReturnType<typeof start> | null = null;
  try {
    writeSettings(line.settings);
    const moments = { from_ms: FIRST_MS, step_ms: MINUTE_MS, count: Number.POSITIVE_INFINITY };
    const sending = sendCities(line, moments, { signal: ends, at_once: MINUTES, every_ms: EVERY_MS });
    const reading = watch(files, ends);
    const done: { lines: number; recovery_ms: number }[] = [];
    writer = start(line.settings);
    await committed(files, 0, signal);
    for (let i = 0; i < kills; i++) {
      await pause(random() * KILL_MS_MAX, signal);
      const before = (await readPosition(files))?.batch ?? 0;
      const kill_ms = performance.now();
      writer.kill("SIGKILL");
      await writer;
      writer = start(line.settings);
      const { lines } = await committed(files, before, signal);
      const recovery_ms = Math.round(performance.now() - kill_ms);
      done.push({ lines, recovery_ms });
      log(`writer killed, ${lines} lines after ${(recovery_ms / 1000).toFixed(1)} s`);
    }
    stop.abort();
    const [sent, seen] = await Promise.all([sending, reading]);
    const total = await until(
      async () => {
        const lines = (await readPosition(files))?.lines ?? 0;
        return { done: lines >= sent, seen: lines };
      },
      { deadline_ms: DEADLINE_MS, signal },
    );
    log(`${sent} records sent, ${total.seen} lines`);
    writer.kill("SIGINT");
    await writer;
    const round = { ...(await compared(line, files)), ...seen, halves: seen.halves };
    return { seed, kills: done, ...round, seconds: Math.round((performance.now() - begin_ms) / 1000) };
  } finally {
    stop.abort();
    writer?.kill("SIGKILL");
    await writer?.catch(() => undefined);
    await files.remove("").catch(() => undefined);
    await removeNamespace(line, { log });
  }
}

/** The program that the supervisor would run. */
function start(settings: Settings) {
  const words = ["lines", "--settings", settingsPath(settings), "--pipeline", "city"];
  return execa(join(settings.root, "bin", "millrace"), words, { reject: false, stdio: "ignore" });
}

async function committed(files: Files, before: number, signal: AbortSignal) {
  const { done, seen } = await until(
    async () => {
      const seen = await readPosition(files).catch(() => null);
      // The first number of a writer only takes the place of the one before it.
      return { done: (seen?.batch ?? 0) > before + 1 && (seen?.lines ?? 0) > 0, seen };
    },
    { deadline_ms: DEADLINE_MS, interval_ms: 20, signal },
  );
  if (!done || !seen)
    throw new PipelineError(
      "job_timed_out",
      `Cannot see the writer go on: expected a batch behind ${before}, last seen ${seen?.batch ?? "none"}`,
    );
  return seen;
}

/** Newest day first. */
async function filesOf(files: Files): Promise<string[]> {
  const found: string[] = [];
  for await (const { folder } of days(files)) {
    const names = (await files.list(folder)).map(({ name }) => name).filter((name) => !name.startsWith("_"));
    found.push(
      ...names
        .sort()
        .reverse()
        .map((name) => `${folder}/${name}`),
    );
  }
  return found;
}

/** Reads the newest files again and again, and counts what is no whole line. */
async function watch(files: Files, signal: AbortSignal) {
  let [readings, halves] = [0, 0];
  while (!signal.aborted) {
    for (const path of (await filesOf(files).catch(() => [])).slice(0, 3)) {
      const text = (await files.read(path).catch(() => null)) ?? "";
      if (text === "") continue;
      readings++;
      if (!text.endsWith("\n")) halves++;
      for (const line of text.trimEnd().split("\n"))
        try {
          JSON.parse(line);
        } catch {
          halves++;
        }
    }
    await pause(20, signal);
  }
  return { readings, halves };
}

const nameOf = ({ city, timestamp, temperature }: Readonly<Record<string, unknown>>) =>
  `${city} ${timestamp} ${temperature}`;

/** Every line against every record of the topic. */
async function compared({ kafka, names }: Namespace, files: Files) {
  const left = new Map<string, number>();
  let records = 0;
  for (const { value } of await readAll(kafka, topicOf(names, "raw").topic)) {
    if (value === null) continue;
    // A framed record of a JSON stream: five bytes, then its text.
    const name = nameOf(JSON.parse(value.subarray(5).toString("utf8")) as Record<string, unknown>);
    left.set(name, (left.get(name) ?? 0) + 1);
    records++;
  }
  let [lines, repeated, strange] = [0, 0, 0];
  const known = new Set(left.keys());
  const paths = await filesOf(files);
  for (const path of paths)
    for (const text of ((await files.read(path)) ?? "").trimEnd().split("\n")) {
      const row = JSON.parse(text) as Readonly<Record<string, unknown>>;
      const name = nameOf(row);
      lines++;
      if (!known.has(name) || path !== hourFile("weather", Number(row["timestamp"]))) strange++;
      else if ((left.get(name) ?? 0) === 0) repeated++;
      else left.set(name, left.get(name)! - 1);
    }
  const missing = [...left.values()].reduce((sum, count) => sum + count, 0);
  return { records, lines, files: paths.length, missing, repeated, strange };
}
