// Rows as PostgreSQL's COPY reads them in binary: no text to make here and none to parse there.
//
//   | "PGCOPY\n\377\r\n\0" | flags, 0 | extension, 0 |  then for each row  | columns |  and for each value  | length or -1 | bytes |
//     11 bytes               4          4                                    2                              4
//   and at the end | -1 |, 2 bytes. All numbers are big endian. Source: PostgreSQL 18, COPY, Binary Format.

export type ColumnType = "text" | "int4" | "int8" | "float8" | "bool" | "uuid" | "bytea" | "int4[]";

export type Value = string | number | boolean | Buffer | readonly number[] | null;

const SIGNATURE = Buffer.from("PGCOPY\n\xff\r\n\0", "latin1");
/** Object id of int4, for the elements of an array. */
const INT4 = 23;

/** A buffer that grows, and the rows in it. */
export class CopyBuffer {
  readonly #types: readonly ColumnType[];
  #bytes: Buffer;
  #length = 0;
  #rows = 0;

  constructor(types: readonly ColumnType[]) {
    this.#types = types;
    this.#bytes = Buffer.allocUnsafe(64 * 1024);
    SIGNATURE.copy(this.#bytes);
    this.#bytes.fill(0, 11, 19);
    this.#length = 19;
  }

  get rows(): number {
    return this.#rows;
  }

  /** Values in the order of the columns. A zero byte, which no text of PostgreSQL can hold, becomes U+FFFD. */
  add(values: readonly Value[]): void {
    this.#rows++;
    this.#int16(values.length);
    for (let i = 0; i < values.length; i++) {
      const value = values[i]!;
      if (value === null) this.#int32(-1);
      else this.#value(this.#types[i]!, value);
    }
  }

  /** All of it, with its end. */
  bytes(): Buffer {
    this.#int16(-1);
    return this.#bytes.subarray(0, this.#length);
  }

  #value(type: ColumnType, value: NonNullable<Value>): void {
    switch (type) {
      case "text": {
        const text = String(value);
        const safe = text.includes("\0") ? text.replaceAll("\0", "\uFFFD") : text;
        const length = Buffer.byteLength(safe);
        this.#int32(length);
        this.#room(length);
        this.#bytes.write(safe, this.#length);
        this.#length += length;
        return;
      }
      case "int4":
        this.#int32(4);
        this.#int32(Number(value));
        return;
      case "int8":
        this.#int32(8);
        this.#room(8);
        this.#length = this.#bytes.writeBigInt64BE(BigInt(value as number), this.#length);
        return;
      case "float8":
        this.#int32(8);
        this.#room(8);
        this.#length = this.#bytes.writeDoubleBE(Number(value), this.#length);
        return;
      case "bool":
        this.#int32(1);
        this.#room(1);
        this.#length = this.#bytes.writeUInt8(value === true ? 1 : 0, this.#length);
        return;
      case "uuid":
      case "bytea": {
        const bytes = value as Buffer;
        this.#int32(bytes.length);
        this.#room(bytes.length);
        this.#length += bytes.copy(this.#bytes, this.#length);
        return;
      }
      case "int4[]": {
        const numbers = value as readonly number[];
        // Dimensions, whether there are nulls, the type of the elements; of the one dimension its length and lower bound.
        this.#int32(numbers.length === 0 ? 12 : 20 + 8 * numbers.length);
        this.#int32(numbers.length === 0 ? 0 : 1);
        this.#int32(0);
        this.#int32(INT4);
        if (numbers.length === 0) return;
        this.#int32(numbers.length);
        this.#int32(1);
        for (const number of numbers) {
          this.#int32(4);
          this.#int32(number);
        }
      }
    }
  }

  #int16(value: number): void {
    this.#room(2);
    this.#length = this.#bytes.writeInt16BE(value, this.#length);
  }

  #int32(value: number): void {
    this.#room(4);
    this.#length = this.#bytes.writeInt32BE(value, this.#length);
  }

  #room(more: number): void {
    const wanted = this.#length + more;
    if (wanted <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(wanted, this.#bytes.length * 2));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}
