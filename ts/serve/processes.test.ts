import { describe, expect, it, vi } from "vitest";
import { carriedBy, ownersOf, Processes, titleOf } from "./processes.ts";

describe("titleOf()", () => {
  it.each([
    ["java -Xmx1g -cp /a/libs/* kafka.Kafka /a/server.properties", "Kafka"],
    [
      "java -cp a org.apache.spark.executor.CoarseGrainedExecutorBackend --app-id 7",
      "CoarseGrainedExecutorBackend",
    ],
    ["java -jar /a/registry.jar", "registry.jar"],
    [
      "/v/bin/python3.11 -m ray_jobs.generated.weather_infer /s/params.json",
      "ray_jobs.generated.weather_infer",
    ],
    ["/v/bin/python /a/pyspark/daemon.py", "daemon.py"],
    ["/n/bin/node --flag /a/ts/cli/main.ts serve --port 8000", "main.ts"],
    ["ray::Infer.run secret", "ray::Infer.run secret"],
    ["postgres: walwriter ", "postgres: walwriter"],
    ["/usr/lib/gcs_server --log=x", "gcs_server"],
    ["", ""],
  ])("%s", (command, title) => {
    expect(titleOf(command)).toBe(title);
  });
});

describe("ownersOf()", () => {
  const rows = [
    { pid: 1, parent: 0 },
    { pid: 10, parent: 1 },
    { pid: 11, parent: 10 },
    { pid: 12, parent: 11 },
    { pid: 20, parent: 1 },
    { pid: 30, parent: 31 },
    { pid: 31, parent: 30 },
  ];
  const known = {
    engines: [{ name: "spark-worker", mark: "engine=w;" }],
    external: [],
    jobs: [{ name: "weather-features", submission: "weather-features-ab-1" }],
    pids: new Map([[20, "supervisor"]]),
  };
  const words = (pid: number) =>
    ({
      10: { command: "java Worker", environment: "ENGINE_RUN=engine=w;\0" },
      11: { command: "java Driver /s/weather-features-ab-1.json", environment: "ENGINE_RUN=engine=w;\0" },
    })[pid] ?? { command: "", environment: "" };

  it("a process is its own job's, else its engine's, else its parent's; a stranger is nobody's", () => {
    expect(ownersOf(rows, known, words)).toEqual(
      new Map([
        [10, "spark-worker"],
        [11, "weather-features"],
        [12, "weather-features"],
        [20, "supervisor"],
      ]),
    );
  });
});

describe("carriedBy()", () => {
  const socket = (name: string, pids: number[], sent_bytes: number, received_bytes: number) =>
    [name, { socket: name, pids, sent_bytes, received_bytes }] as const;

  it("sums sockets by process; one that is new counts from 0", () => {
    const before = new Map([socket("a", [7], 100, 10)]);
    const now = new Map([socket("a", [7], 300, 20), socket("b", [7, 8], 50, 0)]);
    expect(carriedBy(before, now, 2)).toEqual(
      new Map([
        [7, { sent: 125, received: 5 }],
        [8, { sent: 25, received: 0 }],
      ]),
    );
  });

  it("is unknown at the first look, and where nobody can tell", () => {
    expect(carriedBy(null, new Map(), 2)).toBeNull();
    expect(carriedBy(new Map(), null, 2)).toBeNull();
  });
});

describe("Processes", () => {
  it("sees this very process: memory at once, cores at the second look, and an engine of others without numbers", async () => {
    const processes = new Processes();
    const known = {
      engines: [],
      external: ["kafka"],
      jobs: [],
      pids: new Map([[process.pid, "serve"]]),
    };
    const first = await processes.look(known);
    expect(first.over_s).toBeNull();
    const own = ({ pid }: { pid: number | null }) => pid === process.pid;
    expect(first.processes.find(own)).toMatchObject({ of: "serve", cores: null });
    expect(first.processes.find(own)!.memory_bytes).toBeGreaterThan(10_000_000);
    const began_ms = performance.now();
    // Half a second of work, so that there is something to see.
    while (performance.now() - began_ms < 600) Math.sqrt(began_ms);
    const second = await processes.look(known);
    expect(second.over_s).toBeGreaterThan(0.5);
    expect(second.processes.find(own)!.cores).toBeGreaterThan(0.05);
    expect(second.processes.find(({ of }) => of === "kafka")).toMatchObject({
      pid: null,
      cores: null,
      memory_bytes: null,
    });
  });

  it("looks twice for whoever asks first, and once for whoever asks again soon", async () => {
    const processes = new Processes();
    const known = { engines: [], external: [], jobs: [], pids: new Map([[process.pid, "serve"]]) };
    const first = await processes.recent(known);
    expect(first.over_s).toBeGreaterThanOrEqual(0.5);
    expect(first.over_s).toBeLessThan(10);
    const looked = vi.spyOn(processes, "look");
    await processes.recent(known);
    expect(looked).toHaveBeenCalledOnce();
  });
});
