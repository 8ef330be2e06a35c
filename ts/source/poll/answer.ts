// What an answer is worth: something to read, nothing new, or a failure, with whose it is and a reason for people. Pure.

import type { Got } from "../../ground/get.ts";
import { complaintOf } from "../feeds/json.ts";
import { retryAfterOf } from "./pace.ts";

export interface Failure {
  readonly kind: "failure";
  /**
   * `limit`: whoever asks for anything else meets it too. `refused`: the same, and nothing changes before somebody changes the
   * settings. `nobody`: no answer, so that the rest of a round is not tried. `place`: what was asked for is at fault, or may be.
   * `gone`: the provider does not know the place.
   */
  readonly whose: "limit" | "refused" | "nobody" | "place" | "gone";
  readonly reason: string;
  /** What the provider asks us to wait; null when it does not say. */
  readonly retry_after_ms: number | null;
}

export type Worth =
  | { readonly kind: "body"; readonly body: Buffer }
  | { readonly kind: "unchanged" }
  | Failure;

export function worthOf(got: Got, now_ms: number): Worth {
  const failed = (whose: Failure["whose"], reason: string): Failure => ({
    kind: "failure",
    whose,
    reason,
    retry_after_ms: got.kind === "answer" ? retryAfterOf(got.headers["retry-after"], now_ms) : null,
  });
  if (got.kind === "none") return failed("nobody", `expected an answer, but ${got.reason}`);
  const { status, headers, body } = got;
  const complaint = complaintOf(body);
  const said = complaint === null ? "" : `: ${complaint}`;
  if (status === 200) return { kind: "body", body };
  if (status === 304) return { kind: "unchanged" };
  if (status >= 300 && status < 400)
    return failed(
      "refused",
      `expected an answer, got a redirect (HTTP ${status}) to ${pathOf(headers["location"])}; none is followed: set the feed's new address with --url`,
    );
  if (status === 401 || status === 403)
    return failed(
      "refused",
      `expected to be let in, got HTTP ${status}${said}; see that the key is right and pays for this, and that --contact says who asks`,
    );
  if (status === 429) return failed("limit", `it says that we ask too often (HTTP 429)${said}`);
  if (status >= 400 && status < 500)
    return failed("gone", `expected an observation, got HTTP ${status}${said}`);
  return failed("place", `expected an answer, got HTTP ${status}${said}`);
}

/** An address without what may be secret in it. */
function pathOf(location: string | undefined): string {
  return location === undefined ? "nowhere" : `"${location.replace(/[?#].*$/, "").slice(0, 200)}"`;
}
