# Makes the two bundled samples from the full public data sets, byte for byte the same each time.
# Sits before everything else: its output is what `millrace replay` and `millrace backfill --file` read. It converts
# units to the contract's (schemas/avro/records/weather_observation.avsc) and joins one file a variable into one row a
# reading. It repairs nothing: frozen feeds, datum flips and spikes of the originals stay in. Standard library only.
"""Usage: python3 samples/make.py DATA_DIR [OUT_DIR]

DATA_DIR holds kaggle-hourly-weather/ and singapore-1min/ as described in samples/README.md.
"""

import csv
import gzip
import io
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

COLUMNS = (
    "station_id",
    "timestamp",
    "temperature",
    "humidity",
    "pressure",
    "wind_speed",
    "wind_direction",
    "precipitation",
)

# The US sample: start inclusive, end exclusive, UTC.
US_FROM, US_TO = "2015-01-01 00:00:00", "2017-03-01 00:00:00"
US_VARIABLES = ("temperature", "humidity", "pressure", "wind_speed")

# The three fullest consecutive UTC days of the set by readings of temperature, humidity and wind: 20 stations.
SINGAPORE_DAYS = ("2017-03-07", "2017-03-08", "2017-03-09")
KNOT_M_PER_S = 1852 / 3600

Cells = dict[tuple[str, str], dict[str, str]]


def text(value: float, digits: int) -> str:
    """Shortest decimal text of a value rounded to `digits`; no exponent, no minus zero."""
    rounded = round(value, digits) + 0.0
    return f"{rounded:.{digits}f}".rstrip("0").rstrip(".")


def wide(path: Path) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Rows of a file with one column a station: (time as written, [(station, value)]), empty cells left out."""
    with gzip.open(path, "rt", newline="") as file:
        rows = csv.reader(file)
        _, *stations = next(rows)
        for time, *values in rows:
            yield time, [(station, value) for station, value in zip(stations, values, strict=True) if value]


def stations_of(path: Path) -> set[str]:
    with gzip.open(path, "rt", newline="") as file:
        return set(next(csv.reader(file))[1:])


def us_cities(folder: Path) -> Cells:
    """Hourly readings of the US cities that have all four variables. Kelvin becomes degrees Celsius."""
    with (folder / "city_attributes.csv").open(newline="") as file:
        cities = {row["City"] for row in csv.DictReader(file) if row["Country"] == "United States"}
    files = {name: folder / "full" / f"{name}.csv.gz" for name in US_VARIABLES}
    for path in files.values():
        cities &= stations_of(path)
    # Directions exist for the last three months only; before them the column is empty.
    files["wind_direction"] = folder / "all-six-variables-from-2016-12" / "wind_direction.csv.gz"
    cells: Cells = {}
    for name, path in files.items():
        for time, values in wide(path):
            if not US_FROM <= time < US_TO:
                continue
            for city, value in values:
                if city in cities:
                    number = float(value)
                    key = (time.replace(" ", "T") + "Z", city.lower().replace(" ", "-"))
                    cells.setdefault(key, {})[name] = text(number - 273.15 if name == "temperature" else number, 2)
    return cells


def singapore(folder: Path) -> Cells:
    """One-minute readings of the stations that report temperature. Knots become m/s, +08:00 becomes UTC.

    Rain is a total of five minutes and stands at the reading whose time it carries; the other minutes have none.
    """
    files = {
        "temperature": "air-temperature",
        "humidity": "relative-humidity",
        "wind_speed": "wind-speed",
        "wind_direction": "wind-direction",
        "precipitation": "rainfall",
    }
    stations = stations_of(folder / "air-temperature.csv.gz")
    cells: Cells = {}
    for name, stem in files.items():
        for time, values in wide(folder / f"{stem}.csv.gz"):
            utc = datetime.fromisoformat(time).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            if utc[:10] not in SINGAPORE_DAYS:
                continue
            for station, value in values:
                if station in stations:
                    number = float(value) * (KNOT_M_PER_S if name == "wind_speed" else 1)
                    cells.setdefault((utc, f"sg-{station.lower()}"), {})[name] = text(number, 2)
    return cells


def rows(cells: Cells) -> Iterator[list[str]]:
    """By time, then station: the order a source must have."""
    for (time, station), values in sorted(cells.items()):
        yield [station, time, *(values.get(name, "") for name in COLUMNS[2:])]


def write(path: Path, lines: Iterable[list[str]]) -> None:
    count = 0
    # No file name and no time in the gzip header, so that equal content gives equal bytes.
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed:
        with io.TextIOWrapper(packed, "ascii", newline="") as file:
            out = csv.writer(file, lineterminator="\n")
            out.writerow(COLUMNS)
            for line in lines:
                out.writerow(line)
                count += 1
    print(f"{path.name}: {count} rows, {path.stat().st_size} bytes")


def main(arguments: list[str]) -> int:
    if not 1 <= len(arguments) <= 2:
        print(__doc__, file=sys.stderr)
        return 2
    data = Path(arguments[0])
    out = Path(arguments[1]) if len(arguments) == 2 else Path(__file__).parent
    write(out / "us-cities-hourly.csv.gz", rows(us_cities(data / "kaggle-hourly-weather")))
    write(out / "singapore-1min-3days.csv.gz", rows(singapore(data / "singapore-1min")))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
