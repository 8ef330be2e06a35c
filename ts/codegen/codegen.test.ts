// What the generator refuses, what it never mentions, and that its output is what lies in the repository.

import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { parseObservation } from "../contract/index.ts";
import type { Pipeline } from "../pipelines/define.ts";
import { CONTRACT } from "../pipelines/generated/meters.ts";
import { meters } from "../pipelines/meters/pipeline.ts";
import { works } from "../test/pipelines/works/pipeline.ts";
import { outline, sha256 } from "./derive.ts";
import { differences, write } from "./folder.ts";
import { DERIVED, functionsIn, QUERIES } from "./functions.ts";
import { GENERATED_FILES, GENERATED_FOLDERS, generate, render } from "./generate.ts";
import { FEATURE_KINDS } from "./parts/windows.ts";
import { pipelineFiles } from "./render.ts";

const root = join(import.meta.dirname, "..", "..");
const text = (path: string) => readFileSync(join(root, path), "utf8");
const METER = "schemas/avro/records/meter_observation.avsc";
const observation = parseObservation(text(METER), METER);

const functions = new Map([
  ...functionsIn(root, DERIVED),
  ["heat.flow", ["power_kW", "other_kW"]],
  ["heat.later", ["power_kW", "t_ms"]],
  ["heat.where", ["latitude"]],
]);

const known = {
  queries: new Map([...functionsIn(root, QUERIES), ["meters.two", ["one", "other"]]]),
  jobs: ["features"],
};

const folders: string[] = [];
const folder = () => {
  const made = mkdtempSync(join(tmpdir(), "codegen-"));
  folders.push(made);
  return made;
};
afterEach(() => {
  for (const made of folders.splice(0)) rmSync(made, { recursive: true });
});

describe("generate()", () => {
  it("finds every generated file fresh", () => expect(generate({ root, check: true })).toEqual([]));

  it("renders the same twice", () => expect([...render(root)]).toEqual([...render(root)]));

  it("tells what is missing, stale and left over, and mends it", () => {
    const files = new Map([
      ["a/x", "1\n"],
      ["a/b/y", "2\n"],
    ]);
    const here = folder();
    expect(write(here, files, ["a"]).map(({ kind }) => kind)).toEqual(["missing", "missing"]);
    expect(differences(here, files, ["a"])).toEqual([]);
    writeFileSync(join(here, "a/x"), "0\n");
    writeFileSync(join(here, "a/b/z"), "");
    rmSync(join(here, "a/b/y"));
    expect(differences(here, files, ["a"])).toEqual([
      { path: "a/b/y", kind: "missing" },
      { path: "a/b/z", kind: "left over" },
      { path: "a/x", kind: "stale" },
    ]);
    write(here, files, ["a"]);
    expect(differences(here, files, ["a"])).toEqual([]);
  });

  it("renders nothing outside the folders it owns but the files that lie among others", () => {
    const apart = [...render(root).keys()].filter(
      (path) => !GENERATED_FOLDERS.some((f) => path.startsWith(`${f}/`)),
    );
    expect(apart.sort()).toEqual([...GENERATED_FILES].sort());
  });

  it("finds a file among others missing or edited, and leaves its neighbours alone", () => {
    const here = folder();
    const files = new Map([["a/rendered.yaml", "x: 1\n"]]);
    expect(differences(here, files, [])).toEqual([{ path: "a/rendered.yaml", kind: "missing" }]);
    expect(write(here, files, [])).toHaveLength(1);
    writeFileSync(join(here, "a", "by-hand.sh"), "");
    expect(differences(here, files, [])).toEqual([]);
    writeFileSync(join(here, "a", "rendered.yaml"), "x: 2\n");
    expect(differences(here, files, [])).toEqual([{ path: "a/rendered.yaml", kind: "stale" }]);
    expect(write(here, files, [])).toHaveLength(1);
    expect(readFileSync(join(here, "a", "rendered.yaml"), "utf8")).toBe("x: 1\n");
  });

  it("refuses a parameter record without a job, and one record under two shapes", () => {
    const here = folder();
    for (const path of ["schemas", "ts/codegen", "ts/pipelines", DERIVED, QUERIES])
      cpSync(join(root, path), join(here, path), { recursive: true });
    const params = (name: string) => join(here, "schemas/avro/params", `${name}_params.avsc`);
    const infer = readFileSync(params("infer"), "utf8");
    writeFileSync(params("infer"), infer.replace('"name": "bootstrap"', '"name": "brokers"'));
    expect(() => render(here)).toThrow('"kafka_access"');
    writeFileSync(params("infer"), infer);
    writeFileSync(params("score"), infer);
    expect(() => render(here)).toThrow("score_params.avsc");
  });
});

describe("outline()", () => {
  it("knows these kinds of features", () =>
    expect(Object.keys(FEATURE_KINDS)).toEqual([
      "mean",
      "std",
      "min",
      "max",
      "rate",
      "sum",
      "circular_mean",
      "resultant",
    ]));

  it("keeps contract order whatever the order of the definition", () =>
    expect(
      outline({ raw: observation }, meters, functions, known).features.map(
        ({ column, unit }) => `${column} ${unit}`,
      ),
    ).toEqual([
      "phase_circular_mean deg",
      "phase_resultant 1",
      "power_mean kW",
      "power_min kW",
      "power_max kW",
      "power_rate kW/h",
      "voltage_mean V",
      "voltage_std V",
      "energy_sum kWh",
    ]));

  const but = (change: object): Pipeline => ({ ...meters, ...change });
  const windowing = (change: object) => but({ windows: { ...meters.windows, ...change } });
  const deriving = (change: object): Pipeline =>
    but({ forecast: { ...meters.forecast, derived: [{ ...meters.forecast.derived[0], ...change }] } });
  const asking = (change: object) => but({ queries: [{ ...meters.queries[1], ...change }] });
  const streaming = (streams: object, change: object = {}) =>
    but({ streams: { ...meters.streams, ...streams }, ...change });
  const KAFKA = { sink: { kind: "kafka", partitions: 1 } };
  const unknown = "median" as "mean";
  it.each<[string, Pipeline, string]>([
    ["a name with capitals", but({ name: "Meters" }), "lower-case"],
    [
      "another contract",
      but({ streams: { raw: { ...meters.streams.raw, observation: "weather_observation" } } }),
      "meter_observation",
    ],
    ["features of an unknown field", windowing({ features: { current: ["mean"] } }), "features.current"],
    ["features of the key", windowing({ features: { meter: ["mean"] } }), "a measured field"],
    ["an unknown kind", windowing({ features: { power: [unknown] } }), '"median"'],
    ["a kind named like a method", windowing({ features: { power: ["toString" as "mean"] } }), '"toString"'],
    ["the linear mean of an angle", windowing({ features: { phase: ["mean"] } }), "role circular"],
    ["the direction of a power", windowing({ features: { power: ["circular_mean"] } }), "role measurement"],
    ["a sum of voltages", windowing({ features: { voltage: ["sum"] } }), "a unit for V"],
    ["a kind twice", windowing({ features: { power: ["mean", "mean"] } }), "every kind once"],
    ["a window of uneven slides", windowing({ size_ms: 100_000 }), "windows.size_ms"],
    ["a cell of uneven slides", but({ history: { ...meters.history, cell_ms: 45_000 } }), "history.cell_ms"],
    [
      "a ring of uneven cells",
      but({ history: { ...meters.history, depth_ms: 7_230_000 } }),
      "history.depth_ms",
    ],
    [
      "a ring too short for its lags",
      but({ history: { ...meters.history, lags: [1, 8] } }),
      "reach of the lags",
    ],
    ["lags that fall", but({ history: { ...meters.history, lags: [4, 1] } }), "history.lags"],
    ["a history of no feature", but({ history: { ...meters.history, values: ["power_sum"] } }), "power_sum"],
    [
      "a target without its mean",
      but({ forecast: { ...meters.forecast, targets: ["energy"] } }),
      "energy_mean",
    ],
    [
      "a horizon of twenty minutes",
      but({ forecast: { ...meters.forecast, horizons_ms: [1_200_000] } }),
      "forecast.horizons_ms: expected rising multiples of a quarter of an hour",
    ],
    ["a horizon of now", but({ forecast: { ...meters.forecast, horizons_ms: [0] } }), "horizons_ms"],
    [
      "horizons that fall",
      but({ forecast: { ...meters.forecast, horizons_ms: [7_200_000, 3_600_000] } }),
      "horizons_ms",
    ],
    [
      "quantiles without the median",
      but({ forecast: { ...meters.forecast, quantiles: [0.1, 0.9] } }),
      "the median",
    ],
    [
      "a quantile of thousandths",
      but({ forecast: { ...meters.forecast, quantiles: [0.025, 0.5] } }),
      "hundredths",
    ],
    [
      "a widest band that is not the heads'",
      but({ forecast: { ...meters.forecast, bands: [0.5, 0.9] } }),
      "forecast.bands",
    ],
    ["bands that fall", but({ forecast: { ...meters.forecast, bands: [0.6, 0.5, 0.8] } }), "rising shares"],
    [
      "a band whose ends are thousandths",
      but({ forecast: { ...meters.forecast, bands: [0.55, 0.8] } }),
      "whole hundredths",
    ],
    ["alerts to nobody", but({ alerts: [] }), "at least one target"],
    [
      "an alert target of no name",
      but({ alerts: [{ name: "Ops!", kind: "slack", url: "secret:ops", severity: 0.5 }] }),
      "a name in lower-case letters",
    ],
    [
      "an alert target of an unknown kind",
      but({ alerts: [{ name: "ops", kind: "pager", url: "secret:ops", severity: 0.5 }] }),
      "alerts.ops.kind",
    ],
    [
      "an alert target whose URL is written out",
      but({ alerts: [{ name: "ops", kind: "slack", url: "https://hooks.example/hush", severity: 0.5 }] }),
      'got "a literal"',
    ],
    [
      "an alert target of an impossible severity",
      but({ alerts: [{ name: "ops", kind: "slack", url: "secret:ops", severity: 2 }] }),
      "alerts.ops.severity",
    ],
    [
      "an alert target of an unknown type",
      but({ alerts: [{ name: "ops", kind: "slack", url: "secret:ops", severity: 0.5, types: ["storm"] }] }),
      "alerts.ops.types",
    ],
    [
      "a step of an unknown field",
      but({ anomaly: { event: "e", steps: { x: { change: 1, within_ms: 1 } } } }),
      "steps.x",
    ],
    [
      "a step of nothing",
      but({ anomaly: { event: "e", steps: { power: { change: 0, within_ms: 1 } } } }),
      "above 0",
    ],
    ["a derived column of an unknown function", deriving({ function: "sky.moon" }), '"sky.moon"'],
    ["a derived column that is a feature", deriving({ column: "power_mean" }), "no feature"],
    [
      "a derived column twice",
      but({
        forecast: { ...meters.forecast, derived: [...meters.forecast.derived, ...meters.forecast.derived] },
      }),
      "every column once",
    ],
    [
      "a derived column of too few inputs",
      deriving({ inputs: ["latitude", "t_ms"] }),
      "latitude, longitude, t_ms",
    ],
    [
      "an unknown format",
      but({ streams: { raw: { ...meters.streams.raw, format: "xml" as "json" } } }),
      "streams.raw.format",
    ],
    ["a query of an unknown function", asking({ function: "meters.nothing" }), '"meters.nothing"'],
    ["a query of two frames", asking({ function: "meters.two" }), "a function of one frame"],
    ["a query named like a job", asking({ name: "features" }), "other than"],
    ["a query twice", but({ queries: [meters.queries[1], meters.queries[1]] }), "every name once"],
    ["a query of another stream", asking({ reads: "features" }), "reads: expected one of the streams raw"],
    ["no stream at all", but({ streams: {} }), "streams: expected at least one stream"],
    ["a stream named like a topic of its own", streaming({ rejects: meters.streams.raw }), "streams.rejects"],
    [
      "a stream named like the topic of a query",
      streaming({ peaks: meters.streams.raw }, { queries: [{ ...meters.queries[1], ...KAFKA }] }),
      "streams.peaks",
    ],
    ["a stream with a hyphen", streaming({ "a-b": meters.streams.raw }), "snake_case"],
    [
      "windows of another stream",
      windowing({ reads: "late" }),
      "windows.reads: expected one of the streams raw",
    ],
    [
      "windows of one of two streams",
      but({ streams: { one: meters.streams.raw, two: meters.streams.raw } }),
      "windows.reads: expected one of the streams one, two",
    ],
    ["an archive of another stream", but({ archive: { trigger_ms: 1, reads: "late" } }), "archive.reads"],
    [
      "an archive of what the windows do not read",
      streaming({ late: meters.streams.raw }, { archive: { trigger_ms: 1, reads: "late" } }),
      'archive.reads: expected the stream of the windows, "raw"',
    ],
    ["a query without a time", asking({ trigger_ms: undefined }), "a millisecond"],
    ["a query with two", asking({ schedule: "5 * * * *" }), "not both"],
    ["a sink that is none", asking({ sink: { kind: "csv" } }), "json_lines"],
    [
      "a run into a topic",
      but({ queries: [{ ...meters.queries[0], sink: { kind: "kafka", partitions: 1 } }] }),
      "can replace",
    ],
    [
      "a schedule by the second",
      but({ queries: [{ ...meters.queries[0], schedule: "* * * * * *" }] }),
      "five",
    ],
    [
      "a datum of no target",
      but({ anomaly: { ...meters.anomaly, datums: { voltage: [0, 1] } } }),
      "a target of power",
    ],
    [
      "a datum outside the range",
      but({ anomaly: { ...meters.anomaly, datums: { power: [0, 1e9] } } }),
      "within the field's range",
    ],
    [
      "a place in the wrong order",
      deriving({ inputs: ["longitude", "latitude", "t_ms"] }),
      "parameter latitude",
    ],
    [
      "a derived column of an unknown input",
      deriving({ function: "heat.flow", inputs: ["power_mean", "outside_mean"] }),
      "outside_mean",
    ],
    [
      "an input in another unit than the function takes",
      deriving({ function: "heat.flow", inputs: ["power_mean", "voltage_mean"] }),
      "(V) for parameter other_kW",
    ],
    [
      "a function of what is not known ahead",
      deriving({ function: "heat.later", inputs: ["power_mean", "t_ms"] }),
      "not known ahead",
    ],
    [
      "a function of the place alone",
      deriving({ function: "heat.where", inputs: ["latitude"] }),
      "columns, or else the time",
    ],
  ])("refuses %s", (_, pipeline, words) =>
    expect(() => outline({ raw: observation }, pipeline, functions, known)).toThrow(words),
  );

  const without = (...parts: (keyof Pipeline)[]): Pipeline =>
    Object.fromEntries(
      Object.entries(meters).filter(([part]) => !(parts as string[]).includes(part)),
    ) as unknown as Pipeline;
  it.each<[string, Pipeline, string[]]>([
    ["a forecast without windows", without("windows"), ['"windows"', '"history"']],
    ["a history without windows", without("windows", "forecast", "anomaly"), ['"windows"', '"history"']],
    ["a history that no forecast reads", without("forecast", "anomaly"), ['"forecast"', '"history"']],
    ["a forecast without a history", without("history"), ['"history"', '"forecast"']],
    [
      "alerts without rules",
      { ...without("anomaly"), alerts: [{ name: "ops", kind: "json", url: "secret:ops", severity: 0.5 }] },
      ['"anomaly"', '"alerts"'],
    ],
    ["rules without a forecast", without("history", "forecast"), ['"forecast"', '"anomaly"']],
  ])("refuses %s, naming both", (_, pipeline, words) => {
    for (const word of words)
      expect(() => outline({ raw: observation }, pipeline, functions, known)).toThrow(word);
  });

  it("says what is absent by emptiness, and the parts by name", () => {
    const made = outline({ raw: observation }, { name: "bare", streams: meters.streams }, functions, known);
    expect(made).toMatchObject({ parts: [], entity: "meter", window_ms: 0, ring_cells: 0, lead_ms: 600_000 });
    expect([made.features, made.history_values, made.targets, made.bands, made.steps]).toEqual([
      [],
      [],
      [],
      [],
      [],
    ]);
    expect(outline({ raw: observation }, { ...meters, entity: "home" }, functions, known).entity).toBe(
      "home",
    );
  });

  it("finds the functions of the domains with their parameters", () => {
    expect(functions.get("sky.sun_elevation_sine")).toEqual(["latitude", "longitude", "t_ms"]);
    expect(functions.get("weather.dew_point")).toEqual(["temperature_degC", "humidity_pct"]);
  });
});

describe("a pipeline without a part", () => {
  const filesOf = (parts: Partial<Pipeline>) => {
    const pipeline = { name: "bare", streams: meters.streams, ...parts };
    const layout = {
      schemas: "s",
      formats: { json: "j", proto: "p" },
      typescript: "t",
      engine: ({ name }: { name: string }) => name,
      contract: null,
    };
    return pipelineFiles(root, { pipeline, base: root, source: "x", contracts: { raw: METER } }, layout);
  };
  const paths = (parts: Partial<Pipeline>) => [...filesOf(parts).keys()].sort();

  it("gets no file of it", () => {
    expect(paths({})).toEqual([
      "j/meter_observation.json",
      "p/meter_observation.proto",
      "pyspark/bare_contract.py",
      "pyspark/bare_streams.py",
      "s/bare_rejects.avsc",
      "t/bare.ts",
    ]);
    expect(paths({ serve: meters.serve })).toEqual(paths({}));
    expect(paths({ archive: meters.archive })).toEqual([
      "j/meter_observation.json",
      "p/meter_observation.proto",
      "pyspark/bare_contract.py",
      "pyspark/bare_streams.py",
      "s/bare_rejects.avsc",
      "t/bare.ts",
    ]);
    expect(paths({ queries: meters.queries })).toEqual(
      expect.arrayContaining(["pyspark/bare_hours.py", "pyspark/bare_streams.py"]),
    );
    // The streams by name, in the one that they share.
    const members = (parts: Partial<Pipeline>) =>
      [
        ...filesOf(parts)
          .get("pyspark/bare_streams.py")!
          .matchAll(/Job\("(.*?)"/g),
      ].map(([, name]) => name);
    expect(members({})).toEqual(["bare-refuse"]);
    expect(members({ archive: meters.archive, queries: meters.queries })).toEqual([
      "bare-archive",
      "bare-peaks",
      "bare-refuse",
    ]);
    const { windows } = meters;
    expect(paths({ windows }).filter((path) => path.startsWith("ray"))).toEqual([
      "ray/bare_compact.py",
      "ray/bare_contract.py",
    ]);
    const { history, forecast, anomaly } = meters;
    expect(paths({ windows, history, forecast })).toContain("ray/bare_infer.py");
    const forecasting = paths({ windows, history, forecast });
    const judging = paths({ windows, history, forecast, anomaly });
    expect(judging.filter((path) => !forecasting.includes(path))).toEqual(["s/bare_anomalies.avsc"]);
  });

  it("has no place for a verdict in its forecasts where no rules judge", () => {
    const { windows, history, forecast, anomaly } = meters;
    const predictions = (parts: Partial<Pipeline>) =>
      filesOf({ windows, history, forecast, ...parts }).get("s/bare_predictions.avsc")!;
    const fields = (schema: string) => (JSON.parse(schema) as { fields: { name: string }[] }).fields;
    const names = (parts: Partial<Pipeline>) => fields(predictions(parts)).map(({ name }) => name);
    expect(names({ anomaly })).toContain("anomaly");
    expect(names({})).toEqual(names({ anomaly }).filter((name) => name !== "anomaly"));
    expect(predictions({})).not.toMatch(/verdict|anomaly/);
  });

  it("has no schema of it, in either language", () => {
    const schemas = (text: string) =>
      [...text.matchAll(/^ {4,8}"?(\w+)"?: '\{"type"/gm)].map(([, name]) => name);
    const own = ["observation", "rejects", "cursors", "progress"];
    const files = filesOf({ archive: meters.archive });
    expect(schemas(files.get("t/bare.ts")!)).toEqual(own);
    expect(schemas(files.get("pyspark/bare_contract.py")!)).toEqual(own);
  });
});

describe("a contract of attributes", () => {
  const folder = "ts/test/pipelines/works";
  const files = pipelineFiles(
    root,
    {
      pipeline: works,
      base: join(root, folder),
      source: "pipeline.ts",
      contracts: { raw: "works_notice.avsc" },
    },
    {
      schemas: "s",
      formats: { json: "j", proto: "p" },
      typescript: "t",
      engine: ({ name }) => name,
      contract: null,
    },
  );

  it("is typed in TypeScript, and its rules go to both languages", () => {
    const typescript = files.get("t/works.ts")!;
    for (const line of [
      "  readonly state: WorksState;",
      "  readonly blocked: boolean | null;",
      "  /** The last day. Days since 1970-01-01. */\n  readonly until: number | null;",
      '  entity: "site",',
    ])
      expect(typescript).toContain(line);
    const python = files.get("pyspark/works_contract.py")!;
    for (const line of [
      'Field("state", "attribute", None, None, None, None, Attribute("enum", True, ("planned", "open", "closed"), None, None, None)),',
      'Field("lanes", "attribute", None, None, None, None, Attribute("integer", False, None, (0, 12), None, None)),',
      'Field("until", "attribute", None, None, None, None, Attribute("date", False, None, (10957, 47481), None, None)),',
      'Field("note", "attribute", None, None, None, None, Attribute("string", False, None, None, 500, None)),',
    ])
      expect(python).toContain(line);
    expect(python).toContain('    parts=("archive",),');
  });

  it("brings what its parts bring", () =>
    expect([...files.keys()].sort()).toEqual([
      "j/works_notice.json",
      "p/works_notice.proto",
      "pyspark/works_contract.py",
      "pyspark/works_streams.py",
      "s/works_rejects.avsc",
      "t/works.ts",
    ]));

  it("has no field that a window could be made of", () => {
    const path = join(root, folder, "works_notice.avsc");
    const notice = parseObservation(readFileSync(path, "utf8"), path);
    const windows = { ...meters.windows, features: { lanes: ["mean"] as const } };
    expect(() => outline({ raw: notice }, { ...works, windows })).toThrow(
      "windows.features.lanes: expected a measured field",
    );
  });
});

describe("the hashes", () => {
  const of = (change: (contract: string) => string, pipeline: Pipeline = meters) => {
    const here = folder();
    for (const path of ["schemas", "ts/codegen", "ts/pipelines", DERIVED, QUERIES])
      cpSync(join(root, path), join(here, path), { recursive: true });
    writeFileSync(join(here, METER), change(text(METER)));
    const files = pipelineFiles(
      here,
      { pipeline, base: here, source: "x", contracts: { raw: METER } },
      {
        schemas: "s",
        formats: { json: "j", proto: "p" },
        typescript: "t",
        engine: () => "e",
        contract: null,
      },
    );
    const [, fingerprint] = /fingerprint: "([0-9a-f]{64})"/.exec(files.get("t/meters.ts")!)!;
    const [, plan_hash] = /plan_hash: "([0-9a-f]{64})"/.exec(files.get("t/meters.ts")!)!;
    return { fingerprint, plan_hash };
  };
  const { fingerprint, plan_hash } = CONTRACT;

  it("do not change with words, resources or partitions", () => {
    expect(of((c) => c.replace("One reading", "A reading"))).toEqual({ fingerprint, plan_hash });
    const busy = {
      ...meters,
      streams: { raw: { ...meters.streams.raw, partitions: 8 } },
      windows: { ...meters.windows, resources: { ...meters.windows.resources, trigger_ms: 1 } },
      forecast: { ...meters.forecast, actors: 2 },
    };
    expect(of((c) => c, busy)).toEqual({ fingerprint, plan_hash });
  });

  it.each([
    ["unit", '"unit": "V"', '"unit": "A"'],
    ["quantity", '"voltage", "unit"', '"line_voltage", "unit"'],
    ["range", "[0, 500]", "[0, 600]"],
    ["support", "[-40, null]", "[-40, 90]"],
  ])("the fingerprint changes with a %s, the plan's does not", (_, from, to) => {
    const changed = of((c) => c.replace(from, to));
    expect(changed.fingerprint).not.toBe(fingerprint);
    expect(changed.plan_hash).toBe(plan_hash);
  });

  it.each<[string, Pipeline]>([
    ["window", { ...meters, windows: { ...meters.windows, size_ms: 120_000 } }],
    [
      "aggregate",
      {
        ...meters,
        windows: { ...meters.windows, features: { ...meters.windows.features, voltage: ["mean"] } },
      },
    ],
    ["rule for repeats", { ...meters, streams: { raw: { ...meters.streams.raw, duplicates: "source" } } }],
  ])("both change with a %s", (_, pipeline) => {
    const changed = of((c) => c, pipeline);
    expect(changed.fingerprint).not.toBe(fingerprint);
    expect(changed.plan_hash).not.toBe(plan_hash);
  });

  it("only the fingerprint changes with a lag", () => {
    const changed = of((c) => c, { ...meters, history: { ...meters.history, lags: [1, 2] } });
    expect(changed.fingerprint).not.toBe(fingerprint);
    expect(changed.plan_hash).toBe(plan_hash);
  });

  it("do not depend on the order of keys", () => expect(sha256({ a: 1, b: 2 })).toBe(sha256({ b: 2, a: 1 })));
});

describe("one definition for every domain", () => {
  // Words of the first pipeline. In the code that serves all of them they would be a leak.
  const WORDS = /weather|temperature|humidity|pressure|wind_(?:speed|direction)|precipitation|station_id/i;
  // Prose may give weather as an example, code may not.
  const code = (path: string) =>
    path.endsWith(".py")
      ? text(path).replace(/"""[\s\S]*?"""|#.*$/gm, (prose) => prose.replace(/[^\n]/g, ""))
      : text(path);
  const mentions = (paths: string[]) =>
    paths.flatMap((path) =>
      code(path)
        .split("\n")
        .flatMap((line, i) => (WORDS.test(line) ? [`${path}:${i + 1} ${line.trim()}`] : [])),
    );
  const inFolder = (path: string, ending: string) =>
    readdirSync(join(root, path))
      .filter((name) => name.endsWith(ending))
      .map((name) => `${path}/${name}`);

  it("finds a planted word", () =>
    expect(mentions(["ts/pipelines/weather/pipeline.ts"]).length).toBeGreaterThan(5));

  it("the generator does not know the weather", () => {
    const own = inFolder("ts/codegen", ".ts").filter((path) => !path.endsWith(".test.ts"));
    expect(mentions([...own, ...inFolder("ts/codegen/static", ".py")])).toEqual([]);
  });

  it("Spark's and Ray's code do not know the weather", () => {
    // What a domain means is in derived/ and queries/, by name, and nowhere beside them.
    const ours = ["jobs/pyspark/spark_jobs", "jobs/ray/ray_jobs"].flatMap((path) =>
      readdirSync(join(root, path))
        .filter((room) => room !== "generated" && `${path}/${room}` !== QUERIES && !room.startsWith("__"))
        .flatMap((room) => inFolder(`${path}/${room}`, ".py")),
    );
    expect(ours).toContain("jobs/ray/ray_jobs/fold/fold.py");
    expect(mentions(ours)).toEqual([]);
    expect(mentions(inFolder(DERIVED, ".py")).length).toBeGreaterThan(0);
  });

  it("neither do the meters' files", () => {
    for (const [path, content] of render(root))
      if (/(^|\/)meters[_.]/.test(path)) expect(content, path).not.toMatch(WORDS);
  });
});
