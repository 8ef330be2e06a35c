// What flags say, as values: numbers, times, units. One reading of each for all commands.

import { PipelineError } from "../contract/index.ts";
import { epochMs } from "../source/formats/cells.ts";

const refused = (flag: string, word: string, wanted: string): PipelineError =>
  new PipelineError("config_invalid", `Cannot use ${flag} "${word}": ${wanted}`);

/** A flag's whole number, both bounds inclusive. Errors: `config_invalid`. */
export function parseInteger(flag: string, word: string, min = 0, max = Number.MAX_SAFE_INTEGER): number {
  const value = /^-?\d+$/.test(word) ? Number(word) : Number.NaN;
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  const range = max === Number.MAX_SAFE_INTEGER ? `from ${min}` : `from ${min} to ${max}`;
  throw refused(flag, word, `expected a whole number ${range}`);
}

/** A flag's number above 0, `max` inclusive. Errors: `config_invalid`. */
export function positive(flag: string, word: string, max = Number.MAX_VALUE): number {
  const value = numberIn(word);
  if (value > 0 && value <= max) return value;
  throw refused(flag, word, `expected a number above 0${max === Number.MAX_VALUE ? "" : `, at most ${max}`}`);
}

/** NaN for what is no decimal number. `Number` takes nothing for 0, and `0x10`, `0b1` and white space for numbers too. */
function numberIn(word: string): number {
  return /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(word) ? Number(word) : Number.NaN;
}

/** A flag's time, epoch ms: RFC 3339, epoch ms, or a date for its first moment in UTC. Errors: `config_invalid`. */
export function parseTime(flag: string, word: string | undefined): number | null {
  if (word === undefined) return null;
  // As milliseconds they lie in 1970 to 1973: a year, a day without hyphens, or seconds.
  if (/^\d{4,11}$/.test(word))
    throw refused(
      flag,
      word,
      "expected RFC 3339, a date as in 2016-12-01, or epoch milliseconds, got a number too small for one",
    );
  const time = epochMs(/^\d{4}-\d\d-\d\d$/.test(word) ? `${word}T00:00:00Z` : word);
  if (typeof time === "number") return time;
  throw refused(flag, word, time);
}

/** A range of --from, inclusive, and --to, exclusive; null without one. Errors: `config_invalid`, also for one that nothing is in. */
export function timesOf(
  from: string | undefined,
  to: string | undefined,
): { readonly from_ms: number | null; readonly to_ms: number | null } {
  const [from_ms, to_ms] = [parseTime("--from", from), parseTime("--to", to)];
  if (from_ms !== null && to_ms !== null && from_ms >= to_ms)
    throw refused(
      "--to",
      to!,
      `expected a time after that of --from "${from}", got a range that nothing is in`,
    );
  return { from_ms, to_ms };
}

/** `temperature=K` and so on, as a table. Errors: `config_invalid`. */
export function unitsOf(words: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    words.map((word) => {
      const at = word.indexOf("=");
      if (at > 0 && at < word.length - 1) return [word.slice(0, at), word.slice(at + 1)];
      throw refused("--unit", word, "expected FIELD=UNIT, temperature=K");
    }),
  );
}

/** Commander's parser of a flag that may be given several times. */
export const collected = (word: string, words: readonly string[]): string[] => [...words, word];

/** Words of `--null`, in help. */
export const NULL_FLAG = [
  "--null <word>",
  "what means no value: NA, -9999, or of one column temperature=999.9; repeatable",
] as const;
