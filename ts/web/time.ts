// Moments as people read them: UTC first, because records have it, and the reader's own time zone beside it. Pure but for the zone.

const UTC = new Intl.DateTimeFormat("en-GB", {
  timeZone: "UTC",
  ...{ day: "2-digit", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" },
});
const OWN = new Intl.DateTimeFormat("en-GB", {
  ...{ day: "2-digit", month: "short", hour: "2-digit", minute: "2-digit", timeZoneName: "short" },
});

/** `04 Dec 2016, 13:05 UTC`. */
export const utcText = (ms: number): string => `${UTC.format(ms)} UTC`;
/** `04 Dec, 08:05 EST`. */
export const ownText = (ms: number): string => OWN.format(ms);

/** Both, where they differ. */
export function momentText(ms: number): string {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return zone === "UTC" || zone === "Etc/UTC" ? utcText(ms) : `${utcText(ms)} · ${ownText(ms)}`;
}

/** More steps than this are no longer told apart by hand. */
const STEPS_MAX = 2_000;

/** Ends and step of the slider: whole steps, the newest one last. Null where there is nothing behind now. */
export function sliderSpan(
  oldest_ms: number,
  newest_ms: number,
  step_ms: number,
): { readonly from_ms: number; readonly to_ms: number; readonly step_ms: number } | null {
  const to_ms = Math.floor(newest_ms / step_ms) * step_ms;
  const steps = Math.floor((to_ms - oldest_ms) / step_ms);
  if (steps < 1) return null;
  const wide_ms = Math.ceil(steps / STEPS_MAX) * step_ms;
  return { from_ms: to_ms - Math.floor((to_ms - oldest_ms) / wide_ms) * wide_ms, to_ms, step_ms: wide_ms };
}
