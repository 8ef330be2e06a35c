import { describe, expect, it } from "vitest";
import type { Verification } from "../api.ts";
import { asIssued, fanOf, type Issued, issuedAt, joined, merged, truthsOf, usualOf } from "./series.ts";

const T = Date.parse("2016-12-04T12:00:00Z");
const H = 3_600_000;
const iso = (ms: number) => new Date(ms).toISOString();
const forecast = (horizon_h: number) => ({
  ...{ name: `temperature_${horizon_h}h`, target: "temperature", unit: "degC", column: "temperature_mean" },
  ...{ horizon: `${horizon_h}h`, horizon_h },
});
const issued = (t_ms: number, values: Record<string, number | null>): Issued => ({
  ...{ id: String(t_ms), timestamp: iso(t_ms), model_version: "1", in_sample: false, predictions: values },
  climatology: null,
  bands: Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      value === null ? [] : [{ level: 0.9, lower: value - 2, upper: value + 2 }],
    ]),
  ),
});

describe("fanOf()", () => {
  const one = issued(T, { temperature_6h: 4, temperature_12h: null, temperature_24h: 8 });
  it("opens from what was measured, and leaves out what the model gave none of", () =>
    expect(fanOf(one, [6, 12, 24].map(forecast), 3)).toEqual([
      { t_ms: T, value: 3, bands: [{ level: 0.9, lower: 3, upper: 3 }] },
      { t_ms: T + 6 * H, value: 4, bands: [{ level: 0.9, lower: 2, upper: 6 }] },
      { t_ms: T + 24 * H, value: 8, bands: [{ level: 0.9, lower: 6, upper: 10 }] },
    ]));
  it("begins at its first horizon where nothing was measured", () =>
    expect(fanOf(one, [6].map(forecast), null).map(({ t_ms }) => t_ms)).toEqual([T + 6 * H]));
  it("is empty without a forecast", () =>
    expect(fanOf(issued(T, { temperature_6h: null }), [forecast(6)], 3)).toEqual([]));
});

it("usualOf() has each moment once, and nothing of a forecast without it", () => {
  const usual = (mean: number) => ({ mean, lower: mean - 1, upper: mean + 1, level: 0.9 });
  const history = [
    { ...issued(T, {}), climatology: { temperature_6h: usual(4), temperature_12h: null } },
    { ...issued(T - 6 * H, {}), climatology: { temperature_6h: usual(2), temperature_12h: usual(4) } },
    issued(T - 9 * H, {}),
  ];
  expect(usualOf(history, [forecast(6), forecast(12)])).toEqual([
    { t_ms: T, lower: 1, upper: 3 },
    { t_ms: T + 6 * H, lower: 3, upper: 5 },
  ]);
});

it("asIssued() lies at the moments that were meant", () =>
  expect(
    asIssued([issued(T - H, { temperature_6h: 1 }), issued(T, { temperature_6h: null })], forecast(6)),
  ).toMatchObject([{ t_ms: T + 5 * H, value: 1 }]));

it("issuedAt() takes the closest within reach", () => {
  const history = [issued(T - 2 * H, {}), issued(T - H, {}), issued(T, {})];
  expect(issuedAt(history, T - 0.9 * H, H / 2)?.timestamp).toBe(iso(T - H));
  expect(issuedAt(history, T - 9 * H, H / 2)).toBeNull();
});

it("truthsOf() says of each whether its band held", () => {
  const verification = (more: object) =>
    ({
      ...{ target: "temperature", horizon_h: 6, valid: iso(T), truth: 4, forecast_id: "f" },
      model: { value: 3, covered_90: true },
      ...more,
    }) as unknown as Verification;
  const truths = truthsOf(
    [
      verification({ valid: iso(T + H), model: { value: 3, covered_90: false } }),
      verification({}),
      verification({ target: "humidity" }),
      verification({ truth: null }),
    ],
    "temperature",
    90,
  );
  expect(truths.map(({ t_ms, held }) => [t_ms - T, held])).toEqual([
    [0, true],
    [H, false],
  ]);
});

it("merged() takes the newer of one key, in order, and drops what is too old", () => {
  const row = (t: number, v: string) => ({ t, v });
  expect(
    merged(
      [row(1, "a"), row(2, "a"), row(3, "a")],
      [row(3, "b"), row(2.5, "b")],
      (one) => String(one.t),
      (one) => one.t,
      2,
    ),
  ).toEqual([row(2, "a"), row(2.5, "b"), row(3, "b")]);
});

it("joined() puts series on one axis", () =>
  expect(
    joined([
      [
        [1, 10],
        [3, 30],
      ],
      [[2, 5]],
    ]),
  ).toEqual({
    times_ms: [1, 2, 3],
    values: [
      [10, null, 30],
      [null, 5, null],
    ],
  }));
