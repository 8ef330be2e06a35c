import { expect, it } from "vitest";
import { app } from "../test/served/weather.ts";
import type { StreamEvent } from "./events.ts";
import type { EngineProbe } from "./health.ts";
import { healthNow } from "./routes/health.ts";
import { watchHealth } from "./watch.ts";

it("watchHealth() tells of each change once, and only while somebody listens", async () => {
  let mlflow: EngineProbe = {
    ...{ name: "mlflow", address: "a", needed: false, up: true, detail: "OK", next: null },
  };
  const { effects } = app({ engines: async () => [mlflow] });
  const told: string[] = [];
  const failures: unknown[] = [];
  const stop = new AbortController();
  const stream = {
    clients: 1,
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
  await watchHealth({ stream, health, pause, log: (error) => failures.push(error) }, 1, stop.signal);
  expect(told).toEqual(["up", "down", "down"]);
  expect(failures).toEqual([]);
});

it("watchHealth() goes on after a look that failed", async () => {
  const stop = new AbortController();
  const failures: unknown[] = [];
  let looks = 0;
  await watchHealth(
    {
      stream: { clients: 1, tell: () => undefined },
      health: () => Promise.reject(new Error("away")),
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
