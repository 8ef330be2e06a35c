// `millrace alerts`: tells people of anomalies until Ctrl-C. Also the command of the process job `<pipeline>-alerts`, which then says
// every few seconds how it fares, as every job does.

import { Command } from "commander";
import { Alerts } from "../../alerts/alerts.ts";
import { webhook } from "../../alerts/deliver.ts";
import { connectKafka } from "../../kafka/client.ts";
import { connectRegistry } from "../../kafka/registry.ts";
import { namesOf, pipelineOf } from "../../pipelines/index.ts";
import { requirePart } from "../../pipelines/parts.ts";
import { resolveSecrets } from "../../settings/secrets.ts";
import type { Settings } from "../../settings/settings.ts";
import { submissionIn, whileReporting } from "../heartbeat.ts";
import { interruptible } from "../interrupt.ts";

export function alertsCommand(settingsOf: (command: Command) => Settings): Command {
  return new Command("alerts")
    .description("Tell the targets of a pipeline of its anomalies until Ctrl-C")
    .addHelpText(
      "after",
      "\nWho is told of what says `alerts` in the pipeline's definition; the URLs are secrets (docs/alerts.md).\n\nExample:\n  MILLRACE_SECRETS=~/secrets.json millrace alerts --pipeline weather",
    )
    .action(async (_options: object, command: Command) => {
      const settings = settingsOf(command);
      const { pipeline, contract } = pipelineOf(settings.pipeline);
      const names = namesOf(pipeline, settings.namespace);
      const targets = requirePart(pipeline, "alerts").map((target) => ({
        ...target,
        send: webhook(target, urlOf(target.name, target.url, settings.kafka.secrets_path)),
      }));
      const kafka = connectKafka(settings.kafka, { client_id: `${names.prefix}${names.job("alerts")}` });
      const registry = connectRegistry(settings.registryUrl);
      const log = (line: string) => process.stderr.write(`${new Date().toISOString()} ${line}\n`);
      const alerts = new Alerts({ names, contract, targets, kafka, registry, log });
      const submission = submissionIn(process.env["ENGINE_RUN"]);
      const state = () => {
        const { message, ...counters } = alerts.state();
        return { message, counters };
      };
      const reporting = { job: "alerts", submission, state, kafka, registry, names, contract, log };
      try {
        await interruptible((signal) => whileReporting(reporting, () => alerts.run(signal)));
      } finally {
        await kafka.close();
      }
    });
}

/** Errors: `config_invalid` for a secret that is missing, naming it and never its value. */
function urlOf(target: string, url: string, secrets_path: string | null): string {
  return resolveSecrets({ properties: { url }, secrets_path }, `alert target "${target}"`).get("url")!;
}
