// What is wider or longer than its frame: it is scrolled with the keyboard too.

import type { ComponentChildren } from "preact";

export function Scrolled({
  name,
  children,
}: {
  /** For whoever hears it. */
  readonly name: string;
  readonly children: ComponentChildren;
}) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: whoever has only a keyboard could not scroll it
    <section class="scroll" aria-label={name} tabIndex={0}>
      {children}
    </section>
  );
}
