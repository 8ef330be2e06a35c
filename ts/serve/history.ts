// What the routes over the store have in common: a range of event time, pages by an opaque cursor, the same rows as CSV. Pure: the
// store is asked by the route. A page's tag names its rows, which never change, so that the same page again costs no body.

import { stringify } from "csv-stringify/sync";
import { PAGE_MAX, type Page, type Range, SPAN_MS_MAX, type Stored } from "../store/queries.ts";
import { iso } from "./forecast.ts";
import { problem, respond } from "./problem.ts";
import { type Answer, digestOf, weakTag } from "./route.ts";
import { moment, nullable, said, text, time, wholeNumber, word, z } from "./schema.ts";

/** Rows of a page when nothing is asked; at most as many as the store gives. */
const LIMIT = 100;
export const CSV = "text/csv";
/** What a row says of itself in CSV; the first line has the names. */
export const CsvText = z.string().openapi({ description: "One line a row, the first with the names." });

const DAY_MS = 86_400_000;
/** `from`, `to`, `limit`, `cursor`, `order` and `format`. */
export const RANGED = {
  from: moment("Event time, inclusive; open when absent."),
  to: moment(`Event time, exclusive; open when absent. At most ${SPAN_MS_MAX / DAY_MS} days after \`from\`.`),
  limit: wholeNumber("Rows of a page.", { min: 1, max: PAGE_MAX, usual: LIMIT }),
  cursor: text("`next` of the page before, with everything else as it was.").optional(),
  order: said(
    z.enum(["asc", "desc"]).default("desc"),
    "By event time: asc oldest first, desc newest first.",
    {
      default: "desc",
    },
  ),
  format: word(["json", "csv"], "Overrules the header Accept.").optional(),
};

/** The same of rows that have versions. */
export const VERSIONED = {
  ...RANGED,
  revision: said(z.enum(["latest", "all"]).default("latest"), "Which versions of a window.", {
    default: "latest",
  }),
};

type Ranged = z.output<z.ZodObject<typeof RANGED>>;

/** What a page says of itself in JSON, beside its rows. */
export const PAGED = {
  from: nullable(time("As asked, inclusive; null for open.")),
  to: nullable(time("As asked, exclusive; null for open.")),
  next: nullable(
    text("Give this as `cursor` for the next page; null on the last one. The header Link has it too."),
  ),
};

/** The range that was asked for, or what is wrong with it. */
export function rangeOf({ from, to }: Pick<Ranged, "from" | "to">, path: string): Range | Response {
  const [from_ms, to_ms] = [from ?? null, to ?? null];
  const refused = (words: string) => respond(problem("bad_parameter", words, path));
  if (from_ms !== null && to_ms !== null) {
    const asked = `from ${iso(from_ms)} to ${iso(to_ms)}`;
    if (from_ms >= to_ms) return refused(`Expected "from" before "to", got ${asked}`);
    if (to_ms - from_ms > SPAN_MS_MAX)
      return refused(
        `Expected at most ${SPAN_MS_MAX / DAY_MS} days from "from" to "to", got ${asked}; ask for a shorter range, one after the other`,
      );
  }
  return { from_ms, to_ms };
}

export const pagedOf = ({ from_ms, to_ms }: Range, { next }: Page<unknown>) => ({
  from: from_ms === null ? null : iso(from_ms),
  to: to_ms === null ? null : iso(to_ms),
  next,
});

/** Whether CSV is wanted: `format` decides, else the first of both types that `Accept` names. */
function wantsCsv(format: string | undefined, accept: string | null): boolean {
  if (format !== undefined) return format === "csv";
  const types = (accept ?? "").split(",").map((type) => type.split(";")[0]!.trim().toLowerCase());
  return types.find((type) => type === CSV || type === "application/json") === CSV;
}

/** What names a stored row: where it lies, and when it came there. */
export const placeOf = ({ arrival }: Stored): string =>
  `${arrival.partition}/${arrival.offset}@${arrival.append_time_ms}`;

/** A text that a spreadsheet would take for a formula is none; a number below zero stays one. Source: OWASP, CSV Injection. */
const CAST = {
  string: (value: string) => ({ value, escape_formulas: true }),
  boolean: (value: boolean) => String(value),
};

/** A page as JSON or CSV, with the address of the next one. `names`: what names its rows and their state, for the tag. */
export function pageAnswer<B>(
  { request, path, query }: { request: Request; path: string; query: Pick<Ranged, "format"> },
  { next }: Page<unknown>,
  names: readonly string[],
  {
    body,
    table,
  }: { body(): B; table(): { readonly columns: readonly string[]; readonly rows: readonly unknown[][] } },
): Answer<B> {
  const csv = wantsCsv(query.format, request.headers.get("accept"));
  const etag = weakTag(digestOf([csv, next, ...names].join("\n")));
  const headers: Record<string, string> = { vary: "accept" };
  if (next !== null) {
    const address = new URL(request.url);
    address.searchParams.set("cursor", next);
    headers["link"] = `<${path}${address.search}>; rel="next"`;
  }
  if (!csv) return { body: body(), etag, headers };
  const { columns, rows } = table();
  return {
    body: stringify([columns, ...rows], { record_delimiter: "windows", cast: CAST }) as B,
    etag,
    headers: { ...headers, "content-type": `${CSV}; charset=utf-8; header=present` },
  };
}

/** A measured number, or null for what JSON has no word for. */
export const finite = (value: unknown): number | null =>
  typeof value === "number" && Number.isFinite(value) ? value : null;
