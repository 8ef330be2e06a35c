// One station as the newest event makes it. Pure; store.ts keeps all of them.

import type { Station, StreamEvents } from "./api.ts";

/** A station as its newest prediction makes it; the older one of two is dropped. */
export function withPrediction(station: Station, { prediction }: StreamEvents["prediction"]): Station {
  const { forecast } = station;
  if (forecast && forecast.timestamp > prediction.timestamp) return station;
  const { timestamp, predictions, intervals, confidence, anomaly, model_version, in_sample } = prediction;
  const { age_s, behind_s, stale, stale_reason } = prediction;
  return {
    ...station,
    ...{ reported: true, age_s, behind_s, stale, stale_reason },
    forecast: {
      ...{ timestamp, predictions, intervals, model_version, in_sample },
      overall_confidence: confidence["overall_confidence"] ?? null,
      ...(anomaly && {
        is_anomaly: anomaly.is_anomaly,
        anomaly_score: anomaly.anomaly_score,
        anomaly_type: anomaly.anomaly_type,
        evidence: anomaly.evidence,
      }),
    },
  };
}

/** A station with its newest window; the older one of two is dropped. */
export function withObservation(station: Station, { observed }: StreamEvents["observation"]): Station {
  if (station.observed && station.observed.window_end > observed.window_end) return station;
  return { ...station, reported: true, observed };
}

/** What a station of which nothing was heard yet looks like. */
export const strange = (station_id: string): Station => ({
  ...{ station_id, name: station_id, latitude: null, longitude: null, elevation_m: null },
  ...{ reported: true, observed: null, forecast: null },
  ...{ age_s: null, behind_s: null, stale: false, stale_reason: null },
});
