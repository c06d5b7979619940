"""The service's OpenAPI 3.1 document, made once from the models and the operations of this folder."""

from functools import cache
from typing import Any, Final

import msgspec
from openapi_pydantic.v3.v3_1 import (
    Components,
    Info,
    License,
    OpenAPI,
    PathItem,
    SecurityScheme,
    Server,
    Tag,
)

from service import __version__
from service.web.openapi import buckets, collections, health, namespaces, objects, records
from service.web.openapi.answers import ValidationDetails
from service.web.openapi.parts import HEADERS, PARAMETERS, Op, failures, operation
from service.web.openapi.schemas import schemas_of
from service.web.openapi.trees import Name, Partial

OPERATIONS: Final[tuple[Op, ...]] = (
    *namespaces.OPERATIONS,
    *buckets.OPERATIONS,
    *objects.OPERATIONS,
    *collections.OPERATIONS,
    *records.OPERATIONS,
    *health.OPERATIONS,
)

_TAGS: Final = {
    "Namespaces": "What keeps tenants apart; a namespace is a project of the records API, too.",
    "Buckets": "What objects lie in: with a schema, a unique key, a retention.",
    "Objects": "JSON objects: written, listed, exported, and aggregated.",
    "Collections": "Named selections of objects, aggregated like a bucket.",
    "Spaces": "What containers and records are named in.",
    "Containers": "Typed properties of records.",
    "Streams": "What records are written to.",
    "Records": "Typed records: written, found, followed, and aggregated in trees.",
    "Tasks": "What goes on in the background.",
    "Service": "Health, numbers, this document.",
}

_ABOUT: Final = """\
Tally answers *how many, how much, per what, having what* over JSON objects and typed records that lie in your own
OpenSearch. An answer is **exact, or it says so; complete, or it says so**.

Two APIs: the **objects API** under `/v1` (flat specs in, rows out; the namespace in the header `X-Namespace`), and the
**records API** under `/api/v1/projects/{project}` (nested trees; the namespace is the project). Each has an error
envelope of its own. Bodies are JSON, whatever their `Content-Type` says, and may be packed with gzip.
"""


@cache
def document() -> dict[str, Any]:
    """As JSON values; the first time this takes some tenths of a second."""
    contents = [content for op in OPERATIONS for content in op.contents]
    inline, named = schemas_of([*(content.type for content in contents), ValidationDetails, Name, Partial])
    schemas = dict(zip(contents, inline, strict=False))
    paths: dict[str, PathItem] = {}
    for op in OPERATIONS:
        setattr(paths.setdefault(op.path, PathItem()), op.method, operation(op, schemas))
    whole = OpenAPI(
        openapi="3.1.1",
        info=Info(
            title="Tally",
            version=__version__,
            summary="Exact aggregations over objects and records, on your own OpenSearch.",
            description=_ABOUT,
            license=License(name="Apache-2.0", identifier="Apache-2.0"),
        ),
        servers=[Server(url="/", description="Where this document comes from.")],
        security=[{"key": []}],
        tags=[Tag(name=name, description=text) for name, text in _TAGS.items()],
        paths=paths,
        components=Components(
            parameters=dict(PARAMETERS),
            headers=dict(HEADERS),
            responses={**failures("objects"), **failures("records")},
            securitySchemes={
                "key": SecurityScheme(
                    type="http",
                    scheme="bearer",
                    description="`Authorization: Bearer sk_…`: the key that the operator gave you.",
                )
            },
        ),
    )
    told: dict[str, Any] = whole.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
    told["components"]["schemas"] = dict(sorted(named.items()))
    return told


@cache
def encoded() -> bytes:
    """The document as it is sent."""
    return msgspec.json.encode(document())
