"""Which settings of the heads are worth training with: a few drawn from a small space, each grown on part of the rows
until it is clearly worse than the others.

Between train.py, which asks, and cluster.py, which runs trials and stops them. A trial is judged on the watched weeks,
where early stopping looks as well; the calibration and the test split never decide anything here. Every number follows
from data, code and seed. Pure but for LightGBM's threads: knows no Ray and no registry.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import lightgbm
import numpy as np
from numpy.typing import NDArray
from ray_jobs.generated.contract import Contract
from ray_jobs.model.bins import labelled

# Rounds without a better loss on the watched weeks before a head stops.
PATIENCE = 20
# Fit rows a trial sees: settings rank the same on more of them, and twenty trials fit in a few minutes.
TRIAL_ROWS = 60_000
# A trial reports that often on its way to the most rounds, and is not stopped before the second report: after a tenth
# of the rounds a small learning rate looks worse than it is.
REPORTS, GRACE = 10, 2
# Of the trials that reach a rung (2, 4, 8 reports) the worse half stops.
HALVING = 2


class Settings(NamedTuple):
    """What a head is grown with: leaves a tree, shrinkage a round, least rows a leaf, share of the columns that a tree
    and of the rows that a round sees, weight of the L2 penalty on a leaf's value.
    """

    leaves: int
    learning_rate: float
    min_leaf_rows: int = 100
    column_share: float = 0.5
    row_share: float = 1.0
    l2: float = 0.0


# What trials are drawn from, every value as likely. Leaves and rounds are bounded by what an answer may take: 27 heads
# of 200 trees with 63 leaves answer 100 rows in 50 ms on one thread, and 95 leaves are the most that stay near it;
# below a learning rate of 0.05 those rounds are not enough. Hours next to each other say nearly the same, so a leaf
# needs many rows. Columns are many and alike (lags, sectors of neighbours): a tree gains from seeing few of them.
SPACE: dict[str, tuple[float, ...]] = {
    "leaves": (31, 47, 63, 95),
    "learning_rate": (0.05, 0.07, 0.1, 0.14),
    "min_leaf_rows": (50, 100, 200, 400),
    "column_share": (0.2, 0.35, 0.5, 0.7),
    "row_share": (0.5, 0.75, 1.0),
    "l2": (0.0, 1.0, 10.0),
}


class SampledHead(NamedTuple):
    """One of the heads that stand for all: indices of target and horizon, and the quantile."""

    target: int
    horizon: int
    quantile: float


class Rows(NamedTuple):
    """What trials are grown on: bins of the fit rows (LightGBM's binary data set), columns of the watched ones, and for
    each head the change to learn, NaN where no truth, and the weights [row, head].
    """

    bins: NDArray[np.uint8]
    watched: NDArray[np.float32]
    fit_change: NDArray[np.float32]
    watch_change: NDArray[np.float32]
    fit_weight: NDArray[np.float64]
    watch_weight: NDArray[np.float64]


def booster_settings(settings: Settings, seed: int) -> dict[str, Any]:
    """LightGBM's parameters of a head, its quantile aside."""
    return {
        "objective": "quantile",
        "metric": "quantile",
        "learning_rate": settings.learning_rate,
        "num_leaves": settings.leaves,
        "min_data_in_leaf": settings.min_leaf_rows,
        "feature_fraction": settings.column_share,
        "bagging_fraction": settings.row_share,
        "bagging_freq": 1 if settings.row_share < 1 else 0,
        "lambda_l2": settings.l2,
        "max_bin": 127,
        "bin_construct_sample_cnt": 50_000,
        "seed": seed,
        # All four together make a head a function of its data:
        # https://lightgbm.readthedocs.io/en/latest/Parameters.html#deterministic
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }


def trial_settings(settings: Settings, seed: int) -> dict[str, Any]:
    """Those of a trial, whose rows are binned once for all trials: without this LightGBM drops columns that the least
    rows a leaf of the settings it bins with cannot split.
    """
    return booster_settings(settings, seed) | {"feature_pre_filter": False}


def trials(given: Settings, count: int, seed: int) -> list[Settings]:
    """The settings given, then `count` - 1 others from the space, no two alike. Fewer when the space has no more."""
    rng = np.random.default_rng([seed, 0x74])
    out = [given]
    for flat in rng.permutation(math.prod(len(values) for values in SPACE.values())):
        if len(out) >= count:
            break
        picked: dict[str, Any] = {}
        for name, values in SPACE.items():
            flat, at = divmod(int(flat), len(values))
            picked[name] = type(getattr(given, name))(values[at])
        one = Settings(**picked)
        if one != given:
            out.append(one)
    return out


def heads_of(contract: Contract) -> list[SampledHead]:
    """The median of every target at the middle horizon, and the outer quantiles of the first at the longest."""
    middle, last = len(contract.horizons_h) // 2, len(contract.horizons_h) - 1
    medians = [SampledHead(k, middle, 0.5) for k in range(len(contract.targets))]
    outer = [SampledHead(0, last, q) for q in (contract.quantiles[0], contract.quantiles[-1])]
    return list(dict.fromkeys([*medians, *outer]))


def some(fit: NDArray[np.bool_], seed: int) -> NDArray[np.int64]:
    """Which of the fit rows trials see: drawn by the seed, in their order."""
    rows = np.flatnonzero(fit)
    if len(rows) <= TRIAL_ROWS:
        return rows
    return np.sort(np.random.default_rng([seed, 0x72]).choice(rows, TRIAL_ROWS, replace=False))


def grow(
    settings: Settings, rows: Rows, heads: list[SampledHead], trees: int, seed: int, threads: int
) -> Iterator[tuple[int, float]]:
    """Grows a trial's heads side by side and yields (rounds, loss) after every tenth of `trees`; ends when no head has
    got better for PATIENCE rounds. Run again, it yields the same.

    The loss is the mean over the heads of the least pinball on the watched rows so far, each over that of the constant
    that the fit rows know best: heads of different units count alike.
    """
    chunk = max(1, -(-trees // REPORTS))
    with ThreadPoolExecutor(threads) as pool:
        # LightGBM works outside the interpreter's lock, and each head has a booster of its own: the threads change when
        # a number is there, not which.
        growing = list(pool.map(lambda i: _Growing(settings, rows, heads[i], i, seed), range(len(heads))))
        for start in range(0, trees, chunk):
            until = min(trees, start + chunk)
            list(pool.map(lambda g, until=until: g.to(until), growing))
            yield until, float(np.mean([g.best / g.constant for g in growing]))
            if all(g.done for g in growing):
                return


class _Growing:
    """One head of a trial."""

    def __init__(self, settings: Settings, rows: Rows, head: SampledHead, column: int, seed: int) -> None:
        parameters = trial_settings(settings, seed) | {"alpha": head.quantile}
        change, watched = rows.fit_change[:, column], rows.watch_change[:, column]
        weight = np.where(np.isnan(change), 0.0, rows.fit_weight[:, column])
        learn = labelled(rows.bins, change, weight, parameters)
        seen = ~np.isnan(watched)
        heed = rows.watch_weight[seen, column]
        check = lightgbm.Dataset(rows.watched[seen], watched[seen], weight=heed, reference=learn, params=parameters)
        self._booster = lightgbm.Booster(parameters, learn).add_valid(check, "watched")
        self._round = 0
        self._best_round = 0
        self.best = math.inf
        self.constant = _constant(change, watched[seen], heed, head.quantile)

    @property
    def done(self) -> bool:
        return self._round - self._best_round >= PATIENCE

    def to(self, rounds: int) -> None:
        while self._round < rounds and not self.done:
            ended = self._booster.update()
            self._round += 1
            loss = float(self._booster.eval_valid()[0][2])
            if loss < self.best:
                self.best, self._best_round = loss, self._round
            if ended:
                self._best_round = self._round - PATIENCE


def _constant(
    fit: NDArray[np.float32], watched: NDArray[np.float32], weight: NDArray[np.float64], quantile: float
) -> float:
    off = watched.astype(np.float64) - float(np.nanquantile(fit, quantile))
    loss = np.maximum(quantile * off, (quantile - 1) * off)
    return max(float(np.average(loss, weights=weight)), 1e-12)


class Trials:
    """What was heard of every trial, whatever the order, and the choice that follows from it."""

    def __init__(self, settings: list[Settings]) -> None:
        self._settings = settings
        self._heard: list[dict[int, float]] = [{} for _ in settings]

    def hear(self, trial: int, rounds: int, loss: float) -> None:
        self._heard[trial][rounds] = loss

    @property
    def begun(self) -> int:
        return sum(1 for heard in self._heard if heard)

    def describe(self, trial: int) -> str:
        """A trial's last report in words."""
        rounds = max(self._heard[trial])
        return (
            f"trial {trial} of {len(self._settings) - 1}: {rounds} rounds, loss {self._loss(trial):.4f} "
            f"({self._over(trial) - 1:+.2%} against the settings given)"
        )

    @property
    def chosen(self) -> int:
        """The trial with the least loss; the earliest of equals, and the first are the settings given."""
        return min(range(len(self._settings)), key=lambda i: (self._loss(i), i))

    def to_json(self) -> dict[str, Any]:
        return {
            "chosen": self.chosen,
            "trials": [
                {
                    **settings._asdict(),
                    "rounds": max(heard, default=0),
                    "loss": round(self._loss(i), 6) if heard else None,
                    "over_given": round(self._over(i), 6) if heard else None,
                }
                for i, (settings, heard) in enumerate(zip(self._settings, self._heard, strict=True))
            ],
        }

    @property
    def settings(self) -> Settings:
        return self._settings[self.chosen]

    @property
    def gain(self) -> float:
        """Loss of the chosen settings over that of the settings given."""
        return self._over(self.chosen)

    def _loss(self, trial: int) -> float:
        return min(self._heard[trial].values(), default=math.inf)

    def _over(self, trial: int) -> float:
        return self._loss(trial) / self._loss(0) if self._heard[0] else math.nan
