import { once } from "node:events";
import { connect } from "node:net";
import { setImmediate } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { sendOnce } from "../kafka/kafka.ts";
import { type FakeKafka, fakeKafka } from "../test/fakes/kafka.ts";
import {
  app,
  caughtUp,
  features,
  NOW_MS,
  prediction,
  SERVED,
  SERVER,
  verification,
} from "../test/served/weather.ts";
import { positionText, readPosition, recordsBetween } from "./position.ts";
import { type Serving, startApi } from "./start.ts";
import { CLIENTS_MAX, Client, QUEUE_BYTES_MAX, Stream } from "./stream.ts";

const topics = {
  "weather-predictions": "predictions",
  "weather-verifications": "verifications",
  "job-progress": "progress",
  "weather-features": "features",
} as const;

interface Heard {
  readonly id: string;
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

const serving: Serving[] = [];
afterEach(async () => {
  await Promise.all(serving.splice(0).map((one) => one.close()));
});

async function start() {
  const kafka = fakeKafka(() => NOW_MS);
  await kafka.admin.ensure(Object.keys(topics).map((topic) => ({ topic, partitions: 2, config: {} })));
  const one = await startApi({
    ...SERVER,
    pipelines: [{ ...SERVED, topics }],
    kafka,
  });
  serving.push(one);
  await one.caught_up;
  return { kafka, url: one.url };
}

const send = (kafka: FakeKafka, topic: keyof typeof topics, key: string, record: object) =>
  sendOnce(kafka, "test", [
    { topic, key, value: Buffer.from(JSON.stringify({ station_id: key, ...record })) },
  ]);
const predict = (kafka: FakeKafka, station: string, revision: number, more: object = {}) =>
  send(
    kafka,
    "weather-predictions",
    station,
    prediction({ id: `${station}-${revision}`, revision, ...more }),
  );
const flagged = {
  anomaly: {
    is_anomaly: true,
    anomaly_score: 2,
    anomaly_type: "range",
    evidence: ["99 is above 60"],
    method: "rules",
  },
};

/** Follows the stream until `enough` events were heard, and closes it. */
async function hear(
  url: string,
  enough: number,
  headers: Record<string, string> = {},
  ready?: (heard: readonly Heard[]) => Promise<void> | void,
) {
  const stop = new AbortController();
  const response = await fetch(url, {
    headers,
    signal: AbortSignal.any([stop.signal, AbortSignal.timeout(5_000)]),
  });
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  const heard: Heard[] = [];
  let last = "";
  let text = "";
  let begun = false;
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const lines = text.slice(0, end).split("\n");
      text = text.slice(end + 2);
      const of = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      last = of("id") ?? last;
      const [event, data] = [of("event"), of("data")];
      if (event && data) heard.push({ id: last, event, data: JSON.parse(data) });
    }
    if (!begun) {
      begun = true;
      await ready?.(heard);
    }
    if (heard.length >= enough) break;
  }
  stop.abort();
  return { heard, last };
}

const idsOf = (heard: readonly Heard[]) =>
  heard.map(({ data }) => (data["prediction"] as { id: string } | undefined)?.id);

describe("GET /stream", () => {
  it("says what happens as it happens, each in the shape its kind promises", async () => {
    const { kafka, url } = await start();
    const { heard } = await hear(`${url}/stream`, 4, {}, async () => {
      await predict(kafka, "denver", 1, flagged);
      await send(kafka, "weather-verifications", "denver", verification());
      const job = {
        job: "weather-infer",
        submission: "s",
        state: "running",
        error_code: null,
        message: null,
      };
      await send(kafka, "job-progress", "weather-infer", {
        ...job,
        timestamp: NOW_MS,
        counters: { rows: 3 },
      });
    });
    const by = (kind: string) => heard.find(({ event }) => event === kind)?.data;
    expect(by("prediction")).toMatchObject({
      pipeline: "weather",
      station_id: "denver",
      prediction: { id: "denver-1", predictions: { temperature_6h: 3.1 }, units: { temperature_6h: "degC" } },
    });
    expect(by("anomaly")).toMatchObject({
      station_id: "denver",
      anomaly_type: "range",
      prediction_id: "denver-1",
    });
    expect(by("verification")).toMatchObject({ verification: { station_id: "denver", truth: 4.1 } });
    expect(by("job")).toMatchObject({
      job: "weather-infer",
      state: "running",
      at: "2026-01-10T08:00:00.000Z",
    });
  });

  it("tells of observations whoever asks for them, and of each once", async () => {
    const { kafka, url } = await start();
    const { heard } = await hear(`${url}/stream?kind=observation,prediction`, 2, {}, async () => {
      await send(kafka, "weather-features", "denver", features());
      await predict(kafka, "denver", 1);
    });
    expect(heard.map(({ event }) => event)).toEqual(["observation", "prediction"]);
    expect(heard[0]?.data).toMatchObject({
      pipeline: "weather",
      station_id: "denver",
      observed: { measurement_count: 5, values: { temperature_mean: 2.64, wind_speed_mean: null } },
    });
    const usual = await hear(`${url}/stream`, 1, {}, async () => {
      await send(kafka, "weather-features", "denver", features({ revision: 101 }));
      await predict(kafka, "denver", 2);
    });
    expect(usual.heard.map(({ event }) => event)).toEqual(["prediction"]);
  });

  it("goes on where a client was cut off, with nothing missed and nothing twice", async () => {
    const { kafka, url } = await start();
    const stations = ["denver", "seattle", "new-york"];
    const sendAll = async (from: number, to: number) => {
      for (let revision = from; revision < to; revision++)
        for (const station of stations) await predict(kafka, station, revision);
    };
    const first = await hear(`${url}/stream?kind=prediction`, 4, {}, () => sendAll(0, 4));
    await sendAll(4, 8);
    // Whoever read further than four events has them; the id of the last one it looked at is what counts.
    const seen = first.heard;
    const second = await hear(
      `${url}/stream?kind=prediction`,
      36 - seen.length,
      { "last-event-id": seen.at(-1)!.id },
      () => sendAll(8, 12),
    );
    const all = idsOf([...seen, ...second.heard]);
    expect(all).toHaveLength(36);
    expect(new Set(all).size).toBe(36);
    for (const station of stations)
      expect(all.filter((id) => id!.startsWith(station))).toEqual(
        Array.from({ length: 12 }, (_, i) => `${station}-${i}`),
      );
  });

  it("sends only what was asked for", async () => {
    const { kafka, url } = await start();
    const { heard } = await hear(
      `${url}/stream?kind=anomaly,prediction&station=seattle&pipeline=weather`,
      2,
      {},
      async () => {
        await predict(kafka, "denver", 1, flagged);
        await predict(kafka, "seattle", 1);
        await predict(kafka, "seattle", 2);
      },
    );
    expect(idsOf(heard)).toEqual(["seattle-1", "seattle-2"]);
  });

  it("cuts off whoever does not read, and keeps nobody else waiting", async () => {
    const { kafka, url } = await start();
    const slow = connect(Number(new URL(url).port), "127.0.0.1");
    slow.on("error", () => undefined);
    slow.write("GET /stream HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
    await once(slow, "data");
    slow.pause();
    // More than a queue and the buffers of two sockets hold, as the records of one partition.
    const text = { ...flagged.anomaly, evidence: ["x".repeat(200_000)] };
    const records = 120;
    let sent: Promise<void> | undefined;
    const sendAll = async (heard: readonly Heard[]) => {
      for (let revision = 0; revision < records; revision++) {
        await predict(kafka, "denver", revision, { anomaly: text });
        while (heard.length < revision) await setImmediate();
      }
    };
    const other = await hear(`${url}/stream?kind=prediction`, records, {}, (heard) => {
      sent = sendAll(heard);
    });
    await sent;
    expect(new Set(idsOf(other.heard)).size).toBe(records);
    let bytes = 0;
    slow.on("data", (chunk) => {
      bytes += chunk.length;
    });
    slow.resume();
    await once(slow, "close");
    // Each record is told twice, as an anomaly and as a prediction.
    expect(bytes).toBeLessThan(2 * records * 200_000);
  });

  it.each([
    "x",
    "weather-predictions:0=1,",
    "weather-predictions:0=-1",
    "weather-predictions:9=0",
    "weather-predictions:0=99999999",
    "other-predictions:0=1",
    "../../etc/passwd",
    `${"weather-predictions:0=1;".repeat(200)}x`,
    "a".repeat(20_000).slice(0, 12_000),
  ])("refuses a forged Last-Event-ID: %s", async (id) => {
    const { url } = await start();
    const response = await fetch(`${url}/stream`, { headers: { "last-event-id": id } });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ code: "bad_parameter" });
  });

  it.each(["kind=weather", "kind=prediction,", "pipeline=trams", `station=${"x".repeat(1_001)}`])(
    "refuses %s",
    async (query) => {
      const response = await app().app.request(`/stream?${query}`);
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ code: "bad_parameter" });
    },
  );

  it("begins once the catch-up has ended, and takes as many clients as there may be", async () => {
    const early = app({ feed: () => ({ ...caughtUp, caught_up: false }) });
    expect((await early.app.request("/stream")).status).toBe(503);
    const { app: api, effects } = app();
    for (let i = 0; i < CLIENTS_MAX; i++)
      effects.stream.join({ kinds: new Set(), pipeline: null, station: null });
    const full = await api.request("/stream");
    expect(full.status).toBe(503);
    expect(full.headers.get("retry-after")).toBe("5");
    expect(await full.json()).toMatchObject({ code: "too_many_clients" });
  });
});

describe("Client", () => {
  const wanted = { kinds: new Set(["job" as const]), pipeline: null, station: null };

  it("is cut off when it does not read, and keeps nobody waiting", async () => {
    const client = new Client(wanted);
    let cut = false;
    client.onCut = () => {
      cut = true;
    };
    const frame = Buffer.from("x".repeat(QUEUE_BYTES_MAX / 4));
    for (let i = 0; i < 4; i++) client.push(frame);
    expect(cut).toBe(false);
    // What was taken but not written yet counts as well.
    const taken = await client.next(1);
    client.push(Buffer.from("y"));
    expect([cut, client.over]).toEqual([true, true]);
    client.written(taken);
    expect(String(await client.next(1))).toBe("");
  });

  it("that reads goes on for ever", async () => {
    const client = new Client(wanted);
    for (let i = 0; i < 20; i++) {
      client.push(Buffer.from("x".repeat(QUEUE_BYTES_MAX / 2)));
      client.written(await client.next(1));
    }
    expect(client.over).toBe(false);
    expect(String(await client.next(1))).toBe("");
  });
});

describe("Stream", () => {
  it("says that more was missed than is read again", async () => {
    const stream = new Stream({
      kafka: fakeKafka(() => NOW_MS),
      arm: "champion",
      clock: { nowMs: () => NOW_MS },
    });
    const at = (offset: number) => new Map([["weather-predictions", new Map([[0, offset]])]]);
    const wanted = { kinds: new Set(["prediction" as const]), pipeline: null, station: null };
    expect(await stream.between(at(0), at(1_000_000), wanted)).toBeNull();
    expect(await stream.between(at(7), at(7), wanted)).toEqual([]);
  });
});

describe("a position", () => {
  it("is read as it was written", () => {
    const text = "job-progress:0=14;weather-predictions:0=7,1=9";
    expect(positionText(readPosition(text)!)).toBe(text);
    expect(
      recordsBetween(readPosition(text)!, readPosition("job-progress:0=20;weather-predictions:0=7,1=12")!),
    ).toBe(9);
    expect(recordsBetween(readPosition(text)!, readPosition("job-progress:0=20")!)).toBeNull();
  });
});
