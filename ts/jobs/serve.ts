// serve: the HTTP API and the page of a namespace, one for all its pipelines. It finds out by itself which are applied.

import { settingsPath } from "../settings/settings.ts";
import { processOf } from "./plan/process.ts";
import type { JobType, Setting } from "./plan/type.ts";

export const serve: JobType = {
  name: "serve",
  engine: "process",
  kind: "process",
  summary: "the HTTP API and the page, one for all pipelines of a namespace",
  module: null,
  needs: ["serve"],
  reads: ["predictions", "verifications", "features", "rejects", "progress"],
  writes: ["http"],
  standard: true,
  plan: (setting) => planServe(setting),
};

/** The same whichever pipeline asks for it: a second submit leaves what runs alone. */
export function planServe({ settings }: Pick<Setting, "settings">) {
  const { host, published = null, hosts, origins, tls, rate } = settings.api;
  const words = [
    ...["serve", "--port", String(settings.ports.api), "--settings", settingsPath(settings)],
    // Said here, so that another choice is another process. None of these is a secret.
    ...(host === null ? [] : ["--host", host]),
    ...(published === null ? [] : ["--published", published]),
    ...hosts.flatMap((name) => ["--allow-host", name]),
    ...origins.flatMap((origin) => ["--allow-origin", origin]),
    ...(tls === null ? [] : ["--tls-cert", tls.cert, "--tls-key", tls.key]),
    ...(rate === null ? [] : ["--rate", String(rate)]),
  ];
  return processOf(settings, "serve", "", [...words, "--pipeline", settings.apiPipeline], {
    stop_ms: 10_000,
    finite: false,
  });
}
