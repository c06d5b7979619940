"""Installs the contents of `mappings/` in OpenSearch; idempotent."""

from typing import Final

import msgspec

from service.errors import Unavailable
from service.storage import names
from service.storage.gateway import Absent, Gateway, Rejected
from service.storage.templates import index_body, mappings, template
from service.values import Json

_ROUTES: Final = {"components": "_component_template", "templates": "_index_template"}


async def bootstrap(gateway: Gateway) -> list[str]:
    """Installs templates newer than the existing ones, and the catalogue's index; returns what it did.

    Raises `Unavailable`, and changes nothing, if there is data but no catalogue that says whose it is.
    """
    done: list[str] = []
    await _check(gateway)
    for folder, route in _ROUTES.items():
        for file in sorted((mappings() / folder).glob("*.json")):
            body = msgspec.json.decode(file.read_bytes())
            if await _version(gateway, route, file.stem) != body["version"]:
                await gateway.request("PUT", f"/{route}/{file.stem}", body)
                done.append(f"put {route.strip('_').replace('_', ' ')} {file.stem}, version {body['version']}")
    try:
        # Adds a newer version's fields; existing ones stay as they are.
        await gateway.request("PUT", f"/{names.CATALOG}/_mapping", template(names.CATALOG)["template"]["mappings"])
    except Absent:
        try:
            body = {**index_body(names.CATALOG), "aliases": {names.CATALOG: {}}}
            await gateway.request("PUT", f"/{names.CATALOG_INDEX}", body)
            done.append(f"made index {names.CATALOG_INDEX}")
        except Rejected as rejected:
            if rejected.kind != "resource_already_exists_exception":
                raise
    # Another process may have just created it: a new index cannot be searched at once.
    await gateway.request("GET", f"/_cluster/health/{names.CATALOG}", params={"wait_for_active_shards": "1"})
    return done


async def _check(gateway: Gateway) -> None:
    """A missing catalogue is created only in an empty cluster: elsewhere it was lost and must be restored."""
    params = {"expand_wildcards": "all", "allow_no_indices": "true"}
    indices = await gateway.json("GET", f"/{names.PREFIX}-*/_alias", params=params)
    if names.CATALOG in indices:
        raise Unavailable(
            f"{names.CATALOG} is an index in OpenSearch where an alias has to be: something wrote to it while the "
            "catalogue was missing. Delete that index and restore the catalogue (docs/running.md, A cluster that "
            "lost its data)",
            retry_after=30,
        )
    if any(names.CATALOG in each["aliases"] for each in indices.values()):
        return
    others = sorted(index for index in indices if index != names.CATALOG_INDEX)
    if names.CATALOG_INDEX in indices:
        raise Unavailable(
            f"the index {names.CATALOG_INDEX} has no alias {names.CATALOG}; put it there if this is the catalogue "
            "(docs/running.md, A cluster that lost its data)",
            retry_after=30,
        )
    if others:
        raise Unavailable(
            f"OpenSearch has no catalogue but {len(others)} other indices of Tally ({others[0]}, …): restore "
            f"{names.CATALOG_INDEX} from a snapshot, or delete them all to begin anew (docs/running.md, A cluster "
            "that lost its data)",
            retry_after=30,
        )


async def ready(gateway: Gateway) -> bool:
    """Whether the catalogue answers and the objects' template exists."""
    version = await _version(gateway, _ROUTES["templates"], "tally-objects")
    return version is not None and await _exists(gateway, names.CATALOG)


async def _exists(gateway: Gateway, index: str) -> bool:
    try:
        await gateway.request("GET", f"/{index}/_count")
    except Absent:
        return False
    return True


async def _version(gateway: Gateway, route: str, name: str) -> Json:
    try:
        found = await gateway.json("GET", f"/{route}/{name}")
    except Absent:
        return None
    (entry,) = next(iter(found.values()))
    there = entry.get("index_template") or entry.get("component_template") or {}
    return there.get("version")
