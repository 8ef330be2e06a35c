"""Keys of a station's history records under which nobody writes any more: of a form of before, of a shape that no stage
here can read, of a kind that only another version knows. They are left alone until the station is evicted.
"""

from __future__ import annotations

from ray_jobs.state.slots import Slot

STRAYS: Slot[set[bytes]] = Slot("strays")
