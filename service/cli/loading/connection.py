"""The connection to the service: answers, one-line errors, and retries where they can help."""

import asyncio
import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

import aiohttp
from yarl import URL

from service.cli.loading.errors import LoadError

_TRIES: Final = 6
_LONGEST_PAUSE: Final = 10.0
_BUSY: Final = (429, 502, 503, 504)
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=300)


class Refused(LoadError):
    """The service answered with an error."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Unreachable(LoadError):
    """No answer arrived, or none that shows the request's outcome."""


class Connection:
    """A client of a running Tally."""

    def __init__(self, address: str, api_key: str, namespace: str) -> None:
        self._address = checked_address(address)
        self._headers = {
            "Authorization": f"Bearer {_header(api_key, 'the API key')}",
            "X-Namespace": _header(namespace, "the namespace"),
        }
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=_TIMEOUT)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session is not None  # noqa: S101
        await self._session.close()

    async def find(self, path: str) -> dict[str, Any] | None:
        """The resource at a path, None for a 404."""
        status, answer = await self._answer("GET", path)
        if status == 404:
            return None
        return _accepted(status, answer)

    async def send(
        self, method: str, path: str, body: Any = None, *, data: bytes | None = None, accept: tuple[int, ...] = ()
    ) -> dict[str, Any]:
        """Sends JSON, or raw lines, and returns the answer; raises `Refused` for an unsuccessful status."""
        if body is not None:
            data = json.dumps(body).encode()
        status, answer = await self._answer(method, path, data)
        return answer if status in accept else _accepted(status, answer)

    async def send_again(self, method: str, path: str, data: bytes) -> dict[str, Any]:
        """The same for idempotent requests: retried if the service is busy or does not answer."""
        for attempt in range(_TRIES):
            try:
                return await self.send(method, path, data=data)
            except (Unreachable, Refused) as error:
                if attempt == _TRIES - 1 or (isinstance(error, Refused) and error.status not in _BUSY):
                    raise
            await asyncio.sleep(min(_LONGEST_PAUSE, 0.5 * 2**attempt))
        raise AssertionError("not reached")

    async def _answer(self, method: str, path: str, data: bytes | None = None) -> tuple[int, dict[str, Any]]:
        assert self._session is not None  # noqa: S101
        url = URL(self._address + path, encoded=True)
        headers = {"Content-Type": "application/json"} if data is not None else {}
        try:
            async with self._session.request(method, url, data=data, headers=headers) as response:
                text = await response.text(errors="replace")
                status = response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise Unreachable(
                f"Tally does not answer at {self._address}: {reason}; is it running? (`tally run`, or another --url)"
            ) from None
        try:
            answer = json.loads(text) if text else {}
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise Refused(
                f"{self._address} is not a Tally service: it answers {status} and {text[:80]!r}; check --url", status
            )
        return status, answer


def _accepted(status: int, answer: dict[str, Any]) -> dict[str, Any]:
    if status < 300:
        return answer
    raise Refused(error_text(answer) or f"the service answers with status {status}", status)


def error_text(answer: Mapping[str, Any]) -> str:
    """The message of an error answer of either API, with the locations of a 422."""
    error = answer.get("error")
    if not isinstance(error, dict):
        return ""
    problems = (error.get("details") or {}).get("validation_errors") or []
    if not problems:
        return str(error.get("message", ""))
    return "; ".join(f"{'.'.join(map(str, each['location']))}: {each['message']}" for each in problems)


def in_path(name: str) -> str:
    """A name escaped as a path segment."""
    return quote(name, safe="")


def checked_address(address: str) -> str:
    """The address without a trailing slash; raises `LoadError` unless it is an http address."""
    try:
        parts = urlsplit(address.strip())
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits or parts.query or parts.fragment or any(character.isspace() for character in address.strip()):
        raise LoadError(f"--url {address!r} is not the address of a service; write it as http://127.0.0.1:8080")
    return address.strip().rstrip("/")


def _header(text: str, what: str) -> str:
    if not text or not text.isascii() or not text.isprintable() or text != text.strip():
        raise LoadError(f"{what} cannot be sent in a header: it is empty, or has characters other than printable ASCII")
    return text
