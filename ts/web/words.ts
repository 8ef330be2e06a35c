// How names of a contract, units, numbers and spans are said to people. Pure. A number has as many digits as it means: a forecast those
// that its interval leaves standing, a value those of its unit.

import type { Station } from "./api.ts";

type Interval = NonNullable<NonNullable<Station["forecast"]>["intervals"][string]>;

/** `wind_speed` → `Wind speed`. */
export function titleOf(name: string): string {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** A contract's unit as people write it. */
export const unitText = (unit: string): string =>
  unit === "degC" ? "°C" : unit === "deg" ? "°" : unit === "1" ? "" : unit;

/** A unit behind a number: a degree sign and a percent stand where they are written. */
export const withUnit = (number: string, unit: string): string => {
  const text = unitText(unit);
  return text === "" ? number : `${number}${text === "°" ? "" : " "}${text}`;
};

/** Minus as it is set, and no minus before nothing. */
const signed = (text: string): string => text.replace(/^-(0(?:\.0*)?)$/, "$1").replace("-", "−");

/** Digits behind the point of a measured value: directions and shares are whole, everything else has one. */
const decimalsOf = (unit: string): number => (unit === "deg" || unit === "%" ? 0 : 1);

export const NONE = "–";

/** A measured value. */
export function valueText(value: number | null | undefined, unit: string): string {
  return value === null || value === undefined ? NONE : signed(value.toFixed(decimalsOf(unit)));
}

/** Digits behind the point that a number means whose uncertainty is this wide: the last one is at most a tenth of it. */
export function decimalsWithin(width: number): number {
  if (!(width > 0)) return 1;
  return Math.min(3, Math.max(0, Math.ceil(-Math.log10(width / 10))));
}

/** A forecast with as many digits as its interval leaves standing, and never more than its unit has. */
export function forecastText(
  value: number | null | undefined,
  unit: string,
  interval: Interval | null | undefined,
): string {
  if (value === null || value === undefined) return NONE;
  if (!interval) return valueText(value, unit);
  return signed(value.toFixed(Math.min(decimalsOf(unit), decimalsWithin(interval.upper - interval.lower))));
}

/** `1.1 to 5.6`. */
export function rangeText(interval: Interval | null | undefined, unit: string): string {
  if (!interval) return NONE;
  const one = (end: number) => forecastText(end, unit, interval);
  return `${one(interval.lower)} to ${one(interval.upper)}`;
}

/** A difference, with its sign. */
export function errorText(error: number | null | undefined, unit: string): string {
  if (error === null || error === undefined) return NONE;
  const text = valueText(error, unit);
  return error > 0 && !/^0(\.0)?$/.test(text) ? `+${text}` : text;
}

export const percentText = (share: number | null | undefined): string =>
  share === null || share === undefined ? NONE : signed(`${Math.round(share * 100)} %`);

/** `6 h`, `90 min`. */
export const aheadText = (hours: number): string =>
  Number.isInteger(hours) ? `${hours} h` : `${Math.round(hours * 60)} min`;

/** A span for people: `12 s`, `3 min`, `2.5 h`, `4 d`. */
export function spanText(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${(seconds / 3_600).toFixed(1)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}
