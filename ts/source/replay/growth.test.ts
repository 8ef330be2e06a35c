import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Decoder } from "../../contract/index.ts";
import { jumpingClock } from "../../ground/clock.ts";
import { readAll } from "../../kafka/kafka.ts";
import { pipelineOf } from "../../pipelines/index.ts";
import type { FakeKafka } from "../../test/fakes/kafka.ts";
import { BEFORE, memoryKafka, memoryTarget, standOf } from "../../test/target.ts";
import { type BadRow, describeBad, type Input } from "../row.ts";
import { type FeedReport, feed } from "./feed.ts";
import { type FileOptions, fileInput } from "./input.ts";
import { syntheticInput } from "./synthetic.ts";

const { contract } = pipelineOf("weather");
const folder = mkdtempSync(join(tmpdir(), "growth-"));
const observations = new Decoder(contract.schemas.observation, async () => contract.schemas.observation);
const HEADER = "station_id,timestamp,temperature\n";
const at = (minute: number): string => new Date(Date.UTC(2024, 2, 1) + minute * 60_000).toISOString();
const line = (minute: number, key = "alpha"): string => `${key},${at(minute)},${minute}\n`;
const lines = (from: number, to: number): string =>
  Array.from({ length: to - from }, (_, i) => line(from + i)).join("");

let files = 0;
/** A file that is written again and again, and what was sent of it so far. */
async function log(name = "log.csv", options: Partial<FileOptions> = {}) {
  const kafka = await memoryKafka();
  const path = join(folder, `${files++}-${name}`);
  const bad: BadRow[] = [];
  const send = async (
    content: string | Buffer,
    {
      source = "replay-0",
      loop = false,
      ...more
    }: Partial<FileOptions> & Partial<{ source: string; loop: boolean }> = {},
  ): Promise<FeedReport> => {
    writeFileSync(path, content);
    const input = fileInput({ path, contract, ...options, ...more, onBad: (row) => bad.push(row) });
    const stop = new AbortController();
    return feed(input, memoryTarget(kafka, source), {
      speed: "max",
      loop,
      span_ms: 150_000,
      rows_max: 3,
      clock: jumpingClock(),
      signal: stop.signal,
      onProgress: ({ pass }) => pass > 0 && stop.abort(),
    });
  };
  return { kafka, send, path, bad };
}

/** What was sent, by time: station, minute and temperature. */
async function sent(kafka: FakeKafka): Promise<string[]> {
  const rows: { time: number; text: string }[] = [];
  for (const { value } of await readAll(kafka, "raw")) {
    const decoded = await observations.decode(value);
    if (!decoded.ok) throw new Error(decoded.detail);
    const { station_id, timestamp, temperature } = decoded.record;
    const time = Number(timestamp);
    rows.push({ time, text: `${station_id} ${(time - Date.UTC(2024, 2, 1)) / 60_000} ${temperature}` });
  }
  return rows.sort((a, b) => a.time - b.time || (a.text < b.text ? -1 : 1)).map(({ text }) => text);
}
const minutes = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => `alpha ${from + i} ${from + i}`);

describe("a file that has grown", () => {
  it("is gone on with from where its cursor stands", async () => {
    const { kafka, send } = await log();
    expect(await send(HEADER + lines(0, 10))).toMatchObject({ sent: 10, resumed_at: 0 });
    expect(await send(HEADER + lines(0, 15))).toMatchObject({ sent: 5, resumed_at: 10 });
    expect(await send(HEADER + lines(0, 15))).toMatchObject({ sent: 0, resumed_at: 15 });
    expect(await send(HEADER + lines(0, 16))).toMatchObject({ sent: 1, resumed_at: 15 });
    expect(await sent(kafka)).toEqual(minutes(0, 16));
  });

  it("is the same wherever it grows, however it is packed, and whatever its format", async () => {
    const json = (text: string): string =>
      text
        .split("\n")
        .filter((row) => row !== "")
        .slice(1)
        .map((row) => {
          const [station_id, timestamp, temperature] = row.split(",");
          return `${JSON.stringify({ station_id, timestamp, temperature: Number(temperature) })}\n`;
        })
        .join("");
    const format = fc.constantFrom<"log.csv" | "log.jsonl">("log.csv", "log.jsonl");
    const cuts = fc.array(fc.nat(20), { minLength: 1, maxLength: 4 });
    const packed = fc.array(fc.boolean(), { minLength: 4, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(format, cuts, packed, async (name, counts, gz) => {
        const { kafka, send, bad } = await log(name);
        const sorted = counts.map((count) => count + 1).sort((a, b) => a - b);
        for (const [i, count] of sorted.entries()) {
          const text = HEADER + lines(0, count);
          const content = name === "log.csv" ? text : json(text);
          await send(gz[i] ? gzipSync(content) : content);
        }
        expect(await sent(kafka)).toEqual(minutes(0, sorted.at(-1)!));
        expect(bad).toEqual([]);
      }),
      { numRuns: 25 },
    );
  });

  it("may be a gzip with a member more", async () => {
    const { kafka, send } = await log("log.csv.gz");
    const first = gzipSync(HEADER + lines(0, 5));
    await send(first);
    expect(await send(Buffer.concat([first, gzipSync(lines(5, 9))]))).toMatchObject({
      sent: 4,
      resumed_at: 5,
    });
    expect(await sent(kafka)).toEqual(minutes(0, 9));
  });

  it.each([
    ["a line whose end was missing, and nothing else of it", "2", "2", "alpha 2 2", []],
    ["a value that went on", "2", "25", "alpha 2 2", ["before its end was written"]],
    ["a line that was no row", "", "2", "alpha 2 null", ["before its end was written"]],
  ])("has %s", async (_, then, now, kept, said) => {
    const { kafka, send, bad } = await log();
    const head = `${HEADER}${lines(0, 2)}alpha,${at(2)},`;
    await send(head + then);
    await send(`${head}${now}\n${lines(3, 5)}`);
    expect(await sent(kafka)).toEqual([...minutes(0, 2), kept, ...minutes(3, 5)]);
    expect(bad.map(describeBad)).toEqual(said.map((words) => expect.stringContaining(words)));
    expect(await send(`${head}${now}\n${lines(3, 6)}`)).toMatchObject({ sent: 1 });
  });

  it.each([
    ["was cut before its time was whole", "alpha,2024-03-01T00:0", "2:00.000Z,2\n"],
    ["was cut in its station", "al", `pha,${at(2)},2\n`],
  ])("sends a line that %s once it is a row", async (_, then, rest) => {
    const { kafka, send } = await log();
    const head = HEADER + lines(0, 2);
    await send(head + then);
    await send(head + then + rest + lines(3, 4));
    expect(await sent(kafka)).toEqual(minutes(0, 4));
  });

  it("sends a line that has become another station's row", async () => {
    const { kafka, send } = await log("log.csv", {});
    const reversed = "temperature,timestamp,station_id\n";
    const row = (minute: number, key: string): string => `${minute},${at(minute)},${key}`;
    await send(`${reversed}${row(0, "alpha")}\n${row(1, "alp")}`);
    await send(`${reversed}${row(0, "alpha")}\n${row(1, "alpha")}\n${row(2, "alpha")}\n`);
    expect(await sent(kafka)).toEqual(["alpha 0 0", "alp 1 1", "alpha 1 1", "alpha 2 2"]);
  });
});

describe("a file that is another one", () => {
  it.each([
    [
      "has changed where it was read",
      HEADER + lines(0, 5).replace(",3\n", ",4\n") + lines(5, 9),
      /first \d+ bytes have changed/,
    ],
    ["was cut", HEADER + lines(0, 3), /was cut, rotated or replaced/],
    ["was rotated away", HEADER + lines(5, 6), /was cut, rotated or replaced/],
  ])("is refused when it %s, and says how to take what is newer", async (_, content, reason) => {
    const { kafka, send } = await log();
    await send(HEADER + lines(0, 5));
    await expect(send(content)).rejects.toThrow(reason);
    await expect(send(content)).rejects.toThrow(/"--source", .*"--from 2024-03-01T00:04:00.001Z"/);
    expect(await sent(kafka)).toEqual(minutes(0, 5));
    // The advice holds: nothing is sent twice by another source, and what is newer is.
    const from_ms = Date.parse("2024-03-01T00:04:00.001Z");
    if (content.includes(at(2)))
      await expect(send(content, { source: "other-0" })).rejects.toThrow(/count twice/);
    const newer = content.includes(at(5));
    if (newer) await send(content, { source: "other-0", from_ms });
    expect((await sent(kafka)).slice(0, 5)).toEqual(minutes(0, 5));
    expect(new Set(await sent(kafka)).size).toBe((await sent(kafka)).length);
    expect((await sent(kafka)).length > 5).toBe(newer);
  });

  it("is refused with other options, and when it has grown under a loop", async () => {
    const one = await log();
    await one.send(HEADER + lines(0, 5));
    await expect(one.send(HEADER + lines(0, 5), { units: { temperature: "K" } })).rejects.toThrow(
      /other options/,
    );
    const two = await log();
    await two.send(HEADER + lines(0, 5), { loop: true });
    await expect(two.send(HEADER + lines(0, 6), { loop: true })).rejects.toThrow(/grown under a loop/);
  });

  it.each([
    ["a row less at its beginning", 1],
    ["all rows less", 5],
  ])("is refused when it is read in another way: with %s", async (_, gone) => {
    const kafka = await memoryKafka();
    const input = syntheticInput({ contract, stations: 3, rate: 1, count: 8, start_ms: 0 });
    const feedOf = (rows: Input["rows"]) =>
      feed({ ...input, rows }, memoryTarget(kafka), {
        speed: "max",
        loop: false,
        span_ms: 150_000,
        rows_max: 3,
        clock: jumpingClock(),
      });
    expect(await feedOf(input.rows)).toMatchObject({ sent: 8 });
    async function* fewer() {
      for await (const rows of input.rows()) yield rows.slice(gone);
    }
    await expect(feedOf(fewer)).rejects.toThrow(/read in another way/);
  });
});

describe("a cursor of before", () => {
  const observed = readFileSync(join(BEFORE, "..", "weather", "observations.csv"), "utf8");
  const written: { key: string; value: string }[] = JSON.parse(
    readFileSync(join(BEFORE, "topics", "cursors.json"), "utf8"),
  ).filter(({ key }: { key: string }) => key === "replay-0");
  const carried = async (n: number) => {
    const made = await log("observations.csv");
    const producer = await made.kafka.producer({ transactional_id: "before" });
    const transaction = await producer.begin();
    const { key, value } = written[n]!;
    await transaction.send([{ topic: "cursors", key, value: Buffer.from(value, "hex") }]);
    await transaction.commit();
    return made;
  };

  it.each(written.map((_, n) => n))("is carried over: number %i", async (n) => {
    const { kafka, send } = await carried(n);
    const before = (await standOf(kafka))!;
    expect(before).toMatchObject({ commits: 0, sample: [] });
    expect(await send(observed)).toMatchObject({ resumed_at: before.position, sent: 26 - before.position });
    const now = (await standOf(kafka))!;
    expect(now).toMatchObject({ kind: "replay", pass: 0, position: 26 });
    expect(now.sample).toHaveLength(16);
    expect(await send(`${observed.trimEnd()}\n${"newyork,2017-01-03T00:00:00Z,1,,,,,\n"}`)).toMatchObject({
      sent: 1,
    });
  });

  it("is refused for a file that has grown since, with what goes on", async () => {
    const { send } = await carried(3);
    const grown = `${observed.trimEnd()}\nnewyork,2017-01-03T00:00:00Z,1,,,,,\n`;
    await expect(send(grown)).rejects.toThrow(/replay the file as it was, and then as it is/);
    await send(observed);
    expect(await send(grown)).toMatchObject({ sent: 1, resumed_at: 26 });
  });
});
