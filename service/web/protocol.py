"""Below the handlers: malformed HTTP requests are answered like all others, and a trailing slash is ignored.

Malformed input never becomes a request, so no middleware sees it. aiohttp would answer it as plain text and log the
offending line with a traceback; that line may contain an API key.
"""

import re
import secrets
from typing import Any, Final

import structlog
from aiohttp import http_exceptions, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from service import metrics
from service.errors import BadRequest, Internal, TallyError
from service.web.render import error_answer

log = structlog.get_logger()

_SLASHED: Final = frozenset({"GET", "HEAD", "POST"})
"""Methods for which `/x/` is `/x`. Not PUT, PATCH and DELETE: a client that fills in an empty name would change, or
delete, the parent resource."""

_CAUSES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (http_exceptions.LineTooLong, "its first line or one of its headers is too long"),
    (http_exceptions.InvalidURLError, "its first line has no valid path"),
    (http_exceptions.BadStatusLine, "its first line is not like `GET /v1/namespaces HTTP/1.1`"),
    (http_exceptions.TransferEncodingError, "its chunked body is malformed"),
    (http_exceptions.ContentEncodingError, "its body is not encoded as its header says"),
    (http_exceptions.ContentLengthError, "its body is not as long as its header says"),
)
_DESCRIPTION: Final = re.compile(r"[A-Z](?:[A-Za-z ,/`-]|n't){3,80}")
"""The parser's own words; anything after a colon or in quotes was sent by the client."""


class Runner(web.AppRunner):
    """Serves an application with the connection class below."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(
            made.request_handler,
            request_factory=_without_trailing_slash(made.request_factory),
            handler_cancellation=made.handler_cancellation,
            loop=made._loop,
            **made._kwargs,
        )


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(RequestHandler):
    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._current_request is None or not self._messages:
            return
        message = self._messages[-1][0]
        if isinstance(message, _ErrInfo) and not self._current_request.content.is_eof():
            # aiohttp leaves the reader of the current request's body waiting forever.
            self._current_request.content.set_exception(web.RequestPayloadError(_cause(message.exc)))

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to malformed HTTP, or (`status` 500) to failures outside the middlewares."""
        id = secrets.token_hex(8)
        if status < 500:
            cause = _cause(exc)
            # The same level as for every refused request; nothing that was sent is logged.
            log.info("request", request_id=id, method="(malformed)", route="(malformed)", status=400, reason=cause)
            metrics.requests.labels("(malformed)", "(malformed)", "400").inc()
            error: TallyError = BadRequest(f"this is not a valid HTTP request: {cause}")
        else:
            log.error("unexpected", request_id=id, exc_info=exc)
            error = Internal("the service failed; its log knows more under this request's id")
        if request.writer.output_size > 0:
            raise ConnectionError("a response was started already")
        return _closing(error, request.path, id)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        if isinstance(resp, web.HTTPException):
            # Raised before the middlewares: an `Expect` header other than 100-continue.
            id = secrets.token_hex(8)
            log.info("request", request_id=id, method=request.method, route="(unknown)", status=400, reason=resp.reason)
            resp = _closing(BadRequest(f"this cannot be done: {resp.reason}"), request.path, id)
        return await super().finish_response(request, resp, start_time)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        if isinstance(kw.get("exc_info"), web.RequestPayloadError):
            return  # in a body that was not read to its end; the request is already answered and logged
        log.error("unexpected", cause=str(args[0]) if args else "", exc_info=kw.get("exc_info"))


def _closing(error: TallyError, path: str, id: str) -> web.Response:
    response = error_answer(error, path)
    response.headers["X-Request-Id"] = id
    response.force_close()
    return response


def _cause(error: BaseException | None) -> str:
    """The problem with a malformed request, without any of its content."""
    text = str(getattr(error, "message", ""))
    if isinstance(error, http_exceptions.BadHttpMethod) and "HTTPS" in text.partition("'")[0]:
        return "it is encrypted, and this port takes plain HTTP"
    for kind, cause in _CAUSES:
        if isinstance(error, kind):
            return cause
    described = _DESCRIPTION.match(text.partition("\n")[0].partition(":")[0])
    return described[0].strip() if described else "its headers are malformed"


def _without_trailing_slash(make: Any) -> Any:
    def made(message: RawRequestMessage, *parts: Any) -> web.BaseRequest:
        path, mark, query = message.path.partition("?")
        if message.method in _SLASHED and path.endswith("/") and not path.endswith("//") and len(path) > 1:
            url = message.url.with_path(message.url.raw_path[:-1], encoded=True, keep_query=True)
            message = message._replace(path=f"{path[:-1]}{mark}{query}", url=url)
        request: web.BaseRequest = make(message, *parts)
        return request

    return made
