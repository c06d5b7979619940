"""Imports saved objects into a running OpenSearch Dashboards."""

from collections.abc import Mapping

import aiohttp

from service.values import Json


class DashboardsError(Exception):
    """The dashboards could not be generated or sent; the message says why."""


async def send(url: str, file: bytes, user: str | None, password: str) -> tuple[int, list[str]]:
    """Imports NDJSON, overwriting existing objects; returns the number imported, and a line for each failure."""
    form = aiohttp.FormData()
    # Dashboards accepts only files with this extension.
    form.add_field("file", file, filename="tally.ndjson", content_type="application/ndjson")
    # Without this header Dashboards rejects the request as cross-site request forgery.
    headers = {"osd-xsrf": "true"}
    if user:
        try:
            headers["Authorization"] = aiohttp.encode_basic_auth(user, password)
        except ValueError as error:
            raise DashboardsError(f"the user {user!r} cannot be sent: {error}") from None
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(
            f"{url.rstrip('/')}/api/saved_objects/_import", params={"overwrite": "true"}, data=form
        ) as response,
    ):
        text = await response.text()
        try:
            answer = await response.json(content_type=None)
        except ValueError:
            answer = None
    if response.status != 200 or not isinstance(answer, dict) or "successCount" not in answer:
        said = answer.get("message") if isinstance(answer, dict) else text
        raise DashboardsError(f"{response.url.origin()} answered {response.status}: {str(said)[:500]}")
    return int(answer["successCount"]), [_line(each) for each in answer.get("errors") or ()]


def _line(item: Mapping[str, Json]) -> str:
    """The problem with one object."""
    error = dict(item.get("error") or {})
    kind = error.pop("type", "unknown")
    title = (item.get("meta") or {}).get("title") or item.get("title") or item.get("id")
    more = "; ".join(f"{name}: {value}" for name, value in error.items())
    return f"{item.get('type')} {title!r}: {kind}" + (f" ({more})" if more else "")
