// A submission's name is read by one rule, so that no namespace meets another's jobs.

import fc from "fast-check";
import { expect, it } from "vitest";
import { readSubmission, submissionName, uniqueSuffix } from "./submission.ts";

const hash = "0a1b2c3d";

it("reads what it has put together", () => {
  const name = { job: "weather-train", hash, unique: uniqueSuffix() };
  for (const prefix of ["", "blue-", "weather-train-"])
    expect(readSubmission(prefix, submissionName(prefix, name))).toEqual(name);
});

it("a namespace named like the start of a job is another one", () => {
  const other = submissionName("weather-train-", { job: "weather-features", hash, unique: "x" });
  expect(readSubmission("", other)).toBeNull();
  expect(readSubmission("weather-", other)).toBeNull();
  expect(
    readSubmission("weather-train-", submissionName("", { job: "weather-train", hash, unique: "x" })),
  ).toBeNull();
});

it("no two namespaces read one name", () => {
  const word = fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/);
  const prefix = fc.array(word, { maxLength: 3 }).map((words) => words.map((w) => `${w}-`).join(""));
  fc.assert(
    fc.property(prefix, prefix, word, word, (mine, theirs, pipeline, job) => {
      fc.pre(mine !== theirs);
      const name = submissionName(mine, { job: `${pipeline}-${job}`, hash, unique: "1" });
      expect(readSubmission(theirs, name)).toBeNull();
    }),
  );
});
