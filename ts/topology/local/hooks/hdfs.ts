// HDFS on one machine: formats once and never again. Whoever has blocks without names is told, not given new ones.

import { existsSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { PipelineError } from "../../../contract/errors.ts";
import { enginesDir, onOurHdfs } from "../../../settings/settings.ts";
import type { Hook, LocalService } from "../hook.ts";
import { fileUrl } from "../path.ts";
import { type Command, UTF8 } from "../prepare.ts";

const FORMAT_MS = 120_000;

/**
 * The DataNode makes a URL of its folder and a format of that: a blank is %20, and Hadoop 3.4.1 fails with
 * UnknownFormatConversionException. Said before anything is started.
 */
function refuseOddFolder(dir: string): void {
  if (fileUrl(dir).includes("%"))
    throw new PipelineError(
      "config_invalid",
      `Cannot keep HDFS in "${dir}": expected a folder whose URL needs no %, got "${fileUrl(dir)}"; set MILLRACE_HOME to one of plain letters, digits and . _ - + @ ( ) & ~`,
    );
}

/** Makes an empty file system in a folder of its own and moves it into place, so that one cut short is never taken for a whole one. */
async function format({ settings, dir }: LocalService, names: string, command: Command): Promise<void> {
  const blocks = join(enginesDir(settings), "hdfs-datanode", "blocks");
  if (existsSync(blocks))
    throw new PipelineError(
      "config_invalid",
      `Cannot format HDFS in "${names}": expected no blocks, "${blocks}" holds some; bring "${names}" back, or remove both folders to begin without what they held`,
    );
  const fresh = `${names}.new`;
  rmSync(fresh, { recursive: true, force: true });
  const args = command.args.map((arg) => arg.replace(`=${fileUrl(names)}`, `=${fileUrl(fresh)}`));
  const done = await execa(command.command, [...args, "-format", "-nonInteractive"], {
    reject: false,
    all: true,
    timeout: FORMAT_MS,
    cwd: dir,
    env: UTF8,
  });
  if (done.failed)
    throw new PipelineError("config_invalid", `Cannot format HDFS in "${fresh}"`, {
      cause: new Error((done.all || done.shortMessage || "").trimEnd().split("\n").slice(-12).join("\n")),
    });
  renameSync(fresh, names);
}

export const dataNode: Hook = {
  prepare({ dir }, command) {
    refuseOddFolder(dir);
    return command;
  },
  wanted: onOurHdfs,
};

export const nameNode: Hook = {
  async prepare(place, command) {
    refuseOddFolder(place.dir);
    const names = join(place.dir, place.service.keeps["names"]!);
    if (!existsSync(names)) await format(place, names, command);
    return command;
  },
  wanted: onOurHdfs,
};
