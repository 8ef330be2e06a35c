import { describe, expect, it } from "vitest";
import { namesOf, pipelineOf } from "../../pipelines/index.ts";
import { parseInteger, parseTime, positive, unitsOf } from "../flags.ts";
import { changesOf } from "./rejects.ts";
import { speedOf } from "./replay.ts";
import { topicNamed } from "./tail.ts";

describe("words of replay, rejects and tail", () => {
  it("speedOf() takes max or a factor above 0", () => {
    expect(speedOf("max")).toBe("max");
    expect(speedOf("3600")).toBe(3600);
    expect(speedOf("0.5")).toBe(0.5);
    for (const word of ["0", "-1", "fast", "", "Infinity", "NaN"])
      expect(() => speedOf(word)).toThrow(/--speed/);
  });

  it("unitsOf() takes field=unit", () => {
    expect(unitsOf(["temperature=K", "wind_speed=km/h"])).toEqual({ temperature: "K", wind_speed: "km/h" });
    for (const word of ["temperature", "=K", "temperature="]) expect(() => unitsOf([word])).toThrow(/--unit/);
  });

  it.each(["", " ", "  \t"])("takes no flag of %j for a number or a time", (word) => {
    expect(() => parseInteger("--slot", word)).toThrow(/--slot/);
    expect(() => positive("--wait", word)).toThrow(/--wait/);
    expect(() => parseTime("--to", word)).toThrow(/--to/);
    expect(() => speedOf(word)).toThrow(/--speed/);
  });

  it("timeOf() takes a time or a date, and refuses what its offset carries out of the years", () => {
    expect(parseTime("--to", "2016-12-01")).toBe(Date.UTC(2016, 11, 1));
    expect(parseTime("--to", undefined)).toBeNull();
    expect(() => parseTime("--to", "9999-12-31T23:59:59-14:00")).toThrow(/years 1 and 9999/);
  });

  it("positive() ends at its bound", () => {
    expect([positive("--rate", "1", 1), positive("--rate", "0.1", 1)]).toEqual([1, 0.1]);
    for (const word of ["0", "-1", "1.1", "x", "NaN"])
      expect(() => positive("--rate", word, 1)).toThrow(/at most 1/);
  });

  it("changesOf() takes field=value, an empty one for nothing", () => {
    expect(changesOf(["temperature=1", "humidity="], null)).toEqual({ temperature: "1", humidity: "" });
    expect(() => changesOf(["temperature"], null)).toThrow(/--set/);
    expect(() => changesOf([], "/nowhere.json")).toThrow(/--value/);
  });

  it("topicNamed() knows short names in any namespace and leaves others alone", () => {
    const names = namesOf(pipelineOf("weather").pipeline, "demo");
    expect(topicNamed(names, "raw")).toBe("demo-weather-raw");
    expect(topicNamed(names, "model-events")).toBe("demo-model-events");
    expect(topicNamed(names, "job-progress")).toBe("demo-job-progress");
    expect(topicNamed(names, "weather-raw")).toBe("demo-weather-raw");
    expect(topicNamed(names, "demo-weather-raw")).toBe("demo-weather-raw");
    expect(topicNamed(names, "somebody-elses")).toBe("somebody-elses");
  });
});
