"""
Five flags asked of other libraries in the handlers of request_apps, each as its documentation has it.

All are told who asks by the same header, and make of it what they need once in a request. Where a documentation shows several ways
this is the one that costs least: OpenFeature's middleware for FastAPI is one of Starlette's BaseHTTPMiddleware, dearer than its flags.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks import peers
from benchmarks.peers import BOOLEANS

Work = Callable[[Any], Any]


def growthbook(user_of: Callable[[Any], str], attributes: dict[str, Any]) -> Work:
    """A GrowthBook for each request, and destroyed at its end: for Django, Flask, and what is like them."""
    from growthbook import GrowthBook

    features = peers.growthbook_features()

    def work(around: Any) -> None:
        book = GrowthBook(attributes={"id": user_of(around), **attributes}, features=features)
        for name in BOOLEANS:
            book.is_on(name)
        book.get_feature_value("layout", "a")
        book.destroy()

    return work


def growthbook_client(user_of: Callable[[Any], str], attributes: dict[str, Any]) -> Work:
    """Its asynchronous client: for FastAPI, and what is like it."""
    from growthbook import UserContext

    with ThreadPoolExecutor(1) as aside:  # a loop may run here
        client = aside.submit(lambda: asyncio.run(peers.growthbook_client())).result()

    async def work(around: Any) -> None:
        user = UserContext(attributes={"id": user_of(around), **attributes})
        for name in BOOLEANS:
            await client.is_on(name, user)
        await client.get_feature_value("layout", "a", user)

    return work


def eppo(user_of: Callable[[Any], str], attributes: dict[str, Any]) -> Work:
    client = peers.eppo_client()

    def work(around: Any) -> None:
        user = user_of(around)
        for name in BOOLEANS:
            client.get_boolean_assignment(name, user, attributes, False)
        client.get_string_assignment("layout", user, attributes, "a")

    return work


def flagd(user_of: Callable[[Any], str], attributes: dict[str, Any]) -> Work:
    from openfeature.evaluation_context import EvaluationContext

    client = peers.flagd_client()

    def work(around: Any) -> None:
        context = EvaluationContext(user_of(around), attributes)
        for name in BOOLEANS:
            client.get_boolean_value(name, False, context)
        client.get_string_value("layout", "a", context)

    return work


def launchdarkly(user_of: Callable[[Any], str], attributes: dict[str, Any]) -> Work:
    from ldclient import Context

    client = peers.launchdarkly_client()

    def work(around: Any) -> None:
        builder = Context.builder(user_of(around))
        for name, value in attributes.items():
            builder.set(name, value)
        context = builder.build()
        for name in BOOLEANS:
            client.variation(name, context, False)
        client.variation("layout", context, "a")

    return work


EVERYWHERE = {"Eppo (a core in Rust)": eppo, "LaunchDarkly, from a file": launchdarkly, "OpenFeature with flagd, from a file": flagd}


def works(asynchronous: bool, user_of: Callable[[Any], str], attributes: dict[str, Any]) -> Iterator[tuple[str, Work]]:
    """By name, of those that are installed."""
    books = {"GrowthBook, its client": growthbook_client} if asynchronous else {"GrowthBook, one a request": growthbook}
    for name, make in {**books, **EVERYWHERE}.items():
        try:
            work = make(user_of, attributes)
        except ImportError as error:
            print(f"{name}: not measured ({error}); install the bench group")
        else:
            yield name, work
