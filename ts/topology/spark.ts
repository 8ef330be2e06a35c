// What every JVM of Spark gets beside its own options, on every substrate.

/**
 * The archive of classes is mapped where its pointers say. By default a JVM moves it to a random place, and by that writes to every
 * page of it: 160 MB of its own for each JVM instead of pages that all share. What that hides from an attacker of a JVM is not at
 * stake on a loopback address, nor on a network of our own containers.
 */
const IN_PLACE = ["-XX:+UnlockDiagnosticVMOptions", "-XX:ArchiveRelocationMode=0"];

/**
 * Read by the JVMs of the daemons, and of the drivers and executors that a worker starts; JDK_JAVA_OPTIONS stays a person's. The
 * archive of classes is made at set-up (infra/local/spark/shared_classes.py); a JVM that cannot use it starts without it.
 */
export function sparkJavaOptions({
  logging,
  archive,
}: {
  /** URL of a file of Log4j's properties. */
  readonly logging: string;
  /** Null where there is none. */
  readonly archive: string | null;
}): string {
  return [
    `-Dlog4j2.configurationFile=${logging}`,
    ...(archive === null ? [] : [`-XX:SharedArchiveFile=${archive}`, ...IN_PLACE]),
  ]
    .map((option) => `"${option}"`)
    .join(" ");
}
