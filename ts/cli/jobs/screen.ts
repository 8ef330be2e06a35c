// What `millrace top` shows, as lines: the system and its alerts, cut to a terminal's width. Pure; numbers are those of the API.

import type { components } from "../../client/index.ts";

type Schemas = components["schemas"];
export type System = Schemas["System"];
export type Alert = Schemas["Alert"];

/** A table's column: its head, and what stands in a row; numbers to the right. */
interface Column<T> {
  readonly head: string;
  readonly right?: boolean;
  cell(row: T): string;
}

/** What is not known. */
const UNKNOWN = "?";

/** `12`, `1.2 k`, `3.4 M`: three digits. */
export function short(value: number | null): string {
  if (value === null) return UNKNOWN;
  for (const [size, name] of [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ] as const)
    if (Math.abs(value) >= size * 0.9995) return `${digits(value / size)} ${name}`;
  return digits(value);
}
const digits = (value: number): string =>
  value === 0
    ? "0"
    : Math.abs(value) >= 99.95
      ? value.toFixed(0)
      : Math.abs(value) >= 9.995
        ? value.toFixed(1)
        : value.toFixed(2);
const whole = (value: number | null): string => (value === null ? UNKNOWN : String(Math.round(value)));
const bytes = (value: number | null): string =>
  value === null ? UNKNOWN : `${short(value)}B`.replace(/(\d)B$/, "$1 B");
/** `340 ms`, `1.55 s`. */
export const span = (ms: number | null): string =>
  ms === null ? UNKNOWN : ms < 999.5 ? `${Math.round(ms)} ms` : `${digits(ms / 1000)} s`;
/** `3 min`, from whole seconds up to days. */
export function ago(since: string, now: string): string {
  const s = Math.max(0, Math.round((Date.parse(now) - Date.parse(since)) / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3_600) return `${Math.floor(s / 60)} min`;
  return s < 86_400 ? `${Math.floor(s / 3_600)} h` : `${Math.floor(s / 86_400)} d`;
}

function table<T>(rows: readonly T[], columns: readonly Column<T>[]): string[] {
  if (rows.length === 0) return [];
  const cells = rows.map((row) => columns.map(({ cell }) => cell(row)));
  const widths = columns.map(({ head }, i) => Math.max(head.length, ...cells.map((row) => row[i]!.length)));
  const line = (texts: readonly string[]) =>
    texts
      .map((text, i) => (columns[i]!.right ? text.padStart(widths[i]!) : text.padEnd(widths[i]!)))
      .join("  ")
      .trimEnd();
  return [line(columns.map(({ head }) => head)), ...cells.map(line)];
}

/** Bars of the stages below each other, each beginning where the ones before it end at the median. */
function waterfall({ stages, p50_ms }: NonNullable<System["pipelines"][number]["latency"]>): string[] {
  const width = 30;
  const at = (ms: number) => Math.min(width, Math.round((ms / Math.max(1, p50_ms)) * width));
  const name = (to: string) => to.replace(/_time$/, "").replaceAll("_", " ");
  const longest = Math.max(...stages.map(({ to }) => name(to).length));
  return stages.map(({ to, begins_ms, p50_ms: took, p99_ms }) => {
    const from = at(begins_ms);
    const bar = `${" ".repeat(from)}${"▇".repeat(Math.max(took > 0 ? 1 : 0, at(begins_ms + took) - from))}`;
    return `  ${name(to).padEnd(longest)} ${bar.padEnd(width + 1)} p50 ${span(took).padStart(7)}  p99 ${span(p99_ms).padStart(7)}`;
  });
}

const MARK = { critical: "!!", warning: "! ", info: "  " } as const;

/** The whole screen. `alerts` are the newest, `count` all there are. */
export function screen(system: System, alerts: readonly Alert[], count: number): string[] {
  const { at, processes, processes_over_s } = system;
  const sum = (pick: (one: System["processes"][number]) => number | null) =>
    processes.reduce((total, one) => total + (pick(one) ?? 0), 0);
  const sections: (readonly string[])[] = [
    [
      `millrace  ${at}  ${alerts.length === 0 ? "all is well" : `${count} alert${count === 1 ? "" : "s"}`}`,
      ...alerts.map(
        ({ severity, since, text, next }) =>
          `${MARK[severity]} ${ago(since, at).padStart(6)}  ${text}. ${next}`,
      ),
    ],
    ...system.pipelines.map((one) => [
      `${one.pipeline}  ${short(one.events_per_s)} events/s  ${whole(one.stations)} stations  model ${one.champion ?? (one.model_versions.join(", ") || "none")}  late ${whole(one.late_rows)}  rejected ${whole(one.rejected.reduce((total, { records }) => total + records, 0))}`,
      ...(one.latency === null
        ? ["  no prediction in the last five minutes"]
        : [
            `  latency p50 ${span(one.latency.p50_ms)}  p99 ${span(one.latency.p99_ms)}  of ${one.latency.predictions} predictions`,
            ...waterfall(one.latency),
          ]),
    ]),
    table(system.spark, [
      { head: "SPARK", cell: ({ job }) => job },
      { head: "BATCH", right: true, cell: ({ batch }) => whole(batch) },
      { head: "ROWS", right: true, cell: ({ rows }) => whole(rows) },
      { head: "TOOK", right: true, cell: ({ took_ms }) => span(took_ms) },
      { head: "ROWS/S", right: true, cell: ({ read_per_s }) => short(read_per_s) },
      { head: "LAG", right: true, cell: ({ lag }) => whole(lag) },
      { head: "LATE", right: true, cell: ({ late_rows }) => whole(late_rows) },
      { head: "STATE", right: true, cell: ({ state_bytes }) => bytes(state_bytes) },
    ]),
    table(system.ray, [
      { head: "RAY", cell: ({ job }) => job },
      { head: "ACTORS", right: true, cell: ({ actors }) => whole(actors) },
      { head: "MODEL CALL", right: true, cell: ({ predict_ms }) => span(predict_ms) },
      { head: "BATCH", right: true, cell: ({ batch_ms }) => span(batch_ms) },
      { head: "ROWS/S", right: true, cell: ({ read_per_s }) => short(read_per_s) },
      { head: "LAG", right: true, cell: ({ lag }) => whole(lag) },
      { head: "RESTARTS", right: true, cell: ({ restarts }) => whole(restarts) },
      { head: "MODEL", right: true, cell: ({ model_version }) => model_version ?? UNKNOWN },
    ]),
    table(system.groups, [
      { head: "GROUP", cell: ({ group }) => group },
      { head: "TOPIC", cell: ({ topic }) => topic },
      { head: "LAG", right: true, cell: ({ lag }) => whole(lag) },
    ]),
    table(
      system.pipelines.flatMap(({ topics }) => topics),
      [
        { head: "READ HERE", cell: ({ topic }) => topic },
        { head: "RECORDS/S", right: true, cell: ({ records_per_s }) => short(records_per_s) },
        { head: "LAG", right: true, cell: ({ lag }) => whole(lag) },
      ],
    ),
    table(system.jobs, [
      { head: "JOB", cell: ({ name }) => name },
      { head: "STATE", cell: ({ state }) => state },
      { head: "RESTARTS", right: true, cell: ({ restarts }) => whole(restarts) },
      {
        head: "SPOKE",
        right: true,
        cell: ({ heartbeat }) => (heartbeat ? `${heartbeat.age_s.toFixed(0)} s ago` : "-"),
      },
    ]),
    table(
      [
        ...processes,
        ...(processes.length === 0
          ? []
          : [
              {
                ...{ of: "all", name: "", pid: null },
                cores: processes_over_s === null ? null : sum(({ cores }) => cores),
                memory_bytes: sum(({ memory_bytes }) => memory_bytes),
                read_bytes_s: processes_over_s === null ? null : sum(({ read_bytes_s }) => read_bytes_s),
                written_bytes_s:
                  processes_over_s === null ? null : sum(({ written_bytes_s }) => written_bytes_s),
                received_bytes_s: null,
                sent_bytes_s: null,
              },
            ]),
      ],
      [
        { head: "OF", cell: ({ of }) => of },
        { head: "PROCESS", cell: ({ name }) => name.slice(0, 32) },
        { head: "PID", right: true, cell: ({ pid, name }) => (name === "" ? "" : whole(pid)) },
        { head: "CORES", right: true, cell: ({ cores }) => (cores === null ? UNKNOWN : cores.toFixed(2)) },
        { head: "MEMORY", right: true, cell: ({ memory_bytes }) => bytes(memory_bytes) },
        { head: "READ/S", right: true, cell: ({ read_bytes_s }) => bytes(read_bytes_s) },
        { head: "WRITTEN/S", right: true, cell: ({ written_bytes_s }) => bytes(written_bytes_s) },
        {
          head: "TCP IN/S",
          right: true,
          cell: ({ received_bytes_s, name }) => (name === "" ? "" : bytes(received_bytes_s)),
        },
        {
          head: "TCP OUT/S",
          right: true,
          cell: ({ sent_bytes_s, name }) => (name === "" ? "" : bytes(sent_bytes_s)),
        },
      ],
    ),
  ];
  return sections
    .filter((lines) => lines.length > 0)
    .flatMap((lines, i) => (i === 0 ? lines : ["", ...lines]));
}
