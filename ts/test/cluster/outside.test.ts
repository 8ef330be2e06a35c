// The running line as the engines themselves tell it: nothing here asks Millrace whether its jobs run.

import { join } from "node:path";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { until } from "../../ground/until.ts";
import { namesOf, pipelineOf, subjectsOf, topicOf } from "../../pipelines/index.ts";
import { publishChampion } from "../../rehearse/line/champion.ts";
import { closeLine, type Line, openLine, start } from "../../rehearse/line/line.ts";

const engines = inject("engines");
let line: Line;
let close: () => Promise<void> = async () => {};

beforeAll(async () => {
  line = await openLine(engines, {
    what: "outside",
    signal: new AbortController().signal,
    log: () => {},
  });
  close = () => closeLine(line);
  await publishChampion(line, join(engines.home, "proof-champion"));
  const from = ["--from", "2016-12-01T00:00:00Z", "--speed", "3600"];
  await start(
    line,
    ["features", "infer", "replay"],
    [join(engines.root, "samples", "us-cities-hourly.csv.gz"), ...from],
  );
});
afterAll(() => close());

const json = async <T>(url: string): Promise<T> => (await (await fetch(url)).json()) as T;

it("the Spark master lists the features app with cores: it runs on the cluster, not in its driver", async () => {
  const { activeapps } = await json<{ activeapps: { name: string; cores: number; state: string }[] }>(
    `${engines.sparkUiUrl}/json/`,
  );
  const app = activeapps.find(({ name }) => name.startsWith(`${line.settings.namespace}-weather-features`));
  expect(app).toMatchObject({ state: "RUNNING" });
  expect(app!.cores).toBeGreaterThan(0);
});

it("the Ray Jobs API lists the inference job RUNNING, with an actor that lives", async () => {
  // A job runs before its driver has made itself known to Ray: until then it has no id that actors could name.
  const { done, seen } = await until(
    async () => {
      const jobs = await json<{ submission_id: string | null; status: string; job_id: string | null }[]>(
        `${engines.rayUrl}/api/jobs/`,
      );
      const job = jobs.find(({ submission_id }) =>
        submission_id?.startsWith(`${line.settings.namespace}-weather-infer`),
      );
      const { data } = await json<{ data: { result: { result: { job_id: string; state: string }[] } } }>(
        `${engines.rayUrl}/api/v0/actors`,
      );
      const ours = data.result.result.filter(({ job_id }) => job_id === job?.job_id);
      return {
        done: job?.status === "RUNNING" && ours.some(({ state }) => state === "ALIVE"),
        seen: { job, ours },
      };
    },
    { deadline_ms: 120_000 },
  );
  expect(done, JSON.stringify(seen)).toBe(true);
});

it("the registry lists every subject of the pipeline", async () => {
  const { pipeline, contract } = pipelineOf("weather");
  const wanted = subjectsOf(namesOf(pipeline, line.settings.namespace), contract).map(
    ({ subject }) => subject,
  );
  expect(await json<string[]>(`${engines.registryUrl}/subjects`)).toEqual(expect.arrayContaining(wanted));
});

it("MLflow lists the model under its alias", async () => {
  const query = new URLSearchParams({ name: line.names.model, alias: "champion" });
  const { model_version } = await json<{ model_version: { name: string } }>(
    `${engines.mlflowUrl}/api/2.0/mlflow/registered-models/alias?${query}`,
  );
  expect(model_version.name).toBe(line.names.model);
});

it("a prediction arrives on its topic, of the horizons and targets of the contract", async () => {
  const reader = line.kafka.read(topicOf(line.names, "predictions").topic, {
    from: "beginning",
    until: "never",
    signal: AbortSignal.timeout(120_000),
  });
  let found = 0;
  for await (const records of reader) {
    found += records.length;
    break;
  }
  await reader.close();
  expect(found).toBeGreaterThan(0);
});
