import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import avsc from "avsc";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { pipelineOf } from "../../pipelines/index.ts";
import { type BadRow, describeBad, type Row } from "../row.ts";
import { type FileOptions, fileInput } from "./input.ts";
import { stage } from "./stage.ts";

const { contract } = pipelineOf("weather");
const folder = mkdtempSync(join(tmpdir(), "input-"));
let files = 0;
const file = (name: string, content: string | Buffer): string => {
  const path = join(folder, `${files++}-${name}`);
  writeFileSync(path, content);
  return path;
};
const read = async (
  path: string,
  options: Partial<FileOptions> = {},
): Promise<{ rows: Row[]; bad: string[]; repeats: number }> => {
  const bad: BadRow[] = [];
  let repeats = 0;
  const input = fileInput({
    path,
    contract,
    onBad: (b) => bad.push(b),
    onRepeat: () => repeats++,
    ...options,
  });
  const rows: Row[] = [];
  for await (const chunk of input.rows()) rows.push(...chunk);
  return { rows, bad: bad.map((b) => describeBad({ ...b, file: "f" })), repeats };
};
const HEADER = "station_id,timestamp,temperature,humidity,pressure,wind_speed,wind_direction,precipitation";
const at = (s: number): string => new Date(Date.UTC(2017, 0, 1) + s * 1000).toISOString();

describe("fileInput() of CSV", () => {
  it("hands over bad rows with file, line, column and reason, and goes on", async () => {
    const text = [
      `\uFEFF${HEADER}`,
      `a,${at(0)},1,2,3,4,5,6`,
      `a,${at(1)},warm,2,3,4,5,6`,
      `,${at(2)},1,,,,,`,
      `a,${at(3)},1`,
      "",
      `"b ""quoted""",${at(4)},,,,,,`,
      `a,${at(1)},1,2,3,4,5,6`,
      `a,${at(5)},"1"x,2,3,4,5,6`,
      `c,${at(6)},1,2,3,4,5,6`,
    ].join("\r\n");
    const { rows, bad } = await read(file("bad.csv", text));
    expect(rows.map((r) => r.key)).toEqual(["a", 'b "quoted"', "c"]);
    expect(bad).toEqual([
      'f:3 column "temperature": expected a number or nothing, got "warm"',
      'f:4 column "station_id": expected a name, got nothing',
      "f:5: expected 8 cells, got 3",
      `f:8 column "timestamp": expected rows in time order, got ${at(1)} after ${at(4)}`,
      'f:9 column "temperature": expected a number or nothing, got ""1"x"',
    ]);
  });

  it.each([
    ["", "an empty file"],
    ["station,timestamp\n", '"station"'],
    ["station_id,temperature\n", 'none called "timestamp"'],
    ["station_id,timestamp,timestamp\n", '"timestamp" twice'],
  ])("refuses a header like %j", async (text, seen) => {
    await expect(read(file("header.csv", text))).rejects.toThrow(seen);
  });

  it("does not read a file into memory because of one open quote", async () => {
    const { rows, bad } = await read(file("quote.csv", `${HEADER}\na,${at(0)},"${"x".repeat(2 << 20)}`));
    expect(rows).toEqual([]);
    expect(bad.length).toBeGreaterThan(0);
    expect(bad.at(-1)).toMatch(/^f:2: .*quote to be closed/);
  });

  it("keeps from inclusive and to exclusive", async () => {
    const lines = [0, 1, 2, 3].map((s) => `a,${at(s)},${s},,,,,`);
    const path = file("range.csv", [HEADER, ...lines].join("\n"));
    const from_ms = Date.parse(at(1));
    const { rows } = await read(path, { from_ms, to_ms: from_ms + 2000 });
    expect(rows.map((r) => r.record["temperature"])).toEqual([1, 2]);
  });

  it("keeps late rows when the file's order counts", async () => {
    const path = file("late.csv", `${HEADER}\na,${at(9)},,,,,,\na,${at(1)},,,,,,\n`);
    expect((await read(path, { order: "file" })).rows.map((r) => r.time)).toEqual(
      [9, 1].map((s) => Date.parse(at(s))),
    );
  });

  it.each(["time", "file"] as const)(
    "hands on a station's row of one time once, in order of %s",
    async (order) => {
      const line = (s: number, value: number): string => `a,${at(s)},${value},,,,,`;
      const lines = [line(0, 1), line(0, 1), `b,${at(0)},1,,,,,`, line(60, 2), line(60, 9), line(120, 3)];
      // Beside each other, with other rows between, and the whole file once more.
      const path = file("repeats.csv", [HEADER, ...lines, lines[0], lines[3]].join("\n"));
      const { rows, bad, repeats } = await read(path, { order });
      expect(rows.map((r) => [r.key, r.record["temperature"]])).toEqual([
        ["a", 1],
        ["b", 1],
        ["a", 2],
        ["a", 3],
      ]);
      expect(repeats).toBe(3);
      expect(bad).toEqual([
        `f:6: expected one row of "a" at ${at(60)}, got a second one with other values; the first stays`,
      ]);
    },
  );

  it("counts a repeat once, however often the rows are read", async () => {
    const path = file("twice.csv", `${HEADER}\na,${at(0)},1,,,,,\na,${at(0)},1,,,,,\n`);
    let repeats = 0;
    const input = fileInput({ path, contract, onRepeat: () => repeats++ });
    for (const _ of [1, 2]) {
      const rows: Row[] = [];
      for await (const chunk of input.rows()) rows.push(...chunk);
      expect(rows).toHaveLength(1);
    }
    expect(repeats).toBe(1);
  });

  describe("with a row of the future among the others", () => {
    const minute = (m: number): string => `a,${at(60 * m)},${m}`;
    const lines = [...Array.from({ length: 100 }, (_, m) => minute(m)), ...[100, 101].map(minute)];
    const glitch = (time: string) => [
      "station_id,timestamp,temperature",
      ...lines.slice(0, 50),
      `b,${time},99`,
      ...lines.slice(50),
    ];

    it.each(["2017-01-01T05:00:00Z", "2018-01-01T00:00:00Z", "2073-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])(
      "keeps all of them, and the clock of the row of %s is that of the row before",
      async (time) => {
        for (const order of ["time", "file"] as const) {
          const { rows, bad } = await read(file("glitch.csv", glitch(time).join("\n")), { order });
          expect(bad).toEqual([]);
          expect(rows.map((row) => row.record["temperature"])).toEqual(
            [...lines.keys()].toSpliced(50, 0, 99),
          );
          expect(rows.filter((row) => row.time > row.clock).map((row) => [row.key, row.clock])).toEqual([
            ["b", Date.parse(at(60 * 49))],
          ]);
          expect(rows.filter((row) => row.key === "a").every((row) => row.time === row.clock)).toBe(true);
        }
      },
    );

    it("neither ends at it nor counts it to a later range", async () => {
      const path = file("glitch.csv", glitch("2018-01-01T00:00:00Z").join("\n"));
      const half_ms = Date.parse(at(60 * 60));
      const count = async (range: Partial<FileOptions>) => (await read(path, range)).rows.length;
      expect(await count({ to_ms: half_ms })).toBe(61);
      expect(await count({ from_ms: half_ms })).toBe(42);
    });

    it("stages it with the clock it is judged by, and its file spans what the others span", async () => {
      const path = file("glitch.csv", glitch("2073-01-01T00:00:00Z").join("\n"));
      const out = join(folder, "glitch.avro");
      const staged = await stage(fileInput({ path, contract }), out, contract.schemas.observation);
      expect(staged).toMatchObject({ rows: 103, last_ms: Date.parse(at(60 * 101)) });
    });

    it("believes no file that lies ahead of the wall clock", async () => {
      const now_ms = Date.parse(at(30));
      const { rows } = await read(file("ahead.csv", [HEADER, `a,${at(9e6)},1,,,,,`].join("\n")), {
        now: () => now_ms,
      });
      expect(rows.map((row) => row.clock)).toEqual([now_ms]);
    });
  });

  it("reads what was written, whatever the names", async () => {
    const name = fc.string({ minLength: 1 }).filter((s) => s.isWellFormed() && !/^\uFEFF/.test(s));
    const row = fc.tuple(
      name,
      fc.integer({ min: 0, max: 1e12 }),
      fc.option(fc.double({ noNaN: true, noDefaultInfinity: true }).map((v) => v + 0)),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(row, { maxLength: 30 }), fc.boolean(), async (rows, gz) => {
        const sorted = rows
          .filter(([key, time], i) => rows.findIndex((r) => r[0] === key && r[1] === time) === i)
          .toSorted((a, b) => a[1] - b[1]);
        const quoted = (s: string): string => `"${s.replaceAll('"', '""')}"`;
        const text = ["station_id,timestamp,temperature"]
          .concat(sorted.map(([key, time, value]) => `${quoted(key)},${time},${value ?? ""}`))
          .join("\n");
        const path = file("any.csv", gz ? gzipSync(text) : text);
        const seen = await read(path);
        expect(seen.bad).toEqual([]);
        expect(seen.rows.map((r) => [r.key, r.time, r.record["temperature"]])).toEqual(
          sorted.map(([key, time, value]) => [key, time, value]),
        );
      }),
      { numRuns: 50 },
    );
  });
});

describe("fileInput() of JSON Lines and Avro", () => {
  it("reads JSON Lines and says what is not", async () => {
    const text = `{"station_id":"a","timestamp":${Date.parse(at(0))},"temperature":1.5}\n\nnot json\n[1]\n{"station_id":"a","timestamp":"${at(1)}","humidity":"50"}`;
    const { rows, bad } = await read(file("rows.jsonl", text));
    expect(rows.map((r) => [r.record["temperature"], r.record["humidity"]])).toEqual([
      [1.5, null],
      [null, 50],
    ]);
    expect(bad).toEqual(["f:3: expected JSON", "f:4: expected a JSON object"]);
  });

  it("passes over a line that never ends", async () => {
    const { rows, bad } = await read(
      file(
        "long.ndjson",
        `{"station_id":"a","timestamp":0}\n${"x".repeat(3 << 20)}\n{"station_id":"b","timestamp":1}\n`,
      ),
    );
    expect(rows.map((r) => r.key)).toEqual(["a", "b"]);
    expect(bad).toEqual([expect.stringContaining("f:2: expected at most")]);
  });

  it("reads Avro by names, with a schema of its writer's own", async () => {
    const type = avsc.Type.forSchema({
      type: "record",
      name: "other",
      fields: [
        { name: "timestamp", type: { type: "long", logicalType: "timestamp-millis" } },
        { name: "station_id", type: "string" },
        { name: "temperature", type: ["null", "float", "double"] },
      ],
    });
    const path = join(folder, "other.avro");
    const encoder = avsc.createFileEncoder(path, type, { codec: "deflate" });
    encoder.write({ timestamp: 5, station_id: "a", temperature: { float: 1.5 } });
    encoder.end({ timestamp: 6, station_id: "b", temperature: null });
    await new Promise((resolve) => encoder.once("end", resolve));
    const { rows } = await read(path);
    expect(rows.map((r) => [r.key, r.time, r.record["temperature"]])).toEqual([
      ["a", 5, 1.5],
      ["b", 6, null],
    ]);
  });

  it("says so when a container ends in the middle", async () => {
    const path = file(
      "whole.csv",
      [HEADER, ...Array.from({ length: 999 }, (_, s) => `a,${at(s)},,,,,,`)].join("\n"),
    );
    const out = join(folder, "whole.avro");
    await stage(fileInput({ path, contract }), out, contract.schemas.observation);
    const whole = readFileSync(out);
    await expect(read(file("cut.avro", whole.subarray(0, whole.length - 20)))).rejects.toThrow(/container/);
  });

  it("refuses what is no container, and an unknown ending", async () => {
    await expect(read(file("x.avro", "Obj"))).rejects.toMatchObject({ code: "config_invalid" });
    await expect(read(file("y.avro", "nothing of the kind, and long enough to tell"))).rejects.toMatchObject({
      code: "config_invalid",
    });
    expect(() => fileInput({ path: "a.txt", contract })).toThrow(/\.csv/);
    await expect(read(join(folder, "missing.csv"))).rejects.toThrow(/ENOENT/);
    await expect(
      read(file("cut.csv.gz", gzipSync(`${HEADER}\n`.repeat(1000)).subarray(0, 40))),
    ).rejects.toMatchObject({
      code: "config_invalid",
    });
  });
});

describe("fingerprint()", () => {
  const text = `${HEADER}\na,${at(0)},1,,,,,\n`;
  it("tells files, units and ranges apart, and not names", async () => {
    const of = (path: string, options: Partial<FileOptions> = {}) =>
      fileInput({ path, contract, ...options }).fingerprint();
    const one = await of(file("one.csv", text));
    expect(await of(file("two.csv", text))).toBe(one);
    const path = file("three.csv", text);
    const others = await Promise.all([
      of(file("four.csv", text.replace("1", "2"))),
      of(path, { units: { temperature: "K" } }),
      of(path, { from_ms: 1 }),
      of(path, { to_ms: 1 }),
      of(path, { order: "file" }),
    ]);
    expect(new Set([one, ...others]).size).toBe(6);
  });
});

describe("stage()", () => {
  it("writes contract fields, offset and clock, and reads as an input again", async () => {
    const lines = [0, 60, 30, 90].map((s) => `a,${at(s)},${s},,,,,`);
    const path = file("stage.csv", [HEADER, ...lines].join("\n"));
    const out = join(folder, "staged.avro");
    const staged = await stage(
      fileInput({ path, contract, order: "file" }),
      out,
      contract.schemas.observation,
    );
    expect(staged).toEqual({
      path: out,
      rows: 4,
      first_ms: Date.parse(at(0)),
      last_ms: Date.parse(at(90)),
    });
    const records: Record<string, unknown>[] = [];
    for await (const record of avsc.createFileDecoder(out) as AsyncIterable<Record<string, unknown>>)
      records.push(record);
    expect(records.map((r) => [r["offset"], r["clock"], r["temperature"]])).toEqual([
      [0, Date.parse(at(0)), 0],
      [1, Date.parse(at(60)), 60],
      [2, Date.parse(at(60)), 30],
      [3, Date.parse(at(90)), 90],
    ]);
  });

  it("leaves no file behind when its input breaks", async () => {
    const out = join(folder, "broken.avro");
    await expect(
      stage(fileInput({ path: file("broken.csv", "x\n"), contract }), out, contract.schemas.observation),
    ).rejects.toMatchObject({ code: "config_invalid" });
    await expect(read(out)).rejects.toThrow(/ENOENT/);
  });
});
