"""The first step of a request about records: reads the stream and containers that it names, in one request."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from cachetools import LRUCache

from service.catalog.models import columns_of, container_key, space_key
from service.catalog.streams import OpenStream, StreamService
from service.dialects.tree.references import Columns
from service.errors import Invalid, Problem
from service.scope import Scope
from service.storage.catalog import Entry, Version

_KNOWN: Final = 1_000
"""Cached combinations of stream and containers."""

T = TypeVar("T")


@dataclass(frozen=True)
class _KnownStream:
    """A stream and containers as of the last catalogue read."""

    stream: OpenStream
    columns: Columns
    versions: tuple[Version | None, ...]


class Opening:
    """Opens streams for requests."""

    def __init__(self, streams: StreamService) -> None:
        self._streams = streams
        self._known: LRUCache[tuple[object, ...], _KnownStream] = LRUCache(_KNOWN)

    async def stream(self, project: str, stream_id: str) -> OpenStream:
        return await self._streams.find(project, stream_id)

    async def with_containers(
        self, project: str, stream_id: str, containers: Iterable[tuple[str, str]], spaces: Iterable[str] = ()
    ) -> tuple[OpenStream, Columns, set[str]]:
        """The stream, the containers' columns, and which of the spaces exist, with one catalogue read."""
        containers, spaces = list(containers), list(spaces)

        def keys(scope: Scope) -> list[str]:
            return [
                *(container_key(scope, *key) for key in containers),
                *(space_key(scope, space) for space in spaces),
            ]

        stream, entries = await self._streams.open(project, stream_id, keys)
        found = _living(entries[: len(containers)])
        there = {space for space, entry in zip(spaces, entries[len(containers) :], strict=True) if entry and entry.live}
        return stream, columns_of(found), there

    async def meanwhile(
        self,
        project: str,
        stream_id: str,
        containers: Iterable[tuple[str, str]],
        work: Callable[[OpenStream, Columns], Awaitable[T]],
    ) -> T:
        """Does `work` with the cached state while the catalogue is read; repeats it if the catalogue has changed."""
        containers = sorted(containers)
        key = (project, stream_id, *containers)
        known = self._known.get(key)
        look = self._streams.open(
            project, stream_id, lambda scope: [container_key(scope, *each) for each in containers]
        )
        if known is None:
            stream, entries = await look
        else:
            seen, result = await asyncio.gather(look, work(known.stream, known.columns), return_exceptions=True)
            if isinstance(seen, BaseException):
                raise seen
            stream, entries = seen
            if known.stream == stream and known.versions == _versions(entries):
                if isinstance(result, BaseException):
                    raise result
                return result
        fresh = self._known[key] = _KnownStream(stream, columns_of(_living(entries)), _versions(entries))
        return await work(stream, fresh.columns)


def _living(entries: Sequence[Entry | None]) -> list[Entry]:
    return [each for each in entries if each and not each.body.get("gone")]


def _versions(entries: Sequence[Entry | None]) -> tuple[Version | None, ...]:
    return tuple(each.version if each else None for each in entries)


def require_mutable(stream: OpenStream) -> None:
    if not stream.mutable:
        raise Invalid([Problem((), f"the stream {stream.id!r} is immutable: its records cannot be changed or deleted")])
