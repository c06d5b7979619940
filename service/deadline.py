"""The time limit for a request's use of OpenSearch, carried by the context of everything done for it."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass
from typing import Any, TypeVar

from service.errors import TimedOut

T = TypeVar("T")


@dataclass(frozen=True)
class _Deadline:
    seconds: float
    until: float
    """By the event loop's clock."""


_deadline: ContextVar[_Deadline | None] = ContextVar("deadline", default=None)


def start(seconds: float) -> None:
    """Gives this request, and everything it starts, so many seconds from now."""
    _deadline.set(_Deadline(seconds, asyncio.get_running_loop().time() + seconds))


def renew() -> None:
    """Restarts the time limit, after each part of a stream."""
    deadline = _deadline.get()
    if deadline is not None:
        start(deadline.seconds)


@contextmanager
def paused() -> Iterator[None]:
    """Stops the time while waiting for the client."""
    began = asyncio.get_running_loop().time()
    yield
    deadline = _deadline.get()
    if deadline is not None:
        waited = asyncio.get_running_loop().time() - began
        _deadline.set(_Deadline(deadline.seconds, deadline.until + waited))


def left(most: float) -> float:
    """The remaining seconds, at most `most`; 0 when the time is up."""
    deadline = _deadline.get()
    if deadline is None:
        return most
    return max(0.0, min(most, deadline.until - asyncio.get_running_loop().time()))


def detached(work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
    """A task shared with other requests, or awaited by none, so not bound by the time limit of its first request."""
    context: Context = copy_context()
    context.run(_deadline.set, None)
    task = asyncio.get_running_loop().create_task(work, context=context)
    task.add_done_callback(_seen)
    return task


def _seen(task: "asyncio.Task[Any]") -> None:
    """Marks the error as retrieved: waiters have received it, so it is not logged again."""
    if not task.cancelled():
        task.exception()


async def within(task: "asyncio.Task[T]", most: float) -> T:
    """A shared task's result if it arrives in time; otherwise raises `TimedOut` while the task continues for others."""
    await asyncio.wait([task], timeout=left(most))
    if not task.done():
        raise TimedOut("OpenSearch did not answer in time", retry_after=5)
    return task.result()
