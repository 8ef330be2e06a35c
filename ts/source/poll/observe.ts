// A feed's reading into an observation by the contract: which field a quantity is, in which unit. Pure; with cells.ts, which it
// hands on to, the only place where a feed's unit becomes the contract's. Ranges are not judged here: that is Spark's.

import { converter, isMeasured, PipelineError } from "../../contract/index.ts";
import type { Problem, Reading } from "../feeds/feed.ts";
import { isBad, mapperOf, parseNumber, type SourceContract } from "../formats/cells.ts";
import type { Observation } from "../row.ts";

/** Turns a reading into an observation; null, with a problem, for what can be none. A value that cannot be used is null, with a problem. */
export type Observe = (reading: Reading, onProblem: (problem: Problem) => void) => Observation | null;

/** What a contract's field is called by a feed: its quantity, or its name for an attribute. */
const wordOf = ({ name, quantity }: SourceContract["fields"][number]): string => quantity ?? name;

/** What a contract wants of a feed: the words of its fields but the key and the time. */
export function wantedOf(contract: SourceContract): readonly string[] {
  const { key, event_time } = contract;
  return contract.fields.filter(({ name }) => name !== key && name !== event_time).map(wordOf);
}

/** The fields of a contract that a feed has nothing for: null in all it sends. */
export function lackingOf(contract: SourceContract, words: readonly string[]): readonly string[] {
  const { key, event_time } = contract;
  return contract.fields.flatMap((field) =>
    field.name === key || field.name === event_time || words.includes(wordOf(field)) ? [] : [field.name],
  );
}

export function observerOf(contract: SourceContract): Observe {
  const map = mapperOf(contract);
  const converters = new Map<string, ((value: number) => number) | null>();
  const converterOf = (from: string, to: string) => {
    const known = converters.get(`${from} ${to}`);
    if (known !== undefined) return known;
    let made: ((value: number) => number) | null = null;
    try {
      made = converter(from, to);
    } catch (error) {
      if (!(error instanceof PipelineError)) throw error;
    }
    converters.set(`${from} ${to}`, made);
    return made;
  };
  return (reading, onProblem) => {
    const { key, time, values } = reading;
    const cells: Record<string, unknown> = { [contract.key]: key, [contract.event_time]: time };
    for (const field of contract.fields) {
      const { name, unit } = field;
      if (name === contract.key || name === contract.event_time) continue;
      const given = values[wordOf(field)] ?? null;
      if (given === null) continue;
      if (typeof given !== "object" || !isMeasured(field)) {
        cells[name] = typeof given === "object" ? given.value : given;
        continue;
      }
      const value = parseNumber(given.value);
      const convert = converterOf(given.unit, unit!);
      if (typeof value === "number" && convert === null)
        onProblem({
          key,
          field: name,
          reason: `expected a unit that becomes "${unit}", got "${given.unit}"`,
        });
      else cells[name] = typeof value === "number" ? convert!(value) : given.value;
    }
    const observation = map(cells, ({ column, reason }) => onProblem({ key, field: column, reason }));
    if (!isBad(observation)) return observation;
    onProblem({
      key,
      field: observation.column === contract.key ? null : observation.column,
      reason: observation.reason,
    });
    return null;
  };
}
