// Every step of the tables from nothing to now, in the order of their names. A step that was released is never changed: what is to
// be another way is a new file and a line here.

import type { Migration } from "kysely/migration";
import * as tables from "./0001_tables.ts";

export const MIGRATIONS: Readonly<Record<string, Migration>> = {
  "0001_tables": tables,
};

/** The version of the tables: the name of the last step. */
export const VERSION = Object.keys(MIGRATIONS).sort().at(-1)!;
