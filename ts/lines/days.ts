// The folders of the days there are, below a root of lines.

import type { Files } from "./files.ts";
import { RAW } from "./layout.ts";

export const DAY_MS = 86_400_000;

export interface Day {
  readonly folder: string;
  /** Its first moment, epoch ms, UTC. */
  readonly day_ms: number;
}

/** Newest first, each looked for once it is wanted: whoever looks at the newest alone asks for no other. */
export async function* days(files: Pick<Files, "list">): AsyncGenerator<Day> {
  const below = async (folder: string, word: string) =>
    (await files.list(folder))
      .flatMap(({ name, folder }) => (folder ? (new RegExp(`^${word}=(\\d+)$`).exec(name)?.[1] ?? []) : []))
      .sort()
      .reverse();
  for (const year of await below(RAW, "year"))
    for (const month of await below(`${RAW}/year=${year}`, "month"))
      for (const day of await below(`${RAW}/year=${year}/month=${month}`, "day"))
        yield {
          folder: `${RAW}/year=${year}/month=${month}/day=${day}`,
          day_ms: Date.UTC(Number(year), Number(month) - 1, Number(day)),
        };
}
