"""One batch of feature records through the stages, into predictions, history, rejects and next offsets; everything
between poll and produce.

Called by the worker for each Kafka transaction, and by tests without Kafka. Holds the folded state of its partitions.
Writes nothing itself: after a failed transaction the worker drops the partitions and restores them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from ray_jobs.fold.fold import Fold
from ray_jobs.fold.neighbours import NOBODY, Near
from ray_jobs.generated.contract import Contract
from ray_jobs.model.champion import Scores
from ray_jobs.model.forecast import MODELS
from ray_jobs.state.batch import Batch, Incoming, Outcome
from ray_jobs.state.stage import States, Tick
from ray_jobs.stream.encode import Codecs, Names
from ray_jobs.stream.stages import stages_of

# A transaction that has so many is ended, and the rest of the batch is left for the next: at 100,000 records a second
# it stays far below its limit (worker.TRANSACTION_MS), as a seed's does.
TOMBSTONES = 50_000
NO_CHALLENGER: Mapping[str, Scores] = {}


class Scorer:
    """Takes batches of one contract through its stages; `states` holds partition -> station -> state.

    `others` knows the stations of the partitions that are not held here.
    """

    def __init__(
        self, contract: Contract, names: Names, codecs: Codecs, now_ms: Callable[[], int], others: Near = NOBODY
    ) -> None:
        self.contract = contract
        self.states: States = {}
        self.stages = stages_of(contract, names, codecs, now_ms)
        self.others = others
        self._arm = names.arm

    @property
    def fold(self) -> Fold:
        return self.stages.fold.fold

    @fold.setter
    def fold(self, fold: Fold) -> None:
        self.stages.fold.fold = fold

    @property
    def others(self) -> Near:
        return self.stages.fold.others

    @others.setter
    def others(self, others: Near) -> None:
        self.stages.fold.others = others

    def score(
        self,
        batch: Iterable[Incoming],
        model: Scores,
        history_offsets: Sequence[int],
        challengers: Mapping[str, Scores] = NO_CHALLENGER,
    ) -> Outcome:
        """Covers the records of the batch, in order. How many says `rows` of the outcome: all, unless so many entities
        have fallen silent that forgetting them fills the transaction.

        `model` is that of the arm that is served, `challengers` those of other arms that have one now.
        `history_offsets`: how far this process has read each partition of the history, for the provenance.
        Errors: none for bad records, which become rejects. Whatever else is raised leaves the states unusable: restore
        them.
        """
        models = {self._arm: model, **challengers}
        work = Batch(batch, models, history_offsets)
        while True:
            MODELS.put(work, models)
            for stage in self.stages.ordered:
                stage.step(work, self.states)
            if work.rang is None:
                break
            partition, time_ms = work.rang
            tick = Tick(partition, self.states[partition], time_ms, {})
            for stage in self.stages.ordered:
                stage.tick(work, tick)
            if work.out.tombstones >= TOMBSTONES:
                break
            work.begin()
        self.stages.fold.end(work, self.states)
        self.stages.encode.end(work)
        return work.out
