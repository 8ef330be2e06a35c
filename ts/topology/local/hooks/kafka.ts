// Formats Kafka's storage before its first start, and never again.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { PipelineError } from "../../../contract/errors.ts";
import type { Hook } from "../hook.ts";
import { UTF8 } from "../prepare.ts";

const FORMAT_MS = 60_000;

export const kafka: Hook = {
  async prepare({ service, dir }, command) {
    const data = join(dir, service.keeps["log"]!);
    if (existsSync(join(data, "meta.properties"))) return command;
    const id = crypto.randomUUID().replaceAll("-", "").slice(0, 22);
    const main = command.args.indexOf(service.run.java?.main?.name ?? "");
    const [java, configuration] = [command.args.slice(0, main), command.args.slice(main + 1)];
    const format = await execa(
      command.command,
      [...java, "kafka.tools.StorageTool", "format", "-t", id, "-c", ...configuration],
      { reject: false, all: true, timeout: FORMAT_MS, cwd: dir, env: UTF8 },
    );
    if (format.failed)
      throw new PipelineError("config_invalid", `Cannot format Kafka's storage in "${data}"`, {
        cause: new Error(format.all || format.shortMessage),
      });
    return command;
  },
};
