// Ctrl-C and SIGTERM as a signal for the work at hand.

/**
 * Runs the work with a signal that SIGINT or SIGTERM fires, for the reason that `onInterrupt` gives. A second one changes
 * nothing: the work is cleaning up.
 */
export async function interruptible<T>(
  work: (signal: AbortSignal) => Promise<T>,
  onInterrupt: () => unknown = () => undefined,
): Promise<T> {
  const stop = new AbortController();
  const interrupt = () => {
    if (!stop.signal.aborted) stop.abort(onInterrupt());
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  try {
    return await work(stop.signal);
  } finally {
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
  }
}
