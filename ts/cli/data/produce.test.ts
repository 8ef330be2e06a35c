// What `millrace produce` makes of its words, and a round of it from the command line against a server of this machine.

import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { jobTypeOf, standardOf } from "../../jobs/index.ts";
import type { Setting } from "../../jobs/plan/type.ts";
import { pipelineOf } from "../../pipelines/index.ts";
import { settingsOf } from "../../settings/settings.ts";
import { FEEDS } from "../../source/feeds/index.ts";
import * as answer from "../../test/feeds/server.ts";
import { keyOf, placesOf } from "./produce.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const { pipeline, contract } = pipelineOf("weather");

describe("places", () => {
  const open = FEEDS["open-meteo"];
  it("are words, stations of the pipeline by their key, those of the definition, or all with a place on the map", () => {
    expect(placesOf(open, contract, ["lisbon=38.72,-9.14", "boston"])).toEqual([
      { key: "lisbon", at: "38.72,-9.14" },
      { key: "boston", at: "42.358429,-71.059769" },
    ]);
    expect(placesOf(FEEDS.nws, contract, ["KNYC", "new-york=KNYC"])).toEqual([
      { key: "knyc", at: "KNYC" },
      { key: "new-york", at: "KNYC" },
    ]);
    expect(
      placesOf(FEEDS["gtfs-rt"], contract, ["https://a.example/v.pb?x=1", "b=http://b.example/v"]),
    ).toEqual([
      { key: "", at: "https://a.example/v.pb?x=1" },
      { key: "b", at: "http://b.example/v" },
    ]);
    expect(placesOf(open, contract, [], { places: { oslo: "59.9,10.7" } })).toEqual([
      { key: "oslo", at: "59.9,10.7" },
    ]);
    expect(placesOf(open, contract, [])).toHaveLength(
      Object.values(contract.stations).filter(({ latitude }) => latitude !== null).length,
    );
    expect(placesOf(FEEDS.nws, contract, [])).toEqual([]);
  });
  it("say what is missing of one that is not known", () => {
    expect(() => placesOf(open, contract, ["atlantis"])).toThrow(
      'Cannot ask feed "open-meteo" for "atlantis": expected a station of the pipeline that has a place on the map, or KEY=LATITUDE,LONGITUDE',
    );
  });
});

describe("keys", () => {
  const folder = mkdtempSync(join(tmpdir(), "keys-"));
  const secrets = join(folder, "secrets.json");
  writeFileSync(secrets, JSON.stringify({ openweathermap: "hush", other: "quiet" }));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  it("are looked up by name, never written out", () => {
    expect(keyOf(FEEDS.openweathermap, undefined, secrets)).toBe("hush");
    expect(keyOf(FEEDS.openweathermap, "secret:other", secrets)).toBe("quiet");
    expect(keyOf(FEEDS["open-meteo"], undefined, null)).toBeNull();
    expect(() => keyOf(FEEDS.openweathermap, "0123abcd", secrets)).toThrow(
      /expected "secret:NAME" .* got one that is written out/,
    );
    expect(() => keyOf(FEEDS.openweathermap, "0123abcd", secrets)).not.toThrow(/0123abcd/);
    expect(() => keyOf(FEEDS.openweathermap, undefined, null)).toThrow(
      'expected a secrets file that holds "openweathermap"',
    );
  });
});

describe("sources of a definition", () => {
  it("are jobs of their own, each kept running by a heartbeat, none of weather's by a bare submit", () => {
    const setting = { settings: settingsOf(root), pipeline, contract } as unknown as Setting;
    for (const [name, { feed }] of Object.entries(pipeline.sources ?? {})) {
      const { finite, heartbeat_ms, launch } = jobTypeOf(pipeline, name).plan(setting, {
        words: ["--every", "900"],
      });
      expect([finite, heartbeat_ms]).toEqual([false, 90_000]);
      expect(launch).toMatchObject({
        arguments: expect.arrayContaining(["produce", feed, "--source", name, "--every", "900"]),
      });
      expect(standardOf(pipeline)).not.toContain(name);
    }
    expect(Object.keys(pipeline.sources ?? {})).toEqual(["open_meteo", "nws", "openweathermap"]);
  });
});

describe("the command", { tags: ["slow"] }, () => {
  let server: answer.FeedServer;
  beforeAll(async () => {
    server = await answer.feedServer();
  });
  afterAll(() => server.close());
  const millrace = async (...words: readonly string[]) => {
    const run = promisify(execFile)(join(root, "bin", "millrace"), words, { cwd: root });
    return run.catch((error: { stdout: string; stderr: string; code: number }) => error);
  };

  it("prints what it would send, in the contract's units, and what it cannot say", async () => {
    const time = new Date(Math.floor(Date.now() / 900_000) * 900_000).toISOString();
    server.answers(
      answer.json({
        ...{ latitude: 38.75, longitude: -9.125, utc_offset_seconds: 0 },
        current_units: { temperature_2m: "°F", wind_speed_10m: "km/h" },
        current: { time: time.slice(0, 16), temperature_2m: 68, wind_speed_10m: 36 },
      }),
    );
    const { stdout, stderr } = await millrace(
      "produce",
      "open-meteo",
      "--place",
      "lisbon=38.72,-9.14",
      "--url",
      server.url,
      "--once",
      "--dry-run",
    );
    expect(JSON.parse(stdout)).toMatchObject({
      station_id: "lisbon",
      timestamp: time,
      wind_speed: 10,
      humidity: null,
    });
    expect(JSON.parse(stdout).temperature).toBeCloseTo(20, 9);
    expect(stderr.split("\n")).toEqual([
      "open-meteo: 1 place, 1 request a round, a round every 15 min: 96 of 10,000 calls a day",
      "Would send 1 observations, 0 were sent before, 0 refused; 1 requests, 0 failed",
      "",
    ]);
  });

  it("fails with what it got", async () => {
    server.answers(answer.html);
    const failed = await millrace("produce", "nws", "--place", "KNYC", "--url", server.url, "--dry-run");
    expect(failed).toMatchObject({ code: 1, stdout: "" });
    expect(failed.stderr).toContain(
      'Cannot read feed "nws": expected JSON, got a page of HTML or XML that begins "<!DOCTYPE html><html><body>Maintenance</body></html>"',
    );
    expect(failed.stderr).toContain("nws has no precipitation: null in all it sends");
  });
});
