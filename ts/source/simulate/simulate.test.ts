import { describe, expect, it } from "vitest";
import { jumpingClock } from "../../ground/clock.ts";
import { readAll } from "../../kafka/kafka.ts";
import { namesOf, pipelineOf, subjectsOf, topicsOf } from "../../pipelines/index.ts";
import { fakeKafka } from "../../test/fakes/kafka.ts";
import { memoryRegistry } from "../../test/fakes/registry.ts";
import { observerOf } from "../poll/observe.ts";
import { targetOf } from "../send/target.ts";
import { answerAt } from "./openweathermap.ts";
import { observationOf, Simulation } from "./simulate.ts";

const { pipeline, contract } = pipelineOf("city");
const observe = observerOf(contract);
const DAY = Date.UTC(2026, 10, 30);
const MINUTE_MS = 60_000;
const tokyo = { seed: 16, latitude: 35.68, longitude: 139.69 };

describe("answerAt()", () => {
  it("is the same for the same seed, place and time, and another for another", () => {
    const at = (more: object) => JSON.stringify(answerAt({ ...tokyo, t_ms: DAY, ...more }));
    expect(at({})).toBe(at({}));
    for (const more of [{ seed: 17 }, { latitude: 36 }, { t_ms: DAY + 1000 }])
      expect(at(more)).not.toBe(at({}));
  });
  it("fits the contract, in its units, for a year", () => {
    let rains = 0;
    for (let hour = 0; hour < 8760; hour += 7) {
      const answer = answerAt({ ...tokyo, t_ms: DAY + hour * 60 * MINUTE_MS });
      const { record } = observationOf(observe, "tokyo", answer);
      for (const { name, range } of contract.fields)
        if (range !== null && record[name] !== null) {
          expect(record[name], name).toBeGreaterThanOrEqual(range[0]);
          expect(record[name], name).toBeLessThanOrEqual(range[1]);
        }
      expect(record["temperature"]).toBeCloseTo(answer.main.temp - 273.15, 9);
      if (record["rain"] !== null) rains++;
      expect(record["simulated"]).toBe(true);
    }
    expect(rains).toBeGreaterThan(20);
    expect(rains).toBeLessThan(700);
  });
});

describe("Simulation", () => {
  it("sends each cycle once, over restarts, and does not run ahead of the wall's clock", async () => {
    const names = namesOf(pipeline, "");
    const registry = memoryRegistry();
    for (const { subject, schema } of subjectsOf(names, contract))
      await registry.register(subject, schema, "NONE");
    const kafka = fakeKafka();
    await kafka.admin.ensure(topicsOf(names));
    const target = await targetOf({ kafka, registry, names, contract, source: "simulate" });
    const now = DAY + 60 * MINUTE_MS;
    let waits = 0;
    for (let life = 0; life < 3; life++) {
      const clock = jumpingClock(now);
      const stop = new AbortController();
      const simulation = new Simulation({
        ...{ contract, seed: 16, every_ms: 10 * MINUTE_MS, from_ms: DAY, speed: 1800, log: () => {} },
        clock: {
          nowMs: clock.nowMs,
          async until(time_ms) {
            waits++;
            // The third cycle of a life is not waited for; what lies ahead of now never is.
            if (time_ms > now + 1000 || simulation.state().counters.cycles >= 3) stop.abort();
            await clock.until(time_ms);
          },
        },
      });
      await simulation.run(target, stop.signal);
    }
    expect(waits).toBeGreaterThan(0);
    const sent = (await readAll(kafka, target.raw_topic)).map(
      ({ key, headers }) => `${key} ${headers["clock"]}`,
    );
    expect(new Set(sent).size).toBe(sent.length);
    const cities = Object.keys(contract.stations);
    // 00:00 to 01:00, both inclusive, for each city.
    expect(sent.sort()).toEqual(
      cities
        .flatMap((city) => Array.from({ length: 7 }, (_, n) => `${city} ${DAY + n * 10 * MINUTE_MS}`))
        .sort(),
    );
  });
});
