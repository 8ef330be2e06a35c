// How the shown forecast is known: which model, from what, how long it took.

import type { Forecast, Pipeline } from "../api.ts";
import { momentText } from "../time.ts";
import { percentText, spanText, titleOf } from "../words.ts";
import type { Issued } from "./series.ts";

export function Known({
  newest,
  issued,
  one,
}: {
  readonly newest: Forecast | null;
  readonly issued: Issued;
  readonly one: Pipeline;
}) {
  const confidence = newest ? Object.entries(newest.confidence) : [];
  const rows: readonly (readonly [string, string])[] = [
    [
      "Model version",
      `${issued.model_version}${issued.in_sample ? ", on data it was trained on: proves nothing" : ""}`,
    ],
    ["Issued at", momentText(Date.parse(issued.timestamp))],
    [
      "Made from",
      `the window of ${spanText(one.window_ms / 1000)} that ends then, and the history before it`,
    ],
    ...(newest?.latency_ms == null
      ? []
      : [["From record to forecast", `${(newest.latency_ms / 1000).toFixed(2)} s`] as const]),
    ...confidence.map(([name, share]) => [titleOf(name), percentText(share)] as const),
    ["Identity", issued.id],
  ];
  return (
    <section class="card">
      <h3>How these numbers are known</h3>
      <dl class="known">
        {rows.map(([name, text]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
      <p class="note">
        Bands are scaled by how often this {one.entity}’s own truths fell outside. What a confidence means is
        told in the <a href="/docs">API’s description</a>.
      </p>
    </section>
  );
}
