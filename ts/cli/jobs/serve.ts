// `millrace serve`: the HTTP API of a namespace in the foreground until Ctrl-C. Also the command of the process job `serve`.
// Reads settings and flags, prints where it listens; everything else is ts/serve.

import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import { Command } from "commander";
import { explain, PipelineError } from "../../contract/index.ts";
import { pause } from "../../ground/pause.ts";
import { connectKafka } from "../../kafka/client.ts";
import { connectRegistry } from "../../kafka/registry.ts";
import { pipelineOf } from "../../pipelines/index.ts";
import { keyring, keysPath, readKeys } from "../../serve/keys.ts";
import type { StaleRule } from "../../serve/latest.ts";
import { isLoopback } from "../../serve/listen.ts";
import { liveOptions, pipelineOptions, servedPipelines, staleRule } from "../../serve/live.ts";
import { startApi } from "../../serve/start.ts";
import type { ApiSettings, Settings } from "../../settings/settings.ts";
import { type SupervisedJob, supervisedJobs } from "../../supervise/views.ts";
import { parseInteger } from "../flags.ts";
import { interruptible } from "../interrupt.ts";

export interface ServeFlags {
  readonly port: number;
  readonly host: string;
  /** Of every pipeline; null for what its definition says. */
  readonly rule: Partial<StaleRule>;
  /** Names, origins, TLS and rate; `host` above is what it listens on. */
  readonly api?: Omit<ApiSettings, "host">;
  readonly access_log?: boolean;
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
  const { hosts, origins, tls, rate, published } = flags.api ?? settings.api;
  const loopback = isLoopback(published ?? flags.host);
  const keys = keysPath(settings);
  if (!loopback) {
    if (readKeys(keys).length === 0)
      throw new PipelineError(
        "config_invalid",
        `Cannot serve on "${flags.host}": expected an API key, because other machines reach that address, there is none; run "millrace keys add NAME"`,
      );
    if (tls === null)
      effects.warn(
        `Keys and answers pass in clear on "${flags.host}": let MILLRACE_API_TLS_CERT and MILLRACE_API_TLS_KEY name a certificate, or put a proxy with TLS in front`,
      );
  }
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
    web: join(settings.root, "target", "web"),
    host: flags.host,
    published,
    port: flags.port,
    tls,
    guard: {
      hosts,
      origins,
      keys: loopback ? null : keyring(keys, { nowMs: () => Date.now() }),
      rate: rate ?? (loopback ? null : RATE),
      access: flags.access_log || !loopback ? (line) => effects.print(line) : null,
    },
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

/** Requests a second of one client where other machines ask: a page of stations every ten milliseconds. */
const RATE = 100;

const YEAR_S = 365 * 86_400;

/** Commander's parser of a flag that may be given several times. */
const collected = (word: string, words: readonly string[] = []): string[] => [...words, word];

export function serveCommand(settingsOf: (command: Command) => Settings): Command {
  return new Command("serve")
    .description("Answer forecasts, stations, jobs, health and metrics over HTTP until Ctrl-C")
    .option("--port <number>", "port, 0 for any free one (default: MILLRACE_API_PORT or 8000)")
    .option(
      "--host <address>",
      "address to listen on; beyond this machine every request needs a key (millrace keys)",
    )
    .option(
      "--published <address>",
      "the address that others reach, where a container listens on all of its own (MILLRACE_API_PUBLISHED)",
    )
    .option("--allow-host <name>", "name it is asked under beside its addresses; repeatable", collected)
    .option("--allow-origin <origin>", "origin of another page that may read answers; repeatable", collected)
    .option("--tls-cert <file>", "certificate in PEM, with --tls-key")
    .option("--tls-key <file>", "its key in PEM")
    .option(
      "--rate <number>",
      "requests a second of one client (default: 100 beyond this machine, else no limit)",
    )
    .option("--access-log", "print a line a request; beyond this machine always")
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
    .action(async (options: Record<string, string | boolean | string[] | undefined>, command: Command) => {
      const settings = settingsOf(command);
      const text = (name: string) => (typeof options[name] === "string" ? options[name] : null);
      const all = (name: string) => (Array.isArray(options[name]) ? options[name] : null);
      const host = text("host") ?? settings.api.host ?? settings.host;
      const [cert, key, rate] = [text("tlsCert"), text("tlsKey"), text("rate")];
      if ((cert === null) !== (key === null))
        throw new PipelineError(
          "config_invalid",
          "Cannot use TLS: expected --tls-cert and --tls-key, got one of them",
        );
      const published = text("published");
      if (published !== null && isIP(published) === 0)
        throw new PipelineError(
          "config_invalid",
          `Cannot use --published "${published}": expected an address of the machine that publishes it`,
        );
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
            api: {
              // An address that is named for this call alone is the one that others reach.
              published: published ?? (text("host") === null ? settings.api.published : null),
              hosts: all("allowHost") ?? settings.api.hosts,
              origins: all("allowOrigin") ?? settings.api.origins,
              tls: cert !== null && key !== null ? { cert, key } : settings.api.tls,
              rate: rate === null ? settings.api.rate : parseInteger("--rate", rate, 1, 999_999),
            },
            access_log: options["accessLog"] === true,
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
