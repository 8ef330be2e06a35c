// Starts jobs through Spark's standalone REST API (:6066) and follows each driver to its end state.
// Sits between supervise/ and one Spark master. Three places are read because none tells all: the REST API knows a driver's
// state, the master's /json/ knows whether its application got cores, the worker's log page which driver is which
// submission. Does not know what any job computes.

import { writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { PipelineError } from "../contract/errors.ts";
import { type Exchange, type Http, httpOf, isUncertain, parseReply } from "../ground/http.ts";
import { change, ONCE, type Pace } from "../ground/repeat.ts";
import { until } from "../ground/until.ts";
import { type DriverNotes, notesInMemory } from "./drivers.ts";
import {
  ended,
  type JobHandle,
  type JobRunner,
  type JobSpec,
  type JobStatus,
  lastLines,
  stopMarker,
} from "./job.ts";

export interface SparkAddress {
  /** `spark://host:7077`, as the driver reaches it. */
  readonly sparkMasterUrl: string;
  /** `http://host:6066`. */
  readonly sparkRestUrl: string;
  /** `http://host:8080`, the master's page. */
  readonly sparkUiUrl: string;
  /** Folder of the connector jars, on every worker. */
  readonly sparkJars: string;
  /** Properties file of every application, on every worker; null for the cluster's own. */
  readonly sparkDefaults: string | null;
  /** Python of the jobs, on every worker. */
  readonly pythonPath: string;
}

/** Spark's words for a driver. Source: spark `deploy/master/DriverState.scala`, 4.0.4. */
export const DRIVER_STATES = [
  "SUBMITTED",
  "RUNNING",
  "FINISHED",
  "RELAUNCHING",
  "UNKNOWN",
  "KILLED",
  "FAILED",
  "ERROR",
] as const;
export type DriverState = (typeof DRIVER_STATES)[number];

/** A driver's state in our words; `cores` is what the master gave its application, null when it has none yet. */
export function sparkStatus(driver: DriverState, cores: number | null, message: string | null): JobStatus {
  switch (driver) {
    case "SUBMITTED":
      return { state: "waiting", reason: "no worker has room for the driver yet" };
    case "RELAUNCHING":
      // Alive: the master starts it again on another worker.
      return { state: "waiting", reason: "the master relaunches the driver" };
    case "RUNNING":
      // Without --master in appArgs a job runs local[*] inside its driver and says RUNNING all the same.
      return cores !== null && cores > 0
        ? { state: "running" }
        : { state: "waiting", reason: "the driver runs, its application has no cores yet" };
    case "UNKNOWN":
      // The master recovers and waits for the driver's worker to come back.
      return { state: "waiting", reason: "the master has lost sight of the driver's worker" };
    case "FINISHED":
      return { state: "succeeded" };
    case "KILLED":
      return { state: "stopped" };
    case "FAILED":
      return { state: "failed", reason: message ?? "the driver ended with an error" };
    case "ERROR":
      return { state: "failed", reason: message ?? "the driver could not be run" };
  }
}

function driverState(word: string | undefined, url: string): DriverState {
  const state = DRIVER_STATES.find((s) => s === word);
  if (state) return state;
  throw new PipelineError(
    "spark_rejected",
    `Cannot read the state of a driver from "${url}": expected one of ${DRIVER_STATES.join(", ")}, got "${word}"`,
  );
}

/** Source: spark `deploy/rest/SubmitRestProtocolResponse.scala`. */
interface RestReply {
  readonly success?: boolean;
  readonly submissionId?: string;
  readonly driverState?: string;
  readonly message?: string;
}

/** What is read of the master's page. Source: spark `deploy/JsonProtocol.scala`. */
interface MasterState {
  readonly workers: readonly { readonly id: string; readonly webuiaddress: string; readonly state: string }[];
  readonly activeapps: readonly { readonly name: string; readonly cores: number; readonly state: string }[];
  readonly activedrivers: readonly DriverInfo[];
  readonly completeddrivers: readonly DriverInfo[];
}

interface DriverInfo {
  readonly id: string;
  readonly state: string;
  /** Worker id, or the word None. */
  readonly worker: string;
}

interface Named {
  readonly submission: string;
  readonly params_path: string;
}

/**
 * The submission a driver belongs to, read from the first line of its error log: the worker writes the launch command
 * there before it starts the driver. Source: spark `deploy/worker/DriverRunner.scala`, `runCommandWithRetry`.
 */
export function submissionInLog(log: string): Named | null {
  const line = /^Launch Command: (.*)$/m.exec(log)?.[1];
  if (!line) return null;
  const words = [...line.matchAll(/"([^"]*)"/g)].map((m) => m[1]!);
  const at = words.lastIndexOf("--name");
  const submission = at < 0 ? undefined : words[at + 1];
  const params_path = words.at(-1);
  return submission === undefined || params_path === undefined
    ? { submission: "", params_path: "" }
    : { submission, params_path };
}

export interface SparkEffects {
  readonly http?: Http;
  /** Where it is written down which driver is which submission. */
  readonly notes?: DriverNotes;
  /** How a submission whose answer was lost is resolved. */
  readonly pace?: Pace;
  /** How long a driver that has just started may be without a name. */
  readonly name_ms?: number;
}

/** How long a kill may take: the worker gives a driver 10 s (`spark.worker.driverTerminateTimeout`) before SIGKILL. */
const KILL_MS = 30_000;
/** A driver's first log line is there as soon as its worker has made its folder. */
const NAME_MS = 5_000;
const LOG_BYTES = 400_000;
/** A page that is shut behind a firewall answers nothing at all; one that is open has what it shows in memory or on its disk. */
const LOG_MS = 5_000;

export function sparkRunner(address: SparkAddress, effects: SparkEffects = {}): JobRunner {
  const { http = httpOf("spark_unreachable"), notes = notesInMemory(), pace, name_ms = NAME_MS } = effects;
  // For what is looked at again anyway.
  const glance = effects.http ?? httpOf("spark_unreachable", { pace: ONCE });
  const { sparkRestUrl, sparkUiUrl } = address;

  async function rest(
    action: string,
    method: "GET" | "POST",
    path: string,
    more: Pick<Exchange, "body" | "repeatable"> = {},
  ): Promise<RestReply> {
    const url = `${sparkRestUrl}/v1/submissions/${path}`;
    return parseReply<RestReply>(await http({ action, method, url, ...more }), "spark_rejected", action, url);
  }

  async function master(): Promise<MasterState> {
    const url = `${sparkUiUrl}/json/`;
    const action = "read the master's state";
    return parseReply<MasterState>(await http({ action, url }), "spark_rejected", action, url);
  }

  async function status({ id, submission }: JobHandle): Promise<JobStatus> {
    const url = `${sparkRestUrl}/v1/submissions/status/${id}`;
    const reply = await rest(`read the state of job "${submission}"`, "GET", `status/${id}`);
    // An unknown id is HTTP 200 with success false and no state.
    if (reply.success !== true)
      return { state: "unknown", reason: reply.message ?? `the master does not know driver ${id}` };
    const driver = driverState(reply.driverState, url);
    const cores =
      driver === "RUNNING"
        ? ((await master()).activeapps.find((app) => app.name === submission)?.cores ?? null)
        : null;
    return sparkStatus(driver, cores, reply.message ?? null);
  }

  /** Bytes of a driver's log from its worker; null while there is no worker or no file. */
  async function log(
    state: MasterState,
    driver: DriverInfo,
    type: "stdout" | "stderr",
    offset: number | null,
    bytes: number,
    by: Http = http,
  ): Promise<string | null> {
    const worker = state.workers.find((w) => w.id === driver.worker);
    if (!worker) return null;
    const from = offset === null ? "" : `&offset=${offset}`;
    const url = `${worker.webuiaddress}/log/?driverId=${driver.id}&logType=${type}${from}&byteLength=${bytes}`;
    const reply = await by({ action: `read the log of driver "${driver.id}"`, url, limit_ms: LOG_MS });
    // The page opens with "==== Bytes 0-99 of 99 of /path ====".
    const body = /^==== Bytes [^\n]* ====\n?/.exec(reply.text);
    return reply.status === 200 && body ? reply.text.slice(body[0].length) : null;
  }

  // A driver's name never changes: asked once.
  const names = new Map<string, Named>();
  // Drivers whose worker did not show their log in time: others', behind a page that is shut to us. Not waited for again.
  const shut = new Set<string>();

  /** The name in a driver's log; null while its worker has none, or shows none. */
  async function nameOf(state: MasterState, driver: DriverInfo): Promise<Named | null> {
    try {
      const head = await log(state, driver, "stderr", 0, 100_000, glance);
      return head === null ? null : submissionInLog(head);
    } catch (error) {
      // A worker's page may be shut to us while the master is not: nothing that should keep us from our own drivers.
      if (error instanceof PipelineError && error.code === "spark_unreachable") return null;
      throw error;
    }
  }

  /** Drivers that live: ours by what was written down or by their log, and the ids of those that nobody can name. */
  async function live(): Promise<{ readonly handles: JobHandle[]; readonly nameless: readonly string[] }> {
    const { seen } = await until(
      async () => {
        // Read before the master is asked: what is written down later may be of a driver that it did not know yet.
        const written = notes.all();
        const state = await master();
        const active = new Set(state.activedrivers.map(({ id }) => id));
        for (const { id, submission, params_path } of written) {
          if (id === null) continue;
          if (active.has(id)) names.set(id, { submission, params_path });
          else notes.remove(submission);
        }
        const nameless: string[] = [];
        // One that waits for room has no worker and no log: there is nothing to wait for here.
        const coming: string[] = [];
        for (const driver of state.activedrivers) {
          if (names.has(driver.id)) continue;
          const name = await nameOf(state, driver);
          if (name) {
            names.set(driver.id, name);
            continue;
          }
          nameless.push(driver.id);
          if (state.workers.some(({ id }) => id === driver.worker) && !shut.has(driver.id))
            coming.push(driver.id);
        }
        return { done: coming.length === 0, seen: { state, nameless, coming } };
      },
      { deadline_ms: name_ms, interval_ms: 200 },
    );
    for (const id of seen.coming) shut.add(id);
    return {
      handles: seen.state.activedrivers.flatMap(({ id }) => {
        const name = names.get(id);
        return name ? [{ id, ...name }] : [];
      }),
      nameless: seen.nameless,
    };
  }

  /** Null when it is certain that it does not live. Errors: `job_timed_out` while a driver that has no name yet may be it. */
  async function find(submission: string): Promise<JobHandle | null> {
    const { handles, nameless } = await live();
    const handle = handles.find((one) => one.submission === submission);
    const note = notes.all().find((one) => one.submission === submission);
    if (handle) {
      if (note) notes.write({ ...note, id: handle.id });
      return handle;
    }
    // Not asked for from here, or answered: then its driver has a name.
    if (!note || note.id !== null) return null;
    const maybe = nameless.filter((id) => !note.before.includes(id));
    if (maybe.length > 0)
      throw new PipelineError(
        "job_timed_out",
        `Cannot tell whether submission "${submission}" runs at "${sparkUiUrl}": expected a name of driver "${maybe.join('", "')}", it still waits for a worker or its log is shut`,
      );
    notes.remove(submission);
    return null;
  }

  return {
    engine: "spark",
    address: sparkRestUrl,

    async submit({ name, submission, params_path, launch }) {
      if (launch.engine !== "spark") throw wrongEngine(name, launch.engine);
      const action = `submit job "${name}"`;
      // The master takes a name any number of times: look first.
      const { handles, nameless } = await live();
      if ([...handles, ...names.values()].some((driver) => driver.submission === submission))
        throw new PipelineError(
          "spark_rejected",
          `Cannot ${action} to "${sparkRestUrl}": expected a new submission, "${submission}" was used before`,
        );
      const note = { submission, params_path, before: [...handles.map(({ id }) => id), ...nameless] };
      return change({
        pace,
        passes: isUncertain,
        find: () => find(submission),
        make: async () => {
          notes.write({ ...note, id: null });
          const reply = await rest(action, "POST", "create", {
            body: submissionBody({ submission, params_path, launch }, address),
          });
          if (reply.success !== true || !reply.submissionId) {
            notes.remove(submission);
            throw new PipelineError(
              "spark_rejected",
              `Cannot ${action} to "${sparkRestUrl}": expected a submission id, got a refusal`,
              { cause: new Error(reply.message ?? "no message") },
            );
          }
          const { submissionId: id } = reply;
          notes.write({ ...note, id });
          names.set(id, { submission, params_path });
          return { id, submission, params_path };
        },
      });
    },

    find,

    async list() {
      const handles = (await live()).handles.filter((handle) => handle.submission !== "");
      return Promise.all(handles.map(async (handle) => ({ handle, status: await status(handle) })));
    },

    status,

    async stop(handle, { deadline_ms }) {
      const gone = async () => {
        const seen = await status(handle);
        return { done: ended(seen), seen };
      };
      if ((await gone()).done) return;
      if (deadline_ms > 0) {
        writeFileSync(stopMarker(handle.params_path), "");
        if ((await until(gone, { deadline_ms, interval_ms: 250 })).done) return;
      }
      // The kill only asks: the master tells the worker, the worker the process.
      await rest(`stop job "${handle.submission}"`, "POST", `kill/${handle.id}`, {
        repeatable: true,
      });
      const killed = await until(gone, { deadline_ms: KILL_MS, interval_ms: 250 });
      if (!killed.done)
        throw new PipelineError(
          "job_timed_out",
          `Cannot stop job "${handle.submission}" at "${sparkRestUrl}": expected its driver to end, it is ${killed.seen.state}`,
        );
    },

    async logs(handle, { tail }) {
      const state = await master();
      const driver = [...state.activedrivers, ...state.completeddrivers].find(({ id }) => id === handle.id);
      if (!driver) return "";
      const [out, err] = [
        await log(state, driver, "stdout", null, LOG_BYTES),
        await log(state, driver, "stderr", null, LOG_BYTES),
      ];
      return lastLines([err, out].filter((part) => part?.trim()).join("\n"), tail);
    },
  };
}

type SparkLaunch = Extract<JobSpec["launch"], { engine: "spark" }>;

/** The body of a create request; every value is a string. */
export function submissionBody(
  { submission, params_path, launch }: { submission: string; params_path: string; launch: SparkLaunch },
  { sparkMasterUrl, sparkJars, sparkDefaults, pythonPath }: SparkAddress,
): object {
  const jars = `${sparkJars}/*`;
  return {
    action: "CreateSubmissionRequest",
    clientSparkVersion: "4.0.4",
    appResource: "",
    mainClass: "org.apache.spark.deploy.SparkSubmit",
    appArgs: [
      "--master",
      sparkMasterUrl,
      "--deploy-mode",
      "client",
      // Settings that were written down before there was this one lack it.
      ...(sparkDefaults == null ? [] : ["--properties-file", sparkDefaults]),
      // The name is how a driver is found again, so it is the submission's and not the job's.
      "--name",
      submission,
      pathToFileURL(launch.entrypoint).href,
      params_path,
    ],
    sparkProperties: {
      ...launch.properties,
      "spark.app.name": submission,
      "spark.master": sparkMasterUrl,
      "spark.driver.memory": launch.driver_memory,
      "spark.executor.memory": launch.executor_memory,
      "spark.cores.max": String(launch.cores),
      // Not --jars: those would be copied to each executor at each start.
      "spark.driver.extraClassPath": jars,
      "spark.executor.extraClassPath": jars,
      // A driver that dies is started again by the supervisor, which counts; Spark would do it without bound.
      "spark.driver.supervise": "false",
      "spark.pyspark.python": pythonPath,
    },
    environmentVariables: {
      PYSPARK_PYTHON: pythonPath,
      PYSPARK_DRIVER_PYTHON: pythonPath,
      // Of the driver's process: fewer malloc arenas, tens of megabytes less.
      MALLOC_ARENA_MAX: "2",
    },
  };
}

export function wrongEngine(name: string, engine: string): Error {
  return new Error(`job "${name}" for engine ${engine} reached another engine's runner`);
}
