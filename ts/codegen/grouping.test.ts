// Windows by an attribute: what may name a group, what is refused beside it, and what it changes: only what is of windows.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { breaches, parseObservation } from "../contract/index.ts";
import { entityKey } from "../pipelines/contract.ts";
import type { Pipeline } from "../pipelines/define.ts";
import { CONTRACT } from "../test/pipelines/generated/trams.ts";
import { trams } from "../test/pipelines/trams/pipeline.ts";
import { outline } from "./derive.ts";
import { LAYOUT, pipelineFiles } from "./render.ts";

const root = join(import.meta.dirname, "..", "..");
const folder = join(root, "ts/test/pipelines/trams");
const text = readFileSync(join(folder, "tram_report.avsc"), "utf8");
const report = JSON.parse(text) as { fields: { name: string }[] };

/** The contract with its line as another field says. */
const withLine = (line: object) => {
  const fields = report.fields.map((field) => (field.name === "line" ? { ...field, ...line } : field));
  return parseObservation(JSON.stringify({ ...report, fields }), "tram_report.avsc");
};
const none = { max_length: undefined, pattern: undefined };
const { windows, forecast } = trams;
const made = (pipeline: Pipeline, line: object = {}) => outline({ raw: withLine(line) }, pipeline);
const by = (name: string): Pipeline => ({ ...trams, windows: { ...windows, by: name } });
const { by: _, ...ungrouped } = windows;
const keyed: Pipeline = { ...trams, windows: ungrouped };

/** The sealed contract, as the generator writes it. */
const sealed = (pipeline: Pipeline) => {
  const definition = {
    pipeline,
    base: folder,
    source: "pipeline.ts",
    contracts: { raw: "tram_report.avsc" },
  };
  const written = pipelineFiles(root, definition, LAYOUT).get(`${LAYOUT.typescript}/trams.ts`)!;
  const hash = (name: string) => new RegExp(`${name}: "(\\w+)"`).exec(written)![1];
  return { plan_hash: hash("plan_hash"), fingerprint: hash("fingerprint") };
};

const names = (schema: string) =>
  (JSON.parse(schema) as { fields: { name: string }[] }).fields.map(({ name }) => name);

describe("windows by an attribute", () => {
  it("may be of a word of a list and of a whole number, and are called by the attribute", () => {
    const word = { ...none, type: { type: "enum", name: "tram_line", symbols: ["red", "blue"] } };
    for (const line of [{}, word, { ...none, type: "int" }, { ...none, type: "long", range: [1, 99] }])
      expect(made(trams, line)).toMatchObject({ key: "tram", by: "line", raw_partitions: 3, entity: "line" });
    expect(made({ ...trams, entity: "route" }).entity).toBe("route");
    expect(entityKey(CONTRACT)).toBe("line");
    expect(entityKey(made(keyed))).toBe("tram");
  });

  const date = { type: "int", logicalType: "date" };
  it.each<[string, Pipeline, object, string]>([
    ["the key", by("tram"), {}, 'windows.by: expected an attribute of "tram_report", line, platform'],
    ["a measurement", by("delay"), {}, "windows.by: expected an attribute of"],
    ["nothing that there is", by("route"), {}, 'got "route"'],
    ["yes or no", trams, { ...none, type: "boolean" }, 'string, enum, integer, got {"line":"boolean"}'],
    ["a day", trams, { ...none, type: date }, 'string, enum, integer, got {"line":"date"}'],
    ["what may be null", by("platform"), {}, "may not be null, so that every record has its windows"],
    ["text that may be empty", trams, { pattern: "[A-Z]*" }, "a pattern that no empty text matches"],
    ["any text", trams, { pattern: undefined }, "a pattern that no empty text matches"],
    ["text that is no name", trams, { max_length: 501 }, "a max_length of at most 500"],
  ])("are not by %s", (_, pipeline, line, words) => expect(() => made(pipeline, line)).toThrow(words));

  const station = { name: "Depot", latitude: 47, longitude: 8, elevation_m: null };
  const around = { per_sector: 1, reach_km: 10, lags: [] };
  it.each<[string, Pipeline, string]>([
    ["places of keys", { ...trams, stations: { t1: station } }, 'no part "stations" beside it'],
    [
      "neighbours",
      { ...trams, forecast: { ...forecast, neighbours: around } },
      'no "forecast.neighbours" beside it',
    ],
    [
      "a stream of many partitions",
      { ...trams, streams: { raw: { ...trams.streams.raw, partitions: 33 } } },
      "at most 32 partitions",
    ],
  ])("refuse %s beside them, naming both", (_, pipeline, words) => {
    expect(() => made(pipeline)).toThrow(words);
    expect(() => made(pipeline)).toThrow("windows.by");
    expect(() => made({ ...pipeline, windows: ungrouped })).not.toThrow();
  });

  it("are another plan, and so are other partitions, of which windows by the key know nothing", () => {
    const wider = (pipeline: Pipeline): Pipeline => ({
      ...pipeline,
      streams: { raw: { ...trams.streams.raw, partitions: 4 } },
    });
    expect(sealed(trams).plan_hash).toBe(CONTRACT.plan_hash);
    expect(sealed(trams).plan_hash).not.toBe(sealed(keyed).plan_hash);
    expect(sealed(wider(trams)).plan_hash).not.toBe(CONTRACT.plan_hash);
    expect(sealed(wider(keyed))).toEqual(sealed(keyed));
  });

  it("name their value and every partition in what comes of them, and leave the stream's records alone", () => {
    const { schemas } = CONTRACT;
    expect(names(schemas.features).slice(0, 8)).toEqual([
      "line",
      "window_start",
      "window_end",
      "plan_epoch",
      "revision",
      "grouped_by",
      "raw_ranges",
      "measurement_count",
    ]);
    for (const what of ["history", "predictions", "verifications"] as const) {
      expect(names(schemas[what])).toContain("line");
      expect(names(schemas[what])).not.toContain("tram");
    }
    expect(schemas.predictions).toContain('"name":"grouped_by"');
    expect(schemas.predictions).toContain('"name":"raw_ranges"');
    expect(schemas.predictions).not.toContain('"name":"raw_partition"');
    const rejects = names(schemas.rejects);
    expect(rejects.slice(0, 7)).toContain("tram");
    expect(rejects.at(-1)).toBe("line");
  });

  it("cannot take the place of windows by the key in a topic that has some", () => {
    const own = outline({ raw: withLine({}) }, keyed);
    expect(own.by).toBeUndefined();
    const definition = { pipeline: keyed, base: folder, source: "p", contracts: { raw: "tram_report.avsc" } };
    const features = pipelineFiles(root, definition, LAYOUT).get(`${LAYOUT.schemas}/trams_features.avsc`)!;
    expect(breaches(features, CONTRACT.schemas.features)).not.toEqual([]);
  });
});
