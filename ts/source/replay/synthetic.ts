// A feed of any length without a file: so many stations, so many observations a second, the same values every time.
// The bench's load and the input of long tests. Values lie well inside their ranges and mean nothing.

import { createHash } from "node:crypto";
import { type Attribute, isMeasured, PipelineError, unaccepted } from "../../contract/index.ts";
import type { SourceContract } from "../formats/cells.ts";
import type { Input, Row, Value } from "../row.ts";

export interface SyntheticOptions {
  readonly contract: SourceContract;
  readonly stations: number;
  /** Observations a second of event time, over all stations. */
  readonly rate: number;
  /** How many observations there are. */
  readonly count: number;
  /** Event time of the first, epoch ms. For a live load: now. */
  readonly start_ms: number;
  /** Start of the stations' names. */
  readonly prefix?: string;
}

const CHUNK = 512;
const DAY_MS = 86_400_000;

/** Event time of the n-th observation: evenly spread, whole milliseconds, floored. */
export function syntheticTime(options: Pick<SyntheticOptions, "start_ms" | "rate">, n: number): number {
  return options.start_ms + Math.floor((n * 1000) / options.rate);
}

/** Stations take turns: observation n is of station n modulo their number. */
export function syntheticInput(options: SyntheticOptions): Input {
  const { contract, stations, rate, count, start_ms, prefix = "synthetic" } = options;
  const { key, event_time } = contract;
  const digits = String(stations - 1).length;
  const names = Array.from({ length: stations }, (_, i) => `${prefix}-${String(i).padStart(digits, "0")}`);
  const fields = contract.fields.filter(isMeasured).map(({ name, range }, i) => {
    const [low, high] = range ?? [0, 1];
    return { name, middle: (low + high) / 2, width: (high - low) / 20, phase: i };
  });

  const attributes = contract.fields.flatMap(({ name, attribute }) =>
    attribute === undefined ? [] : [{ name, values: valuesOf(name, attribute) }],
  );

  async function* rows(): AsyncGenerator<readonly Row[]> {
    for (let n = 0; n < count; ) {
      const chunk: Row[] = [];
      for (; n < count && chunk.length < CHUNK; n++) {
        const station = n % stations;
        const time = start_ms + Math.floor((n * 1000) / rate);
        const record: Record<string, Value> = { [key]: names[station]!, [event_time]: time };
        const day = (2 * Math.PI * (time % DAY_MS)) / DAY_MS;
        for (const { name, middle, width, phase } of fields)
          record[name] = middle + width * (Math.sin(day + phase + station) + 0.1 * noise(n + phase));
        for (const { name, values } of attributes) record[name] = values[n % values.length]!;
        chunk.push({ key: names[station]!, time, record, clock: time });
      }
      yield chunk;
    }
  }

  return {
    name: `${count} synthetic observations of ${stations} stations`,
    rows,
    fingerprint: async () =>
      createHash("sha256")
        .update(JSON.stringify({ stations, rate, count, start_ms, prefix, fields }))
        .digest("hex"),
  };
}

/** The few values that an attribute takes in turn. Errors: `config_invalid` for a required text of a pattern that none of them has. */
function valuesOf(name: string, rules: Attribute): readonly Value[] {
  const [low = 0, high = 0] = rules.range ?? [];
  const middle = Math.round((low + high) / 2);
  const values: readonly Value[] = {
    string: ["one", "two", "three"],
    enum: rules.symbols ?? [],
    boolean: [false, true],
    integer: [low, middle, high],
    date: [low, middle, high],
  }[rules.kind];
  const fitting = values.filter((value) => unaccepted(rules, value) === null);
  if (fitting.length > 0) return fitting;
  if (!rules.required) return [null];
  throw new PipelineError(
    "config_invalid",
    `Cannot make up observations: expected "${name}" to accept one of ${values.join(", ")}, got the pattern ${rules.pattern}`,
  );
}

/** Deterministic noise in [-1, 1). Source: the finaliser of MurmurHash3, 32 bit. */
function noise(n: number): number {
  let h = Math.imul(n ^ 0x9e3779b9, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) / 2 ** 31;
}
