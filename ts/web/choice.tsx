// One of a few, as buttons in a row: what is chosen is seen, heard and reached with the arrow keys. And one of the fields, in a list that
// any number of them fits.

import { titleOf } from "./words.ts";

export function Choice({
  legend,
  name,
  options,
  value,
  onChoose,
}: {
  readonly legend: string;
  readonly name: string;
  readonly options: readonly (readonly [value: string, text: string])[];
  readonly value: string;
  readonly onChoose: (value: string) => void;
}) {
  return (
    <fieldset class="choice">
      <legend>{legend}</legend>
      {options.map(([one, text]) => (
        <label key={one} class={one === value ? "chosen" : ""}>
          <input type="radio" name={name} checked={one === value} onChange={() => onChoose(one)} />
          {text}
        </label>
      ))}
    </fieldset>
  );
}

export function FieldChoice({
  fields,
  value,
  onChoose,
}: {
  readonly fields: readonly { readonly name: string }[];
  readonly value: string;
  readonly onChoose: (name: string) => void;
}) {
  return (
    <label>
      <span>Field</span>
      <select value={value} onChange={(event) => onChoose(event.currentTarget.value)}>
        {fields.map(({ name }) => (
          <option key={name} value={name}>
            {titleOf(name)}
          </option>
        ))}
      </select>
    </label>
  );
}
