// A pipeline of several streams: their names, which is meant where none is named, and the contract turned to each.

import { describe, expect, it } from "vitest";
import { type Contract, inStream, streamSchema, streamsOf } from "./contract.ts";
import { definePipeline, type Pipeline } from "./define.ts";
import { pipelineOf } from "./index.ts";
import { namesOf, subjectsOf, topicOf, topicsOf } from "./names.ts";
import { leadingStream, requireStream, streamsBesideWindows, usualStream } from "./streams.ts";

const { pipeline: weather, contract } = pipelineOf("weather");
const { contract: meters } = pipelineOf("meters");
const raw = weather.streams["raw"]!;
const two = definePipeline({
  name: "two",
  streams: { notices: raw, site_visits: { ...raw, partitions: 2, format: "json" } },
});
const { key, event_time, fields, duplicates, lateness_ms, lead_ms, schemas } = meters;
const said = { key, event_time, fields, duplicates, lateness_ms, lead_ms };
/** The weather's observations on one stream, the meters' on the other, in JSON. */
const both: Contract = {
  ...contract,
  pipeline: "two",
  stream: "notices",
  other_streams: { site_visits: { ...said, format: "json", observation: schemas.observation } },
};

describe("the streams of a pipeline", () => {
  it("are read by names that the definition has", () => {
    const query = {
      name: "q",
      summary: "",
      function: "a.b",
      sink: { kind: "delta" },
      trigger_ms: 1,
    } as const;
    definePipeline({ ...two, queries: [{ ...query, reads: "notices" }] });
    // @ts-expect-error: there is no such stream.
    definePipeline({ ...two, queries: [{ ...query, reads: "visits" }] });
    // @ts-expect-error: nor for an archive.
    definePipeline({ ...two, archive: { trigger_ms: 1, reads: "raw" } });
  });

  it("have one that is meant where none is named: the windows', else raw, else the only one", () => {
    const windows = weather.windows!;
    expect(usualStream(weather)).toBe("raw");
    expect(usualStream({ name: "x", streams: { notices: raw } })).toBe("notices");
    expect(usualStream({ name: "x", streams: { notices: raw, raw } })).toBe("raw");
    expect(usualStream({ ...two, windows: { ...windows, reads: "site_visits" } })).toBe("site_visits");
    expect(usualStream(two)).toBeNull();
    expect(leadingStream(two)).toBe("notices");
  });

  it("are refused by naming those there are", () => {
    expect(requireStream(two, "site_visits")).toBe("site_visits");
    expect(() => requireStream(two)).toThrow(
      'Cannot choose a stream of pipeline "two": expected one of notices, site_visits, got none; name it with --stream',
    );
    expect(() => requireStream(two, "raw")).toThrow(
      'Cannot use stream "raw" of pipeline "two": expected one of notices, site_visits',
    );
    expect(() => topicOf(namesOf(two, ""), "raw")).toThrow("expected one of notices, site_visits");
    expect(() => inStream(both, "raw")).toThrow("expected one of notices, site_visits");
  });

  it("are those that no window reads, where somebody else must say what is refused", () => {
    const windowed: Pipeline = { ...two, windows: { ...weather.windows!, reads: "notices" } };
    expect(streamsBesideWindows(two)).toEqual(["notices", "site_visits"]);
    expect(streamsBesideWindows(windowed)).toEqual(["site_visits"]);
    expect(streamsBesideWindows(weather)).toEqual([]);
  });

  it("have a topic and a subject each, all else is the pipeline's", () => {
    const names = namesOf(two, "x");
    expect(topicsOf(names).map(({ topic, partitions }) => `${topic} ${partitions}`)).toEqual([
      "x-two-notices 4",
      "x-two-site-visits 2",
      "x-two-cursors 1",
      "x-two-rejects 4",
      "x-job-progress 1",
    ]);
    const [first, second] = subjectsOf(names, both);
    expect(first).toEqual({
      what: "notices",
      subject: "x-two-notices-value",
      schema: contract.schemas.observation,
    });
    expect(second).toMatchObject({ what: "site_visits", subject: "x-two-site-visits-value" });
    expect(JSON.parse(second!.schema)).toMatchObject({ "x-avro": JSON.parse(schemas.observation) as object });
  });
});

describe("a contract turned to another stream", () => {
  const turned = inStream(both, "site_visits");
  it("says of observations what that one's are", () => {
    expect(turned).toMatchObject({ ...said, stream: "site_visits", format: "json" });
    expect(turned.schemas.observation).toBe(schemas.observation);
    expect(streamSchema(turned)).toContain('"$schema"');
    expect(turned.schemas.rejects).toBe(both.schemas.rejects);
    expect(turned.fingerprint).toBe(both.fingerprint);
  });
  it("and turned back is the same", () => {
    expect(streamsOf(turned)).toEqual(["site_visits", "notices"]);
    expect(inStream(turned, "notices")).toEqual(both);
    expect(inStream(both, "notices")).toBe(both);
  });
});
