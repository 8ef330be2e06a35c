import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { fileUrl, oddCharacters } from "./path.ts";

it.each(["/a b", "/ü", "/#1", "/50%", "/%20", "/a,b", "/a?b", "/雨"])(
  "fileUrl(%j) is read back as it was, and has nothing that ends a URL or a list of them",
  (path) => {
    expect(fileUrl(path)).not.toMatch(/[ ,#?]/);
    expect(fileURLToPath(fileUrl(path))).toBe(path);
  },
);

describe("oddCharacters()", () => {
  it("takes spaces, letters of any script and common signs", () =>
    expect(oddCharacters("/people/zoë/My Project (2) #1 c&d@e~/.millrace")).toEqual([]));
  it("names what an engine would misread, each once", () =>
    expect(oddCharacters('/a:b,c,"d"\n*')).toEqual([":", ",", '"', "\n", "*"]));
});
