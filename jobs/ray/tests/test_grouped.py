"""Windows by an attribute: what comes of them is named by its value, from the fold to ids, seed and rejects."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd
import pyarrow as pa
from deltalake import write_deltalake
from ray_jobs.fold.fold import Fold
from ray_jobs.kit import table
from ray_jobs.kit.io import Decoder, Encoder
from ray_jobs.train import seed
from tests.feature_rows import row
from tests.generated.ray.trams_contract import CONTRACT as TRAMS
from tests.scores import FakeModel
from tests.test_predict import T0, incoming, scorer

MINUTE = 60_000
PREDICTIONS = Decoder({"8": TRAMS.schemas["predictions"]}, TRAMS.schemas["predictions"])
HISTORY = Decoder({"9": TRAMS.schemas["history"]}, TRAMS.schemas["history"])
REJECTS = Decoder({"10": TRAMS.schemas["rejects"]}, TRAMS.schemas["rejects"])


def test_a_forecast_is_of_the_value_and_names_every_partition() -> None:
    features = Encoder(TRAMS.schemas["features"], 7)
    # The second version of the first window holds more records than the first; the third row repeats it.
    rows = [row(TRAMS, "E2", T0, 1, revision, {"delay_mean": 40.0 + revision}) for revision in (3, 5, 5)]
    rows.append(row(TRAMS, "1", T0 + MINUTE, 1, 2, {"delay_mean": 10.0}))
    batch = [incoming(i, features(one), key=str(one["line"]).encode()) for i, one in enumerate(rows)]
    batch.append(incoming(4, b"\x01nonsense", key=b"E2"))
    out = scorer(TRAMS).score(batch, FakeModel(TRAMS, "3"), [0, 0, 0])
    assert (out.predicted, out.skipped, out.rejected) == (3, 1, 1)
    assert [key for key, _ in out.predictions] == [b"E2", b"E2", b"1"]
    made = [PREDICTIONS(value) for _, value in out.predictions]
    assert [(p["line"], p["revision"]) for p in made] == [("E2", 3), ("E2", 5), ("1", 2)]
    identity = f"ns|trams|E2|{T0}|1|5|3|champion"
    assert made[1]["id"] == hashlib.sha256(identity.encode()).hexdigest()[:32]
    provenance = made[1]["provenance"]
    assert provenance["grouped_by"] == "line"
    assert provenance["raw_ranges"] == [
        {"partition": 0, "first_offset": 4, "last_offset": 5},
        {"partition": 2, "first_offset": 4, "last_offset": 5},
    ]
    lines = {record["line"] for _, _, value in out.history if value and (record := HISTORY(value))["line"]}
    assert lines == {"E2", "1"}
    ((key, value),) = out.rejects
    reject = REJECTS(value)
    assert (key, reject["line"], reject["tram"], reject["reason"]) == (b"E2", "E2", None, "bad_framing")


def test_a_table_is_folded_and_seeded_by_the_value(tmp_path: Path) -> None:
    rows = [
        row(TRAMS, line, T0 + i * MINUTE, 0, i + 1, {"delay_mean": float(i), "speed_mean": 5.0})
        for line in ("1", "E2")
        for i in range(30)
    ]
    frame = pd.DataFrame(rows)
    for column in ("window_start", "window_end"):
        frame[column] = pd.to_datetime(frame[column], unit="ms", utc=True).dt.as_unit("us")
    for column in ("delay_max", "speed_rate"):
        frame[column] = frame[column].astype("float64")
    path = str(tmp_path / "table")
    write_deltalake(path, pa.Table.from_pandas(frame, preserve_index=False))
    found = seed.cells_of(TRAMS, path, table.pin(path), ["1", "E2"], T0, T0 + 30 * MINUTE)
    assert sorted(found) == ["1", "E2"]
    fold = Fold(TRAMS)
    for line, cells in found.items():
        state = fold.new_state()
        for one in rows:
            if one["line"] == line:
                fold.step(state, one)
        assert [(cell.window_end, cell.values) for cell in cells] == [
            (cell.window_end, cell.values) for cell in sorted(state.cells.values(), key=lambda cell: cell.window_end)
        ]
    # Where the stream's rows of a line go, by their key.
    for partition, _, _, line in seed.records(TRAMS, found, 3):
        assert partition == seed.partition_of(line.encode(), 3)
