// The line in containers: the rendered compose file is brought up by testcontainers, makes forecasts, loses one of its parts after the
// other, goes down and comes up again. Skipped, and said so, where no Docker daemon answers.

import { join } from "node:path";
import { execaSync } from "execa";
import { DockerComposeEnvironment, type StartedDockerComposeEnvironment, Wait } from "testcontainers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { until } from "../../ground/until.ts";
import { freePorts } from "../../rehearse/line/ports.ts";
import { MILLRACE, RAY_WORKER, SECRETS } from "../../topology/compose/sizes.ts";
import { SERVICES } from "../../topology/services.ts";
import { type Guard, guard } from "../guard.ts";

const folder = join(import.meta.dirname, "..", "..", "..", "infra", "compose");
const PROJECT = "millrace-test";
const START_MS = 900_000;
const SHOWN = "new-york";
/** Longest a killed part may keep a forecast away on a machine of two cores that others use: a Spark worker is missed after a minute. */
const BACK_MS = 420_000;

const docker = (...args: string[]) => execaSync("docker", args, { reject: false });
const daemon = docker("version", "--format", "{{.Server.Version}}");
const answers = !daemon.failed;
if (!answers)
  console.log(
    `compose: skipped, no Docker daemon answers (${daemon.stderr.split("\n").at(-1) || daemon.shortMessage})`,
  );

interface Prediction {
  readonly timestamp: string;
}

describe.skipIf(!answers)("the line in containers", () => {
  let line: StartedDockerComposeEnvironment;
  let environment: Record<string, string>;
  let api: string;

  /** `--build`, up, and until every container says that it works. */
  const up = () => {
    const compose = new DockerComposeEnvironment(folder, "compose.yaml")
      .withProjectName(PROJECT)
      .withEnvironment(environment)
      .withBuild()
      // Its volumes are kept over a down; what is cut short is cleaned up below.
      .withAutoCleanup(false)
      .withStartupTimeout(START_MS)
      .withDefaultWaitStrategy(Wait.forHealthCheck());
    return compose.up();
  };
  /** A command in a container. Errors: its output, when it fails. */
  const run = async (container: string, ...command: string[]) => {
    const { exitCode, output } = await line.getContainer(`${container}-1`).exec(command);
    if (exitCode !== 0)
      throw new Error(`${command.join(" ")} in ${container} ended with ${exitCode}: ${output}`);
    return output;
  };
  const ask = async <T>(path: string): Promise<T | null> => {
    try {
      const reply = await fetch(`${api}${path}`);
      return reply.ok ? ((await reply.json()) as T) : null;
    } catch {
      return null;
    }
  };
  const newest = async () => {
    const seen = await ask<Prediction>(`/predictions/${SHOWN}`);
    return seen === null ? null : Date.parse(seen.timestamp);
  };
  /** Until a forecast is served that is hours of event time newer than one before: by default the newest there is now. */
  const goesOn = async (what: string, since: number | null = null) => {
    const before = since ?? (await newest()) ?? 0;
    const { done, seen } = await until(
      async () => {
        const now = (await newest()) ?? 0;
        return { done: now >= before + 6 * 3_600_000, seen: now };
      },
      { deadline_ms: BACK_MS, interval_ms: 1_000 },
    );
    if (!done)
      throw new Error(
        `After ${what} no newer forecast came within ${BACK_MS / 1000} s: ${before} then ${seen}`,
      );
  };

  let cleaning: Guard;
  beforeAll(async () => {
    const remove = ["docker", "compose", "--project-name", PROJECT, "down", "--volumes", "--timeout", "1"];
    docker(...remove.slice(1));
    cleaning = guard(remove, process.env, "compose: the tests were cut short, removing their containers");
    const free = await freePorts();
    environment = {
      MILLRACE_API_PORT: String(free.api),
      MILLRACE_SPARK_UI_PORT: String(free.sparkUi),
      MILLRACE_RAY_DASHBOARD_PORT: String(free.rayDashboard),
      MILLRACE_MLFLOW_PORT: String(free.mlflow),
    };
    api = `http://127.0.0.1:${free.api}`;
    line = await up();
  }, START_MS);

  afterAll(async () => {
    await line?.down({ removeVolumes: true });
    await cleaning?.release();
  }, 120_000);

  it("has every container of the description, and answers on the loopback address without a key", async () => {
    const names = docker(
      "ps",
      "--filter",
      `label=com.docker.compose.project=${PROJECT}`,
      "--format",
      "{{.Names}}",
    );
    const running = names.stdout
      .split("\n")
      .map((name) => name.replace(`${PROJECT}-`, "").replace(/-1$/, ""));
    const wanted = SERVICES.filter((service) => !("optional" in service)).map(({ name }) => name);
    expect(running.sort()).toEqual([...wanted, MILLRACE].sort());
    expect(running).not.toContain(RAY_WORKER);
    expect((await fetch(`${api}/health/live`)).status).toBe(200);
    // A name that somebody else could let point here.
    const words = ["-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: elsewhere.example"];
    expect(await run(MILLRACE, "curl", ...words, `${api}/health/live`)).toBe("421");
  });

  it("keeps the password out of what Docker and the process table show", async () => {
    const password = (await run("postgres", "cat", "/run/millrace/postgres")).trim();
    expect(password.length).toBeGreaterThan(24);
    for (const name of ["postgres", MILLRACE, SECRETS])
      expect(docker("inspect", `${PROJECT}-${name}-1`).stdout).not.toContain(password);
    for (const name of ["postgres", MILLRACE]) {
      const shown = await run(
        name,
        "sh",
        "-c",
        "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'",
      );
      expect(shown).not.toContain(password);
    }
  });

  it(
    "trains, streams and serves a forecast",
    async () => {
      console.log(await run(MILLRACE, "millrace", "demo", "--detach"));
      expect((await ask<Prediction>(`/predictions/${SHOWN}`))?.timestamp).toBeTruthy();
      await goesOn("the demo");
    },
    START_MS,
  );

  // The process in the container: what Docker itself kills it does not bring back.
  it.each([
    ["kafka", "java"],
    ["spark-worker", "java"],
    ["ray", "raylet"],
    ["postgres", "postgres"],
  ])(
    "goes on after kill -9 in %s",
    async (name, program) => {
      const starts = () =>
        Number(docker("inspect", "--format", "{{.RestartCount}}", `${PROJECT}-${name}-1`).stdout);
      const before = starts();
      await run(name, "pkill", "-KILL", program).catch(() => {});
      const { done } = await until(() => ({ done: starts() > before, seen: starts() }), {
        deadline_ms: 60_000,
        interval_ms: 500,
      });
      expect(done).toBe(true);
      await goesOn(`kill -9 in ${name}`);
    },
    BACK_MS + 120_000,
  );

  it("has doubled nothing, neither what was sent nor what was forecast", async () => {
    /** Records of a topic, and how many of them differ in what tells them apart. */
    const counted = async (topic: string, ...fields: readonly string[]) => {
      const key = `tuple(json.loads(line)["value"][name] for name in ${JSON.stringify(fields)})`;
      const count = `import json, sys; keys = [${key} for line in sys.stdin]; print(len(keys), len(set(keys)))`;
      const tail = `millrace tail ${topic} --json --from-beginning | python -c '${count}'`;
      return (await run(MILLRACE, "sh", "-c", tail)).trim().split(" ").map(Number);
    };
    for (const [all, different] of [
      await counted("raw", "station_id", "timestamp"),
      await counted("predictions", "id"),
    ]) {
      expect(all).toBeGreaterThan(1_000);
      expect(different).toBe(all);
    }
    expect(await ask<{ status: string }>("/health")).toMatchObject({ status: "ok" });
  }, 240_000);

  it(
    "goes on from where it was after down and up with the volumes kept",
    async () => {
      const before = await newest();
      await line.down({ removeVolumes: false });
      line = await up();
      // An API that has just started may know of none yet.
      await goesOn("down and up", before);
      expect(await run(MILLRACE, "millrace", "models", "list")).toContain("champion");
    },
    START_MS,
  );
});
