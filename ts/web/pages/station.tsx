// One station.

import { route } from "../navigate.ts";
import { stations } from "../store.ts";

export function StationPage() {
  const { station } = route.value;
  return (
    <section>
      <h2>{stations.value?.get(station ?? "")?.name ?? station}</h2>
    </section>
  );
}
