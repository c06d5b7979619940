"""Writers, readers, two service processes of which one is killed: readers end with what was acknowledged."""

import asyncio
import json
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

from tests.chaos.streams import Chaos
from tests.support.client import Client
from tests.support.processes import Service, free_port
from tests.support.records import TYPES, Project, container, fresh

KEY = "sk_chaos_0123456789"
SECONDS = float(os.environ.get("TALLY_CHAOS_SECONDS", "60"))
SEED = int(os.environ.get("TALLY_CHAOS_SEED", "1"))


def start(folder: Path, url: str, port: int) -> Service:
    settings = {"PORT": port, "OPENSEARCH_URL": url, "API_KEY": KEY, "LOG_FORMAT": "json", "LOG_LEVEL": "info"}
    return Service("serve", folder=folder, settings={**settings, "SHARDS": 2})


async def test_readers_know_what_was_acknowledged(opensearch_url: str, tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    async with AsyncExitStack() as stack:
        services = [stack.enter_context(start(tmp_path / str(port), opensearch_url, port)) for port in ports]
        for service in services:
            await asyncio.to_thread(service.says, '"event": "serving"')
        addresses = [json.loads(each.line_with('"event": "serving"'))["address"] for each in services]
        clients = [await stack.enter_async_context(Client(address, KEY)) for address in addresses]
        project = await stack.enter_async_context(Project.made(clients[0], fresh("chaos")))
        await project.spaces("s")
        await project.containers(container(TYPES))
        both = [project.at(client) for client in clients]
        mutable, immutable = await project.stream(), await project.stream(template="ImmutableTestStream")
        chaos = Chaos(both, mutable, immutable, SECONDS, writers=10, readers=5, seed=SEED)

        async def kill() -> None:
            """At two thirds of the time the second process dies, and another one takes its place."""
            await asyncio.sleep(SECONDS / 3)
            services[1].send(signal.SIGKILL)
            await asyncio.to_thread(services[1].ended)
            await asyncio.sleep(SECONDS / 20)
            stack.enter_context(start(tmp_path / str(ports[1]), opensearch_url, ports[1]))

        killing = asyncio.create_task(kill())
        report = await chaos.run()
        await killing
        print(f"\n{dict(sorted(report.counts.items()))}")
        assert not report.differences, f"{len(report.differences)}\n" + "\n".join(report.differences[:20])
        assert report.writes > SECONDS * 10
        assert any("without" in name for name in report.counts)
