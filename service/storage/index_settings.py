"""Shards and replicas of a new index."""

from service.values import Json


def index_settings(shards: int, replicas: int | None) -> dict[str, Json]:
    """With `replicas` None, one replica is added once a second data node can hold it, as for the catalogue."""
    copies: dict[str, Json] = {"auto_expand_replicas": "0-1"} if replicas is None else {"number_of_replicas": replicas}
    return {"number_of_shards": shards, **copies}
