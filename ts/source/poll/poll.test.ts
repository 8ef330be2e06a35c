// The poll loop against a server that fails in every way, with a clock that is moved by hand: what is sent, once, and what the user
// sees of each failure (the message of a heartbeat, the lines of the log).

import { readFileSync } from "node:fs";
import { join } from "node:path";
import bindings from "gtfs-realtime-bindings";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Decoder, parseObservation } from "../../contract/index.ts";
import { jumpingClock } from "../../ground/clock.ts";
import { get } from "../../ground/get.ts";
import { readAll } from "../../kafka/kafka.ts";
import { type FeedName, pipelineOf } from "../../pipelines/index.ts";
import type { FakeKafka } from "../../test/fakes/kafka.ts";
import * as answer from "../../test/feeds/server.ts";
import { memoryKafka, memoryTarget } from "../../test/target.ts";
import type { Place } from "../feeds/feed.ts";
import { FEEDS } from "../feeds/index.ts";
import type { SourceContract } from "../formats/cells.ts";
import { readCursor } from "../send/cursor.ts";
import { type Delivery, intoKafka, intoNothing } from "./deliver.ts";
import { planOf } from "./plan.ts";
import { Poll, type PollState } from "./poll.ts";
import { START, standpointOf, tokenOf } from "./token.ts";

const { FeedMessage } = bindings.transit_realtime;
const { contract } = pipelineOf("weather");
const vehicles: SourceContract = parseObservation(
  readFileSync(join(import.meta.dirname, "..", "..", "test", "feeds", "vehicle_position.avsc"), "utf8"),
  "vehicle_position",
);
const NOON = Date.parse("2026-06-01T12:00:00Z");
const MIN = 60_000;
const HOUR = 60 * MIN;

let server: answer.FeedServer;
let kafka: FakeKafka;
beforeAll(async () => {
  server = await answer.feedServer();
});
afterAll(() => server.close());
beforeEach(async () => {
  server.answers(answer.status(500));
  server.requests.length = 0;
  kafka = await memoryKafka();
});

const LISBON: Place = { key: "lisbon", at: "38.72,-9.14" };
const OSLO: Place = { key: "oslo", at: "59.91,10.75" };

/** Open-Meteo's answer for one place. */
const meteo = (time_ms: number, temperature: number | null = 21.4, place = LISBON) => ({
  ...{
    latitude: Number(place.at.split(",")[0]),
    longitude: Number(place.at.split(",")[1]),
    utc_offset_seconds: 0,
  },
  current_units: { time: "iso8601", interval: "seconds", temperature_2m: "°C", wind_speed_10m: "km/h" },
  current: {
    time: new Date(time_ms).toISOString().slice(0, 16),
    interval: 900,
    temperature_2m: temperature,
    wind_speed_10m: 18,
  },
});

/** An answer of NWS for a station. */
const stations = (code: string, ...times: readonly number[]) => ({
  type: "FeatureCollection",
  features: times.map((time_ms) => ({
    type: "Feature",
    properties: {
      station: `https://api.weather.gov/stations/${code}`,
      timestamp: new Date(time_ms).toISOString(),
      temperature: { unitCode: "wmoUnit:degC", value: 20, qualityControl: "V" },
    },
  })),
});

const owm = (time_ms: number, lat: number, lon: number) => ({
  ...{
    coord: { lat, lon },
    main: { temp: 293.15, humidity: 60, pressure: 1015 },
    dt: time_ms / 1000,
    cod: 200,
  },
});

interface Run {
  readonly feed?: FeedName;
  readonly places?: readonly Place[];
  readonly for_ms: number;
  readonly from_ms?: number;
  readonly every_ms?: number;
  readonly key?: string;
  readonly random?: () => number;
  readonly limit_ms?: number;
  readonly delivery?: Delivery;
  readonly of?: SourceContract;
  /** Called before each wait with the time it is. */
  readonly onWait?: (now_ms: number) => void;
}

interface Ran extends PollState {
  readonly log: readonly string[];
  readonly states: readonly { readonly at: number; readonly message: string | null }[];
}

/** The simulated time of the run under way, for answers. */
let now: () => number = () => NOON;

/** Polls for a span of simulated time. */
async function run({
  feed: name = "open-meteo",
  places = [LISBON],
  for_ms,
  from_ms = NOON,
  ...more
}: Run): Promise<Ran> {
  const feed = FEEDS[name];
  const stop = new AbortController();
  const clock = jumpingClock(from_ms);
  now = clock.nowMs;
  const states: { at: number; message: string | null }[] = [];
  const log: string[] = [];
  const plan = planOf(feed, { places, every_ms: more.every_ms ?? null, origin: server.url });
  const delivery = more.delivery ?? intoKafka(memoryTarget(kafka, "live-0"), { clock });
  const poll: Poll = new Poll(
    {
      ...{
        feed,
        plan,
        contract: more.of ?? contract,
        span_ms: 150_000,
        lateness_ms: 600_000,
        key: more.key ?? null,
      },
      ...{ agent: "millrace/test (nobody)", limit_ms: more.limit_ms ?? 2_000 },
    },
    {
      ...{ get, delivery, random: more.random ?? (() => 0), signal: stop.signal },
      log: (line) => log.push(line),
      clock: {
        nowMs: clock.nowMs,
        async until(time_ms, signal) {
          states.push({ at: clock.nowMs(), message: poll.state().message });
          more.onWait?.(clock.nowMs());
          if (time_ms > from_ms + for_ms) {
            await clock.until(from_ms + for_ms);
            stop.abort();
          } else await clock.until(time_ms, signal);
        },
      },
    },
  );
  await poll.run();
  return { ...poll.state(), log, states };
}

/** What came into the topic: key and time, in order. */
async function sent(): Promise<string[]> {
  const decoder = new Decoder<{ station_id: string; timestamp: number }>(
    null,
    async () => contract.schemas.observation,
  );
  const rows: string[] = [];
  for (const { value } of await readAll(kafka, "raw")) {
    const decoded = await decoder.decode(value);
    if (decoded.ok)
      rows.push(
        `${decoded.record.station_id} ${new Date(decoded.record.timestamp).toISOString().slice(11, 16)}`,
      );
  }
  return rows.sort();
}

const standpoint = async () => standpointOf((await readCursor(memoryTarget(kafka), "live-0"))!.token);

describe("a feed that works", () => {
  it("sends each observation once, with its cursor, over any number of starts", async () => {
    const at = (now_ms: number) =>
      server.answers(answer.json(meteo(Math.floor(now_ms / (15 * MIN)) * 15 * MIN)));
    at(NOON);
    await run({ for_ms: 50 * MIN, onWait: (now_ms) => at(now_ms + 15 * MIN) });
    const first = await sent();
    expect(first).toEqual(["lisbon 12:00", "lisbon 12:15", "lisbon 12:30", "lisbon 12:45"]);
    at(NOON + 45 * MIN);
    const again = await run({ from_ms: NOON + 52 * MIN, for_ms: 5 * MIN });
    expect(await sent()).toEqual(first);
    expect([again.message, again.counters["repeats"], again.counters["rows"]]).toEqual([null, 1, 0]);
    expect((await standpoint()).sent).toEqual(new Map([["lisbon", NOON + 45 * MIN]]));
  });

  it("converts to the contract's unit, keeps null, and says who asks", async () => {
    server.answers(answer.gzip(meteo(NOON, null)));
    const rows: unknown[] = [];
    await run({
      for_ms: MIN,
      delivery: intoNothing((list) => rows.push(...list.map(({ record }) => record))),
    });
    expect(rows).toEqual([
      {
        station_id: "lisbon",
        timestamp: NOON,
        temperature: null,
        wind_speed: 5,
        ...{ humidity: null, pressure: null, wind_direction: null, precipitation: null },
      },
    ]);
    expect(server.requests[0]!.headers["user-agent"]).toBe("millrace/test (nobody)");
  });

  it("commits nothing twice when the broker's answer to a commit is lost", async () => {
    server.answers(answer.json(meteo(NOON)));
    kafka.failNext("commit-lost");
    await run({ for_ms: MIN });
    kafka.failNext("commit-lost");
    await run({ for_ms: MIN, from_ms: NOON + 5 * MIN });
    expect(await sent()).toEqual(["lisbon 12:00"]);
  });

  it("goes out in the order of time, no transaction over more of it than it may", async () => {
    const commits: number[][] = [];
    server.answers(
      answer.json(stations("KAAA", NOON - 5 * MIN, NOON - 65 * MIN)),
      answer.json(stations("KBBB", NOON - 6 * MIN, NOON - 66 * MIN)),
    );
    await run({
      feed: "nws",
      places: [
        { key: "a", at: "KAAA" },
        { key: "b", at: "KBBB" },
      ],
      for_ms: MIN / 2,
      delivery: intoNothing((list) => commits.push(list.map(({ time }) => (time - NOON) / MIN))),
    });
    expect(commits.filter((list) => list.length > 0)).toEqual([
      [-66, -65],
      [-6, -5],
    ]);
  });
});

describe("what is not modified", () => {
  it("is asked for with what the server said of it, costs nothing and is no failure", async () => {
    server.answers(answer.versioned('"v1"', meteo(NOON)));
    const { message, counters } = await run({ for_ms: 40 * MIN });
    expect([message, counters["not_modified"], counters["rows"], counters["failed_requests"]]).toEqual([
      null,
      2,
      1,
      0,
    ]);
    const { headers } = server.requests.at(-1)!;
    expect([headers["if-none-match"], headers["if-modified-since"]]).toEqual([
      '"v1"',
      "Mon, 01 Jun 2026 12:00:00 GMT",
    ]);
  });

  it("is asked for in full after a start: nobody knows whether what came was committed", async () => {
    server.answers(answer.versioned('"v1"', meteo(NOON)));
    const broken: Delivery = {
      ...intoNothing(() => {}),
      async commit(rows) {
        if (rows.length > 0) throw new Error("killed");
      },
    };
    await expect(run({ for_ms: MIN, delivery: broken })).rejects.toThrow("killed");
    await run({ for_ms: MIN });
    expect(await sent()).toEqual(["lisbon 12:00"]);
  });
});

describe("failures, and what the user sees", () => {
  const first = async (failing: answer.Answer, more: Partial<Run> = {}) => {
    server.answers(failing, answer.json(meteo(NOON)));
    const { log, states } = await run({ for_ms: 10 * MIN, ...more });
    return { log, message: states[0]!.message };
  };

  it.each<[string, answer.Answer, string]>([
    [
      "429",
      answer.status(429, {}, '{"error":true,"reason":"Minutely API request limit exceeded."}'),
      "it says that we ask too often (HTTP 429): Minutely API request limit exceeded.",
    ],
    ["500", answer.status(500), "expected an answer, got HTTP 500"],
    ["503", answer.status(503, {}, "<html>busy</html>"), "expected an answer, got HTTP 503"],
    ["cut body", answer.cut(meteo(NOON)), "expected an answer, but the answer ended in the middle"],
    [
      "no answer",
      answer.hangUp,
      "expected an answer, but the connection was cut in the middle of the answer",
    ],
    ["empty body", answer.status(200), "expected JSON, got an empty body"],
    [
      "HTML",
      answer.html,
      'expected JSON, got a page of HTML or XML that begins "<!DOCTYPE html><html><body>Maintenance</body></html>"',
    ],
    [
      "wrong encoding",
      answer.bytes(Buffer.from('{"reason":"caf\xe9"}', "latin1")),
      "expected JSON in UTF-8, got bytes of another encoding",
    ],
    [
      "not gzip",
      answer.notGzip(meteo(NOON)),
      "expected an answer, but the body is not compressed as its Content-Encoding says",
    ],
    [
      "half JSON",
      answer.bytes(Buffer.from('{"latitude":38.7,"cur')),
      'expected JSON, got JSON that ends in the middle or is broken, beginning "{\\"latitude\\":38.7,\\"cur"',
    ],
  ])("%s: says so, asks again, goes on", async (_name, failing, reason) => {
    const { log, message } = await first(failing);
    expect(message).toBe(`failed once: ${reason}; asked again at 2026-06-01T12:01:00Z`);
    expect(log).toEqual([`${reason}; asked again at 2026-06-01T12:01:00Z`, "it answers again"]);
    expect(await sent()).toEqual(["lisbon 12:00"]);
  });

  it.each([
    ["seconds", "300", "12:05:00"],
    ["a date", "Mon, 01 Jun 2026 12:07:00 GMT", "12:07:00"],
    ["years", "99999999999", "2026-06-02T12:00:00"],
    ["no time", "soon", "12:01:00"],
  ])(
    "429 with a Retry-After of %s is left alone for that long, a day at most",
    async (_name, header, until) => {
      const { message } = await first(answer.status(429, { "retry-after": header }));
      expect(message).toContain(`asked again at ${until.includes("T") ? until : `2026-06-01T${until}`}Z`);
      const [, second] = server.requests;
      expect(second === undefined).toBe(until.includes("T"));
    },
  );

  it("503 with Retry-After waits for it too", async () => {
    expect((await first(answer.status(503, { "retry-after": "120" }))).message).toContain(
      "asked again at 2026-06-01T12:02:00Z",
    );
  });

  it("a body that trickles is cut off", async () => {
    expect((await first(answer.slow, { limit_ms: 150 })).message).toContain(
      "expected an answer, but it took longer than 0.15 s",
    );
  });

  it("a body beyond the bound is cut off, before it is whole", async () => {
    const huge = answer.bytes(Buffer.alloc(FEEDS["open-meteo"].bytes_max + 1, " "));
    expect((await first(huge)).message).toContain("its body is larger than 5,000,000 bytes");
  });

  it("a redirect is not followed, and needs a person", async () => {
    const redirect = answer.status(302, { location: "http://127.0.0.1:9/v2/forecast?appid=hush" });
    const { message } = await first(redirect);
    expect(message).toBe(
      'the circuit is open: expected an answer, got a redirect (HTTP 302) to "http://127.0.0.1:9/v2/forecast"; none is followed: set the feed\'s new address with --url; asked again at 2026-06-01T12:10:00Z',
    );
  });

  it("a server that is gone says that nobody listens", async () => {
    const gone = await answer.feedServer();
    await gone.close();
    const plan = planOf(FEEDS["open-meteo"], { places: [LISBON], every_ms: null, origin: gone.url });
    const clock = jumpingClock(NOON);
    const poll = new Poll(
      { feed: FEEDS["open-meteo"], plan, contract, span_ms: 1, lateness_ms: 1, key: null, agent: "" },
      {
        clock,
        random: () => 0,
        get,
        delivery: intoNothing(() => {}),
        log: () => {},
        signal: new AbortController().signal,
      },
    );
    expect(await poll.once()).toBe(false);
    expect(poll.state().message).toContain("expected an answer, but nobody listens there");
  });

  it("the circuit opens after six failures in a row, says so, tries one request, and closes with the first answer", async () => {
    server.answers(
      ...Array.from({ length: 20 }, () => answer.status(503)),
      answer.json(stations("KAAA", NOON)),
    );
    const places = ["KAAA", "KBBB", "KCCC"].map((at) => ({ key: at.toLowerCase(), at }));
    const asked: number[] = [];
    const { log, states, message } = await run({
      feed: "nws",
      places,
      for_ms: 2 * HOUR,
      onWait: () => asked.push(server.requests.length),
    });
    const openings = states.filter((state) =>
      state.message?.startsWith("the circuit is open: expected an answer, got HTTP 503; asked again at"),
    );
    expect(openings.length).toBeGreaterThan(0);
    expect(log.filter((line) => line.startsWith("the circuit is open"))).toHaveLength(openings.length);
    expect(log.some((line) => line === "it answers again: the circuit is closed")).toBe(true);
    // While it is open nothing but one request at a time is made.
    const open = openings.map(({ at }) => at);
    for (const [i, at] of open.slice(1).entries()) expect(at - open[i]!).toBeGreaterThanOrEqual(10 * MIN);
    expect(message === null || message.includes("nothing new")).toBe(true);
  });

  it("a wrong key opens the circuit at once, and is in no message, no log and no cursor", async () => {
    const echo: answer.Answer = (response, request) =>
      answer.status(
        401,
        {},
        JSON.stringify({ cod: 401, message: `Invalid API key ${request.url}` }),
      )(response, request);
    server.answers(echo);
    const { log, message } = await run({
      feed: "openweathermap",
      places: [LISBON],
      key: "hush/hush key",
      for_ms: 30 * MIN,
    });
    expect(server.requests[0]!.path).toBe("/data/2.5/weather?lat=38.72&lon=-9.14&appid=hush%2Fhush+key");
    expect(message).toMatch(
      /^the circuit is open: expected to be let in, got HTTP 401: Invalid API key .*see that the key is right/,
    );
    const everything = JSON.stringify([
      log,
      message,
      (await readCursor(memoryTarget(kafka), "live-0"))!.token,
    ]);
    expect(everything).not.toMatch(/hush/);
  });
});

describe("what is in an answer", () => {
  it("time that goes backwards: nothing of it is sent, and it is said once", async () => {
    server.answers(answer.json(meteo(NOON)), answer.json(meteo(NOON - 30 * MIN)));
    const { log, counters } = await run({ for_ms: 50 * MIN });
    expect(log).toEqual([
      "lisbon: its newest time 2026-06-01T11:30:00Z is before 2026-06-01T12:00:00Z, which was sent: its time went backwards, nothing of it is sent",
    ]);
    expect([await sent(), counters["refused_rows"]]).toEqual([["lisbon 12:00"], 3]);
  });

  it("a clock that is ahead: refused, with by how much", async () => {
    server.answers(answer.json(meteo(NOON + 30 * MIN)));
    const { log, message } = await run({ for_ms: MIN });
    expect(log).toEqual([
      "lisbon: its time 2026-06-01T12:30:00Z is 30 min ahead of this machine's clock: a clock is wrong, the feed's or ours",
    ]);
    expect([await sent(), message]).toEqual([[], "it answers, but has had no observation yet"]);
  });

  it("a server whose clock differs from ours is told of", async () => {
    server.answers(answer.json(meteo(NOON), { date: "Mon, 01 Jun 2026 11:50:00 GMT" }));
    expect((await run({ for_ms: MIN })).log).toEqual([
      "this machine's clock is 10 min ahead of the feed's server: set it (NTP)",
    ]);
  });

  it("what is more than a day old is no news", async () => {
    server.answers(answer.json(meteo(NOON - 25 * HOUR)));
    expect((await run({ for_ms: MIN })).log[0]).toContain("is more than a day ago: no news");
    expect(await sent()).toEqual([]);
  });

  it("the same answer for an hour: sent once, and the message says since when there is nothing new", async () => {
    server.answers(answer.json(meteo(NOON)));
    const { message, counters, states } = await run({ for_ms: 65 * MIN });
    expect(states.filter(({ at }) => at <= NOON + HOUR).every((state) => state.message === null)).toBe(true);
    expect(message).toBe(
      "it answers, but with nothing new: its newest observation is of 2026-06-01T12:00:00Z, 1 h 5 min ago",
    );
    expect([await sent(), counters["repeats"], counters["lag_ms"]]).toEqual([["lisbon 12:00"], 4, 65 * MIN]);
  });

  it("a station that vanishes is asked for by the hour, and the others go on", async () => {
    const asked: string[] = [];
    server.answers((response, request) => {
      const code = request.url!.split("/")[2]!;
      asked.push(code);
      if (code === "KBBB")
        answer.status(404, {}, '{"title":"Not Found","detail":"No such station"}')(response, request);
      else answer.json(stations(code, NOON + (asked.length > 2 ? MIN : 0)))(response, request);
    });
    const { log, message, counters } = await run({
      feed: "nws",
      places: [
        { key: "a", at: "KAAA" },
        { key: "b", at: "KBBB" },
      ],
      for_ms: 61 * MIN,
    });
    expect(log).toEqual([
      "b: expected an observation, got HTTP 404: No such station; the others go on, it is asked again at 2026-06-01T13:00:00Z",
    ]);
    expect(asked.filter((code) => code === "KBBB")).toHaveLength(2);
    expect(asked.filter((code) => code === "KAAA").length).toBeGreaterThan(50);
    expect(message).toBe("1 of 2 places have had nothing new for 2 h: b");
    expect([await sent(), counters["silent_places"], counters["circuit_open"]]).toEqual([
      ["a 12:00", "a 12:01"],
      1,
      0,
    ]);
  });

  it("a station whose server stumbles does not hold up the others", async () => {
    server.answers((response, request) => {
      if (request.url!.includes("KBBB")) answer.status(500)(response, request);
      else answer.json(stations("KAAA", NOON))(response, request);
    });
    const { counters, log } = await run({
      feed: "nws",
      places: [
        { key: "b", at: "KBBB" },
        { key: "a", at: "KAAA" },
      ],
      for_ms: 10 * MIN,
    });
    expect(await sent()).toEqual(["a 12:00"]);
    expect([counters["circuit_open"], log.length]).toEqual([0, 1]);
    expect(server.requests.filter(({ path }) => path.includes("KBBB")).length).toBeLessThan(8);
  });

  it("a station whose server hangs does not hold up the others, nor open the circuit", async () => {
    server.answers((response, request) => {
      if (!request.url!.includes("KBBB"))
        answer.json(stations(request.url!.split("/")[2]!, Math.floor(now() / MIN) * MIN))(response, request);
    });
    const places = ["KBBB", "KAAA", "KCCC"].map((at) => ({ key: at.toLowerCase(), at }));
    const { counters, log } = await run({ feed: "nws", places, for_ms: 20 * MIN, limit_ms: 60 });
    expect((await sent()).filter((row) => row.startsWith("kccc")).length).toBeGreaterThanOrEqual(18);
    expect([counters["circuit_open"], counters["failed_requests"]! < 12]).toEqual([0, true]);
    expect(
      log.some((line) =>
        line.startsWith("kbbb: expected an answer, but it took longer than 0.06 s; the others go on"),
      ),
    ).toBe(true);
  });

  it("a new station is sent from its first observation on", async () => {
    const two = (now_ms: number) => answer.json([meteo(now_ms), meteo(now_ms, 3, OSLO)]);
    server.answers(answer.json(meteo(NOON)));
    await run({ for_ms: MIN });
    server.answers(two(NOON + 15 * MIN));
    await run({ from_ms: NOON + 16 * MIN, places: [LISBON, OSLO], for_ms: MIN });
    expect(await sent()).toEqual(["lisbon 12:00", "lisbon 12:15", "oslo 12:15"]);
  });

  it("vehicles come and go; half a protobuf is refused as a whole", async () => {
    const message = (seconds: number, ...ids: readonly string[]): Buffer =>
      Buffer.from(
        FeedMessage.encode({
          header: { gtfsRealtimeVersion: "2.0", timestamp: seconds },
          entity: ids.map((id) => ({
            id: `e-${id}`,
            vehicle: {
              vehicle: { id },
              position: { latitude: 38.5, longitude: -9.25 },
              timestamp: id === "ahead" ? seconds + 9_000 : seconds,
            },
          })),
        }).finish(),
      );
    const whole = message(NOON / 1000 - 5, "v1", "v2");
    server.answers(
      answer.bytes(whole),
      answer.bytes(whole.subarray(0, whole.length - 7)),
      answer.bytes(message(NOON / 1000 + 15, "v2", "v3", "ahead")),
    );
    const rows: string[] = [];
    const { log, counters } = await run({
      ...{
        feed: "gtfs-rt",
        of: vehicles,
        places: [{ key: "", at: `${server.url}/vehicles.pb` }],
        for_ms: 3 * MIN,
      },
      delivery: intoNothing((list) =>
        rows.push(...list.map(({ key, time }) => `${key} ${(time - NOON) / 1000}`)),
      ),
    });
    expect(rows).toEqual(["v1 -5", "v2 -5", "v2 15", "v3 15"]);
    expect(log[0]).toMatch(
      /^expected a FeedMessage of GTFS-Realtime, got \d+ bytes that are none or end in the middle/,
    );
    expect(log.at(-2)).toMatch(/^ahead: its time .* is 2 h 2\d min .*ahead of this machine's clock/);
    expect(counters["keys"]).toBe(3);
  });

  it("what lies further back than readers may take is counted", async () => {
    server.answers(
      answer.json(stations("KAAA", NOON)),
      answer.json(stations("KBBB", NOON)),
      answer.json(stations("KAAA", NOON + 20 * MIN)),
      answer.json(stations("KBBB", NOON + 5 * MIN)),
    );
    const places = ["KAAA", "KBBB"].map((at) => ({ key: at.toLowerCase(), at }));
    expect(
      (await run({ feed: "nws", places, every_ms: 25 * MIN, for_ms: 26 * MIN })).counters["late_rows"],
    ).toBe(0);
    server.answers(answer.json(stations("KBBB", NOON + 6 * MIN)));
    expect(
      (await run({ feed: "nws", places: places.slice(1), from_ms: NOON + 30 * MIN, for_ms: MIN })).counters[
        "late_rows"
      ],
    ).toBe(1);
  });
});

describe("24 hours against quotas", { timeout: 90_000, tags: ["slow"] }, () => {
  const five: readonly Place[] = [
    ["new-york", "40.71,-74.01"],
    ["london", "51.51,-0.13"],
    ["tokyo", "35.68,139.69"],
    ["sydney", "-33.87,151.21"],
    ["dubai", "25.26,55.3"],
  ].map(([key, at]) => ({ key: key!, at: at! }));
  const times: number[] = [];
  const counting =
    (answered: answer.Answer): answer.Answer =>
    (response, request) => {
      times.push(now());
      answered(response, request);
    };
  const most = (span_ms: number): number =>
    Math.max(
      ...times
        .map((from, i) => times.findIndex((time, j) => j >= i && time >= from + span_ms))
        .map((end, i) => (end < 0 ? times.length : end) - i),
    );
  beforeEach(() => {
    times.length = 0;
  });

  it("openweathermap: not one call more than 1,000 in any 24 hours, nor 60 a minute, over failures and 200 restarts", async () => {
    expect(planOf(FEEDS.openweathermap, { places: five, every_ms: 60_000, origin: null }).words).toBe(
      "openweathermap: 5 places, 5 requests a round, a round every 7 min 54 s (1 min would be more than its quota leaves): 912 of 1,000 calls a day",
    );
    const fine: answer.Answer = (response, request) => {
      const { searchParams } = new URL(request.url!, server.url);
      answer.json(
        owm(
          Math.floor(now() / 1000) * 1000,
          Number(searchParams.get("lat")),
          Number(searchParams.get("lon")),
        ),
      )(response, request);
    };
    // What a cursor keeps, without a broker: two thousand requests are slow enough.
    let token = tokenOf(START);
    const delivery: Delivery = {
      open: async () => standpointOf(token),
      commit: async (_rows, standpoint) => {
        token = tokenOf(standpoint);
      },
      close: async () => {},
    };
    let count = 0;
    const random = () => (count++ * 0.37) % 1;
    let at = NOON;
    // A day of good and bad hours, with a source that is started again every seven minutes, then one that is left alone.
    for (let start = 0; start < 200; start++) {
      server.answers(counting(start % 5 === 3 ? answer.status(503) : fine));
      await run({
        feed: "openweathermap",
        places: five,
        key: "k",
        every_ms: 60_000,
        from_ms: at,
        for_ms: 7 * MIN,
        random,
        delivery,
      });
      at += 7 * MIN + 1;
    }
    server.answers(counting(fine));
    const { counters } = await run({
      feed: "openweathermap",
      places: five,
      key: "k",
      every_ms: 60_000,
      from_ms: at,
      for_ms: 24 * HOUR,
      random,
      delivery,
    });
    expect(most(24 * HOUR)).toBeLessThanOrEqual(1_000);
    expect(most(MIN)).toBeLessThanOrEqual(60);
    expect(times.length).toBeGreaterThan(1_000);
    expect(counters["calls_left"]).toBeGreaterThanOrEqual(0);
  });

  it("a quota that is used up says when it goes on", async () => {
    server.answers(counting(answer.json(owm(NOON, 38.72, -9.14))));
    const used: Delivery = {
      ...intoNothing(() => {}),
      open: async () => ({
        sent: new Map(),
        forgotten_ms: null,
        asked_ms: null,
        ledger: [[], [[Math.floor(NOON / HOUR), 1_000]]],
      }),
    };
    const { states } = await run({ feed: "openweathermap", key: "k", for_ms: HOUR, delivery: used });
    expect([times.length, states[0]!.message]).toEqual([
      0,
      "its quota is used up; asked again at 2026-06-02T13:00:00Z",
    ]);
    const { message } = await run({
      feed: "openweathermap",
      key: "k",
      for_ms: 25 * HOUR + 30 * MIN,
      delivery: used,
    });
    expect(times[0]).toBe(NOON + 25 * HOUR);
    expect(message).not.toContain("quota");
  });

  it("nws: never two rounds within 15 s, however often it is started", async () => {
    server.answers(counting(answer.json(stations("KAAA", NOON))));
    let at = NOON;
    for (let start = 0; start < 30; start++) {
      await run({
        feed: "nws",
        places: [{ key: "a", at: "KAAA" }],
        every_ms: 15_000,
        from_ms: at,
        for_ms: 4_000,
      });
      at += 4_000;
    }
    expect(most(15_000)).toBe(1);
    expect(times.length).toBeGreaterThanOrEqual(7);
  });

  it("open-meteo: a place is a call; fifty places are one request and a day of them within 10,000", async () => {
    const places = Array.from({ length: 50 }, (_, i) => ({ key: `p${i}`, at: `${i},${i}` }));
    server.answers(
      counting((response, request) =>
        answer.json(places.map((place) => meteo(Math.floor(now() / (15 * MIN)) * 15 * MIN, 1, place)))(
          response,
          request,
        ),
      ),
    );
    const { counters } = await run({ places, for_ms: 24 * HOUR });
    expect(times.length * 50).toBeLessThanOrEqual(10_000);
    expect(times.length).toBe(97);
    expect(counters["rows"]).toBeGreaterThanOrEqual(50 * 96);
  });
});

describe("the plan", () => {
  it.each([
    [
      "nws",
      [{ key: "a", at: "KAAA" }],
      5_000,
      'Cannot ask feed "nws": expected at least 15 s between two rounds, got 5 s',
    ],
    ["nws", [], null, 'Cannot ask feed "nws": expected places to ask for (--place KEY=KNYC), got none'],
    [
      "open-meteo",
      [{ key: "a", at: "91,0" }],
      null,
      'expected degrees north and east as in 38.72,-9.14 for "a", got "91,0"',
    ],
    [
      "gtfs-rt",
      [{ key: "", at: "ftp://agency" }],
      null,
      "expected the URL of vehicle positions, http: or https:",
    ],
  ] as const)("%s refuses what cannot be asked", (feed, places, every_ms, message) => {
    expect(() => planOf(FEEDS[feed], { places, every_ms, origin: null })).toThrow(message);
  });
});
