// What the evaluation job found, as it comes in result.json, and the table of it that a terminal shows. Computes no score.

import { unitWord } from "../../contract/index.ts";

/** Scores by name; one that has a unit ends in it. Null where there is none. */
export type ScoreValues = Readonly<Record<string, number | null>>;

/** The parts of result.json that are read here (jobs/ray/ray_jobs/judge/evaluate.py writes it). */
export interface Evaluation {
  readonly pipeline: string;
  readonly split: { readonly name: string; readonly from_ms: number; readonly to_ms: number };
  readonly model: { readonly name: string; readonly version: string; readonly digest: string };
  /** Whether heads have learnt from the span, and whether anything of the model has. */
  readonly in_sample: boolean;
  readonly calibrated_on: boolean;
  readonly data: {
    readonly table: string;
    readonly table_version: number;
    readonly rows: number;
    readonly sha256: string;
    readonly stations: readonly string[];
    readonly strangers: readonly string[];
  };
  readonly masks: {
    readonly by: string | null;
    readonly left_out: Readonly<Record<string, number>>;
    /** Pairs whose truth a sensor read beyond what the target can be. */
    readonly beyond_support: number;
  };
  readonly units: Readonly<Record<string, string | null>>;
  readonly references: readonly string[];
  readonly mae_over_dap: number | null;
  readonly cells: readonly (At & {
    readonly station: string | null;
    readonly group?: string;
    readonly metrics: ScoreValues;
  })[];
  readonly intervals: readonly (At & { readonly skill_dap: readonly [number | null, number | null] })[];
  readonly worst: readonly (At & {
    readonly station: string;
    readonly skill_dap: number | null;
    readonly stations_below_dap: number;
    readonly least_covered: string;
    readonly least_coverage: number;
    readonly most_covered: string;
    readonly most_coverage: number;
  })[];
  /** The widest band over the months up to the span's end; null where no month has a past of its own to be calibrated by. */
  readonly track: Track | null;
}

/** Numbers are shares; `band` is in per cent. */
export interface Track {
  readonly band: number;
  readonly months: readonly { readonly from_ms: number; readonly to_ms: number }[];
  readonly cells: readonly (At & {
    readonly [coverage_of_band: `${"" | "static_"}coverage_${number}`]: number;
    readonly least_covered: string;
    readonly least_coverage: number;
    readonly most_covered: string;
    readonly most_coverage: number;
    readonly winkler_over_static: number;
  })[];
  /** How far coverage may be off and what adapting may cost, and in how many of the cells that holds. */
  readonly floor: {
    readonly network: number;
    readonly station: number;
    readonly winkler_over_static: number;
    readonly cells: number;
    readonly network_held: number;
    readonly station_held: number;
    readonly winkler_held: number;
  };
  /** Coverage day by day after all errors have grown by `factor`; `back_on_day` counts from 1. */
  readonly growth: {
    readonly factor: number;
    readonly within: number;
    readonly starts_ms: readonly number[];
    readonly coverage: readonly (number | null)[];
    readonly back_on_day: number | null;
  };
}

export interface At {
  readonly target: string;
  readonly horizon_h: number;
}

const number = (value: number | null | undefined): string =>
  value === null || value === undefined
    ? "–"
    : Math.abs(value) < 100
      ? value.toPrecision(3)
      : value.toFixed(0);
const percent = (share: number | null | undefined): string =>
  share === null || share === undefined ? "–" : `${(100 * share).toFixed(1)}%`;

/** Rows below a heading, each column as wide as its widest cell; the first two to the left. */
function aligned(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [head, ...rows];
  const widths = head.map((_, i) => Math.max(...all.map((row) => row[i]!.length)));
  return all.map((row) =>
    row
      .map((cell, i) => (i < 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join("  ")
      .trimEnd(),
  );
}

/** Scores over all stations: the model beside what it has to beat, its bands, and where it is worst. */
export function scoreLines(found: Evaluation): string[] {
  const network = found.cells.filter((cell) => cell.station === null && cell.group === undefined);
  const at = <T extends At>(of: readonly T[], { target, horizon_h }: At) =>
    of.find((row) => row.target === target && row.horizon_h === horizon_h);
  const word = ({ target }: At) => unitWord(found.units[target] ?? null);
  const name = (row: At) => [row.target, `${row.horizon_h} h`];
  const bands = Object.keys(network[0]?.metrics ?? {})
    .filter((key) => key.startsWith("coverage_"))
    .map((key) => key.slice("coverage_".length));
  const widest = bands.at(-1) ?? "90";
  const without = network[0]?.metrics["alone_skill_dap"] !== undefined;

  const forecast = network.map((cell) => {
    const { metrics } = cell;
    const unit = word(cell);
    const [low, high] = at(found.intervals, cell)?.skill_dap ?? [null, null];
    return [
      ...name(cell),
      found.units[cell.target] ?? "",
      number(metrics[`mae_${unit}`]),
      ...found.references.map((reference) => number(metrics[`${reference}_mae_${unit}`])),
      percent(metrics["skill_persistence"]),
      percent(metrics["skill_dap"]),
      `${percent(low)}…${percent(high)}`,
      ...(without ? [percent(metrics["alone_skill_dap"])] : []),
      percent(metrics["stranger_skill_dap"]),
      number(metrics[`rmse_${unit}`]),
      number(metrics[`bias_${unit}`]),
    ];
  });
  const heading = ["target", "ahead", "unit", "MAE", ...found.references, "vs persistence", "vs DAP", "95 %"];
  const intervals = network.map((cell) => {
    const { metrics } = cell;
    const unit = word(cell);
    return [
      ...name(cell),
      number(metrics[`pinball_${unit}`]),
      ...bands.map((band) => percent(metrics[`coverage_${band}`])),
      number(metrics[`width_${widest}_${unit}`]),
      number(metrics[`winkler_${widest}_${unit}`]),
      percent(metrics[`fixed_coverage_${widest}`]),
      number(metrics[`fixed_winkler_${widest}_${unit}`]),
    ];
  });
  const worst = found.worst.map((row) => [
    ...name(row),
    row.station,
    percent(row.skill_dap),
    String(row.stations_below_dap),
    row.least_covered,
    percent(row.least_coverage),
    row.most_covered,
    percent(row.most_coverage),
  ]);
  const left_out = Object.entries(found.masks.left_out)
    .filter(([, count]) => count > 0)
    .map(([reason, count]) => `${reason.replaceAll("_", " ")} ${count.toLocaleString("en-US")}`);
  const kelvin = network
    .filter(({ metrics }) => typeof metrics["mape_kelvin_pct"] === "number")
    .map((cell) => `${cell.target} ${cell.horizon_h} h ${number(cell.metrics["mape_kelvin_pct"])}%`);
  return [
    ...aligned([...heading, ...(without ? ["alone"] : []), "stranger", "RMSE", "bias"], forecast),
    "",
    ...aligned(
      [
        "target",
        "ahead",
        "pinball",
        ...bands.map((b) => `in ${b}%`),
        `width ${widest}%`,
        `Winkler ${widest}%`,
        "not adapted: in",
        "Winkler",
      ],
      intervals,
    ),
    "",
    ...aligned(
      ["target", "ahead", "worst station", "vs DAP", "not better", "least covered", "", "most covered", ""],
      worst,
    ),
    "",
    ...(found.track === null ? [] : [...trackLines(found.track), ""]),
    `pairs left out: ${left_out.join(" · ") || "none"} (known anomalies: ${found.masks.by ?? "no list; faults by climatology instead"})`,
    ...(found.masks.beyond_support > 0
      ? [`judged at the edge of their support: ${found.masks.beyond_support.toLocaleString("en-US")}`]
      : []),
    ...(kelvin.length > 0 ? [`MAPE in kelvin, asked for and not for decisions: ${kelvin.join(" · ")}`] : []),
    ...(found.data.strangers.length > 0
      ? [`never seen in training: ${found.data.strangers.join(", ")}`, ...groupLines(found, "never_seen")]
      : []),
    ...(found.cells.some((cell) => cell.group === "without_faults")
      ? [
          "without truths that the station's own climatology calls a fault and no list names:",
          ...groupLines(found, "without_faults"),
        ]
      : []),
    ...(found.in_sample
      ? ["the model has learnt from this span: these scores say nothing about the future"]
      : found.calibrated_on
        ? ["the bands were calibrated on this span; the heads have learnt nothing from it"]
        : []),
  ];
}

function trackLines({ band, months, cells, floor, growth }: Track): string[] {
  const month = (ms: number) => new Date(ms).toISOString().slice(0, 7);
  const rows = cells.map((cell) => [
    cell.target,
    `${cell.horizon_h} h`,
    percent(cell[`coverage_${band}`]),
    percent(cell[`static_coverage_${band}`]),
    cell.least_covered,
    percent(cell.least_coverage),
    cell.most_covered,
    percent(cell.most_coverage),
    cell.winkler_over_static.toFixed(3),
  ]);
  const points = (share: number) => `${Number((100 * share).toFixed(6))} points`;
  const back =
    growth.back_on_day === null
      ? `not back within ${growth.coverage.length} days`
      : `back on day ${growth.back_on_day}`;
  return [
    `${band}% band, ${month(months[0]!.from_ms)} to ${month(months.at(-1)!.from_ms)}, each month calibrated by the past only:`,
    ...aligned(
      [
        "target",
        "ahead",
        `in ${band}%`,
        "not adapted",
        "least covered",
        "",
        "most covered",
        "",
        "Winkler/static CQR",
      ],
      rows,
    ),
    `network within ${points(floor.network)}: ${floor.network_held} of ${floor.cells} · every station within ${points(floor.station)}: ${floor.station_held} of ${floor.cells} · Winkler at most ${floor.winkler_over_static}: ${floor.winkler_held} of ${floor.cells}`,
    `all errors ${Number((100 * (growth.factor - 1)).toFixed(6))}% larger: ${growth.coverage.map(percent).join(" ")} by day; within ${points(growth.within)} ${back} (${growth.starts_ms.length} starts)`,
  ];
}

function groupLines(found: Evaluation, group: string): string[] {
  return found.cells
    .filter((cell) => cell.group === group)
    .map(({ target, horizon_h, metrics }) => {
      const unit = unitWord(found.units[target] ?? null);
      return `  ${target} ${horizon_h} h: MAE ${number(metrics[`mae_${unit}`])}, ${percent(metrics["skill_dap"])} better than DAP`;
    });
}
