// What one service does on this machine that its entry cannot say as data. hooks/ has them, by the name the entry gives.

import type { Member } from "../../ground/process.ts";
import type { Settings } from "../../settings/settings.ts";
import type { Service } from "../entry.ts";
import type { Command } from "./prepare.ts";

/** A service on this machine. */
export interface LocalService {
  readonly settings: Settings;
  readonly service: Service;
  /** The folder it runs in. */
  readonly dir: string;
}

export interface Hook {
  /** Before any service is started; `starting` has the names of all that will be. */
  begin?(place: LocalService, starting: ReadonlySet<string>): void;
  /** Once its folders and files are there: makes what only a program can make, and may change what is run. */
  prepare?(place: LocalService, command: Command): Command | Promise<Command>;
  /** Once, after the first good look. */
  settle?(members: readonly Member[]): void;
  /** Whether an optional service should work although nobody has started it. */
  wanted?(settings: Settings): boolean;
}
