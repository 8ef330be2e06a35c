import { describe, expect, it } from "vitest";
import { encoder } from "../../contract/index.ts";
import { pipelineOf, schemaOf } from "../../pipelines/index.ts";
import { blank, SENT } from "./records.ts";

describe("blank()", () => {
  it.each(["weather", "meters"])(
    "is a record that the schema takes, of every topic that is stored: %s",
    (name) => {
      const { contract } = pipelineOf(name);
      for (const kind of SENT) {
        const schema = schemaOf(contract, kind);
        expect(encoder<object>(schema, 1)(blank(JSON.parse(schema)) as object).length).toBeGreaterThan(5);
      }
    },
  );
});
