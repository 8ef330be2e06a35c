// What everything of a home costs over a stretch of time: the largest sum of memory, and each process at that moment.

import { belonging, costs, type ProcessCost } from "./processes.ts";

export const GB = 1e9;

/** Memory and CPU of everything of a home but the bench itself. */
export class Memory {
  readonly #home: string;
  readonly #counts: (process: ProcessCost) => boolean;
  #peak: readonly ProcessCost[] = [];
  #first: ReadonlyMap<number, ProcessCost> = new Map();
  #last: readonly ProcessCost[] = [];
  #first_ms = 0;
  #last_ms = 0;
  peak_bytes = 0;
  readonly totals_gb: number[] = [];

  /** `counts`: which of the home's processes; all by default. */
  constructor(home: string, counts: (process: ProcessCost) => boolean = () => true) {
    this.#home = home;
    this.#counts = counts;
  }

  sample(): void {
    const now = costs(belonging(this.#home), new Set([process.pid])).filter(this.#counts);
    const total = now.reduce((sum, { pss_bytes }) => sum + pss_bytes, 0);
    this.totals_gb.push(Number((total / GB).toFixed(3)));
    if (this.#first.size === 0) {
      this.#first = new Map(now.map((cost) => [cost.pid, cost]));
      this.#first_ms = performance.now();
    }
    this.#last = now;
    this.#last_ms = performance.now();
    if (total <= this.peak_bytes) return;
    this.peak_bytes = total;
    this.#peak = now;
  }

  /** Calls `sample` every so often while the work goes on. */
  async during<T>(every_ms: number, work: () => Promise<T>): Promise<T> {
    const timer = setInterval(() => this.sample(), every_ms);
    try {
      return await work();
    } finally {
      clearInterval(timer);
    }
  }

  /** Each process at the moment of the peak, and its share of one core over the whole stretch. */
  report() {
    const wall_ms = this.#last_ms - this.#first_ms;
    const last = new Map(this.#last.map((cost) => [cost.pid, cost]));
    return this.#peak.map(({ pid, command, pss_bytes }) => {
      const used = (last.get(pid)?.cpu_ms ?? Number.NaN) - (this.#first.get(pid)?.cpu_ms ?? 0);
      return {
        command: command.slice(0, 160),
        pss_mb: Math.round(pss_bytes / 1e6),
        cores: Number((used / wall_ms).toFixed(3)),
      };
    });
  }
}
