// How the line runs: events a second and latency by stage, what waits to be read, batches, actors, jobs and processes. Numbers are the
// server's (GET /system); a number nobody knows is said to be unknown.

import type { ComponentChildren } from "preact";
import {
  bytesRateText,
  bytesText,
  coresText,
  countText,
  knownSum,
  msText,
  rateText,
  UNKNOWN,
} from "../amount.ts";
import type { System } from "../api.ts";
import { type Line, useLine } from "../line.ts";
import { at } from "../moment.ts";
import { useClock } from "../now.tsx";
import { Scrolled } from "../scroll.tsx";
import { health, pipeline, pipelines } from "../store.ts";
import { spanText, titleOf } from "../words.ts";

type Own = System["pipelines"][number];
type Latency = NonNullable<Own["latency"]>;

const percent = (share: number) => `${(Math.min(1, Math.max(0, share)) * 100).toFixed(2)}%`;

/** A number that matters, with what it is and where it comes from. */
function Tile({
  name,
  value,
  detail,
  children,
}: {
  readonly name: string;
  readonly value: string;
  readonly detail: string;
  readonly children?: ComponentChildren;
}) {
  return (
    <div class="tile">
      <dt>{name}</dt>
      <dd>
        <b>{value}</b>
        {children}
        <small>{detail}</small>
      </dd>
    </div>
  );
}

/** The last minutes as a curve, from nothing up; the number beside it says the newest. */
function Curve({ values }: { readonly values: readonly (number | null)[] }) {
  const known = values.flatMap((value, i) => (value === null ? [] : [[i, value] as const]));
  const most = Math.max(1e-9, ...known.map(([, value]) => value));
  const x = (i: number) => ((i + 1 - values.length) / 149) * 100 + 100;
  const points = known
    .map(([i, value]) => `${x(i).toFixed(2)},${(22 - (value / most) * 20).toFixed(2)}`)
    .join(" ");
  return (
    <svg class="curve" viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true">
      {known.length > 1 && <polyline points={points} />}
    </svg>
  );
}

function Tiles({ own, looks }: { readonly own: Own; readonly looks: Line["looks"] }) {
  const past = looks.map((look) => look.pipelines.find((one) => one.pipeline === own.pipeline) ?? null);
  const rejected = own.rejected.reduce((sum, { records }) => sum + records, 0);
  const serving = own.model_versions.join(", ");
  const stale = own.champion !== null && own.model_versions.some((version) => version !== own.champion);
  return (
    <dl class="tiles">
      <Tile name="Events a second" value={rateText(own.events_per_s)} detail="raw records, the last minute">
        <Curve values={past.map((one) => one?.events_per_s ?? null)} />
      </Tile>
      <Tile
        name="Latency, median"
        value={msText(own.latency?.p50_ms ?? null)}
        detail={`99 of 100 within ${msText(own.latency?.p99_ms ?? null)}`}
      >
        <Curve values={past.map((one) => one?.latency?.p50_ms ?? null)} />
      </Tile>
      <Tile
        name="Model"
        value={serving === "" ? "none yet" : `version ${serving}`}
        detail={
          own.champion === null
            ? "the registry names none, or is away"
            : stale
              ? `version ${own.champion} is to serve`
              : "the one that is to serve"
        }
      />
      <Tile name="Forecast for" value={countText(own.stations)} detail="stations" />
      <Tile
        name="Came too late"
        value={countText(own.late_rows)}
        detail="windows of a station, since the job began"
      />
      <Tile
        name="Rejected"
        value={countText(rejected)}
        detail={
          own.rejected.length === 0
            ? "records"
            : own.rejected
                .map(({ reason, records }) => `${titleOf(reason).toLowerCase()} ${countText(records)}`)
                .join(", ")
        }
      />
    </dl>
  );
}

/** How each mark of a prediction is called. */
const STAGE_TEXT: Readonly<Record<string, string>> = {
  raw_append_time: "record is in Kafka",
  feature_processing_time: "window is computed",
  feature_append_time: "window is in Kafka",
  predict_time: "forecast is computed",
  commit_time: "forecast is committed",
};
const stageText = (stage: string) => STAGE_TEXT[stage] ?? titleOf(stage).toLowerCase();

/** Each stage where it begins at the median, half of them within the bar, 99 of 100 within the line. */
function Waterfall({ latency: { stages, p50_ms, p99_ms, predictions } }: { readonly latency: Latency }) {
  const end = Math.max(p99_ms, ...stages.map(({ begins_ms, p99_ms: most }) => begins_ms + most), 1);
  const rows = [
    ...stages.map((stage) => ({ ...stage, key: stage.to, name: `until ${stageText(stage.to)}` })),
    { key: "all", name: "from first to last", begins_ms: 0, p50_ms, p99_ms },
  ];
  return (
    <Table
      name="Latency by stage"
      heads={[["Stage"], ["", "drawing"], ["Median", "figure"], ["99 of 100", "figure"]]}
      note={`Of the ${countText(predictions)} newest forecasts, at most five minutes old: from the record's place in Kafka to the commit. A bar is half of them, the line behind it 99 of 100.`}
    >
      {rows.map(({ key, name, begins_ms, p50_ms: half, p99_ms: most }) => (
        <tr key={key} class={key === "all" ? "sum" : ""}>
          <th scope="row">{titleOf(name)}</th>
          <td class="drawing">
            <span class="track fall" aria-hidden="true">
              <i class="whisker" style={{ left: percent(begins_ms / end), width: percent(most / end) }} />
              <i class="stretch dap" style={{ left: percent(begins_ms / end), width: percent(half / end) }} />
            </span>
          </td>
          <td class="figure">{msText(half)}</td>
          <td class="figure">{msText(most)}</td>
        </tr>
      ))}
    </Table>
  );
}

function Table({
  name,
  heads,
  note,
  children,
}: {
  readonly name: string;
  readonly heads: readonly (readonly [name: string, kind?: "figure" | "drawing"])[];
  readonly note?: string;
  readonly children: ComponentChildren;
}) {
  return (
    <section class="block">
      <h3>{name}</h3>
      <Scrolled name={name}>
        <table class="line-table" aria-label={name}>
          <thead>
            <tr>
              {heads.map(([head, kind]) =>
                head === "" ? (
                  <td key={kind} class={kind} />
                ) : (
                  <th key={head} scope="col" class={kind}>
                    {head}
                  </th>
                ),
              )}
            </tr>
          </thead>
          <tbody>{children}</tbody>
        </table>
      </Scrolled>
      {note !== undefined && <p class="note">{note}</p>}
    </section>
  );
}

/** A number with a bar as long as its share of the most there is. */
function Share({
  value,
  most,
  text,
}: {
  readonly value: number | null;
  readonly most: number;
  readonly text: string;
}) {
  return (
    <td class={`figure share${value === null ? " unknown" : ""}`}>
      {text}
      <i aria-hidden="true" style={{ width: percent(value === null || most <= 0 ? 0 : value / most) }} />
    </td>
  );
}

function Lag({ system, own }: { readonly system: System; readonly own: Own | null }) {
  const all = [...system.groups, ...system.spark, ...system.ray, ...(own?.topics ?? [])];
  const most = Math.max(1, ...all.map(({ lag }) => lag ?? 0));
  return (
    <div class="pair">
      <Table name="Waits to be read" heads={[["Group"], ["Topic"], ["Records", "figure"]]}>
        {system.groups.map(({ group, topic, lag }) => (
          <tr key={`${group} ${topic}`}>
            <th scope="row">{group}</th>
            <td>{topic}</td>
            <Share value={lag} most={most} text={countText(lag)} />
          </tr>
        ))}
        {[...system.spark, ...system.ray].map(({ job, lag }) => (
          <tr key={job}>
            <th scope="row">{job}</th>
            <td>what it reads, as it says itself</td>
            <Share value={lag} most={most} text={countText(lag)} />
          </tr>
        ))}
      </Table>
      <Table
        name="This server reads"
        heads={[["Topic"], ["A second", "figure"], ["Waits", "figure"], ["Unreadable", "figure"]]}
      >
        {(own?.topics ?? []).map(({ topic, records_per_s, lag, undecodable }) => (
          <tr key={topic}>
            <th scope="row">{topic}</th>
            <td class="figure">{rateText(records_per_s)}</td>
            <Share value={lag} most={most} text={countText(lag)} />
            <td class="figure">{countText(undecodable)}</td>
          </tr>
        ))}
      </Table>
    </div>
  );
}

/** Where the time of a micro-batch went, and what is left of it. */
function parts({ parts_ms, took_ms }: System["spark"][number]): string {
  const named = Object.entries(parts_ms)
    .filter(([, ms]) => ms > 0)
    .sort(([, a], [, b]) => b - a)
    .map(([name, ms]) => `${name.replace(/_ms$/, "").replaceAll("_", " ")} ${msText(ms)}`);
  return named.length === 0 ? msText(took_ms) : named.join(", ");
}

function Engines({ system }: { readonly system: System }) {
  return (
    <>
      <Table
        name="Spark: newest batches"
        heads={[
          ["Job"],
          ["Batch", "figure"],
          ["Rows", "figure"],
          ["Took", "figure"],
          ["Where the time went"],
          ["Reads a second", "figure"],
          ["Too late", "figure"],
          ["State", "figure"],
        ]}
      >
        {system.spark.length === 0 && <None columns={8}>No streaming job has spoken yet.</None>}
        {system.spark.map((one) => (
          <tr key={one.job}>
            <th scope="row">{one.job}</th>
            <td class="figure">{countText(one.batch)}</td>
            <td class="figure">{countText(one.rows)}</td>
            <td class="figure">{msText(one.took_ms)}</td>
            <td class="says">{parts(one)}</td>
            <td class="figure">{rateText(one.read_per_s)}</td>
            <td class="figure">{countText(one.late_rows)}</td>
            <td class="figure">
              {countText(one.state_rows)} rows<small>{bytesText(one.state_bytes)}</small>
            </td>
          </tr>
        ))}
      </Table>
      <Table
        name="Ray: actors"
        heads={[
          ["Job"],
          ["Actors", "figure"],
          ["Started again", "figure"],
          ["Model call", "figure"],
          ["Batch", "figure"],
          ["Window to commit", "figure"],
          ["Reads a second", "figure"],
          ["Stations", "figure"],
          ["Model", "figure"],
        ]}
      >
        {system.ray.length === 0 && <None columns={9}>No inference job has spoken yet.</None>}
        {system.ray.map((one) => (
          <tr key={one.job}>
            <th scope="row">{one.job}</th>
            <td class="figure">{countText(one.actors)}</td>
            <td class="figure">{countText(one.restarts)}</td>
            <td class="figure">{msText(one.predict_ms)}</td>
            <td class="figure">{msText(one.batch_ms)}</td>
            <td class="figure">{msText(one.feature_to_commit_ms)}</td>
            <td class="figure">{rateText(one.read_per_s)}</td>
            <td class="figure">{countText(one.stations)}</td>
            <td class="figure">{one.model_version === null ? UNKNOWN : `version ${one.model_version}`}</td>
          </tr>
        ))}
      </Table>
    </>
  );
}

function None({ columns, children }: { readonly columns: number; readonly children: ComponentChildren }) {
  return (
    <tr>
      <td colSpan={columns} class="nothing">
        {children}
      </td>
    </tr>
  );
}

/** How a state of a job or an engine is shown; the word is always beside it. */
const TONE: Readonly<Record<string, "ok" | "warn" | "down" | "off">> = {
  ...{
    up: "ok",
    running: "ok",
    succeeded: "ok",
    waiting: "warn",
    unknown: "warn",
    failed: "down",
    down: "down",
  },
};

function State({ state, tone = TONE[state] ?? "off" }: { readonly state: string; readonly tone?: string }) {
  return <span class={`status ${tone}`}>{titleOf(state)}</span>;
}

function Jobs({
  system,
  now_ms,
  several,
}: {
  readonly system: System;
  readonly now_ms: number;
  readonly several: boolean;
}) {
  const judged = new Map((health.value?.jobs ?? []).map((one) => [one.name, one]));
  return (
    <Table
      name="Jobs"
      heads={[["Job"], ["Where"], ["State"], ["Restarts", "figure"], ["Spoke", "figure"], ["Says"]]}
    >
      {system.jobs.length === 0 && <None columns={6}>No job is known.</None>}
      {system.jobs.map((job) => {
        const verdict = judged.get(job.name);
        // Down is what somebody wants to run; a batch that has ended is well.
        const tone = verdict?.status === "down" ? "down" : verdict?.status === "waiting" ? "warn" : undefined;
        const said =
          job.reason ?? job.heartbeat?.message ?? (verdict?.status === "up" ? null : verdict?.detail);
        return (
          <tr key={job.name}>
            <th scope="row">
              {job.name}
              {several && job.pipeline !== "" && <small>{titleOf(job.pipeline)}</small>}
            </th>
            <td>{titleOf(job.engine)}</td>
            <td>
              <State state={job.state} {...(tone && { tone })} />
            </td>
            <td class="figure">{job.restarts === null ? "–" : countText(job.restarts)}</td>
            <td class="figure">
              {job.heartbeat
                ? `${spanText(Math.max(0, (now_ms - Date.parse(job.heartbeat.at)) / 1000))} ago`
                : "–"}
            </td>
            <td class="says">{said ?? "–"}</td>
          </tr>
        );
      })}
    </Table>
  );
}

function Processes({ system }: { readonly system: System }) {
  const { processes } = system;
  const most = (key: "cores" | "memory_bytes") => Math.max(0, ...processes.map((one) => one[key] ?? 0));
  const sum = (
    key: "cores" | "memory_bytes" | "read_bytes_s" | "written_bytes_s" | "received_bytes_s" | "sent_bytes_s",
  ) => knownSum(processes.map((one) => one[key]));
  const [cores, memory] = [most("cores"), most("memory_bytes")];
  return (
    <Table
      name="Processes"
      heads={[
        ["Works for"],
        ["Program"],
        ["Cores", "figure"],
        ["Memory", "figure"],
        ["Reads", "figure"],
        ["Writes", "figure"],
        ["Receives", "figure"],
        ["Sends", "figure"],
      ]}
      note="Unknown is what nobody here can see: an engine that is not ours, a rate before the second look, what the kernel does not tell. Receives and sends are of TCP, of this machine too."
    >
      {processes.length === 0 && <None columns={8}>No process is known yet.</None>}
      {processes.map((one) => (
        <tr key={`${one.of} ${one.pid ?? one.name}`}>
          <th scope="row">{one.of}</th>
          <td>
            {one.name}
            {one.pid !== null && <small>{one.pid}</small>}
          </td>
          <Share value={one.cores} most={cores} text={coresText(one.cores)} />
          <Share value={one.memory_bytes} most={memory} text={bytesText(one.memory_bytes)} />
          <td class="figure">{bytesRateText(one.read_bytes_s)}</td>
          <td class="figure">{bytesRateText(one.written_bytes_s)}</td>
          <td class="figure">{bytesRateText(one.received_bytes_s)}</td>
          <td class="figure">{bytesRateText(one.sent_bytes_s)}</td>
        </tr>
      ))}
      {processes.length > 1 && (
        <tr class="sum">
          <th scope="row">All that is known</th>
          <td>{processes.filter(({ pid }) => pid !== null).length} processes</td>
          <td class="figure">{coresText(sum("cores"))}</td>
          <td class="figure">{bytesText(sum("memory_bytes"))}</td>
          <td class="figure">{bytesRateText(sum("read_bytes_s"))}</td>
          <td class="figure">{bytesRateText(sum("written_bytes_s"))}</td>
          <td class="figure">{bytesRateText(sum("received_bytes_s"))}</td>
          <td class="figure">{bytesRateText(sum("sent_bytes_s"))}</td>
        </tr>
      )}
    </Table>
  );
}

/** Engines with their state, each a link to its own page where it has one. */
function EngineList({ links }: { readonly links: System["links"] }) {
  const engines = health.value?.engines ?? [];
  const named = new Map(links.map(({ name, href }) => [name.toLowerCase(), href]));
  return (
    <ul class="engines">
      {engines.map(({ name, status, detail }) => {
        const href = named.get(name);
        return (
          <li key={name}>
            <State state={status} />
            <span>
              <b>{href === undefined ? titleOf(name) : <a href={href}>{titleOf(name)}</a>}</b>
              <small title={detail}>{detail}</small>
            </span>
          </li>
        );
      })}
      {links
        .filter(({ name }) => !engines.some((engine) => engine.name === name.toLowerCase()))
        .map(({ name, href }) => (
          <li key={name}>
            <span>
              <b>
                <a href={href}>{name}</a>
              </b>
              <small>page of its own</small>
            </span>
          </li>
        ))}
    </ul>
  );
}

export function SystemPage() {
  const now_ms = useClock(1_000);
  const { system, looks, fault } = useLine();
  const { value: one } = pipeline;
  const own = system?.pipelines.find((row) => row.pipeline === one?.pipeline) ?? null;
  const several = (pipelines.value?.pipelines.length ?? 0) > 1;
  const age_s = system === null ? 0 : (now_ms - Date.parse(system.at)) / 1000;
  return (
    <section class="board system">
      <div class="bar">
        <div>
          <h2>System</h2>
          <p class="summary">
            {system === null
              ? " "
              : age_s < 8
                ? "Live, looked at every two seconds"
                : `As it was ${spanText(age_s)} ago`}
            {at.value === null ? "" : " · always of now, whichever moment is looked at"}
          </p>
        </div>
      </div>
      {fault !== null && <p class="fault-text">{fault}</p>}
      <EngineList links={system?.links ?? pipelines.value?.links ?? []} />
      {system !== null && (
        <>
          {own && <Tiles own={own} looks={looks} />}
          {own?.latency ? (
            <Waterfall latency={own.latency} />
          ) : (
            <section class="block">
              <h3>Latency by stage</h3>
              <p class="note">No forecast was committed in the last five minutes.</p>
            </section>
          )}
          <Lag system={system} own={own} />
          <Engines system={system} />
          <Jobs system={system} now_ms={now_ms} several={several} />
          <Processes system={system} />
        </>
      )}
    </section>
  );
}
