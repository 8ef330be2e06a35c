// A link within the page: followed without loading it again (navigate.ts).

import type { ComponentChildren } from "preact";

export function PageLink({
  href,
  current = false,
  class: name,
  children,
}: {
  readonly href: string;
  readonly current?: boolean;
  readonly class?: string;
  readonly children: ComponentChildren;
}) {
  return (
    <a href={href} data-page aria-current={current ? "page" : undefined} class={name}>
      {children}
    </a>
  );
}
