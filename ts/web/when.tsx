// A moment where there is little room: UTC and the reader's own time, neither broken in two.

import { momentText } from "./time.ts";

export function When({ ms }: { readonly ms: number }) {
  const [utc, own] = momentText(ms).split(" · ");
  return (
    <time dateTime={new Date(ms).toISOString()}>
      <span class="whole">{utc}</span>
      {own !== undefined && (
        <>
          {" · "}
          <span class="whole">{own}</span>
        </>
      )}
    </time>
  );
}
