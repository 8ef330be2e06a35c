// The frame around every page: where one can go, whether what is shown is live, and the page itself.

import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { bySeverity } from "./alerts.ts";
import { useLazy } from "./lazy.ts";
import { PageLink } from "./link.tsx";
import { linkTo, route } from "./navigate.ts";
import { Now } from "./now.tsx";
import { ownPage } from "./own.ts";
import { AlertsPage } from "./pages/alerts.tsx";
import { MapPage } from "./pages/map.tsx";
import { ScoreboardPage } from "./pages/scoreboard.tsx";
import { StationPage } from "./pages/station.tsx";
import { SystemPage } from "./pages/system.tsx";
import { addressOf, type PageName } from "./route.ts";
import { alerts, connection, fault, pipeline, pipelines, stations } from "./store.ts";
import { titleOf } from "./words.ts";

const NAV: readonly { readonly page: PageName; readonly name: string; readonly needs: string | null }[] = [
  { page: "map", name: "Stations", needs: null },
  { page: "alerts", name: "Alerts", needs: null },
  { page: "scoreboard", name: "Scoreboard", needs: "forecast" },
  { page: "system", name: "System", needs: null },
];

/** How many things are wrong, in the tone of the worst; nothing where nothing is. */
function Badge() {
  const { value } = alerts;
  if (value === null || value.count === 0) return <span class="badge none" />;
  const [worst] = bySeverity(value.alerts);
  return <span class={`badge ${worst?.severity ?? "info"}`}>{value.count > 999 ? "999+" : value.count}</span>;
}

function Navigation() {
  const { page } = route.value;
  const parts = pipeline.value?.parts ?? [];
  const own = pipeline.value !== null && ownPage(pipeline.value.pipeline) !== null;
  return (
    <nav aria-label="Pages" class="pages">
      <ul>
        {NAV.filter(({ needs }) => needs === null || pipeline.value === null || parts.includes(needs)).map(
          (one) => (
            <li key={one.page}>
              <PageLink
                href={linkTo({ page: one.page })}
                current={page === one.page || (page === "station" && one.page === "map")}
              >
                {one.page === "map" && own ? "Overview" : one.name}
                {one.page === "alerts" && (
                  <>
                    {" "}
                    <Badge />
                  </>
                )}
              </PageLink>
            </li>
          ),
        )}
      </ul>
    </nav>
  );
}

function PipelineSwitch() {
  const all = pipelines.value?.pipelines ?? [];
  const { value } = pipeline;
  if (all.length < 2) return <p class="switch tag">{value ? titleOf(value.pipeline) : ""}</p>;
  return (
    <nav aria-label="Pipelines" class="switch">
      <ul>
        {all.map((one) => (
          <li key={one.pipeline}>
            <PageLink
              href={addressOf({
                pipeline: one.default ? null : one.pipeline,
                page: "map",
                station: null,
                query: {},
              })}
              current={one.pipeline === value?.pipeline}
            >
              {titleOf(one.pipeline)}
            </PageLink>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function Engines() {
  const links = pipelines.value?.links ?? [];
  return (
    <nav aria-label="Engines and API">
      <ul>
        {links.map(({ name, href }) => (
          <li key={name}>
            <a href={href}>{name}</a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

/** A domain's own page where it brings one; else all stations. */
function Home() {
  const { value } = pipeline;
  const load = value === null ? null : ownPage(value.pipeline);
  return load && value ? <Own key={value.pipeline} load={load} pipeline={value.pipeline} /> : <MapPage />;
}

function Own({
  load,
  pipeline: name,
}: {
  readonly load: NonNullable<ReturnType<typeof ownPage>>;
  readonly pipeline: string;
}) {
  const Page = useLazy(load);
  return Page && <Page pipeline={name} />;
}

const PAGE_OF: Readonly<Record<PageName, () => ComponentChildren>> = {
  map: () => <Home />,
  station: () => <StationPage key={route.value.station} />,
  alerts: () => <AlertsPage />,
  scoreboard: () => <ScoreboardPage />,
  system: () => <SystemPage />,
  none: () => <Nowhere />,
};

function Nowhere() {
  return (
    <section class="empty">
      <h2>There is no such page</h2>
      <p>
        <PageLink href={linkTo({ page: "map" })}>All stations</PageLink>
      </p>
    </section>
  );
}

/** What the browser's tab is called. */
function tabTitle(): string {
  const { page, station } = route.value;
  const where =
    station === null
      ? NAV.find((one) => one.page === page)?.name
      : (stations.value?.get(station)?.name ?? station);
  const name = pipeline.value?.pipeline;
  return [where, name === undefined ? null : titleOf(name), "Millrace"].filter(Boolean).join(" · ");
}

export function App() {
  const title = tabTitle();
  useEffect(() => {
    document.title = title;
  }, [title]);
  const { value } = pipeline;
  const unknown = pipelines.value !== null && value === null;
  return (
    <>
      <a class="skip" href="#main">
        To the content
      </a>
      <header>
        <div class="brand">
          <h1>
            <PageLink href={linkTo({ page: "map" })}>Millrace</PageLink>
          </h1>
          <PipelineSwitch />
        </div>
        <Navigation />
        <Now />
      </header>
      {connection.value === "cut" && (
        <p class="fault" role="alert">
          The live stream is cut: what is shown stands still until it is back. It is tried again, and nothing
          will be missed.
        </p>
      )}
      {fault.value !== null && connection.value !== "cut" && (
        <p class="fault" role="alert">
          Nothing new can be shown: {fault.value}
        </p>
      )}
      <main id="main" tabIndex={-1}>
        {unknown ? <Nowhere /> : PAGE_OF[route.value.page]()}
      </main>
      <footer>
        <p>Millrace: forecasts you can trust and check</p>
        <Engines />
      </footer>
    </>
  );
}
