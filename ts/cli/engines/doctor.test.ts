import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePorts } from "../../rehearse/line/ports.ts";
import { type Settings, settingsOf } from "../../settings/settings.ts";
import { examine, type Finding, type Machine, report } from "./doctor.ts";

const home = mkdtempSync(join(tmpdir(), "doctor-"));
afterAll(() => rmSync(home, { recursive: true, force: true }));

const root = "/repo";
let settings: Settings;
beforeAll(async () => {
  settings = settingsOf(root, { home, ports: await freePorts() });
});

const OUTPUT: Readonly<Record<string, string>> = {
  java: 'openjdk version "17.0.15" 2025-04-15',
  // In bold, as Debian's writes it even into a pipe.
  mvn: "\u001b[1mApache Maven 3.8.7\u001b[m\nJava version: 17.0.15",
  [join(root, "infra", "local", "python.sh")]: "/usr/bin/python3.12\n",
  "/usr/bin/python3.12": "Python 3.12.1",
  ldconfig: "libgomp.so.1 (libc6,x86-64) => /lib/libgomp.so.1",
};

/** A machine with everything, and what differs. */
function machine(
  differs: Partial<Machine> = {},
  output: Readonly<Record<string, string | null>> = {},
): Machine {
  const all: Readonly<Record<string, string | null>> = { ...OUTPUT, ...output };
  return {
    run: async (command) => all[command] ?? null,
    exists: () => true,
    diskFree: async () => 50e9,
    memory: () => ({ available: 16e9, total: 24e9 }),
    nodeVersion: "24.21.0",
    ...differs,
  };
}

async function troubles(of: Machine): Promise<Finding[]> {
  return (await examine(settings, of)).filter(({ state }) => state !== "ok");
}

describe("examine()", () => {
  it("finds nothing to do on a machine with everything, and says the versions", async () => {
    expect(await troubles(machine())).toEqual([]);
    const text = report(await examine(settings, machine()));
    expect(text).not.toContain("\u001b");
    for (const version of ["24.21.0", "3.12.1", "17.0.15", "3.8.7", "libgomp.so.1", "50.0 GB free"])
      expect(text).toContain(version);
  });

  it("does not ask before setup for what setup installs", async () => {
    const bare = machine({ exists: () => false });
    const found = await examine(settings, bare, { beforeSetup: true });
    expect(found.filter(({ state }) => state !== "ok")).toEqual([]);
  });

  it("asks nothing of the machine that only engines need, where all of them are given by address", async () => {
    // An image's own folder is nobody's to write to.
    const diskFree = async (folder: string) => {
      if (folder === root) throw Object.assign(new Error("EACCES"), { code: "EACCES" });
      return 50e9;
    };
    const bare = machine({ exists: () => false, diskFree }, { java: null, mvn: null, ldconfig: null });
    const given = {
      ...settings,
      external: ["kafka", "registry", "spark", "ray", "mlflow", "postgres"],
    } satisfies Settings;
    expect((await examine(given, bare)).map(({ name, state }) => [name, state])).toEqual([
      ["Node", "ok"],
      ["folders", "ok"],
      ["disk", "ok"],
    ]);
    const some = { ...given, external: given.external.slice(1) } satisfies Settings;
    expect((await examine(some, bare)).map(({ name }) => name)).toContain("Java");
  });

  it("wants HDFS only when an archive's path leads there", async () => {
    const on = { ...settings, archive: "hdfs:/archive" };
    const of = async (asked: Settings, has: Machine) =>
      (await examine(asked, has)).find(({ name }) => name === "hdfs");
    const bare = machine({ exists: (path) => !path.endsWith("hdfs") });
    expect(await of(settings, bare)).toMatchObject({ state: "ok", found: "optional, not installed" });
    expect(await of(settings, machine())).toMatchObject({ state: "ok", found: "optional, not started" });
    expect(await of(on, bare)).toMatchObject({ state: "missing", advice: 'run "make setup"' });
    expect(await of(on, machine())).toMatchObject({
      state: "warn",
      advice: 'start it with "millrace up --with hdfs"',
    });
    expect(await of({ ...settings, archive: "hdfs://other:8020/a" }, bare)).toMatchObject({ state: "ok" });
  });

  it.each<[string, Machine, string, RegExp]>([
    ["no Java", machine({}, { java: null }), "missing", /install Java 17/],
    ["an old Java", machine({}, { java: 'openjdk version "11.0.2"' }), "missing", /install Java 17/],
    ["a very new Java", machine({}, { java: 'openjdk version "25"' }), "warn", /tested on Java 17 and 21/],
    [
      "a Java that says nothing of itself",
      machine({}, { java: "Picked up JAVA_TOOL_OPTIONS: -Xmx17g" }),
      "missing",
      /install Java 17/,
    ],
    ["no Maven", machine({}, { mvn: null }), "missing", /install Maven/],
    [
      "no Python",
      machine({}, { [join(root, "infra", "local", "python.sh")]: null }),
      "missing",
      /python3-venv/,
    ],
    ["no libgomp", machine({}, { ldconfig: "libc.so.6" }), "missing", /install libgomp1/],
    ["an old Node", machine({ nodeVersion: "20.1.0" }), "missing", /bin\/millrace/],
    [
      "an npm on a Node for which it leaves packages out",
      machine({ exists: (path) => !path.includes("rolldown") }, { node: "v18.20.4" }),
      "missing",
      /install Node 20\.19, 22\.12 or newer, then "rm -f target\/stamps\/node" and "make setup"/,
    ],
    ["no setup", machine({ exists: (path) => !path.includes("target") }), "missing", /make setup/],
    ["little disk", machine({ diskFree: async () => 5e9 }), "warn", /make clean/],
    ["no disk", machine({ diskFree: async () => 1e9 }), "missing", /make clean/],
    ["little memory", machine({ memory: () => ({ available: 5e9, total: 8e9 }) }), "warn", /4\.8 GB/],
    ["no memory", machine({ memory: () => ({ available: 2e9, total: 8e9 }) }), "missing", /4\.8 GB/],
  ])("says what to do about %s", async (_, of, state, advice) => {
    const found = await troubles(of);
    expect(found).toHaveLength(1);
    expect(found[0]!.state).toBe(state);
    expect(found[0]!.advice).toMatch(advice);
  });

  // What each prints on the same stream before its version: the JVM's options, a launcher's note, Python's warnings.
  it.each([
    ["java", "Picked up JAVA_TOOL_OPTIONS: -Dfile.encoding=UTF8"],
    ["java", "Picked up JAVA_TOOL_OPTIONS: -Dfile.encoding=UTF-8 -Xmx512m"],
    ["java", "Picked up _JAVA_OPTIONS: -Xmx2g"],
    ["java", "NOTE: Picked up JDK_JAVA_OPTIONS: -XX:TieredStopAtLevel=1"],
    [
      "java",
      'Picked up JAVA_TOOL_OPTIONS: -Dapp="x version 8"\nOpenJDK 64-Bit Server VM warning: 11 options',
    ],
    ["mvn", "Picked up JAVA_TOOL_OPTIONS: -Dversion=2.0"],
    ["/usr/bin/python3.12", "<frozen runpy>:128: RuntimeWarning: 2.7 is gone"],
    [join(root, "infra", "local", "python.sh"), "/usr/lib/python3.12/x.py:3: DeprecationWarning: 3.14"],
  ])("reads the version of %s behind %j", async (command, line) => {
    const noisy = machine({}, { [command]: `${line}\n${OUTPUT[command]}` });
    expect(await examine(settings, noisy)).toEqual(await examine(settings, machine()));
  });

  it.each<[string, string, string, "ok" | "missing"]>([
    ["java", 'openjdk version "21-ea" 2023-09-19', "21-ea", "ok"],
    ["java", 'java version "1.8.0_392"', "1.8.0_392", "missing"],
    [
      "java",
      'openjdk version "17-internal" 2021-09-14\r\nOpenJDK Runtime Environment 8',
      "17-internal",
      "ok",
    ],
    ["mvn", "\u001B[1mApache Maven 4.0.0-rc-1 (x)\u001B[m\nJava version: 1.8.0", "4.0.0-rc-1", "ok"],
    [
      "/usr/bin/python3.12",
      "Welcome 2.7\nPython 3.13.0rc2+\nbye 3.8",
      "3.13.0rc2+ (/usr/bin/python3.12)",
      "ok",
    ],
    [
      join(root, "infra", "local", "python.sh"),
      "/usr/bin/python3.12\n/x.py:3: Warning: 2.7\nbye",
      "3.12.1 (/usr/bin/python3.12)",
      "ok",
    ],
  ])("reads of %s that says %j the version %s", async (command, output, found, state) => {
    const findings = await examine(settings, machine({}, { [command]: output }));
    expect(findings).toContainEqual(expect.objectContaining({ found, state }));
  });

  it("names a folder of state that cannot be written to, and the least room of clone and state", async () => {
    const at = async (diskFree: (folder: string) => Promise<number>) =>
      (
        await examine({ ...settings, home: "/elsewhere" }, { ...machine(), diskFree }, { beforeSetup: true })
      ).find(({ name }) => name === "disk");
    const readOnly = Object.assign(new Error("read-only"), { code: "EROFS" });
    expect(
      await at((folder) => (folder === root ? Promise.resolve(9e9) : Promise.reject(readOnly))),
    ).toMatchObject({
      state: "missing",
      found: 'no folder to write to at "/elsewhere" (EROFS)',
      advice: expect.stringContaining("MILLRACE_HOME"),
    });
    expect(await at(async (folder) => (folder === root ? 9e9 : 1e9))).toMatchObject({
      state: "missing",
      found: "1.0 GB free",
    });
  });

  it("names a folder that an engine would misread, and its characters", async () => {
    const at = async (home: string, of = root) =>
      (await examine({ ...settings, root: of, home }, machine(), { beforeSetup: true })).find(
        ({ name }) => name === "folders",
      );
    expect(await at("/ho me #1/zoë")).toMatchObject({ state: "ok" });
    expect(await at("/a:b")).toMatchObject({ state: "missing", found: '":" in "/a:b"' });
    expect(await at("/a", "/it's")).toMatchObject({ state: "missing", found: `"'" in "/it's"` });
  });
});
