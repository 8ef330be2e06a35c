// What a demo starts and says follows from the definition: its parts, its sample, its closing lines.

import { describe, expect, it } from "vitest";
import { pipelineOf } from "../../pipelines/index.ts";
import { settingsOf } from "../../settings/settings.ts";
import { works } from "../../test/pipelines/works/pipeline.ts";
import { closing, demoStreams, optionalOf, shownOf } from "./demo.ts";

const settings = settingsOf("/repo");

describe("a demo", () => {
  it("is of a pipeline that has one; the others are named", () => {
    expect(shownOf("weather").demo.show).toBe("new-york");
    expect(() => shownOf("meters")).toThrow(
      'Cannot show pipeline "meters": expected one whose definition has a demo (city, weather), it has none',
    );
  });

  it("starts what a bare submit would, and every stream there is where that leaves nothing but rejects", () => {
    expect([...demoStreams(pipelineOf("meters").pipeline)].sort()).toEqual([
      "features",
      "hours",
      "infer",
      "peaks",
      "serve",
      "sink",
    ]);
    expect([...demoStreams(works)].sort()).toEqual(["archive", "refuse"]);
  });

  it("of values that are made up starts the engines they are kept on", () => {
    expect(optionalOf(settings, shownOf("city"))).toEqual(["hdfs"]);
    expect(optionalOf(settings, shownOf("weather"))).toEqual([]);
    const elsewhere = { lines: { place: "hdfs://namenode:8020/weather", prefix: "w", batch_records: 1 } };
    const { pipeline } = shownOf("city");
    expect(optionalOf(settings, { pipeline: { ...pipeline, ...elsewhere } })).toEqual([]);
  });

  it("ends with where to look", () => {
    const lines = closing(settings, shownOf("weather"), "http://h:1", "/predictions/new-york");
    expect(lines.map((line) => line.split(" ")[0])).toEqual(["API", "Spark", "Ray", "MLflow", "", "curl"]);
    expect(lines[3]).toContain("New York and 46 more stations");
    const demo = {
      sample: "a.csv",
      from_ms: null,
      speed: 1,
      closing: ["millrace tail raw --pipeline works"],
    };
    const { contract } = pipelineOf("weather");
    const shown = { pipeline: works, contract: { ...contract, stations: {} }, folder: "/mine", demo };
    expect(closing(settings, shown, null, null)).toEqual([
      `Spark     ${settings.sparkUiUrl}`,
      "",
      "millrace tail raw --pipeline works",
    ]);
  });
});
