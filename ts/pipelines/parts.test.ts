// A part that is absent brings no topic, no schema and no job; who asks for one is told which part is missing.

import { describe, expect, it } from "vitest";
import { jobsOf, standardOf } from "../jobs/index.ts";
import { schemaOf } from "./contract.ts";
import type { Pipeline } from "./define.ts";
import { pipelineOf } from "./index.ts";
import { namesOf, subjectsOf, TOPICS, topicOf, topicsOf } from "./names.ts";
import { PART_NAMES, PARTS, partsOf, requirePart } from "./parts.ts";

const { pipeline: weather, contract } = pipelineOf("weather");
const bare: Pipeline = { name: "bare", streams: weather.streams };
const windowed: Pipeline = { ...bare, windows: weather.windows! };
const topics = (pipeline: Pipeline) => topicsOf(namesOf(pipeline, "x")).map(({ what }) => what);

describe("the parts", () => {
  it("are all there in weather but for alerts, queries, which the meters have, and those of the city", () => {
    const others = ["alerts", "lines", "simulated", "queries"];
    expect(partsOf(weather)).toEqual(PART_NAMES.filter((part) => !others.includes(part)));
    expect(partsOf(pipelineOf("meters").pipeline)).toContain("queries");
    expect(partsOf(pipelineOf("city").pipeline)).toEqual(expect.arrayContaining(["lines", "simulated"]));
  });
  it("are those of the definition", () => expect(partsOf(windowed)).toEqual(["windows"]));
  it("bring every topic but those of the stream once", () => {
    const brought = PART_NAMES.flatMap((part) => PARTS[part].topics);
    expect([...brought, "cursors", "rejects", "progress"].sort()).toEqual([...TOPICS].sort());
  });
});

describe("a pipeline without a part", () => {
  it("has the topics of its own parts", () => {
    expect(topics(bare)).toEqual(["raw", "cursors", "rejects", "progress"]);
    expect(topics(windowed)).toEqual(["raw", "cursors", "features", "rejects", "progress"]);
    expect(topics(weather)).toEqual(["raw", ...TOPICS]);
  });
  it("registers no schema of another", () => {
    const subjects = subjectsOf(namesOf(bare, ""), contract).map(({ subject }) => subject);
    expect(subjects).toEqual([
      "bare-raw-value",
      "bare-cursors-value",
      "bare-rejects-value",
      "job-progress-value",
    ]);
  });
  it("has no job of it", () => {
    expect([...jobsOf(bare)].sort()).toEqual(["refuse", "replay"]);
    expect([...jobsOf(windowed)].sort()).toEqual(["backfill", "certify", "compact", "features", "replay"]);
    expect(standardOf(bare)).toEqual(["refuse"]);
    expect(standardOf(windowed)).toEqual(["features"]);
    expect(standardOf(weather)).toEqual(["features", "infer", "serve", "sink"]);
  });
  it("says what is missing to whoever asks for it", () => {
    expect(() => topicOf(namesOf(bare, ""), "features")).toThrow(
      'Cannot use topic "features" of pipeline "bare": expected a pipeline with the part "windows"',
    );
    expect(() => requirePart(bare, "forecast")).toThrow('the part "forecast"');
    const { predictions: _, ...schemas } = contract.schemas;
    expect(() => schemaOf({ pipeline: "bare", schemas }, "predictions")).toThrow(
      'schema "predictions" of pipeline "bare": expected a pipeline with the part "forecast"',
    );
  });
});
