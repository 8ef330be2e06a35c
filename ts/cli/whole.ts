// A flag that takes a whole number.

import { PipelineError } from "../contract/index.ts";

/** A flag's whole number, both bounds inclusive. Errors: `config_invalid`. */
export function whole(flag: string, word: string, min = 0, max = Number.MAX_SAFE_INTEGER): number {
  const value = Number(word);
  if (word.trim() !== "" && Number.isInteger(value) && value >= min && value <= max) return value;
  const range = max === Number.MAX_SAFE_INTEGER ? `from ${min}` : `from ${min} to ${max}`;
  throw new PipelineError("config_invalid", `Cannot use ${flag} "${word}": expected a whole number ${range}`);
}
