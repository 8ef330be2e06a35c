// What infra/compose/compose.sh says before Docker would: run for real, with a client in its path that answers as each machine would.

import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa, execaSync } from "execa";
import { afterAll, describe, expect, it } from "vitest";
import { free } from "../local/port.ts";
import { SERVICES } from "../services.ts";
import { versionOf } from "../versions.ts";
import { limitsOf } from "./render.ts";
import { SMALL } from "./sizes.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const script = join(root, "infra", "compose", "compose.sh");
const folder = mkdtempSync(join(tmpdir(), "compose-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const TOOLS = ["bash", "cut", "dirname", "grep", "head", "sed", "sort", "tail", "tr"];

interface Machine {
  readonly compose?: string | null;
  readonly engine?: string | null;
  readonly memory_mib?: number;
  /** Whose data is on PostgreSQL's volume; null for a volume without any. Images are built where it is said. */
  readonly data?: string | null;
}
const NEW = { compose: "2.40.1", engine: "28.2.2", memory_mib: 64_000 };

let count = 0;
/** A folder with the tools that the script uses, and with a client of such a machine; none for null. Every other call of it fails. */
function pathOf(machine: Machine | null): string {
  const path = join(folder, String(count++));
  mkdirSync(path);
  for (const tool of TOOLS)
    symlinkSync(execaSync("sh", ["-c", `command -v ${tool}`]).stdout, join(path, tool));
  if (machine === null) return path;
  const { compose, engine, memory_mib, data } = { ...NEW, ...machine };
  const client = join(path, "docker");
  writeFileSync(
    client,
    `#!/usr/bin/env bash
case "$*" in
  "compose version"*) ${compose === null ? "exit 1" : `echo ${compose}`} ;;
  "version --format"*) ${engine === null ? 'echo "Cannot connect to the Docker daemon at unix:///x.sock." >&2; exit 1' : `echo ${engine}`} ;;
  "info --format"*) echo ${memory_mib * 1_048_576} ;;
  "ps "*) ;;
  ${data === undefined ? "" : `*" build" | "volume inspect millrace_postgres") ;;`}
  *" postgres cat data/PG_VERSION") ${typeof data === "string" ? `echo ${data}` : "exit 1"} ;;
  *) echo "asked to: $*"; exit 9 ;;
esac
`,
  );
  chmodSync(client, 0o755);
  return path;
}

async function run(machine: Machine | null, env: Record<string, string> = {}) {
  const done = await execa(join(pathOf(machine), "bash"), [script, "up"], {
    reject: false,
    extendEnv: false,
    env: { PATH: pathOf(machine), ...env },
  });
  return { code: done.exitCode, said: done.stderr, printed: done.stdout };
}

/** Ports nobody has, one for each that is published. */
async function ports(): Promise<Record<string, string>> {
  const names = ["SPARK_UI", "RAY_DASHBOARD", "MLFLOW", "API"];
  const found: number[] = [];
  for (let port = 42_100; found.length < names.length; port++) if (await free(port)) found.push(port);
  return Object.fromEntries(names.map((name, i) => [`MILLRACE_${name}_PORT`, String(found[i])]));
}

describe("compose.sh", () => {
  it.each<[string, Machine | null, RegExp]>([
    ["no client", null, /found no "docker"\n {2}next: install Docker Engine 25 or newer/],
    ["a client without Compose", { compose: null }, /no "docker compose"\n {2}next: install the plugin/],
    ["an old Compose", { compose: "v2.9.0" }, /expected Compose 2\.24 or newer, got v2\.9\.0/],
    ["no daemon", { engine: null }, /a daemon that answers, got: Cannot connect .*\n {2}next: start it/],
    ["an old engine", { engine: "20.10.24+dfsg1" }, /expected engine 25 or newer, got 20\.10\.24/],
    [
      "little memory",
      { memory_mib: 4_000 },
      /\(size small\), the engine has 4000 MiB\n {2}next: give it more/,
    ],
  ])("names %s, and what to do", async (_, machine, message) => {
    const { code, said } = await run(machine);
    expect(said).toMatch(message);
    expect(code).toBe(2);
  });

  it("asks for as much memory as the limits add up to, and for no more", async () => {
    const { always } = limitsOf(SERVICES, SMALL);
    expect((await run({ memory_mib: always - 1 }, await ports())).said).toContain(`${always} MiB together`);
    expect((await run({ memory_mib: always }, await ports())).printed).toContain("asked to: compose");
    expect((await run({ memory_mib: always }, { SIZE: "large" })).said).toContain("(size large)");
  });

  it("names a port in use with the setting that moves it", async () => {
    const given = await ports();
    const port = Number(given["MILLRACE_MLFLOW_PORT"]);
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen({ port, host: "127.0.0.1" }, resolve));
    try {
      const { code, said } = await run({}, given);
      expect(said).toContain(`port ${port} is in use on this machine`);
      expect(said).toContain(`MILLRACE_MLFLOW_PORT=${port + 10_000}`);
      expect(code).toBe(2);
    } finally {
      await new Promise((resolve) => holder.close(resolve));
    }
  });

  it("names a volume that another version of PostgreSQL made, and starts nothing on it", async () => {
    const [major] = versionOf(root, SERVICES.find(({ name }) => name === "postgres")!.artifact).split(".");
    const { code, said, printed } = await run({ data: "9" }, await ports());
    expect(said).toMatch(
      `expected data of PostgreSQL ${major} on the volume millrace_postgres, got version 9\n  next: start the Millrace that made it`,
    );
    expect([code, printed]).toEqual([2, ""]);
    for (const data of [major!, null])
      expect((await run({ data }, await ports())).printed).toMatch(/asked to: compose .* up --detach/);
  });

  it("refuses a size that is none, and says what a failed build may lack", async () => {
    expect((await run({}, { SIZE: "huge" })).said).toContain('got "huge"');
    const { code, said } = await run({}, await ports());
    expect([code, said]).toEqual([
      1,
      expect.stringContaining("without network only what is built already starts"),
    ]);
  });
});
