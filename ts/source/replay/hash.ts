// Small fast hashes for rows of a source: to tell rows apart, never to protect anything. Deterministic on every machine.

/** FNV-1a over UTF-16 code units, 32 bit. */
export function hashText(text: string, seed = 0): number {
  let hash = 0x811c9dc5 ^ seed;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** The finaliser of MurmurHash3, 32 bit: every bit of the input moves about half of the output's. */
function mixBits(word: number): number {
  let hash = word;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

const number = new Float64Array(1);
const words = new Uint32Array(number.buffer);

/** 32 bit of a number's bits; -0 counts as 0. */
export function hashNumber(value: number, seed = 0): number {
  number[0] = value + 0;
  return mixBits(mixBits(seed ^ words[0]!) ^ words[1]!);
}

/** 32 bit of a row's values, in the order of its fields. */
export function hashRecord(record: Readonly<Record<string, unknown>>): number {
  let hash = 0;
  for (const name in record) {
    const value = record[name];
    if (typeof value === "number") hash = hashNumber(value, hash);
    else if (value === null || value === undefined) hash = mixBits(hash ^ 1);
    else hash = mixBits(hash ^ hashText(String(value)));
  }
  return hash;
}
