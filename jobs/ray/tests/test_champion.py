"""Which model is in use: swaps between batches, keeps the old one when the new one is refused, never loses the newest
request.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ray_jobs.generated.job import JobError
from ray_jobs.generated.weather_contract import CONTRACT
from ray_jobs.model.champion import Champion, Scores
from tests.scores import FakeModel


class Registry:
    """What the registry says of the alias, and every version it was asked with."""

    def __init__(self, says: str | Exception) -> None:
        self.says = says
        self.asked_with: list[str | None] = []

    def load(self, current: str | None, /) -> Scores | None:
        self.asked_with.append(current)
        if isinstance(self.says, Exception):
            raise self.says
        return None if self.says == current else FakeModel(CONTRACT, self.says)


def version(champion: Champion) -> str | None:
    model = champion.take()
    return None if model is None else model.version


def test_swap_happens_at_take_and_the_previous_model_is_kept() -> None:
    registry = Registry("1")
    champion = Champion(registry.load, lambda run: run())
    assert version(champion) is None
    champion.refresh()
    assert version(champion) == "1" and champion.previous is None and champion.swaps == 0
    registry.says = "2"
    champion.refresh()
    assert champion.current is not None and champion.current.version == "1", "not before the next batch"
    assert version(champion) == "2"
    assert champion.previous is not None and champion.previous.version == "1" and champion.swaps == 1
    champion.refresh()
    assert version(champion) == "2" and champion.swaps == 1 and registry.asked_with == [None, "1", "2"]


@pytest.mark.parametrize(
    ("raised", "says"),
    [
        (
            JobError("model_refused", "Cannot use model: trained in degF, live is degC"),
            "model_refused: Cannot use model",
        ),
        (ValueError("bad tree"), "model_refused: ValueError bad tree"),
    ],
)
def test_a_refused_model_is_named_and_the_old_one_stays(raised: Exception, says: str) -> None:
    registry = Registry("1")
    champion = Champion(registry.load, lambda run: run())
    champion.refresh()
    champion.take()
    registry.says = raised
    champion.refresh()
    assert version(champion) == "1" and champion.refusal is not None and champion.refusal.startswith(says)
    registry.says = "3"
    champion.refresh()
    assert version(champion) == "3" and champion.refusal is None


def test_a_request_during_a_look_makes_one_more_look() -> None:
    """The alias moves while the old answer is still being downloaded: the newest one must win."""
    waiting: list[Callable[[], None]] = []
    registry = Registry("1")
    champion: Champion

    def load(current: str | None, /) -> Scores | None:
        found = registry.load(current)
        if registry.says == "1":
            registry.says = "2"
            champion.refresh()
            champion.refresh()
        return found

    champion = Champion(load, waiting.append)
    champion.refresh()
    assert champion.looking and len(waiting) == 1
    waiting.pop()()
    assert not champion.looking and not waiting
    assert version(champion) == "2" and registry.asked_with == [None, "1"]
