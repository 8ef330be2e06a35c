"""The stages that keep promises: judge what is due against its truth, move the station's bands by it, and let rows
issue their hour's forecast. By the rules of verify.py; what is remembered lies in the slot LEDGERS.

One SettleStage for each arm that is served; RetiredStage for arms that were: what they have promised is judged until
nothing of it waits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from ray_jobs.generated.contract import Contract
from ray_jobs.kit.time import HOUR_MS
from ray_jobs.ledger.bands import BANDS, Bands
from ray_jobs.ledger.conformal import Adaptation, bounds_of
from ray_jobs.ledger.forecasts import FORECASTS, Forecasts
from ray_jobs.ledger.identity import Identity
from ray_jobs.ledger.verify import LEDGERS, Book, Ledger, Pending, Truth
from ray_jobs.state.batch import Applied, Batch, HistoryChange, Part
from ray_jobs.state.ring import StationState
from ray_jobs.state.stage import Stage, States, Tick

# By partition, station and arm: the last calibration record of each counts.
Calibrations = dict[tuple[int, str, str], dict[str, Any]]


class DueTruths(NamedTuple):
    """What a row found in one arm's ledger: the truths to take at it, and in a form for the history what still waits
    then.
    """

    ledger: Ledger
    truths: list[Truth]
    waiting: bytes


class _Noted(NamedTuple):
    """Of one applied row. `issues`: it issues its hour's forecast, anew or again."""

    due: DueTruths
    issues: bool


class Judging:
    """Truths into verifications, corrections of bands and calibration records; the same for every arm."""

    def __init__(self, contract: Contract) -> None:
        self.book = Book(contract)
        self._adaptation = Adaptation(contract.bands)

    def judge(
        self,
        batch: Batch,
        one: Applied,
        arm: str,
        due: DueTruths,
        calibrations: Calibrations,
        promise: Callable[[int], Pending] | None = None,
    ) -> None:
        """What a row's truths say. `promise` gives the forecast that an applied row of this very segment issued."""
        ledger, partition = due.ledger, one.incoming.partition
        for version, held in self._verify(batch, one.station, ledger, due.truths, promise).items():
            if held:
                ledger.correct(version, self._adaptation.step(ledger.ratios(version), held))
        calibrations[partition, one.station, arm] = self.book.calibration_record(
            one.station, arm, due.waiting, ledger.corrections, partition
        )

    def close(self, batch: Batch, tick: Tick, station: str, state: StationState, arm: str, ledger: Ledger) -> None:
        """Of an evicted station: takes every truth that its ring still holds, calls the rest unverifiable, and forgets
        the arm.
        """
        self._verify(batch, station, ledger, self.book.close(ledger, state, tick.time_ms))
        keys = [*self.book.pending_keys(station, arm, ledger), self.book.calibration_key(station, arm)]
        batch.changes += [HistoryChange(tick.partition, key, None) for key in keys]

    def _verify(
        self,
        batch: Batch,
        station: str,
        ledger: Ledger,
        truths: list[Truth],
        promise: Callable[[int], Pending] | None = None,
    ) -> dict[str, list[tuple[int, tuple[bool, ...]]]]:
        """Leaves the verifications; what the bands of each model version learn from them."""
        out = batch.out
        learnt: dict[str, list[tuple[int, tuple[bool, ...]]]] = {}
        for truth in truths:
            pending = ledger.pendings.get(truth.hour)
            if isinstance(pending, int):
                assert promise is not None, "only an arm that is served issues anything"
                pending = ledger.pendings[truth.hour] = promise(pending)
            if pending is None:
                continue
            judged = self.book.judge(station, pending, truth)
            learnt.setdefault(pending.model_version, []).extend(judged.held)
            out.verified += judged.verified
            out.unverifiable += len(judged.records) - judged.verified
            out.beyond_support += judged.beyond
            batch.verifications += [(station, record) for record in judged.records]
        return learnt

    def write(self, batch: Batch, calibrations: Calibrations) -> None:
        for (partition, station, arm), record in calibrations.items():
            batch.changes.append(HistoryChange(partition, self.book.calibration_key(station, arm), record))


class SettleStage(Stage):
    """Of one arm. Without a model in a batch (Batch.arms) it judges and promises nothing."""

    def __init__(self, contract: Contract, arm: str, identity: Identity) -> None:
        self._contract = contract
        self._arm = arm
        self._identity = identity
        self._judging = Judging(contract)
        self._book = self._judging.book
        # An arm that no key of the history can hold is refused before the first row.
        self._book.calibration_key("", arm)
        self._bounds = bounds_of(contract)
        columns = [f.column for f in contract.features]
        # The row's own features come first among the inputs, in contract order.
        self._now = [columns.index(contract.target_column(t)) for t in contract.targets]
        self._notes: Part[list[_Noted | None]] = Part(f"settle {arm}")

    def note(self, batch: Batch, one: Applied) -> None:
        notes = self._notes.of(batch)
        if notes is None:
            notes = []
            self._notes.put(batch, notes)
        ledgers = LEDGERS.of(one.state)
        if ledgers is None:
            ledgers = {}
            LEDGERS.put(one.state, ledgers)
        ledger = ledgers.get(self._arm)
        serves = self._arm in batch.arms
        if ledger is None:
            if not serves:
                notes.append(None)
                return
            ledger = ledgers[self._arm] = Ledger(self._contract)
        book, end = self._book, one.row["window_end"]
        truths = book.due(ledger, one.state, end)
        issues = serves and book.opens(ledger, end)
        notes.append(_Noted(DueTruths(ledger, truths, book.waiting(ledger) if truths else b""), issues))

    def step(self, batch: Batch, states: States) -> None:
        """Row by row: judges, moves the station's bands, issues. Leaves the bands of the rows that the model took."""
        notes = self._notes.of(batch) or []
        arm, applied = self._arm, batch.applied
        forecasts = (FORECASTS.of(batch) or {}).get(arm)
        bands: Bands | None = None
        places: dict[int, int] = {}
        if forecasts is not None and forecasts.made is not None:
            bands = Bands(forecasts.made.heads, forecasts.scales, self._bounds)
            places = {row: i for i, row in enumerate(forecasts.rows)}
            BANDS.put(batch, (BANDS.of(batch) or {}) | {arm: bands})
        promise = self._promises(applied, forecasts, bands, places)
        version = "" if forecasts is None else forecasts.version
        calibrations: Calibrations = {}
        for at, (one, noted) in enumerate(zip(applied, notes, strict=True)):
            if noted is None:
                continue
            if noted.due.truths:
                self._judging.judge(batch, one, arm, noted.due, calibrations, promise)
            if bands is not None and at in places:
                bands.add(noted.due.ledger.ratios(version))
            if noted.issues:
                noted.due.ledger.pendings[one.row["window_end"] // HOUR_MS] = at
        self._issue(batch, notes, promise)
        self._judging.write(batch, calibrations)

    def tick(self, batch: Batch, tick: Tick) -> None:
        for station, state in tick.evicted.items():
            ledger = (LEDGERS.of(state) or {}).get(self._arm)
            if ledger is not None:
                self._judging.close(batch, tick, station, state, self._arm, ledger)

    def _issue(self, batch: Batch, notes: list[_Noted | None], promise: Callable[[int], Pending]) -> None:
        """Writes down what the rows have promised and nobody replaced, and forgets what waits for nothing."""
        book, arm = self._book, self._arm
        issued: dict[tuple[int, str, int], tuple[str, Pending]] = {}
        ledgers: dict[int, Ledger] = {}
        for at, (one, noted) in enumerate(zip(batch.applied, notes, strict=True)):
            if noted is None:
                continue
            ledger = noted.due.ledger
            ledgers[id(ledger)] = ledger
            if not noted.issues:
                continue
            hour = one.row["window_end"] // HOUR_MS
            pending = ledger.pendings.get(hour)
            if pending == at:
                pending = ledger.pendings[hour] = promise(at)
            elif not isinstance(pending, Pending) or pending.offset != one.incoming.offset:
                continue
            issued[one.incoming.partition, one.station, book.slot(pending.issued)] = (one.station, pending)
            book.wrote(ledger, pending)
        for ledger in ledgers.values():
            book.forget(ledger)
        for (partition, _, _), (station, pending) in issued.items():
            key = book.pending_key(station, arm, pending.issued)
            batch.changes.append(HistoryChange(partition, key, book.pending_record(station, pending)))

    def _promises(
        self, applied: list[Applied], forecasts: Forecasts | None, bands: Bands | None, places: dict[int, int]
    ) -> Callable[[int], Pending]:
        """What the applied row with a number promises; its forecasts are empty when the model refused it."""

        def promise(at: int) -> Pending:
            assert forecasts is not None, "an arm without a model issues nothing"
            one, place = applied[at], places.get(at)
            row, incoming = one.row, one.incoming
            said: tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]] = ((), (), ())
            if place is not None and bands is not None and forecasts.made is not None:
                levels = tuple([x for by_horizon in bands.at(place) for values in by_horizon for x in values])
                dap = tuple(forecasts.made.dap[place].ravel().tolist())
                said = levels, tuple([one.inputs[i] for i in self._now]), dap
            return Pending(
                row["window_end"],
                row["plan_epoch"],
                row["revision"],
                incoming.partition,
                incoming.offset,
                self._identity.of(row, forecasts.version, self._arm),
                self._arm,
                forecasts.version,
                forecasts.in_sample(row["window_end"]),
                *said,
            )

        return promise


class RetiredStage(Stage):
    """Of all arms that left ledgers behind and are not `served`."""

    def __init__(self, contract: Contract, served: Collection[str]) -> None:
        self._served = frozenset(served)
        self._judging = Judging(contract)
        self._notes: Part[list[tuple[Applied, str, DueTruths]]] = Part("retired")

    def note(self, batch: Batch, one: Applied) -> None:
        ledgers = LEDGERS.of(one.state)
        if not ledgers or ledgers.keys() <= self._served:
            return
        book = self._judging.book
        for arm, ledger in ledgers.items():
            if arm in self._served:
                continue
            truths = book.due(ledger, one.state, one.row["window_end"])
            if truths:
                notes = self._notes.of(batch)
                if notes is None:
                    notes = []
                    self._notes.put(batch, notes)
                notes.append((one, arm, DueTruths(ledger, truths, book.waiting(ledger))))

    def step(self, batch: Batch, states: States) -> None:
        notes = self._notes.of(batch) or []
        calibrations: Calibrations = {}
        for one, arm, due in notes:
            self._judging.judge(batch, one, arm, due, calibrations)
        for _, _, due in notes:
            self._judging.book.forget(due.ledger)
        self._judging.write(batch, calibrations)

    def tick(self, batch: Batch, tick: Tick) -> None:
        for station, state in tick.evicted.items():
            for arm, ledger in (LEDGERS.of(state) or {}).items():
                if arm not in self._served:
                    self._judging.close(batch, tick, station, state, arm, ledger)
