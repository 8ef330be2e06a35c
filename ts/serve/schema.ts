// The words that schemas of answers are written in: each says what a value is, in which unit, and for people. A schema is stated
// once, in the file of its route; the check of what is asked, the type of what is answered and the OpenAPI document follow from it.

import { z } from "@hono/zod-openapi";

export { z };

type Shape = Readonly<Record<string, z.ZodType>>;
type More = Readonly<Record<string, unknown>>;

/** A schema with what it says for people; `more` are further words of JSON Schema, and `unit`. */
export function said<S extends z.ZodType>(schema: S, description: string, more: More = {}): S {
  return schema.openapi({ description, ...more } as never);
}

export const text = (description: string) => said(z.string(), description);
export const flag = (description: string) => said(z.boolean(), description);
export const number = (description: string, more: More = {}) => said(z.number(), description, more);
export const integer = (description: string, more: More = {}) =>
  said(z.int(), description, { format: undefined, ...more });
/** From 0 to 1. */
export const share = (description: string) => said(z.number().min(0).max(1), description, { unit: "1" });
/** A span that cannot be negative, in seconds. */
export const seconds = (description: string) => said(z.number().min(0), description, { unit: "s" });
/** RFC 3339 in UTC. */
export const time = (description: string) => said(z.iso.datetime(), description);
export const word = <const W extends readonly [string, ...string[]]>(words: W, description: string) =>
  said(z.enum(words), description);
export const list = <S extends z.ZodType>(items: S, description: string) =>
  said(z.array(items).readonly(), description);
export const map = <S extends z.ZodType>(values: S, description: string) =>
  said(z.record(z.string(), values), description);

/** The schema or null; what it says for people stays. */
export function nullable<S extends z.ZodType>(schema: S): z.ZodUnion<[S, z.ZodNull]> {
  return z.union([schema, z.null()]);
}

/** An object with a key for each name. */
export function each<S extends z.ZodType>(
  names: readonly string[],
  schema: (name: string) => S,
  description: string,
): z.ZodObject<Record<string, S>> {
  return said(z.object(Object.fromEntries(names.map((name) => [name, schema(name)]))), description);
}

/** Properties that are there where something holds, and of which otherwise nothing is said. */
export function when<S extends Shape>(
  holds: boolean,
  shape: S,
): { [K in keyof S]: z.ZodExactOptional<S[K]> } {
  return (holds ? shape : {}) as { [K in keyof S]: z.ZodExactOptional<S[K]> };
}

/** The schema with further keys, whose names are known only from the contract, before its own. */
export function keyed<S extends z.ZodObject>(schema: S, more: Shape): S {
  return z.object({ ...more, ...schema.shape }) as unknown as S;
}

/** A query parameter that is a whole number of decimal digits, both ends inclusive. */
export function wholeNumber(
  description: string,
  { min, max, usual }: { readonly min: number; readonly max: number; readonly usual: number },
) {
  const within = (digits: string) => Number(digits) >= min && Number(digits) <= max;
  return (
    z
      .string()
      // `Number` would take 0x10, 1e2 and white space.
      .refine((digits) => /^\d{1,9}$/.test(digits) && within(digits), {
        error: `to be from ${min} to ${max}`,
      })
      .transform(Number)
      .default(usual)
      .openapi({ type: "integer", minimum: min, maximum: max, default: usual, description })
  );
}

/** Source: RFC 3339, 5.6. */
const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/i;

/** A query parameter that is a moment, as epoch ms. */
export function moment(description: string) {
  return z
    .string()
    .refine((word) => RFC3339.test(word) && Number.isFinite(Date.parse(word)), {
      error: "to be a time as 2016-12-04T13:05:00Z",
    })
    .transform((word) => Date.parse(word))
    .optional()
    .openapi({ type: "string", format: "date-time", description } as never);
}
