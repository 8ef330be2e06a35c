"""HTTP from a job: directly, with limits, and again after a fault that passes.

Sits under registry.py; its twin in TypeScript is ts/ground/http.ts. Over urllib3, which takes no proxy from the
environment: engines are reached directly, from either side. Knows no route.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import urllib3

# What a server, or a gateway before it, answers when it cannot now.
BUSY = (502, 503, 504)
TIMEOUT = urllib3.Timeout(connect=5.0, read=15.0)
# At once, then after 0.4, 0.8, 1.6 and 3.2 s, each with up to half a second more, so that actors that lost one server
# do not come back at one moment. A server that takes a request and says nothing is asked four times: with the limits
# above little more than a minute in all. Without Retry-After, which has no bound.
RETRIES = urllib3.Retry(
    total=5,
    read=3,
    redirect=0,
    backoff_factor=0.2,
    backoff_max=3.2,
    backoff_jitter=0.5,
    status_forcelist=BUSY,
    respect_retry_after_header=False,
)
_POOL = urllib3.PoolManager(timeout=TIMEOUT)


class UnansweredError(Exception):
    """Nobody answered, after the last try."""


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


def get(url: str, query: Mapping[str, str] | None = None) -> Reply:
    """Any status but 502, 503 and 504 is a reply. Errors: UnansweredError."""
    try:
        reply = _POOL.request("GET", url if query is None else f"{url}?{urlencode(query)}", retries=RETRIES)
    except urllib3.exceptions.HTTPError as error:
        raise UnansweredError(str(error)) from error
    if reply.status in BUSY:
        raise UnansweredError(f"HTTP {reply.status}")
    return Reply(reply.status, reply.data)


def reach_directly(url: str) -> None:
    """For libraries that can be told only by the environment: takes the host of `url` out of this process's proxies."""
    host = urlsplit(url).hostname or ""
    held = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if host not in held.split(","):
        # The lower-case name wins over the other one wherever both are read.
        os.environ["no_proxy"] = ",".join(filter(None, (held, host)))
