// The domain's own Spark work: the rules of what a query may be.

import type { Query } from "../../pipelines/define.ts";
import { type Check, distinct } from "../check.ts";
import { type Functions, QUERIES } from "../functions.ts";

const SINKS: readonly string[] = ["delta", "json_lines", "parquet", "kafka", "versions"];

/** `streams` are the names of the pipeline's; `taken` those of other jobs, which a query's job would be mistaken for. */
export function checkQueries(
  { need, multiple }: Check,
  queries: readonly Query[],
  streams: readonly string[],
  functions: Functions,
  taken: readonly string[],
  hasLines: boolean,
): void {
  need(
    queries.length > 0 && distinct(queries.map(({ name }) => name)),
    "queries",
    "at least one, every name once",
    queries.map(({ name }) => name),
  );
  for (const query of queries) {
    const place = `queries.${query.name}`;
    need(
      /^[a-z][a-z0-9_]*$/.test(query.name) && !taken.includes(query.name),
      place,
      `a name in snake_case other than ${taken.join(", ")}`,
      query.name,
    );
    need(
      functions.get(query.function)?.length === 1,
      `${place}.function`,
      `a function of one frame, as "def hours(frame)" in ${QUERIES}/meters.py is "meters.hours" (there are ${[
        ...functions,
      ]
        .flatMap(([name, given]) => (given.length === 1 ? [name] : []))
        .join(", ")})`,
      query.function,
    );
    need(
      streams.includes(query.reads),
      `${place}.reads`,
      `one of the streams ${streams.join(", ")}`,
      query.reads,
    );
    need(
      SINKS.includes(query.sink.kind),
      `${place}.sink.kind`,
      `one of ${SINKS.join(", ")}`,
      query.sink.kind,
    );
    need(
      "trigger_ms" in query !== "schedule" in query,
      place,
      "a trigger_ms, as a stream, or a schedule, and not both",
      Object.keys(query),
    );
    if ("trigger_ms" in query) multiple(`${place}.trigger_ms`, query.trigger_ms, 1, "a millisecond,");
    else {
      need(
        query.schedule.trim().split(/\s+/).length === 5,
        `${place}.schedule`,
        "five fields of cron",
        query.schedule,
      );
      multiple(`${place}.step_ms`, query.step_ms, 1, "a millisecond,");
      multiple(`${place}.span_ms`, query.span_ms, 1, "a millisecond,");
    }
    const lines = ("of" in query && query.of === "lines") || query.sink.kind === "versions";
    need(
      !lines || hasLines,
      place,
      'the part "lines" beside it, whose files it reads or lies beside',
      "none",
    );
    if (query.sink.kind === "versions") {
      const { folder, tables } = query.sink;
      need(
        "schedule" in query,
        `${place}.sink`,
        "a run of a schedule, which is what a version is of",
        query.sink.kind,
      );
      need(
        tables.length > 0 &&
          distinct(tables) &&
          [folder, ...tables].every((name) => /^[a-z][a-z0-9_]*$/.test(name)),
        `${place}.sink`,
        "a folder and at least one table, names in snake_case, every one once",
        [folder, ...tables],
      );
    }
    if (query.sink.kind === "kafka") {
      // A run takes the place of an earlier one; a record that was read cannot be taken back.
      need("trigger_ms" in query, `${place}.sink`, "a sink whose files a run can replace", query.sink.kind);
      multiple(`${place}.sink.partitions`, query.sink.partitions, 1, "a partition,");
    }
  }
}
