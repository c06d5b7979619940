"""The secret that signs cursors: the service's own, kept in the catalogue so that all replicas share it.

It does not depend on the API key, so a client's sync cursor stays valid when the key is replaced.
"""

import secrets
from contextlib import suppress
from typing import Final

from service.errors import Unavailable
from service.storage.catalog import Catalog
from service.storage.gateway import Conflict

_ID: Final = "secret:cursors"


async def cursor_secret(catalog: Catalog) -> str:
    """The secret, created by the first caller. Raises `Unavailable` if it disappears from the catalogue meanwhile."""
    (entry,) = await catalog.get(_ID)
    if entry is None:
        with suppress(Conflict):  # another replica was first
            await catalog.create(_ID, "secret", "", "cursors", {"secret": secrets.token_hex(32)})
        (entry,) = await catalog.get(_ID)
    if entry is None:
        raise Unavailable("the catalogue does not hold what cursors are sealed with; try again", retry_after=2)
    return str(entry.body["secret"])
