// Ends all of Millrace that is not an engine: supervisors first, so that nothing is started again, then the jobs they kept
// running. For `down` and for a demo that is interrupted; knows only what was written down below the home folder.

import { explain, PipelineError } from "../contract/index.ts";
import { ended } from "../engines/job.ts";
import { runnersOf } from "../engines/runners.ts";
import { alive, type Identity } from "../ground/identity.ts";
import { until } from "../ground/until.ts";
import type { NamespaceSettings } from "../settings/settings.ts";
import { changeDesired } from "./desired.ts";
import { namespacesOf } from "./namespace.ts";
import { readRecords, supervisorOf, writeRecords } from "./run.ts";

export interface StopReport {
  readonly namespace: string;
  /** Submissions that were ended. */
  readonly jobs: readonly string[];
  /** What could not be ended, and why. */
  readonly problems: readonly string[];
}

/** A supervisor ends between two looks; one that waits for a stop of its own may take longer. */
const SUPERVISOR_MS = 5_000;

/** Ends supervisors and jobs of all namespaces below a home folder and empties their desired state. */
export async function stopEverything(
  home: string,
  log: (line: string) => void = () => {},
): Promise<StopReport[]> {
  const stopped: StopReport[] = [];
  for (const settings of namespacesOf(home)) stopped.push(await stopNamespace(settings, log));
  return stopped;
}

/** The same for one namespace. Engines that do not answer are reported, not waited for. */
export async function stopNamespace(
  settings: NamespaceSettings,
  log: (line: string) => void = () => {},
): Promise<StopReport> {
  await changeDesired(settings, () => ({}));
  const supervisor = supervisorOf(settings);
  if (supervisor) await endSupervisor(supervisor, settings);
  const runners = runnersOf(settings);
  const records = readRecords(settings);
  const jobs: string[] = [];
  const problems: string[] = [];
  const left = Object.values(records).flatMap(({ submission }) => submission ?? []);
  await Promise.all(
    left.map(async ({ submission, engine, handle: known, stop_ms }) => {
      try {
        // A supervisor that ended in the middle of a submission does not know whether the engine took it.
        const handle = known ?? (await runners[engine].find(submission));
        if (!handle || ended(await runners[engine].status(handle))) return;
        await runners[engine].stop(handle, { deadline_ms: stop_ms });
        jobs.push(handle.submission);
        log(`stopped ${handle.submission}`);
      } catch (error) {
        problems.push(explain(error));
        log(explain(error));
      }
    }),
  );
  // Engines about to go down take their jobs with them; what could not be reached is not to be adopted later.
  writeRecords(
    settings,
    Object.fromEntries(
      Object.entries(records).map(([job, record]) => [
        job,
        { ...record, submission: null, failures: [], gave_up: null },
      ]),
    ),
  );
  return { namespace: settings.namespace, jobs: jobs.sort(), problems };
}

async function endSupervisor(supervisor: Identity, settings: NamespaceSettings): Promise<void> {
  process.kill(supervisor.pid, "SIGTERM");
  const gone = () => ({ done: !alive(supervisor), seen: null });
  if ((await until(gone, { deadline_ms: SUPERVISOR_MS })).done) return;
  if (alive(supervisor)) process.kill(supervisor.pid, "SIGKILL");
  if (!(await until(gone, { deadline_ms: SUPERVISOR_MS })).done)
    throw new PipelineError(
      "job_timed_out",
      `Cannot stop the supervisor of namespace "${settings.namespace}": expected process ${supervisor.pid} to end, it lives`,
    );
}
