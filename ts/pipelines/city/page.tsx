// The page of the city system: what the newest run of its hourly batch says, and the records as they come. It asks again by itself.

import { answer, apiOf } from "../../web/api.ts";
import { type OwnProps, useEvery } from "../../web/own.ts";
import { Scrolled } from "../../web/scroll.tsx";
import { Chart, type Line } from "../../web/station/chart.tsx";
import { TableBehind } from "../../web/table.tsx";
import { momentText, utcText } from "../../web/time.ts";
import { NONE, spanText, titleOf, unitText, valueText, withUnit } from "../../web/words.ts";

/** The figures change once an hour and the records every few minutes; a person who waits looks twice a minute. */
const EVERY_MS = 30_000;
/** An hour and the time a run takes: figures that are older have missed a run. */
const LATE_S = 2 * 3_600;
const RECORDS = 20;
const COLOURS = ["--ahead-1", "--ahead-2", "--ahead-3", "--ahead-4", "--soft"] as const;
const DASHES = [undefined, undefined, undefined, undefined, [6, 4]] as const;

async function figures() {
  const api = apiOf(null);
  const [statistics, temperature, humidity, anomalies, raw] = await Promise.all([
    answer(api.GET("/api/city-statistics")),
    answer(api.GET("/api/temperature-chart")),
    answer(api.GET("/api/humidity-chart")),
    answer(api.GET("/api/anomalies")),
    answer(api.GET("/api/raw-data", { params: { query: { limit: RECORDS } } })),
  ]);
  return { statistics, temperature, humidity, anomalies, raw };
}
type Figures = Awaited<ReturnType<typeof figures>>;

export function Page({ pipeline }: OwnProps) {
  const { answer: all, fault } = useEvery(figures, EVERY_MS);
  return (
    <section class="board own">
      <div class="bar">
        <div>
          <h2>{titleOf(pipeline)} weather</h2>
          <p class="summary">{all ? <Age of={all.statistics} /> : " "}</p>
        </div>
      </div>
      {fault !== null && (
        <p class="fault-text" role="alert">
          {all === null ? fault : `What is shown stands still: ${fault}`}
        </p>
      )}
      {all?.statistics.simulated && (
        <p class="note simulated">
          Simulated: there is no key for the provider here, so a seeded generator makes the values up.
        </p>
      )}
      {all && (
        <>
          <Statistics of={all.statistics} />
          <Hours
            title="Temperature by hour"
            of={all.temperature}
            unit={all.temperature.units["values"] ?? "1"}
          />
          <Bars of={all.statistics} />
          <Hours title="Humidity by hour" of={all.humidity} unit={all.humidity.units["values"] ?? "1"} />
          <Anomalies of={all.anomalies} />
          <Records of={all.raw} />
        </>
      )}
    </section>
  );
}

/** How old the figures are, and whether a run was missed. */
function Age({ of: { from, to, age_s, computed } }: { readonly of: Figures["statistics"] }) {
  return (
    <>
      {utcText(Date.parse(from))} to {utcText(Date.parse(to))}, computed {spanText(age_s)} ago
      {age_s > LATE_S && (
        <strong class="late">
          {" "}
          · the last run that ended well was at {momentText(Date.parse(computed))}; the page System says what
          became of the next
        </strong>
      )}
    </>
  );
}

function Statistics({ of: { cities, units } }: { readonly of: Figures["statistics"] }) {
  const columns = [
    ["temperature_mean", "Mean"],
    ["temperature_min", "Lowest"],
    ["temperature_max", "Highest"],
    ["temperature_std", "Deviation"],
    ["humidity_mean", "Humidity"],
  ] as const;
  return (
    <section class="block">
      <h3>
        Cities<small>temperature, and mean humidity</small>
      </h3>
      <Scrolled name="Statistics by city">
        <table>
          <thead>
            <tr>
              <th scope="col">City</th>
              {columns.map(([name, head]) => (
                <th key={name} scope="col" class="figure">
                  {head} <small>{unitText(units[name] ?? "1")}</small>
                </th>
              ))}
              <th scope="col" class="figure">
                Observations
              </th>
            </tr>
          </thead>
          <tbody>
            {cities.map((city) => (
              <tr key={city.city}>
                <th scope="row">{city.name}</th>
                {columns.map(([name]) => (
                  <td key={name} class="figure">
                    {valueText(city[name], units[name] ?? "1")}
                  </td>
                ))}
                <td class="figure">{city.count.toLocaleString("en-US")}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scrolled>
    </section>
  );
}

/** A line a city over the hours. */
function Hours({
  title,
  of: { hours, series },
  unit,
}: {
  readonly title: string;
  readonly of: Figures["temperature"];
  readonly unit: string;
}) {
  const times = hours.map((hour) => Date.parse(hour));
  const lines = series.map(({ name, values }, i): Line => {
    const dash = DASHES[i % DASHES.length];
    return {
      name,
      colour: COLOURS[i % COLOURS.length]!,
      ...(dash && { dash }),
      points: values.flatMap((value, j) => (value === null ? [] : [[times[j]!, value] as const])),
    };
  });
  const [first, last] = [times[0], times.at(-1)];
  return (
    <section class="block">
      <h3>{title}</h3>
      {first === undefined || last === undefined ? (
        <p class="note">No hour has a value yet.</p>
      ) : (
        <Chart
          label={`${title}: a line for each of ${series.length} cities over ${hours.length} hours`}
          unit={unitText(unit)}
          lines={lines}
          areas={[]}
          marks={[]}
          keys={[]}
          from_ms={first}
          to_ms={Math.max(last, first + 3_600_000)}
          now_ms={null}
          text={(value) => withUnit(valueText(value, unit), unit)}
        />
      )}
      <TableBehind
        title={`${title} as a table`}
        heads={["Hour", ...series.map(({ name }) => name)]}
        rows={() =>
          times
            .map((time, j) => [
              utcText(time),
              ...series.map(({ values }) => valueText(values[j] ?? null, unit)),
            ])
            .reverse()
        }
      />
    </section>
  );
}

/** Mean humidity, a bar a city; the number stands beside it. */
function Bars({ of: { cities, units } }: { readonly of: Figures["statistics"] }) {
  const unit = units["humidity_mean"] ?? "1";
  return (
    <section class="block">
      <h3>Mean humidity</h3>
      <ul class="bars">
        {cities.map(({ city, name, humidity_mean }) => (
          <li key={city}>
            <span class="of">{name}</span>
            <span class="track" aria-hidden="true">
              <i class="stretch dap" style={{ left: "0%", width: `${Math.min(100, humidity_mean ?? 0)}%` }} />
            </span>
            <b>{humidity_mean === null ? NONE : withUnit(valueText(humidity_mean, unit), unit)}</b>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Anomalies({ of: { anomalies } }: { readonly of: Figures["anomalies"] }) {
  return (
    <section class="block">
      <h3>
        Far off<small>more than three standard deviations from the city's mean</small>
      </h3>
      {anomalies.length === 0 ? (
        <p class="note">No value of these hours is.</p>
      ) : (
        <Scrolled name="Values far off">
          <table>
            <thead>
              <tr>
                <th scope="col">When</th>
                <th scope="col">City</th>
                <th scope="col">What</th>
                <th scope="col" class="figure">
                  Value
                </th>
                <th scope="col" class="figure">
                  Usual
                </th>
                <th scope="col" class="figure">
                  Deviations
                </th>
              </tr>
            </thead>
            <tbody>
              {anomalies
                .slice(-RECORDS)
                .reverse()
                .map((one) => (
                  <tr key={`${one.city} ${one.time} ${one.field}`}>
                    <th scope="row">{utcText(Date.parse(one.time))}</th>
                    <td>{one.name}</td>
                    <td>{titleOf(one.field)}</td>
                    <td class="figure">{withUnit(valueText(one.value, one.unit), one.unit)}</td>
                    <td class="figure">{withUnit(valueText(one.mean, one.unit), one.unit)}</td>
                    <td class="figure">{valueText(one.sigmas, "1")}</td>
                  </tr>
                ))}
            </tbody>
          </table>
        </Scrolled>
      )}
      {anomalies.length > RECORDS && (
        <p class="note">
          The newest {RECORDS} of {anomalies.length}.
        </p>
      )}
    </section>
  );
}

function Records({ of: { records, units } }: { readonly of: Figures["raw"] }) {
  const fields = Object.keys(units);
  return (
    <section class="block">
      <h3>
        Newest records<small>as they lie on HDFS</small>
      </h3>
      {records.length === 0 ? (
        <p class="note">None has come yet.</p>
      ) : (
        <Scrolled name="Newest records">
          <table>
            <thead>
              <tr>
                <th scope="col">When</th>
                <th scope="col">City</th>
                {fields.map((field) => (
                  <th key={field} scope="col" class="figure">
                    {titleOf(field)} <small>{unitText(units[field] ?? "1")}</small>
                  </th>
                ))}
                <th scope="col">Weather</th>
              </tr>
            </thead>
            <tbody>
              {records.map((record) => {
                const values = record as unknown as Readonly<Record<string, number | null>>;
                return (
                  <tr key={`${record.city} ${record.timestamp}`}>
                    <th scope="row">{utcText(Date.parse(String(record.timestamp)))}</th>
                    <td>{record.name}</td>
                    {fields.map((field) => (
                      <td key={field} class="figure">
                        {valueText(values[field], units[field] ?? "1")}
                      </td>
                    ))}
                    <td>
                      {record.description ?? NONE}
                      {record.simulated && <small> simulated</small>}
                    </td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </Scrolled>
      )}
    </section>
  );
}
