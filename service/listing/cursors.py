"""Cursors: signed, so that they cannot be forged or changed, and bound to their list."""

from collections.abc import Mapping
from dataclasses import dataclass

from itsdangerous import BadData, URLSafeSerializer

from service import clock
from service.errors import Gone, Invalid, Location, Unavailable
from service.values import Json


@dataclass
class Secret:
    """The secret that signs cursors; read from the catalogue, which may become available only later."""

    text: str = ""
    earlier: str = ""
    """Release 0.1.0's secret: a sync cursor stays valid as long as its stream, across upgrades too."""


@dataclass(frozen=True)
class Cursors:
    """Signs and opens cursors; a forged or changed one is not valid."""

    secret: Secret
    lifetime: float
    """Seconds after its last use for which a cursor stays valid."""

    def seal(self, **content: Json) -> str:
        return self._sealer.dumps({**content, "until": clock.now() + self.lifetime})

    def open(self, text: str, bound: str, at: Location = ("body", "cursor")) -> Mapping[str, Json]:
        try:
            content: Mapping[str, Json] = self._sealer.loads(text)
        except BadData:
            raise Invalid.at(at, "this is not a cursor of this service; it was changed or cut", "cursor") from None
        if content["of"] != bound:
            raise Invalid.at(
                at,
                "the cursor belongs to another list; send the same filters, sort, search and case_sensitive with it",
                "cursor",
            )
        if content["until"] < clock.now():
            raise gone(self.lifetime)
        return content

    @property
    def _sealer(self) -> URLSafeSerializer:
        if not self.secret.text:
            raise Unavailable("Tally is starting; OpenSearch is not available yet", retry_after=5)
        # The last one signs; any of them verifies.
        return URLSafeSerializer([self.secret.earlier or self.secret.text, self.secret.text], salt="tally-cursor")


def gone(lifetime: float) -> Gone:
    return Gone(
        f"the cursor has ended: it lives for {lifetime:g} seconds after its last use; begin again, or go on from the "
        "last result with a filter on the field that you sort by"
    )
