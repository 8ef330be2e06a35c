// `millrace serve`: the HTTP API of a namespace in the foreground until Ctrl-C. Also the command of the process job `serve`.
// Reads settings and flags, prints where it listens; everything else is ts/serve.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { explain, PipelineError } from "../../contract/index.ts";
import { pause } from "../../ground/pause.ts";
import { connectKafka } from "../../kafka/client.ts";
import { connectRegistry } from "../../kafka/registry.ts";
import { pipelineOf } from "../../pipelines/index.ts";
import type { StaleRule } from "../../serve/latest.ts";
import { isLoopback } from "../../serve/listen.ts";
import { liveOptions, pipelineOptions, servedPipelines, staleRule } from "../../serve/live.ts";
import { startApi } from "../../serve/start.ts";
import type { Settings } from "../../settings/settings.ts";
import { type SupervisedJob, supervisedJobs } from "../../supervise/views.ts";
import { parseInteger } from "../flags.ts";
import { interruptible } from "../interrupt.ts";

export interface ServeFlags {
  readonly port: number;
  readonly host: string;
  /** Of every pipeline; null for what its definition says. */
  readonly rule: Partial<StaleRule>;
  readonly json: boolean;
}

export interface ServeEffects {
  /** The supervisor's view of the jobs. May reject: then the jobs' own reports are shown alone. */
  jobs(): Promise<readonly SupervisedJob[]>;
  /** Ends the server. */
  readonly signal: AbortSignal;
  print(line: string): void;
  warn(line: string): void;
}

/** Heading and blank lines are the page's, not the paragraph's. */
const body = (markdown: string): string => markdown.replace(/^# .*\n+/, "").trim();

/** Serves until the signal fires. Errors: `config_invalid` for a port in use or a flag that makes no sense. */
export async function serve(settings: Settings, flags: ServeFlags, effects: ServeEffects): Promise<void> {
  if (!isLoopback(flags.host))
    effects.warn(
      `Everyone who can reach "${flags.host}" can read forecasts, jobs, health and metrics: the API has no authentication and no TLS`,
    );
  const kafka = connectKafka(settings.kafka, { client_id: "serve" });
  const registry = connectRegistry(settings.registryUrl);
  const read = (path: string) => readFileSync(join(settings.root, path), "utf8");
  const log = (error: unknown) => effects.warn(typeof error === "string" ? error : explain(error));
  const optionsOf = (names: readonly string[]) =>
    names.map((name) => {
      const registered = pipelineOf(name);
      return pipelineOptions(settings, registered, registry, { ...staleRule(registered), ...flags.rule });
    });
  let names = servedPipelines(settings);
  const serving = await startApi({
    ...liveOptions(settings),
    pipelines: optionsOf(names),
    kafka,
    version: (JSON.parse(read("package.json")) as { version: string }).version,
    confidence: body(read(join("docs", "confidence.md"))),
    host: flags.host,
    port: flags.port,
    jobs: async () => {
      try {
        return await effects.jobs();
      } catch (error) {
        log(error);
        return [];
      }
    },
    clock: { nowMs: () => Date.now() },
    log,
  });
  try {
    const { contract } = pipelineOf(names[0]!);
    const path = contract.parts.includes("forecast")
      ? `predictions/${Object.keys(contract.stations)[0] ?? `<${contract.entity}>`}`
      : "health";
    const example = `curl ${serving.url}/${path}`;
    effects.print(
      flags.json
        ? JSON.stringify({ url: serving.url })
        : `Serving ${names.join(", ")} at ${serving.url}   ${example}`,
    );
    while (!effects.signal.aborted) {
      await pause(LOOK_MS, effects.signal);
      const now = servedPipelines(settings);
      if (now.join() === names.join()) continue;
      names = now;
      await serving.use(optionsOf(names));
    }
  } finally {
    await serving.close();
    await kafka.close();
  }
}

/** How often it is looked whether a pipeline was applied or removed, wall time: one look reads a folder. */
const LOOK_MS = 2_000;

const YEAR_S = 365 * 86_400;

/** The API asks nobody who they are: beyond this machine it answers only where that was asked for. Errors: `config_invalid`. */
function hostOf(host: string, allow_remote: boolean): string {
  if (allow_remote || isLoopback(host)) return host;
  throw new PipelineError(
    "config_invalid",
    `Cannot use --host "${host}": expected an address that only this machine reaches (127.0.0.1, ::1, localhost), because the API has no authentication; add --allow-remote to answer everyone who reaches that address, or put a proxy with a login in front`,
  );
}

export function serveCommand(settingsOf: (command: Command) => Settings): Command {
  return new Command("serve")
    .description("Answer forecasts, stations, jobs, health and metrics over HTTP until Ctrl-C")
    .option("--port <number>", "port, 0 for any free one (default: MILLRACE_API_PORT or 8000)")
    .option("--host <address>", "address to listen on", "127.0.0.1")
    .option("--allow-remote", "answer beyond this machine, without authentication, when --host says so")
    .option(
      "--trail <seconds>",
      "event time a station may fall behind the network before it is stale (default: two steps)",
    )
    .option(
      "--silent <seconds>",
      "wall time without any prediction before all stations are stale (default: 120)",
    )
    .option("--json", "print where it listens as JSON")
    .addHelpText(
      "after",
      "\nExample:\n  millrace serve --port 8000\n  curl http://127.0.0.1:8000/predictions/new-york\n",
    )
    .action(async (options: Record<string, string | boolean | undefined>, command: Command) => {
      const settings = settingsOf(command);
      const text = (name: string) => (typeof options[name] === "string" ? options[name] : null);
      const host = hostOf(text("host") ?? settings.host, options["allowRemote"] === true);
      const [port, trail, silent] = [text("port"), text("trail"), text("silent")];
      await interruptible((signal) =>
        serve(
          settings,
          {
            host,
            port: port === null ? settings.ports.api : parseInteger("--port", port, 0, 65_535),
            rule: {
              ...(trail !== null && { trail_ms: 1000 * parseInteger("--trail", trail, 1, YEAR_S) }),
              ...(silent !== null && { silent_ms: 1000 * parseInteger("--silent", silent, 1, YEAR_S) }),
            },
            json: options["json"] === true,
          },
          {
            jobs: async () => supervisedJobs(settings),
            signal,
            print: (line) => process.stdout.write(`${line}\n`),
            warn: (line) => process.stderr.write(`${line}\n`),
          },
        ),
      );
    });
}
