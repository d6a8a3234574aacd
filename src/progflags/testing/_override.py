"""Pinning flags for the length of a test, in whatever way the test runs its code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from progflags.flags import Client

__all__ = ["Pinned", "override"]


@contextmanager
def override(pins: Mapping[str, Any] | None = None, *, flags: Client | None = None, **more: Any) -> Iterator[Client]:
    """
    A block in which flags answer these variants (or values) to every thread of this process.

    `flags` is the client, the default one when left out; keyword names may write `_` for `-`. For one task or thread alone
    use `client.override`.

        with override({"new-search": "on"}, flags=flags):
            assert flags.is_enabled("new-search", "user-42")

    Raises:
        ValueError: there is no such flag, or it has no such variant.
        NoDefaultError: neither `flags=` nor a default client.
    """
    pinned = Pinned(flags)
    try:
        pinned.update({**(pins or {}), **more})
        yield pinned.client
    finally:
        pinned.clear()


class Pinned:
    """
    The pins of one test on one client; the client is looked up when it is first needed.

        pins = Pinned(flags)
        pins.update({"new-search": "off", "checkout-flow": "fast"})
        flags.get("checkout-flow", "classic", "user-42")        # "fast"
        pins.clear()
    """

    def __init__(self, client: Client | None = None) -> None:
        self._client = client
        self._pins: dict[str, Any] = {}
        self._before: dict[str, Any] | None = None

    @property
    def client(self) -> Client:
        if self._client is None:
            from progflags.flags import default

            self._client = default()
        return self._client

    def update(self, pins: Mapping[str, Any]) -> None:
        """Add pins to those there are, or none of them when one is refused."""
        if not pins:
            return
        client = self.client
        if self._before is None:
            self._before = client.pinned_everywhere
        wanted = {**self._pins, **{self._key(key): value for key, value in pins.items()}}
        client.pin_everywhere({**self._before, **wanted})
        self._pins = wanted

    def clear(self) -> None:
        """Everything as it was before the first pin."""
        if self._before is not None:
            self.client.pin_everywhere(self._before)
        self._pins, self._before = {}, None

    def _key(self, name: str) -> str:
        """`new_search` means `new-search` where only that exists."""
        definitions = self.client.definitions
        known = {} if definitions is None else definitions.flags
        return name if name in known or name.replace("_", "-") not in known else name.replace("_", "-")
