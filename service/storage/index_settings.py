"""How many shards and copies a new index gets."""

from service.values import Json


def index_settings(shards: int, replicas: int | None) -> dict[str, Json]:
    """Without a number of replicas there is one as soon as a second data node can hold it, as for the catalogue."""
    copies: dict[str, Json] = {"auto_expand_replicas": "0-1"} if replicas is None else {"number_of_replicas": replicas}
    return {"number_of_shards": shards, **copies}
