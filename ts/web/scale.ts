// Numbers to colours: a ramp for values, one with a middle for errors, one that closes for directions. Pure. Every colour stands out from
// the map in light and in dark, and none says anything that is not also written.

type Rgb = readonly [number, number, number];

/** Source: viridis of matplotlib, at every fifth; the darkest end is left out, which would sink into a dark map. */
const VALUE: readonly Rgb[] = [
  [72, 54, 140],
  [49, 104, 142],
  [33, 145, 140],
  [53, 183, 121],
  [144, 215, 67],
  [248, 225, 33],
];
/** Source: RdYlBu of ColorBrewer, turned round: below is blue, above is red. */
const DIFFERENCE: readonly Rgb[] = [
  [49, 91, 186],
  [116, 173, 209],
  [236, 236, 222],
  [244, 138, 84],
  [188, 30, 45],
];
/** North, east, south, west and north again. */
const CIRCLE: readonly Rgb[] = [
  [86, 120, 214],
  [84, 170, 120],
  [226, 186, 70],
  [205, 92, 92],
  [86, 120, 214],
];

function between(stops: readonly Rgb[], share: number): string {
  const at = Math.min(1, Math.max(0, share)) * (stops.length - 1);
  const i = Math.min(stops.length - 2, Math.floor(at));
  const [a, b] = [stops[i]!, stops[i + 1]!];
  const part = at - i;
  const mixed = a.map((channel, k) => Math.round(channel + (b[k]! - channel) * part));
  return `rgb(${mixed.join(" ")})`;
}

export interface Scale {
  readonly low: number;
  readonly high: number;
  /** The colour of a number; beyond the ends it is that of the end. */
  colour(value: number): string;
}

/** A step that people count in: 1, 2 or 5 times a power of ten, at least this large. */
function roundStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return power * ([1, 2, 5, 10].find((times) => times * power >= least * (1 - 1e-9)) ?? 10);
}

/** Ends that hold all values, on whole steps, so that a new value seldom moves them. */
export function roundEnds(values: readonly number[]): readonly [number, number] {
  if (values.length === 0) return [0, 1];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const step = roundStep(Math.max(high - low, Math.abs(high) * 1e-3, 1e-9) / 4);
  const [from, to] = [Math.floor(low / step) * step, Math.ceil(high / step) * step];
  return from === to ? [from, from + step] : [from, to];
}

/** Of values as they are. */
export function valueScale(values: readonly number[]): Scale {
  const [low, high] = roundEnds(values);
  return { low, high, colour: (value) => between(VALUE, (value - low) / (high - low)) };
}

/** Of differences: the middle is nothing. */
export function differenceScale(values: readonly number[]): Scale {
  const [, high] = roundEnds([0, ...values.map(Math.abs)]);
  return { low: -high, high, colour: (value) => between(DIFFERENCE, (value + high) / (2 * high)) };
}

/** Of directions in degrees: 360 is 0 again. */
export function circleScale(): Scale {
  return { low: 0, high: 360, colour: (value) => between(CIRCLE, (((value % 360) + 360) % 360) / 360) };
}

/** The colours of a legend from one end to the other, both inclusive. */
export function legendColours({ low, high, colour }: Scale, count: number): string[] {
  return Array.from({ length: count }, (_, i) => {
    const at = low + ((high - low) * i) / (count - 1);
    // The end of a circle has the colour of its beginning all the same.
    return colour(at);
  });
}
