import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, it } from "vitest";
import { until } from "../ground/until.ts";

const GUARD = pathToFileURL(join(import.meta.dirname, "guard.ts")).href;

/** A process that a guard watches and that then runs the program's rest; what the guard's command writes is the file. */
function watched(rest: string) {
  const file = join(mkdtempSync(join(tmpdir(), "guard-")), "ran");
  const program = `
    import { guard } from ${JSON.stringify(GUARD)};
    const own = guard(["sh", "-c", "echo ended > ${file}"], process.env, "watched: ends");
    console.log("ready");
    ${rest}
  `;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ready = new Promise<void>((resolve) => child.stdout.once("data", () => resolve()));
  // Closed once nobody holds its output any more: the guard has ended too.
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  return { child, file, ready, closed };
}

it.each(["SIGINT", "SIGTERM", "SIGKILL"] as const)(
  "runs its command when the process ends by %s",
  async (signal) => {
    const { child, file, ready, closed } = watched("setInterval(() => {}, 1000);");
    await ready;
    child.kill(signal);
    await closed;
    expect(await until(() => ({ done: existsSync(file), seen: null }), { deadline_ms: 5_000 })).toMatchObject(
      {
        done: true,
      },
    );
    expect(readFileSync(file, "utf8")).toBe("ended\n");
  },
);

it("runs it when the process ends by itself without a word", async () => {
  const { file, closed } = watched("process.exit(0);");
  await closed;
  expect(existsSync(file)).toBe(true);
});

it("does not run it once it is released", async () => {
  const { file, closed } = watched("await own.release();");
  await closed;
  expect(existsSync(file)).toBe(false);
});
