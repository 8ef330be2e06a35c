import { createWriteStream, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
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
const avro = async (name: string, schema: avsc.Schema, records: readonly object[]): Promise<string> => {
  const path = join(folder, name);
  await pipeline(Readable.from(records), new avsc.streams.BlockEncoder(schema), createWriteStream(path));
  return path;
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
      `a,${at(2)},1,2,3,4,5,6`,
      `a,${at(5)},"1"x,2,3,4,5,6`,
      `c,${at(6)},1,2,3,4,5,6`,
    ].join("\r\n");
    const { rows, bad } = await read(file("bad.csv", text));
    expect(rows.map((r) => [r.key, r.record["temperature"]])).toEqual([
      ["a", 1],
      ["a", null],
      ['b "quoted"', null],
      ["a", null],
      ["c", 1],
    ]);
    expect(bad).toEqual([
      'f:3 column "temperature": expected a number or nothing, got "warm"',
      'f:4 column "station_id": expected a name, got nothing',
      "f:5: expected 8 cells, got 3",
      `f:8 column "timestamp": expected rows in time order, got ${at(2)} after ${at(4)}`,
      'f:9 column "temperature": expected a number or nothing, got ""1"x"',
    ]);
  });

  it.each([
    ["", "an empty file"],
    ["station,timestamp\n", '"station"'],
    ["station_id,temperature\n", 'none called "timestamp"'],
    ["station_id,timestamp,timestamp\n", '"timestamp" twice'],
    ["station_id,timestamp,temperature,temperature\na,1,1,1\n", '"temperature" twice'],
    ["Station_ID,timestamp,temperature\na,1,1\n", '"Station_ID"'],
    ["station_id,timestamp,temperature,dew_point\na,1,1,1\n", '"dew_point"'],
    ["station_id,timestamp,,temperature\na,1,,1\n", '""'],
    ["station_id,timestamp\na,1\n", "none of temperature, humidity"],
    ['station_id,"timestamp,temperature\na,1,1\na,2,2\n', "a quote to be closed"],
    ['"station_id,timestamp,temperature\n', "a quote to be closed"],
    ['station_id,timestamp,temperature"\na,1,1\n', '"temperature""'],
  ])("refuses a header like %j", async (text, seen) => {
    await expect(read(file("header.csv", text))).rejects.toThrow(seen);
  });

  it("does not read a file into memory because of one open quote", async () => {
    const lines = [HEADER, `a,${at(0)},"${"x".repeat(2 << 20)}`, `a,${at(1)},1,,,,,`];
    const { rows, bad } = await read(file("quote.csv", lines.join("\n")));
    expect(rows.map((r) => r.time)).toEqual([Date.parse(at(1))]);
    expect(bad).toEqual(["f:2: expected at most 65536 characters in a line"]);
  });

  const DAY = 1_440;
  const day = (line: (i: number) => string): string[] => [
    "station_id,timestamp,temperature",
    ...Array.from({ length: DAY }, (_, i) => line(i)),
  ];
  const row = (i: number): string => `alpha,${at(60 * i)},${i}.5`;

  it.each([
    ["before the name", (i: number) => (i === 5 ? `"${row(i)}` : row(i)), 1],
    ["before the time", (i: number) => (i === 5 ? row(i).replace(",", ',"') : row(i)), 1],
    ["before the value", (i: number) => (i === 5 ? row(i).replace(/,(?=\d+\.)/, ',"') : row(i)), 1],
    ["in two places", (i: number) => (i === 5 || i === 700 ? row(i).replace(/,(?=\d+\.)/, ',"') : row(i)), 2],
    ["in two rows that follow each other", (i: number) => (i === 5 || i === 6 ? `"${row(i)}` : row(i)), 2],
    ["in the last row", (i: number) => (i === DAY - 1 ? `"${row(i)}` : row(i)), 1],
    ["in the first row", (i: number) => (i === 0 ? `"${row(i)}` : row(i)), 1],
    ["in a row that is cut off", (i: number) => (i === 5 ? '"alpha,2017' : row(i)), 1],
    ["in every tenth row", (i: number) => (i % 10 === 0 ? `"${row(i)}` : row(i)), DAY / 10],
    ["in every row but the last", (i: number) => (i < DAY - 1 ? `"${row(i)}` : row(i)), DAY - 1],
    [
      "where it closes another row's",
      (i: number) => (i === 5 ? `"${row(i)}` : i === 8 ? `be"ta",${row(i)}` : row(i)),
      2,
    ],
  ])("loses the rows with an open quote %s, and counts as many", async (_, line, lost) => {
    for (const gz of [false, true]) {
      const text = day(line).join("\n");
      const { rows, bad } = await read(file(gz ? "stray.csv.gz" : "stray.csv", gz ? gzipSync(text) : text));
      expect([rows.length, bad.length]).toEqual([DAY - lost, lost]);
      expect(new Set(rows.map((r) => r.key))).toEqual(new Set(["alpha"]));
    }
  });

  it("takes a cell of several lines, and not of many", async () => {
    const named = (lines: number) => `"${Array(lines).fill("x").join("\n")}",${at(0)},1`;
    const text = (lines: number) => ["station_id,timestamp,temperature", named(lines), row(1)].join("\n");
    expect((await read(file("few.csv", text(8)))).rows.map((r) => r.key)).toEqual([
      Array(8).fill("x").join("\n"),
      "alpha",
    ]);
    const { rows, bad } = await read(file("many.csv", text(9)));
    expect([rows.at(-1)!.key, rows.length + bad.length]).toEqual(["alpha", 10]);
  });

  it.each([
    [
      "station_id",
      ["station_id,timestamp,temperature", ...[0, 1, 2, 3, 4].map((i) => `alpha,${at(i)},${i}`)],
    ],
    ["timestamp", ["timestamp,temperature,station_id", ...[0, 1, 2, 3, 4].map((i) => `${at(i)},${i},alpha`)]],
  ])("reads lines that end in LF, CRLF and CR in any order, with %s first", async (_, lines) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom("\n", "\r\n", "\r"), { minLength: lines.length, maxLength: lines.length }),
        fc.boolean(),
        async (ends, ended) => {
          const text = lines.map((line, i) => line + (i < lines.length - 1 || ended ? ends[i] : "")).join("");
          const { rows, bad } = await read(file("ends.csv", text));
          expect(bad).toEqual([]);
          expect(rows.map((r) => [r.key, r.record["temperature"]])).toEqual(
            [0, 1, 2, 3, 4].map((i) => ["alpha", i]),
          );
        },
      ),
      { numRuns: 60 },
    );
  });

  it("passes over what a spreadsheet leaves: commas behind the last column, rows of commas, blank lines", async () => {
    const lines = [
      "station_id,timestamp,temperature,,",
      `a,${at(0)},1,,`,
      `a,${at(1)},2`,
      `a,${at(2)},3, `,
      ",,,,",
      "",
      `a,${at(3)},4,,5`,
    ];
    const { rows, bad } = await read(file("commas.csv", lines.join("\n")));
    expect(rows.map((r) => r.record["temperature"])).toEqual([1, 2, 3]);
    expect(bad).toEqual(["f:7: expected 3 cells, got 5"]);
  });

  it("reads UTF-16 with its mark", async () => {
    const text = `\uFEFFstation_id,timestamp,temperature\r\nZürich,${at(0)},1\r\n`;
    expect((await read(file("utf16.csv", Buffer.from(text, "utf16le")))).rows[0]!.key).toBe("Zürich");
  });

  it.each([
    ["an empty file", "x.jsonl", "", "got none"],
    ["a header alone", "x.csv", `${HEADER}\n`, "got none"],
    ["rows that are all too short", "x.csv", `${HEADER}\na,1\na,2\n`, "got none (2 bad rows, 0 bad cells)"],
    [
      "rows without a time",
      "x.jsonl",
      '{"station_id":"a","temperature":1}\n',
      "got none (1 bad rows, 0 bad cells)",
    ],
    [
      "fields of other names",
      "x.jsonl",
      '{"station_id":"a","timestamp":1,"temp":1}\n',
      "got none (1 bad rows, 0 bad cells)",
    ],
    [
      "values that are all no numbers",
      "x.csv",
      'station_id,timestamp,temperature\na,1,"1,5"\n',
      "got rows without a value (0 bad rows, 1 bad cells)",
    ],
    ["other text", "x.jsonl", "hello\nworld\n", "got none (2 bad rows, 0 bad cells)"],
  ])("refuses %s: nothing can be used", async (_, name, text, got) => {
    await expect(read(file(name, text))).rejects.toMatchObject({
      code: "config_invalid",
      message: expect.stringContaining(got),
    });
  });

  it("says that a range holds nothing, and leaves rows alone that never had a value", async () => {
    const path = file("empty.csv", `${HEADER}\na,${at(0)},,,,,,\n`);
    expect((await read(path)).rows).toHaveLength(1);
    await expect(read(path, { from_ms: Date.parse(at(1)) })).rejects.toThrow(
      "observations in the range, got none",
    );
  });

  it("tells bad cells once each, however often it is read, and takes words for nothing", async () => {
    const path = file("words.csv", `${HEADER}\na,${at(0)},M,NA,1000,,,T\n`);
    const bad: BadRow[] = [];
    const input = fileInput({ path, contract, onBad: (b) => bad.push(b) });
    for (let pass = 0; pass < 2; pass++) for await (const _ of input.rows());
    expect(bad.map(({ lost, column }) => [lost, column])).toEqual(
      ["temperature", "humidity", "precipitation"].map((c) => ["cell", c]),
    );
    expect((await read(path, { nulls: ["NA", "m", "precipitation=T"] })).bad).toEqual([]);
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
    const name = fc.string({ minLength: 1 }).filter((s) => s.isWellFormed() && s.trim() !== "");
    const row = fc.tuple(
      name,
      fc.integer({ min: 0, max: 1e12 }),
      fc.option(fc.double({ noNaN: true, noDefaultInfinity: true }).map((v) => v + 0)),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 30 }), fc.boolean(), async (rows, gz) => {
        const sorted = rows
          .filter(
            ([key, time], i) => rows.findIndex((r) => r[0].trim() === key.trim() && r[1] === time) === i,
          )
          .toSorted((a, b) => a[1] - b[1]);
        const quoted = (s: string): string => `"${s.replaceAll('"', '""')}"`;
        const text = ["station_id,timestamp,temperature"]
          .concat(sorted.map(([key, time, value]) => `${quoted(key)},${time},${value ?? ""}`))
          .join("\n");
        const path = file("any.csv", gz ? gzipSync(text) : text);
        const seen = await read(path);
        expect(seen.bad).toEqual([]);
        expect(seen.rows.map((r) => [r.key, r.time, r.record["temperature"]])).toEqual(
          sorted.map(([key, time, value]) => [key.trim(), time, value]),
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

  it("reads JSON Lines of any line ends, with a mark, with quotes that stay open and words that are no JSON", async () => {
    const text =
      `\uFEFF{"station_id":"a ","timestamp":${Date.parse(at(0))},"temperature":NaN,"humidity":50}\r` +
      `{"station_id":"a,"timestamp":${Date.parse(at(1))}}\r\n` +
      `{"station_id":"NaN","timestamp":"${at(2)}","temperature":-Infinity,"humidity":"n/a"}\n` +
      `{"station_id":"a","timestamp":"","humidity":1}`;
    const { rows, bad } = await read(file("dirty.jsonl", text));
    expect(rows.map((r) => [r.key, r.record["temperature"], r.record["humidity"]])).toEqual([
      ["a", null, 50],
      ["NaN", null, null],
    ]);
    expect(bad).toEqual([
      'f:1 column "temperature": expected a number or nothing, got "NaN"',
      "f:2: expected JSON",
      'f:3 column "temperature": expected a number or nothing, got "-Infinity"',
      'f:3 column "humidity": expected a number or nothing, got "n/a"',
      'f:4 column "timestamp": expected a time, got nothing',
    ]);
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
    const absent = Object.fromEntries(contract.fields.map(({ name }) => [name, null]));
    const records = Array.from({ length: 999 }, (_, i) => ({ ...absent, station_id: "a", timestamp: i }));
    const path = await avro("whole.avro", JSON.parse(contract.schemas.observation), records);
    const whole = readFileSync(path);
    expect((await read(path)).rows).toHaveLength(999);
    await expect(read(file("cut.avro", whole.subarray(0, whole.length - 20)))).rejects.toThrow(/container/);
  });

  it("converts a container by the units of its own schema, and hears no other", async () => {
    const fields = [
      { name: "station_id", type: "string" },
      { name: "timestamp", type: { type: "long", logicalType: "timestamp-millis" } },
      ...[
        ["temperature", "degF"],
        ["wind_speed", "knots"],
        ["pressure", "inHg"],
        ["humidity", "1"],
      ].map(([name, unit]) => ({ name, type: ["null", "double"], default: null, unit })),
    ];
    const record = {
      station_id: "a",
      timestamp: 5,
      temperature: 50,
      wind_speed: 36,
      pressure: 29.92,
      humidity: 0.61,
    };
    const write = (name: string, given: object[]) =>
      avro(name, { type: "record", name: "other", fields: given } as avsc.Schema, [record]);
    const path = await write("units.avro", fields);
    const seen = (await read(path)).rows[0]!.record;
    expect(seen["temperature"]).toBeCloseTo(10, 6);
    expect(seen["wind_speed"]).toBeCloseTo(18.52, 6);
    expect(seen["pressure"]).toBeCloseTo(1013.21, 2);
    expect(seen["humidity"]).toBeCloseTo(61, 6);
    expect(
      (await read(path, { units: { temperature: "fahrenheit" }, nulls: ["50"] })).rows[0]!.record[
        "temperature"
      ],
    ).toBeNull();
    await expect(read(path, { units: { temperature: "K" } })).rejects.toThrow(
      /"temperature" in K, .* got degF/,
    );
    const odd = fields.map((field) => (field.name === "pressure" ? { ...field, unit: "furlong" } : field));
    await expect(read(await write("odd.avro", odd))).rejects.toThrow(/"pressure".*"furlong"/);
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

describe("fileInput() of gzip", () => {
  const part = (from: number) =>
    gzipSync(`${from === 0 ? `${HEADER}\n` : ""}a,${at(from)},1,,,,,\na,${at(from + 1)},1,,,,,\n`);

  it("reads every member, and takes zeros behind the last one for padding", async () => {
    const whole = Buffer.concat([part(0), part(2), Buffer.alloc(512)]);
    expect((await read(file("padded.csv.gz", whole))).rows).toHaveLength(4);
  });

  it.each([
    ["zeros", Buffer.alloc(512)],
    ["another byte", Buffer.from("x")],
  ])(
    "refuses a file whose second member is behind %s: what follows would be lost unseen",
    async (_, between) => {
      const torn = file("torn.csv.gz", Buffer.concat([part(0), between, part(2)]));
      await expect(read(torn)).rejects.toMatchObject({ code: "config_invalid" });
    },
  );
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
      of(path, { nulls: ["NA"] }),
    ]);
    expect(new Set([one, ...others]).size).toBe(7);
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
