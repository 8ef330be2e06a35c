// The poll loop, one for all feeds: asks, sends what is new, waits. Prose before code, because the order is what makes it true:
//   1. A round takes the requests that are due and that the quota leaves, and commits that they are being made: a process that is
//      killed and started again in a circle still keeps the quota, and its distance to the round before.
//   2. Each request is made once. One that fails is asked again after a longer and longer pause; when nothing answers any more the
//      circuit opens (pace.ts).
//   3. What is new by its key's time goes out in event-time order, each transaction with how far the source then stands.
//   4. Only then is an ETag remembered: had it been before, a kill in between would make "not modified" lose what was in it.
// Knows no provider, no Kafka, and no clock but the one it is given.

import type { Clock } from "../../ground/clock.ts";
import { type Get, redacted, type Secret } from "../../ground/get.ts";
import { type Asked, type Feed, type Parsed, type Place, type Problem, Unusable } from "../feeds/feed.ts";
import type { SourceContract } from "../formats/cells.ts";
import type { Observation } from "../row.ts";
import { type Failure, worthOf } from "./answer.ts";
import type { Delivery } from "./deliver.ts";
import { type Observe, observerOf, wantedOf } from "./observe.ts";
import { CIRCUIT_FAILURES, isOpen, jittered, pauseAfter } from "./pace.ts";
import { type PollPlan, spanWords } from "./plan.ts";
import { Quota } from "./quota.ts";
import { bounded, START, type Standpoint } from "./token.ts";

export interface PollOptions {
  readonly feed: Feed;
  readonly plan: PollPlan;
  readonly contract: SourceContract;
  /** Most event time a transaction covers. */
  readonly span_ms: number;
  /** How far a record may lie behind the newest one and still count. */
  readonly lateness_ms: number;
  readonly key: string | null;
  /** Who asks: name, version, and how to reach whoever runs it. */
  readonly agent: string;
  readonly limit_ms?: number;
}

export interface PollEffects {
  readonly clock: Clock;
  /** From 0 inclusive to 1 exclusive. */
  random(): number;
  readonly get: Get;
  readonly delivery: Delivery;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Longest wait for one answer, to its last byte. The slowest provider takes a few seconds for fifty places. */
const LIMIT_MS = 20_000;
/** How far an observation may lead this machine's clock: feeds stamp by the minute, and clocks that are set by NTP differ by less. */
const SKEW_MS = 300_000;
/** What is older is no news of a live feed. */
const OLD_MS = 86_400_000;
/** A place that the provider does not know is asked for again by the hour: a station may come back. */
const GONE_MS = 3_600_000;
/** Who asks once waits no longer than this for a quota or for the distance to an earlier round. */
const ONCE_MS = 120_000;
/** Rows of a transaction, as a replay's. */
const ROWS_MAX = 1_000;
/** The header by which a stand-in says that it is one. */
export const MADE_UP = "millrace-made-up";
/** Lines that are remembered as told; a feed of broken vehicles cannot fill the memory. */
const TOLD_MAX = 2_000;

interface Target {
  readonly places: readonly Place[];
  readonly words: string;
  due_ms: number;
  failures: number;
  validators: Readonly<Record<string, string>>;
}

/** Counts since the source began, and how it stands. */
export interface PollState {
  /** What is not as it should be, in words; null when all is well. */
  readonly message: string | null;
  /** Why nothing is answered; null while something is. */
  readonly failure: string | null;
  readonly counters: Readonly<Record<string, number>>;
}

export class Poll {
  readonly #options: PollOptions;
  readonly #effects: PollEffects;
  readonly #targets: Target[];
  readonly #observe: Observe;
  readonly #wanted: readonly string[];
  readonly #secret: Secret | null;
  readonly #told = new Map<string, string>();
  #quota: Quota;
  #standpoint: Standpoint = START;
  #newest_ms: number | null = null;
  /** Failures in a row of all that was asked, and until when nothing is asked after one. */
  #failures = 0;
  #blocked_ms = 0;
  #reason: string | null = null;
  /** Whether a stand-in answers. */
  #madeUp = false;
  #counts = {
    ...{ rounds: 0, requests: 0, not_modified: 0, failed_requests: 0, bytes: 0 },
    ...{ rows: 0, repeats: 0, refused_rows: 0, late_rows: 0, bad_values: 0 },
  };

  constructor(options: PollOptions, effects: PollEffects) {
    const { feed, plan, contract, key } = options;
    this.#options = options;
    this.#effects = effects;
    this.#observe = observerOf(contract);
    this.#wanted = wantedOf(contract);
    this.#secret =
      feed.key === undefined || key === null ? null : { parameter: feed.key.parameter, value: key };
    this.#quota = new Quota(feed.limits);
    this.#targets = plan.groups.map((places) => ({
      ...{
        places,
        words: places.map((place) => place.key || place.at).join(", "),
        due_ms: 0,
        failures: 0,
        validators: {},
      },
    }));
  }

  /** Asks until the signal fires. Errors: those of the delivery. */
  async run(): Promise<void> {
    const { clock, signal } = this.#effects;
    await this.#open();
    try {
      while (!signal.aborted) {
        const next_ms = this.#nextMs();
        if (next_ms > clock.nowMs()) await clock.until(next_ms, signal);
        else await this.#round();
      }
    } finally {
      await this.#effects.delivery.close();
    }
  }

  /**
   * Asks for everything once, as far as it answers and its quota leaves it soon. Resolves to whether anything was answered.
   * Errors: those of the delivery.
   */
  async once(): Promise<boolean> {
    const { clock, signal } = this.#effects;
    await this.#open();
    try {
      const left = new Set(this.#targets);
      while (!signal.aborted && left.size > 0 && this.#failures === 0) {
        const next_ms = this.#nextMs(left);
        if (next_ms > clock.nowMs() + ONCE_MS) break;
        if (next_ms > clock.nowMs()) await clock.until(next_ms, signal);
        else for (const target of await this.#round(left)) left.delete(target);
      }
      return this.#counts.requests > this.#counts.failed_requests;
    } finally {
      await this.#effects.delivery.close();
    }
  }

  state(): PollState {
    const now_ms = this.#effects.clock.nowMs();
    const left = this.#quota.left(now_ms);
    const silent = this.#options.feed.at === "url" ? 0 : this.#silent(now_ms).length;
    return {
      message: this.#message(now_ms),
      failure: this.#reason,
      counters: {
        ...this.#counts,
        every_ms: Math.round(this.#options.plan.every_ms),
        stale_after_ms: Math.round(Math.max(this.#options.feed.stale_ms, 2.5 * this.#options.plan.every_ms)),
        keys: this.#standpoint.sent.size,
        silent_places: silent,
        circuit_open: isOpen(this.#failures) ? 1 : 0,
        ...(left === null ? {} : { calls_left: left }),
        ...(this.#newest_ms === null ? {} : { lag_ms: Math.max(0, Math.round(now_ms - this.#newest_ms)) }),
      },
    };
  }

  async #open(): Promise<void> {
    const { feed } = this.#options;
    this.#standpoint = await this.#effects.delivery.open();
    this.#quota = new Quota(feed.limits, this.#standpoint.ledger);
    for (const time of this.#standpoint.sent.values())
      this.#newest_ms = Math.max(this.#newest_ms ?? time, time);
    // Whoever is started again and again still keeps the feed's shortest distance.
    const first_ms = (this.#standpoint.asked_ms ?? Number.NEGATIVE_INFINITY) + feed.every_ms_min;
    for (const target of this.#targets) target.due_ms = Math.max(this.#effects.clock.nowMs(), first_ms);
  }

  /** When there is something to do: a request is due, the feed may be asked, and the quota leaves a call. */
  #nextMs(among: Iterable<Target> = this.#targets): number {
    const now_ms = this.#effects.clock.nowMs();
    const due = [...among].reduce((first, target) => (target.due_ms < first.due_ms ? target : first));
    const start_ms = Math.max(due.due_ms, this.#blocked_ms);
    return Math.max(start_ms, this.#quota.freeAt(this.#cost(due), now_ms));
  }

  #cost = ({ places }: Target): number => this.#options.feed.cost(places.length);

  /** Resolves to the requests it made. */
  async #round(among: Iterable<Target> = this.#targets): Promise<readonly Target[]> {
    const { clock, random, delivery, signal } = this.#effects;
    const began_ms = clock.nowMs();
    const taken: Target[] = [];
    // Who has failed comes last, so that it holds up nobody.
    for (const target of [...among].sort((a, b) => a.failures - b.failures)) {
      if (target.due_ms > began_ms || this.#quota.freeAt(this.#cost(target), began_ms) > began_ms) continue;
      this.#quota.take(this.#cost(target), began_ms);
      taken.push(target);
      // After an open circuit one request shows whether all the others are worth making.
      if (isOpen(this.#failures)) break;
    }
    this.#standpoint = { ...this.#standpoint, asked_ms: Math.floor(began_ms), ledger: this.#quota.ledger() };
    await delivery.commit([], this.#standpoint);
    this.#counts.rounds++;
    const next_ms = began_ms + jittered(this.#options.plan.every_ms, random());
    const read: {
      readonly target: Target;
      readonly parsed: Parsed;
      readonly validators: Target["validators"];
    }[] = [];
    const failed: { readonly target: Target; readonly failure: Failure }[] = [];
    let answered = 0;
    for (const target of taken) {
      if (signal.aborted) break;
      const outcome = await this.#ask(target);
      if (signal.aborted && "failure" in outcome) break;
      if ("failure" in outcome) {
        failed.push({ target, failure: outcome.failure });
        // Whoever does not answer, or says that it is too much, is not asked for the rest.
        if (["limit", "refused", "nobody"].includes(outcome.failure.whose)) break;
        continue;
      }
      answered++;
      target.failures = 0;
      target.due_ms = next_ms;
      if (outcome.parsed === null) this.#counts.not_modified++;
      else read.push({ target, parsed: outcome.parsed, validators: outcome.validators });
    }
    await this.#send(read.map(({ parsed }) => parsed));
    for (const { target, validators } of read) target.validators = validators;
    this.#settle(answered, failed);
    return taken;
  }

  async #ask(
    target: Target,
  ): Promise<
    | { readonly failure: Failure }
    | { readonly parsed: Parsed | null; readonly validators: Target["validators"] }
  > {
    const { feed, plan, agent, limit_ms = LIMIT_MS } = this.#options;
    const { clock, get, signal } = this.#effects;
    const asked: Asked = {
      places: target.places,
      since: this.#standpoint.sent,
      wanted: this.#wanted,
      now_ms: clock.nowMs(),
      origin: plan.origin,
    };
    const { url, headers } = feed.request(asked);
    this.#counts.requests++;
    const got = await get({
      url,
      headers: { "User-Agent": agent, Accept: "application/json", ...headers, ...target.validators },
      secret: this.#secret,
      bytes_max: feed.bytes_max,
      limit_ms,
      signal,
    });
    if (got.kind === "answer") {
      this.#madeUp = got.headers[MADE_UP] !== undefined;
      this.#counts.bytes += got.body.length;
      this.#compareClocks(got.headers["date"], clock.nowMs());
    }
    const worth = worthOf(got, clock.nowMs());
    if (worth.kind === "failure") return { failure: this.#redact(worth) };
    if (worth.kind === "unchanged") return { parsed: null, validators: target.validators };
    try {
      const parsed = feed.parse(worth.body, asked);
      return { parsed, validators: got.kind === "answer" ? validatorsOf(got.headers) : {} };
    } catch (error) {
      if (!(error instanceof Unusable)) throw error;
      return {
        failure: this.#redact({
          kind: "failure",
          whose: "place",
          reason: error.message,
          retry_after_ms: null,
        }),
      };
    }
  }

  /** A provider may echo what it was sent. */
  #redact = (failure: Failure): Failure => ({ ...failure, reason: redacted(failure.reason, this.#secret) });

  /** What failed is asked again later: one place alone, or all of the feed when nothing of a round was answered. */
  #settle(answered: number, failed: readonly { readonly target: Target; readonly failure: Failure }[]): void {
    const { clock, log, random } = this.#effects;
    const { every_ms_min } = this.#options.feed;
    const now_ms = clock.nowMs();
    this.#counts.failed_requests += failed.length;
    // One place of many may stumble for hours. The feed has failed when it says so, when one that was well gets no answer before any
    // other had one, or when none is well.
    const well = new Set(this.#targets.filter(({ failures }) => failures === 0));
    for (const { target } of failed) target.failures++;
    const none = this.#targets.every(({ failures }) => failures > 0);
    const worst = failed.find(({ target, failure: { whose } }) => {
      if (whose === "nobody") return none || (answered === 0 && well.has(target));
      return whose === "limit" || whose === "refused" || (none && whose === "place");
    });
    for (const { target, failure } of failed) {
      const { whose, reason, retry_after_ms } = failure;
      const pause_ms = Math.max(
        every_ms_min,
        whose === "gone" ? GONE_MS : pauseAfter(target.failures, retry_after_ms, random()),
      );
      target.due_ms = now_ms + pause_ms;
      if (worst === undefined || whose === "gone")
        this.#tell(
          `place ${target.words}`,
          `${target.words}: ${reason}; the others go on, it is asked again at ${clockWords(target.due_ms)}`,
          reason,
        );
    }
    if (worst !== undefined) {
      const { whose, reason, retry_after_ms } = worst.failure;
      // What only a person can mend is not tried again and again first.
      this.#failures = Math.max(this.#failures + 1, whose === "refused" ? CIRCUIT_FAILURES : 1);
      this.#blocked_ms =
        now_ms + Math.max(every_ms_min, pauseAfter(this.#failures, retry_after_ms, random()));
      this.#reason = reason;
      // The pause of the whole feed holds; none of its places adds one of its own.
      for (const { target, failure } of failed)
        if (failure.whose !== "gone") target.due_ms = this.#blocked_ms;
      const open = isOpen(this.#failures) ? "the circuit is open: " : "";
      log(`${open}${reason}; asked again at ${clockWords(this.#blocked_ms)}`);
    } else if (answered > 0) {
      if (this.#failures > 0)
        log(`it answers again${isOpen(this.#failures) ? ": the circuit is closed" : ""}`);
      this.#failures = 0;
      this.#blocked_ms = 0;
      this.#reason = null;
      for (const { words, failures } of this.#targets)
        if (failures === 0) this.#told.delete(`place ${words}`);
    }
  }

  /** Sends what is new of some answers, in event-time order. */
  async #send(answers: readonly Parsed[]): Promise<void> {
    const fresh = answers.flatMap((parsed) => this.#fresh(parsed)).sort((a, b) => a.time - b.time);
    const { span_ms, lateness_ms } = this.#options;
    let held: Observation[] = [];
    const flush = async (): Promise<void> => {
      if (held.length === 0) return;
      const sent = new Map(this.#standpoint.sent);
      for (const { key, time } of held) sent.set(key, time);
      this.#standpoint = bounded({ ...this.#standpoint, sent });
      await this.#effects.delivery.commit(held, this.#standpoint);
      this.#counts.rows += held.length;
      held = [];
    };
    for (const observation of fresh) {
      if (held.length >= ROWS_MAX || (held.length > 0 && observation.time - held[0]!.time > span_ms))
        await flush();
      if (this.#newest_ms !== null && observation.time < this.#newest_ms - lateness_ms)
        this.#counts.late_rows++;
      this.#newest_ms = Math.max(this.#newest_ms ?? observation.time, observation.time);
      held.push(observation);
    }
    await flush();
  }

  /** Observations of one answer that were not sent yet and may be. */
  #fresh({ readings, problems }: Parsed): Observation[] {
    const now_ms = this.#effects.clock.nowMs();
    for (const problem of problems) this.#problem(problem);
    const fresh: Observation[] = [];
    const newest = new Map<string, number>();
    const taken = new Set<string>();
    const refuse = (key: string, reason: string): void => this.#problem({ key, field: null, reason });
    for (const reading of readings) {
      const observation = this.#observe(reading, (problem) => this.#problem(problem));
      if (observation === null) continue;
      const { key, time } = observation;
      if (time > now_ms + SKEW_MS) {
        refuse(
          key,
          `its time ${timeWords(time)} is ${spanWords(time - now_ms)} ahead of this machine's clock: a clock is wrong, the feed's or ours`,
        );
        continue;
      }
      if (time < now_ms - OLD_MS) {
        refuse(key, `its time ${timeWords(time)} is more than a day ago: no news`);
        continue;
      }
      newest.set(key, Math.max(newest.get(key) ?? time, time));
      const sent_ms =
        this.#standpoint.sent.get(key) ?? this.#standpoint.forgotten_ms ?? Number.NEGATIVE_INFINITY;
      const identity = `${time} ${key}`;
      if (time <= sent_ms || taken.has(identity)) {
        this.#counts.repeats++;
        continue;
      }
      taken.add(identity);
      fresh.push(observation);
    }
    for (const [key, time] of newest) {
      const sent_ms = this.#standpoint.sent.get(key);
      if (sent_ms !== undefined && time < sent_ms)
        refuse(
          key,
          `its newest time ${timeWords(time)} is before ${timeWords(sent_ms)}, which was sent: its time went backwards, nothing of it is sent`,
        );
    }
    return fresh;
  }

  #problem({ key, field, reason }: Problem): void {
    if (field === null) this.#counts.refused_rows++;
    else this.#counts.bad_values++;
    const subject = [key, field].filter((word) => word !== null && word !== "").join(" ");
    // Times and numbers differ at every round; what is wrong does not.
    this.#tell(
      `${subject} problem`,
      subject === "" ? reason : `${subject}: ${reason}`,
      reason.replaceAll(/\d+/g, "#"),
    );
  }

  #compareClocks(date: string | undefined, now_ms: number): void {
    const theirs_ms = date === undefined ? Number.NaN : Date.parse(date);
    if (!(Math.abs(theirs_ms - now_ms) > SKEW_MS)) return;
    const word = now_ms > theirs_ms ? "ahead of" : "behind";
    this.#tell(
      "clock",
      `this machine's clock is ${spanWords(Math.abs(theirs_ms - now_ms))} ${word} the feed's server: set it (NTP)`,
      word,
    );
  }

  /** Logs a line once for as long as what it says is the same. */
  #tell(subject: string, line: string, meaning: string): void {
    if (this.#told.get(subject) === meaning) return;
    if (this.#told.size >= TOLD_MAX) this.#told.clear();
    this.#told.set(subject, meaning);
    this.#effects.log(redacted(line, this.#secret));
  }

  /** Places without an observation of late. */
  #silent(now_ms: number): string[] {
    const { feed, plan } = this.#options;
    return plan.groups.flat().flatMap(({ key }) => {
      const sent_ms = this.#standpoint.sent.get(key);
      return sent_ms !== undefined && now_ms - sent_ms <= feed.stale_ms ? [] : [key];
    });
  }

  #message(now_ms: number): string | null {
    const { feed, plan } = this.#options;
    if (this.#failures > 0) {
      const times = this.#failures === 1 ? "once" : `${this.#failures} times in a row`;
      const state = isOpen(this.#failures) ? "the circuit is open" : `failed ${times}`;
      return `${state}: ${this.#reason}; asked again at ${clockWords(this.#blocked_ms)}`;
    }
    const due = this.#targets.filter(({ due_ms }) => due_ms <= now_ms);
    const [first] = due;
    const free_ms = first === undefined ? now_ms : this.#quota.freeAt(this.#cost(first), now_ms);
    if (free_ms > now_ms) return `its quota is used up; asked again at ${clockWords(free_ms)}`;
    if (this.#counts.rounds === 0) return null;
    if (this.#newest_ms === null) return "it answers, but has had no observation yet";
    if (now_ms - this.#newest_ms > feed.stale_ms)
      return `it answers, but with nothing new: its newest observation is of ${timeWords(this.#newest_ms)}, ${spanWords(now_ms - this.#newest_ms)} ago`;
    if (this.#madeUp)
      return `its answers are made up: a stand-in gives them at ${plan.origin}, in the form of ${feed.name}`;
    if (feed.at === "url") return null;
    const silent = this.#silent(now_ms);
    const shown = silent.slice(0, 5).join(", ");
    return silent.length === 0
      ? null
      : `${silent.length} of ${plan.groups.flat().length} places have had nothing new for ${spanWords(feed.stale_ms)}: ${shown}${silent.length > 5 ? " …" : ""}`;
  }
}

function validatorsOf(headers: Readonly<Record<string, string>>): Record<string, string> {
  const { etag, "last-modified": modified } = headers;
  return {
    ...(etag === undefined ? {} : { "If-None-Match": etag }),
    ...(modified === undefined ? {} : { "If-Modified-Since": modified }),
  };
}

const timeWords = (ms: number): string => new Date(ms).toISOString().replace(".000Z", "Z");
const clockWords = (ms: number): string => timeWords(Math.ceil(ms / 1000) * 1000);
