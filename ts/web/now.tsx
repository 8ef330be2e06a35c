// Whether what is shown is live: how the stream does, which time is shown, and whether that is a replay.

import { useEffect, useState } from "preact/hooks";
import { route } from "./navigate.ts";
import { isReplay, speedText } from "./pace.ts";
import { connection, frontier, health, speed } from "./store.ts";
import { momentText } from "./time.ts";

/** The wall clock, moved on every `ms`. */
export function useClock(ms: number): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), ms);
    return () => clearInterval(timer);
  }, [ms]);
  return now;
}

const STATE = {
  connecting: ["warn", "Connecting"],
  live: ["ok", "Live"],
  cut: ["down", "Cut off"],
} as const;
const HEALTH = {
  ok: ["ok", "Everything runs"],
  degraded: ["degraded", "Something is down"],
  down: ["down", "Something needed is down"],
} as const;

export function Now() {
  const now_ms = useClock(1_000);
  const end = frontier.value;
  const [tone, word] = STATE[connection.value];
  const at = route.value.query["at"];
  const state = health.value && HEALTH[health.value.status];
  const replay = end !== null && isReplay(end, now_ms);
  const pace = speedText(speed.value);
  return (
    <div class="now">
      <p class={`status stream ${at === undefined ? tone : "degraded"}`} role="status">
        {at === undefined ? (replay && connection.value === "live" ? `${word}, replay` : word) : "As it was"}
      </p>
      <p class={`status health ${state?.[0] ?? ""}`}>{state?.[1] ?? "Looking around"}</p>
      <p class="moment">
        {replay && pace !== null && <small>{pace}</small>}
        {end === null ? "" : momentText(end)}
      </p>
    </div>
  );
}
