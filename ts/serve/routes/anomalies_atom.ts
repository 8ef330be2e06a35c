// GET /anomalies.atom: the newest anomalies for feed readers, from the store. Source: RFC 4287.

import { ENTITY_ID_LENGTH_MAX } from "../../contract/index.ts";
import type { StoredAnomaly } from "../../store/queries.ts";
import type { AppEffects, Served } from "../effects.ts";
import { iso } from "../forecast.ts";
import { defineRoute, textTag } from "../route.ts";
import { text, z } from "../schema.ts";
import { asked } from "../store.ts";

const ATOM = "application/atom+xml";
/** Readers ask every few minutes and show the newest. */
const ENTRIES = 50;

/** What XML 1.0 can hold of a text, escaped. An id may have any character. */
export function xmlOf(words: string): string {
  const entities: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
  };
  return [...words]
    .filter((one) => {
      const code = one.codePointAt(0)!;
      return code >= 0x20 ? code !== 0xfffe && code !== 0xffff : code === 0x9 || code === 0xa || code === 0xd;
    })
    .map((one) => entities[one] ?? one)
    .join("");
}

/** The feed. Times are event time; an anomaly is updated by its newest flagged window, and by its end. */
export function atomOf(pipeline: string, found: readonly StoredAnomaly[]): string {
  const updated = (one: StoredAnomaly) => one.ended_ms ?? one.last_ms;
  const entry = (one: StoredAnomaly) => {
    const state = one.ended_ms === null ? "goes on" : `over since ${iso(one.ended_ms)}`;
    return [
      "  <entry>",
      `    <id>urn:millrace:${pipeline}:anomaly:${xmlOf(one.id)}</id>`,
      `    <title>${xmlOf(`${one.entity}: ${one.type.replaceAll("_", " ")}`)}</title>`,
      `    <published>${iso(one.opened_ms)}</published>`,
      `    <updated>${iso(updated(one))}</updated>`,
      `    <link rel="alternate" type="application/json" href="/${pipeline}/anomalies/${encodeURIComponent(one.id)}"/>`,
      `    <category term="${xmlOf(one.type)}"/>`,
      `    <summary>Since ${iso(one.opened_ms)}, ${state}; ${one.windows} flagged windows, severity ${one.severity.toFixed(2)}</summary>`,
      "  </entry>",
    ];
  };
  const newest = Math.max(0, ...found.map(updated));
  return [
    '<?xml version="1.0" encoding="utf-8"?>',
    '<feed xmlns="http://www.w3.org/2005/Atom">',
    `  <id>urn:millrace:${pipeline}:anomalies</id>`,
    `  <title>Anomalies of ${pipeline}</title>`,
    `  <updated>${iso(newest)}</updated>`,
    "  <author><name>Millrace</name></author>",
    `  <link rel="self" type="${ATOM}" href="/${pipeline}/anomalies.atom"/>`,
    ...found.flatMap(entry),
    "</feed>",
    "",
  ].join("\n");
}

export function anomaliesAtomRoute({ contract, store }: Served, { arm }: AppEffects) {
  const { pipeline } = contract;
  return defineRoute({
    name: "anomaliesAtom",
    needs: ["anomaly"],
    path: "/anomalies.atom",
    tag: "forecasts",
    summary: "The newest anomalies, for feed readers",
    description: `From the store: the ${ENTRIES} that opened last, in Atom. An entry keeps its id while its anomaly does, and is updated when that ends. Times are event time.`,
    query: z.object({ station: text("Only of this station.").max(ENTITY_ID_LENGTH_MAX).optional() }),
    type: ATOM,
    schema: z.string(),
    refusals: ["bad_parameter", "store_unreachable"],
    answer: ({ query, path }) =>
      asked(path, async () => {
        const { station = null } = query;
        const { rows } = await store.anomalies({
          ...{ entity: station, arm, type: null, severity: null, open: false },
          ...{ from_ms: null, to_ms: null, limit: ENTRIES, cursor: null, order: "desc" },
        });
        const body = atomOf(pipeline, rows);
        return { body, etag: textTag(body) };
      }),
  });
}
