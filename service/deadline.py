"""How long a request may go on asking OpenSearch: a moment that everything done for it knows by its context."""

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
    """On the event loop's clock."""


_deadline: ContextVar[_Deadline | None] = ContextVar("deadline", default=None)


def start(seconds: float) -> None:
    """From now on this request, and what it starts, has so many seconds."""
    _deadline.set(_Deadline(seconds, asyncio.get_running_loop().time() + seconds))


def renew() -> None:
    """As many seconds once more: a part of what streams is done."""
    deadline = _deadline.get()
    if deadline is not None:
        start(deadline.seconds)


@contextmanager
def paused() -> Iterator[None]:
    """The time does not pass while a request's sender is waited for."""
    began = asyncio.get_running_loop().time()
    yield
    deadline = _deadline.get()
    if deadline is not None:
        waited = asyncio.get_running_loop().time() - began
        _deadline.set(_Deadline(deadline.seconds, deadline.until + waited))


def left(most: float) -> float:
    """Seconds that there still are, at most so many; 0 when the time is over."""
    deadline = _deadline.get()
    if deadline is None:
        return most
    return max(0.0, min(most, deadline.until - asyncio.get_running_loop().time()))


def detached(work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
    """A task that others wait for, too, or nobody: the time of the request that starts it is not its own."""
    context: Context = copy_context()
    context.run(_deadline.set, None)
    task = asyncio.get_running_loop().create_task(work, context=context)
    task.add_done_callback(_seen)
    return task


def _seen(task: "asyncio.Task[Any]") -> None:
    """Whoever waited has got the error; it is not logged again."""
    if not task.cancelled():
        task.exception()


async def within(task: "asyncio.Task[T]", most: float) -> T:
    """What a shared task gives, if it does so in time; else it goes on for the others, and `TimedOut` is raised."""
    await asyncio.wait([task], timeout=left(most))
    if not task.done():
        raise TimedOut("OpenSearch did not answer in time", retry_after=5)
    return task.result()
