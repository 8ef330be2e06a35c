// A registry in memory for unit tests: takes every change, and hands out ids from 1.

import type { Registry, Version } from "../../kafka/registry.ts";

export function memoryRegistry(): Registry {
  const subjects = new Map<string, Version[]>();
  const texts = new Map<number, string>();
  const idOf = (schema: string) => [...texts].find(([, text]) => text === schema)?.[0];
  const registry: Partial<Registry> = {
    url: "http://registry",
    versions: async (subject) => subjects.get(subject) ?? [],
    check: async () => ({ compatible: true, messages: [] }),
    async register(subject, schema) {
      const id = idOf(schema) ?? texts.size + 1;
      const versions = subjects.get(subject) ?? [];
      texts.set(id, schema);
      subjects.set(subject, [...versions, { version: versions.length + 1, id, schema }]);
      return id;
    },
    async idOf(subject, schema) {
      const version = subjects.get(subject)?.find((one) => one.schema === schema);
      if (version) return version.id;
      throw new Error(`no such schema under "${subject}"`);
    },
    subjects: async () => [...subjects.keys()],
    async remove(subject) {
      subjects.delete(subject);
    },
    schemaById: async (id) => texts.get(id) ?? null,
  };
  return registry as Registry;
}
