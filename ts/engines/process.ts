// Runs jobs as processes of this machine that outlive us: sources and servers. Each carries its submission in its
// environment, which is how it is found again; a small shell around it writes down how it ended.
// Linux only (reads /proc). Restarts nothing.

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { alive, type Identity } from "../ground/identity.ts";
import { end, launchProcess, members } from "../ground/process.ts";
import { until } from "../ground/until.ts";
import { ended, type JobHandle, type JobRunner, type JobStatus, lastLines } from "./job.ts";
import { wrongEngine } from "./spark.ts";

export interface ProcessPlace {
  /** Folder of logs and exit notes. */
  readonly folder: string;
  /** Working folder of the processes. */
  readonly cwd: string;
}

// `$!` and wait, not a plain call: a shell that waits in the foreground passes no signal on, and it must live on to
// write the exit code. The note is written beside and renamed, so that nobody reads half of it.
const WRAPPER = `note="$0"; "$@" & child=$!
trap 'kill -TERM $child 2>/dev/null' TERM INT
wait $child; code=$?
while kill -0 $child 2>/dev/null; do wait $child; code=$?; done
echo $code > "$note.new" && mv "$note.new" "$note"`;

/**
 * A program of ours reads from Kafka in buffers of many sizes, which glibc would keep in as many heaps as there are threads. Larger than
 * this, in bytes, each gets pages of its own, and gives them back. Source: mallopt(3).
 */
const FRUGAL = { MALLOC_ARENA_MAX: "2", MALLOC_MMAP_THRESHOLD_: "131072", MALLOC_TRIM_THRESHOLD_: "131072" };
/** An exec takes milliseconds; on a machine that swaps, seconds. */
const MARK_MS = 5_000;

const SIGKILL_CODE = 128 + 9;

/** How a process ended, from its exit note. */
export function processStatus(note: string): JobStatus {
  const word = note.trim();
  if (word === "stopped") return { state: "stopped" };
  const code = Number(word);
  if (word === "" || !Number.isInteger(code))
    return { state: "failed", reason: `its exit note says "${word}"` };
  if (code === 0) return { state: "succeeded" };
  return {
    state: "failed",
    reason: code === SIGKILL_CODE ? "it was killed (SIGKILL)" : `it ended with exit code ${code}`,
  };
}

const ticks = ({ start }: Identity) => Number(start.split(" ").at(-1));

// Ends with a semicolon so that a submission never marks another one whose name it begins.
const markOf = (submission: string) => `job=${submission};`;

export function processRunner({ folder, cwd }: ProcessPlace): JobRunner {
  const logPath = (submission: string) => join(folder, `${submission}.log`);
  const notePath = (submission: string) => join(folder, `${submission}.exit`);

  const identityOf = (handle: JobHandle): Identity => {
    const [pid, ...start] = handle.id.split(" ");
    return { pid: Number(pid), start: start.join(" ") };
  };

  function find(submission: string): JobHandle | null {
    const group = members({ pid: -1, mark: markOf(submission) });
    if (group.length === 0) return null;
    // The wrapper has the lowest start; pids may wrap around, ticks do not.
    const first = group.reduce((a, b) =>
      ticks(b) < ticks(a) || (ticks(b) === ticks(a) && b.pid < a.pid) ? b : a,
    );
    return { id: `${first.pid} ${first.start}`, submission, params_path: "" };
  }

  function status(handle: JobHandle): JobStatus {
    if (alive(identityOf(handle))) return { state: "running" };
    const note = notePath(handle.submission);
    if (existsSync(note)) return processStatus(readFileSync(note, "utf8"));
    // Its wrapper is gone without a note; what it started may live on and must not get a twin.
    if (find(handle.submission)) return { state: "running" };
    return existsSync(logPath(handle.submission))
      ? { state: "failed", reason: "it ended without an exit note (killed with its wrapper)" }
      : { state: "unknown", reason: `no process of submission ${handle.submission} was started here` };
  }

  return {
    engine: "process",
    address: folder,

    async submit({ name, submission, params_path, launch: how }) {
      if (how.engine !== "process") throw wrongEngine(name, how.engine);
      if (existsSync(logPath(submission)))
        throw new Error(`submission "${submission}" was used before in "${folder}"`);
      mkdirSync(folder, { recursive: true });
      const { pid, start } = launchProcess({
        command: "/bin/sh",
        args: ["-c", WRAPPER, notePath(submission), how.command, ...how.arguments],
        env: FRUGAL,
        cwd,
        log: logPath(submission),
        mark: markOf(submission),
      });
      // Between fork and exec it does not carry its mark yet, and a stop at once would find nobody to end.
      await until(() => ({ done: find(submission) !== null || !alive({ pid, start }), seen: null }), {
        deadline_ms: MARK_MS,
        interval_ms: 5,
      });
      return { id: `${pid} ${start}`, submission, params_path };
    },

    async find(submission) {
      return find(submission);
    },

    async list() {
      if (!existsSync(folder)) return [];
      return readdirSync(folder)
        .filter((file) => file.endsWith(".log"))
        .flatMap((file) => {
          const handle = find(file.slice(0, -".log".length));
          return handle ? [{ handle, status: status(handle) }] : [];
        });
    },

    async status(handle) {
      return status(handle);
    },

    async stop(handle, { deadline_ms }) {
      if (ended(status(handle))) return;
      await end(
        handle.submission,
        { pid: identityOf(handle).pid, mark: markOf(handle.submission) },
        { deadline_ms },
      );
      writeFileSync(notePath(handle.submission), "stopped\n");
    },

    async logs({ submission }, { tail }) {
      const path = logPath(submission);
      return existsSync(path) ? lastLines(readFileSync(path, "utf8"), tail) : "";
    },
  };
}
