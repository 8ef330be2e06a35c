// The anomalies of a station in the time that is shown: type, evidence, moment.

import { momentText } from "../time.ts";
import { titleOf } from "../words.ts";
import type { StationRecord } from "./record.ts";

export function Anomalies({ record, word }: { readonly record: StationRecord; readonly word: string }) {
  const flagged = record.issued.filter(({ anomaly }) => anomaly?.is_anomaly).toReversed();
  const runOf = (t_ms: number, type: string | null) =>
    record.anomalies.find(
      (run) => run.type === type && Date.parse(run.opened) <= t_ms && t_ms <= Date.parse(run.last),
    );
  return (
    <section class="card">
      <h3>Anomalies</h3>
      {flagged.length === 0 ? (
        <p class="note">No window of this {word} was flagged in the time that is shown.</p>
      ) : (
        <ul class="anomalies">
          {flagged.slice(0, 50).map(({ id, timestamp, anomaly }) => {
            const t_ms = Date.parse(timestamp);
            const run = runOf(t_ms, anomaly!.anomaly_type);
            return (
              <li key={id}>
                <b>
                  <i class="shape anomaly" aria-hidden="true" /> {titleOf(anomaly!.anomaly_type ?? "unusual")}
                </b>{" "}
                <time dateTime={timestamp}>{momentText(t_ms)}</time>
                <p>{anomaly!.evidence.join("; ") || "No evidence was recorded."}</p>
                <small>
                  Score {anomaly!.anomaly_score.toFixed(1)}; 1 and more is at or beyond a limit.
                  {run && run.ended === null && " It has not ended."}
                </small>
              </li>
            );
          })}
        </ul>
      )}
    </section>
  );
}
