// What everything of a home costs over a stretch of time: the largest sum of memory, and each process at that moment.

import { belonging, costs, type ProcessCost } from "../../ground/cost.ts";

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

  /** Cores that all processes together used over the whole stretch; what one used that ended before its end is not in it. */
  get cores(): number {
    return this.#last.reduce((sum, cost) => sum + this.#used(cost), 0) / this.#wall_ms;
  }

  /** Each process at the moment of the peak, and the cores it used over the whole stretch, by kinds of its threads too. */
  report() {
    const last = new Map(this.#last.map((cost) => [cost.pid, cost]));
    return this.#peak.map(({ pid, command, pss_bytes }) => {
      const cost = last.get(pid);
      return {
        command: command.slice(0, 160),
        pss_mb: Math.round(pss_bytes / 1e6),
        cores: cost ? rounded(this.#used(cost) / this.#wall_ms) : null,
        threads: cost ? this.#threads(cost) : {},
      };
    });
  }

  get #wall_ms(): number {
    return this.#last_ms - this.#first_ms;
  }

  #used({ pid, cpu_ms }: ProcessCost): number {
    return cpu_ms - (this.#first.get(pid)?.cpu_ms ?? 0);
  }

  /** Cores by kind of thread, largest first; what is below half a hundredth is left out. */
  #threads({ pid, threads }: ProcessCost): Readonly<Record<string, number>> {
    const before = new Map(this.#first.get(pid)?.threads.map(({ tid, cpu_ms }) => [tid, cpu_ms]));
    const cores = [...Map.groupBy(threads, ({ kind }) => kind)].map(([kind, rows]) => {
      const used_ms = rows.reduce((sum, { tid, cpu_ms }) => sum + cpu_ms - (before.get(tid) ?? 0), 0);
      return [kind, rounded(used_ms / this.#wall_ms)] as const;
    });
    return Object.fromEntries(cores.filter(([, used]) => used >= 0.005).sort(([, a], [, b]) => b - a));
  }
}

const rounded = (cores: number): number => Number(cores.toFixed(3));
