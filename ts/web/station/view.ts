// What is shown of one station, and what of it becomes lines, bands and marks of a chart. Pure.

import type { Pipeline } from "../api.ts";
import type { Field } from "../field.ts";
import type { Area, ChartMark, Line } from "./chart.tsx";
import type { StationRecord } from "./record.ts";
import type { Issued, Point, Truth } from "./series.ts";

export interface View {
  readonly pipeline: Pipeline;
  readonly field: Field;
  readonly record: StationRecord;
  readonly from_ms: number;
  /** The moment that is shown: the newest window, or the one that was asked for. */
  readonly now_ms: number;
  readonly observed: Line["points"];
  readonly newest: Issued | null;
  readonly earlier: Issued | null;
  readonly truths: readonly Truth[];
}

/** Names of the widest band and of the narrowest, as the contract has them. */
export const levelsOf = ({ bands }: Pipeline): readonly number[] =>
  bands.length < 2 ? bands : [bands.at(-1)!, bands[0]!];

export const bandPoints = (points: readonly Point[], level: number): Area["points"] =>
  points.flatMap(({ t_ms, bands }) => {
    const band = bands.find((one) => one.level === level);
    return band ? [{ t_ms, lower: band.lower, upper: band.upper }] : [];
  });

export const lineOf = (points: readonly Point[]): Line["points"] =>
  points.map(({ t_ms, value }) => [t_ms, value]);

export function anomalyMarks({ record, field, observed }: View): ChartMark[] {
  const value = new Map(observed);
  if (!field.column) return [];
  return record.issued.flatMap((one) => {
    const t_ms = Date.parse(one.timestamp);
    const at = value.get(t_ms);
    return one.anomaly?.is_anomaly && at !== undefined
      ? [{ t_ms, value: at, shape: "triangle" as const, colour: "--anomaly" }]
      : [];
  });
}

export const truthMark = ({ t_ms, value, held }: Truth): ChartMark => ({
  ...{ t_ms, value },
  shape: held === false ? "cross" : "dot",
  colour: held === false ? "--bad" : "--good",
});

/** The store may be behind what memory knows. */
export const newerOf = (a: Issued | null, b: Issued | null): Issued | null =>
  a && b ? (a.timestamp >= b.timestamp ? a : b) : (a ?? b);
