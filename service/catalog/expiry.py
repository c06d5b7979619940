"""Namespace expiry: how requests set it, how it is stored, and which namespaces have expired."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, StrictInt, StrictStr

from service import dsl
from service.errors import Invalid
from service.fields import SHAPE, shape_token
from service.iso8601 import parse_instant
from service.values import Json, render_date
from service.wire import WireModel

Ttl = Annotated[
    StrictInt, Field(ge=1, le=10**10, description="Seconds from now until it is deleted with all its data.")
]
ExpiresAt = Annotated[
    StrictStr,
    Field(
        description="When it is deleted with all its data: ISO-8601, in the future. Not beside `ttl_seconds`.",
        json_schema_extra={"format": "date-time"},
    ),
]


class Expiring(WireModel):
    """The part of a request that says when a namespace expires; null in both means never."""

    ttl_seconds: Ttl | None = None
    expires_at: ExpiresAt | None = None

    def expiry(self, now: int) -> dict[str, Json]:
        """The body's `ttl_seconds` and `expires_at` (epoch milliseconds), nothing if the request names neither.

        Raises `Invalid` for both at once, for what is no date, and for a date that is not after `now`.
        """
        if not self.model_fields_set & {"ttl_seconds", "expires_at"}:
            return {}
        if self.ttl_seconds is not None and self.expires_at is not None:
            raise Invalid.at(
                ("body", "expires_at"),
                "`ttl_seconds` and `expires_at` both say when the namespace expires; send one of them",
                "contradiction",
            )
        if self.ttl_seconds is not None:
            return {"ttl_seconds": self.ttl_seconds, "expires_at": now + self.ttl_seconds * 1_000}
        return {"ttl_seconds": None, "expires_at": None if self.expires_at is None else _future(self.expires_at, now)}


def _future(text: str, now: int) -> int:
    at = parse_instant(text)
    shown = repr(text if len(text) <= 60 else text[:59] + "…")
    if at is None:
        raise Invalid.at(
            ("body", "expires_at"), f"an ISO-8601 date or date-time, such as 2030-01-31T12:00:00Z, not {shown}", "date"
        )
    if at <= now:
        raise Invalid.at(
            ("body", "expires_at"),
            f"{shown} is past (it is {render_date(now)}); to delete the namespace now, use DELETE",
            "past",
        )
    return at


def is_live(body: Mapping[str, Json], now: int) -> bool:
    """Neither deleted nor expired."""
    return body["status"] == "ACTIVE" and not is_expired(body, now)


def is_expired(body: Mapping[str, Json], now: int) -> bool:
    at = body.get("expires_at")
    return at is not None and at <= now


def before_expiry() -> Json:
    """The query for namespaces older than the expiry feature: lists do not know that they have no date."""
    known = [dsl.exists("expires_at@date"), dsl.term(SHAPE, shape_token("expires_at", "null"))]
    return dsl.filtered(dsl.term("kind", "namespace"), without=known)


def expired_by(now: int) -> Json:
    """The query for expired namespaces in the catalogue."""
    return dsl.in_range("expires_at@date", lte=now)
