"""The only access to OpenSearch: requests, retries, timeouts, and translation of its errors."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec
import structlog
from opensearchpy import AsyncOpenSearch, ConnectionTimeout, TransportError
from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.serializer import JSONSerializer, TextSerializer

from service import deadline, metrics, tracing
from service.errors import InsufficientStorage, TallyError, TimedOut, Unavailable
from service.storage.failures import Absent, Conflict, Rejected, raise_lasting, shards_missing, translated
from service.storage.whole import is_whole, operation
from service.telemetry import backend, note_backend
from service.values import Json, encode_json

__all__ = ["Absent", "Conflict", "Gateway", "Refresher", "Rejected"]

T = TypeVar("T")

log = structlog.get_logger()

_TOOK = re.compile(r'\{"took":(\d+)')

_TRIES: Final = 3
"""Maximum attempts for a request whose answer does not arrive, or whose node is unavailable."""

_SHARD_WAITS: Final = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Seconds between attempts of a read that hits a shard without an active copy.

A new index matches patterns as soon as it is created, but its shards start slightly later.
"""

FIRST_PAGE: Final = 200
_LARGEST_PAGE: Final = 1_000
_PAGE_BYTES: Final = 4_000_000
"""Approximate target size of a page of a walk."""

_EARLIER: Final = 0.1
"""Seconds before a request's time limit at which the client gives up."""

_RETRIED: Final = (502, 503, 504)

OPEN_OR_CLOSED: Final[Mapping[str, str]] = {"expand_wildcards": "open,closed"}
"""A pattern that matches a closed index fails (503); by default OpenSearch would silently skip the index."""

OPEN: Final[Mapping[str, str]] = {"expand_wildcards": "open"}
"""For background work, which skips closed indices until they are opened."""


def next_page(hits: int, size: int) -> int:
    """The number of hits for a walk's next page, given the hits and bytes of the last one."""
    return max(10, min(_LARGEST_PAGE, hits * _PAGE_BYTES // size))


class _Unread(JSONSerializer):
    """Leaves answers as text; the caller parses them."""

    def loads(self, s: str) -> Any:
        return s

    def dumps(self, data: Any) -> Any:
        return data if isinstance(data, str | bytes) else encode_json(data)


class Gateway:
    """Client of one OpenSearch cluster, through any of its nodes' addresses.

    Methods raise only `TallyError`s and `Absent`, `Conflict` and `Rejected`.

    A request has `timeout` seconds, or what its user's request has left (`deadline`); OpenSearch gets the same limit.
    """

    def __init__(
        self,
        urls: str | Sequence[str],
        *,
        user: str | None = None,
        password: str | None = None,
        ca: str | None = None,
        verify: bool = True,
        timeout: float = 60.0,
        connections: int = 32,
    ) -> None:
        hosts = [urls] if isinstance(urls, str) else list(urls)
        self.timeout = timeout
        self.write_block: str | None = None
        """Why OpenSearch accepts no writes, as far as known; None if it accepts them."""
        tls: dict[str, Any] = {}
        if hosts[0].startswith("https:"):
            tls = {"verify_certs": verify, "ssl_show_warn": False, "ca_certs": ca} if ca or not verify else {}
        self._client = AsyncOpenSearch(
            hosts,
            http_auth=(user, password) if user else None,
            serializers={"application/json": _Unread(), "text/plain": TextSerializer()},
            timeout=timeout,
            max_retries=0,  # the gateway retries, so that it knows of repeats
            retry_on_timeout=True,  # sends no retries, but marks a hanging node dead for a while
            maxsize=connections,
            **tls,
        )
        self._closing: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        if self._closing:
            await asyncio.wait(self._closing, timeout=1.0)
        await self._client.close()

    async def request(self, method: str, path: str, body: Any = None, **options: Any) -> str:
        """The unparsed body of a successful answer; raises `Unavailable` if the answer is incomplete."""
        text, _ = await self.request_once_or_again(method, path, body, **options)
        return text

    async def request_once_or_again(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[str, bool]:
        """The same, and whether the request was sent more than once.

        If so, an earlier attempt may have been executed, and this answer may reflect its effect.
        """
        attributes = {
            "db.system.name": "opensearch",
            "db.operation.name": operation(path),
            "http.request.method": method,
        }
        with tracing.span(f"{attributes['db.operation.name']} opensearch", attributes, "client") as span:
            sent = {**(headers or {}), **tracing.headers()}
            text, again = await self._answered(method, path, body, params, sent)
            took = _TOOK.match(text) if isinstance(text, str) else None
            note_backend(int(took[1]) if took else 0)
            if span is not None and took:
                span.set_attribute("tally.took_ms", int(took[1]))
        limited = "terminate_after" in (params or ()) or (isinstance(body, Mapping) and "terminate_after" in body)
        if isinstance(text, str) and not is_whole(method, path, text, limited=limited):
            log.warning("opensearch answered in part", operation=operation(path), answer=text[:300])
            raise Unavailable("OpenSearch could not answer for all of the data; try again", retry_after=2)
        return text or "{}", again

    async def _answered(
        self, method: str, path: str, body: Any, params: Mapping[str, Any] | None, headers: dict[str, str]
    ) -> tuple[str, bool]:
        cost = backend.get()
        if cost is not None:
            headers["X-Opaque-Id"] = cost.id
        seconds = deadline.left(self.timeout)
        try:
            if not seconds:
                raise TimeoutError
            until = time.monotonic() + seconds
            waits, sent, failures = iter(_SHARD_WAITS), 0, 0
            async with asyncio.timeout(seconds):  # for all attempts together
                while True:
                    # The client must time out by itself before it is cancelled, or it does not notice the timeout.
                    left = until - time.monotonic()
                    sent += 1
                    try:
                        text: str = await self._client.transport.perform_request(
                            method,
                            path,
                            params=dict(params or {}),
                            body=body,
                            headers=headers,
                            timeout=max(0.001, left - min(_EARLIER, left * 0.05)),
                        )
                    except ConnectionTimeout:
                        raise
                    except TransportError as error:
                        if shards_missing(error):
                            wait = next(waits, None)
                            if wait is None:
                                raise
                            await asyncio.sleep(wait)
                            continue
                        failures += 1
                        retried = isinstance(error, NoConnection) or error.status_code in _RETRIED
                        if not retried or failures == _TRIES:
                            raise
                    else:
                        return text, sent > 1
        except (ConnectionTimeout, TimeoutError):
            raise TimedOut("OpenSearch did not answer in time", retry_after=5) from None
        except NoConnection as error:
            log.warning("opensearch unreachable", cause=str(error)[:400])
            raise Unavailable("OpenSearch cannot be reached", retry_after=5) from None
        except TransportError as error:
            failure = translated(error)
            if isinstance(failure, InsufficientStorage):
                self.note_write_block(failure.message)
            raise failure from error
        raise AssertionError("unreachable")

    async def time(self) -> float:
        """The cluster manager's time, in seconds since 1970: one clock for all callers."""
        params = {"filter_path": "nodes.*.timestamp"}
        answer = await self.json("GET", "/_nodes/_cluster_manager/stats/process", params=params)
        (node,) = answer["nodes"].values()
        return float(node["timestamp"]) / 1_000

    def note_write_block(self, cause: str | None) -> None:
        """Informs operators once when OpenSearch stops accepting writes, and once when it resumes (`cause` None)."""
        if cause == self.write_block:
            return
        if cause is not None:
            log.warning("opensearch takes no writes", cause=cause)
        else:
            log.warning("opensearch takes writes again")
        self.write_block = cause
        metrics.write_blocked.set(0 if cause is None else 1)

    async def json(self, method: str, path: str, body: Any = None, **options: Any) -> Json:
        return msgspec.json.decode(await self.request(method, path, body, **options))

    async def search(
        self,
        index: str | None,
        body: Mapping[str, Any],
        expand: Mapping[str, str] = OPEN_OR_CLOSED,
        *,
        preference: str | None = None,
    ) -> str:
        """A search that is whole or fails; without an index the body has a point in time.

        A missing index name raises `Absent`; a pattern that matches nothing returns no hits. `preference`: the shards
        to search, all by default.
        """
        params = {
            **(expand if index else {}),
            **({"preference": preference} if preference else {}),
            "allow_partial_search_results": "false",
            "cancel_after_time_interval": self.limit(),
        }
        path = f"/{quote(index)}/_search" if index else "/_search"
        return await self.request("POST", path, body, params=params)

    @asynccontextmanager
    async def point_in_time(self, index: str) -> AsyncIterator[str]:
        """A state of the index unaffected by later writes; always deleted at the end."""
        pit = await self.open_point_in_time(index, 120)
        try:
            yield pit
        finally:
            closing = deadline.detached(self.close_point_in_time(pit))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            # Do not keep the caller waiting for a close that hangs.
            await asyncio.wait([closing], timeout=deadline.left(1.0))

    async def pages(
        self, pit: str, body: Mapping[str, Any], read: Callable[[str], Sequence[tuple[Json, T]]]
    ) -> AsyncIterator[list[T]]:
        """All hits of a sorted search in a point in time, page by page; smaller pages for large hits.

        `read` parses an answer, in a thread, into each hit's sort values and result.
        """
        size = FIRST_PAGE
        body = {"track_total_hits": False, **body, "pit": {"id": pit, "keep_alive": "2m"}}
        asked: asyncio.Task[str] | None = asyncio.create_task(self.search(None, {**body, "size": size}))
        try:
            while asked is not None:
                text = await asked
                hits = await asyncio.to_thread(read, text)
                asked = None
                if len(hits) == size:
                    # The next page is fetched while this one is processed.
                    size = next_page(len(hits), len(text))
                    body["search_after"] = hits[-1][0]
                    asked = asyncio.create_task(self.search(None, {**body, "size": size}))
                yield [item for _, item in hits]
        finally:
            if asked is not None:
                asked.cancel()

    async def open_point_in_time(self, index: str, seconds: float) -> str:
        """A point in time that lives for `seconds` after its last use."""
        keep_alive = f"{max(1, int(seconds))}s"
        params = {"keep_alive": keep_alive, "allow_partial_pit_creation": "false", **OPEN_OR_CLOSED}
        opened = await self.json("POST", f"/{quote(index)}/_search/point_in_time", params=params)
        metrics.views.inc()
        return str(opened["pit_id"])

    async def close_point_in_time(self, pit: str) -> None:
        metrics.views.dec()
        try:
            await self.request("DELETE", "/_search/point_in_time", {"pit_id": [pit]})
        except (Absent, TallyError):
            log.warning("a point in time was not closed; it ends by itself in a few minutes")

    def limit(self, part: float = 1.0) -> str:
        """The remaining time, or a part of it, as OpenSearch's limit."""
        return f"{max(1, int(deadline.left(self.timeout) * part * 1_000))}ms"

    async def get_many(
        self, index: str, ids: Sequence[str], partly: Sequence[str] = (), parts: Sequence[str] = ()
    ) -> list[Json]:
        """Documents by id, including ones not refreshed yet; `found` says whether each exists.

        They are followed by those of which only the version and some parts are read.
        """
        docs: list[Json] = [{"_id": id} for id in ids] + [{"_id": id, "_source": list(parts)} for id in partly]
        return await self.multi_get(index, docs)

    async def multi_get(self, index: str, docs: Sequence[Json], params: Mapping[str, Any] | None = None) -> list[Json]:
        """The `_mget` result for each of `docs`, in order; raises `Absent` if the index does not exist."""
        if not docs:
            return []
        for wait in (*_SHARD_WAITS, None):
            answer = await self.json("POST", f"/{quote(index)}/_mget", {"docs": docs}, params=params)
            documents: list[Json] = answer["docs"]
            errors = [document["error"] for document in documents if "error" in document]
            raise_lasting(errors)
            kinds = {error["type"] for error in errors}
            if not kinds:
                return documents
            if "index_not_found_exception" in kinds:
                raise Absent(index)
            if wait is not None:
                await asyncio.sleep(wait)
        raise Unavailable("OpenSearch cannot read all of its data yet; try again", retry_after=2)


def error_of(status: int, cause: Mapping[str, Json]) -> Exception:
    """The error for part of a request (a bulk item), by the same rules as for a whole one."""
    return translated(TransportError(status, str(cause.get("type", "")), {"error": dict(cause)}))


class Refresher:
    """Makes writes visible: one refresh serves all writers waiting when it starts."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._running: dict[str, asyncio.Task[None]] = {}
        self._waiting: dict[str, asyncio.Task[None]] = {}

    async def refresh(self, index: str) -> None:
        """Returns when a refresh that began after this call is done."""
        running = self._running.get(index)
        if running is None:
            await self._within(self._start(index))
            return
        waiting = self._waiting.get(index)
        if waiting is None:
            waiting = self._waiting[index] = deadline.detached(self._after(running, index))
        await self._within(waiting)

    async def _within(self, task: "asyncio.Task[None]") -> None:
        await deadline.within(task, 2 * self._gateway.timeout)

    async def _after(self, running: "asyncio.Task[None]", index: str) -> None:
        await asyncio.wait([running])
        self._waiting.pop(index, None)
        await self._start(index)

    def _start(self, index: str) -> "asyncio.Task[None]":
        task = self._running[index] = deadline.detached(self._refresh(index))
        task.add_done_callback(
            lambda done: self._running.pop(index, None) if self._running.get(index) is done else None
        )
        return task

    async def _refresh(self, index: str) -> None:
        await self._gateway.request("POST", f"/{quote(index)}/_refresh")
