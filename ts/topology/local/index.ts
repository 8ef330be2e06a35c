// Starts and stops the services of one machine as plain processes. `up` and `down` are idempotent; what was started is
// written down below <home>/engines. Jobs are not its business: the supervisor ends them before `down`.

import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PipelineError } from "../../contract/errors.ts";
import { alive } from "../../ground/identity.ts";
import { end, launchProcess, members } from "../../ground/process.ts";
import { until } from "../../ground/until.ts";
import { enginesDir, type Settings } from "../../settings/settings.ts";
import type { Service } from "../entry.ts";
import { checkOrder, startInOrder, stopInOrder } from "../order.ts";
import { collisions, portNumber } from "./claims.ts";
import { checkHealth } from "./health.ts";
import { prepare, UTF8 } from "./prepare.ts";
import { dropRecord, locked, readRecord, type Started, writeEngineSettings, writeRecord } from "./record.ts";
import { type EngineStatus, status } from "./status.ts";
import { addressOf, hookOf, localService, ownServices, TOPOLOGY, type Topology } from "./topology.ts";

export { portsInUse } from "./claims.ts";
export { startedSettings } from "./record.ts";
export { describeService, type EngineStatus, status, UNREACHABLE } from "./status.ts";

export interface EngineEvent {
  readonly engine: string;
  readonly state: "starting" | "ready" | "already running" | "failed" | "stopping" | "stopped";
  readonly elapsed_ms: number;
  readonly address: string;
}

export interface EngineOptions {
  readonly on?: (event: EngineEvent) => void;
  /** Optional clusters that `up` starts as well; those that were started before and not stopped come back without it. */
  readonly with?: readonly string[];
  /** Aborting `up` stops what this call has started. */
  readonly signal?: AbortSignal;
  /** A service that `up` goes on without, and why it could not be started. */
  readonly onForgone?: (service: string, error: unknown) => void;
  readonly topology?: Topology;
}

/** Names of what `up` would start or find running. */
export const engineNames = (settings: Settings, asked: readonly string[] = []): string[] =>
  ownServices(TOPOLOGY, settings, asked).map(({ name }) => name);

/** How long a process that lives but does not answer may take to come round before it is started anew: a busy machine is no reason. */
const PATIENCE_MS = 45_000;

/**
 * Starts every service that is not running and resolves once all work, independent ones side by side.
 * Errors: `config_invalid` for ports in use, all of them in one message, before anything is started; the cluster's
 * `…_unreachable` when one does not come up. Services that did come up are left running for `down`.
 */
export async function up(settings: Settings, effects: EngineOptions = {}): Promise<EngineStatus[]> {
  const { topology = TOPOLOGY } = effects;
  checkOrder(topology.services);
  await locked(settings, async () => {
    const missing = await clear(settings, ownServices(topology, settings, effects.with), effects);
    await claimPorts(settings, missing);
    writeEngineSettings(settings);
    const names = new Set(missing.map(({ name }) => name));
    for (const service of topology.services)
      hookOf(topology, service)?.begin?.(localService(settings, service), names);
    const started: Service[] = [];
    try {
      await startInOrder(missing, (service) => start(settings, service, effects, started));
    } catch (error) {
      if (effects.signal?.aborted) await stopInOrder(started, (service) => stop(settings, service, effects));
      throw error;
    }
  });
  return status(settings, undefined, topology);
}

/** Services to be started. Ends first what is left of those that died or no longer answer. */
async function clear(
  settings: Settings,
  services: readonly Service[],
  effects: EngineOptions,
): Promise<Service[]> {
  const verdicts = await Promise.all(
    services.map(async (service) => {
      const started = readRecord(settings, service.name);
      if (!started) return service;
      if (alive(started)) {
        for (const { name, setting } of service.ports)
          if (started.ports[name] !== portNumber(settings, name))
            throw new PipelineError(
              "config_invalid",
              `Cannot use port ${portNumber(settings, name)} (${setting}) for engine "${service.name}": it already runs on port ${started.ports[name]}; run "millrace down" first`,
            );
        if ((await working(settings, service, started, PATIENCE_MS, effects)).works) {
          tell(effects, service, settings, "already running", 0);
          return null;
        }
      }
      // Its record stays until another takes its place: it says that the service is wanted, should this start be refused.
      await end(service.name, started, { deadline_ms: service.stop_ms });
      return service;
    }),
  );
  return verdicts.filter((service) => service !== null);
}

async function claimPorts(settings: Settings, services: readonly Service[]): Promise<void> {
  const taken = await collisions(settings, services);
  if (taken.length > 0)
    throw new PipelineError("config_invalid", `Cannot start the engines: ${taken.join("; ")}`, {
      context: { ports: taken },
    });
}

async function start(
  settings: Settings,
  service: Service,
  effects: EngineOptions,
  all: Service[],
): Promise<void> {
  const { topology = TOPOLOGY } = effects;
  const begin_ms = performance.now();
  const elapsed = () => performance.now() - begin_ms;
  tell(effects, service, settings, "starting", 0);
  try {
    effects.signal?.throwIfAborted();
    const place = localService(settings, service);
    const hook = hookOf(topology, service);
    mkdirSync(place.dir, { recursive: true });
    const command = await prepare(place, hook);
    const log = join(enginesDir(settings), "logs", `${service.name}.log`);
    const mark = `${service.name}-${crypto.randomUUID()}`;
    const identity = launchProcess({
      cwd: place.dir,
      ...command,
      env: { ...UTF8, ...command.env },
      log,
      mark,
    });
    const started: Started = {
      ...identity,
      name: service.name,
      mark,
      ports: Object.fromEntries(
        service.ports.map(({ name, number }) => [name, portNumber(settings, name) ?? number]),
      ),
      log,
      started_ms: Date.now(),
    };
    writeRecord(settings, started);
    all.push(service);
    await ready(settings, service, started, effects);
    hook?.settle?.(members(started));
    tell(effects, service, settings, "ready", elapsed());
  } catch (error) {
    tell(effects, service, settings, "failed", elapsed());
    if (!service.dispensable || effects.signal?.aborted) throw error;
    await forgo(settings, service, error, effects);
  }
}

/** Goes on without a service. What is left of its start ends, so that a look does not take it for one that will come yet. */
async function forgo(
  settings: Settings,
  service: Service,
  error: unknown,
  { onForgone = () => {} }: EngineOptions,
): Promise<void> {
  const started = readRecord(settings, service.name);
  if (started) {
    await end(service.name, started, { deadline_ms: service.stop_ms });
    dropRecord(settings, service.name);
  }
  onForgone(service.name, error);
}

/** Looks at a started service until it works, has ended, or the deadline is over; `seen` is the last look. */
async function working(
  settings: Settings,
  service: Service,
  started: Started,
  deadline_ms: number,
  { signal }: EngineOptions,
): Promise<{ readonly works: boolean; readonly ended: boolean; readonly seen: string }> {
  let ended = false;
  const { done, seen } = await until(
    async () => {
      ended = !alive(started);
      return ended ? { done: true, seen: "its process ended" } : checkHealth(localService(settings, service));
    },
    { deadline_ms, signal },
  );
  return { works: done && !ended, ended, seen };
}

async function ready(
  settings: Settings,
  service: Service,
  started: Started,
  effects: EngineOptions,
): Promise<void> {
  const { works, ended, seen } = await working(settings, service, started, service.start_ms, effects);
  if (works) return;
  const wanted = ended ? "a running process" : `a working engine within ${service.start_ms / 1000} s`;
  throw new PipelineError(
    service.unreachable,
    `Cannot start engine "${service.name}" at "${addressOf(settings, service)}": expected ${wanted}, last seen: ${seen} (log: ${started.log})`,
    { cause: new Error(`The log ends with:\n${tail(started.log)}`), context: { log: started.log } },
  );
}

/** The last lines of a log: enough for the reason, short enough for a terminal. */
function tail(log: string): string {
  try {
    return readFileSync(log, "utf8").trimEnd().split("\n").slice(-12).join("\n");
  } catch {
    return "";
  }
}

/**
 * Stops what `up` has started in this home, users before what they use, and nothing else.
 * Resolves to the names of what was stopped, in the order in which it had.
 */
export async function down(settings: Settings, effects: EngineOptions = {}): Promise<string[]> {
  const { topology = TOPOLOGY } = effects;
  return locked(settings, async () => {
    const stopped: string[] = [];
    const known = topology.services.filter(({ name }) => readRecord(settings, name) !== null);
    await stopInOrder(known, async (service) => {
      await stop(settings, service, effects);
      stopped.push(service.name);
    });
    return stopped;
  });
}

async function stop(settings: Settings, service: Service, effects: EngineOptions): Promise<void> {
  const started = readRecord(settings, service.name);
  if (!started) return;
  const begin_ms = performance.now();
  tell(effects, service, settings, "stopping", 0);
  await end(service.name, started, { deadline_ms: service.stop_ms });
  dropRecord(settings, service.name);
  tell(effects, service, settings, "stopped", performance.now() - begin_ms);
}

function tell(
  { on }: EngineOptions,
  service: Service,
  settings: Settings,
  state: EngineEvent["state"],
  elapsed_ms: number,
): void {
  on?.({
    engine: service.name,
    state,
    elapsed_ms: Math.round(elapsed_ms),
    address: addressOf(settings, service),
  });
}
