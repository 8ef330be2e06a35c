// The folder of the set "Historical Hourly Weather Data" (Kaggle, selfishgene) as an Input: one wide CSV a variable, a `datetime`
// column (UTC) and then one a city, read in step and joined into one observation a city and hour. Kelvin becomes the contract's
// unit here. Repairs nothing: what is wrong in the set stays in; known-anomalies.csv says where, for those who judge by it.

import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { converter, PipelineError } from "../../contract/index.ts";
import { wallClock } from "../../ground/clock.ts";
import type { Contract } from "../../pipelines/contract.ts";
import { badLine, epochMs, parseNumber, type SourceContract } from "../formats/cells.ts";
import { type CsvRecord, csvCells, csvRecords } from "../formats/csv.ts";
import type { BadRow, Input, Row } from "../row.ts";
import { opened } from "./content.ts";
import { Timeline } from "./timeline.ts";

/** What the set's variables come in. Source: the set's own page; a variable that is not here is not read. */
const UNITS: Readonly<Record<string, string>> = {
  temperature: "K",
  humidity: "%",
  pressure: "hPa",
  wind_speed: "m/s",
  wind_direction: "deg",
};

/** Where a variable's file is looked for below the folder; the first that has it. Directions exist for the last months only. */
const PLACES = ["full", "", "all-six-variables-from-2016-12"];
const ENDINGS = [".csv.gz", ".csv"];

const CITIES = "city_attributes.csv";
const ANOMALIES = "known-anomalies.csv";

/** A city is the pipeline's station when both stand this close, in degrees: there is more than one Portland. */
const APART_DEG = 0.25;
/** From one row of the set to the next, event time. */
const STEP_MS = 3_600_000;
/** Rows handed on at once, at least. */
const CHUNK = 512;

export interface KaggleOptions {
  /** Holds city_attributes.csv and the variables' files, in `full/` or beside it. */
  readonly folder: string;
  readonly contract: SourceContract & Pick<Contract, "stations">;
  /** Event time, epoch ms, inclusive. */
  readonly from_ms?: number | null;
  /** Event time, epoch ms, exclusive. */
  readonly to_ms?: number | null;
  /** A line that is no row of its file, or a cell that is no number: the first is left out, the second is null. */
  readonly onBad?: (bad: BadRow) => void;
}

/** A stretch of a station's measurements that is known to be wrong; both ends are times of wrong values. */
export interface KnownAnomaly {
  readonly station: string;
  readonly field: string;
  readonly kind: string;
  readonly from_ms: number;
  readonly to_ms: number;
}

/**
 * Cities that are stations of the pipeline, by time and then by station; an hour of a city without any value is no row.
 * Errors: `config_invalid` for a folder that is not the set's, or whose cities stand elsewhere than the pipeline's.
 */
export function kaggleInput(options: KaggleOptions): Input {
  const { folder, contract, from_ms = null, to_ms = null, onBad = () => {} } = options;
  const { key, event_time } = contract;
  const variables = contract.fields
    .filter(({ name, unit }) => unit !== null && Object.hasOwn(UNITS, name))
    .map(({ name, unit }) => ({ name, path: fileOf(folder, name), convert: converter(UNITS[name]!, unit!) }))
    .filter((v): v is typeof v & { path: string } => v.path !== null);
  if (variables.length === 0)
    throw new PipelineError(
      "config_invalid",
      `Cannot read "${folder}": expected files like full/${Object.keys(UNITS)[0]}.csv.gz, got none`,
    );
  const absent = Object.fromEntries(
    contract.fields
      .filter(({ name }) => name !== key && name !== event_time)
      .map(({ name }) => [name, null] as const),
  );

  async function* rows(): AsyncGenerator<readonly Row[]> {
    const stations = await stationsOf(folder, contract);
    const names = [...new Set(stations.values())].sort();
    const files = variables.map(({ path, convert }) => wideRows(path, stations, names, convert, onBad));
    const heads = await Promise.all(files.map(async (file) => (await file.next()).value ?? null));
    let chunk: Row[] = [];
    try {
      for (;;) {
        let time = Number.POSITIVE_INFINITY;
        for (const head of heads) if (head !== null && head.time < time) time = head.time;
        if (time === Number.POSITIVE_INFINITY || (to_ms !== null && time >= to_ms)) break;
        const wanted = from_ms === null || time >= from_ms;
        const records: (Record<string, string | number | null> | undefined)[] = new Array(names.length);
        for (let v = 0; v < variables.length; v++) {
          const head = heads[v];
          if (head?.time !== time) continue;
          const { name } = variables[v]!;
          if (wanted)
            for (let s = 0; s < names.length; s++) {
              const value = head.values[s]!;
              if (Number.isNaN(value)) continue;
              records[s] ??= { [key]: names[s]!, [event_time]: time, ...absent };
              records[s]![name] = value;
            }
          heads[v] = (await files[v]!.next()).value ?? null;
        }
        for (const record of records)
          if (record !== undefined) chunk.push({ key: record[key] as string, time, record, clock: time });
        if (chunk.length >= CHUNK) {
          yield chunk;
          chunk = [];
        }
      }
      if (chunk.length > 0) yield chunk;
    } finally {
      await Promise.all(files.map((file) => file.return(undefined)));
    }
  }

  return {
    name: folder,
    rows,
    async fingerprint() {
      const hash = createHash("sha256");
      hash.update(
        JSON.stringify({ from_ms, to_ms, fields: contract.fields, stations: Object.keys(contract.stations) }),
      );
      for (const { name, path } of variables) {
        hash.update(name);
        await pipeline(createReadStream(path), hash, { end: false });
      }
      return hash.digest("hex");
    },
  };
}

/**
 * The stretches that the set's own list of anomalies names, for stations and fields of the contract; null without that list.
 * Errors: `config_invalid` for a list that cannot be read.
 */
export async function knownAnomalies(
  folder: string,
  contract: SourceContract & Pick<Contract, "stations">,
): Promise<readonly KnownAnomaly[] | null> {
  const path = besideOf(folder, ANOMALIES);
  if (path === null) return null;
  const fields = new Set(contract.fields.map(({ name }) => name));
  const found: KnownAnomaly[] = [];
  const columns = ["kind", "variable", "city", "start", "end", "hours", "detail"];
  const records = csvCells(await opened(path), path, { columns, required: columns.slice(0, 5) });
  for await (const { line, cells } of each(records)) {
    const [from_ms, to_ms] = [timeOf(String(cells?.["start"])), timeOf(String(cells?.["end"]))];
    if (cells === null || from_ms === null || to_ms === null)
      throw new PipelineError("config_invalid", `Cannot read "${path}" line ${line}: expected an anomaly`);
    const station = slug(String(cells["city"]));
    if (!Object.hasOwn(contract.stations, station)) continue;
    for (const field of String(cells["variable"]).split("+"))
      if (fields.has(field)) found.push({ station, field, kind: String(cells["kind"]), from_ms, to_ms });
  }
  return found;
}

interface WideRow {
  readonly time: number;
  /** One a station, in the contract's unit, NaN without a value. */
  readonly values: Float64Array;
}

/** Which cells are read: their place in a row, the city of their column, and that city's place among the stations. */
type Columns = readonly { readonly cell: number; readonly city: string; readonly at: number }[];

/**
 * Rows of one variable's file, in time order. What is no row, is older than the one above it, or leads the rows below it, is
 * told and left out.
 */
async function* wideRows(
  path: string,
  stations: ReadonlyMap<string, string>,
  names: readonly string[],
  convert: (value: number) => number,
  onBad: (bad: BadRow) => void,
): AsyncGenerator<WideRow, undefined> {
  const file = basename(path);
  const timeline = new Timeline<{ line: number; time: number; cells: readonly string[]; columns: Columns }>({
    trust_ms: STEP_MS,
    limit: wallClock.nowMs,
  });
  let newest = Number.NEGATIVE_INFINITY;
  let width = 0;
  /** Place in `names` of each column that is read. */
  let columns: Columns = [];
  const tell = (lost: BadRow["lost"], line: number, column: string | null, reason: string, rows = 1) =>
    onBad({ lost, file, line, ...badLine(reason, rows), column });
  function* settled(): Generator<WideRow> {
    for (let timed = timeline.next(); timed !== null; timed = timeline.next()) {
      const { line, time, cells, columns } = timed.value;
      if (time <= newest) {
        tell("row", line, "datetime", `expected rows in time order, got "${cells[0]}" after a later one`);
        continue;
      }
      if (time > timed.clock!) {
        tell("row", line, "datetime", `expected rows in time order, got "${cells[0]}" before earlier ones`);
        continue;
      }
      newest = time;
      const values = new Float64Array(names.length).fill(Number.NaN);
      for (const { cell, city, at } of columns) {
        const value = parseNumber(cells[cell]);
        if (typeof value === "number") values[at] = convert(value);
        else if (value !== null) tell("cell", line, city, value);
      }
      yield { time, values };
    }
  }
  for await (const { line, cells, reason, rows } of each(recordsOf(path))) {
    // Files put behind each other have a header each, and may have their cities in another order.
    const isHeader = cells?.[0]?.trim() === "datetime";
    if (width === 0 || isHeader) {
      if (cells === null || !isHeader)
        throw new PipelineError(
          "config_invalid",
          `Cannot read "${path}": expected a header of datetime and cities, got "${cells?.join(",").slice(0, 60) ?? reason}"`,
        );
      width = cells.length;
      columns = cells.flatMap((name, cell) => {
        const city = name.trim();
        const station = cell === 0 ? undefined : stations.get(city);
        return station === undefined ? [] : [{ cell, city, at: names.indexOf(station) }];
      });
      const twice = columns.find(({ at }, i) => columns.findIndex((column) => column.at === at) < i);
      if (twice !== undefined)
        throw new PipelineError(
          "config_invalid",
          `Cannot read "${path}" line ${line}: expected a column a city, got "${twice.city}" twice`,
        );
      continue;
    }
    if (cells === null) {
      tell("row", line, null, reason!, rows);
      continue;
    }
    const time = timeOf(cells[0]!);
    if (time === null) {
      tell("row", line, "datetime", `expected YYYY-MM-DD HH:MM:SS, got "${cells[0]!.slice(0, 40)}"`);
      continue;
    }
    if (cells.length !== width) {
      tell("row", line, null, `expected ${width} cells, got ${cells.length}`);
      continue;
    }
    timeline.push({ line, time, cells, columns }, { key: "", time });
    yield* settled();
  }
  timeline.end();
  yield* settled();
  return undefined;
}

async function* recordsOf(path: string): AsyncGenerator<readonly CsvRecord[]> {
  const stream = await opened(path);
  try {
    yield* csvRecords(stream);
  } catch (error) {
    throw new PipelineError(
      "config_invalid",
      `Cannot read "${path}": expected a whole file, got ${(error as Error).message}`,
      { cause: error, context: { path } },
    );
  } finally {
    stream.destroy();
  }
}

/** The items of lists, one by one. */
async function* each<T>(lists: AsyncIterable<readonly T[]>): AsyncGenerator<T> {
  for await (const list of lists) yield* list;
}

/** City as the set names it → station of the pipeline, for the cities that are one. */
async function stationsOf(
  folder: string,
  contract: Pick<Contract, "stations">,
): Promise<ReadonlyMap<string, string>> {
  const path = besideOf(folder, CITIES);
  if (path === null)
    throw new PipelineError("config_invalid", `Cannot read "${folder}": expected ${CITIES} in it, got none`);
  const found = new Map<string, string>();
  const columns = ["City", "Country", "Latitude", "Longitude"];
  for await (const { cells } of each(csvCells(await opened(path), path, { columns, required: columns }))) {
    if (cells === null) continue;
    const city = String(cells["City"]).trim();
    const station = contract.stations[slug(city)];
    if (station === undefined) continue;
    const seen = [parseNumber(cells["Latitude"]), parseNumber(cells["Longitude"])].map((value) =>
      typeof value === "number" ? value : Number.NaN,
    );
    const wanted = [station.latitude, station.longitude] as const;
    if (wanted.some((degrees, i) => degrees !== null && !(Math.abs(degrees - seen[i]!) <= APART_DEG)))
      throw new PipelineError(
        "config_invalid",
        `Cannot use "${city}" of "${path}": expected it at ${wanted.join(", ")}, got ${seen.join(", ")}`,
      );
    found.set(city, slug(city));
  }
  return found;
}

function fileOf(folder: string, name: string): string | null {
  const paths = PLACES.flatMap((place) => ENDINGS.map((ending) => join(folder, place, `${name}${ending}`)));
  return paths.find((path) => existsSync(path)) ?? null;
}

/** A file of the folder, or of the one above when `full/` itself was named. */
function besideOf(folder: string, name: string): string | null {
  return [join(folder, name), join(dirname(folder), name)].find((path) => existsSync(path)) ?? null;
}

function slug(city: string): string {
  return city.trim().toLowerCase().replaceAll(" ", "-");
}

const TIME = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)$/;

/** Epoch ms of the set's way to write UTC; null for anything else. */
function timeOf(text: string): number | null {
  const parts = TIME.exec(text);
  if (parts === null) return null;
  // Date.parse makes the second of March of a thirtieth of February, and the next day of 24:00.
  const ms = epochMs(`${parts[1]}T${parts[2]}Z`);
  return typeof ms === "number" ? ms : null;
}
