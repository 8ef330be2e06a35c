"""Trials of the heads' settings: what is drawn, what one says, and what is chosen. With Ray Tune: test_cluster.py."""

from __future__ import annotations

import itertools
import random

import lightgbm
import numpy as np
import pytest
from ray_jobs.generated.weather_contract import CONTRACT
from ray_jobs.judge import card
from ray_jobs.model import bins
from ray_jobs.train import tuning
from ray_jobs.train.tuning import SPACE, Rows, SampledHead, Settings, Trials
from tests.feature_rows import meters

GIVEN = Settings(63, 0.1)
HEADS = [SampledHead(0, 0, 0.5), SampledHead(0, 0, 0.05)]


def rows(seed: int = 0, n: int = 3_000) -> Rows:
    """Two heads with the same change, of which the first columns tell half."""
    rng = np.random.default_rng(seed)
    columns = rng.normal(size=(n, 6)).astype(np.float32)
    change = (columns[:, 0] * columns[:, 1] + 0.5 * rng.normal(size=n)).astype(np.float32)
    change[::50] = np.nan
    fit = np.arange(n) < n * 2 // 3
    both = np.stack([change, change], axis=1)
    weight = np.ones((n, 2))
    rows = bins.binned(columns[fit], tuning.trial_settings(GIVEN, 1))
    return Rows(rows, columns[~fit], both[fit], both[~fit], weight[fit], weight[~fit])


def test_trials_begin_with_the_settings_given_and_follow_from_the_seed() -> None:
    drawn = tuning.trials(GIVEN, 20, 1)
    assert drawn[0] == GIVEN and len(set(drawn)) == 20
    assert drawn == tuning.trials(GIVEN, 20, 1)
    assert drawn[:7] == tuning.trials(GIVEN, 7, 1)
    assert drawn != tuning.trials(GIVEN, 20, 2)
    for one in drawn[1:]:
        assert all(value in SPACE[name] for name, value in one._asdict().items())
    assert all(isinstance(one.leaves, int) and isinstance(one.min_leaf_rows, int) for one in drawn)
    assert {one.leaves for one in drawn} == set(SPACE["leaves"])


def test_trials_end_with_the_space() -> None:
    whole = tuning.trials(GIVEN, 10_000, 1)
    assert set(whole) == {Settings(*x) for x in itertools.product(*SPACE.values())}
    assert tuning.trials(GIVEN, 1, 1) == [GIVEN]


def test_heads_stand_for_all_targets_and_both_ends() -> None:
    assert tuning.heads_of(CONTRACT) == [
        SampledHead(0, 1, 0.5),
        SampledHead(1, 1, 0.5),
        SampledHead(2, 1, 0.5),
        SampledHead(0, 2, 0.05),
        SampledHead(0, 2, 0.95),
    ]
    assert tuning.heads_of(meters()) == [SampledHead(0, 0, 0.5), SampledHead(0, 0, 0.1), SampledHead(0, 0, 0.9)]


def test_some_rows_are_drawn_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = np.arange(300) % 3 > 0
    assert np.array_equal(tuning.some(fit, 1), np.flatnonzero(fit))
    monkeypatch.setattr(tuning, "TRIAL_ROWS", 50)
    drawn = tuning.some(fit, 1)
    assert len(drawn) == 50 and fit[drawn].all() and (np.diff(drawn) > 0).all()
    assert np.array_equal(drawn, tuning.some(fit, 1)) and not np.array_equal(drawn, tuning.some(fit, 2))


def test_grow_says_the_same_again_whatever_the_threads() -> None:
    held = rows()
    settings = Settings(15, 0.1, 20, 0.5, 0.5, 1.0)
    one = list(tuning.grow(settings, held, HEADS, 40, 7, 1))
    assert one == list(tuning.grow(settings, held, HEADS, 40, 7, 2))
    assert [rounds for rounds, _ in one] == list(range(4, 41, 4))
    losses = [loss for _, loss in one]
    assert losses == sorted(losses, reverse=True) and losses[-1] < 0.85
    assert losses != [loss for _, loss in tuning.grow(settings, held, HEADS, 40, 8, 1)]


def test_grow_is_what_early_stopping_of_one_head_finds() -> None:
    """A loss is that of the rounds a head would keep, over that of a constant."""
    held = rows()
    settings = Settings(31, 0.5, 20)
    found = list(tuning.grow(settings, held, HEADS[:1], 200, 7, 1))
    assert found[-1][0] < 200
    learnt = lightgbm.Dataset(*_fit_columns(), params=tuning.booster_settings(settings, 7))
    seen = ~np.isnan(held.watch_change[:, 0])
    check = lightgbm.Dataset(held.watched[seen], held.watch_change[seen, 0], reference=learnt)
    booster = lightgbm.train(
        tuning.booster_settings(settings, 7) | {"alpha": 0.5},
        learnt,
        200,
        valid_sets=[check],
        callbacks=[lightgbm.early_stopping(tuning.PATIENCE, verbose=False)],
    )
    truth = held.watch_change[seen, 0].astype(np.float64)
    least = booster.best_score["valid_0"]["quantile"]
    constant = np.mean(np.abs(truth - np.nanmedian(held.fit_change[:, 0]))) / 2
    assert found[-1][1] == pytest.approx(least / constant, rel=0.01)


def _fit_columns() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(3_000, 6)).astype(np.float32)
    change = (columns[:, 0] * columns[:, 1] + 0.5 * rng.normal(size=3_000)).astype(np.float32)
    change[::50] = np.nan
    use = (np.arange(3_000) < 2_000) & ~np.isnan(change)
    return columns[use], change[use]


def test_choice_does_not_depend_on_the_order_of_reports() -> None:
    settings = tuning.trials(GIVEN, 4, 1)
    reports = [(0, 20, 0.50), (0, 40, 0.47), (1, 20, 0.52), (2, 20, 0.49), (2, 40, 0.46), (3, 20, 0.46), (2, 20, 0.49)]
    for seed in range(5):
        shuffled = reports[:]
        random.Random(seed).shuffle(shuffled)
        trials = Trials(settings)
        for report in shuffled:
            trials.hear(*report)
        # Of equals the earlier one.
        assert trials.chosen == 2 and trials.settings == settings[2]
        assert trials.gain == pytest.approx(0.46 / 0.47)
        kept = trials.to_json()
        assert kept["chosen"] == 2 and [t["rounds"] for t in kept["trials"]] == [40, 20, 40, 20]
        assert kept["trials"][0] == {**GIVEN._asdict(), "rounds": 40, "loss": 0.47, "over_given": 1.0}
    assert trials.describe(2) == "trial 2 of 3: 40 rounds, loss 0.4600 (-2.13% against the settings given)"


def test_card_shows_the_trials_best_first() -> None:
    trials = Trials(tuning.trials(GIVEN, 3, 1))
    for report in ((0, 20, 0.5), (1, 20, 0.4)):
        trials.hear(*report)
    text = card._tuning(trials.to_json())
    assert text.index("<b>1</b> (chosen)") < text.index("0 (given)") < text.index("<td>2</td>")
    assert "-20.00 %" in text and "min leaf rows" in text
    assert card._tuning(None) == ""
