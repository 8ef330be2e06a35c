// Records of a line's topics that say nothing but what they are told: made from their schemas, for whoever measures or proves what
// becomes of records and not what stands in them.

import { encoder } from "../../contract/index.ts";
import type { OutRecord } from "../../kafka/kafka.ts";
import { entityKey, schemaOf, topicOf } from "../../pipelines/index.ts";
import { requireApplied } from "../../supervise/applied.ts";
import type { Namespace } from "./namespace.ts";

/** Topics that are stored and served. */
export const SENT = ["features", "predictions", "verifications"] as const;
export type SentKind = (typeof SENT)[number];

type Avro = string | { readonly type: Avro; readonly [more: string]: unknown } | readonly Avro[];

/** A record that its schema takes: null, nothing and zero wherever it may be. */
export function blank(schema: unknown, named = new Map<string, unknown>()): unknown {
  const of = schema as Avro;
  if (Array.isArray(of)) return of.includes("null") ? null : blank(of[0], named);
  if (typeof of === "string") {
    if (named.has(of)) return blank(named.get(of), named);
    if (of === "null") return null;
    if (of === "boolean") return false;
    if (of === "string") return "";
    return of === "bytes" ? Buffer.alloc(0) : 0;
  }
  const whole = of as {
    type: Avro;
    name?: string;
    fields?: { name: string; type: Avro }[];
    symbols?: string[];
  };
  if (whole.name !== undefined) named.set(whole.name, whole);
  if (whole.type === "record")
    return Object.fromEntries((whole.fields ?? []).map(({ name, type }) => [name, blank(type, named)]));
  if (whole.type === "enum") return whole.symbols![0];
  if (whole.type === "array") return [];
  if (whole.type === "map") return {};
  return blank(whole.type, named);
}

/** How long a window is. */
const WINDOW_MS = 300_000;

/** The records of a window that ends at `at` (epoch ms of event time) in full: what its table needs to find and order them by. */
export function windowsOf(line: Parameters<typeof recordsOf>[0]) {
  const record = recordsOf(line);
  const window = (at: number, revision: number) => ({
    window_start: at - WINDOW_MS,
    plan_epoch: 1,
    revision,
  });
  return {
    features: (entity: string, at: number, revision = 0) =>
      record("features", entity, { ...window(at, revision), window_end: at }),
    prediction: (entity: string, at: number, id: string, revision = 0) =>
      record("predictions", entity, { ...window(at, revision), id, timestamp: at, model_version: "1" }),
    verification: (entity: string, at: number, id: string, forecast_id = id) =>
      record("verifications", entity, { id, forecast_id, valid: at, issued: at, judged: at }),
  };
}

/** Makes records of these topics, each with some fields of its own. Errors: `contract_mismatch` where the contract is not applied. */
function recordsOf({
  settings,
  names,
  contract,
}: Pick<Namespace, "settings" | "names" | "contract">): (
  kind: SentKind,
  entity: string,
  more: object,
) => OutRecord {
  const { writers } = requireApplied(settings, contract.fingerprint);
  const makers = new Map(
    SENT.map((kind) => {
      const schema = schemaOf(contract, kind);
      const whole = blank(JSON.parse(schema)) as object;
      const write = encoder<object>(schema, writers[kind]!);
      const own = (more: object) => write({ ...whole, ...("arm" in whole && { arm: "champion" }), ...more });
      return [kind, own] as const;
    }),
  );
  return (kind, entity, more) => ({
    topic: topicOf(names, kind).topic,
    key: entity,
    value: makers.get(kind)!({ [entityKey(contract)]: entity, ...more }),
  });
}
