"""Waiting for other people's coroutines, from code that is not one."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import Awaitable
from typing import Any


def settled(value: Any) -> Any:
    """``value``, or what it comes to if it is awaitable.

    All coroutines run in one event loop in a thread of its own: connections that a client opened stay
    with the loop they belong to, and a loop that is already running here (a notebook's) is no hindrance.
    """
    if not inspect.isawaitable(value):
        return value
    return asyncio.run_coroutine_threadsafe(_await(value), _loop()).result()


async def _await(value: Awaitable[Any]) -> Any:
    return await value


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="charter-environments", daemon=True).start()
    return loop
