// What the city system answers over HTTP: the tables of its hourly analytics, the same as charts, and the newest records of its JSON
// Lines. The numbers are those that Spark wrote; nothing is computed here.

import type { Row, Version } from "../../lines/reader.ts";
import type { DomainRoutes, DomainTools } from "../../serve/domain.ts";

const FOLDER = "analytics";
/** Records GET /api/raw-data lists when nothing is asked, and at most. */
const RAW_LIMIT = 100;
const RAW_LIMIT_MAX = 1_000;

export const routes: DomainRoutes = (tools) => {
  const { schema, defineRoute, served, clock } = tools;
  const { z, text, time, integer, number, nullable, list, map, seconds, flag, moment, wholeNumber } = schema;
  const { contract } = served;
  const measured = contract.fields.filter(({ role }) => role === "measurement" || role === "circular");
  const unit = Object.fromEntries(measured.map((field) => [field.name, field.unit]));
  const named = (city: unknown) => contract.stations[String(city)]?.name ?? String(city);
  const value = (words: string, field: string) => nullable(number(words, { unit: unit[field] }));

  /** What every answer from the analytics says of them. */
  const known = {
    at: time("When this was answered, wall time."),
    version: text("Name of the run whose tables these are."),
    computed: time("When it was computed, wall time."),
    age_s: seconds("How long ago that was."),
    from: time("Event time the run covers, inclusive."),
    to: time("Event time the run covers, exclusive."),
    simulated: flag("Whether any value in it was made up by a generator that stands in for the provider."),
    units: map(z.string(), "By name, of every number here that has a unit."),
  };
  const cityWords = {
    city: text("Its id."),
    name: text("Its name."),
  };
  const one = z.object({
    city: z
      .string()
      .refine((word) => Object.hasOwn(contract.stations, word), {
        error: `to be one of ${Object.keys(contract.stations).join(", ")}`,
      })
      .optional()
      .openapi({
        type: "string",
        enum: Object.keys(contract.stations),
        description: "Only this city.",
      } as never),
  });

  /** A route over one table of the version that counts. */
  const overTable = <R, Q>(
    {
      table,
      units,
      body,
    }: {
      readonly table: string;
      /** Names of the numbers that have a unit, with the field it is of. */
      readonly units: Readonly<Record<string, string>>;
      body(rows: readonly Row[], query: Q): R;
    },
    { query, path }: { readonly query: Q; readonly path: string },
  ) =>
    fromHdfs(tools, path, async (lines) => {
      const [found, statistics] = [
        await lines.table(FOLDER, table),
        await lines.table(FOLDER, "city_statistics"),
      ];
      if (found === null) return notYet(tools, path);
      return {
        body: {
          ...knownOf(found.version, clock.nowMs()),
          simulated: (statistics?.rows ?? []).some((row) => Number(row["simulated_count"]) > 0),
          units: Object.fromEntries(Object.entries(units).map(([name, field]) => [name, unit[field] ?? "1"])),
          ...body(found.rows, query),
        },
        etag: tools.weakTag(found.version.version, table, encodeURIComponent(JSON.stringify(query))),
      };
    });
  const of = (rows: readonly Row[], { city }: { readonly city?: string | undefined }) =>
    rows.filter((row) => city === undefined || row["city"] === city);
  const refusals = ["bad_parameter", "store_unreachable", "no_figures"] as const;

  return [
    defineRoute({
      name: "city_statistics",
      path: "/api/city-statistics",
      tag: "domain",
      summary: "Temperature and humidity of each city, from the start of yesterday to the last run",
      description:
        "From HDFS, as the newest run of the hourly batch wrote it. The standard deviation is the sample's, null of less than two values.",
      query: one,
      schema: z
        .object({
          ...known,
          cities: list(
            z.object({
              ...cityWords,
              count: integer("Observations.", { unit: "1" }),
              temperature_mean: value("Mean.", "temperature"),
              temperature_min: value("Lowest.", "temperature"),
              temperature_max: value("Highest.", "temperature"),
              temperature_std: value("Sample standard deviation.", "temperature"),
              humidity_mean: value("Mean.", "humidity"),
              simulated_count: integer("Observations that were made up.", { unit: "1" }),
            }),
            "By city.",
          ),
        })
        .openapi("CityStatistics"),
      refusals,
      answer: (asked) =>
        overTable(
          {
            table: "city_statistics",
            units: {
              temperature_mean: "temperature",
              temperature_min: "temperature",
              temperature_max: "temperature",
              temperature_std: "temperature",
              humidity_mean: "humidity",
            },
            body: (rows, query: { city?: string | undefined }) => ({
              cities: of(rows, query).map((row) => ({
                city: String(row["city"]),
                name: named(row["city"]),
                count: count(row["count"]),
                temperature_mean: finite(row["temperature_mean"]),
                temperature_min: finite(row["temperature_min"]),
                temperature_max: finite(row["temperature_max"]),
                temperature_std: finite(row["temperature_std"]),
                humidity_mean: finite(row["humidity_mean"]),
                simulated_count: count(row["simulated_count"]),
              })),
            }),
          },
          asked,
        ),
    }),
    defineRoute({
      name: "hourly_trends",
      path: "/api/hourly-trends",
      tag: "domain",
      summary: "Means of each city and hour",
      description:
        "From HDFS, as the newest run of the hourly batch wrote it: one row a city and hour of event time, UTC.",
      query: one,
      schema: z
        .object({
          ...known,
          hours: list(
            z.object({
              ...cityWords,
              hour: time("Its start, inclusive, event time."),
              count: integer("Observations.", { unit: "1" }),
              temperature_mean: value("Mean.", "temperature"),
              humidity_mean: value("Mean.", "humidity"),
              wind_speed_mean: value("Mean.", "wind_speed"),
            }),
            "By city, then hour.",
          ),
        })
        .openapi("HourlyTrends"),
      refusals,
      answer: (asked) =>
        overTable(
          {
            table: "hourly_trends",
            units: {
              temperature_mean: "temperature",
              humidity_mean: "humidity",
              wind_speed_mean: "wind_speed",
            },
            body: (rows, query: { city?: string | undefined }) => ({
              hours: of(rows, query).map((row) => ({
                city: String(row["city"]),
                name: named(row["city"]),
                hour: iso(row["hour"]),
                count: count(row["count"]),
                temperature_mean: finite(row["temperature_mean"]),
                humidity_mean: finite(row["humidity_mean"]),
                wind_speed_mean: finite(row["wind_speed_mean"]),
              })),
            }),
          },
          asked,
        ),
    }),
    ...(["temperature", "humidity"] as const).map((field) =>
      defineRoute({
        name: `${field}_chart`,
        path: `/api/${field}-chart`,
        tag: "domain",
        summary: `Mean ${field} by hour, a series a city, for a chart`,
        description:
          "The hourly trends turned round: one list of hours, and of each city as many values, null where it has none.",
        query: one,
        schema: z
          .object({
            ...known,
            hours: list(z.iso.datetime(), "Starts of the hours, inclusive, event time, oldest first."),
            series: list(
              z.object({
                ...cityWords,
                values: list(
                  nullable(number("Mean of the hour.", { unit: unit[field] })),
                  "One for each hour.",
                ),
              }),
              "By city.",
            ),
          })
          .openapi(field === "temperature" ? "TemperatureChart" : "HumidityChart"),
        refusals,
        answer: (asked) =>
          overTable(
            {
              table: "hourly_trends",
              units: { values: field },
              body: (rows, query: { city?: string | undefined }) =>
                chartOf(of(rows, query), `${field}_mean`, named),
            },
            asked,
          ),
      }),
    ),
    defineRoute({
      name: "city_anomalies",
      path: "/api/anomalies",
      tag: "domain",
      summary: "Values more than three sample standard deviations from the mean of their city",
      description: "From HDFS, as the newest run of the hourly batch wrote it, oldest first.",
      query: one,
      schema: z
        .object({
          ...known,
          anomalies: list(
            z.object({
              ...cityWords,
              time: time("Event time."),
              field: text("Which value."),
              unit: text("Of value, mean and std."),
              value: number("As it was measured."),
              mean: number("Of the city in the range."),
              std: number("Sample standard deviation of the city in the range."),
              sigmas: number("How many of them it is off.", { unit: "1" }),
            }),
            "Oldest first.",
          ),
        })
        .openapi("CityAnomalies"),
      refusals,
      answer: (asked) =>
        overTable(
          {
            table: "anomalies",
            units: {},
            body: (rows, query: { city?: string | undefined }) => ({
              anomalies: of(rows, query).map((row) => ({
                city: String(row["city"]),
                name: named(row["city"]),
                time: iso(row["time"]),
                field: String(row["field"]),
                unit: unit[String(row["field"])] ?? "1",
                value: Number(row["value"]),
                mean: Number(row["mean"]),
                std: Number(row["std"]),
                sigmas: Number(row["sigmas"]),
              })),
            }),
          },
          asked,
        ),
    }),
    defineRoute({
      name: "raw_data",
      path: "/api/raw-data",
      tag: "domain",
      summary: "The records themselves, newest hour first, in pages",
      description:
        "From the JSON Lines on HDFS: every field of the contract. Within an hour what was written last comes first. A page goes on at a place in a file, which never changes, so records that come meanwhile neither repeat nor hide any; a filter that lets little through may give a page of fewer records than asked for, with a `next`.",
      query: one.extend({
        from: moment("Event time, inclusive; open when absent."),
        to: moment("Event time, exclusive; open when absent."),
        limit: wholeNumber("Records of a page.", { min: 1, max: RAW_LIMIT_MAX, usual: RAW_LIMIT }),
        cursor: text("`next` of the page before, with everything else as it was.").max(60).optional(),
      }),
      schema: z
        .object({
          at: known.at,
          units: known.units,
          simulated: flag("Whether any of these records was made up."),
          next: nullable(text("Give this as `cursor` for the next page; null on the last one.")),
          records: list(
            z.object({
              ...cityWords,
              timestamp: time("When the provider computed the values."),
              ...Object.fromEntries(
                measured.map(({ name, unit: of }) => [
                  name,
                  nullable(number("As the provider says it.", { unit: of })),
                ]),
              ),
              description: nullable(text("The provider's words for the weather.")),
              simulated: nullable(flag("True for values of a generator.")),
            }),
            "Newest hour first.",
          ),
        })
        .openapi("RawData"),
      refusals: ["bad_parameter", "store_unreachable"],
      answer: ({ query, path }) =>
        fromHdfs(tools, path, async (lines) => {
          const { city, from = null, to = null, limit, cursor } = query;
          const before = cursor === undefined ? null : placeIn(cursor);
          if (before === undefined || (from !== null && to !== null && from >= to))
            return tools.respond(
              tools.problem(
                "bad_parameter",
                before === undefined
                  ? `Expected "cursor" to be \`next\` of a page, got "${cursor}"`
                  : `Expected "from" before "to"`,
                path,
              ),
            );
          const page = await lines.records({
            ...{ from_ms: from, to_ms: to, limit, before },
            wanted: (row) => {
              const time_ms = millis(row["timestamp"]);
              return (
                (city === undefined || row["city"] === city) &&
                (from === null || time_ms >= from) &&
                (to === null || time_ms < to)
              );
            },
          });
          return {
            body: {
              at: iso(clock.nowMs()),
              units: Object.fromEntries(Object.entries(unit).map(([name, of]) => [name, of ?? "1"])),
              simulated: page.records.some(({ row }) => row["simulated"] === true),
              next: page.next && `${page.next.hour_ms / 3_600_000}.${page.next.offset}`,
              records: page.records.map(({ row }) => ({
                city: String(row["city"]),
                name: named(row["city"]),
                timestamp: iso(millis(row["timestamp"])),
                ...Object.fromEntries(measured.map(({ name }) => [name, finite(row[name])])),
                description: typeof row["description"] === "string" ? row["description"] : null,
                simulated: typeof row["simulated"] === "boolean" ? row["simulated"] : null,
              })),
            },
          };
        }),
    }),
  ];
};

type Reader = NonNullable<DomainTools["lines"]>;

/** Errors become problem documents by the server; a description has nobody to ask. */
async function fromHdfs<T>(
  { lines, problem, respond }: DomainTools,
  path: string,
  work: (lines: Reader) => Promise<T>,
): Promise<T | Response> {
  if (lines === null) return respond(problem("internal", "This pipeline keeps no lines", path));
  return work(lines);
}

const notYet = ({ problem, respond }: DomainTools, path: string): Response =>
  respond(
    problem(
      "no_figures",
      "No run of the analytics has ended yet",
      path,
      "Wait for the next full hour and five minutes, or run it now: millrace submit city-analytics --now",
    ),
  );

const knownOf = ({ version, computed_ms, from_ms, to_ms }: Version, now_ms: number) => ({
  at: iso(now_ms),
  version,
  computed: iso(computed_ms),
  age_s: Math.max(0, Math.round(now_ms - computed_ms) / 1000),
  from: iso(from_ms),
  to: iso(to_ms),
});

/** Hours along one axis, and a value or null of each city at each. */
function chartOf(rows: readonly Row[], column: string, named: (city: unknown) => string) {
  const hours = [...new Set(rows.map((row) => millis(row["hour"])))].sort((a, b) => a - b);
  const cities = [...new Set(rows.map((row) => String(row["city"])))].sort();
  const known = new Map(rows.map((row) => [`${row["city"]} ${millis(row["hour"])}`, finite(row[column])]));
  return {
    hours: hours.map(iso),
    series: cities.map((city) => ({
      city,
      name: named(city),
      values: hours.map((hour) => known.get(`${city} ${hour}`) ?? null),
    })),
  };
}

/** A moment as Spark or a line says it, RFC 3339 or epoch ms. */
const millis = (value: unknown): number => (typeof value === "number" ? value : Date.parse(String(value)));
const iso = (value: unknown): string => new Date(millis(value)).toISOString();
const finite = (value: unknown): number | null =>
  typeof value === "number" && Number.isFinite(value) ? value : null;
const count = (value: unknown): number => Math.trunc(Number(value));

/** `<hour>.<offset>`; undefined for what no page has said. */
function placeIn(cursor: string): { readonly hour_ms: number; readonly offset: number } | undefined {
  const [, hour, offset] = /^(\d{1,7})\.(\d{1,15})$/.exec(cursor) ?? [];
  return hour === undefined || offset === undefined
    ? undefined
    : { hour_ms: Number(hour) * 3_600_000, offset: Number(offset) };
}
