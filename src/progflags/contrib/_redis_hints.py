"""What others commit, as Redis tells it: a subscription to one channel, on a connection of its own."""

from __future__ import annotations

from typing import Any, Final

from redis.exceptions import NoPermissionError, RedisClusterException, RedisError, ResponseError

__all__ = ["CHANNEL", "Hints"]

CHANNEL: Final = "commits"


class Hints:
    """Of one channel. `deaf`: why none can be had, empty where they can."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._heard_by: tuple[Any, Any] | None = None  # the client, which is another after a fork, and its subscription
        self.deaf = ""

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
        message = self._heard_by[1].get_message(timeout=timeout)
        if message is None:
            return False
        self.deaf = ""
        while self._heard_by[1].get_message(timeout=0) is not None:
            pass
        return True

    def _let_go(self) -> None:
        heard, self._heard_by = self._heard_by, None
        if heard is not None:
            heard[1].close()
