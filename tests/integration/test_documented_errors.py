"""The errors that the OpenAPI document shows as examples are the ones that a real service answers."""

import json
import re
from collections.abc import Mapping
from typing import Any

import aiohttp

from service.serving import served
from service.settings import Settings
from tests.conftest import KEY, ROOT
from tests.support.client import Client
from tests.support.examples import Home

Json = Any


def documented(name: str) -> Json:
    from service.web.openapi import document

    return document()["components"]["responses"][name]["content"]["application/json"]["example"]


def plain(error: Json) -> Json:
    """Without the numbers that settings and the moment choose."""
    return json.loads(re.sub(r"\d+(,\d{3})*", "0", json.dumps(error)))


async def got(client: Client, method: str, path: str, body: Json = None, **options: Any) -> Json:
    _, answer = await client.call(method, path, body, **options)
    return answer


async def test_the_errors_of_the_objects_api(client: Client, settings: Settings) -> None:
    async with Home.made(client) as home:
        space: Mapping[str, Any] = {"namespace": home.namespace}
        examples = {
            "BadRequestError": await got(client, "GET", "/v1/buckets/orders", namespace=None),
            "UnauthorizedError": await got(
                client, "GET", "/v1/buckets", headers={"Authorization": "Bearer none"}, **space
            ),
            "NotFoundError": await got(client, "GET", "/v1/buckets/orders", **space),
            "ValidationError": await got(
                client, "POST", "/v1/buckets/home/objects/aggregate",
                {"aggregations": [{"function": "count", "alias": "n"}]}, **space,
            ),
        }  # fmt: skip
        await home.ok("POST", "/v1/buckets", {"bucket_name": "orders"})
        examples["AlreadyExistsError"] = await got(client, "POST", "/v1/buckets", {"bucket_name": "orders"}, **space)
        small = settings.model_copy(update={"body_limit": 1_000})
        async with served(small, KEY) as address, Client(address, KEY) as other:
            large = {"metadata": {"text": "x" * 2_000}}
            examples["PayloadTooLargeError"] = await got(
                other, "POST", "/v1/buckets/orders/objects/create", large, **space
            )
    for name, error in examples.items():
        assert plain(error) == plain(documented(name)), name


async def test_the_errors_of_the_records_api(client: Client) -> None:
    async with Home.made(client) as home:
        project = f"/api/v1/projects/{home.namespace}"
        aggregates = {"aggregates": {"a": {"avg": {"property": ["s", "c", "x"]}}}}
        item = {"externalId": "test1", "settings": {"template": {"name": "ImmutableTestStream"}}}
        examples = {
            "RecordBadRequestError": await got(
                client, "POST", f"{project}/streams/home/records/aggregate", aggregates, namespace=None
            ),
            "RecordNotFoundError": await got(client, "GET", f"{project}/streams/test1", namespace=None),
            "RecordGoneError": await got(client, "DELETE", f"{project}/streams/test1", namespace=None),
        }
        for _ in range(2):
            examples["RecordAlreadyExistsError"] = await got(
                client, "POST", f"{project}/streams", {"items": [item]}, namespace=None
            )
        examples["RecordValidationError"] = await got(
            client, "POST", f"{project}/streams/test1/records/delete",
            {"items": [{"space": "mySpace", "externalId": "a"}]}, namespace=None,
        )  # fmt: skip
    for name, error in examples.items():
        assert plain(error) == plain(documented(name)), name


def test_the_others_are_raised_by_the_service() -> None:
    """What only a broken OpenSearch provokes (tests/e2e/test_outage.py): its words stand in the code, and once."""
    code = "".join(each.read_text() for each in (ROOT / "service").rglob("*.py") if each.name not in ("openapi.py",))
    for name in ("TooManyRequestsError", "InternalServerError", "ServiceUnavailableError", "TimeoutError"):
        assert documented(name)["error"]["message"] in code, name


async def test_a_missing_key_is_told_how_to_be_sent(client: Client) -> None:
    async with aiohttp.ClientSession(client.address) as session, session.get("/v1/buckets") as answer:
        assert answer.status == 401
        assert await answer.json() == documented("UnauthorizedError")
