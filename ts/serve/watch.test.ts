import { expect, it } from "vitest";
import { app } from "../test/served/weather.ts";
import type { StreamEvent } from "./events.ts";
import type { EngineProbe } from "./health.ts";
import { healthNow } from "./routes/health.ts";
import { alertsState, healthState, watch } from "./watch.ts";

it("watch() tells of each change once, and only while somebody listens", async () => {
  let mlflow: EngineProbe = {
    ...{ name: "mlflow", address: "a", needed: false, up: true, detail: "OK", next: null },
  };
  const { effects } = app({ engines: async () => [mlflow] });
  const told: string[] = [];
  const failures: unknown[] = [];
  const stop = new AbortController();
  const stream = {
    ...{ clients: 1, listeners: () => stream.clients, isTold: () => true },
    tell: ({ lines }: StreamEvent) => {
      const { engines } = JSON.parse(lines.split("data: ")[1]!) as { engines: { status: string }[] };
      told.push(engines[0]!.status);
    },
  };
  const steps = [
    () => undefined,
    () => undefined,
    () => {
      mlflow = { ...mlflow, up: false };
    },
    () => {
      mlflow = { ...mlflow, detail: "still refused" };
    },
    () => {
      stream.clients = 0;
    },
    () => {
      stream.clients = 1;
    },
    () => stop.abort(),
  ];
  const pause = async () => {
    steps.shift()?.();
  };
  const health = () => healthNow(effects);
  await watch(
    { kind: "health", see: health, state: healthState },
    { stream, pause, log: (error) => failures.push(error) },
    1,
    stop.signal,
  );
  expect(told).toEqual(["up", "down", "down"]);
  expect(failures).toEqual([]);
});

it("watch() goes on after a look that failed", async () => {
  const stop = new AbortController();
  const failures: unknown[] = [];
  let looks = 0;
  await watch(
    { kind: "health", see: () => Promise.reject(new Error("away")), state: healthState },
    {
      stream: { listeners: () => 1, isTold: () => true, tell: () => undefined },
      pause: async () => {
        if (++looks === 3) stop.abort();
      },
      log: (error) => failures.push(error),
    },
    1,
    stop.signal,
  );
  expect(failures).toHaveLength(2);
});

it("watch() tells each look of what has no state, and alerts only once they are others", async () => {
  const none = { at: "2026-01-10T08:00:00Z", count: 0, alerts: [] };
  const tellings = async (state: ((seen: typeof none) => string) | null) => {
    const stop = new AbortController();
    let looks = 0;
    const lines: string[] = [];
    await watch(
      {
        kind: "alerts",
        see: async () => ({ ...none, at: `look ${looks}`, count: looks > 3 ? 1 : 0 }),
        state,
      },
      {
        stream: {
          listeners: () => 1,
          isTold: () => true,
          tell: (event: StreamEvent) => lines.push(event.lines),
        },
        pause: async () => {
          if (++looks === 6) stop.abort();
        },
        log: (error) => expect(error).toBeUndefined(),
      },
      1,
      stop.signal,
    );
    return lines;
  };
  expect(await tellings(null)).toHaveLength(5);
  const changes = await tellings(alertsState);
  expect(changes).toHaveLength(2);
  expect(changes[1]).toBe('event: alerts\ndata: {"at":"look 4","count":1,"alerts":[]}\n');
});

it("watch() tells again where the last listener left and another came between two looks", async () => {
  const stop = new AbortController();
  let looks = 0;
  let tellings = 0;
  let held = true;
  await watch(
    { kind: "alerts", see: async () => ({ at: "", count: 0, alerts: [] }), state: alertsState },
    {
      stream: {
        listeners: () => 1,
        isTold: () => held,
        tell: () => {
          tellings++;
          held = true;
        },
      },
      pause: async () => {
        looks++;
        if (looks === 3) held = false;
        if (looks === 5) stop.abort();
      },
      log: (error) => expect(error).toBeUndefined(),
    },
    1,
    stop.signal,
  );
  expect(tellings).toBe(2);
});
