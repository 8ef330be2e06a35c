// All stations.

import { PageLink } from "../app.tsx";
import { linkTo } from "../navigate.ts";
import { stations } from "../store.ts";

export function MapPage() {
  return (
    <section>
      <h2>Stations</h2>
      <ul>
        {[...(stations.value?.values() ?? [])].map((one) => (
          <li key={one.station_id}>
            <PageLink href={linkTo({ page: "station", station: one.station_id })}>{one.name}</PageLink>
          </li>
        ))}
      </ul>
    </section>
  );
}
