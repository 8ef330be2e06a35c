// How the rules of a definition are stated: a place in it, what is expected there, what was seen. Shared by the parts.

import { PipelineError } from "../contract/index.ts";

export interface Check {
  /** Errors: `contract_rejected`. */
  readonly refuse: (place: string, wanted: string, seen: unknown) => never;
  /** Errors: `contract_rejected` unless it holds. */
  readonly need: (holds: boolean, place: string, wanted: string, seen: unknown) => void;
  /** Errors: `contract_rejected` unless the value is a whole multiple above 0; `what` names `of` for people. */
  readonly multiple: (place: string, value: number, of: number, what: string) => void;
}

export function checkOf(pipeline: string): Check {
  const refuse = (place: string, wanted: string, seen: unknown): never => {
    throw new PipelineError(
      "contract_rejected",
      `Cannot use pipeline "${pipeline}" at ${place}: expected ${wanted}, got ${JSON.stringify(seen)}`,
    );
  };
  const need = (holds: boolean, place: string, wanted: string, seen: unknown): void => {
    if (!holds) refuse(place, wanted, seen);
  };
  return {
    refuse,
    need,
    multiple: (place, value, of, what) =>
      need(Number.isInteger(value / of) && value > 0, place, `a multiple of ${what} ${of}`, value),
  };
}

export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The same record with its keys in order. */
export function sorted<T>(record: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => compareText(a, b)));
}

export function rising(values: readonly number[]): boolean {
  return values.length > 0 && values.every((v, i) => Number.isInteger(v) && (i === 0 || v > values[i - 1]!));
}

export function distinct(values: readonly string[]): boolean {
  return new Set(values).size === values.length;
}
