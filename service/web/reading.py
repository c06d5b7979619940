"""Reading requests: the namespace, bodies, JSON, lines of an import."""

import asyncio
import codecs
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Final

import msgspec
from aiohttp import web

from service import deadline
from service.errors import BadRequest, Invalid, NotFound, TooLarge
from service.values import Json, key_given_twice, members_of, no_json
from service.web.keys import SETTINGS

_BATCH_LINES: Final = 1_000
_BATCH_BYTES: Final = 4 * 1024 * 1024
_CHUNK: Final = 64 * 1024
_GZIP_MAGIC: Final = b"\x1f\x8b"
_GZIP_FORMAT: Final = 16 + zlib.MAX_WBITS

MAX_DEPTH: Final = 100
"""Maximum nesting of arrays and objects in a request, so that it can be walked recursively."""


def namespace_of(request: web.Request, default: str | None = None) -> str:
    """`X-Namespace`, else `?namespace=`."""
    if len(request.query.getall("namespace", ())) > 1:
        raise Invalid.at(("query", "namespace"), "given more than once", "repeated")
    header, query = request.headers.get("X-Namespace"), request.query.get("namespace")
    if header and query and header != query:
        raise BadRequest(
            "the header X-Namespace and ?namespace= in the query name different namespaces: send one of them"
        )
    namespace = header or query or default
    if not namespace:
        raise BadRequest("name the namespace: header X-Namespace (its id or name), or ?namespace= in the query")
    if not namespace.isascii():
        # No name has such characters, and a header may contain bytes that are not valid text.
        raise NotFound("Namespace", namespace.encode("ascii", "backslashreplace").decode())
    return namespace


async def body_of(request: web.Request, limit: int | None = None) -> bytes:
    """The decompressed body, at most `limit` bytes; by default the setting's."""
    way_out = "send it in parts" if limit else "use the import route for volumes"
    limit = limit or request.app[SETTINGS].body_limit
    body = bytearray()
    with deadline.paused():
        async for chunk in _chunks(request):
            body += chunk
            if len(body) > limit:
                raise TooLarge(
                    f"the request body is larger than {limit:,} bytes; {way_out}",
                    {"limit": limit},
                )
    return bytes(body)


def json_from(body: bytes) -> Json:
    """Parses JSON with integers of any size; raises `Invalid` for too deep nesting and duplicate keys."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid.at(("body",), no_json(error, body), "json_invalid") from None
    except RecursionError:
        raise Invalid.at(("body",), "nested too deep", "too_deep") from None
    if _deeper_than(MAX_DEPTH, value):
        raise Invalid.at(("body",), f"nested more than {MAX_DEPTH} levels deep", "too_deep")
    key = key_given_twice(body, members_of(value))
    if key is not None:
        raise Invalid.at(("body", key), f"the key `{key}` is given twice in one object", "repeated")
    return value


def _deeper_than(limit: int, value: Json) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(limit + 1):
        level = [
            child
            for each in level
            for child in (each.values() if isinstance(each, dict) else each)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


async def lines_of(request: web.Request, limit: int) -> AsyncIterator[list[tuple[int, bytes | None]]]:
    """Batches of numbered lines of a body of any size; empty lines are skipped, too long ones are None."""
    batch: list[tuple[int, bytes | None]] = []
    size, number, rest, skipping = 0, 0, b"", False

    def take(line: bytes) -> None:
        nonlocal size
        if skipping or len(line) > limit:
            batch.append((number, None))
            return
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        if line := line.strip():
            batch.append((number, line))
            size += len(line)

    try:
        async for chunk in _chunks(request, sniff=True):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                number += 1
                take(line)
                skipping = False
                if len(batch) >= _BATCH_LINES or size >= _BATCH_BYTES:
                    yield batch
                    batch, size = [], 0
            if skipping or len(rest) > limit:
                rest, skipping = b"", True
    except BadRequest as error:
        raise BadRequest(f"{error.message} (after line {number}; the lines before may be stored)") from None
    number += 1
    take(rest)
    if batch:
        yield batch


async def _chunks(request: web.Request, *, sniff: bool = False) -> AsyncIterator[bytes]:
    """The decoded body (Content-Encoding removed), in chunks; raises `BadRequest` if it is corrupt or truncated.

    `sniff`: also detects gzip by its first bytes, as clients rarely declare the encoding of a file.
    """
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise BadRequest(f"Content-Encoding {encoding!r} is not known here; send gzip, or no encoding")
    gzip = _Gzip() if encoding.endswith("gzip") else None
    started = False
    try:
        async for chunk in request.content.iter_chunked(_CHUNK):
            if sniff and not started and chunk.startswith(_GZIP_MAGIC):
                gzip = gzip or _Gzip()
            started = True
            if gzip is None:
                yield chunk
                continue
            for piece in gzip.unpacked(chunk):
                yield piece
                await asyncio.sleep(0)  # kilobytes may decompress to gigabytes: yield to others
    except zlib.error as error:
        raise BadRequest(f"the body is not valid gzip: {error}") from None
    except web.RequestPayloadError as error:
        raise BadRequest(f"the body did not arrive whole: {error}") from None
    if gzip is not None and not gzip.ended:
        raise BadRequest("the gzip body ends before its end: it was cut off")


class _Gzip:
    """Decompresses gzip in chunks of bounded size, including multiple members.

    aiohttp could do this itself, but accepts a truncated body as complete.
    """

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP_FORMAT)

    @property
    def ended(self) -> bool:
        return self._member.eof

    def unpacked(self, data: bytes) -> Iterator[bytes]:
        full = False
        while data or full:
            if self._member.eof:
                data = data.lstrip(b"\0")  # padding, as in tape archives
                if not data:
                    return
                self._member = zlib.decompressobj(_GZIP_FORMAT)
            piece = self._member.decompress(data, _CHUNK)
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            full = len(piece) == _CHUNK
            if piece:
                yield piece
