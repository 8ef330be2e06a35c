// What is known of one station over a while, and what an event of the stream makes of it. Pure; use.ts asks and follows.

import type { Anomalies, Forecast, Scoreboard, Verification } from "../api.ts";
import { type Issued, merged, type Window } from "./series.ts";

export interface StationRecord {
  readonly windows: readonly Window[];
  readonly issued: readonly Issued[];
  readonly verifications: readonly Verification[];
  readonly anomalies: Anomalies["anomalies"];
  readonly scores: Scoreboard["scores"];
  /** The newest forecast with everything that is known of it; null for a moment of the past, and where there is none. */
  readonly newest: Forecast | null;
  /** Why the past is not there; null while it is. */
  readonly fault: string | null;
  readonly loaded: boolean;
}

export const NOTHING: StationRecord = {
  ...{ windows: [], issued: [], verifications: [], anomalies: [], scores: [] },
  ...{ newest: null, fault: null, loaded: false },
};

const issuedOf = (one: Forecast): Issued => one as unknown as Issued;

/** The record with what an event of its station says. */
export function withEvent(record: StationRecord, kind: string, data: object, from_ms: number): StationRecord {
  if (kind === "prediction" && "prediction" in data) {
    const newest = data.prediction as Forecast;
    const issued = merged(
      record.issued,
      [issuedOf(newest)],
      (one) => one.timestamp,
      (one) => Date.parse(one.timestamp),
      from_ms,
    );
    return { ...record, newest, issued };
  }
  if (kind === "observation" && "observed" in data) {
    const window = data.observed as Window;
    const windows = merged(
      record.windows,
      [window],
      (one) => one.window_end,
      (one) => Date.parse(one.window_end),
      from_ms,
    );
    return { ...record, windows };
  }
  if (kind === "verification" && "verification" in data) {
    const one = data.verification as Verification;
    const verifications = merged(
      record.verifications,
      [one],
      ({ id }) => id,
      ({ valid }) => Date.parse(valid),
      from_ms,
    );
    return { ...record, verifications };
  }
  return record;
}
