"""A catalogue that is gone is set up again, whatever fails on the way."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from service import app as service_app
from service.errors import Unavailable
from service.storage.gateway import Rejected
from service.web.keys import NAMESPACES, STATE

FAILURES = [
    Unavailable("OpenSearch cannot be reached"),
    Rejected("illegal_argument_exception", "component templates [tally-settings] that do not exist"),
]


async def test_no_failure_is_the_last_try(monkeypatch: pytest.MonkeyPatch) -> None:
    failures = list(FAILURES)
    done, missing, ready = asyncio.Event(), asyncio.Event(), asyncio.Event()
    ready.set()

    async def bootstrap(gateway: Any) -> None:
        if failures:
            raise failures.pop(0)

    async def secret(catalog: Any) -> str:
        return "s"

    async def ensure(name: str) -> None:
        done.set()

    monkeypatch.setattr(service_app, "bootstrap", bootstrap)
    monkeypatch.setattr(service_app, "cursor_secret", secret)
    monkeypatch.setattr(service_app, "_AGAIN", 0)
    app = {STATE: SimpleNamespace(opensearch_ready=ready), NAMESPACES: SimpleNamespace(ensure=ensure)}
    none = cast(Any, None)
    task = asyncio.create_task(
        service_app._set_up_again(cast(Any, app), none, none, cast(Any, SimpleNamespace(text="")), missing)
    )
    for _ in range(len(FAILURES) + 1):
        missing.set()
        while missing.is_set():
            assert not task.done(), task.exception()
            await asyncio.sleep(0.01)
    assert done.is_set()
    task.cancel()
