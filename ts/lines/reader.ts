// What lies on HDFS as readers see it: the tables of the version that counts, and the records of the hours, newest first. Tables are
// kept by their version, which never changes; records are read by stretches, so that a large hour costs no more than a small one.

import { PipelineError } from "../contract/index.ts";
import { DAY_MS, days } from "./days.ts";
import type { Entry, Files } from "./files.ts";
import { HIDDEN, hourFile, hourOf } from "./layout.ts";

/** What `current.json` says: which version counts, of which range of event time, computed when. */
export interface Version {
  readonly version: string;
  readonly computed_ms: number;
  /** Event time, from inclusive, to exclusive. */
  readonly from_ms: number;
  readonly to_ms: number;
  readonly observations: number;
  /** By table. */
  readonly rows: Readonly<Record<string, number>>;
}

export type Row = Readonly<Record<string, unknown>>;

/** A line of an hour, and where it begins: that place never changes. */
export interface LineRecord {
  readonly row: Row;
  readonly hour_ms: number;
  readonly offset: number;
}

export interface LinesAsked {
  /** Event time of the hours: from the one that holds `from_ms` to the one before `to_ms`. Null for open. */
  readonly from_ms: number | null;
  readonly to_ms: number | null;
  readonly limit: number;
  /** Only what lies before this place; null to begin with the newest. */
  readonly before: Pick<LineRecord, "hour_ms" | "offset"> | null;
  readonly wanted: (row: Row) => boolean;
}

export interface LinesPage {
  /** Newest hour first, and in it the line that was written last. */
  readonly records: readonly LineRecord[];
  /** Where the next page begins; null where there is nothing older. */
  readonly next: Pick<LineRecord, "hour_ms" | "offset"> | null;
}

/** How long it is taken for true which version counts, wall time. */
const LOOK_MS = 1_000;
/** Of one reading of an hour's file: some thousand records. */
const STRETCH_BYTES = 512 * 1024;
/** Readings a page, so that a filter which lets nothing through does not read everything: the next page goes on there. */
const STRETCHES_MAX = 8;

export class LinesReader {
  readonly #files: Pick<Files, "address" | "list" | "read">;
  readonly #prefix: string;
  readonly #clock: { nowMs(): number };
  readonly #current = new Map<
    string,
    { readonly at_ms: number; readonly version: Promise<Version | null> }
  >();
  readonly #tables = new Map<string, { readonly version: string; readonly rows: Promise<readonly Row[]> }>();

  constructor(files: Pick<Files, "address" | "list" | "read">, prefix: string, clock: { nowMs(): number }) {
    this.#files = files;
    this.#prefix = prefix;
    this.#clock = clock;
  }

  /** Where it is, for messages. */
  get address(): string {
    return this.#files.address;
  }

  /** What counts now in a folder of versions; null before the first. Errors: `store_unreachable`. */
  version(folder: string): Promise<Version | null> {
    const held = this.#current.get(folder);
    const now_ms = this.#clock.nowMs();
    if (held && now_ms - held.at_ms < LOOK_MS) return held.version;
    const version = this.#read(`${folder}/current.json`).then((text) =>
      text === null ? null : (this.#parsed(text, `${folder}/current.json`) as unknown as Version),
    );
    this.#current.set(folder, { at_ms: now_ms, version });
    // What failed is not an answer to the next who asks.
    version.catch(() => this.#current.delete(folder));
    return version;
  }

  /**
   * A table of the version that counts, with that version; null before the first. One look's version is whole: a run that comes
   * between two looks is seen by both tables or by none, as long as the version before is kept.
   * Errors: `store_unreachable`.
   */
  async table(
    folder: string,
    name: string,
  ): Promise<{ readonly version: Version; readonly rows: readonly Row[] } | null> {
    for (let look = 0; look < 3; look++) {
      const version = await this.version(folder);
      if (version === null) return null;
      const rows = await this.#rows(`${folder}/${name}`, version.version);
      if (rows !== null) return { version, rows };
      // Two runs have ended since the look, and taken it away.
      this.#current.delete(folder);
    }
    throw new PipelineError(
      "store_unreachable",
      `Cannot read the table "${name}" at "${this.address}": expected the version that counts to stay for a moment, it was taken away three times`,
    );
  }

  /** A page of records, newest first. Errors: `store_unreachable`. */
  async records({ from_ms, to_ms, limit, before, wanted }: LinesAsked): Promise<LinesPage> {
    const records: LineRecord[] = [];
    const first_ms = from_ms === null ? null : hourOf(from_ms);
    let stretches = 0;
    for await (const { hour_ms, length } of this.#hours(first_ms, to_ms, before?.hour_ms ?? null)) {
      let end = before !== null && before.hour_ms === hour_ms ? Math.min(before.offset, length) : length;
      while (end > 0) {
        if (stretches++ >= STRETCHES_MAX) return { records, next: { hour_ms, offset: end } };
        const { lines, begin } = await this.#lines(hour_ms, end);
        for (const { text, offset } of lines) {
          const row = this.#parsed(text, hourFile(this.#prefix, hour_ms));
          if (!wanted(row)) continue;
          records.push({ row, hour_ms, offset });
          if (records.length === limit) return { records, next: { hour_ms, offset } };
        }
        end = begin;
      }
    }
    return { records, next: null };
  }

  async #rows(folder: string, version: string): Promise<readonly Row[] | null> {
    const held = this.#tables.get(folder);
    if (held?.version === version) return held.rows;
    const path = `${folder}/${version}.jsonl`;
    const text = await this.#read(path);
    if (text === null) return null;
    const rows = text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => this.#parsed(line, path));
    this.#tables.set(folder, { version, rows: Promise.resolve(rows) });
    return rows;
  }

  /** Hours that have a file, newest first: those that begin before `to_ms` and, of a page that goes on, not after `until_ms`. */
  async *#hours(
    first_ms: number | null,
    to_ms: number | null,
    until_ms: number | null,
  ): AsyncGenerator<{ readonly hour_ms: number; readonly length: number }> {
    for await (const { folder, day_ms } of days(this.#files)) {
      const beyond = (to_ms !== null && day_ms >= to_ms) || (until_ms !== null && day_ms > until_ms);
      if (beyond) continue;
      if (first_ms !== null && day_ms + DAY_MS <= first_ms) return;
      const files = (await this.#files.list(folder)).flatMap((entry) => {
        const hour = this.#hourIn(entry);
        return hour === null ? [] : [{ hour_ms: day_ms + hour * 3_600_000, length: entry.length }];
      });
      for (const file of files.sort((a, b) => b.hour_ms - a.hour_ms)) {
        if (to_ms !== null && file.hour_ms >= to_ms) continue;
        if (until_ms !== null && file.hour_ms > until_ms) continue;
        if (first_ms !== null && file.hour_ms < first_ms) return;
        yield file;
      }
    }
  }

  #hourIn({ name, folder }: Entry): number | null {
    if (folder || name.startsWith(HIDDEN) || !name.startsWith(`${this.#prefix}_`)) return null;
    const hour = /_(\d\d)00\.jsonl$/.exec(name)?.[1];
    return hour === undefined ? null : Number(hour);
  }

  /** The whole lines of the stretch that ends at `end`, the last one first, and where the first of them begins. */
  async #lines(hour_ms: number, end: number) {
    const begin = Math.max(0, end - STRETCH_BYTES);
    const path = hourFile(this.#prefix, hour_ms);
    const text = (await this.#read(path, { offset: begin, length: end - begin })) ?? "";
    const lines: { text: string; offset: number }[] = [];
    // From the end, because a stretch may begin in the middle of a character; and what stands before the first end of a line
    // began in the stretch before.
    const texts = text.split("\n");
    let offset = end;
    for (let i = texts.length - 2; i >= (begin === 0 ? 0 : 1); i--) {
      offset -= Buffer.byteLength(texts[i]!) + 1;
      if (texts[i] !== "") lines.push({ text: texts[i]!, offset });
    }
    // A line longer than a stretch, which no contract of ours allows, ends the walk rather than repeat it.
    return { lines, begin: lines.at(-1)?.offset ?? 0 };
  }

  #read(path: string, stretch?: { readonly offset: number; readonly length: number }) {
    return this.#files.read(path, stretch);
  }

  /** Errors: `config_invalid` for a line that is no JSON. */
  #parsed(line: string, path: string): Row {
    try {
      return JSON.parse(line) as Row;
    } catch (cause) {
      throw new PipelineError(
        "config_invalid",
        `Cannot read "${path}" at "${this.address}": expected JSON in every line, got "${line.slice(0, 80)}"`,
        { cause },
      );
    }
  }
}
