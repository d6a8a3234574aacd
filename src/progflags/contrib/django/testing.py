"""`override_flag`: a flag with another answer, for one test."""

from __future__ import annotations

from contextlib import ContextDecorator, ExitStack
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from progflags.contrib.django._client import client

__all__ = ["override_flag"]


class override_flag(ContextDecorator):  # noqa: N801 - named like django.test.override_settings, which it stands beside
    """
    Answer `variant` for `flag`: a context manager, a decorator of test functions (async too) and of TestCase classes.

    `variant` is a variant's name, or a value: True and False for boolean flags, `active=` likewise. It holds for the thread
    or task of the test, hence for Django's test client, and not for a live server's threads.

        @override_flag("new-search", True)
        def test_vectors(client):
            assert client.get("/search").content == b"vectors"
    """

    def __init__(self, flag: str, variant: Any = True, *, active: bool | None = None) -> None:
        self._answer = {flag: variant if active is None else active}
        self._stack: list[ExitStack] = []

    def __enter__(self) -> None:
        stack = ExitStack()
        stack.enter_context(client().override(self._answer))
        self._stack.append(stack)

    def __exit__(self, *error: object) -> None:
        self._stack.pop().close()

    def __call__(self, decorated: Any) -> Any:
        if isinstance(decorated, type):
            return self._whole_class(decorated)
        if iscoroutinefunction(decorated):

            @wraps(decorated)
            async def test(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await decorated(*args, **kwargs)

            return test
        return super().__call__(decorated)

    def _whole_class(self, case: type) -> type:
        answer = self._answer
        before = case.setUp  # type: ignore[attr-defined] # a unittest.TestCase

        @wraps(before)
        def set_up(test: Any) -> None:
            manager = client().override(answer)
            manager.__enter__()
            test.addCleanup(manager.__exit__, None, None, None)
            before(test)

        case.setUp = set_up  # type: ignore[attr-defined]
        return case
