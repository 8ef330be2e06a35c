// Starts, watches and stops the engines of one machine as plain processes. `up` and `down` are idempotent; what was
// started is written down below <home>/engines. Jobs are not its business: the supervisor ends them before `down`.

import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ErrorCode } from "../../contract/errors.ts";
import { PipelineError } from "../../contract/errors.ts";
import { alive } from "../../ground/identity.ts";
import { until } from "../../ground/until.ts";
import {
  type Cluster,
  enginesDir,
  OPTIONAL,
  type Optional,
  type Overrides,
  onOurHdfs,
  PORT_SETTING,
  type Settings,
  settingsOf,
} from "../../engines/settings.ts";
import { type Engine, type EngineName, UTF8 } from "./engine.ts";
import { dataNode, nameNode } from "./hdfs.ts";
import { kafka } from "./kafka.ts";
import { mlflow } from "./mlflow.ts";
import { free, freePorts, holder } from "./port.ts";
import { end, launch, members } from "../../ground/process.ts";
import { ray } from "./ray.ts";
import { dropRecord, locked, readRecord, type Started, writeRecord, writeSettings } from "./record.ts";
import { registry } from "./registry.ts";
import { forgetDrivers, sparkMaster, sparkWorker } from "./spark.ts";

export type { EngineName } from "./engine.ts";
export { freePorts } from "./port.ts";
export { startedSettings } from "./record.ts";

const ENGINES: readonly Engine[] = [
  kafka,
  registry,
  sparkMaster,
  sparkWorker,
  ray,
  mlflow,
  nameNode,
  dataNode,
];

/** What each cluster's silence is called. */
export const UNREACHABLE: Readonly<Record<Cluster, ErrorCode>> = {
  kafka: "kafka_unreachable",
  registry: "registry_unreachable",
  spark: "spark_unreachable",
  ray: "ray_unreachable",
  mlflow: "store_unreachable",
  hdfs: "store_unreachable",
};

export interface EngineEvent {
  readonly engine: EngineName;
  readonly state: "starting" | "ready" | "already running" | "failed" | "stopping" | "stopped";
  readonly elapsed_ms: number;
  readonly address: string;
}

export interface Effects {
  readonly on?: (event: EngineEvent) => void;
  /** Optional clusters that `up` starts as well; those that were started before and not stopped come back without it. */
  readonly with?: readonly Optional[];
  /** Aborting `up` stops what this call has started. */
  readonly signal?: AbortSignal;
}

export interface EngineStatus {
  readonly name: EngineName;
  readonly cluster: Cluster;
  /**
   * up: works; unwell: its process lives but does not answer; died: was started and is gone; stopped: not started, or
   * stopped by us; unreachable: given by address and does not answer.
   */
  readonly state: "up" | "unwell" | "died" | "stopped" | "unreachable";
  /** Whether it should work. An optional engine should once it was started, and while an archive's path leads to it. */
  readonly wanted: boolean;
  readonly address: string;
  /** What the last look saw when not up. */
  readonly seen: string | null;
  readonly external: boolean;
  readonly pid: number | null;
  readonly started_ms: number | null;
  readonly log: string | null;
}

const given = (settings: Settings, engine: Engine) => settings.external.includes(engine.cluster);
const optional = ({ cluster }: Engine) => (OPTIONAL as readonly Cluster[]).includes(cluster);
/** Engines that `up` starts: all but those of clusters given by address, and optional ones nobody has asked for. */
const ours = (settings: Settings, asked: readonly Cluster[] = []) =>
  ENGINES.filter(
    (engine) =>
      !given(settings, engine) &&
      (!optional(engine) || asked.includes(engine.cluster) || readRecord(settings, engine.name) !== null),
  );
export const engineNames = (settings: Settings, asked: readonly Optional[] = []): EngineName[] =>
  ours(settings, asked).map(({ name }) => name);
const folder = (settings: Settings, engine: Engine) => join(enginesDir(settings), engine.name);

const SAID: Readonly<Record<EngineStatus["state"], string>> = {
  up: "works",
  unwell: "does not answer",
  died: "has died",
  stopped: "is not running",
  unreachable: "does not answer",
};

/** An engine, its address and its state in words. */
export const saidOf = ({ name, address, state }: Pick<EngineStatus, "name" | "address" | "state">): string =>
  `"${name}" at "${address}" ${SAID[state]}`;

/** Looks at every engine once, or at those of one cluster. */
export async function status(settings: Settings, cluster?: Cluster): Promise<EngineStatus[]> {
  const looked = ENGINES.filter((engine) => cluster === undefined || engine.cluster === cluster);
  return Promise.all(looked.map((engine) => look(settings, engine)));
}

async function look(settings: Settings, engine: Engine): Promise<EngineStatus> {
  const external = given(settings, engine);
  const started = external ? null : readRecord(settings, engine.name);
  const row = {
    name: engine.name,
    cluster: engine.cluster,
    address: engine.address(settings),
    external,
    wanted: !optional(engine) || started !== null || onOurHdfs(settings),
    pid: started?.pid ?? null,
    started_ms: started?.started_ms ?? null,
    log: started?.log ?? null,
  };
  if (!external && !started) return { ...row, state: "stopped", seen: null };
  if (started && !alive(started)) return { ...row, state: "died", seen: `process ${started.pid} is gone` };
  const { done, seen } = await engine.check(settings);
  if (done) return { ...row, state: "up", seen: null };
  return { ...row, state: external ? "unreachable" : "unwell", seen };
}

/** How long a process that lives but does not answer may take to come round before it is started anew: a busy machine is no reason. */
const PATIENCE_MS = 45_000;

/**
 * Starts every engine that is not running and resolves once all work, independent ones side by side.
 * Errors: `config_invalid` for ports in use, all of them in one message, before anything is started; the cluster's
 * `…_unreachable` when one does not come up. Engines that did come up are left running for `down`.
 */
export async function up(settings: Settings, effects: Effects = {}): Promise<EngineStatus[]> {
  await locked(settings, async () => {
    const missing = await clear(settings, effects);
    await claimPorts(settings, missing);
    writeSettings(settings);
    if (missing.includes(sparkMaster) && missing.includes(sparkWorker))
      forgetDrivers(folder(settings, sparkMaster));
    const started: Engine[] = [];
    try {
      await startAll(settings, missing, effects, started);
    } catch (error) {
      if (effects.signal?.aborted)
        for (const engine of started.toReversed()) await stop(settings, engine, effects);
      throw error;
    }
  });
  return status(settings);
}

/** Engines to be started. Ends first what is left of those that died or no longer answer. */
async function clear(settings: Settings, effects: Effects): Promise<Engine[]> {
  const verdicts = await Promise.all(
    ours(settings, effects.with).map(async (engine) => {
      const started = readRecord(settings, engine.name);
      if (!started) return engine;
      if (alive(started)) {
        for (const port of engine.ports)
          if (started.ports[port] !== settings.ports[port])
            throw new PipelineError(
              "config_invalid",
              `Cannot use port ${settings.ports[port]} (${PORT_SETTING[port]}) for engine "${engine.name}": it already runs on port ${started.ports[port]}; run "millrace down" first`,
            );
        if ((await working(settings, engine, started, PATIENCE_MS, effects)).works) {
          tell(effects, engine, settings, "already running", 0);
          return null;
        }
      }
      // Its record stays until another takes its place: it says that the engine is wanted, should this start be refused.
      await end(engine.name, started, { deadline_ms: engine.stop_ms });
      return engine;
    }),
  );
  return verdicts.filter((engine) => engine !== null);
}

async function claimPorts(settings: Settings, engines: readonly Engine[]): Promise<void> {
  const taken = await collisions(settings, engines);
  if (taken.length > 0)
    throw new PipelineError("config_invalid", `Cannot start the engines: ${taken.join("; ")}`, {
      context: { ports: taken },
    });
}

/** One line for each port that an engine could not open: who holds it, and the setting that moves it. */
async function collisions(settings: Settings, engines: readonly Engine[]): Promise<string[]> {
  const claims = engines.flatMap((engine) => engine.ports.map((port) => ({ engine, port })));
  const found: string[] = [];
  for (const { engine, port } of claims) {
    const number = settings.ports[port];
    const twin = claims.find((other) => other.port !== port && settings.ports[other.port] === number);
    if (twin)
      found.push(
        `port ${number} for "${engine.name}" is also that of "${twin.engine.name}", set ${PORT_SETTING[port]} to move it`,
      );
    else if (!(await free(number, settings.host))) {
      const by = holder(number);
      found.push(
        `port ${number} for "${engine.name}" is in use${by === null ? "" : ` by ${by}`}, set ${PORT_SETTING[port]} to move it`,
      );
    }
  }
  return found;
}

/** What stands in the way of the engines that are not running; empty when nothing does. */
export function portsInUse(settings: Settings): Promise<string[]> {
  const idle = ours(settings).filter((engine) => {
    const started = readRecord(settings, engine.name);
    return !started || !alive(started);
  });
  return collisions(settings, idle);
}

async function startAll(
  settings: Settings,
  engines: readonly Engine[],
  effects: Effects,
  started: Engine[],
): Promise<void> {
  const coming = new Map<EngineName, Promise<void>>();
  for (const engine of engines) {
    const first = Promise.all(engine.after.map((name) => coming.get(name)));
    coming.set(
      engine.name,
      first.then(() => start(settings, engine, effects, started)),
    );
  }
  const results = await Promise.allSettled(coming.values());
  const failed = results.find((result) => result.status === "rejected");
  if (failed) throw failed.reason;
}

async function start(settings: Settings, engine: Engine, effects: Effects, all: Engine[]): Promise<void> {
  const begin_ms = performance.now();
  const elapsed = () => performance.now() - begin_ms;
  tell(effects, engine, settings, "starting", 0);
  try {
    effects.signal?.throwIfAborted();
    const dir = folder(settings, engine);
    mkdirSync(dir, { recursive: true });
    const command = await engine.prepare(settings, dir);
    const log = join(enginesDir(settings), "logs", `${engine.name}.log`);
    const mark = `${engine.name}-${crypto.randomUUID()}`;
    const identity = launch({ ...command, env: { ...UTF8, ...command.env }, cwd: dir, log, mark });
    const started: Started = {
      ...identity,
      name: engine.name,
      mark,
      ports: Object.fromEntries(engine.ports.map((port) => [port, settings.ports[port]])),
      log,
      started_ms: Date.now(),
    };
    writeRecord(settings, started);
    all.push(engine);
    await ready(settings, engine, started, effects);
    engine.settle?.(members(started));
    tell(effects, engine, settings, "ready", elapsed());
  } catch (error) {
    tell(effects, engine, settings, "failed", elapsed());
    throw error;
  }
}

/** Looks at a started engine until it works, has ended, or the deadline is over; `seen` is the last look. */
async function working(
  settings: Settings,
  engine: Engine,
  started: Started,
  deadline_ms: number,
  { signal }: Effects,
): Promise<{ readonly works: boolean; readonly ended: boolean; readonly seen: string }> {
  let ended = false;
  const { done, seen } = await until(
    async () => {
      ended = !alive(started);
      return ended ? { done: true, seen: "its process ended" } : engine.check(settings);
    },
    { deadline_ms, signal },
  );
  return { works: done && !ended, ended, seen };
}

async function ready(settings: Settings, engine: Engine, started: Started, effects: Effects): Promise<void> {
  const { works, ended, seen } = await working(settings, engine, started, engine.start_ms, effects);
  if (works) return;
  const wanted = ended ? "a running process" : `a working engine within ${engine.start_ms / 1000} s`;
  throw new PipelineError(
    UNREACHABLE[engine.cluster],
    `Cannot start engine "${engine.name}" at "${engine.address(settings)}": expected ${wanted}, last seen: ${seen} (log: ${started.log})`,
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
 * Resolves to the names of what was stopped.
 */
export async function down(settings: Settings, effects: Effects = {}): Promise<EngineName[]> {
  return locked(settings, async () => {
    const stopped: EngineName[] = [];
    for (const layer of layers()) {
      const known = layer.filter((engine) => readRecord(settings, engine.name));
      await Promise.all(known.map((engine) => stop(settings, engine, effects)));
      stopped.push(...known.map((engine) => engine.name));
    }
    return stopped;
  });
}

/** Engines in the order of stopping. Jobs on Ray and Spark use Kafka, the registry, MLflow and HDFS, so those go last. */
function layers(): Engine[][] {
  return [
    [ray, sparkWorker],
    [sparkMaster, mlflow, registry, dataNode],
    [kafka, nameNode],
  ];
}

async function stop(settings: Settings, engine: Engine, effects: Effects): Promise<void> {
  const started = readRecord(settings, engine.name);
  if (!started) return;
  const begin_ms = performance.now();
  tell(effects, engine, settings, "stopping", 0);
  await end(engine.name, started, { deadline_ms: engine.stop_ms });
  dropRecord(settings, engine.name);
  tell(effects, engine, settings, "stopped", performance.now() - begin_ms);
}

function tell(
  { on }: Effects,
  engine: Engine,
  settings: Settings,
  state: EngineEvent["state"],
  elapsed_ms: number,
): void {
  on?.({ engine: engine.name, state, elapsed_ms: Math.round(elapsed_ms), address: engine.address(settings) });
}

/** A private set of engines for tests, on free ports unless given. Stops what came up if one does not. */
export async function startEngines(
  { root, ...overrides }: { readonly root: string; readonly home: string } & Overrides,
  effects: Effects = {},
): Promise<Settings> {
  const settings = settingsOf(root, { ...overrides, ports: overrides.ports ?? (await freePorts()) });
  try {
    await up(settings, effects);
  } catch (error) {
    await down(settings);
    throw error;
  }
  return settings;
}
