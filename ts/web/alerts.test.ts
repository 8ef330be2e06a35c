import { describe, expect, it } from "vitest";
import { aboutOf, bySeverity, countsText, wordsOf } from "./alerts.ts";
import type { Alert } from "./api.ts";

const alert = (more: Partial<Alert> = {}): Alert => ({
  ...{ id: "a", pipeline: "weather", kind: "anomaly", severity: "warning", anomaly_id: null },
  ...{ subject: { kind: "station", name: "new-york" }, since: "2026-01-10T08:00:00Z", event_time: null },
  ...{ text: "It is wrong", next: "Mend it" },
  ...more,
});

describe("alerts", () => {
  const all = [
    alert({ id: "1", severity: "info" }),
    alert({ id: "2" }),
    alert({ id: "3", severity: "critical" }),
    alert({ id: "4" }),
  ];

  it("come worst first, and as they were among equals", () =>
    expect(bySeverity(all).map(({ id }) => id)).toEqual(["3", "2", "4", "1"]));

  it("are counted in words", () => {
    expect(countsText(all)).toBe("1 critical, 2 warnings, 1 to know");
    expect(countsText([])).toBeNull();
  });

  it("are about stations or machinery", () => {
    expect(aboutOf(alert())).toBe("stations");
    expect(aboutOf(alert({ kind: "rejects", subject: { kind: "pipeline", name: "weather" } }))).toBe(
      "stations",
    );
    expect(aboutOf(alert({ kind: "job_down", subject: { kind: "job", name: "weather-infer" } }))).toBe(
      "machinery",
    );
  });
});

describe("wordsOf()", () => {
  it.each([
    ["Run: millrace logs weather-infer", ["text:Run ", "command:millrace logs weather-infer"]],
    [
      "Run: millrace jobs, and look at what feeds the pipeline",
      ["text:Run ", "command:millrace jobs", "text:, and look at what feeds the pipeline"],
    ],
    [
      "Wait while it shrinks. Run: millrace store",
      ["text:Wait while it shrinks. Run ", "command:millrace store"],
    ],
    [
      "Look whether it still sends; GET /weather/stations/new-york/observations has its last windows",
      [
        "text:Look whether it still sends; ",
        "address:/weather/stations/new-york/observations",
        "text: has its last windows",
      ],
    ],
    [
      "Wait until GET /health/ready answers 200",
      ["text:Wait until ", "address:/health/ready", "text: answers 200"],
    ],
    ["Mend it", ["text:Mend it"]],
    ["Run: millrace up --with hdfs.", ["text:Run ", "command:millrace up --with hdfs", "text:."]],
  ])("%s", (next, parts) => expect(wordsOf(next).map(({ kind, text }) => `${kind}:${text}`)).toEqual(parts));
});
