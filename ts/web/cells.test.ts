import { describe, expect, it } from "vitest";
import {
  cells,
  columnText,
  escapeHtml,
  heads,
  horizonsOf,
  ordered,
  outlook,
  type StationsView,
  type StationView,
  spanText,
  staleText,
  stationsSummary,
  targetsOf,
  unitText,
  valueText,
} from "./cells.ts";

const row = (more: Partial<StationView> = {}): StationView => ({
  station_id: "new-york",
  name: "New York",
  reported: true,
  observed: null,
  forecast: null,
  age_s: null,
  behind_s: null,
  stale: false,
  stale_reason: null,
  ...more,
});
const forecast = {
  timestamp: "2016-12-04T13:05:00.000Z",
  predictions: { temperature_6h: -3.14, temperature_12h: null },
  intervals: { temperature_6h: { lower: -5, upper: 0.04, level: 0.9 }, temperature_12h: null },
  is_anomaly: false,
  anomaly_type: null,
  evidence: [],
  overall_confidence: 0.704,
  model_version: "3",
  in_sample: false,
};
const view = (stations: StationView[]): StationsView => ({
  pipeline: "weather",
  parts: ["windows", "history", "forecast", "anomaly"],
  frontier: "2016-12-04T13:05:00.000Z",
  count: stations.length,
  units: {
    predictions: { temperature_6h: "degC", temperature_12h: "degC", humidity_6h: "%" },
    values: { temperature_mean: "degC", wind_direction_circular_mean: "deg" },
  },
  stations,
  next: null,
});

describe("words", () => {
  it.each([
    [0.4, "0.4 s"],
    [9.96, "10.0 s"],
    [12, "12 s"],
    [119, "119 s"],
    [120, "2 min"],
    [7_199, "120 min"],
    [7_200, "2.0 h"],
    [172_800, "2 d"],
  ])("spanText(%d) is %s", (seconds, text) => expect(spanText(seconds)).toBe(text));

  it.each([
    [null, "degC", "–"],
    [-0.04, "degC", "0.0"],
    [-3.14, "degC", "−3.1"],
    [-0.4, "%", "0"],
    [358.6, "deg", "359"],
    [1021.44, "hPa", "1021.4"],
  ])("valueText(%s, %s) is %s", (value, unit, text) => expect(valueText(value, unit)).toBe(text));

  it("names columns, units, targets and horizons", () => {
    expect(columnText("wind_direction_circular_mean")).toBe("Wind direction");
    expect(columnText("precipitation_sum")).toBe("Precipitation");
    expect(unitText("degC")).toBe("°C");
    expect(targetsOf(view([]).units.predictions)).toEqual(["temperature", "humidity"]);
    expect(horizonsOf({ a_24h: "", a_90m: "", a_b_6h: "", a_6h: "" }, "a")).toEqual([
      { name: "a_90m", hours: 1.5 },
      { name: "a_6h", hours: 6 },
      { name: "a_24h", hours: 24 },
    ]);
  });

  it("says horizons of less than whole hours in minutes", () => {
    const units = { predictions: { level_30m: "m", level_2h: "m" }, values: {} };
    const all = { ...view([]), units };
    expect(heads(all, "level").map(([text]) => text)).toEqual(
      expect.arrayContaining(["In 30 min", "In 2 h"]),
    );
    const soon = { ...forecast, predictions: { level_30m: 1.25, level_2h: null }, intervals: {} };
    expect(cells(row({ forecast: soon }), all, "level")).toContain("<b>1.3</b>");
  });

  it("escapeHtml() leaves nothing that opens or closes", () =>
    expect(escapeHtml(`<a b="c" d='e'>&`)).toBe("&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;"));
});

describe("cells()", () => {
  it("has one for each head", () => {
    const all = view([row({ forecast }), row()]);
    for (const target of ["temperature", "humidity"])
      for (const station of all.stations)
        expect(cells(station, all, target)).toHaveLength(heads(all, target).length);
  });

  it("shows the median with its interval, and what is missing as missing", () => {
    const all = view([row({ forecast, age_s: 3 })]);
    const texts = cells(all.stations[0]!, all, "temperature");
    expect(texts).toContain("<b>−3.1</b><small>−5.0 to 0.0</small>");
    expect(texts).toContain('<span class="none">–</span>');
    expect(texts.at(-1)).toBe("3.0 s");
    expect(texts).toContain("70 %");
  });

  it("says why a station is stale and why a window is an anomaly", () => {
    expect(staleText(row({ stale: true, stale_reason: "trails_network", behind_s: 18_000 }))).toBe(
      "stale: 5.0 h behind",
    );
    expect(staleText(row({ stale: true, stale_reason: "network_silent" }))).toBe("stale: nothing arrives");
    const odd = row({
      forecast: { ...forecast, is_anomaly: true, anomaly_type: "step", evidence: ["rose 13 K"] },
    });
    const text = cells(odd, view([odd]), "temperature").join("");
    expect(text).toContain(">step</span>");
    expect(text).toContain("rose 13 K");
  });
});

describe("a pipeline without rules", () => {
  const { is_anomaly: _a, anomaly_type: _b, evidence: _c, ...unjudged } = forecast;
  const all = { ...view([row({ forecast: unjudged, age_s: 1 })]), parts: ["windows", "history", "forecast"] };

  it("has no column of verdicts and counts none", () => {
    const words = heads(all, "temperature").map(([text]) => text);
    expect(words).toEqual(
      heads({ ...all, parts: ["anomaly"] }, "temperature")
        .map(([text]) => text)
        .filter((text) => text !== "Anomaly"),
    );
    expect(cells(all.stations[0]!, all, "temperature")).toHaveLength(words.length);
    expect(stationsSummary(all)).toBe("1 station · event time 2016-12-04 13:05 UTC · 0 stale");
  });
});

describe("outlook()", () => {
  it("is empty without a forecast and draws one point without a range", () => {
    expect(outlook(1, [6], [null], [null])).toBe("");
    expect(outlook(null, [6], [2], [null])).toContain("<circle");
    expect(outlook(null, [6], [2], [null])).not.toContain("NaN");
  });
});

describe("the list", () => {
  const absent = row({ station_id: "a", reported: false });
  const early = row({ station_id: "b" });
  const heard = row({ station_id: "c", forecast, age_s: 1 });

  it("shows stations that have reported first", () =>
    expect(ordered(view([absent, early, heard])).map((s) => s.station_id)).toEqual(["b", "c", "a"]));

  it("sums up what needs a look", () => {
    expect(stationsSummary(view([early, { ...heard, stale: true }]))).toBe(
      "2 stations · event time 2016-12-04 13:05 UTC · 0 anomalies · 1 stale · 1 without a forecast",
    );
    expect(stationsSummary({ ...view([early]), frontier: null })).toBe(
      "1 station · no forecast yet · 0 anomalies · 0 stale",
    );
  });

  it("leaves stations that have not reported in this run out of the sum, and says so in their row", () => {
    const all = { ...view([absent, heard]), count: 1 };
    expect(stationsSummary(all)).toBe("1 station · event time 2016-12-04 13:05 UTC · 0 anomalies · 0 stale");
    expect(cells(absent, all, "temperature").at(-1)).toContain("has not reported");
  });
});
