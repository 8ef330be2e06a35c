// PostgreSQL as `up` starts it: for root as nobody in folders that nobody can enter, for a user as that user.

import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { passwordPath } from "../../../settings/database.ts";
import { enginesDir, settingsOf } from "../../../settings/settings.ts";
import { POSTGRES, startPostgres } from "../../../test/postgres.ts";
import { up } from "../index.ts";
import { serverUser } from "./postgres.ts";

const root = join(import.meta.dirname, "..", "..", "..", "..");
const isRoot = process.getuid?.() === 0;
const START_MS = 120_000;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "pg-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it("runs as ourselves, and as nobody for root", () => {
  expect(serverUser(1000)).toBeNull();
  expect(serverUser(0)).toEqual({ uid: 65_534, gid: 65_534 });
});

it("starts in a home that others cannot enter, and keeps its data there over a kill", {
  timeout: START_MS,
}, async () => {
  const hidden = join(folder, "hidden");
  mkdirSync(hidden, { mode: 0o700 });
  const database = await startPostgres(join(hidden, "home"));
  try {
    const data = join(enginesDir(database.settings), "postgres", "data");
    const owner = isRoot ? 65_534 : process.getuid!();
    expect(statSync(data)).toMatchObject({ uid: owner });
    expect(statSync(`/proc/${database.pid()}`).uid).toBe(owner);
    expect(statSync(passwordPath(database.settings)).mode & 0o777).toBe(0o600);
    const password = readFileSync(passwordPath(database.settings), "utf8").trim();
    expect(readFileSync(`/proc/${database.pid()}/cmdline`, "utf8")).not.toContain(password);
    expect(readFileSync(`/proc/${database.pid()}/environ`, "utf8")).not.toContain(password);
    const version = statSync(join(data, "PG_VERSION")).ino;
    process.kill(database.pid(), "SIGKILL");
    await database.start();
    expect(statSync(join(data, "PG_VERSION")).ino).toBe(version);
    expect(readFileSync(passwordPath(database.settings), "utf8").trim()).toBe(password);
  } finally {
    await database.remove();
  }
});

describe.runIf(isRoot)("for a user", () => {
  it("starts as that user, in a home of that user's alone", { timeout: START_MS }, () => {
    // Nobody is the user that every machine has; the temporary folders on the way must let it through.
    for (let at = folder; at !== tmpdir() && at !== "/"; at = join(at, "..")) chmodSync(at, 0o711);
    chmodSync(tmpdir(), statSync(tmpdir()).mode | 0o011);
    const own = join(folder, "own");
    mkdirSync(own, { mode: 0o700 });
    chownSync(own, 65_534, 65_534);
    const script = join(folder, "start.ts");
    writeFileSync(
      script,
      `import { statSync } from "node:fs";
      import { startPostgres } from ${JSON.stringify(join(root, "ts/test/postgres.ts"))};
      const database = await startPostgres(${JSON.stringify(join(own, "home"))});
      console.log(statSync("/proc/" + database.pid()).uid);
      await database.remove();`,
    );
    chmodSync(script, 0o644);
    const said = execFileSync(process.execPath, [script], {
      uid: 65_534,
      gid: 65_534,
      env: { ...process.env, TMPDIR: own, HOME: own },
      encoding: "utf8",
    });
    expect(said.trim()).toBe("65534");
  });
});

it("is gone without where it cannot be started, and why is said", async () => {
  const settings = settingsOf(root, { home: join(folder, "home") });
  const refusing = {
    ...POSTGRES,
    hooks: {
      postgres: {
        prepare() {
          throw new Error("no such program");
        },
      },
    },
  };
  const forgone: [string, unknown][] = [];
  const engines = await up(settings, {
    topology: refusing,
    onForgone: (name, error) => forgone.push([name, error]),
  });
  expect(engines).toMatchObject([{ name: "postgres", state: "stopped" }]);
  expect(forgone).toEqual([["postgres", new Error("no such program")]]);
  expect(existsSync(join(enginesDir(settings), "postgres.json"))).toBe(false);
});
