// The ring of cells behind the lags: its rules, and the record of its changelog.

import { entityKey } from "../../pipelines/contract.ts";
import type { History } from "../../pipelines/define.ts";
import { enumeration, field, nullableField, nullableTime, type RecordSchema, top } from "../avro.ts";
import { type Check, distinct, rising } from "../check.ts";
import type { Outline } from "../derive.ts";
import type { WindowsOutline } from "./windows.ts";

export type HistoryOutline = Pick<
  Outline,
  "cell_ms" | "step_ms" | "lags" | "depth_ms" | "ring_cells" | "history_values"
>;

export function outlineHistory(
  { need, multiple }: Check,
  windows: WindowsOutline,
  history: History | undefined,
): HistoryOutline {
  if (history === undefined)
    return { cell_ms: 0, step_ms: 0, lags: [], depth_ms: 0, ring_cells: 0, history_values: [] };
  const columns = new Set(windows.features.map(({ column }) => column));
  multiple("history.cell_ms", history.cell_ms, windows.slide_ms, "slide_ms");
  multiple("history.depth_ms", history.depth_ms, history.cell_ms, "cell_ms");
  need(history.step_ms >= history.cell_ms, "history.step_ms", "at least cell_ms", history.step_ms);
  need(
    rising(history.lags) && history.lags[0]! >= 1,
    "history.lags",
    "rising whole numbers from 1",
    history.lags,
  );
  const reach_ms = (history.lags.at(-1)! + 1) * history.step_ms;
  need(
    history.depth_ms >= reach_ms,
    "history.depth_ms",
    `at least ${reach_ms}, the reach of the lags`,
    history.depth_ms,
  );
  need(distinct(history.values), "history.values", "every column once", history.values);
  for (const value of history.values)
    need(columns.has(value), "history.values", "columns of features", value);
  return {
    cell_ms: history.cell_ms,
    step_ms: history.step_ms,
    lags: history.lags,
    depth_ms: history.depth_ms,
    ring_cells: history.depth_ms / history.cell_ms,
    history_values: history.values,
  };
}

export function historySchema(outline: Outline): RecordSchema {
  return top(
    outline,
    "history",
    "The changelog of what the actor remembers, compacted by key, in the partition of the feature rows. Key: kind, then what the kind tells its records apart by, then whose it is, with `|` between: `cell|slot|key`, `pending|arm|slot|key`, `calibration|arm|key`, `cursor|partition`.",
    [
      field(
        "kind",
        enumeration("history_kind", ["cell", "cursor", "pending", "calibration", "named"]),
        "named: see kind_name. The others are what records from before kinds had names hold.",
      ),
      nullableField(entityKey(outline), "string", "Whose cell it is; null for a cursor."),
      field(
        "cell",
        "long",
        `Absolute number of the cell: (window_end - 1) // ${outline.cell_ms}; 0 for a cursor.`,
      ),
      nullableTime("window_end", "The newest row of the cell."),
      field("plan_epoch", "int", "Version of the newest row, first part."),
      field("revision", "long", "Version of the newest row, second part."),
      field("feature_partition", "int", "Where the newest row was read."),
      field("feature_offset", "long", "Where the newest row was read; -1 for a seed."),
      nullableField(
        "next_offset",
        "long",
        "Of a cursor: the next feature offset of the partition that no transaction covers yet.",
      ),
      field(
        "versions",
        { type: "array", items: { type: "long", wide: true } },
        "By slide slot of the cell: (plan_epoch << 48) | (revision + 1), 0 where no row was applied.",
      ),
      field(
        "values",
        { type: "array", items: ["null", "double"] },
        `In order: ${outline.history_values.join(", ")}.`,
      ),
      nullableField("payload", "bytes", "What the kind keeps, in its own form; null for cells and cursors."),
      nullableField(
        "kind_name",
        "string",
        "What the record holds: cell, cursor, pending, calibration, or what a stage calls its own state. Null in records from before.",
      ),
      nullableField("arm", "string", "Whose promise or correction it is; null for what all arms share."),
    ],
  );
}
