// One real set of engines for all cluster tests, on free ports and in a home of its own; files keep apart by namespace.
// While developing, MILLRACE_TEST_HOME names the home of a running set to use instead; it is then left running.

import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { startEngines } from "../../rehearse/line/engines.ts";
import type { Settings } from "../../settings/settings.ts";
import { stopEverything } from "../../supervise/stop.ts";
import { down, startedSettings } from "../../topology/local/index.ts";
import { guard } from "../guard.ts";

declare module "vitest" {
  interface ProvidedContext {
    engines: Settings;
  }
}

/**
 * What these tests start lives for minutes, in which a JVM's optimizing compiler takes two fifths of its processor time and
 * earns little of it back: measured, a backfill takes 80 to 99 instead of 121 to 163 s of it. The code that runs is the same.
 */
const SHORT_LIVED = "-XX:TieredStopAtLevel=1";

const root = join(import.meta.dirname, "..", "..", "..");

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const running = process.env["MILLRACE_TEST_HOME"];
  if (running) {
    const settings = startedSettings(running);
    if (!settings) throw new Error(`No engines run in the home "${running}"`);
    project.provide("engines", settings);
    return async () => {};
  }
  // Ray puts sockets below its home and a socket's path has at most 107 characters: keep it short.
  const home = mkdtempSync(join(tmpdir(), "millrace-"));
  // What a killed JVM leaves behind (native libraries, Jetty's and Spark's folders) goes with the home.
  const scratch = join(home, "tmp");
  mkdirSync(scratch);
  // Read by every java launcher, the engines', their jobs' and those that single files start.
  process.env["JDK_JAVA_OPTIONS"] ??= `${SHORT_LIVED} "-Djava.io.tmpdir=${scratch}"`;
  // Ctrl-C ends Vitest before a teardown of this length is done; whatever ends it, the engines stop.
  const stopping = guard(
    ["sh", "-c", '"$0" down; rm -rf "$MILLRACE_HOME"', join(root, "bin", "millrace")],
    { ...process.env, MILLRACE_HOME: home },
    "engines: the tests were cut short, stopping what they started",
  );
  const settings = await startEngines(
    { root, home },
    { on: (event) => console.log(`engines: ${event.engine} ${event.state}`) },
  );
  project.provide("engines", settings);
  return async () => {
    // A file that ran out of time has left its supervisor and jobs.
    await stopEverything(home);
    await down(settings);
    const kept = join(root, "out", "test", "engines");
    mkdirSync(kept, { recursive: true });
    cpSync(join(home, "engines", "logs"), join(kept, "logs"), { recursive: true });
    rmSync(home, { recursive: true, force: true });
    await stopping.release();
  };
}
