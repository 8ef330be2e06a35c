import { expect, it } from "vitest";
import { LiveStream, RETRY_MS, RETRY_MS_MAX, type StreamState } from "./stream.ts";

/** A browser's connections, opened and broken by hand. */
function browser(statuses: (number | null)[] = []) {
  const opened: string[] = [];
  const waits: number[] = [];
  const asked: string[] = [];
  const listeners = new Map<string, (event: { data?: string; lastEventId?: string }) => void>();
  const source = { readyState: 0, closed: false };
  let due: (() => void) | null = null;
  return {
    opened,
    waits,
    asked,
    source,
    fire: (name: string, event: { data?: string; lastEventId?: string } = {}) => listeners.get(name)?.(event),
    /** What was put off happens. */
    async pass() {
      for (let i = 0; due === null && i < 10; i++) await Promise.resolve();
      const work = due;
      due = null;
      work?.();
    },
    effects: {
      open: (url: string) => {
        opened.push(url);
        source.readyState = 0;
        return {
          get readyState() {
            return source.readyState;
          },
          addEventListener: (name: string, listener: (event: object) => void) => {
            listeners.set(name, listener);
          },
          close: () => {
            source.closed = true;
          },
        };
      },
      probe: async () => statuses.shift() ?? null,
      signIn: () => {
        asked.push("who");
      },
      after: (ms: number, work: () => void) => {
        waits.push(ms);
        due = work;
        return () => {
          due = null;
        };
      },
    },
  };
}

function follow(statuses?: (number | null)[]) {
  const b = browser(statuses);
  const heard: unknown[] = [];
  const states: StreamState[] = [];
  let missed = 0;
  const stream = new LiveStream("/stream?kind=prediction", ["prediction"], b.effects, {
    event: (kind, data, id) => heard.push([kind, data, id]),
    state: (state) => states.push(state),
    missed: () => missed++,
  });
  return { ...b, stream, heard, states, missed: () => missed };
}

it("says what comes, and where it stands", () => {
  const { fire, heard, states, stream, opened } = follow();
  fire("open");
  fire("prediction", { data: '{"a":1}', lastEventId: "t:0=7" });
  expect(heard).toEqual([["prediction", { a: 1 }, "t:0=7"]]);
  expect(states).toEqual(["connecting", "live"]);
  expect(stream.id).toBe("t:0=7");
  expect(opened).toEqual(["/stream?kind=prediction"]);
});

it("is cut while the browser comes back by itself, and whole again after", () => {
  const { fire, states, opened, missed } = follow();
  fire("open");
  fire("error");
  fire("open");
  expect(states).toEqual(["connecting", "live", "cut", "live"]);
  expect(opened).toHaveLength(1);
  expect(missed()).toBe(0);
});

it("comes back where it stood when the browser has given up, later each time", async () => {
  const { fire, source, opened, waits, pass, missed } = follow([503, null, 200]);
  fire("open");
  fire("prediction", { data: "{}", lastEventId: "t:0=7" });
  for (let i = 0; i < 3; i++) {
    source.readyState = 2;
    fire("error");
    await pass();
  }
  expect(waits).toEqual([RETRY_MS, 2 * RETRY_MS, 0]);
  expect(opened.slice(1)).toEqual(Array(3).fill("/stream?kind=prediction&last_event_id=t%3A0%3D7"));
  expect(missed()).toBe(0);
  fire("open");
  source.readyState = 2;
  fire("error");
  await pass();
  expect(waits.at(-1)).toBe(RETRY_MS);
});

it("gives up a position that the server does not know, and says that something was missed", async () => {
  const { fire, source, opened, waits, pass, missed, stream } = follow([400]);
  fire("prediction", { data: "{}", lastEventId: "other:0=7" });
  source.readyState = 2;
  fire("error");
  await pass();
  expect(opened).toEqual(["/stream?kind=prediction", "/stream?kind=prediction"]);
  expect(waits).toEqual([0]);
  expect(missed()).toBe(1);
  expect(stream.id).toBeNull();
});

it("without a position nobody knows what came meanwhile", async () => {
  const { source, fire, pass, missed } = follow();
  source.readyState = 2;
  fire("error");
  await pass();
  expect(missed()).toBe(1);
});

it("says that a gap was too long, and goes on from there", () => {
  const { fire, missed, stream } = follow();
  fire("gap", { data: '{"records":9}', lastEventId: "t:0=99" });
  expect(missed()).toBe(1);
  expect(stream.id).toBe("t:0=99");
});

it("waits no longer than its bound, and not at all once it is closed", async () => {
  const { fire, source, waits, pass, stream, opened } = follow();
  fire("prediction", { data: "{}", lastEventId: "t:0=7" });
  for (let i = 0; i < 8; i++) {
    source.readyState = 2;
    fire("error");
    await pass();
  }
  expect(Math.max(...waits)).toBe(RETRY_MS_MAX);
  stream.close();
  const before = opened.length;
  fire("error");
  await pass();
  expect(opened).toHaveLength(before);
  expect(source.closed).toBe(true);
});

it.each([["t:0=7"], [null]])(
  "asks who one is when the session is over, with a position or without, and tries no more",
  async (id) => {
    const { fire, source, asked, opened, waits } = follow([401]);
    fire("open");
    if (id !== null) fire("prediction", { data: "{}", lastEventId: id });
    source.readyState = 2;
    fire("error");
    await Promise.resolve();
    await Promise.resolve();
    expect([asked, opened.length, waits]).toEqual([["who"], 1, []]);
  },
);
