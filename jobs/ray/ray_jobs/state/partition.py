"""What is remembered of the stations of one partition, and the partition's time.

Its time is the largest window end of a row that was applied. Whether somebody is silent cannot be asked of it at any
row: Spark writes a micro-batch station by station, and in a catch-up one reaches over weeks, so the stations that come
later in it lie behind for a while. One that was cut off comes again from its start. So the time that ticks go by,
`settled_ms`, is the partition's time as it stood before the micro-batch at hand, and moves on when the next begins:
then two were there to bring a station's rows. Which micro-batch a row is of says its processing time.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from ray_jobs.state.ring import NONE, StationState

# An alarm that never rings.
NEVER = 1 << 62
_CLOCK = struct.Struct("<qq")


class Partition(dict[str, StationState]):
    """Station -> state.

    `time_ms` follows from the states: nobody forgets the station it came from. NONE before the first row, as is
    `settled_ms`. `alarm_ms`: before this settled time no stage wants a tick. `micro_batch` is the processing time of
    the last row, NONE when that is not known.
    """

    def __init__(self, states: Mapping[str, StationState] | None = None) -> None:
        super().__init__(states or {})
        self.time_ms = max((state.newest_end for state in self.values()), default=NONE)
        self.settled_ms = self.time_ms
        self.alarm_ms = NONE
        self.micro_batch = NONE

    def applied(self, window_end: int) -> None:
        self.time_ms = max(self.time_ms, window_end)
        if self.settled_ms == NONE:
            self.settled_ms = window_end

    def turn(self, micro_batch: int) -> None:
        """The first row of another micro-batch is here."""
        self.settled_ms = self.time_ms
        self.micro_batch = micro_batch

    @property
    def clock(self) -> bytes:
        """What does not follow from the states, for a history record."""
        return _CLOCK.pack(self.micro_batch, self.settled_ms)

    def set_clock(self, payload: bytes) -> None:
        self.micro_batch, self.settled_ms = _CLOCK.unpack(payload)
