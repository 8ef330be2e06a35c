// What colours and shapes of the map mean.

import { legendColours, type Scale } from "../scale.ts";
import type { StateKind } from "../state.ts";
import { valueText, withUnit } from "../words.ts";

export function Legend({
  scale,
  unit,
  title,
}: {
  readonly scale: Scale;
  readonly unit: string;
  readonly title: string;
}) {
  const colours = legendColours(scale, 24);
  const text = (value: number) =>
    withUnit(Number.isInteger(value) ? valueText(value, "%") : valueText(value, unit), unit);
  return (
    <p class="legend">
      <span>{title}</span>
      <span class="ends">{text(scale.low)}</span>
      <svg width="140" height="12" viewBox="0 0 24 1" preserveAspectRatio="none" aria-hidden="true">
        {colours.map((colour, i) => (
          <rect key={`${i}${colour}`} x={i} width="1.05" height="1" fill={colour} />
        ))}
      </svg>
      <span class="ends">{text(scale.high)}</span>
    </p>
  );
}

export function Shapes() {
  const shapes: readonly (readonly [StateKind, string])[] = [
    ["well", "reports"],
    ["anomaly", "anomaly"],
    ["stale", "stale"],
    ["quiet", "not heard of"],
  ];
  return (
    <p class="legend shapes">
      {shapes.map(([kind, text]) => (
        <span key={kind}>
          <i class={`shape ${kind}`} aria-hidden="true" /> {text}
        </span>
      ))}
    </p>
  );
}
