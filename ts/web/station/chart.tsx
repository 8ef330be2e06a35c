// A chart over time by uPlot: areas, lines and marks over one axis, with what they say at the moment that is pointed at. Who cannot see it
// has the table behind it (table.tsx). Colours are the page's own, by name, and follow its light and dark.

import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { momentText } from "../time.ts";
import { joined } from "./series.ts";

export interface Line {
  readonly name: string;
  /** Name of a custom property: `--mark`. */
  readonly colour: string;
  readonly points: readonly (readonly [t_ms: number, value: number])[];
  readonly width?: number;
  readonly dash?: readonly number[];
}

export interface Area {
  readonly name: string;
  readonly colour: string;
  readonly alpha: number;
  readonly points: readonly { readonly t_ms: number; readonly lower: number; readonly upper: number }[];
}

export interface ChartMark {
  readonly t_ms: number;
  readonly value: number;
  readonly shape: "dot" | "cross" | "triangle";
  readonly colour: string;
}

export interface ChartProps {
  /** For whoever hears it: what is drawn, in a sentence. */
  readonly label: string;
  readonly unit: string;
  readonly lines: readonly Line[];
  readonly areas: readonly Area[];
  readonly marks: readonly ChartMark[];
  /** Names of the marks, for the key. */
  readonly keys: readonly {
    readonly name: string;
    readonly shape: ChartMark["shape"];
    readonly colour: string;
  }[];
  readonly from_ms: number;
  readonly to_ms: number;
  /** A line at a moment: now, or the one that is shown. */
  readonly now_ms: number | null;
  readonly text: (value: number) => string;
}

const HEIGHT = 320;
const MARK_R = 4.5;

const property = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function drawMark(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  { shape, colour }: ChartMark,
): void {
  const r = MARK_R * devicePixelRatio;
  context.fillStyle = property(colour);
  context.strokeStyle = property(shape === "cross" ? colour : "--card");
  context.lineWidth = (shape === "cross" ? 2.2 : 1.5) * devicePixelRatio;
  context.beginPath();
  if (shape === "dot") context.arc(x, y, r, 0, 2 * Math.PI);
  else if (shape === "triangle") {
    context.moveTo(x, y - 1.6 * r);
    context.lineTo(x + 1.5 * r, y + r);
    context.lineTo(x - 1.5 * r, y + r);
    context.closePath();
  } else {
    context.moveTo(x - r, y - r);
    context.lineTo(x + r, y + r);
    context.moveTo(x + r, y - r);
    context.lineTo(x - r, y + r);
  }
  if (shape !== "cross") context.fill();
  context.stroke();
}

/** uPlot's data: the axis in seconds, then each line, then both ends of each area. */
function dataOf({ lines, areas, from_ms, to_ms }: ChartProps): uPlot.AlignedData {
  const { times_ms, values } = joined([
    ...lines.map(({ points }) => points),
    ...areas.flatMap(({ points }) => [
      points.map(({ t_ms, upper }) => [t_ms, upper] as const),
      points.map(({ t_ms, lower }) => [t_ms, lower] as const),
    ]),
    // The ends of the picture, without a value.
    [],
  ]);
  if (times_ms.length === 0)
    return [[from_ms / 1000, to_ms / 1000], ...values.slice(0, -1).map(() => [null, null])];
  return [times_ms.map((t_ms) => t_ms / 1000), ...values.slice(0, -1).map((one) => [...one])];
}

/** The last value at or before a moment, and not long before. */
function near(points: Line["points"], t_ms: number, within_ms: number): number | null {
  let found: number | null = null;
  let off_ms = within_ms;
  for (const [at_ms, value] of points)
    if (Math.abs(at_ms - t_ms) <= off_ms) [found, off_ms] = [value, Math.abs(at_ms - t_ms)];
  return found;
}

function plot(host: HTMLElement, props: () => ChartProps, onPoint: (t_ms: number | null) => void): uPlot {
  const { lines, areas, unit } = props();
  const colour = (name: string) => () => property(name);
  const hidden = { points: { show: false }, spanGaps: true } as const;
  const axis = {
    stroke: colour("--soft"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { stroke: colour("--line"), width: 1 },
    font: "12px system-ui, DejaVu Sans, sans-serif",
  };
  const first = lines.length + 1;
  return new uPlot(
    {
      width: host.clientWidth,
      height: HEIGHT,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
      padding: [12, 24, 0, 0],
      scales: {
        x: { time: true, range: () => [props().from_ms / 1000, props().to_ms / 1000] },
        // Before anything is there its ends are no numbers.
        y: {
          range: (_, low, high) =>
            Number.isFinite(low) && Number.isFinite(high) && low !== null && high !== null
              ? uPlot.rangeNum(low, high, 0.1, true)
              : [0, 1],
        },
      },
      axes: [
        {
          ...axis,
          values: (_, ticks) => {
            const day = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", day: "numeric", month: "short" });
            const hour = new Intl.DateTimeFormat("en-GB", {
              timeZone: "UTC",
              hour: "2-digit",
              minute: "2-digit",
            });
            return ticks.map((tick, i) => {
              const at = tick * 1000;
              const text = day.format(at);
              return i === 0 || day.format(ticks[i - 1]! * 1000) !== text
                ? `${hour.format(at)}\n${text}`
                : hour.format(at);
            });
          },
          size: 46,
          space: 64,
        },
        { ...axis, size: 52, label: unit, labelSize: unit === "" ? 0 : 18, labelFont: axis.font },
      ],
      series: [
        {},
        ...lines.map((line) => ({
          ...hidden,
          label: line.name,
          stroke: colour(line.colour),
          width: line.width ?? 2,
          ...(line.dash ? { dash: [...line.dash] } : {}),
        })),
        ...areas.flatMap(({ name }) => [
          { ...hidden, label: name, stroke: "transparent", width: 0 },
          { ...hidden, label: name, stroke: "transparent", width: 0 },
        ]),
      ],
      bands: areas.map(({ colour: name, alpha }, i) => ({
        series: [first + 2 * i, first + 2 * i + 1] as [number, number],
        fill: () => `color-mix(in srgb, ${property(name)} ${Math.round(alpha * 100)}%, transparent)`,
      })),
      hooks: {
        draw: [
          (self) => {
            const { marks, now_ms } = props();
            const { ctx, bbox } = self;
            ctx.save();
            ctx.beginPath();
            ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
            ctx.clip();
            if (now_ms !== null) {
              const x = self.valToPos(now_ms / 1000, "x", true);
              ctx.strokeStyle = property("--soft");
              ctx.lineWidth = devicePixelRatio;
              ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
              ctx.beginPath();
              ctx.moveTo(x, bbox.top);
              ctx.lineTo(x, bbox.top + bbox.height);
              ctx.stroke();
              ctx.setLineDash([]);
            }
            for (const mark of marks)
              drawMark(
                ctx,
                self.valToPos(mark.t_ms / 1000, "x", true),
                self.valToPos(mark.value, "y", true),
                mark,
              );
            ctx.restore();
          },
        ],
        setCursor: [
          (self) => {
            const { left } = self.cursor;
            onPoint(left === undefined || left < 0 ? null : self.posToVal(left, "x") * 1000);
          },
        ],
      },
    },
    dataOf(props()),
    host,
  );
}

function Key({
  shape,
  colour,
  dash,
  alpha,
}: {
  readonly shape: "line" | "area" | ChartMark["shape"];
  readonly colour: string;
  readonly dash?: boolean;
  readonly alpha?: number;
}) {
  const paint = `var(${colour})`;
  return (
    <svg class="key" width="22" height="12" viewBox="0 0 22 12" aria-hidden="true">
      {shape === "line" && (
        <path
          d="M1 6H21"
          stroke={paint}
          stroke-width="2.5"
          fill="none"
          stroke-dasharray={dash ? "5 3" : undefined}
        />
      )}
      {shape === "area" && <rect width="22" height="12" fill={paint} fill-opacity={alpha} />}
      {shape === "dot" && <circle cx="11" cy="6" r="4.5" fill={paint} />}
      {shape === "cross" && <path d="M7 2L15 10M15 2L7 10" stroke={paint} stroke-width="2.2" fill="none" />}
      {shape === "triangle" && <path d="M11 1L16 11H6Z" fill={paint} />}
    </svg>
  );
}

export function Chart(props: ChartProps) {
  const host = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const [pointed, setPointed] = useState<number | null>(null);
  const shape = [
    ...props.lines.map(({ name, colour }) => name + colour),
    ...props.areas.map(({ name }) => name),
  ].join("|");
  useEffect(() => {
    const element = host.current!;
    const made = plot(element, () => latest.current, setPointed);
    chart.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const redraw = () => made.redraw(false);
    dark.addEventListener("change", redraw);
    return () => {
      observer.disconnect();
      dark.removeEventListener("change", redraw);
      made.destroy();
      chart.current = null;
    };
  }, [shape, props.unit]);
  useEffect(() => {
    chart.current?.setData(dataOf(props));
  });
  const { lines, areas, keys, text, from_ms, to_ms } = props;
  const within_ms = (to_ms - from_ms) / 60;
  const said = (points: Line["points"]) => {
    if (pointed === null) return "";
    const value = near(points, pointed, within_ms);
    return value === null ? "" : ` ${text(value)}`;
  };
  return (
    <div class="chart">
      <ul class="keys">
        {lines.map((line) => (
          <li key={line.name}>
            <Key shape="line" colour={line.colour} dash={line.dash !== undefined} />
            {line.name}
            <b>{said(line.points)}</b>
          </li>
        ))}
        {areas.map((area) => (
          <li key={area.name}>
            <Key shape="area" colour={area.colour} alpha={area.alpha} />
            {area.name}
          </li>
        ))}
        {keys.map((key) => (
          <li key={key.name}>
            <Key shape={key.shape} colour={key.colour} />
            {key.name}
          </li>
        ))}
      </ul>
      <div class="plot" ref={host} role="img" aria-label={props.label} />
      <p class="pointed">
        {pointed === null ? "Point at the chart to read a moment. Times are UTC." : momentText(pointed)}
      </p>
    </div>
  );
}
