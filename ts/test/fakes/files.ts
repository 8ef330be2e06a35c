// Files of names in memory for unit tests: whole changes in an order, as a NameNode makes them. Failures are inputs: `dieAt` ends the
// life of a user before or after its n-th change, `away` is a file system that does not answer.

import { PipelineError } from "../../contract/errors.ts";
import type { Files } from "../../lines/files.ts";

export interface FakeFiles extends Files {
  /** By path. */
  readonly held: ReadonlyMap<string, string>;
  away: boolean;
  /** The same files for a user that is killed at a change: from then on it does nothing. `after`: the change was made. */
  dyingAt(change: number, when: "before" | "after"): Files;
}

export function fakeFiles(address = "fake"): FakeFiles {
  const held = new Map<string, string>();
  const folderOf = (path: string) => path.slice(0, path.lastIndexOf("/"));
  const files: FakeFiles = {
    address,
    held,
    away: false,
    async list(folder) {
      answer();
      const found = new Map<string, { name: string; folder: boolean; length: number }>();
      for (const [path, text] of held) {
        if (!path.startsWith(`${folder}/`)) continue;
        const [name, ...more] = path.slice(folder.length + 1).split("/");
        found.set(name!, { name: name!, folder: more.length > 0, length: Buffer.byteLength(text) });
      }
      return [...found.values()];
    },
    async read(path, stretch) {
      answer();
      const text = held.get(path);
      if (text === undefined || !stretch) return text ?? null;
      return Buffer.from(text)
        .subarray(stretch.offset, stretch.offset + stretch.length)
        .toString();
    },
    async write(path, text) {
      answer();
      held.set(path, text);
    },
    async rename(path, to) {
      answer();
      const text = held.get(path);
      if (text === undefined || held.has(to)) return false;
      held.delete(path);
      held.set(to, text);
      return true;
    },
    async concat(path, source) {
      answer();
      const [text, more] = [held.get(path), held.get(source)];
      if (text === undefined || more === undefined) return false;
      if (folderOf(path) !== folderOf(source)) throw new Error("files of one folder are joined, no others");
      held.set(path, text + more);
      held.delete(source);
      return true;
    },
    async remove(path) {
      answer();
      for (const known of [...held.keys()])
        if (known === path || known.startsWith(`${path}/`)) held.delete(known);
    },
    dyingAt(change, when) {
      let left = change;
      const dead = () => new PipelineError("job_failed", "killed");
      const mortal =
        <A extends readonly unknown[], T>(work: (...given: A) => Promise<T>, changes: boolean) =>
        async (...given: A): Promise<T> => {
          if (left <= 0) throw dead();
          if (!changes || --left > 0) return work(...given);
          if (when === "after") await work(...given);
          throw dead();
        };
      const { list, read, write, rename, concat, remove } = files;
      return {
        address,
        list: mortal(list, false),
        read: mortal(read, false),
        write: mortal(write, true),
        rename: mortal(rename, true),
        concat: mortal(concat, true),
        remove: mortal(remove, true),
      };
    },
  };
  function answer(): void {
    if (files.away)
      throw new PipelineError("store_unreachable", `Cannot reach "${address}": expected an answer, got none`);
  }
  return files;
}
