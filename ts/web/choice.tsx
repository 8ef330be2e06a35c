// One of a few, as buttons in a row: what is chosen is seen, heard and reached with the arrow keys.

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
