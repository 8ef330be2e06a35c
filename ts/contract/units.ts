// The closed table of units: what a contract may say, and how a source's unit becomes the contract's.
// Conversion happens at the edge, where a source reads foreign values, and nowhere else. Words follow UCUM where it has a
// readable one. Compound conversions (a rate, an area) deliberately do not exist.

import { PipelineError } from "./errors.ts";

interface UnitRule {
  readonly dimension: string;
  /** value in the dimension's first unit = value * scale + offset. */
  readonly scale: number;
  readonly offset: number;
  /** The unit of a slope per hour; null where a slope says nothing. */
  readonly per_hour: string | null;
  /** Whether amounts of it may be summed over a window. */
  readonly additive: boolean;
}

const level = (dimension: string, per_hour: string | null, scale = 1, offset = 0): UnitRule => ({
  dimension,
  scale,
  offset,
  per_hour,
  additive: false,
});
const amount = (dimension: string, per_hour: string | null, scale = 1): UnitRule => ({
  dimension,
  scale,
  offset: 0,
  per_hour,
  additive: true,
});

/** Units a contract may use. */
export const UNITS = {
  degC: level("temperature", "degC/h"),
  K: level("temperature", "K/h", 1, -273.15),
  hPa: level("pressure", "hPa/h"),
  "m/s": level("speed", "m/s/h"),
  "km/h": level("speed", "km/h/h", 1 / 3.6),
  deg: level("angle", null),
  mm: amount("length", "mm/h"),
  m: amount("length", "m/h", 1000),
  km: amount("length", "km/h", 1_000_000),
  "%": level("share", "%/h"),
  "1": amount("share", "1/h", 100),
  kW: level("power", "kW/h"),
  kWh: amount("energy", "kW"),
  "W/m2": level("irradiance", "W/m2/h"),
  V: level("voltage", "V/h"),
  A: level("current", "A/h"),
  ms: amount("time", null),
  s: amount("time", null, 1000),
  h: amount("time", null, 3_600_000),
} as const satisfies Record<string, UnitRule>;

export type Unit = keyof typeof UNITS;

/** A unit as part of a name; the same as unit_word in jobs/ray/ray_jobs/judge/scores.py. */
export const unitWord = (unit: string | null): string =>
  (unit ?? "1").replaceAll("%", "pct").replaceAll("/", "_per_");

/** Units a source may come in, beside those of the table above. No contract uses them. */
const FOREIGN: Readonly<Record<string, UnitRule>> = {
  degF: level("temperature", null, 5 / 9, -160 / 9),
  Pa: level("pressure", null, 0.01),
  kPa: level("pressure", null, 10),
  mbar: level("pressure", null, 1),
  mmHg: level("pressure", null, 1.33322387415),
  inHg: level("pressure", null, 33.8638866667),
  kn: level("speed", null, 1852 / 3600),
  mph: level("speed", null, 0.44704),
  "ft/s": level("speed", null, 0.3048),
  rad: level("angle", null, 180 / Math.PI),
  cm: amount("length", null, 10),
  in: amount("length", null, 25.4),
  ft: amount("length", null, 304.8),
  mi: amount("length", null, 1_609_344),
  W: level("power", null, 0.001),
  MW: level("power", null, 1000),
  mV: level("voltage", null, 0.001),
  kV: level("voltage", null, 1000),
};

/** Other words for them that sources use, in lower case: names in full, UCUM's own codes, what instruments print. */
const OTHER_WORDS: Readonly<Record<string, string>> = {
  ...{
    c: "degC",
    "°c": "degC",
    degc: "degC",
    cel: "degC",
    celsius: "degC",
    "degrees celsius": "degC",
    degree_celsius: "degC",
  },
  ...{
    f: "degF",
    "°f": "degF",
    degf: "degF",
    "[degf]": "degF",
    fahrenheit: "degF",
    "degrees fahrenheit": "degF",
  },
  ...{ k: "K", kelvin: "K" },
  ...{
    hpa: "hPa",
    pa: "Pa",
    kpa: "kPa",
    mb: "mbar",
    millibar: "mbar",
    mmhg: "mmHg",
    inhg: "inHg",
    in_hg: "inHg",
    torr: "mmHg",
  },
  ...{
    "m s-1": "m/s",
    "m.s-1": "m/s",
    mps: "m/s",
    kmh: "km/h",
    kph: "km/h",
    "km h-1": "km/h",
    "km_h-1": "km/h",
    "m_s-1": "m/s",
  },
  ...{
    kt: "kn",
    kts: "kn",
    knot: "kn",
    knots: "kn",
    "[kn_i]": "kn",
    "mi/h": "mph",
    "[mi_i]/h": "mph",
    fps: "ft/s",
  },
  ...{ "°": "deg", degree: "deg", "degree_(angle)": "deg", degrees: "deg", radian: "rad", radians: "rad" },
  ...{
    percent: "%",
    pct: "%",
    fraction: "1",
    inch: "in",
    inches: "in",
    "[in_i]": "in",
    millimeter: "mm",
    millimetre: "mm",
  },
  ...{
    centimeter: "cm",
    centimetre: "cm",
    meter: "m",
    metre: "m",
    foot: "ft",
    feet: "ft",
    "kg m-2": "mm",
    "kg/m2": "mm",
  },
};

const DERIVED: ReadonlySet<string> = new Set(
  Object.values(UNITS).flatMap(({ per_hour }) => (per_hour === null ? [] : [per_hour])),
);

/** Whether a schema may say it: a unit of the table, or its slope per hour. */
export function isUnit(word: string): boolean {
  return Object.hasOwn(UNITS, word) || DERIVED.has(word);
}

/** The rule of a contract's unit, undefined for a word no contract may use. */
export function unitRule(word: string): UnitRule | undefined {
  return Object.hasOwn(UNITS, word) ? UNITS[word as Unit] : undefined;
}

/**
 * The function that turns values of `from` into values of `to`.
 * Errors: `config_invalid` for a word without a rule and for two dimensions, naming both units.
 */
export function converter(from: string, to: string): (value: number) => number {
  if (unitNamed(from) === to && knownUnit(to)) return (value) => value;
  const a = knownUnit(unitNamed(from));
  const b = knownUnit(to);
  if (!a || !b || a.dimension !== b.dimension) {
    const wanted = b
      ? `a unit of ${b.dimension} (${unitsOf(b.dimension).join(", ")})`
      : "two units of the table";
    const seen = a ? `one of ${a.dimension}` : `"${from}"`;
    throw new PipelineError(
      "config_invalid",
      `Cannot convert "${from}" to "${to}": expected ${wanted}, got ${seen}`,
      {
        context: { from, to },
      },
    );
  }
  const scale = a.scale / b.scale;
  const offset = (a.offset - b.offset) / b.scale;
  return (value) => value * scale + offset;
}

/** The table's own word for what a source calls a unit; the word itself where there is no other. */
export function unitNamed(word: string): string {
  const other = word.trim().toLowerCase();
  return knownUnit(word) === undefined && Object.hasOwn(OTHER_WORDS, other) ? OTHER_WORDS[other]! : word;
}

/** Words that are a unit only where a sentence says so: letters, and words of the language. */
const UNSURE = /^(?:.|in|mi|at|min|fraction|foot|feet|meter|metre|degree|degrees)$/i;
const MARKED =
  /[[(]([^\])]+)[\])]|\b(?:in|as|units?\b\s*[:=]?)\s+(?:(?:degrees?|deg\.?)\s+)?([^\s,;()[\]]+)/gi;

/**
 * The units of the dimension of `to` that a sentence names, each once, in the table's words: by a word that can be nothing else, or
 * in brackets, or behind "in", "as" or "unit".
 */
export function unitsIn(sentence: string, to: string): string[] {
  const dimension = knownUnit(to)?.dimension;
  const words = [
    ...sentence.split(/[\s,;()[\]]+/).filter((word) => !UNSURE.test(word)),
    ...[...sentence.matchAll(MARKED)].map((match) => (match[1] ?? match[2])!),
  ];
  const units = words.map((word) => unitNamed(word.trim().replace(/[.:]+$/, "")));
  return [
    ...new Set(units.filter((unit) => knownUnit(unit)?.dimension === dimension && dimension !== undefined)),
  ];
}

/** Every unit there is a rule for, those of sources too. */
export function unitRules(): ReadonlyMap<string, Pick<UnitRule, "dimension" | "scale" | "offset">> {
  return new Map<string, UnitRule>(Object.entries({ ...UNITS, ...FOREIGN }));
}

function knownUnit(word: string): UnitRule | undefined {
  return unitRule(word) ?? (Object.hasOwn(FOREIGN, word) ? FOREIGN[word] : undefined);
}

function unitsOf(dimension: string): string[] {
  return Object.entries({ ...UNITS, ...FOREIGN }).flatMap(([word, rule]) =>
    rule.dimension === dimension ? [word] : [],
  );
}
