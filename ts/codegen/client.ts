// Writes the types of the API for programs that ask it, from its OpenAPI document: the shapes that openapi-fetch takes its types from.
// Lines only. Refuses a keyword it has no rule for, so that no promise of the document is lost on the way.

import { PipelineError } from "../contract/index.ts";

type Json = Readonly<Record<string, unknown>>;

/** Words that say something for people or about a value, and nothing about its type. */
const SAID = new Set([
  "description",
  "unit",
  "format",
  "minimum",
  "maximum",
  "maxLength",
  "minLength",
  "default",
]);
const KNOWN = new Set([
  "type",
  "properties",
  "required",
  "items",
  "anyOf",
  "enum",
  "const",
  "additionalProperties",
  "$ref",
]);

const record = (value: unknown): Json => (value ?? {}) as Json;
const listOf = (value: unknown): readonly Json[] => (value ?? []) as readonly Json[];
const key = (name: string): string => (/^[A-Za-z_]\w*$/.test(name) ? name : JSON.stringify(name));

const PRIMITIVE: Readonly<Record<string, string>> = {
  string: "string",
  number: "number",
  integer: "number",
  boolean: "boolean",
  null: "null",
};

function refused(what: string): PipelineError {
  return new PipelineError(
    "contract_rejected",
    `Cannot write the client's types: expected JSON Schema that there is a rule for, got ${what}; add one in ts/codegen/client.ts`,
  );
}

const JSON_TYPE = "application/json";

/** What stands behind a property's name. `pad` is the indentation of its line. Errors: `contract_rejected`. */
export function typeOf(schema: Json, pad: string): string {
  const odd = Object.keys(schema).find((word) => !SAID.has(word) && !KNOWN.has(word));
  if (odd !== undefined) throw refused(`"${odd}"`);
  const { $ref, anyOf, type } = schema;
  if (typeof $ref === "string") return `components["schemas"]["${$ref.split("/").at(-1)}"]`;
  if (anyOf !== undefined) return [...new Set(listOf(anyOf).map((one) => typeOf(one, pad)))].join(" | ");
  if (schema["const"] !== undefined) return JSON.stringify(schema["const"]);
  if (Array.isArray(schema["enum"])) {
    const words = schema["enum"].map((word) => JSON.stringify(word));
    return words.length === 0 ? "never" : words.join(" | ");
  }
  if (type === undefined) return "unknown";
  return [...new Set([type].flat().map((one) => oneType(String(one), schema, pad)))].join(" | ");
}

function oneType(type: string, schema: Json, pad: string): string {
  // Not readonly: openapi-fetch reads a readonly array as an object.
  if (type === "array") return `(${typeOf(record(schema["items"]), pad)})[]`;
  if (type !== "object") {
    const primitive = PRIMITIVE[type];
    if (primitive === undefined) throw refused(`type "${type}"`);
    return primitive;
  }
  const { properties, additionalProperties } = schema;
  if (properties === undefined)
    return `Readonly<Record<string, ${additionalProperties === undefined ? "unknown" : typeOf(record(additionalProperties), pad)}>>`;
  return ["{", ...propertiesOf(schema, `${pad}  `), `${pad}}`].join("\n");
}

/** One line a property, with what is said of it before. */
function propertiesOf({ properties, required }: Json, pad: string): string[] {
  const needed = new Set((required ?? []) as readonly string[]);
  return Object.entries(record(properties)).flatMap(([name, value]) => {
    const schema = record(value);
    const unit = schema["unit"] === undefined || schema["unit"] === "1" ? "" : ` Unit: ${schema["unit"]}.`;
    const note = `${schema["description"] ?? ""}${unit}`.trim().replaceAll("*/", "* /");
    return [
      ...(note === "" ? [] : [`${pad}/** ${note} */`]),
      `${pad}readonly ${key(name)}${needed.has(name) ? "" : "?"}: ${typeOf(schema, pad)};`,
    ];
  });
}

/** Parameters of one place, as `query?: { … }`. */
function parametersIn(place: "query" | "path", parameters: readonly Json[]): string[] {
  const ours = parameters.filter((one) => one["in"] === place);
  if (ours.length === 0) return [`        ${place}?: never;`];
  const optional = ours.every((one) => one["required"] !== true);
  return [
    `        ${place}${optional ? "?" : ""}: {`,
    ...ours.flatMap((one) => [
      ...(one["description"] === undefined ? [] : [`          /** ${String(one["description"])} */`]),
      `          ${key(String(one["name"]))}${one["required"] === true ? "" : "?"}: ${typeOf(record(one["schema"]), "          ")};`,
    ]),
    "        };",
  ];
}

/** Where JSON is among the types of an answer it is what comes when nothing else is asked for. */
function responseOf(status: string, response: Json): string[] {
  return [
    `        ${status}: {`,
    "          headers: Readonly<Record<string, unknown>>;",
    "          content: {",
    ...Object.entries(record(response["content"]))
      .filter(([type], _, all) => type === JSON_TYPE || !all.some(([other]) => other === JSON_TYPE))
      .map(
        ([type, media]) =>
          `            ${JSON.stringify(type)}: ${typeOf(record(record(media)["schema"]), "            ")};`,
      ),
    "          };",
    "        };",
  ];
}

/** The whole file. Errors: `contract_rejected` for a keyword there is no rule for. */
export function clientTypes(document: Json, command: string): string {
  const paths = Object.entries(record(document["paths"])).flatMap(([path, item]) => {
    const get = record(record(item)["get"]);
    const parameters = listOf(get["parameters"]);
    return [
      `  /** ${String(get["summary"])}. */`,
      `  ${JSON.stringify(path)}: {`,
      "    get: {",
      "      parameters: {",
      ...parametersIn("query", parameters),
      ...parametersIn("path", parameters),
      "      };",
      "      responses: {",
      ...Object.entries(record(get["responses"])).flatMap(([status, one]) => responseOf(status, record(one))),
      "      };",
      "    };",
      "  };",
    ];
  });
  const schemas = Object.entries(record(record(document["components"])["schemas"])).flatMap(
    ([name, value]) => {
      const schema = record(value);
      const note = schema["description"];
      return [
        ...(note === undefined ? [] : [`    /** ${String(note)} */`]),
        `    ${key(name)}: ${typeOf(schema, "    ")};`,
      ];
    },
  );
  return [
    `// Generated by ts/codegen/client.ts from the API's OpenAPI document. Do not edit: ${command}.`,
    "",
    "export interface paths {",
    ...paths,
    "}",
    "",
    "export interface components {",
    "  schemas: {",
    ...schemas,
    "  };",
    "}",
    "",
  ].join("\n");
}
