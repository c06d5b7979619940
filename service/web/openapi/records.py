"""Operations of the records API: spaces, containers, streams, records of a project."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from service.resources.models import Containers, Spaces
from service.resources.streams import CreateStreams, DeleteStreams
from service.values import Json
from service.web.openapi.parts import Content, Op
from service.web.openapi.trees import (
    AggregateQuery,
    AggregateResults,
    ContainerNames,
    DeletedContainers,
    DeletedSpaces,
    FilterQuery,
    Identifiers,
    NoItems,
    Nothing,
    RecordNames,
    Records,
    SpaceNames,
    StoredContainers,
    StoredSpaces,
    Stream,
    Streams,
    SyncedRecords,
    SyncQuery,
    WrittenRecords,
)

_PROJECT: Final = "/api/v1/projects/{project}"
_SPACES: Final = f"{_PROJECT}/models/spaces"
_CONTAINERS: Final = f"{_PROJECT}/models/containers"
_STREAMS: Final = f"{_PROJECT}/streams"
_STREAM: Final = _STREAMS + "/{streamId}"
_RECORDS: Final = f"{_STREAM}/records"

_DONE: Final = Content(Nothing, {"Done": {}})

# Spaces and containers

_SPACE: Final = {
    "space": "mySpace",
    "name": "My space",
    "createdTime": 1705341600000,
    "lastUpdatedTime": 1705341600000,
    "isGlobal": False,
}
_NAMED: Final = {"space": "mySpace", "externalId": "myContainer"}
_TYPES: Final = {
    "manufacturer": "text",
    "region": "text",
    "price": "float64",
    "sold": "timestamp",
    "my_weight": "float64",
}


def _property(type: str, **more: Json) -> dict[str, Any]:
    return {
        "type": {"type": type, "list": False},
        "nullable": True,
        "immutable": False,
        "autoIncrement": False,
        **more,
    }


_CONTAINER: Final = {
    **_NAMED,
    "usedFor": "record",
    "properties": {name: _property(type, constraintState={}) for name, type in _TYPES.items()},
    "createdTime": 1705341600000,
    "lastUpdatedTime": 1705341600000,
    "isGlobal": False,
    "constraints": {},
    "indexes": {},
}

_MODELS: Final = (
    Op(
        "post", _SPACES, "applySpaces", "Create or change spaces",
        "Containers and records are named in a space. A space that is there already gets the name and description that "
        "are given.",
        "Spaces",
        Content(StoredSpaces, {"The space": {"items": [_SPACE]}}),
        says="The spaces as they are now.",
        body=Content(Spaces, {"One space": {"items": [{"space": "mySpace", "name": "My space"}]}}),
    ),
    Op(
        "get", _SPACES, "listSpaces", "List spaces", "All spaces of the project, page by page.",
        "Spaces",
        Content(StoredSpaces, {"The last page": {"items": [_SPACE]}}),
        says="A page; with `nextCursor` if there is more.",
        query=("items_limit", "items_cursor", "includeGlobal"),
        errors=(410,),
    ),
    Op(
        "post", f"{_SPACES}/byids", "getSpaces", "Spaces by their ids", "Those that are there; others are left out.",
        "Spaces",
        Content(StoredSpaces, {"The space": {"items": [_SPACE]}}),
        says="The spaces.",
        body=Content(SpaceNames, {"One space": {"items": [{"space": "mySpace"}]}}),
    ),
    Op(
        "post", f"{_SPACES}/delete", "deleteSpaces", "Delete spaces",
        "A space that has containers or holds records is not deleted (400).",
        "Spaces",
        Content(DeletedSpaces, {"It was there": {"items": [{"space": "mySpace"}]}}),
        says="Those that were there.",
        body=Content(SpaceNames, {"One space": {"items": [{"space": "mySpace"}]}}),
    ),
    Op(
        "post", _CONTAINERS, "applyContainers", "Create or change containers",
        "A container declares typed properties of records. Properties can be added to one that is there; the type of a "
        "property cannot change (409).",
        "Containers",
        Content(StoredContainers, {"The container": {"items": [_CONTAINER]}}),
        says="The containers as they are now.",
        body=Content(
            Containers,
            {
                "One container": {
                    "items": [
                        {
                            **_NAMED,
                            "usedFor": "record",
                            "properties": {name: {"type": {"type": type}} for name, type in _TYPES.items()},
                        }
                    ]
                }
            },
        ),
        errors=(409,),
    ),
    Op(
        "get", _CONTAINERS, "listContainers", "List containers", "The containers of the project, page by page.",
        "Containers",
        Content(StoredContainers, {"The last page": {"items": [_CONTAINER]}}),
        says="A page; with `nextCursor` if there is more.",
        query=("space", "includeGlobal", "usedFor", "items_limit", "items_cursor"),
        errors=(410,),
    ),
    Op(
        "post", f"{_CONTAINERS}/byids", "getContainers", "Containers by their ids",
        "Those that are there; others are left out.",
        "Containers",
        Content(StoredContainers, {"The container": {"items": [_CONTAINER]}}),
        says="The containers.",
        body=Content(ContainerNames, {"One container": {"items": [_NAMED]}}),
    ),
    Op(
        "post", f"{_CONTAINERS}/delete", "deleteContainers", "Delete containers",
        "A container that holds records is not deleted (400).",
        "Containers",
        Content(DeletedContainers, {"It was there": {"items": [_NAMED]}}),
        says="Those that were there.",
        body=Content(ContainerNames, {"One container": {"items": [_NAMED]}}),
    ),
    *(
        Op(
            "post", f"{_CONTAINERS}/{what}/delete", id, f"Delete {what} of containers",
            f"Containers have no {what} here, so none of those that are named is there.",
            "Containers",
            Content(NoItems, {"None": {"items": []}}),
            says="None of them was there.",
            body=Content(
                Identifiers,
                {
                    "One": {
                        "items": [{"space": "mySpace", "containerExternalId": "myContainer", "identifier": "byPrice"}]
                    }
                },
            ),
        )
        for what, id in (("constraints", "deleteConstraints"), ("indexes", "deleteIndexes"))
    ),
)  # fmt: skip

# Streams


def _stream(records: Mapping[str, int], gigabytes: Mapping[str, int]) -> Json:
    return {
        "externalId": "test1",
        "createdTime": 1730204346000,
        "createdFromTemplate": "ImmutableTestStream",
        "type": "Immutable",
        "settings": {
            "lifecycle": {"retainedAfterSoftDelete": "P1D", "dataDeletedAfter": "P7D"},
            "limits": {
                "maxRecordsTotal": {"provisioned": 50000000, **records},
                "maxGigaBytesTotal": {"provisioned": 50, **gigabytes},
                "maxFilteringInterval": "P7D",
            },
        },
    }


_MADE: Final = _stream({}, {})

_OF_STREAMS: Final = (
    Op(
        "post", _STREAMS, "createStream", "Create a stream",
        "A stream of the kind and size that a template says: ImmutableTestStream, BasicArchive, BasicLiveData, "
        "MutableTestStream, or one that the operator added. Exactly one in a request.",
        "Streams",
        Content(Streams, {"The stream": {"items": [_MADE]}}),
        says="The stream.",
        status=201,
        body=Content(
            CreateStreams,
            {
                "From a template": {
                    "items": [{"externalId": "test1", "settings": {"template": {"name": "ImmutableTestStream"}}}]
                }
            },
        ),
        errors=(409,),
    ),
    Op(
        "get", _STREAMS, "listStreams", "List streams", "The streams of the project.",
        "Streams",
        Content(Streams, {"All of them": {"items": [_MADE]}}),
        says="The streams; with `nextCursor` if there are more.",
        query=("items_limit", "items_cursor"),
        errors=(410,),
    ),
    Op(
        "post", f"{_STREAMS}/delete", "deleteStreams", "Delete a stream",
        "Gone at once for everybody; its data is removed when the time of its template is over. An unknown stream is "
        "ignored. Exactly one in a request.",
        "Streams",
        _DONE,
        body=Content(DeleteStreams, {"One stream": {"items": [{"externalId": "test1"}]}}),
    ),
    Op(
        "get", _STREAM, "getStream", "A stream", "One stream, with how much it holds if asked for.",
        "Streams",
        Content(
            Stream, {"With statistics": _stream({"consumed": 999}, {"consumed": 1}), "Without": _MADE}
        ),
        says="The stream.",
        query=("includeStatistics",),
        errors=(404,),
    ),
    Op(
        "delete", _STREAM, "deleteStreamByPath", "Delete a stream (gone)",
        "This route is gone: send `POST …/streams/delete`.",
        "Streams", None, status=410, errors=(410,),
    ),
)  # fmt: skip

# Records


def _path(name: str) -> Sequence[str]:
    return ["mySpace", "myContainer", name]


_VALUES: Final = {"mySpace": {"myContainer": {"manufacturer": "Cognite", "price": 42.5, "region": "us1"}}}
_RECORD: Final = {
    "space": "mySpace",
    "externalId": "sale-1",
    "createdTime": 1705341600000,
    "lastUpdatedTime": 1705341600000,
    "properties": _VALUES,
}
_WRITTEN: Final = Content(
    WrittenRecords,
    {
        "One record": {
            "items": [
                {
                    "space": "mySpace",
                    "externalId": "sale-1",
                    "sources": [
                        {
                            "source": {"type": "container", **_NAMED},
                            "properties": _VALUES["mySpace"]["myContainer"],
                        }
                    ],
                }
            ]
        }
    },
)
_FILTER: Final = {
    "and": [
        {"in": {"property": _path("manufacturer"), "values": ["Cognite", "AkerBP"]}},
        {"range": {"property": _path("my_weight"), "gte": 0}},
    ]
}
_SINCE: Final = {"gt": 1705341600000, "lt": "2030-05-15T18:00:00.00Z"}
_FILTERS: Final = (
    "A filter is an object with one operator: and or not matchAll exists equals in range prefix hasData containsAll "
    "containsAny; at most 100 of them, 10 deep. `lastUpdatedTime` needs a lower bound; it is mandatory for immutable "
    "streams, and may not span more than the stream's `maxFilteringInterval`."
)
_DOCUMENTED: Final = {
    "aggregates": {
        "my_avg_aggregate1": {"avg": {"property": _path("price")}},
        "my_terms_aggregate2": {
            "uniqueValues": {
                "property": _path("manufacturer"),
                "aggregates": {
                    "my_sub_aggregate1": {"min": {"property": _path("price")}},
                    "my_sub_aggregate2": {"max": {"property": _path("price")}},
                    "my_sub_aggregate3": {"uniqueValues": {"property": _path("region")}},
                },
            }
        },
    },
    "lastUpdatedTime": _SINCE,
    "filter": {
        "and": [
            {"containsAll": {"property": _path("myProperty"), "values": [10011, 10012]}},
            {"range": {"property": ["my_space", "my_container", "my_weight"], "gte": 0}},
        ]
    },
}
_RESULTS: Final = {
    "aggregates": {
        "my_avg_aggregate1": {"avg": 42},
        "my_terms_aggregate2": {
            "uniqueValueBuckets": [
                {
                    "value": "Cognite",
                    "count": 42,
                    "aggregates": {
                        "my_sub_aggregate1": {"min": 13},
                        "my_sub_aggregate2": {"max": 69},
                        "my_sub_aggregate3": {
                            "uniqueValueBuckets": [{"value": "us1", "count": 42}, {"value": "ie1", "count": 7}]
                        },
                    },
                },
                {
                    "value": "AkerBP",
                    "count": 21,
                    "aggregates": {
                        "my_sub_aggregate1": {"min": 99},
                        "my_sub_aggregate2": {"max": 999},
                        "my_sub_aggregate3": {"uniqueValueBuckets": [{"value": "us1", "count": 11}]},
                    },
                },
            ]
        },
    }
}
_MOVING: Final = {
    "aggregates": {
        "weeks": {
            "timeHistogram": {
                "property": _path("sold"),
                "calendarInterval": "1w",
                "aggregates": {
                    "dear": {"filters": {"filters": [{"range": {"property": _path("price"), "gt": 1000}}]}},
                    "trend": {
                        "movingFunction": {
                            "bucketsPath": "_count",
                            "window": 3,
                            "function": "MovingFunctions.unweightedAvg",
                        }
                    },
                },
            }
        },
        "prices": {"numberHistogram": {"property": _path("price"), "interval": 100, "hardBounds": {"min": 0}}},
    }
}
_MOVED: Final = {
    "aggregates": {
        "weeks": {
            "timeHistogramBuckets": [
                {
                    "intervalStart": "2025-05-19T00:00:00Z",
                    "count": 10,
                    "aggregates": {"dear": {"filterBuckets": [{"count": 1}]}, "trend": {"fnValue": 0}},
                },
                {
                    "intervalStart": "2025-05-26T00:00:00Z",
                    "count": 5,
                    "aggregates": {"dear": {"filterBuckets": [{"count": 0}]}, "trend": {"fnValue": 7.5}},
                },
            ]
        },
        "prices": {"numberHistogramBuckets": [{"intervalStart": 0, "count": 14}, {"intervalStart": 100, "count": 1}]},
    },
    "info": {"accuracy": "exact", "strategy": "single"},
}

_OF_RECORDS: Final = (
    Op(
        "post", _RECORDS, "ingestRecords", "Write new records",
        "Spaces, containers and properties must be there and values of the declared types: otherwise nothing of the "
        "request is stored (400). In a mutable stream an id that is taken is told (409, `partial`) while the others "
        "are stored; in an immutable one an equal record is dropped silently.",
        "Records",
        _DONE, says="They are stored.", status=202, body=_WRITTEN, query=("refresh",), errors=(404, 409, 422),
    ),
    Op(
        "post", f"{_RECORDS}/upsert", "upsertRecords", "Write or replace records",
        "Of mutable streams: a record that is there is replaced as a whole.",
        "Records",
        _DONE, says="They are stored.", status=202, body=_WRITTEN, query=("refresh",), errors=(404, 422),
    ),
    Op(
        "post", f"{_RECORDS}/delete", "deleteRecords", "Delete records",
        "Of mutable streams. Unknown ids are ignored; sync tells of those that were there.",
        "Records",
        _DONE,
        says="They are gone.",
        body=Content(RecordNames, {"One record": {"items": [{"space": "mySpace", "externalId": "sale-1"}]}}),
        query=("refresh",),
        errors=(404, 422),
    ),
    Op(
        "post", f"{_RECORDS}/filter", "filterRecords", "Find records",
        f"Records that a filter finds, in an order, without a cursor: sync follows a stream. {_FILTERS}",
        "Records",
        Content(
            Records,
            {
                "One record, with types": {
                    "items": [_RECORD],
                    "typing": {
                        "mySpace": {
                            "myContainer": {
                                name: _property(_TYPES[name]) for name in ("manufacturer", "price", "region")
                            }
                        }
                    },
                }
            },
        ),
        says="The records.",
        body=Content(
            FilterQuery,
            {
                "The dearest of two manufacturers": {
                    "filter": _FILTER,
                    "lastUpdatedTime": _SINCE,
                    "sources": [{"source": {"type": "container", **_NAMED}, "properties": ["*"]}],
                    "sort": [{"property": _path("price"), "direction": "descending"}],
                    "limit": 10,
                    "includeTyping": True,
                }
            },
        ),
        errors=(404,),
    ),
    Op(
        "post", f"{_RECORDS}/sync", "syncRecords", "Follow a stream",
        "What was written after a cursor, page by page: each record as it is now, and deletions. Nothing that was "
        "acknowledged is left out. A cursor goes on as long as the stream does.",
        "Records",
        Content(
            SyncedRecords,
            {
                "Written and deleted": {
                    "items": [
                        {**_RECORD, "status": "created"},
                        {
                            "space": "mySpace",
                            "externalId": "sale-0",
                            "createdTime": 1705341500000,
                            "lastUpdatedTime": 1705341700000,
                            "status": "deleted",
                        },
                    ],
                    "nextCursor": "eyJvZiI6InN5bmMifQ.c2lnbmVk",
                    "hasNext": False,
                }
            },
        ),
        says="A page, and the cursor to go on with.",
        body=Content(
            SyncQuery,
            {
                "Begin": {"initializeCursor": "7d-ago", "limit": 1000},
                "Go on": {"cursor": "eyJvZiI6InN5bmMifQ.c2lnbmVk", "limit": 1000},
            },
        ),
        errors=(404, 410),
    ),
    Op(
        "post", f"{_RECORDS}/aggregate", "aggregateRecords", "Aggregate records",
        "A tree of aggregates, at most 5 on a level, 5 deep and 16 in all; numbers are exact, on any number of shards. "
        "Only uniqueValues, numberHistogram, timeHistogram and filters take nested aggregates; a movingFunction stands "
        f"directly inside a histogram. A metric over no values is 0. {_FILTERS}",
        "Records",
        Content(AggregateResults, {"Nested": _RESULTS, "Histograms, with info": _MOVED}),
        says="Results under the identifiers of the request.",
        body=Content(AggregateQuery, {"Nested": _DOCUMENTED, "Histograms": _MOVING}),
        query=("info",),
        errors=(404,),
    ),
)  # fmt: skip

OPERATIONS: Final = (*_MODELS, *_OF_STREAMS, *_OF_RECORDS)
