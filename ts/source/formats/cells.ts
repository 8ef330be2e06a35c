// Cells of a file into one observation by the contract: names, numbers, times, units. Pure; the only place where a
// source's unit becomes the contract's. Ranges are not judged here: a value outside is Spark's to null and to report.

import {
  type Attribute,
  converter,
  dayOf,
  ENTITY_ID_LENGTH_MAX,
  isEntityId,
  isMeasured,
  isMoment,
  PipelineError,
  unaccepted,
} from "../../contract/index.ts";
import type { Contract } from "../../pipelines/contract.ts";
import type { Observation, Value } from "../row.ts";

/** The part of a contract that a source needs. */
export type SourceContract = Pick<Contract, "key" | "event_time" | "fields">;

export interface BadCell {
  readonly column: string | null;
  readonly reason: string;
  /** Rows that are lost by it, where it stands for more than its own. */
  readonly rows?: number;
}

/** A cell as its format gives it. Text from CSV, JSON values from JSON Lines, Avro values from a container. */
export type Cells = Readonly<Record<string, unknown>>;

/**
 * Turns cells into an observation, or says why they are none. A measurement that is no number costs its cell, not its row: it becomes null
 * and goes to `onBadCell`. So does an attribute that is not accepted, unless the contract requires it: then the row is none.
 */
export type Mapper = (cells: Cells, onBadCell: (bad: BadCell) => void) => Observation | BadCell;

/** A line that is no row, or no one row. */
export function badLine(reason: string, rows = 1): BadCell {
  return { column: null, reason, ...(rows === 1 ? {} : { rows }) };
}

export function isBad(result: Observation | BadCell): result is BadCell {
  return "reason" in result;
}

export interface MapperOptions {
  /** What a column comes in, where that is not the contract's unit. */
  readonly units?: Readonly<Record<string, string>>;
  /** Words for no value: `NA`, `-9999`, or of one column `temperature=999.9`. In the column's own unit. */
  readonly nulls?: readonly string[];
}

/**
 * A mapper for one input. Missing columns become null.
 * Errors: `config_invalid` for a unit that cannot become the contract's, or a wrong name.
 */
export function mapperOf(contract: SourceContract, { units = {}, nulls = [] }: MapperOptions = {}): Mapper {
  const { key, event_time } = contract;
  const names = contract.fields.map((field) => field.name);
  for (const name of Object.keys(units))
    if (!measured(contract).includes(name))
      throw new PipelineError(
        "config_invalid",
        `Cannot convert the unit of "${name}": expected a measurement of the contract (${measured(contract).join(", ")}), got "${name}"`,
      );
  for (const word of nulls) {
    const name = COLUMN.exec(word)?.[1];
    if (name !== undefined && !values(contract).includes(name))
      throw new PipelineError(
        "config_invalid",
        `Cannot take "${word}" for nothing: expected a column that carries a value (${values(contract).join(", ")}) before "=", got "${name}"`,
      );
  }
  const measurements = contract.fields.filter(isMeasured).map(({ name, unit }) => {
    const from = units[name];
    return {
      name,
      convert: from === undefined ? null : converterOf(name, from, unit!),
      isNull: nullTest(name, values(contract), nulls),
    };
  });
  const attributes = contract.fields.flatMap(({ name, attribute }) =>
    attribute === undefined
      ? []
      : [{ name, rules: attribute, isNull: nullTest(name, values(contract), nulls) }],
  );
  const known = new Set(names);
  return (cells, onBadCell) => {
    for (const name in cells)
      if (!known.has(name)) return { column: name, reason: `expected one of ${names.join(", ")}` };
    const id = idOf(cells[key]);
    if (typeof id !== "string") return { column: key, reason: id.reason };
    const time = epochMs(trimmed(cells[event_time]));
    if (typeof time === "string") return { column: event_time, reason: time };
    const record: Record<string, Value> = { [key]: id, [event_time]: time };
    for (const { name, convert, isNull } of measurements) {
      const cell = cells[name];
      let value = isNull?.(cell) ? null : parseNumber(cell);
      if (typeof value === "number" && convert !== null) value = parseNumber(convert(value));
      if (typeof value === "string") {
        onBadCell({ column: name, reason: value });
        value = null;
      }
      record[name] = value;
    }
    for (const { name, rules, isNull } of attributes) {
      const cell = cells[name];
      const value = isNull?.(cell) ? null : attributeOf(rules, cell);
      const reason = unaccepted(rules, value);
      if (reason !== null && rules.required) return { column: name, reason };
      if (reason !== null) onBadCell({ column: name, reason });
      record[name] = reason === null ? value : null;
    }
    return { key: id, time, record };
  };
}

function converterOf(name: string, from: string, to: string): (value: number) => number {
  try {
    return converter(from, to);
  } catch (cause) {
    throw new PipelineError(
      "config_invalid",
      `Cannot use "${name}" in "${from}": expected a unit that becomes "${to}"`,
      { cause },
    );
  }
}

/** White space around a name is an accident of its file, as are marks that nobody sees: one station, not two. */
const AROUND =
  /^[\s\u00AD\u200B-\u200F\u202A-\u202E\u2060-\u2064]+|[\s\u00AD\u200B-\u200F\u202A-\u202E\u2060-\u2064]+$/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for; a name may have several lines.
const CONTROL = /[\u0000-\u0008\u000B\u000C\u000E-\u001F\u007F-\u0084\u0086-\u009F]/;

/**
 * A cell as a name, or why it is none: what can be written in UTF-8 and asked for in a URL. Bytes that are no UTF-8 have become
 * U+FFFD on the way, so that two names which differ in them would be one.
 */
function idOf(cell: unknown): string | { readonly reason: string } {
  const id = typeof cell === "string" ? cell.replace(AROUND, "") : cell;
  if (typeof id !== "string" || id === "") return { reason: `expected a name, got ${shown(id)}` };
  if (isEntityId(id) && !CONTROL.test(id) && !id.includes("\uFFFD")) return id;
  return {
    reason: `expected a name in UTF-8 of at most ${ENTITY_ID_LENGTH_MAX} characters, without control characters, got ${shown(id)}`,
  };
}

const trimmed = (cell: unknown): unknown => (typeof cell === "string" ? cell.trim() : cell);

/** What a word for nothing begins with when it is one column's. */
const COLUMN = /^([A-Za-z_]\w*)=/;

/** Which cells of a column mean nothing: words in any case, numbers in any way to write them. Null when none do. */
function nullTest(
  column: string,
  columns: readonly string[],
  nulls: readonly string[],
): ((cell: unknown) => boolean) | null {
  const words = nulls.flatMap((word) => {
    const at = word.indexOf("=");
    if (at < 0 || !columns.includes(word.slice(0, at))) return [word];
    return word.slice(0, at) === column ? [word.slice(at + 1)] : [];
  });
  if (words.length === 0) return null;
  const numbers = new Set(words.map(parseNumber).filter((value) => typeof value === "number"));
  const texts = new Set(words.map((word) => word.trim().toLowerCase()));
  return (cell) => {
    const value = parseNumber(cell);
    if (typeof value === "number") return numbers.has(value);
    return texts.has(String(cell).trim().toLowerCase());
  };
}

/** Names of the fields that a unit can be said of. */
export function measured(contract: SourceContract): string[] {
  return contract.fields.filter(isMeasured).map(({ name }) => name);
}

/** Names of the fields that carry a value: all but the key and the time. */
export function values(contract: SourceContract): string[] {
  return contract.fields
    .map(({ name }) => name)
    .filter((n) => n !== contract.key && n !== contract.event_time);
}

const WORDS: Readonly<Record<string, boolean>> = { true: true, "1": true, false: false, "0": false };

/**
 * A cell as a value of the attribute's kind where it can be read as one, else as it is, for the rules to refuse; null for an empty
 * one. A day is text as in `2024-02-29`, or a number of days as Avro has it.
 */
function attributeOf({ kind }: Attribute, cell: unknown): Value {
  if (cell === null || cell === undefined || cell === "") return null;
  if (typeof cell !== "string") return cell as Value;
  const word = cell.trim();
  if (word === "" && kind !== "string") return null;
  switch (kind) {
    case "string":
      return cell;
    case "enum":
      return word;
    case "boolean":
      return WORDS[word.toLowerCase()] ?? word;
    case "integer": {
      const number = parseNumber(word);
      return typeof number === "string" ? word : number;
    }
    case "date":
      return dayOf(word) ?? word;
  }
}

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

/** A finite number, null for an absent one, or the reason why it is neither. */
export function parseNumber(cell: unknown): number | null | string {
  if (cell === null || cell === undefined || cell === "") return null;
  if (typeof cell === "number") return Number.isFinite(cell) ? cell : `expected a finite number, got ${cell}`;
  if (typeof cell === "string") {
    const trimmed = cell.trim();
    if (trimmed === "") return null;
    const value = NUMBER.test(trimmed) ? Number(trimmed) : Number.NaN;
    if (Number.isFinite(value)) return value;
  }
  return `expected a number or nothing, got ${shown(cell)}`;
}

const RFC_3339 =
  /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:([Zz])|([+-])(\d\d):(\d\d))$/;
const EPOCH = /^-?\d{1,16}$/;
const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** The newest text that was a time. */
let last: { readonly text: string; readonly ms: number } | null = null;

/**
 * UTC epoch ms of an RFC 3339 text (an offset is required; digits beyond the millisecond are cut) or of an epoch-ms
 * number, or the reason why it is neither. A leap second is no time of ours.
 */
export function epochMs(cell: unknown): number | string {
  // Stations report in step, so most rows repeat the time of the row before.
  if (last !== null && cell === last.text) return last.ms;
  if (typeof cell === "number" || (typeof cell === "string" && EPOCH.test(cell))) {
    const ms = Number(cell);
    if (!Number.isSafeInteger(ms)) return `expected whole epoch milliseconds, got ${shown(cell)}`;
    return isMoment(ms) ? ms : outOfYears(cell);
  }
  if (typeof cell !== "string" || cell === "") return `expected a time, got ${shown(cell)}`;
  const parts = RFC_3339.exec(cell);
  if (parts === null) return `expected RFC 3339 with an offset or epoch milliseconds, got ${shown(cell)}`;
  const [, y, mo, d, h, mi, s, fraction = "", , sign, oh, om] = parts;
  const [year, month, day] = [Number(y), Number(mo), Number(d)];
  const [hour, minute, second] = [Number(h), Number(mi), Number(s)];
  const leap = month === 2 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 1 : 0;
  const days = (DAYS[month - 1] ?? 0) + leap;
  if (day < 1 || day > days || hour > 23 || minute > 59 || second > 59)
    return `expected a time that exists, got ${shown(cell)}`;
  const [offsetHours, offsetMinutes] = [Number(oh ?? 0), Number(om ?? 0)];
  if (offsetHours > 23 || offsetMinutes > 59) return `expected an offset that exists, got ${shown(cell)}`;
  // Date.UTC takes years below 100 for 19xx; setUTCFullYear does not.
  const date = new Date(Date.UTC(2000, 0, 1, hour, minute, second, Number(`${fraction}000`.slice(0, 3))));
  date.setUTCFullYear(year, month - 1, day);
  const offset_ms = (offsetHours * 60 + offsetMinutes) * 60_000;
  const ms = date.getTime() - (sign === "-" ? -offset_ms : offset_ms);
  if (!isMoment(ms)) return outOfYears(cell);
  last = { text: cell, ms };
  return ms;
}

const outOfYears = (cell: unknown): string =>
  `expected a time between the years 1 and 9999 of UTC, got ${shown(cell)}`;

function shown(cell: unknown): string {
  if (cell === undefined || cell === null || cell === "") return "nothing";
  const text = typeof cell === "string" ? `"${cell}"` : (JSON.stringify(cell) ?? typeof cell);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
