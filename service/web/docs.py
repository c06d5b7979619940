"""Documentation of the service's routes: the OpenAPI document, and a page to read and try it."""

import asyncio
import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final

from aiohttp import web
from pydantic import Field

from service.errors import NotFound
from service.web import schemas
from service.web.route import Answer, Routes
from service.wire import WireModel

routes = Routes("Service", "service")

_HOME: Final = Path(__file__).parent / "assets"
_DOCUMENT: Final = "openapi.json"
_PAGE: Final = "index.html"
_ASSETS: Final = {
    "docs.js": "text/javascript",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "tally.svg": "image/svg+xml",
}
_HTML: Final = {
    # The style sheet embeds its icons as data URIs: nothing is loaded from elsewhere or inline.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True)
class _File:
    """The content to send, plain and compressed, and its ETag."""

    plain: bytes
    packed: bytes
    tag: str


@cache
def _file(name: str) -> _File:
    """Built once, in a thread: compressing the script takes a few tenths of a second."""
    if name == _DOCUMENT:
        from service.web.openapi import encoded  # slow to import, and not needed to import this module

        plain = encoded()
    else:
        plain = (_HOME / name).read_bytes()
    return _File(plain, gzip.compress(plain, mtime=0), hashlib.sha256(plain).hexdigest()[:32])


def prepare() -> None:
    """Builds the document before requests arrive: building its schemas blocks all other threads."""
    _file(_DOCUMENT)


async def _sent(
    request: web.Request, name: str, media: str, seconds: int, headers: dict[str, str] | None = None
) -> Any:
    """A file that the caller may cache for `seconds`; 304 if the cached copy is current."""
    file = await asyncio.to_thread(_file, name)
    headers = {
        "Cache-Control": f"public, max-age={seconds}" if seconds else "no-cache",
        "ETag": f'W/"{file.tag}"',
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
        **(headers or {}),
    }
    if any(tag.value in (file.tag, "*") for tag in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    charset = None if media == "application/json" else "utf-8"
    if "gzip" not in request.headers.get("Accept-Encoding", ""):
        return web.Response(body=file.plain, content_type=media, charset=charset, headers=headers)
    headers["Content-Encoding"] = "gzip"
    return web.Response(body=file.packed, content_type=media, charset=charset, headers=headers)


_HEADERS: Final = ("ETag", "Cache-Control")


class AssetPath(WireModel):
    asset: str = Field(description="A file of the page.", examples=["swagger-ui.css"])


@routes.get("/openapi.json", public=True, also={304: None})
async def get_open_api(request: web.Request) -> Annotated[schemas.Document, Answer(("application/json",), _HEADERS)]:
    """Get this document.

    OpenAPI 3.1 of all routes, made from the declarations that requests are read by.
    """
    return await _sent(request, _DOCUMENT, "application/json", 0)


@routes.get("/docs", public=True, also={304: None})
async def get_docs(request: web.Request) -> Annotated[str, Answer(("text/html",), _HEADERS)]:
    """Read this document.

    A page that shows this document and lets you try it out; everything on it comes from this service.
    """
    return await _sent(request, _PAGE, "text/html", 0, _HTML)


@routes.get("/docs/assets/{asset}", public=True, also={304: None}, errors=(NotFound,))
async def get_docs_asset(
    request: web.Request, path: AssetPath
) -> Annotated[str, Answer(("text/css", "text/javascript", "image/svg+xml"), _HEADERS)]:
    """Get a file of the page.

    Script or style of `/docs`, compressed where the caller accepts gzip.
    """
    if path.asset not in _ASSETS:
        raise NotFound("Asset", path.asset)
    return await _sent(request, path.asset, _ASSETS[path.asset], 3_600)
