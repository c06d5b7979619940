"""Whether OpenSearch takes writes: what it says of its blocks, looked at again and again."""

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
"""Seconds between two looks."""


async def write_block(gateway: Gateway) -> str | None:
    """Why Tally's indices take no writes, None if they do; also notes it at the gateway, for log and metric.

    Raises `TallyError` if OpenSearch does not say.
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
    # 12 first: what OpenSearch does because of a full disk is more urgent than what somebody set.
    for id in sorted(found & WRITE_BLOCKS, reverse=True):
        if error := block_error(id):
            return error.message
    return None


async def watch_blocks(gateway: Gateway) -> None:
    """For ever: notes when OpenSearch stops taking writes, and when it goes on."""
    while True:
        deadline.start(_EVERY)
        try:
            await write_block(gateway)
        except TallyError as error:
            log.debug("the blocks of opensearch are not known", cause=error.message)
        await asyncio.sleep(_EVERY)
