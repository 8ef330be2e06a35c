// The order of jobs follows from what they read and write.

import { describe, expect, it } from "vitest";
import { pipelineOf } from "../../pipelines/index.ts";
import { jobsOf, jobTypeOf, standardOf, TYPES } from "../index.ts";
import { upstreamFirst } from "./order.ts";
import type { Channel } from "./type.ts";

const type = (name: string, reads: Channel[], writes: Channel[]) => ({ name, reads, writes });
const names = (...types: ReturnType<typeof type>[]) => upstreamFirst(types).map(({ name }) => name);

describe("upstreamFirst()", () => {
  it("puts writers before their readers, whatever their names", () => {
    expect(names(type("a", ["features"], ["predictions"]), type("b", ["raw"], ["features"]))).toEqual([
      "b",
      "a",
    ]);
  });
  it("goes by name where nothing else orders", () => {
    expect(names(type("b", [], []), type("a", [], []))).toEqual(["a", "b"]);
  });
  it("is not ordered by what a job writes and reads itself", () => {
    expect(names(type("seed", [], ["history"]), type("infer", ["history"], ["history"]))).toEqual([
      "infer",
      "seed",
    ]);
  });
  it("ends for jobs that read each other in a circle", () => {
    expect(names(type("b", ["raw"], ["features"]), type("a", ["features"], ["raw"]))).toEqual(["a", "b"]);
  });
});

describe("the jobs there are", () => {
  const weather = pipelineOf("weather").pipeline;
  it("are started writers first", () =>
    expect(standardOf(weather)).toEqual(["features", "infer", "serve", "sink"]));
  it("get to know a new schema readers first", () =>
    expect(
      jobsOf(weather)
        .toReversed()
        .filter((job) => jobTypeOf(weather, job).kind === "stream"),
    ).toEqual(["infer", "features", "archive"]));
  it("are all in the table, each once", () => expect(new Set(TYPES).size).toBe(TYPES.length));
});
