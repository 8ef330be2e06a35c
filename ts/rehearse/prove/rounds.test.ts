import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { runRounds } from "./rounds.ts";

const log = () => {};

it("runRounds() goes on where it was interrupted and repeats no finished round", async () => {
  const folder = mkdtempSync(join(tmpdir(), "rounds-"));
  const ran: number[] = [];
  const options = (broken: number) => ({
    folder,
    count: 3,
    log,
    fine: () => true,
    run: async (round: number) => {
      if (round === broken) throw new Error("interrupted");
      ran.push(round);
      return { round };
    },
  });
  await expect(runRounds(options(1))).rejects.toThrow("interrupted");
  expect(await runRounds(options(-1))).toEqual([{ round: 0 }, { round: 1 }, { round: 2 }]);
  expect(ran).toEqual([0, 1, 2]);
});

it("runRounds() ends at a round that is not fine, and runs that one again", async () => {
  const folder = mkdtempSync(join(tmpdir(), "rounds-"));
  let wrong = 1;
  const options = {
    folder,
    count: 2,
    log,
    fine: (result: { wrong: number }) => result.wrong === 0,
    run: async () => ({ wrong }),
  };
  expect(await runRounds(options)).toEqual([{ wrong: 1 }]);
  wrong = 0;
  expect(await runRounds(options)).toEqual([{ wrong: 0 }, { wrong: 0 }]);
});
