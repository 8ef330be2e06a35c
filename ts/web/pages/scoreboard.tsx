// What the forecasts were worth: the error beside that of two baselines, the share of truths that each band held beside what was
// promised, by target and horizon, and the best and worst stations. The bars stand in the cells of the tables they draw.

import type { ComponentChildren } from "preact";
import type { Pipeline } from "../api.ts";
import { type Board, useBoard, WINDOWS, type WindowName } from "../board.ts";
import { Choice, FieldChoice } from "../choice.tsx";
import { fieldsOf } from "../field.ts";
import { PageLink } from "../link.tsx";
import { at } from "../moment.ts";
import { linkTo, route, show } from "../navigate.ts";
import {
  firstScore,
  heldText,
  meanText,
  ranked,
  type ScoreRow,
  skillEnds,
  skillText,
  VERDICT_TEXT,
  verdictOf,
} from "../scores.ts";
import { Scrolled } from "../scroll.tsx";
import { frontier, pipeline, speed, stations } from "../store.ts";
import { momentText } from "../time.ts";
import { aheadText, NONE, titleOf, unitText, withUnit } from "../words.ts";

const WINDOW_TEXT: Readonly<Record<WindowName, string>> = { "24h": "Last day", "7d": "Last week" };
/** Of the best, and of the worst; as many as both together are shown in one list. */
const SHOWN = 5;
/** What is off by more than this from its promise stands at the end of its track. */
const OFF_MAX = 0.15;

/** On a phone the rows of a table are grids, which would take from them what they are to a screen reader. */
const as = (role: "table" | "rowgroup" | "row" | "columnheader" | "rowheader" | "cell") => ({ role });

const percent = (share: number) => `${(share * 100).toFixed(2)}%`;

/** How much of a baseline's error is gone, from nothing to the right; to the left it is more. */
function Skill({
  skill,
  pairs,
  ends: [low, high],
  kind,
}: {
  readonly skill: number | null;
  readonly pairs: number;
  readonly ends: readonly [number, number];
  readonly kind: "persistence" | "dap";
}) {
  const place = (value: number) => (Math.min(high, Math.max(low, value)) - low) / (high - low);
  const [zero, end] = [place(0), place(skill ?? 0)];
  return (
    <div class="measured">
      <span class="track" aria-hidden="true">
        {skill !== null && (
          <i
            class={`stretch ${skill < 0 ? "worse" : kind}`}
            style={{ left: percent(Math.min(zero, end)), width: percent(Math.abs(end - zero)) }}
          />
        )}
        <i class="zero" style={{ left: percent(zero) }} />
      </span>
      <span class={`number-text${skill !== null && skill < 0 ? " worse" : ""}`}>
        {skillText(skill, pairs)}
      </span>
    </div>
  );
}

/** The share that a band held, left or right of what was promised. */
function Held({
  held,
  promised,
  pairs,
}: {
  readonly held: number | null;
  readonly promised: number;
  readonly pairs: number;
}) {
  if (held === null) return <span class="number-text">{NONE}</span>;
  const verdict = verdictOf(held, promised, pairs);
  const off = Math.min(OFF_MAX, Math.max(-OFF_MAX, held - promised));
  return (
    <div class="measured">
      <span class="track" aria-hidden="true">
        <i class="promise" />
        <i class={`held ${verdict}`} style={{ left: percent(0.5 + off / (2 * OFF_MAX)) }} />
      </span>
      <span class="number-text">
        {heldText(held, pairs)}
        {verdict !== "kept" && <small class={verdict}>{VERDICT_TEXT[verdict]}</small>}
      </span>
    </div>
  );
}

function Cell({
  label,
  children,
  wide = false,
}: {
  readonly label: string;
  readonly children: ComponentChildren;
  readonly wide?: boolean;
}) {
  return (
    <td {...as("cell")} data-label={label} class={wide ? "measure" : "figure"}>
      {children}
    </td>
  );
}

interface Shape {
  readonly promised: Board["promised"];
  readonly ends: readonly [number, number];
}

/** The cells that a row has wherever it stands. */
function Cells({ row, promised, ends, unit }: Shape & { readonly row: ScoreRow; readonly unit: string }) {
  return (
    <>
      <Cell label="Mean error">{withUnit(meanText(row.mae, row.pairs), unit)}</Cell>
      <Cell label="Against persistence" wide>
        <Skill skill={row.skill_persistence} pairs={row.pairs} ends={ends} kind="persistence" />
      </Cell>
      <Cell label="Against DAP" wide>
        <Skill skill={row.skill_dap} pairs={row.pairs} ends={ends} kind="dap" />
      </Cell>
      {Object.entries(promised).map(([band, share]) => (
        <Cell key={band} label={`In the ${band} % band`} wide>
          <Held held={row.coverage[band] ?? null} promised={share} pairs={row.pairs} />
        </Cell>
      ))}
      <Cell label="Forecasts">{row.pairs.toLocaleString("en-US")}</Cell>
    </>
  );
}

function Head({ first, promised }: { readonly first: string; readonly promised: Board["promised"] }) {
  return (
    <thead {...as("rowgroup")}>
      <tr {...as("row")}>
        <th scope="col" {...as("columnheader")}>
          {first}
        </th>
        <th scope="col" {...as("columnheader")} class="figure">
          Mean error
        </th>
        <th scope="col" {...as("columnheader")} class="measure">
          Error against persistence
        </th>
        <th scope="col" {...as("columnheader")} class="measure">
          Error against DAP
        </th>
        {Object.keys(promised).map((band) => (
          <th key={band} scope="col" {...as("columnheader")} class="measure">
            In the {band} % band
          </th>
        ))}
        <th scope="col" {...as("columnheader")} class="figure">
          Forecasts
        </th>
      </tr>
    </thead>
  );
}

function Scores({
  name,
  first,
  rows,
  shape,
  unit,
  idOf,
  head,
}: {
  readonly name: string;
  readonly first: string;
  readonly rows: readonly ScoreRow[];
  readonly shape: Shape;
  readonly unit: string;
  readonly idOf: (row: ScoreRow) => string;
  readonly head: (row: ScoreRow) => ComponentChildren;
}) {
  return (
    <Scrolled name={name}>
      <table class="scores" {...as("table")} aria-label={name}>
        <Head first={first} promised={shape.promised} />
        <tbody {...as("rowgroup")}>
          {rows.map((row) => (
            <tr {...as("row")} key={idOf(row)}>
              <th scope="row" {...as("rowheader")}>
                {head(row)}
              </th>
              <Cells row={row} unit={unit} {...shape} />
            </tr>
          ))}
        </tbody>
      </table>
    </Scrolled>
  );
}

function Target({
  target,
  unit,
  rows,
  shape,
}: {
  readonly target: string;
  readonly unit: string;
  readonly rows: readonly ScoreRow[];
  readonly shape: Shape;
}) {
  const unitSaid = unitText(unit);
  return (
    <section class="block">
      <h3>
        {titleOf(target)}
        {unitSaid !== "" && <small>{unitSaid}</small>}
      </h3>
      <Scores
        name={`${titleOf(target)}, by how far ahead`}
        first="Ahead"
        rows={rows}
        shape={shape}
        unit={unit}
        idOf={(row) => String(row.horizon_h)}
        head={(row) => aheadText(row.horizon_h)}
      />
    </section>
  );
}

function Stations({
  one,
  board,
  shape,
}: {
  readonly one: Pipeline;
  readonly board: Board;
  readonly shape: Shape;
}) {
  const { query } = route.value;
  const fields = fieldsOf(one).filter(({ forecasts }) => forecasts.length > 0);
  const field = fields.find(({ name }) => name === query["field"]) ?? fields[0];
  const forecast = field?.forecasts.find(({ horizon }) => horizon === query["ahead"]) ?? field?.forecasts[0];
  if (!field || !forecast) return null;
  const all = ranked(board.stations ?? [], field.name, forecast.horizon_h);
  const many = all.length > 2 * SHOWN;
  const entity = one.entity;
  const idOf = (row: ScoreRow) => String((row as unknown as Record<string, unknown>)[one.key]);
  const link = (row: ScoreRow) => {
    const id = idOf(row);
    return (
      <PageLink href={linkTo({ page: "station", station: id })}>
        {stations.value?.get(id)?.name ?? id}
      </PageLink>
    );
  };
  const lists: readonly (readonly [string, readonly ScoreRow[]])[] = many
    ? [
        ["Best", all.slice(0, SHOWN)],
        ["Worst", all.slice(-SHOWN).reverse()],
      ]
    : [["Best first", all]];
  return (
    <section class="block">
      <div class="bar">
        <h3>
          Best and worst {entity}s<small>by the error against DAP</small>
        </h3>
        <div class="tools">
          <FieldChoice fields={fields} value={field.name} onChoose={(field) => show({ field })} />
          <Choice
            legend="Ahead"
            name="ahead"
            options={field.forecasts.map(({ horizon, horizon_h }) => [horizon, aheadText(horizon_h)])}
            value={forecast.horizon}
            onChoose={(ahead) => show({ ahead })}
          />
        </div>
      </div>
      {board.stations === null ? (
        <p class="note">Only the store knows the scores of each {entity}.</p>
      ) : all.length === 0 ? (
        <p class="note">No {entity} has a score of this in this time.</p>
      ) : (
        lists.map(([title, rows]) => (
          <div key={title} class="ranks">
            <h4>{title}</h4>
            <Scores
              name={`${title}: ${titleOf(field.name)} ${aheadText(forecast.horizon_h)} ahead`}
              first={titleOf(entity)}
              rows={rows}
              shape={shape}
              unit={field.unit}
              idOf={idOf}
              head={link}
            />
          </div>
        ))
      )}
      {many && (
        <p class="note">
          Of {all.length} {entity}s with enough forecasts to be compared.
        </p>
      )}
    </section>
  );
}

/** No score yet: when the first comes. */
function Empty({ one, inSample }: { readonly one: Pipeline; readonly inSample: number }) {
  const { at_ms, text } = firstScore({
    horizon_h: Math.min(...one.forecasts.map(({ horizon_h }) => horizon_h)),
    oldest_ms: one.history === null ? null : Date.parse(one.history.from),
    frontier_ms: frontier.value,
    speed: speed.value,
  });
  return (
    <div class="calm">
      <h3>No forecast has met its truth yet</h3>
      <p>{text}.</p>
      {at_ms !== null && <p>That is at {momentText(at_ms)}.</p>}
      {inSample > 0 && (
        <p>
          {inSample.toLocaleString("en-US")} forecasts were held against their truth, but inside the time that
          the model was trained on: they count for nothing.
        </p>
      )}
    </div>
  );
}

export function ScoreboardPage() {
  const { value: one } = pipeline;
  const window = WINDOWS.find((name) => name === route.value.query["window"]) ?? "24h";
  const forecasts = one?.forecasts ?? [];
  const board = useBoard(one && forecasts.length > 0 ? one.pipeline : null, window, one?.bands ?? []);
  const rows = (board.scores ?? []).filter((row) => row.window === window);
  const scored = rows.filter((row) => row.pairs > 0);
  const pairs = scored.reduce((sum, row) => sum + row.pairs, 0);
  const shape: Shape = { promised: board.promised, ends: skillEnds([...scored, ...(board.stations ?? [])]) };
  if (one && forecasts.length === 0)
    return (
      <section class="empty">
        <h2>Scoreboard</h2>
        <p>{titleOf(one.pipeline)} makes no forecasts, so there is nothing to score.</p>
      </section>
    );
  return (
    <section class="board">
      <div class="bar">
        <div>
          <h2>Scoreboard</h2>
          <p class="summary">
            {pairs > 0 && board.frontier_ms !== null
              ? `${pairs.toLocaleString("en-US")} forecasts against their truth, until ${momentText(board.frontier_ms)}`
              : " "}
            {pairs > 0 && at.value !== null ? " · whichever moment is looked at" : ""}
          </p>
        </div>
        <div class="tools">
          <Choice
            legend="Event time"
            name="window"
            options={WINDOWS.map((name) => [name, WINDOW_TEXT[name]])}
            value={window}
            onChoose={(name) => show({ window: name === "24h" ? "" : name })}
          />
        </div>
      </div>
      {board.fault !== null && <p class="fault-text">{board.fault}</p>}
      {one && board.scores !== null && scored.length === 0 && (
        <Empty one={one} inSample={rows.reduce((sum, row) => sum + row.in_sample, 0)} />
      )}
      {one && scored.length > 0 && (
        <>
          <p class="legend score-keys">
            <span>
              <i class="swatch persistence" aria-hidden="true" /> less error than persistence, which says that
              all stays as it is
            </span>
            <span>
              <i class="swatch dap" aria-hidden="true" /> less than DAP, which lets what is unusual fade
            </span>
            <span>
              <i class="swatch promise" aria-hidden="true" /> what a band promised, and{" "}
              <i class="swatch kept" aria-hidden="true" /> what it held
            </span>
          </p>
          {[...new Set(one.forecasts.map(({ target }) => target))].map((target) => {
            const own = scored
              .filter((row) => row.target === target)
              .toSorted((a, b) => a.horizon_h - b.horizon_h);
            return own.length === 0 ? null : (
              <Target key={target} target={target} unit={own[0]!.unit} rows={own} shape={shape} />
            );
          })}
          <Stations one={one} board={board} shape={shape} />
        </>
      )}
    </section>
  );
}
