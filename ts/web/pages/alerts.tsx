// What is wrong now, newest first, stations and machinery alike, each with what to do. The list is the server's; the stream brings it
// whenever it is another.

import { useEffect, useRef, useState } from "preact/hooks";
import { type About, aboutOf, countsText, SEVERITY_TEXT, wordsOf } from "../alerts.ts";
import type { Alert } from "../api.ts";
import { Choice } from "../choice.tsx";
import { PageLink } from "../link.tsx";
import { at } from "../moment.ts";
import { linkTo, route, show } from "../navigate.ts";
import { useClock } from "../now.tsx";
import { alerts, health, pipeline, pipelines, stations } from "../store.ts";
import { When } from "../when.tsx";
import { spanText, titleOf } from "../words.ts";

const ABOUT: readonly (readonly [About | "", string])[] = [
  ["", "All"],
  ["stations", "Stations"],
  ["machinery", "Machinery"],
];

/** How a pipeline stands in an address. */
const segmentOf = (name: string | null): string | null =>
  pipelines.value?.pipelines.find((one) => one.pipeline === name)?.default ? null : name;

/** What it is about, with the way there. */
function Subject({ alert: { subject, pipeline: of } }: { readonly alert: Alert }) {
  const { kind, name } = subject;
  if (kind === "station") {
    const here = of === pipeline.value?.pipeline ? stations.value?.get(name) : undefined;
    return (
      <PageLink href={linkTo({ page: "station", station: name, pipeline: segmentOf(of) })}>
        {here?.name ?? name}
      </PageLink>
    );
  }
  if (kind === "engine") {
    const link = pipelines.value?.links.find((one) => one.name.toLowerCase() === name);
    return link ? <a href={link.href}>{link.name}</a> : <span>{titleOf(name)}</span>;
  }
  return <PageLink href={linkTo({ page: "system" })}>{kind === "pipeline" ? titleOf(name) : name}</PageLink>;
}

function Next({ text }: { readonly text: string }) {
  return (
    <p class="todo">
      <span class="todo-name">What to do</span>
      <span>
        {wordsOf(text).map(({ kind, text: words }) =>
          kind === "command" ? (
            <code key={words}>{words}</code>
          ) : kind === "address" ? (
            <a key={words} href={words}>
              {words}
            </a>
          ) : (
            words
          ),
        )}
      </span>
    </p>
  );
}

function Row({
  alert,
  now_ms,
  several,
}: {
  readonly alert: Alert;
  readonly now_ms: number;
  readonly several: boolean;
}) {
  const since_ms = Date.parse(alert.since);
  return (
    <li class={`alert ${alert.severity}`}>
      <p class={`severity ${alert.severity}`}>{SEVERITY_TEXT[alert.severity]}</p>
      <div class="what">
        <h3>
          <Subject alert={alert} />
          <small>
            {titleOf(alert.kind)}
            {several && alert.pipeline !== null && ` · ${titleOf(alert.pipeline)}`}
          </small>
        </h3>
        <p>{alert.text}</p>
        <Next text={alert.next} />
      </div>
      <p class="since">
        <b>{spanText(Math.max(0, (now_ms - since_ms) / 1000))}</b>
        <small>
          since <When ms={since_ms} />
        </small>
        {alert.event_time !== null && (
          <small>
            event time <When ms={Date.parse(alert.event_time)} />
          </small>
        )}
      </p>
    </li>
  );
}

/** All is well: says of what, because an empty page could be a broken one. */
function Well() {
  const { value } = health;
  const heard = [...(stations.value?.values() ?? [])].filter(({ reported }) => reported).length;
  const parts = [
    ...(heard > 0 ? [`${heard} ${pipeline.value?.entity ?? "station"}${heard === 1 ? "" : "s"}`] : []),
    ...(value ? [`${value.jobs.length} jobs`, `${value.engines.length} engines`] : []),
  ];
  return (
    <div class="calm">
      <h3>Nothing is wrong</h3>
      <p>
        {parts.length === 0 ? "" : `Watched: ${parts.join(", ")}. `}An alert comes here by itself, within a
        few seconds.
      </p>
    </div>
  );
}

/** Says to a screen reader what has come and what is left, and nothing of what was there when the page was opened. */
function Heard({ all }: { readonly all: readonly Alert[] | null }) {
  const known = useRef<ReadonlySet<string> | null>(null);
  const [text, setText] = useState("");
  useEffect(() => {
    if (all === null) return;
    const before = known.current;
    known.current = new Set(all.map(({ id }) => id));
    if (before === null) return;
    const come = all.filter(({ id }) => !before.has(id));
    const left = countsText(all) ?? "Nothing is wrong";
    if (come.length > 0 || before.size !== all.length)
      setText([...come.slice(0, 3).map((one) => `New: ${one.text}`), left].join(". "));
  }, [all]);
  return (
    <p class="heard" aria-live="polite">
      {text}
    </p>
  );
}

export function AlertsPage() {
  const now_ms = useClock(1_000);
  const { value } = alerts;
  const about = ABOUT.find(([name]) => name === route.value.query["about"])?.[0] ?? "";
  const all = value?.alerts ?? null;
  const shown = all?.filter((one) => about === "" || aboutOf(one) === about) ?? null;
  const several = (pipelines.value?.pipelines.length ?? 0) > 1;
  return (
    <section class="alerts">
      <div class="bar">
        <div>
          <h2>Alerts</h2>
          <p class="summary">
            {all === null ? "" : (countsText(all) ?? "Nothing is wrong now")}
            {value && value.count > value.alerts.length
              ? `: the newest ${value.alerts.length} of ${value.count}`
              : ""}
            {at.value === null ? "" : " · always of now, whichever moment is looked at"}
          </p>
        </div>
        <div class="tools">
          <Choice
            legend="About"
            name="about"
            options={ABOUT}
            value={about}
            onChoose={(name) => show({ about: name })}
          />
        </div>
      </div>
      <Heard all={all} />
      {shown !== null && shown.length === 0 && (all?.length === 0 ? <Well /> : <p>Nothing of this kind.</p>)}
      {shown !== null && shown.length > 0 && (
        <ol class="alert-list">
          {shown.map((one) => (
            <Row key={one.id} alert={one} now_ms={now_ms} several={several} />
          ))}
        </ol>
      )}
    </section>
  );
}
