// Writes Python: parameter dataclasses, contract constants, entrypoints. Lines only, and no logic in what it writes:
// everything that does something is in static/, which is copied.

import { type FieldShape, pascal, type RecordShape, type Shape } from "../contract/index.ts";
import type { Contract } from "../pipelines/contract.ts";

const PRIMITIVE = {
  boolean: "bool",
  int: "int",
  double: "float",
  timestamp: "int",
  date: "int",
  string: "str",
  bytes: "bytes",
} as const;

/** One job of an engine: the pure part of its name, and `<room>.<module>` of ours that has `run(contract, params, reporter)`. */
export interface Job {
  readonly name: string;
  readonly module: string;
}

/** The module of parameter records; `parse.py` beside it has their only method. */
export function paramsModule(header: readonly string[], records: readonly RecordShape[]): string {
  const lines: string[] = [];
  const written = new Set<string>();
  const visit = (shape: Shape): void => {
    if (shape.kind === "nullable") visit(shape.of);
    else if (shape.kind === "array") visit(shape.items);
    else if (shape.kind === "map") visit(shape.values);
    else if (shape.kind === "record" && !written.has(shape.name)) {
      written.add(shape.name);
      for (const field of shape.fields) visit(field.shape);
      lines.push("", "", ...dataclass(shape));
    }
  };
  for (const record of records) visit(record);
  return text([
    ...header.map((line) => `# ${line}`),
    "",
    "from __future__ import annotations",
    "",
    "from dataclasses import dataclass",
    "",
    "from .parse import Parsed",
    ...lines,
  ]);
}

function dataclass({ name, doc, fields }: RecordShape): string[] {
  return [
    "@dataclass(frozen=True)",
    `class ${pascal(name)}(Parsed):`,
    `    """${doc}"""`,
    ...fields.flatMap((field) => [
      "",
      `    ${field.name}: ${typeOf(field.shape)}`,
      `    """${fieldDoc(field)}"""`,
    ]),
  ];
}

function fieldDoc({ doc, unit }: FieldShape): string {
  return unit === null ? doc : `${doc} Unit: ${unit}.`;
}

function typeOf(shape: Shape): string {
  switch (shape.kind) {
    case "long":
      return "int";
    case "enum":
      return "str";
    case "record":
      return pascal(shape.name);
    case "array":
      return `tuple[${typeOf(shape.items)}, ...]`;
    case "map":
      return `dict[str, ${typeOf(shape.values)}]`;
    case "nullable":
      return `${typeOf(shape.of)} | None`;
    default:
      return PRIMITIVE[shape.kind];
  }
}

/** A closed list of words as a Literal and a set of it. */
export function wordsModule(
  header: readonly string[],
  type: string,
  constant: string,
  words: readonly string[],
): string {
  return text([
    ...header.map((line) => `# ${line}`),
    "",
    "from __future__ import annotations",
    "",
    "from typing import Literal, get_args",
    "",
    `${type} = Literal[`,
    ...words.map((word) => `    ${JSON.stringify(word)},`),
    "]",
    `${constant}: frozenset[str] = frozenset(get_args(${type}))`,
  ]);
}

/** The units' rules, by word. */
export function unitsModule(
  header: readonly string[],
  units: ReadonlyMap<string, { readonly dimension: string; readonly scale: number; readonly offset: number }>,
): string {
  return text([
    ...header.map((line) => `# ${line}`),
    "",
    "from __future__ import annotations",
    "",
    "from collections.abc import Mapping",
    "from typing import NamedTuple",
    "",
    "",
    "class Unit(NamedTuple):",
    '    """Value in the dimension\'s first unit = value * scale + offset."""',
    "",
    "    dimension: str",
    "    scale: float",
    "    offset: float",
    "",
    "",
    "UNITS: Mapping[str, Unit] = {",
    ...[...units].map(
      ([word, { dimension, scale, offset }]) =>
        `    ${JSON.stringify(word)}: Unit(${JSON.stringify(dimension)}, ${scale}, ${offset}),`,
    ),
    "}",
  ]);
}

/** The constants of one pipeline for the engine whose package is `root`. */
export function contractModule(header: readonly string[], contract: Contract, root: string): string {
  return text([
    ...header.map((line) => `# ${line}`),
    "",
    "from __future__ import annotations",
    "",
    `from ${root}.generated.contract import ${CLASSES.join(", ")}`,
    "",
    "CONTRACT = Contract(",
    ...Object.entries(contract).flatMap(([name, value]) => argument(name as keyof Contract, value)),
    ")",
  ]);
}

const CLASSES = [
  "Attribute",
  "Contract",
  "Derived",
  "Feature",
  "Field",
  "Neighbour",
  "Station",
  "Step",
  "Stream",
];

type Row = Readonly<Record<string, unknown>>;

/** How the rows of a list are written. A list that is not here is a tuple of plain values. */
const ROWS: Readonly<Partial<Record<keyof Contract, (row: Row) => string>>> = {
  fields,
  other_streams: (s) =>
    `Stream(${[s["key"], s["event_time"]].map(literal).join(", ")}, ${tuple((s["fields"] as readonly Row[]).map(fields))}, ${[s["duplicates"], s["lateness_ms"], s["lead_ms"], s["format"] ?? "avro", s["observation"]].map(literal).join(", ")})`,
  features: (f) => `Feature(${[f["column"], f["field"], f["kind"], f["unit"]].map(literal).join(", ")})`,
  derived: (d) =>
    `Derived(${[d["column"], d["function"]].map(literal).join(", ")}, ${tuple((d["inputs"] as readonly string[]).map(literal))})`,
  datums: (ends) => range(ends),
  steps: (s) => `Step(${literal(s["field"])}, ${float(s["change"])}, ${literal(s["within_ms"])})`,
  neighbours: (around) => tuple((around as unknown as readonly Row[]).map(neighbour)),
  stations: (s) =>
    `Station(${literal(s["name"])}, ${[s["latitude"], s["longitude"], s["elevation_m"]].map(float).join(", ")})`,
};

function fields(f: Row): string {
  return `Field(${[f["name"], f["role"], f["quantity"], f["unit"]].map(literal).join(", ")}, ${range(f["range"])}, ${range(f["support"])}${f["attribute"] === undefined ? "" : `, ${attribute(f["attribute"] as Row)}`})`;
}

function attribute(a: Row): string {
  const symbols = a["symbols"] as readonly string[] | null;
  const ends = a["range"] as readonly number[] | null;
  return `Attribute(${[
    literal(a["kind"]),
    a["required"] ? "True" : "False",
    symbols === null ? "None" : tuple(symbols.map(literal)),
    ends === null ? "None" : tuple(ends.map(literal)),
    literal(a["max_length"]),
    literal(a["pattern"]),
  ].join(", ")})`;
}

function neighbour(n: Row): string {
  return `Neighbour(${[n["station"], n["sector"], n["rank"]].map(literal).join(", ")}, ${float(n["distance_km"])})`;
}

/** Lists whose whole numbers are floats too. */
const FLOATS: ReadonlySet<keyof Contract> = new Set(["quantiles", "bands", "levels"]);

function argument(name: keyof Contract, value: unknown): string[] {
  const row = ROWS[name] ?? ((plain: unknown) => literal(plain));
  if (Array.isArray(value) && value.some((item) => typeof item === "object"))
    return [`    ${name}=(`, ...value.map((item: Row) => `        ${row(item)},`), "    ),"];
  if (Array.isArray(value)) return [`    ${name}=${tuple(value.map(FLOATS.has(name) ? float : literal))},`];
  if (typeof value === "object" && value !== null)
    return [
      `    ${name}={`,
      ...Object.entries(value).map(([k, v]) => `        ${literal(k)}: ${row(v)},`),
      "    },",
    ];
  return [`    ${name}=${literal(value)},`];
}

function tuple(items: readonly string[]): string {
  return items.length === 1 ? `(${items[0]},)` : `(${items.join(", ")})`;
}

/** Two ends, of which one may be open. */
function range(value: unknown): string {
  return Array.isArray(value) ? tuple(value.map(float)) : "None";
}

function float(value: unknown): string {
  return Number.isInteger(value) ? `${value}.0` : literal(value);
}

/** JSON's text for a string is also Python's; single quotes keep schemas readable. */
function literal(value: unknown): string {
  if (value === null) return "None";
  if (typeof value === "number") return String(value);
  if (typeof value !== "string") throw new TypeError(`no Python literal for ${JSON.stringify(value)}`);
  return value.includes('"') && !/['\\\n]/.test(value) ? `'${value}'` : JSON.stringify(value);
}

/** How an entrypoint is run. `by_path`: as a file (Spark), so it puts the engine's root in the place of its own folder. */
interface Running {
  readonly root: string;
  readonly by_path: boolean;
}

/** One thin entrypoint of the job `name`, which is its type's own or one of its members. */
export function entrypoint(
  header: readonly string[],
  pipeline: string,
  name: string,
  job: Job,
  running: Running,
): string {
  const params = paramsOf(job);
  const [room, module] = job.module.split(".");
  return text([
    ...opening(header, running),
    `from ${running.root}.${room} import ${module}  # ours: run(contract, params: ${params}, reporter)`,
    `from ${running.root}.generated import job`,
    `from ${running.root}.generated.params import ${params}`,
    `from ${running.root}.generated.${pipeline}_contract import CONTRACT`,
    "",
    'if __name__ == "__main__":',
    `    job.main("${pipeline}-${name}", CONTRACT, ${params}, ${module}.run)`,
  ]);
}

/** The entrypoint of the application that several jobs share: its members by their full names. */
export function sharedEntrypoint(
  header: readonly string[],
  pipeline: string,
  name: string,
  jobs: readonly { readonly name: string; readonly job: Job }[],
  running: Running,
): string {
  const { root } = running;
  const modules = [...new Set(jobs.map(({ job }) => job.module))].sort();
  const params = [...new Set(jobs.map(({ job }) => paramsOf(job)))].sort();
  return text([
    ...opening(header, running),
    ...modules.map((module) => {
      const [room, file] = module.split(".");
      return `from ${root}.${room} import ${file}  # ours: run(contract, params, reporter)`;
    }),
    `from ${root}.generated.job import Job`,
    `from ${root}.generated.params import ${params.join(", ")}`,
    `from ${root}.generated.${pipeline}_contract import CONTRACT`,
    `from ${root}.kit import application`,
    "",
    "MEMBERS = [",
    ...jobs.map(
      ({ name, job }) =>
        `    Job("${pipeline}-${name}", CONTRACT, ${paramsOf(job)}, ${job.module.split(".")[1]}.run),`,
    ),
    "]",
    "",
    'if __name__ == "__main__":',
    `    application.main("${pipeline}-${name}", MEMBERS)`,
  ]);
}

const paramsOf = (job: Job) => `${pascal(job.name)}Params`;

function opening(header: readonly string[], { by_path }: Running): string[] {
  return [
    ...header.map((line) => `# ${line}`),
    "",
    ...(by_path
      ? [
          "import sys",
          "from pathlib import Path",
          "",
          'if __name__ == "__main__":',
          "    sys.path[0] = str(Path(__file__).resolve().parents[2])",
          "",
        ]
      : []),
  ];
}

function text(lines: readonly string[]): string {
  return `${lines.join("\n")}\n`;
}
