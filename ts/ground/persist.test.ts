import { expect, it } from "vitest";
import { persist } from "./persist.ts";

const never = new AbortController().signal;

it("begins again after what passes, at once where that is said, and ends with the work", async () => {
  const faults = [new Error("moved"), new Error("away")];
  const said: string[] = [];
  let begun = 0;
  await persist(
    async () => {
      const fault = faults[begun++];
      if (fault) throw fault;
    },
    {
      signal: never,
      progress: () => begun,
      after(error) {
        said.push((error as Error).message);
        return said.at(-1) === "moved" ? "at_once" : "later";
      },
    },
  );
  expect(said).toEqual(["moved", "away"]);
  expect(begun).toBe(3);
});

it("gives up with what no waiting mends", async () => {
  const after = (error: unknown) => {
    throw error;
  };
  const work = () => Promise.reject(new Error("a mistake of ours"));
  await expect(persist(work, { signal: never, progress: () => 0, after })).rejects.toThrow(
    "a mistake of ours",
  );
});

it("says nothing of a fault that came with the signal, and begins nothing after it", async () => {
  const stop = new AbortController();
  let begun = 0;
  const work = async () => {
    begun++;
    stop.abort();
    throw new Error("cut off");
  };
  const after = () => expect.unreachable();
  await persist(work, { signal: stop.signal, progress: () => 0, after });
  await persist(work, { signal: stop.signal, progress: () => 0, after });
  expect(begun).toBe(1);
});
