// The records of started engines: for their owner's eyes, and one process at a time that changes them.

import { mkdtempSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { expect, it } from "vitest";
import { until } from "../../ground/until.ts";
import { settingsOf } from "../../settings/settings.ts";
import { startedSettings, writeEngineSettings } from "./record.ts";

const home = () => mkdtempSync(join(tmpdir(), "millrace-record-"));
const ground = join(import.meta.dirname, "..", "..", "ground");
const root = join(import.meta.dirname, "..", "..", "..");

it("writes settings that only their owner can read", () => {
  const settings = settingsOf(root, { home: home() });
  writeEngineSettings(settings);
  expect(startedSettings(settings.home)).toEqual(settings);
  expect(statSync(join(settings.home, "engines", "settings.json")).mode & 0o777).toBe(0o600);
});

it("locked() lets one work at a time, also where two find the lock of a dead one and the first is held up", {
  tags: ["slow"],
  timeout: 60_000,
}, async () => {
  const settings = settingsOf(root, { home: home() });
  /** Takes the lock, says who else is at work, and dies with the lock in its hand. `held_up_ms` passes before it removes any file. */
  const take = (held_up_ms: number, work_ms: number) => {
    const child = execa(
      process.execPath,
      [
        "--input-type=module",
        "-e",
        `
        import fs from "node:fs";
        import { syncBuiltinESMExports } from "node:module";
        const { rmSync } = fs;
        fs.rmSync = (...args) => {
          console.log("removes");
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ${held_up_ms});
          return rmSync(...args);
        };
        syncBuiltinESMExports();
        const { alive, identify } = await import(${JSON.stringify(join(ground, "identity.ts"))});
        const { locked } = await import(${JSON.stringify(join(import.meta.dirname, "record.ts"))});
        const witness = ${JSON.stringify(join(settings.home, "at-work.json"))};
        await locked(${JSON.stringify({ home: settings.home })}, async () => {
          const other = fs.existsSync(witness) && JSON.parse(fs.readFileSync(witness, "utf8"));
          console.log(other && alive(other) ? "beside another" : "alone");
          fs.writeFileSync(witness, JSON.stringify(identify(process.pid)));
          await new Promise((resolve) => setTimeout(resolve, ${work_ms}));
          process.kill(process.pid, "SIGKILL");
        });`,
      ],
      { reject: false, buffer: false },
    );
    let text = "";
    child.stdout.on("data", (data) => {
      text += String(data);
    });
    const says = (word: RegExp) =>
      until(() => ({ done: word.test(text), seen: text }), { deadline_ms: 20_000 });
    return { child, says, text: () => text };
  };
  await take(0, 0).child;
  const slow = take(1_000, 0);
  await slow.says(/removes/);
  const fast = take(0, 2_000);
  await Promise.all([slow.child, fast.child]);
  expect([slow.text(), fast.text()].map((text) => /alone|beside another/.exec(text)?.[0])).toEqual([
    "alone",
    "alone",
  ]);
});
