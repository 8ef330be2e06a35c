// A service's entry as a command of this machine: texts filled in, folders made, its configuration written, its hook asked.
// Starts nothing.

import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { PipelineError } from "../../contract/errors.ts";
import type { ProcessUser } from "../../ground/process.ts";
import { addressIn, type Settings } from "../../settings/settings.ts";
import { configurationText, javaArgs } from "../command.ts";
import type { Artifact } from "../entry.ts";
import { type Fill, filler } from "../fill.ts";
import type { Hook, LocalService } from "./hook.ts";
import { fileUrl } from "./path.ts";

/** A command to run; its log and mark are added by the caller, and its folder unless it has one. */
export interface Command {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Where it runs, if not in its service's folder. */
  readonly cwd?: string;
  /** Whom it runs as, if not as we do. */
  readonly user?: ProcessUser;
}

/** Names of files are UTF-8 whatever the locale: under the C locale a JVM writes question marks for every other letter. */
export const UTF8 = { LC_ALL: "C.UTF-8" } as const;

/** Where set-up leaves the jars of a module. */
export const moduleFolder = (root: string, module: string) => join(root, "target", "engines", module);

/** Fills an entry's texts for this machine. */
export function fillOf({ settings, service, dir }: LocalService): Fill {
  const { root, host, pythonPath } = settings;
  const below = (base: string, names: Readonly<Record<string, string>>, name: string | null) => {
    const path = name === null ? undefined : names[name];
    return path === undefined ? undefined : join(base, path);
  };
  const url = (path: string | undefined) => (path === undefined ? undefined : fileUrl(path));
  return filler((name, argument) => {
    switch (name) {
      case "host":
        return host;
      case "port":
        return (settings.ports as Readonly<Record<string, number>>)[argument ?? ""];
      case "url":
        return addressIn(settings, argument ?? "");
      case "dir":
        return dir;
      case "keeps":
        return below(dir, service.keeps, argument);
      case "keeps_url":
        return url(below(dir, service.keeps, argument));
      case "reads":
        return below(root, service.reads, argument);
      case "reads_url":
        return url(below(root, service.reads, argument));
      case "artifact":
        return service.artifact.from === "maven" ? moduleFolder(root, service.artifact.module) : undefined;
      case "python":
        return pythonPath;
      case "memory":
        return service.memory[argument ?? ""];
      case "offers":
        return service.offers?.[argument ?? ""];
      default:
        return undefined;
    }
  });
}

/** Programs that entries name; anything else is a command as it stands. */
function programIn({ javaPath, pythonPath, mlflowPythonPath }: Settings, program: string): string {
  switch (program) {
    case "java":
      return javaPath;
    case "mlflow-python":
      return mlflowPythonPath;
    case "ray":
      return join(dirname(pythonPath), "ray");
    default:
      return program;
  }
}

/** The jar by which an artifact of Maven is known to be installed; null for other artifacts. Errors: `config_invalid`. */
function installedJar(root: string, artifact: Artifact, title: string): string | null {
  if (artifact.from !== "maven") return null;
  const folder = moduleFolder(root, artifact.module);
  const [start, end] = artifact.jar;
  try {
    const jar = readdirSync(folder).find((name) => name.startsWith(start) && name.endsWith(end));
    if (jar !== undefined) return join(folder, jar);
  } catch {
    // No such folder: said below.
  }
  throw new PipelineError("config_invalid", `Cannot find ${title} in "${folder}": run "make setup"`);
}

/**
 * Makes folders and files below `dir` and says what to run there.
 * Errors: `config_invalid` for what is not installed or cannot be made.
 */
export async function prepare(place: LocalService, hook: Hook | undefined): Promise<Command> {
  const { settings, service, dir } = place;
  const { run, configuration } = service;
  const jar = installedJar(settings.root, service.artifact, service.title);
  const fill = fillOf(place);
  const command: Command = {
    command: programIn(settings, run.program),
    args: [...(run.java ? javaArgs(run.java, service, fill, jar) : []), ...run.args.map(fill)],
    env: Object.fromEntries(Object.entries(run.env).map(([name, value]) => [name, fill(value)])),
  };
  for (const folder of [".", ...service.folders]) mkdirSync(join(dir, folder), { recursive: true });
  if (configuration)
    writeFileSync(join(dir, configuration.file), configurationText(settings.root, configuration, fill));
  return hook?.prepare ? hook.prepare(place, command) : command;
}
