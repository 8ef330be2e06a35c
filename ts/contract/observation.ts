// The observation contract: a record schema whose every field has a role, every measurement a quantity, a unit and a range, and
// every attribute its rules.
// Stands between the hand-written schema and all that is derived from it. Does not look at single observations.

import { type Attribute, attributeOf } from "./attribute.ts";
import { PipelineError } from "./errors.ts";
import { type FieldShape, parseRecord, type Role, type Support, shapeWord } from "./schema.ts";
import { unitRule } from "./units.ts";

export interface ObservationField {
  readonly name: string;
  readonly role: Role;
  readonly quantity: string | null;
  readonly unit: string | null;
  /** What a sensor may say: inclusive on both ends, in `unit`. A value beyond it is refused. */
  readonly range: readonly [number, number] | null;
  /** What the quantity can be, within the range: forecasts stay inside, a truth beyond it is judged at its edge. */
  readonly support: Support | null;
  /** What is accepted in an attribute; only such a field has it. */
  readonly attribute?: Attribute;
  /** The measurement that a direction is of; only a direction may have it. */
  readonly magnitude?: string;
}

export interface ObservationShape {
  readonly name: string;
  /** The field that says who measured. */
  readonly key: string;
  /** The field that says when, epoch ms. */
  readonly event_time: string;
  /** In schema order. */
  readonly fields: readonly ObservationField[];
}

/** Errors: `contract_rejected`, naming the field and the rule. */
export function parseObservation(text: string, source: string): ObservationShape {
  const record = parseRecord(text, source);
  const fields = record.fields.map((field) =>
    checked(field, `Cannot use contract "${source}" at ${field.name}`),
  );
  for (const { name, magnitude } of fields)
    if (
      magnitude !== undefined &&
      !fields.some((one) => one.name === magnitude && one.role === "measurement")
    )
      throw rejected(
        `Cannot use contract "${source}" at ${name}`,
        "a magnitude that is a measurement of this contract",
        `"${magnitude}"`,
      );
  const only = (role: Role): string => {
    const [first, ...more] = fields.filter((field) => field.role === role);
    if (first && more.length === 0) return first.name;
    throw rejected(
      `Cannot use contract "${source}"`,
      `one field of role ${role}`,
      String(first ? more.length + 1 : 0),
    );
  };
  return { name: record.name, key: only("key"), event_time: only("event_time"), fields };
}

/** Whether a field carries a value: a measurement or a direction. */
export function isMeasured({ role }: { readonly role: Role }): boolean {
  return role === "measurement" || role === "circular";
}

const SHAPE_OF_ROLE: Readonly<Record<Exclude<Role, "attribute">, string>> = {
  key: "string",
  event_time: "timestamp",
  measurement: "nullable double",
  circular: "nullable double",
};

function checked(field: FieldShape, action: string): ObservationField {
  const { name, shape, role, quantity, unit, range, support } = field;
  if (role === null) throw rejected(action, "a role", "none");
  if (field.magnitude !== null && role !== "circular")
    throw rejected(action, "a magnitude on a direction only", `one on role ${role}`);
  if (role === "attribute") return attributeField(field, action);
  if (field.max_length !== null || field.pattern !== null)
    throw rejected(action, "max_length and pattern on an attribute only", `them on role ${role}`);
  if (shapeWord(shape) !== SHAPE_OF_ROLE[role])
    throw rejected(action, `${SHAPE_OF_ROLE[role]} for role ${role}`, shapeWord(shape));
  if (role === "event_time" && unit !== "ms") throw rejected(action, 'unit "ms"', JSON.stringify(unit));
  if (isMeasured({ role })) {
    if (quantity === null) throw rejected(action, "a quantity", "none");
    if (unit === null || !unitRule(unit)) throw rejected(action, "a unit of the table", JSON.stringify(unit));
    if (range === null) throw rejected(action, "a range", "none");
  }
  // A circle is judged in degrees everywhere: a range of less would tear it open at an arbitrary place.
  if (role === "circular" && !(unit === "deg" && range?.[0] === 0 && range[1] === 360))
    throw rejected(action, "degrees in [0, 360]", `${unit} in ${JSON.stringify(range)}`);
  if (support !== null) {
    if (role !== "measurement" || range === null)
      throw rejected(action, "a support on a measurement only", `one on role ${role}`);
    const [low, high] = [support[0] ?? range[0], support[1] ?? range[1]];
    // An end beyond what a sensor may say bounds nothing that could be measured: null says that no end is known.
    if (!(range[0] <= low && low < high && high <= range[1]))
      throw rejected(action, `a support within the range ${JSON.stringify(range)}`, JSON.stringify(support));
  }
  return {
    ...{ name, role, quantity, unit, range, support },
    ...(field.magnitude === null ? {} : { magnitude: field.magnitude }),
  };
}

function attributeField(field: FieldShape, action: string): ObservationField {
  const { name, quantity, unit, support } = field;
  if (support !== null) throw rejected(action, "a support on a measurement only", "one on role attribute");
  const attribute = attributeOf(field);
  if (Array.isArray(attribute)) {
    const [wanted, seen] = attribute as readonly [string, string];
    throw rejected(action, wanted, seen);
  }
  const rules = attribute as Attribute;
  if (unit !== null && rules.kind !== "integer")
    throw rejected(action, "a unit on a number only", `"${unit}" on ${rules.kind}`);
  return { name, role: "attribute", quantity, unit, range: null, support: null, attribute: rules };
}

function rejected(action: string, wanted: string, seen: string): PipelineError {
  return new PipelineError("contract_rejected", `${action}: expected ${wanted}, got ${seen}`);
}
