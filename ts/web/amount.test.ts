import { describe, expect, it } from "vitest";
import { bytesRateText, bytesText, coresText, countText, knownSum, msText, rateText } from "./amount.ts";

describe("amounts", () => {
  it.each([
    [0, "0 B"],
    [640, "640 B"],
    [999.6, "1.00 kB"],
    [1_180_000_000, "1.18 GB"],
    [12_340_000, "12.3 MB"],
    [420e6, "420 MB"],
    [null, "unknown"],
  ])("%s bytes", (bytes, text) => expect(bytesText(bytes)).toBe(text));
  it("says that a rate is one", () => expect(bytesRateText(84_000)).toBe("84.0 kB/s"));
  it.each([
    [0, "0"],
    [0.416, "0.42"],
    [8.34, "8.3"],
    [1_612.4, "1,612"],
    [null, "unknown"],
  ])("%s a second", (rate, text) => expect(rateText(rate)).toBe(text));
  it.each([
    [0, "0 ms"],
    [4.26, "4.3 ms"],
    [14.2, "14 ms"],
    [999.6, "1.00 s"],
    [1_553, "1.55 s"],
    [14_230, "14.2 s"],
    [240_000, "240 s"],
    [null, "unknown"],
  ])("%s ms", (ms, text) => expect(msText(ms)).toBe(text));
  it("counts are whole, cores have two digits behind the point", () => {
    expect(countText(12_345.4)).toBe("12,345");
    expect(coresText(0.416)).toBe("0.42");
    expect(coresText(null)).toBe("unknown");
  });
  it("knownSum() is of what is known", () => {
    expect(knownSum([1, null, 2])).toBe(3);
    expect(knownSum([null])).toBeNull();
    expect(knownSum([])).toBeNull();
  });
});
