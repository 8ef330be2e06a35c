// The API's description without a server: of the pipelines it would serve, from their contracts alone. For the generator of the client.

import { Since } from "./alerts.ts";
import { createApp, documentOf } from "./app.ts";
import type { Domain } from "./domain.ts";
import type { AppEffects } from "./effects.ts";
import { Flow } from "./flow.ts";
import { JobProgress } from "./jobs.ts";
import { Latest } from "./latest.ts";
import { Metrics } from "./metrics.ts";
import type { ServedContract } from "./records.ts";
import { storeWhenAsked } from "./store.ts";
import { Stream } from "./stream.ts";
import { Verified } from "./verified.ts";

function unasked(): never {
  throw new TypeError("A description asks nobody");
}

/** The OpenAPI document; the first contract is the default pipeline's. */
export function describe(
  served: readonly { readonly contract: ServedContract; readonly domain: Domain | null }[],
  { version, confidence }: Pick<AppEffects, "version" | "confidence">,
): Readonly<Record<string, unknown>> {
  const clock = { nowMs: () => 0 };
  const effects: AppEffects = {
    pipelines: served.map(({ contract, domain }) => ({
      contract,
      domain,
      lines: null,
      latest: new Latest({ trail_ms: 0, silent_ms: 0 }),
      verified: new Verified(contract),
      flow: new Flow(clock),
      store: storeWhenAsked(unasked),
      needed_jobs: [],
      feed: unasked,
    })),
    version,
    confidence,
    arm: "",
    progress: new JobProgress(),
    metrics: new Metrics(),
    stream: new Stream({ kafka: { read: unasked }, arm: "", clock }),
    since: new Since(),
    guard: {
      loopback: true,
      hosts: [],
      origins: [],
      keys: null,
      rate: null,
      tls: false,
      clock,
      access: null,
    },
    clock,
    jobs: unasked,
    engines: unasked,
    lags: unasked,
    models: unasked,
    links: [],
    processes: unasked,
    web: { shell: null as never, asset: unasked },
    // A domain's routes that cannot be described are no description without them.
    log: (error) => {
      throw error;
    },
  };
  return documentOf(createApp(effects), effects);
}
