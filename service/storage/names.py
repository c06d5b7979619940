"""Names of everything that Tally keeps in OpenSearch; index names are built nowhere else.

    tally-catalog                          alias  namespaces, buckets, fields
    tally-catalog-000001                   index
    tally-objects-ns_1a2b3c4d5e            alias  a namespace's objects, by id: used by the service
    tally-objects-ns_1a2b3c4d5e-000001     index
    tally-objects.sample                   alias  the same by name: for people
    tally-records-ns_1a2b3c4d5e.weather.m2x-live      index  a mutable stream's records (m2x: this incarnation of it)
    tally-records-ns_1a2b3c4d5e.weather.m2x-gone      index  its deletions, for sync
    tally-records-ns_1a2b3c4d5e.logs.m2y-20260122     index  an immutable stream's records of some days
    tally-records.sample.weather           alias  a stream's records by the project's name

Namespace names enter index names only here; capitals, which index names cannot contain, are written `+s`.
"""

import re
from typing import Final

PREFIX: Final = "tally"
CATALOG: Final = f"{PREFIX}-catalog"
ALL_RECORDS: Final = f"{PREFIX}-records-*"
CATALOG_INDEX: Final = f"{CATALOG}-000001"

_ID = re.compile(r"ns_[0-9a-z]+")
_STREAM = re.compile(r"[a-z]([a-z0-9_-]{0,98}[a-z0-9])?")
_RECORDS = re.compile(
    rf"{PREFIX}-records-ns_[0-9a-z]+\.(?P<stream>[^.]+)\.(?P<incarnation>[a-z0-9]+)-(?P<part>[a-z0-9]+)"
)


def objects_alias(namespace_id: str) -> str:
    """Raises ValueError for anything but a namespace id: no external name ever becomes an index name."""
    if not _ID.fullmatch(namespace_id):
        raise ValueError(f"no namespace id: {namespace_id!r}")
    return f"{PREFIX}-objects-{namespace_id}"


def first_objects_index(namespace_id: str) -> str:
    """The index created with a namespace; operators may later point the alias at another one."""
    return f"{objects_alias(namespace_id)}-000001"


def records_prefix(namespace_id: str, stream_id: str, incarnation: str) -> str:
    """The prefix of a stream's index names; a stream's id has no dot (contract, records)."""
    if not _ID.fullmatch(namespace_id) or not _STREAM.fullmatch(stream_id) or not incarnation.isalnum():
        raise ValueError(f"no stream: {namespace_id!r} {stream_id!r}")
    return f"{PREFIX}-records-{namespace_id}.{stream_id}.{incarnation}"


def records_pattern(namespace_id: str) -> str:
    """A pattern for the indices of all streams of this namespace only: no id has a dot."""
    if not _ID.fullmatch(namespace_id):
        raise ValueError(f"no namespace id: {namespace_id!r}")
    return f"{PREFIX}-records-{namespace_id}.*"


def stream_of(index: str) -> tuple[str, str, bool] | None:
    """The stream, its incarnation, and whether the index holds deletions; None if it is not an index of a stream."""
    found = _RECORDS.fullmatch(index)
    return (found["stream"], found["incarnation"], found["part"] == "gone") if found else None


def live(prefix: str) -> str:
    return f"{prefix}-live"


def tombstones(prefix: str) -> str:
    return f"{prefix}-gone"


def readable(alias: str) -> bool:
    """Whether an alias is a human-readable one, by the namespace's name."""
    return alias.startswith((f"{PREFIX}-objects.", f"{PREFIX}-records."))


def records_alias(namespace_name: str, stream_id: str) -> str:
    return f"{PREFIX}-records.{_small(namespace_name)}.{stream_id}"


def readable_alias(namespace_name: str) -> str:
    """For a valid namespace name (`[A-Za-z0-9_-]`)."""
    return f"{PREFIX}-objects.{_small(namespace_name)}"


def _small(name: str) -> str:
    return re.sub("[A-Z]", lambda match: "+" + match[0].lower(), name)
