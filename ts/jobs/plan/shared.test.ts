// One application for all streams of a pipeline, as data: how large it is, and when it is another one.

import { describe, expect, it } from "vitest";
import { application, together } from "./shared.ts";
import type { Share } from "./type.ts";

const started = { entrypoint: "/s.py", properties: { a: "1" }, code: "c" };
const features: Share = { cores: 2, driver_memory: "512m", executor_memory: "900m" };
const archive: Share = {
  cores: 1,
  driver_memory: "512m",
  executor_memory: "700m",
  properties: { b: "2" },
  delta: true,
};

describe("application()", () => {
  it("has the cores and properties of all streams, and heaps for all of them", () => {
    expect(application("weather-streams", started, [features, archive])).toMatchObject({
      engine: "spark",
      entrypoint: "/s.py",
      cores: 3,
      driver_memory: "724m",
      executor_memory: "1300m",
      properties: { a: "1", b: "2" },
      shared: { name: "weather-streams", params: { delta: true } },
    });
  });

  it("knows Delta only where a stream works with it", () => {
    expect(application("x", started, [features]).shared!.params).toMatchObject({ delta: false });
  });

  it("is another one with other code, another size, and by nothing else", () => {
    const hash = (given = started, shares = [features, archive]) =>
      application("x", given, shares).shared!.hash;
    expect(hash()).toMatch(/^[0-9a-f]{8}$/);
    expect(hash({ ...started })).toBe(hash());
    for (const other of [
      hash({ ...started, code: "d" }),
      hash({ ...started, entrypoint: "/t.py" }),
      hash(started, [features]),
      hash(started, [{ ...features, cores: 1 }, archive]),
    ])
      expect(other).not.toBe(hash());
  });
});

describe("together()", () => {
  it("counts what Spark holds back once", () => {
    expect(together(["512m"])).toBe("512m");
    expect(together(["900m", "700m"])).toBe("1300m");
    expect(together(["1g", "512m"])).toBe("1236m");
    expect(together(["200m", "200m"])).toBe("300m");
  });
  it("refuses what is no heap", () => expect(() => together(["512"])).toThrow('got "512"'));
});
