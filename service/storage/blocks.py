"""Whether OpenSearch accepts writes: polls its cluster and index blocks."""

import asyncio
from typing import Final

import structlog

from service import deadline
from service.errors import TallyError
from service.storage import names
from service.storage.failures import WRITE_BLOCKS, block_error
from service.storage.gateway import Absent, Gateway
from service.values import Json

log = structlog.get_logger()

_EVERY: Final = 15.0
"""Seconds between polls."""


async def write_block(gateway: Gateway) -> str | None:
    """Why Tally's indices accept no writes, None if they do; also passes it to the gateway, for log and metric.

    Raises `TallyError` if OpenSearch does not answer.
    """
    try:
        state = await gateway.json("GET", f"/_cluster/state/blocks/{names.PREFIX}-*")
    except Absent:
        return None
    cause = _cause(state["blocks"])
    gateway.note_write_block(cause)
    return cause


def _cause(blocks: Json) -> str | None:
    """`blocks`: `{"global": {"6": …}, "indices": {"tally-…": {"12": …}}}`; both may be left out."""
    found = {int(id) for each in (blocks.get("global", {}), *blocks.get("indices", {}).values()) for id in each}
    # 12 first: a block for a full disk is more urgent than one that an operator set.
    for id in sorted(found & WRITE_BLOCKS, reverse=True):
        if error := block_error(id):
            return error.message
    return None


async def watch_blocks(gateway: Gateway) -> None:
    """Runs forever: reports when OpenSearch stops accepting writes, and when it resumes."""
    while True:
        deadline.start(_EVERY)
        try:
            await write_block(gateway)
        except TallyError as error:
            log.debug("the blocks of opensearch are not known", cause=error.message)
        except Exception:
            log.exception("the blocks of opensearch are not known")
        await asyncio.sleep(_EVERY)
