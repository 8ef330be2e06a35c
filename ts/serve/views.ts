// The supervisor's files as rows for /jobs: what should run beside what was last seen to run. Pure; reads no file and
// asks no engine, so /jobs is as fresh as the supervisor's last look.

import type { Desired } from "../supervise/desired.ts";
import type { Records } from "../supervise/supervisor.ts";
import type { JobView } from "./jobs.ts";

/** Every job that is wanted or was ever started, by name. */
export function viewsOf(desired: Desired, records: Records): JobView[] {
  const names = [...new Set([...Object.keys(desired), ...Object.keys(records)])].sort();
  return names.map((name): JobView => {
    const [want, record] = [desired[name], records[name]];
    const status = record?.status ?? null;
    const reason =
      record?.gave_up ?? (status && "reason" in status ? status.reason : (record?.last?.reason ?? null));
    return {
      name,
      engine: record?.engine ?? want?.launch.engine ?? "unknown",
      desired: want !== undefined,
      state: status?.state ?? (record?.submission ? "unknown" : "stopped"),
      reason: status?.state === "running" ? null : reason,
      submission: record?.submission?.submission ?? null,
      restarts: record?.restarts ?? null,
      gave_up: record?.gave_up != null,
    };
  });
}
