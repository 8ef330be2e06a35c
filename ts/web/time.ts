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
