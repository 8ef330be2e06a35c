// The table behind a chart: the same numbers, for whoever reads rather than looks.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { Scrolled } from "./scroll.tsx";

/** Rows that are laid out at once; nobody reads more. */
const ROWS_MAX = 500;

export function TableBehind({
  title,
  heads,
  rows,
}: {
  readonly title: string;
  readonly heads: readonly string[];
  /** Made when it is opened. */
  readonly rows: () => readonly (readonly ComponentChildren[])[];
}) {
  const [open, setOpen] = useState(false);
  const all = open ? rows() : [];
  return (
    <details class="behind" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{title}</summary>
      {open && (
        <Scrolled name={title}>
          <table>
            <thead>
              <tr>
                {heads.map((head, i) => (
                  <th key={head} scope="col" class={i === 0 ? "" : "figure"}>
                    {head}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {all.slice(0, ROWS_MAX).map(([first, ...others], i) => (
                <tr key={i}>
                  <th scope="row">{first}</th>
                  {others.map((cell, j) => (
                    <td key={j} class="figure">
                      {cell}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
          {all.length > ROWS_MAX && (
            <p class="note">
              The first {ROWS_MAX} of {all.length} rows.
            </p>
          )}
        </Scrolled>
      )}
    </details>
  );
}
