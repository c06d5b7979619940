"""The names of everything that Tally has in OpenSearch; no index name is built anywhere else.

    tally-catalog                          alias  namespaces, buckets, fields
    tally-catalog-000001                   index
    tally-objects-ns_1a2b3c4d5e            alias  a namespace's objects, by id: what the service uses
    tally-objects-ns_1a2b3c4d5e-000001     index
    tally-objects.sample                   alias  the same by name: what people look for

Names of namespaces reach an index name only here; capitals, which index names lack, are written `+s`.
"""

import re
from typing import Final

PREFIX: Final = "tally"
CATALOG: Final = f"{PREFIX}-catalog"
CATALOG_INDEX: Final = f"{CATALOG}-000001"

_ID = re.compile(r"ns_[0-9a-z]+")


def objects_alias(namespace_id: str) -> str:
    """Raises ValueError for what is no namespace id: a name from outside never becomes an index name."""
    if not _ID.fullmatch(namespace_id):
        raise ValueError(f"no namespace id: {namespace_id!r}")
    return f"{PREFIX}-objects-{namespace_id}"


def objects_index(namespace_id: str) -> str:
    return f"{objects_alias(namespace_id)}-000001"


def readable_alias(namespace_name: str) -> str:
    """Of a valid namespace name (`[A-Za-z0-9_-]`)."""
    return f"{PREFIX}-objects.{re.sub('[A-Z]', lambda match: '+' + match[0].lower(), namespace_name)}"
