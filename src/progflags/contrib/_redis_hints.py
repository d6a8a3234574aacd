"""What others commit, as Redis tells it: a subscription to one channel, on a connection of its own."""

from __future__ import annotations

from typing import Any, Final

from redis.exceptions import NoPermissionError, RedisClusterException, RedisError, ResponseError

from progflags.store import Bell

__all__ = ["CHANNEL", "Hints"]

CHANNEL: Final = "commits"
_BRIEF: Final = 0.25  # seconds that a wait takes at most that can't be ended


class Hints:
    """Of one channel. `deaf`: why none can be had, empty where they can."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._heard_by: tuple[Any, Any] | None = None  # the client, which is another after a fork, and its subscription
        self._bell = Bell()
        self.deaf = ""

    def rouse(self) -> None:
        """End the wait now, whoever is in it."""
        self._bell.ring()

    def close(self) -> None:
        """Let go of what waiting needs."""
        self._bell.ring()
        self._bell.close()

    def wait(self, client: Any, timeout: float) -> bool:
        """See `progflags.store.Hinting`; raises what the client does, and begins anew after that."""
        try:
            if self._heard_by is None or self._heard_by[0] is not client:
                self._subscribe(client)
            return self._next(timeout)
        except (NoPermissionError, ResponseError) as error:  # a user who may not, or a proxy that does not know the command
            self._let_go()
            self.deaf = f"this Redis does not let us subscribe ({error}): allow the channel {self._channel} for hints"
            return False
        except (RedisError, RedisClusterException):
            self._let_go()
            raise

    def _subscribe(self, client: Any) -> None:
        heard = client.pubsub()
        self._heard_by = client, heard
        heard.subscribe(self._channel)

    def _next(self, timeout: float) -> bool:
        """Whether something was told. That the subscription stands is news as well."""
        assert self._heard_by is not None
        heard = self._heard_by[1]
        message = heard.get_message(timeout=0)  # of what was read already, as well
        if message is None and timeout > 0:
            message = self._later(heard, timeout)
        if message is None:
            return False
        self.deaf = ""
        while heard.get_message(timeout=0) is not None:
            pass
        return True

    def _later(self, heard: Any, timeout: float) -> Any:
        try:
            file = heard.connection._sock.fileno()
        except (AttributeError, OSError):  # a client that keeps its socket elsewhere
            return heard.get_message(timeout=min(timeout, _BRIEF))
        return heard.get_message(timeout=0) if self._bell.wait(file, timeout) else None

    def _let_go(self) -> None:
        heard, self._heard_by = self._heard_by, None
        if heard is not None:
            heard[1].close()
