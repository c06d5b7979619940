"""Records what this release leaves in OpenSearch, for later ones to read: `python -m tests.support.record_release`."""

import asyncio
import sys
import time
from pathlib import Path

import orjson

from service import __version__
from service.cli.embedded import EmbeddedNode, default_cache, ensure_home
from service.serving import served
from service.settings import Settings
from service.telemetry import set_up
from tests.support.client import Client
from tests.support.release import DATA, KEY, dump, lasting, make, questions

_DAY = 86_400_000


async def record(folder: Path) -> None:
    set_up("console", "warning")
    with EmbeddedNode(ensure_home(default_cache())) as node:
        settings = Settings(opensearch_url=node.url, port=0, data_dir=folder)
        async with served(settings, KEY) as address, Client(address, KEY) as client:
            made = await make(client)
            now = int(time.time() * 1_000)
            told = []
            for method, path, body in questions(made, (now - _DAY, now + _DAY)):
                status, answer = await client.call(method, path, body)
                assert status in (200, 422), (path, body, status, answer)
                told.append({"method": method, "path": path, "body": body, "status": status, "answer": lasting(answer)})
            cursors = [
                {"method": "POST", "path": f"/api/v1/projects/{client.namespace}/streams/{stream}/records/sync"}
                for stream in ("live", "log")
            ]
            for each in cursors:
                _, page = await client.call("POST", each["path"], {"initializeCursor": "1d-ago", "limit": 5})
                told.append({**each, "body": {"cursor": page["nextCursor"]}, "status": 200, "answer": None})
            await dump(node.url, folder)
    (folder / "answers.ndjson").write_bytes(b"".join(map(_line, told)))


def _line(told: object) -> bytes:
    return orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE)


def main() -> None:
    folder = DATA / f"release-{__version__}"
    if folder.exists():
        sys.exit(f"{folder} is there; what a release left is recorded once")
    folder.mkdir(parents=True)
    asyncio.run(record(folder))
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{folder.relative_to(DATA.parents[1])}: {size:,} bytes")


if __name__ == "__main__":
    main()
