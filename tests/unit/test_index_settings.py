"""Copies of a new index: as many as were asked for, else one where there is a node to hold it."""

from service.storage.index_settings import index_settings


def test_a_number_of_replicas_is_taken_as_it_is() -> None:
    assert index_settings(3, 0) == {"number_of_shards": 3, "number_of_replicas": 0}
    assert index_settings(1, 2) == {"number_of_shards": 1, "number_of_replicas": 2}


def test_without_one_opensearch_adds_a_replica_when_it_can() -> None:
    assert index_settings(1, None) == {"number_of_shards": 1, "auto_expand_replicas": "0-1"}
