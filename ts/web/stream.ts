// The live stream as the page follows it: one connection, over which everything comes that is new. It knows where it stood and comes
// back there, so that nothing is missed; it says when it is cut, when it is whole again, and when something was missed all the same.
// Timers, connections and probes are passed in.
//
// connecting → live: the first answer. live → cut: the connection broke. A browser comes back by itself while it may; where it gives
// up (an answer that is no stream) we ask why: a position that the server does not know is given up, a session that is over is begun
// again by its person, anything else is tried again.

/** The part of an EventSource that is used. */
export interface Source {
  readonly readyState: number;
  addEventListener(
    name: string,
    listener: (event: { readonly data?: string; readonly lastEventId?: string }) => void,
  ): void;
  close(): void;
}

export interface StreamEffects {
  open(url: string): Source;
  /** Status that a stream of this address would be answered with; null without an answer. */
  probe(url: string): Promise<number | null>;
  /** Calls once after a while; returns how to call it off. */
  after(ms: number, work: () => void): () => void;
  /** The session is over: the same address asks who one is. */
  signIn(): void;
}

export interface Listener {
  event(kind: string, data: unknown, id: string): void;
  state(state: StreamState): void;
  /** What came meanwhile is lost: whoever keeps a picture asks for it again. */
  missed(): void;
}

export type StreamState = "connecting" | "live" | "cut";

/** First and longest wait before the next attempt. */
export const RETRY_MS = 1_000;
export const RETRY_MS_MAX = 30_000;
/** EventSource.CLOSED: it will not come back by itself. */
const CLOSED = 2;

export class LiveStream {
  readonly #address: string;
  readonly #kinds: readonly string[];
  readonly #effects: StreamEffects;
  readonly #listener: Listener;
  #source: Source | null = null;
  #id: string | null = null;
  #wait_ms = RETRY_MS;
  #callOff: () => void = () => undefined;
  #over = false;

  /** `address`: path and query, without a position. */
  constructor(address: string, kinds: readonly string[], effects: StreamEffects, listener: Listener) {
    this.#address = address;
    this.#kinds = kinds;
    this.#effects = effects;
    this.#listener = listener;
    listener.state("connecting");
    this.#open();
  }

  /** Where it stands; null before the first event. */
  get id(): string | null {
    return this.#id;
  }

  close(): void {
    this.#over = true;
    this.#callOff();
    this.#source?.close();
  }

  #url(): string {
    if (this.#id === null) return this.#address;
    return `${this.#address}${this.#address.includes("?") ? "&" : "?"}last_event_id=${encodeURIComponent(this.#id)}`;
  }

  #open(): void {
    if (this.#over) return;
    const source = this.#effects.open(this.#url());
    this.#source = source;
    source.addEventListener("open", () => {
      this.#wait_ms = RETRY_MS;
      this.#listener.state("live");
    });
    source.addEventListener("error", () => {
      if (this.#over) return;
      this.#listener.state("cut");
      if (source.readyState === CLOSED) void this.#again();
    });
    source.addEventListener("gap", ({ lastEventId }) => {
      this.#stands(lastEventId);
      this.#listener.missed();
    });
    for (const kind of this.#kinds)
      source.addEventListener(kind, ({ data = "null", lastEventId }) => {
        this.#stands(lastEventId);
        this.#listener.event(kind, JSON.parse(data), lastEventId ?? "");
      });
  }

  #stands(id: string | undefined): void {
    if (id) this.#id = id;
  }

  async #again(): Promise<void> {
    this.#source?.close();
    const answered = await this.#effects.probe(this.#url());
    if (answered === 401 && !this.#over) {
      this.#over = true;
      this.#effects.signIn();
      return;
    }
    const status = this.#id === null ? null : answered;
    // 400: the server is another one, or its topics were made again.
    if (status === 400) {
      this.#id = null;
      this.#listener.missed();
    }
    if (this.#over) return;
    const wait_ms = status === 400 || status === 200 ? 0 : this.#wait_ms;
    this.#wait_ms = Math.min(this.#wait_ms * 2, RETRY_MS_MAX);
    this.#callOff = this.#effects.after(wait_ms, () => {
      // Without a position nobody can say what came meanwhile.
      if (this.#id === null && status !== 400) this.#listener.missed();
      this.#open();
    });
  }
}
