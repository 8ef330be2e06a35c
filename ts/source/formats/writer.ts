// What the schema of a container says of its fields, and how their values become cells: type, logical type and unit are the
// writer's. Pure; container.ts decodes by it. A field whose meaning is not certain is refused by name before its first value.

import avsc from "avsc";
import { type AttributeKind, PipelineError, unitNamed, unitsIn } from "../../contract/index.ts";
import { type SourceContract, values as valuesOf } from "./cells.ts";

/** A field of the writer's record that is one of the contract. */
export interface WriterField {
  /** The writer's name. */
  readonly from: string;
  /** The contract's. */
  readonly name: string;
  /** The unit that the writer's schema names; null for none. */
  readonly unit: string | null;
  /** A decoded value as a cell. */
  readonly read: (value: unknown) => unknown;
}

/** A branch of a union, or the one type of a field that is no union. */
interface Branch {
  readonly type: string;
  readonly logical: string | null;
  /** Decimal digits behind the point, of a decimal. */
  readonly scale: number;
}

type Json = Readonly<Record<string, unknown>>;

/** Longs as bigints: nanoseconds of our century do not fit a double, and microseconds of a later one neither. */
const LONG = avsc.types.LongType.__with({
  fromBuffer: (bytes: Buffer) => bytes.readBigInt64LE(),
  toBuffer: (value: bigint) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(value);
    return bytes;
  },
  fromJSON: BigInt,
  toJSON: String,
  isValid: (value: unknown) => typeof value === "bigint",
  compare: (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0),
});

/** The type that decodes what `writerFields` reads: longs are bigints, values of a union `{type: value}`, logical types their bytes. */
export function writerType(schema: unknown): avsc.Type {
  const typeHook = (part: unknown) =>
    part === "long" || (isObject(part) && part["type"] === "long") ? LONG : undefined;
  return avsc.Type.forSchema(
    schema as avsc.Schema,
    { typeHook, wrapUnions: "always" } as Parameters<typeof avsc.Type.forSchema>[1],
  );
}

/** What a long counts, by its logical type or unit: parts of a millisecond, or milliseconds of a part. */
const TICKS: Readonly<Record<string, readonly [per_ms: bigint, ms_per: bigint]>> = {
  "timestamp-nanos": [1_000_000n, 1n],
  "timestamp-micros": [1_000n, 1n],
  "timestamp-millis": [1n, 1n],
  ns: [1_000_000n, 1n],
  us: [1_000n, 1n],
  ms: [1n, 1n],
  s: [1n, 1_000n],
};
/** The unit beside each logical type, should a schema name both. */
const TICK_UNITS: Readonly<Record<string, string>> = {
  "timestamp-nanos": "ns",
  "timestamp-micros": "us",
  "timestamp-millis": "ms",
};

/**
 * The fields of a container's schema in the contract's names; an alias counts where the name is none of the contract's.
 * Errors: `config_invalid` naming the field for one that the contract does not have, lacks, or cannot take as it is written.
 */
export function writerFields(schema: unknown, file: string, contract: SourceContract): WriterField[] {
  const refused = (wanted: string, seen: string): PipelineError =>
    new PipelineError("config_invalid", `Cannot read "${file}": expected ${wanted}, got ${seen}`, {
      context: { file },
    });
  const { key, event_time } = contract;
  const names = contract.fields.map(({ name }) => name);
  const declared = isObject(schema) && schema["type"] === "record" ? schema["fields"] : null;
  if (!Array.isArray(declared)) throw refused("a container of records", "another type");
  const fields = declared as readonly Json[];
  const known = namedTypes(schema);
  const unitOf = (name: string) => contract.fields.find((field) => field.name === name)?.unit ?? null;
  // Some say the units of all fields in one place.
  const listed = isObject(schema) && isObject(schema["units"]) ? schema["units"] : {};
  const found = fields.map((field): WriterField => {
    const from = String(field["name"]);
    const aliases = Array.isArray(field["aliases"]) ? field["aliases"].map(String) : [];
    const name = [from, ...aliases].find((word) => names.includes(word));
    if (name === undefined) throw refused(`fields of ${names.join(", ")}`, `"${from}"`);
    const { branches, units, properties } = typeOf(
      Object.hasOwn(listed, from) ? { unit: listed[from], ...field } : field,
      known,
    );
    const seen = branches.map(({ type, logical }) => (logical === null ? type : `${type} (${logical})`));
    const cannot = (wanted: string): PipelineError => refused(`"${from}" as ${wanted}`, seen.join(" or "));
    const several = [...new Set(units.map(unitNamed))];
    if (several.length > 1) throw refused(`one unit of "${from}"`, several.join(" and "));
    const unit = units[0] ?? null;
    if (name === key) {
      if (!branches.every(isName)) throw cannot("a string or an enum");
      return { from, name, unit: null, read: unwrapped };
    }
    if (name === event_time) {
      const zone = properties.find(([word, value]) => isOtherZone(word, value));
      if (zone !== undefined) throw cannot(`a moment in UTC without ${zone.join(" ")}`);
      return {
        from,
        name,
        unit: null,
        read: timeReader(branches, unit ?? ticksIn(properties, cannot), cannot),
      };
    }
    const kind = contract.fields.find((f) => f.name === name)?.attribute?.kind;
    if (kind !== undefined) {
      if (!branches.every(ATTRIBUTES[kind].fits)) throw cannot(ATTRIBUTES[kind].wanted);
      return { from, name, unit: null, read: (value) => plainCell(unwrapped(value)) };
    }
    const scale = scaleOf(branches, cannot);
    const change = properties.find(
      ([word]) =>
        CHANGES.test(word) && !(word === "scale" && branches.some(({ logical }) => logical === "decimal")),
    );
    if (change !== undefined) throw cannot(`a number as it stands, without ${change.join(" ")}`);
    return {
      from,
      name,
      unit: unit ?? described(unitOf(name), properties, cannot),
      read: (value) => numberCell(unwrapped(value), scale),
    };
  });
  for (const name of [key, event_time])
    if (!found.some((field) => field.name === name))
      throw refused("a record of the contract", `one without "${name}"`);
  for (const { name } of found)
    if (found.filter((field) => field.name === name).length > 1)
      throw refused(`one field for "${name}"`, "several");
  const values = valuesOf(contract);
  if (values.length > 0 && !found.some(({ name }) => values.includes(name)))
    throw refused(`at least one of ${values.join(", ")}`, "none of them");
  return found;
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Every type that the schema gives a name, by that name with and without its namespace. */
function namedTypes(schema: unknown, found = new Map<string, Json>(), namespace = ""): Map<string, Json> {
  if (Array.isArray(schema)) for (const branch of schema) namedTypes(branch, found, namespace);
  if (!isObject(schema)) return found;
  const name = typeof schema["name"] === "string" && "type" in schema ? schema["name"] : null;
  const within = typeof schema["namespace"] === "string" ? schema["namespace"] : namespace;
  if (name !== null && ["record", "error", "enum", "fixed"].includes(String(schema["type"]))) {
    found.set(name, schema);
    if (!name.includes(".") && within !== "") found.set(`${within}.${name}`, schema);
  }
  for (const part of [schema["type"], schema["items"], schema["values"]]) namedTypes(part, found, within);
  if (Array.isArray(schema["fields"])) for (const field of schema["fields"]) namedTypes(field, found, within);
  return found;
}

/** What a field may hold beside null, the units it names and all else that is said of it. Both stand on the field or on its type: writers differ. */
function typeOf(
  field: Json,
  known: ReadonlyMap<string, Json>,
): { branches: Branch[]; units: string[]; properties: [word: string, value: unknown][] } {
  const properties = Object.entries(field).filter(([word]) => word !== "type");
  const given = field["type"];
  const branches = (Array.isArray(given) ? given : [given]).flatMap((part: unknown): Branch[] => {
    const type = typeof part === "string" ? (known.get(part) ?? { type: part }) : isObject(part) ? part : {};
    if (type["type"] === "null") return [];
    properties.push(...Object.entries(type));
    const logical = type["logicalType"] ?? field["logicalType"];
    return [
      {
        type: typeof type["type"] === "string" ? type["type"] : JSON.stringify(part),
        logical: logical === undefined ? null : String(logical),
        scale: Number(type["scale"] ?? field["scale"] ?? 0),
      },
    ];
  });
  const units = properties.flatMap(([word, unit]) =>
    UNIT.test(word) && unit !== undefined && unit !== null ? [String(unit)] : [],
  );
  return { branches, units, properties };
}

/** Under what writers name a unit. */
const UNIT = /^(?:units?|uom|unit_?of_?measure(?:ment)?|unit_?(?:name|symbol|code))$/i;
/** What makes another number of a value than the one that stands there, or none of some. */
const CHANGES =
  /^(?:scale(?:_?factor)?|(?:add_?)?offset|multiplier|factor|(?:missing|null)_?values?|_?fill_?value)$/i;

/** Whether a property says that a moment is not in UTC. */
function isOtherZone(word: string, value: unknown): boolean {
  if (/^(?:is_?)?adjust(?:ed)?[-_]?to[-_]?utc$/i.test(word)) return value !== true && value !== "true";
  if (word === "doc") return /\blocal\b/i.test(String(value)) && !/\bUTC\b/.test(String(value));
  return (
    /^(?:tz|time_?zone|zone|utc_?offset)$/i.test(word) &&
    !/^(?:UTC|GMT|Z|Etc\/UTC|[+-]00:?00)$/i.test(String(value))
  );
}

const sentences = (properties: readonly [string, unknown][]): string =>
  properties.flatMap(([word, text]) => (word === "doc" ? [String(text)] : [])).join("; ");

/** The unit that a field's sentence names where it has no other word for it. */
function described(
  to: string | null,
  properties: readonly [string, unknown][],
  cannot: (wanted: string) => PipelineError,
): string | null {
  const found = to === null ? [] : unitsIn(sentences(properties), to);
  if (found.length > 1) throw cannot(`a number in one unit, not ${found.join(" and ")}`);
  return found[0] ?? null;
}

const TICK_WORDS: readonly [RegExp, string][] = [
  [/\b(?:ns|nano(?:s|seconds?)?)\b/i, "ns"],
  [/\b(?:us|µs|micro(?:s|seconds?)?)\b/i, "us"],
  [/\b(?:ms|milli(?:s|seconds?)?)\b/i, "ms"],
  [/\b(?:s|sec|seconds?)\b/i, "s"],
];

/** What the sentence of a moment says that it counts, where its type does not. */
function ticksIn(
  properties: readonly [string, unknown][],
  cannot: (wanted: string) => PipelineError,
): string | null {
  if (properties.some(([word]) => word === "logicalType")) return null;
  const found = TICK_WORDS.filter(([word]) => word.test(sentences(properties))).map(([, unit]) => unit);
  if (found.length > 1) throw cannot(`a moment in one unit, not ${found.join(" and ")}`);
  return found[0] ?? null;
}

const isName = ({ type, logical }: Branch): boolean =>
  (type === "string" && (logical === null || logical === "uuid")) || (type === "enum" && logical === null);

const isWhole = ({ type, logical }: Branch): boolean =>
  (type === "int" || type === "long") && logical === null;

/** What may stand in a writer's record for an attribute. */
const ATTRIBUTES: Readonly<
  Record<AttributeKind, { readonly wanted: string; readonly fits: (branch: Branch) => boolean }>
> = {
  string: { wanted: "a string or an enum", fits: isName },
  enum: { wanted: "an enum or a string", fits: isName },
  boolean: { wanted: "a boolean", fits: ({ type }) => type === "boolean" },
  integer: { wanted: "an int or a long", fits: isWhole },
  date: {
    wanted: "an int (date), or a string",
    fits: (branch) =>
      (branch.type === "int" && branch.logical === "date") || (branch.type === "string" && isName(branch)),
  },
};

function plainCell(value: unknown): unknown {
  return typeof value === "bigint" ? Number(value) : value;
}

/** How a moment is read. A float does not tell two minutes apart, and an int ends in January 1970. */
function timeReader(
  branches: readonly Branch[],
  unit: string | null,
  cannot: (wanted: string) => PipelineError,
): (value: unknown) => unknown {
  const wanted = `a moment in UTC: a long (${Object.keys(TICK_UNITS).join(", ")}), or RFC 3339 in a string`;
  let ticks: readonly [bigint, bigint] = TICKS["ms"]!;
  for (const { type, logical } of branches) {
    if (type === "long" && logical !== null) {
      if (!Object.hasOwn(TICK_UNITS, logical) || (unit !== null && unit !== TICK_UNITS[logical]))
        throw cannot(wanted);
      ticks = TICKS[logical]!;
    } else if (type === "long" || type === "double") {
      if (
        logical !== null ||
        (unit !== null && (type === "double" ? unit !== "ms" : !Object.hasOwn(TICKS, unit)))
      )
        throw cannot(wanted);
      if (type === "long") ticks = TICKS[unit ?? "ms"]!;
    } else if (type !== "string" || logical !== null) throw cannot(wanted);
  }
  const [per_ms, ms_per] = ticks;
  return (value) => {
    const cell = unwrapped(value);
    return typeof cell === "bigint" ? Number(floorDivided(cell * ms_per, per_ms)) : cell;
  };
}

/** Towards the past, also before 1970. */
function floorDivided(value: bigint, by: bigint): bigint {
  return value >= 0n ? value / by : -((by - 1n - value) / by);
}

const NUMBERS = ["int", "long", "float", "double", "string"];

/** The scale of a decimal among the branches, 0 for none. */
function scaleOf(branches: readonly Branch[], cannot: (wanted: string) => PipelineError): number {
  const decimals = branches.filter(
    ({ type, logical }) => ["bytes", "fixed"].includes(type) && logical === "decimal",
  );
  const others = branches.filter((branch) => !decimals.includes(branch));
  if (decimals.length > 1 || !others.every(({ type, logical }) => NUMBERS.includes(type) && logical === null))
    throw cannot(`a number (${NUMBERS.join(", ")}, or one decimal)`);
  return decimals[0]?.scale ?? 0;
}

function numberCell(value: unknown, scale: number): unknown {
  if (typeof value === "bigint") return Number(value);
  if (!Buffer.isBuffer(value)) return value;
  // Two's complement, the highest byte first.
  const digits =
    value.length === 0 ? 0n : BigInt.asIntN(value.length * 8, BigInt(`0x${value.toString("hex")}`));
  return Number(`${digits}e${-scale}`);
}

/** The value inside a union's `{type: value}`. */
function unwrapped(value: unknown): unknown {
  return isObject(value) && !Buffer.isBuffer(value) ? Object.values(value)[0] : value;
}
