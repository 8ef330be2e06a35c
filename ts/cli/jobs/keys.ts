// `millrace keys add|list|revoke`: who may ask an API that other machines reach. A key is printed once, where it is made.

import { Command } from "commander";
import { addKey, keysPath, readKeys, revokeKey } from "../../serve/keys.ts";
import type { Settings } from "../../settings/settings.ts";
import { underLock } from "../../supervise/namespace.ts";

const print = (line: string) => console.log(line);

export function keysCommand(settingsOf: (command: Command) => Settings): Command {
  const add = new Command("add")
    .description("Makes a key and prints it; it cannot be shown again")
    .argument("<name>", "who will have it")
    .option("--json", "print JSON", false)
    .addHelpText("after", "\nExample:\n  millrace keys add grafana")
    .action(async (name: string, { json }: { json: boolean }, command: Command) => {
      const settings = settingsOf(command);
      const made = await underLock(settings, "keys", () => addKey(keysPath(settings), name, Date.now()));
      print(json ? JSON.stringify({ ...made, name }) : made.key);
    });

  const list = new Command("list")
    .description("Every key by its id, never the key itself")
    .option("--json", "print JSON", false)
    .addHelpText("after", "\nExample:\n  millrace keys list --json")
    .action(({ json }: { json: boolean }, command: Command) => {
      const keys = readKeys(keysPath(settingsOf(command))).map(({ id, name, created_ms }) => ({
        id,
        name,
        created: new Date(created_ms).toISOString(),
      }));
      if (json) print(JSON.stringify(keys));
      else if (keys.length === 0) print("no key yet; make one with: millrace keys add NAME");
      else for (const { id, name, created } of keys) print(`${id}  ${created.slice(0, 16)}  ${name}`);
    });

  const revoke = new Command("revoke")
    .description("Takes a key away; a running server refuses it within a second")
    .argument("<key>", "its id, or its name")
    .option("--json", "print JSON", false)
    .addHelpText("after", "\nExample:\n  millrace keys revoke grafana")
    .action(async (word: string, { json }: { json: boolean }, command: Command) => {
      const settings = settingsOf(command);
      const { id, name } = await underLock(settings, "keys", () => revokeKey(keysPath(settings), word));
      print(json ? JSON.stringify({ revoked: id, name }) : `revoked ${id} (${name})`);
    });

  return new Command("keys")
    .description("Keys of an HTTP API that other machines reach")
    .addHelpText("after", "\nExample:\n  millrace keys add grafana")
    .addCommand(add)
    .addCommand(list)
    .addCommand(revoke);
}
