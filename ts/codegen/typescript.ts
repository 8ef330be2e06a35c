// Writes TypeScript: record types and contract constants. Lines only; every rule about meaning is in derive.ts and schemas.ts.

import { pascal, type RecordShape, type Shape } from "../contract/index.ts";
import type { Contract } from "../pipelines/contract.ts";

const PRIMITIVE = {
  boolean: "boolean",
  int: "number",
  double: "number",
  timestamp: "number",
  date: "number",
  string: "string",
  bytes: "Buffer",
} as const;

/**
 * The interfaces of records and everything named inside them, inner ones first. A name that occurs in several records
 * (the access to Kafka) is written once; render.ts has checked that it means the same everywhere.
 */
export function interfaces(records: readonly RecordShape[]): string[] {
  const lines: string[] = [];
  const written = new Set<string>();
  const visit = (shape: Shape): void => {
    if (shape.kind === "nullable") visit(shape.of);
    else if (shape.kind === "array") visit(shape.items);
    else if (shape.kind === "map") visit(shape.values);
    else if ((shape.kind === "record" || shape.kind === "enum") && !written.has(shape.name)) {
      written.add(shape.name);
      if (shape.kind === "record") for (const field of shape.fields) visit(field.shape);
      lines.push("", ...(shape.kind === "record" ? interfaceOf(shape) : unionOf(shape.name, shape.symbols)));
    }
  };
  for (const record of records) visit(record);
  return lines;
}

function interfaceOf({ name, doc, fields }: RecordShape): string[] {
  return [
    ...(doc === "" ? [] : [`/** ${doc} */`]),
    `export interface ${pascal(name)} {`,
    ...fields.flatMap((field) => {
      const unit = field.unit === null ? "" : ` Unit: ${field.unit}.`;
      const days = (field.shape.kind === "nullable" ? field.shape.of : field.shape).kind === "date";
      const note = `${field.doc}${unit}${days ? " Days since 1970-01-01." : ""}`.trim();
      return [
        ...(note === "" ? [] : [`  /** ${note} */`]),
        `  readonly ${field.name}: ${typeOf(field.shape)};`,
      ];
    }),
    "}",
  ];
}

function unionOf(name: string, symbols: readonly string[]): string[] {
  return [
    `export type ${pascal(name)} =`,
    ...symbols.map((s, i) => `  | ${JSON.stringify(s)}${i === symbols.length - 1 ? ";" : ""}`),
  ];
}

function typeOf(shape: Shape): string {
  switch (shape.kind) {
    case "long":
      return shape.wide ? "bigint" : "number";
    case "enum":
    case "record":
      return pascal(shape.name);
    case "array":
      return `readonly ${shape.items.kind === "nullable" ? `(${typeOf(shape.items)})` : typeOf(shape.items)}[]`;
    case "map":
      return `Readonly<Record<string, ${typeOf(shape.values)}>>`;
    case "nullable":
      return `${typeOf(shape.of)} | null`;
    default:
      return PRIMITIVE[shape.kind];
  }
}

/** A closed list of words as a constant and a union of it. */
export function wordList(constant: string, type: string, words: readonly string[]): string[] {
  return [
    "",
    `export const ${constant} = [`,
    ...words.map((word) => `  ${JSON.stringify(word)},`),
    "] as const;",
    "",
    `export type ${type} = (typeof ${constant})[number];`,
  ];
}

/** The module of one pipeline. */
export function pipelineModule(
  header: readonly string[],
  contract: Contract,
  records: readonly RecordShape[],
  contract_module: string | null,
): string {
  return text([
    ...header.map((line) => `// ${line}`),
    ...(contract_module === null ? [] : ["", `import type { Contract } from "${contract_module}";`]),
    ...interfaces(records),
    "",
    "export const CONTRACT = {",
    ...Object.entries(contract).flatMap(([name, value]) => entry(name, value)),
    `} as const${contract_module === null ? "" : " satisfies Contract"};`,
  ]);
}

/** A module of types that belong to no pipeline. */
export function typesModule(header: readonly string[], body: readonly string[]): string {
  return text([...header.map((line) => `// ${line}`), ...body]);
}

function entry(name: string, value: unknown): string[] {
  if (Array.isArray(value) && value.some((item) => typeof item === "object"))
    return [`  ${name}: [`, ...value.map((item) => `    ${literal(item)},`), "  ],"];
  if (typeof value === "object" && value !== null && !Array.isArray(value))
    return [
      `  ${name}: {`,
      ...Object.entries(value).map(([k, v]) => `    ${key(k)}: ${literal(v)},`),
      "  },",
    ];
  return [`  ${name}: ${literal(value)},`];
}

function literal(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value === "object" && value !== null)
    return `{ ${Object.entries(value)
      .map(([k, v]) => `${key(k)}: ${literal(v)}`)
      .join(", ")} }`;
  if (typeof value === "string" && value.includes('"') && !/['\\\n]/.test(value)) return `'${value}'`;
  return JSON.stringify(value);
}

function key(name: string): string {
  return /^[a-z_][a-z0-9_]*$/i.test(name) ? name : JSON.stringify(name);
}

function text(lines: readonly string[]): string {
  return `${lines.join("\n")}\n`;
}
