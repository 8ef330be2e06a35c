import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { alive, identify } from "./identity.ts";
import { end, launchProcess, members } from "./process.ts";
import { until } from "./until.ts";

const python = join(import.meta.dirname, "..", "..", ".venv", "bin", "python");
const folder = mkdtempSync(join(tmpdir(), "process-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let count = 0;
/** Starts a shell script and waits until it has said "ready". */
async function script(text: string) {
  const mark = `test-${process.pid}-${count++}`;
  const log = join(folder, `${mark}.log`);
  const identity = launchProcess({
    command: "sh",
    args: ["-c", text],
    env: { GREETING: "hello" },
    cwd: folder,
    log,
    mark,
  });
  await until(() => ({ done: readFileSync(log, "utf8").includes("ready"), seen: "" }), {
    deadline_ms: 10_000,
  });
  return { ...identity, mark, log };
}

describe("identify()", () => {
  it("tells this process from a later one of the same pid", () => {
    const me = identify(process.pid)!;
    expect(alive(me)).toBe(true);
    expect(alive({ ...me, start: "another boot 1" })).toBe(false);
  });
  it("knows no process of a pid that cannot be", () => expect(identify(2 ** 30)).toBe(null));
});

describe("launch()", () => {
  it("hands over the variables and writes both streams to the log", async () => {
    const started = await script('echo "$GREETING"; echo trouble >&2; echo ready; exec sleep 60');
    expect(readFileSync(started.log, "utf8")).toBe("hello\ntrouble\nready\n");
    await end("test", started, { deadline_ms: 5_000 });
  });
  it("refuses a missing command, and leaves the reason in the log", async () => {
    const log = join(folder, "missing.log");
    const missing = { command: "no-such-command", args: [], env: {}, cwd: folder, log, mark: "test-none" };
    expect(() => launchProcess(missing)).toThrow('Cannot start "no-such-command"');
    const reason = await until(
      () => {
        const seen = readFileSync(log, "utf8");
        return { done: seen !== "", seen };
      },
      { deadline_ms: 5_000 },
    );
    expect(reason.seen).toContain("no-such-command ENOENT");
  });
  it("never has a variable on a command line, where every user may read it", async () => {
    // An env(1) that tells its arguments stands first on the way.
    const told = join(folder, "told");
    const bin = mkdtempSync(join(folder, "bin-"));
    writeFileSync(join(bin, "env"), `#!/bin/sh\necho "$@" >> ${told}\nexec /usr/bin/env "$@"\n`, {
      mode: 0o755,
    });
    const path = process.env["PATH"];
    process.env["PATH"] = `${bin}:${path}`;
    try {
      const started = await script("echo ready; exec sleep 60");
      expect(members(started).some(({ command }) => /GREETING=|ENGINE_RUN=/.test(command))).toBe(false);
      await end("test", started, { deadline_ms: 5_000 });
    } finally {
      process.env["PATH"] = path;
    }
    expect(existsSync(told)).toBe(false);
  });
});

describe("a process whose first thread has ended", () => {
  // What a killed JVM is for a moment: /proc calls it a zombie, it has no environment, and its port is open.
  const half = `import ctypes, socket, threading, time
def serve():
    with socket.create_server(("127.0.0.1", 0)):
        print("ready", flush=True)
        time.sleep(66)
threading.Thread(target=serve).start()
ctypes.CDLL(None).pthread_exit(None)`;

  it("lives until its last thread has ended, and is ended", async () => {
    const started = await script(`exec "${python}" -c '${half}'`);
    const state = () => readFileSync(`/proc/${started.pid}/stat`, "utf8").split(") ")[1]![0];
    await until(() => ({ done: state() === "Z", seen: state() }), { deadline_ms: 5_000 });
    expect(state()).toBe("Z");
    expect(alive(started)).toBe(true);
    expect(members(started).map(({ pid }) => pid)).toEqual([started.pid]);
    await end("test", started, { deadline_ms: 5_000 });
    expect(alive(started)).toBe(false);
  });
});

describe("end()", () => {
  it("ends children, and grandchildren in a session of their own", async () => {
    const started = await script("sleep 61 & setsid sleep 62 & sleep 0.1; echo ready; wait");
    const family = await until(
      () => {
        const seen = members(started);
        return { done: seen.some((m) => m.command === "sleep 62"), seen };
      },
      { deadline_ms: 5_000 },
    );
    expect(family.seen.map((m) => m.command)).toEqual(expect.arrayContaining(["sleep 61", "sleep 62"]));
    await end("test", started, { deadline_ms: 5_000 });
    expect(family.seen.filter(alive)).toEqual([]);
  });

  it("ends what a dead leader left behind", async () => {
    const started = await script("sleep 63 & echo ready; exec sleep 64");
    process.kill(started.pid, "SIGKILL");
    await until(() => ({ done: !alive(started), seen: "" }), { deadline_ms: 5_000 });
    expect(members(started).map((m) => m.command)).toEqual(["sleep 63"]);
    await end("test", started, { deadline_ms: 5_000 });
    expect(members(started)).toEqual([]);
  });

  it("kills at the deadline what does not listen", async () => {
    const started = await script('trap "" TERM; echo ready; while true; do sleep 0.2; done');
    await end("test", started, { deadline_ms: 500 });
    expect(alive(started)).toBe(false);
  });

  it("leaves a stranger alone whose pid is the one written down", async () => {
    const stranger = await script("echo ready; exec sleep 65");
    await end("test", { pid: stranger.pid, mark: "an earlier one" }, { deadline_ms: 500 });
    expect(alive(stranger)).toBe(true);
    await end("test", stranger, { deadline_ms: 5_000 });
  });
});
