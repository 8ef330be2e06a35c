// A PostgreSQL of a test's own, as `up` starts it, in a home of its own: a second to start, gone at the end.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../rehearse/line/ports.ts";
import { type Settings, settingsOf } from "../settings/settings.ts";
import { HOOKS } from "../topology/local/hooks/index.ts";
import { down, up } from "../topology/local/index.ts";
import { readRecord } from "../topology/local/record.ts";
import { SERVICES } from "../topology/services.ts";

const root = join(import.meta.dirname, "..", "..");

/** The service and nothing else of the topology. */
export const POSTGRES = {
  services: SERVICES.filter(({ name }) => name === "postgres"),
  hooks: HOOKS,
};

export interface TestDatabase {
  readonly settings: Settings;
  /** Its first process as `up` wrote it down. */
  pid(): number;
  /** Starts it again after it was killed or stopped. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Stops it and removes what it kept. */
  remove(): Promise<void>;
}

/** Starts one. `home`: a folder for its data, else a new one. */
export async function startPostgres(
  home = mkdtempSync(join(tmpdir(), "millrace-store-")),
): Promise<TestDatabase> {
  const settings = settingsOf(root, { home, ports: await freePorts() });
  const failures: unknown[] = [];
  const start = async () => {
    await up(settings, { topology: POSTGRES, onForgone: (_, error) => failures.push(error) });
    if (failures.length > 0) throw failures[0];
  };
  const stop = async () => {
    await down(settings, { topology: POSTGRES });
  };
  await start();
  return {
    settings,
    pid: () => readRecord(settings, "postgres")!.pid,
    start,
    stop,
    async remove() {
      await stop();
      rmSync(home, { recursive: true, force: true });
    },
  };
}
