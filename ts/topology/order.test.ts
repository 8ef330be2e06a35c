// In which order services start and stop: of three made up, and of ours.

import { describe, expect, it } from "vitest";
import { checkOrder, startInOrder, stopInOrder } from "./order.ts";
import { SERVICES } from "./services.ts";

const service = (name: string, after: string[] = [], uses: string[] = []) => ({ name, after, uses });
const base = service("base");
const top = service("top", ["base"]);
const side = service("side", [], ["top"]);

/** The order in which works began and ended when each takes a turn of the loop longer than the one before. */
async function course(
  run: typeof startInOrder,
  services: readonly ReturnType<typeof service>[],
): Promise<string[]> {
  const seen: string[] = [];
  await run(services, async ({ name }) => {
    seen.push(`${name} begins`);
    await new Promise(setImmediate);
    seen.push(`${name} ends`);
  });
  return seen;
}

describe("startInOrder()", () => {
  it("begins one that needs another once that works, wherever it stands, and the rest at once", async () => {
    const seen = await course(startInOrder, [top, side, base]);
    expect(seen.slice(0, 2).sort()).toEqual(["base begins", "side begins"]);
    expect(seen.indexOf("top begins")).toBeGreaterThan(seen.indexOf("base ends"));
    expect(seen).toHaveLength(6);
  });
  it("does not wait for what is not given", async () =>
    expect(await course(startInOrder, [top])).toEqual(["top begins", "top ends"]));
  it("does not begin what waits for a failed one, lets the others end, and rejects with the reason", async () => {
    const begun: string[] = [];
    let ended = false;
    const starting = startInOrder([base, top, side], async ({ name }) => {
      begun.push(name);
      if (name === "base") throw new Error("no room");
      await new Promise(setImmediate);
      ended = true;
    });
    await expect(starting).rejects.toThrow("no room");
    expect(begun).toEqual(["base", "side"]);
    expect(ended).toBe(true);
  });
});

describe("stopInOrder()", () => {
  it("stops users before what they need and what they use", async () =>
    expect(await course(stopInOrder, [base, top, side])).toEqual([
      "side begins",
      "side ends",
      "top begins",
      "top ends",
      "base begins",
      "base ends",
    ]));
});

describe("checkOrder()", () => {
  it.each([
    ["a name twice", [base, base], "same name"],
    ["one that does not exist", [top], '"base", which is none'],
    ["a ring", [service("a", ["b"]), service("b", [], ["c"]), service("c", ["a"])], "a, b, c, a"],
  ])("refuses %s", (_, services, message) => expect(() => checkOrder(services)).toThrow(message));
  it("takes ours", () => checkOrder(SERVICES));
});

it("ours stop jobs' engines first and what the jobs use last", async () => {
  const stopped: string[] = [];
  await stopInOrder(SERVICES, async ({ name }) => {
    stopped.push(name);
  });
  const before = (one: string, other: string) => stopped.indexOf(one) < stopped.indexOf(other);
  for (const engine of ["ray", "spark-worker"])
    for (const used of ["kafka", "registry", "mlflow", "hdfs-namenode", "hdfs-datanode"])
      expect([engine, used, before(engine, used)]).toEqual([engine, used, true]);
  expect(before("spark-worker", "spark-master")).toBe(true);
  expect(before("hdfs-datanode", "hdfs-namenode")).toBe(true);
});
