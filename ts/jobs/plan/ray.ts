// How a job is launched on Ray: the folder that travels and the module in it.

import { HEARTBEAT_MS, namesIn, STOP_MS } from "./params.ts";
import type { Planned, Setting } from "./type.ts";

export function onRay(
  setting: Setting,
  job: string,
  kind: "stream" | "batch",
  params: Readonly<Record<string, unknown>>,
): Planned {
  const { pipeline, code, folders } = setting;
  return {
    name: namesIn(setting).job(job),
    pipeline: pipeline.name,
    launch: {
      engine: "ray",
      entrypoint: `ray_jobs.generated.${pipeline.name}_${job}`,
      code: folders.ray,
    },
    params,
    code: code.ray,
    heartbeat_ms: kind === "stream" ? HEARTBEAT_MS : null,
    stop_ms: STOP_MS,
    finite: kind === "batch",
    restarts: kind === "stream",
  };
}
