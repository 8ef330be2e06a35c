// The time slider: any moment that the store knows, as it looked then. The address keeps it, so that it can be sent to somebody.

import { at, momentWord, pastFault } from "./moment.ts";
import { show } from "./navigate.ts";
import { frontier, pipeline } from "./store.ts";
import { momentText, sliderSpan, utcText } from "./time.ts";

export function Slider() {
  const history = pipeline.value?.history ?? null;
  const newest_ms = frontier.value ?? (history ? Date.parse(history.to) : null);
  const span =
    history && newest_ms !== null
      ? sliderSpan(Date.parse(history.from), newest_ms, pipeline.value!.step_ms)
      : null;
  const at_ms = at.value;
  const move = (ms: number) => show({ at: span && ms >= span.to_ms ? "" : momentWord(ms) });
  return (
    <div class="slider">
      <label for="moment">Time</label>
      <input
        id="moment"
        type="range"
        disabled={!span}
        min={span?.from_ms ?? 0}
        max={span?.to_ms ?? 1}
        step={span?.step_ms ?? 1}
        value={at_ms ?? span?.to_ms ?? 1}
        aria-valuetext={at_ms === null ? "Now" : utcText(at_ms)}
        onInput={(event) => move(Number(event.currentTarget.value))}
      />
      <span class="shown">
        {at_ms === null ? (span ? "Now" : "Now; nothing is stored of the past") : momentText(at_ms)}
      </span>
      <button type="button" disabled={at_ms === null} onClick={() => show({ at: "" })}>
        Back to now
      </button>
      {pastFault.value !== null && <p class="fault-text">The past cannot be shown: {pastFault.value}</p>}
    </div>
  );
}
