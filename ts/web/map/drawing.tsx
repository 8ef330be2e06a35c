// The map as it is drawn: outlines, and a mark for each station whose shape says how it does and whose colour and number say what was
// asked. For whoever does not see it the list beside it has the same, in the order of the keyboard.

import { geoPath } from "d3-geo";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { StateKind } from "../state.ts";
import { type Atlas, atlasOf } from "./atlas.ts";
import { bearingIn, groundOf, type Place, projectionOf, standing } from "./ground.ts";

export interface Mark extends Place {
  readonly id: string;
  readonly name: string;
  readonly href: string;
  readonly kind: StateKind;
  /** Null for a station that has no such number. */
  readonly colour: string | null;
  readonly label: string;
  /** What is said of it when it is pointed at. */
  readonly title: string;
  /** Where it points, degrees clockwise from north, and how much of the greatest there is, 0 to 1. */
  readonly arrow: { readonly bearing: number; readonly share: number } | null;
}

/** Height of a number beside its mark, and the width of one of its characters, pixels. */
const [TEXT, CHARACTER] = [13, 7.4];
/** With more stations than this their numbers would only hide them; the list has them, and so has what is pointed at. */
const NUMBERED_MAX = 250;

function Shape({
  kind,
  colour,
  r,
}: {
  readonly kind: StateKind;
  readonly colour: string | null;
  readonly r: number;
}) {
  const fill = colour ?? "var(--nothing)";
  if (kind === "anomaly") {
    const h = r * 1.35;
    return <path class="mark anomaly" d={`M0 ${-h}L${h} ${h * 0.85}L${-h} ${h * 0.85}Z`} fill={fill} />;
  }
  if (kind === "stale")
    return (
      <rect
        class="mark stale"
        x={-r}
        y={-r}
        width={2 * r}
        height={2 * r}
        transform="rotate(45)"
        fill={fill}
      />
    );
  if (kind === "quiet") return <circle class="mark quiet" r={r * 0.6} />;
  return <circle class="mark" r={r} fill={fill} />;
}

function Arrow({
  bearing,
  share,
  r,
}: {
  readonly bearing: number;
  readonly share: number;
  readonly r: number;
}) {
  const tip = r + 5 + 17 * share;
  return (
    <path
      class="arrow"
      transform={`rotate(${bearing.toFixed(0)})`}
      d={`M0 ${-r}V${-tip}M-3.5 ${-tip + 5}L0 ${-tip - 1}L3.5 ${-tip + 5}`}
    />
  );
}

export function Drawing({
  marks,
  hovered,
  onHover,
}: {
  readonly marks: readonly Mark[];
  readonly hovered: string | null;
  readonly onHover: (id: string | null) => void;
}) {
  const box = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState<readonly [number, number]>([0, 0]);
  useLayoutEffect(() => {
    const element = box.current!;
    const measure = () => setSize([element.clientWidth, element.clientHeight]);
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const [width, height] = size;

  // Where the stations stand changes seldom, what they say often: the ground is drawn anew only for the first.
  const where = marks.map(({ longitude, latitude }) => `${longitude},${latitude}`).join(" ");
  const ground = useMemo(() => groundOf(marks), [where]);
  const [atlas, setAtlas] = useState<Atlas | null>(null);
  useEffect(() => {
    let wanted = true;
    atlasOf(ground).then(
      (one) => wanted && setAtlas(one),
      // Without outlines the stations still stand where they stand.
      () => undefined,
    );
    return () => {
      wanted = false;
    };
  }, [ground]);
  const projection = useMemo(
    () => (width === 0 ? null : projectionOf(ground, marks, width, height)),
    [ground, where, width, height],
  );
  const outlines = useMemo(() => {
    if (!projection || !atlas) return null;
    const path = geoPath(projection).digits(1);
    return { land: path(atlas.land) ?? "", borders: path(atlas.borders) ?? "" };
  }, [projection, atlas]);

  const r = width < 500 ? 6 : 8;
  const points = projection
    ? marks.flatMap((mark) => {
        const at = projection([mark.longitude, mark.latitude]);
        return at ? [{ mark, x: at[0], y: at[1] }] : [];
      })
    : [];
  const written = standing(
    points.map(({ mark, x, y }) => {
      const width = mark.label.length * CHARACTER + 4;
      const [away, beside] = [r + TEXT / 2 + 3, r + width / 2 + 3];
      return mark.label === "" || points.length > NUMBERED_MAX
        ? []
        : [
            { x, y: y + away, width, height: TEXT },
            { x, y: y - away, width, height: TEXT },
            { x: x + beside, y, width, height: TEXT },
            { x: x - beside, y, width, height: TEXT },
          ];
    }),
    points.map(({ x, y }) => ({ x, y, width: 2 * r, height: 2 * r })),
  );
  return (
    <div class="map" ref={box}>
      {width > 0 && (
        <svg aria-hidden="true" width={width} height={height} viewBox={`0 0 ${width} ${height}`}>
          {outlines && <path class="land" d={outlines.land} />}
          {outlines && <path class="borders" d={outlines.borders} />}
          {points.map(({ mark, x, y }) => (
            <g
              key={mark.id}
              class={`station ${mark.id === hovered ? "hovered" : ""}`}
              transform={`translate(${x.toFixed(1)} ${y.toFixed(1)})`}
              onPointerEnter={() => onHover(mark.id)}
              onPointerLeave={() => onHover(null)}
            >
              <a href={mark.href} data-page tabindex={-1}>
                <title>{mark.title}</title>
                {mark.arrow && projection && (
                  <Arrow
                    bearing={bearingIn(projection, mark, mark.arrow.bearing)}
                    share={mark.arrow.share}
                    r={r}
                  />
                )}
                <circle class="reach" r={r + 8} />
                <Shape kind={mark.kind} colour={mark.colour} r={r} />
              </a>
            </g>
          ))}
          {points.map(({ mark, x, y }, i) => {
            const at = mark.id === hovered ? { x, y: y + r + TEXT / 2 + 3 } : written[i];
            return at ? (
              <text key={mark.id} class={mark.id === hovered ? "number hovered" : "number"} x={at.x} y={at.y}>
                {mark.id === hovered ? `${mark.name} ${mark.label}` : mark.label}
              </text>
            ) : null;
          })}
        </svg>
      )}
    </div>
  );
}
