// Every port and address of the services, by name, with the setting that moves or names it. Derived from services.ts; the settings
// of a command are made of these tables.

import type { Address, PortEntry, Service } from "./entry.ts";
import { SERVICES } from "./services.ts";

type Entry = (typeof SERVICES)[number];
type RangesOf<E> = E extends { ranges: readonly (infer R)[] } ? R : never;
type AddressesOf<E> = E extends { addresses: readonly (infer A)[] } ? A : never;
type EndsOf<R> = R extends { first: { name: infer F extends string }; last: { name: infer L extends string } }
  ? F | L
  : never;

/** Our own server's, which the supervisor starts. */
const API = { name: "api", number: 8000, setting: "MILLRACE_API_PORT" } as const satisfies PortEntry;

/** Every port that is opened on a fixed number. Ray opens a few more that the system picks. */
export type Port = Entry["ports"][number]["name"] | EndsOf<RangesOf<Entry>> | (typeof API)["name"];

export type Ports = Readonly<Record<Port, number>>;

/** Names of addresses in the settings. */
export type AddressName = AddressesOf<Entry>["name"];

/** What can be replaced by a cluster that already exists; another HDFS is named by the path of what lies on it. */
export type Cluster = Entry["cluster"];

/** Clusters that are started only when they are asked for. */
export type Optional = Extract<Entry, { optional: true }>["cluster"];

export const OPTIONAL: readonly Optional[] = [
  ...new Set(
    SERVICES.filter((service: Service) => service.optional).map(({ cluster }) => cluster as Optional),
  ),
];

/** Ports that belong together; each range's first and last among them. */
export function portEntries(services: readonly Service[]): PortEntry[] {
  return [
    ...services.flatMap(({ ports, ranges = [] }) => [
      ...ports,
      ...ranges.flatMap(({ first, last }) => [first, last]),
    ]),
    API,
  ];
}

export const rangesOf = (services: readonly Service[]) => services.flatMap(({ ranges = [] }) => ranges);

export const addressesOf = (services: readonly Service[]): (Address & Pick<Service, "cluster">)[] =>
  services.flatMap(({ cluster, addresses = [] }) => addresses.map((address) => ({ ...address, cluster })));

const byName = <V>(entries: readonly PortEntry[], value: (entry: PortEntry) => V) =>
  Object.freeze(Object.fromEntries(entries.map((entry) => [entry.name, value(entry)])));

export const portsOf = (services: readonly Service[]): Readonly<Record<string, number>> =>
  byName(portEntries(services), ({ number }) => number);

/** The number of each port unless a setting moves it. */
export const PORTS = portsOf(SERVICES) as Ports;

/** The setting that moves each port; what an error about a port in use names. */
export const PORT_SETTING = byName(portEntries(SERVICES), ({ setting }) => setting) as Readonly<
  Record<Port, string>
>;
