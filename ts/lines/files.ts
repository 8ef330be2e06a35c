// What writers and readers of lines need of a file system of names: HDFS through WebHDFS (webhdfs.ts), in tests one in memory. Paths
// are below a root, without a slash before them. Every change is whole or not at all, and the NameNode puts them in an order.

export interface Entry {
  readonly name: string;
  readonly folder: boolean;
  /** Bytes of a file. */
  readonly length: number;
}

/** Bytes of a file, from `offset` inclusive; it may end before them. */
export interface Stretch {
  readonly offset: number;
  readonly length: number;
}

/** Errors of all: `store_unreachable`. */
export interface Files {
  /** Where it is, for messages. */
  readonly address: string;
  /** What lies in a folder, by name; nothing without it. */
  list(folder: string): Promise<readonly Entry[]>;
  /** A file's text, or that of a stretch of its bytes; null without it. */
  read(path: string, stretch?: Stretch): Promise<string | null>;
  /** Writes a file as a whole, over one of that name. A reader may see it before it is whole. */
  write(path: string, text: string): Promise<void>;
  /** Whether the file has the new name now; false where that is taken, or there is no such file. */
  rename(path: string, to: string): Promise<boolean>;
  /** Puts a file's bytes at the end of another of the same folder, and takes the file away; false where one of them is not there. */
  concat(path: string, source: string): Promise<boolean>;
  remove(path: string): Promise<void>;
}
