import type { Command } from "commander";
import { describe, expect, it } from "vitest";
import { PipelineError } from "../contract/errors.ts";
import { FAILURE, REFUSAL } from "../serve/status.ts";
import { certifyCommand } from "./data/certify.ts";
import { generateCommand } from "./dev/generate.ts";
import { doctorCommand } from "./engines/doctor.ts";
import { upCommand } from "./engines/up.ts";
import { applyCommand } from "./jobs/apply.ts";
import { keysCommand } from "./jobs/keys.ts";
import { logsCommand } from "./jobs/logs.ts";
import { trainCommand } from "./models/train.ts";
import { nextStep } from "./next.ts";

const silent = (context: Record<string, unknown>, message = "Cannot read it: expected an answer, got none") =>
  new PipelineError("store_unreachable", message, { context });

describe("nextStep()", () => {
  it("starts what nobody has started", () =>
    expect(nextStep(silent({ fault: "refused" }))).toBe(
      'start MLflow with "millrace up", or set MILLRACE_MLFLOW_URL',
    ));
  it.each(["lost", "late", "busy"])("does not start what runs and was %s", (fault) => {
    expect(nextStep(silent({ fault }))).toMatch(/^MLflow runs .* run the same command again/);
  });
  it("looks first when nobody has said what was seen", () =>
    expect(nextStep(silent({}))).toMatch(/^see with "millrace status"/));
  it("names the log of an engine that did not come up", () =>
    expect(nextStep(silent({ log: "/x/mlflow.log" }))).toBe('read "/x/mlflow.log"'));
  it("adds nothing to an error that says it itself, and nothing to others", () => {
    expect(
      nextStep(silent({ fault: "refused" }, 'Cannot: start it with "millrace up --with hdfs"')),
    ).toBeNull();
    expect(nextStep(new PipelineError("job_failed", "Cannot", { context: { log: "/x" } }))).toBeNull();
    expect(nextStep(new Error("x"))).toBeNull();
  });
  it("passes on what an error brings along", () => {
    const error = new PipelineError("job_failed", "Cannot", { context: { next: "do that" } });
    expect(nextStep(error)).toBe("do that");
  });
});

describe("what the API advises", () => {
  const settingsOf = () => {
    throw new Error("no command is run here");
  };
  const COMMANDS: Readonly<Record<string, Command>> = {
    apply: applyCommand(settingsOf),
    certify: certifyCommand(settingsOf),
    doctor: doctorCommand(settingsOf),
    generate: generateCommand(""),
    keys: keysCommand(settingsOf),
    logs: logsCommand(settingsOf),
    train: trainCommand(settingsOf),
    up: upCommand(settingsOf),
  };

  /** Null if a command takes these words, else why not. */
  function refusedBy([name = "", ...words]: readonly string[]): string | null {
    const within = COMMANDS[name]?.commands.find((one) => one.name() === words[0]);
    const [command, rest] = within ? [within, words.slice(1)] : [COMMANDS[name], words];
    if (!command) return `no command "${name}"`;
    const given = rest.filter((word) => !word.startsWith("--"));
    const { registeredArguments: taken, options } = command;
    if (given.length > taken.length && !taken.at(-1)?.variadic)
      return `too many arguments: ${rest.join(" ")}`;
    const unknown = rest.filter(
      (word) => word.startsWith("--") && !options.some(({ long }) => long === word),
    );
    return unknown.length > 0 ? `unknown options: ${unknown.join(" ")}` : null;
  }
  const advised = [...Object.values(FAILURE), ...Object.values(REFUSAL)].flatMap(({ next }) =>
    [...next.matchAll(/millrace ([a-z<>\- ]+)/g)].map((found) => found[1]!.trim()),
  );

  it("can tell advice that a command refuses", () => {
    expect(refusedBy(["up", "kafka"])).toMatch(/too many arguments/);
    expect(refusedBy(["up", "--again"])).toMatch(/unknown options/);
  });
  it.each([...new Set(advised)])("millrace %s is a command as it is taken", (words) => {
    expect(refusedBy(words.split(" "))).toBeNull();
  });
});
