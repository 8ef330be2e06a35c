// GET /models: the versions of each pipeline's model that the registry has, and which one serves.

import type { AppEffects } from "../effects.ts";
import { iso } from "../forecast.ts";
import { defineRoute } from "../route.ts";
import { flag, list, nullable, text, time, z } from "../schema.ts";

const Model = z
  .object({
    pipeline: text("The pipeline it forecasts for."),
    model: text("Its name in the registry."),
    version: text("Version in the registry."),
    aliases: list(z.string(), "What points to it; `champion` is the one that serves."),
    serves: flag("Whether it is the champion."),
    created: time("When it was registered, wall time."),
    parent: nullable(text("The version it was trained to replace.")),
    digest: nullable(text("SHA-256 over its heads.")),
    contract_fingerprint: nullable(text("The contract it was trained on.")),
    url: text("Its page at the registry."),
  })
  .openapi("Model");

const Models = z
  .object({
    at: time("When this was answered, wall time."),
    models: list(Model, "Newest first, by pipeline."),
  })
  .openapi("Models");

export function modelsRoute({ models, clock }: AppEffects) {
  return defineRoute({
    name: "models",
    needs: ["forecast"],
    path: "/models",
    tag: "operation",
    summary: "Versions of the models, and which one serves",
    description: "As the registry of models says; 502 or 503 while it is away. Forecasts do not need it.",
    schema: Models,
    answer: async () => ({
      body: {
        at: iso(clock.nowMs()),
        models: (await models()).map(({ created_ms, ...model }) => ({
          ...model,
          serves: model.aliases.includes("champion"),
          created: iso(created_ms),
        })),
      },
    }),
  });
}
