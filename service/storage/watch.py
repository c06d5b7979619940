"""How long this process, by its own clock, has seen an entry unchanged."""

import time
from collections.abc import Callable
from typing import Final

from cachetools import LRUCache

from service.storage.catalog import Entry
from service.storage.documents import Version

_MOST: Final = 10_000


class Watch:
    """Remembers the version of each entry that this process last saw, and when it first saw it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: LRUCache[str, tuple[Version, float]] = LRUCache(_MOST)

    def unchanged(self, entry: Entry) -> float:
        """Seconds since this process first saw the entry in this version: 0 the first time."""
        now = self._clock()
        seen = self._seen.get(entry.id)
        if seen is None or seen[0] != entry.version:
            self._seen[entry.id] = seen = (entry.version, now)
        return now - seen[1]
