// `millrace doctor`: looks at what the machine must bring, names the version found, and says what to do about what is
// missing. Changes nothing. `make demo` and `make setup` run into the same things later, with worse messages.

import { accessSync, constants, existsSync, mkdirSync, readFileSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { Command } from "commander";
import { execa } from "execa";
import { PipelineError } from "../../contract/errors.ts";
import { onOurHdfs, type Settings } from "../../settings/settings.ts";
import type { Service } from "../../topology/entry.ts";
import { type EngineStatus, portsInUse, status } from "../../topology/local/index.ts";
import { oddCharacters } from "../../topology/local/path.ts";
import { moduleFolder } from "../../topology/local/prepare.ts";
import { SERVICES } from "../../topology/services.ts";

export interface Finding {
  readonly name: string;
  /** ok; warn: works, but not well; missing: something will not work. */
  readonly state: "ok" | "warn" | "missing";
  readonly found: string;
  /** What to do; null when there is nothing to do. */
  readonly advice: string | null;
}

/** What the machine answers; tests give their own. */
export interface Machine {
  /** Output of a command, both streams; null when it cannot be run or fails. */
  run(command: string, args: readonly string[]): Promise<string | null>;
  exists(path: string): boolean;
  /** Bytes free for us in the folder, which is made. Errors: those of the system for one that cannot be written to. */
  diskFree(folder: string): Promise<number>;
  /** Bytes available to new processes, and in all. */
  memory(): { readonly available: number; readonly total: number };
  nodeVersion: string;
}

const GB = 1e9;
/** Installed: 2.5 GB of environments and jars, as much in caches; state and logs of a day's demo: 1 GB. */
const DISK_MIN = 3 * GB;
const DISK_GOOD = 8 * GB;
/** Everything together takes up to 4.8 GB; below 4 GB something is killed. */
const MEMORY_MIN = 4 * GB;
const MEMORY_GOOD = 6 * GB;

const gb = (bytes: number) => `${(bytes / GB).toFixed(1)} GB`;

function ok(name: string, found: string): Finding {
  return { name, state: "ok", found, advice: null };
}

function missing(name: string, found: string, advice: string): Finding {
  return { name, state: "missing", found, advice };
}

/**
 * How each program writes its version: the line and the place in it. Other lines may come before, of whoever else has to say
 * something on the same stream, with numbers of their own: a JVM repeats its options, Python its warnings.
 */
const VERSION = {
  java: /^\S+ version "((\d+)[^"]*)"/m,
  maven: /^Apache Maven ((\d+)\S*)/m,
  python: /^Python ((\d+)\S*)/m,
  node: /^v?((\d+)\.\S+)/,
} as const;

function versionIn(
  program: keyof typeof VERSION,
  output: string | null,
): { text: string; major: number } | null {
  const match = VERSION[program].exec(stripVTControlCharacters(output ?? ""));
  return match ? { text: match[1]!, major: Number(match[2]) } : null;
}

async function java(machine: Machine, settings: Settings): Promise<Finding> {
  const output = await machine.run(settings.javaPath, ["-version"]);
  const found = versionIn("java", output);
  const advice = "install Java 17 (Debian: openjdk-17-jre-headless) or point JAVA_HOME at one";
  if (!found)
    return missing(
      "Java",
      output === null ? `no "${settings.javaPath}"` : "one that says no version",
      advice,
    );
  // Spark 4.0 is built for 17 and runs on 21; Kafka 4 needs 17.
  if (found.major < 17) return missing("Java", found.text, advice);
  return found.major > 21
    ? { name: "Java", state: "warn", found: found.text, advice: "Spark 4.0 is tested on Java 17 and 21" }
    : ok("Java", found.text);
}

async function maven(machine: Machine): Promise<Finding> {
  const found = versionIn("maven", await machine.run("mvn", ["--version"]));
  return found
    ? ok("Maven", found.text)
    : missing("Maven", 'no "mvn"', "install Maven (Debian: maven); it fetches the engines' jars");
}

async function python(machine: Machine, settings: Settings): Promise<Finding[]> {
  const output = await machine.run(join(settings.root, "infra", "local", "python.sh"), []);
  // The path is the last line that is one: warnings of Python stand on the same stream, before it or behind.
  const path = stripVTControlCharacters(output ?? "")
    .split(/\r?\n/)
    .findLast((line) => /^\/(?!.*:\d+: )/.test(line));
  if (!path)
    return [
      missing(
        "Python",
        "no Python 3.11 to 3.13 with the venv module",
        "install python3 and python3-venv, or name one in MILLRACE_PYTHON",
      ),
    ];
  const version = versionIn("python", await machine.run(path, ["--version"]));
  return [ok("Python", `${version?.text ?? "?"} (${path})`)];
}

async function openmp(machine: Machine): Promise<Finding> {
  const listed = await machine.run("ldconfig", ["-p"]);
  const found =
    listed?.includes("libgomp.so.1") ||
    (await machine.run("/sbin/ldconfig", ["-p"]))?.includes("libgomp.so.1");
  return found
    ? ok("libgomp", "libgomp.so.1")
    : missing("libgomp", "no libgomp.so.1", "LightGBM needs it: install libgomp1");
}

function node(machine: Machine): Finding {
  const found = versionIn("node", machine.nodeVersion);
  return found && found.major >= 24
    ? ok("Node", found.text)
    : missing(
        "Node",
        found?.text ?? "none",
        'start through bin/millrace, which takes the Node that "make setup" installs',
      );
}

/**
 * What compiles the page comes as one package for each kind of machine, optional to npm. On a Node older than these ask for npm leaves
 * them out without a word, and the page fails to build minutes later with a message about something else.
 */
async function packages(machine: Machine, { root }: Settings): Promise<Finding[]> {
  const modules = join(root, "node_modules");
  // Nothing to say before npm has been here.
  if (!machine.exists(join(modules, "vite"))) return [];
  const compilers = ["gnu", "musl"].map((libc) => `@rolldown/binding-linux-${process.arch}-${libc}`);
  if (compilers.some((name) => machine.exists(join(modules, name)))) return [];
  const theirs = versionIn("node", await machine.run("node", ["--version"]));
  return [
    missing(
      "npm",
      `left out "${compilers[0]}"; it runs on Node ${theirs?.text ?? "of an unknown version"}`,
      'install Node 20.19, 22.12 or newer, then "rm -f target/stamps/node" and "make setup"',
    ),
  ];
}

/** The state may lie on another file system than the clone, into which only set-up and what is started here write. */
async function disk(machine: Machine, { root, home }: Settings, starts: boolean): Promise<Finding> {
  let least = Number.POSITIVE_INFINITY;
  for (const folder of new Set(starts ? [root, home] : [home]))
    try {
      least = Math.min(least, await machine.diskFree(folder));
    } catch (error) {
      const seen = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
      return missing(
        "disk",
        `no folder to write to at "${folder}" (${seen})`,
        folder === root ? "move the clone to where you may write" : "name another folder in MILLRACE_HOME",
      );
    }
  if (least >= DISK_GOOD) return ok("disk", `${gb(least)} free`);
  const advice = `free some: ${gb(DISK_GOOD)} are comfortable, below ${gb(DISK_MIN)} the engines stop ("make clean" removes old state)`;
  return { name: "disk", state: least < DISK_MIN ? "missing" : "warn", found: `${gb(least)} free`, advice };
}

/** Both folders stand in class paths, URLs, lists and command lines of engines and jobs. */
function folders({ root, home }: Settings): Finding {
  const odd = [...new Set([root, home])].flatMap((folder) => {
    const characters = oddCharacters(folder);
    return characters.length === 0
      ? []
      : [`${characters.map((c) => JSON.stringify(c)).join(" ")} in "${folder}"`];
  });
  if (odd.length === 0) return ok("folders", root === home ? root : `${root}, ${home}`);
  return missing(
    "folders",
    odd.join("; "),
    "move the clone, or its state with MILLRACE_HOME, to a path of letters, digits, blanks and . _ - + @ # ( ) & ~",
  );
}

function memory(machine: Machine, running: boolean): Finding {
  const { available, total } = machine.memory();
  const found = `${gb(available)} available of ${gb(total)}`;
  // What runs already has its memory.
  if (running || available >= MEMORY_GOOD) return ok("memory", found);
  const advice = `close something: the whole line takes up to 4.8 GB`;
  return { name: "memory", state: available < MEMORY_MIN ? "missing" : "warn", found, advice };
}

function installed(machine: Machine, settings: Settings): Finding {
  const wanted = [
    settings.pythonPath,
    settings.mlflowPythonPath,
    settings.sparkJars,
    ...SERVICES.flatMap((service: Service) =>
      service.artifact.from === "maven" && !service.optional
        ? [moduleFolder(settings.root, service.artifact.module)]
        : [],
    ),
  ];
  const lacking = wanted.filter((path) => !machine.exists(path));
  return lacking.length === 0
    ? ok("setup", "environments and jars are there")
    : missing("setup", `no "${lacking[0]}"`, 'run "make setup"');
}

/** Optional: a fault only while an archive's path leads there. */
function hdfs(machine: Machine, settings: Settings, engines: readonly EngineStatus[]): Finding {
  const needed = onOurHdfs(settings);
  const jars = join(settings.root, "target", "engines", "hdfs");
  if (!machine.exists(jars))
    return needed
      ? missing("hdfs", `MILLRACE_ARCHIVE is on it, no "${jars}"`, 'run "make setup"')
      : ok("hdfs", "optional, not installed");
  const parts = engines.filter(({ cluster }) => cluster === "hdfs");
  if (parts.every(({ state }) => state === "up")) return ok("hdfs", `runs at ${settings.hdfsUrl}`);
  if (parts.every(({ wanted }) => !wanted)) return ok("hdfs", "optional, not started");
  return {
    name: "hdfs",
    state: "warn",
    found: parts.map(({ name, state }) => `${name} ${state}`).join(", "),
    advice: 'start it with "millrace up --with hdfs"',
  };
}

/**
 * All findings, in the order of reading; before setup, without what it installs and what passes (memory, ports). Ports of engines
 * that already run are fine.
 */
export async function examine(
  settings: Settings,
  machine: Machine,
  { beforeSetup = false }: { readonly beforeSetup?: boolean } = {},
): Promise<Finding[]> {
  // Where every engine is given by address, nothing of theirs has to be on this machine.
  const starts =
    beforeSetup ||
    SERVICES.some(
      (service: Service) =>
        !service.optional && !(settings.external as readonly string[]).includes(service.cluster),
    );
  const lasting = [
    node(machine),
    ...(starts
      ? [
          ...(await packages(machine, settings)),
          ...(await python(machine, settings)),
          await java(machine, settings),
          await maven(machine),
          await openmp(machine),
        ]
      : []),
    folders(settings),
    await disk(machine, settings, starts),
  ];
  if (beforeSetup || !starts) return lasting;
  const engines = await status(settings);
  const running = engines.some(({ state }) => state === "up");
  const taken = await portsInUse(settings);
  return [
    ...lasting,
    memory(machine, running),
    installed(machine, settings),
    hdfs(machine, settings, engines),
    taken.length === 0
      ? ok("ports", running ? "free or our engines'" : "free")
      : missing("ports", taken.join("; "), "end what holds them, or move ours with the setting named"),
  ];
}

export const machine: Machine = {
  async run(command, args) {
    const result = await execa(command, [...args], { reject: false, all: true, timeout: 20_000 });
    return result.failed ? null : (result.all ?? "");
  },
  exists: existsSync,
  async diskFree(folder) {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK);
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  },
  memory() {
    const text = readFileSync("/proc/meminfo", "utf8");
    const read = (name: string) =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? 0) * 1024;
    return { available: read("MemAvailable"), total: read("MemTotal") };
  },
  nodeVersion: process.versions.node,
};

const MARK = { ok: "✓", warn: "!", missing: "✗" } as const;

export function report(findings: readonly Finding[]): string {
  return findings
    .map(({ name, state, found, advice }) =>
      [
        `${MARK[state]} ${name.padEnd(8)} ${found}`,
        ...(advice === null ? [] : [`           → ${advice}`]),
      ].join("\n"),
    )
    .join("\n");
}

/** Looks, prints, and fails when something is missing. `make demo` begins with it. Errors: `config_invalid`. */
export async function doctor(settings: Settings, print: (line: string) => void): Promise<void> {
  const findings = await examine(settings, machine);
  print(report(findings));
  refuse(findings);
}

function refuse(findings: readonly Finding[]): void {
  const lacking = findings.filter(({ state }) => state === "missing");
  if (lacking.length > 0)
    throw new PipelineError(
      "job_failed",
      `Cannot run here: expected all of the above, missing ${lacking.map(({ name }) => name).join(", ")}`,
    );
}

export function doctorCommand(settingsOf: (command: Command) => Settings): Command {
  return new Command("doctor")
    .description("Checks what the machine must bring; fails when something is missing")
    .option("--json", "print as JSON", false)
    .option("--before-setup", "only what setup needs and is not fine", false)
    .addHelpText("after", "\nExample:\n  millrace doctor --json")
    .action(async ({ json, beforeSetup }: { json: boolean; beforeSetup: boolean }, command: Command) => {
      const findings = await examine(settingsOf(command), machine, { beforeSetup });
      // Before setup nobody has asked: only what is wrong is worth a line.
      const shown = beforeSetup ? findings.filter(({ state }) => state !== "ok") : findings;
      if (json) console.log(JSON.stringify(shown));
      else if (shown.length > 0) console.log(report(shown));
      refuse(findings);
    });
}
