"""
Prometheus: the value of a PromQL expression as an external metric that a gate can read.

Install `progflags[prometheus]`, then `flags.metrics.source("queue_depth", Query("http://prometheus:9090", "sum(queue_depth)"))`.
The server is asked in the background: a controller that reads the metric never waits for it, and so is never late with a
rollback because a server elsewhere is slow.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from progflags._beside import RUNNING, failing, said
from progflags._clock import SYSTEM, Clock
from progflags._printed import quoted
from progflags._process import Thread, here, in_child, look
from progflags._trouble import say, swallow
from progflags.errors import missing

try:
    import httpx
except ImportError as error:
    raise missing(error, "httpx", "httpx", "prometheus") from error

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["Query"]


class Query:
    """
    The last answer to `promql`, while it is fresh; None otherwise, which a gate takes for no data.

    `url` is the server's, as people open it in a browser. It is asked every `every` seconds from the first reading on, and
    an answer counts for `max_age` seconds. The expression must give one series: put `sum(…)` or `max(…)` around it.

    A missing denominator is no data: 0/0 is NaN in PromQL and an absent series gives no value, and both are None here. A
    missing numerator is zero: where a counter has no series before its first event, say so with `missing=0.0`, or write
    `(sum(rate(failed[5m])) or vector(0)) / sum(rate(requests[5m]))`, which can tell the two apart.

    Note that the server itself still answers with samples up to five minutes old; ask `timestamp(…)` where that matters.

        asked = "sum(rate(payments_failed_total[5m]))"
        failed = Query("https://prometheus.example.com", asked, missing=0.0)
        flags.metrics.source("payments_failed", failed)
        # a gate: { metric = "payments_failed", max = 0.2 }
    """

    def __init__(
        self,
        url: str,
        promql: str,
        *,
        every: float = 15.0,
        max_age: float = 60.0,
        timeout: float = 5.0,
        missing: float | None = None,
        headers: Mapping[str, str] | None = None,
        clock: Clock = SYSTEM,
    ) -> None:
        if not promql.strip():
            raise ValueError("which expression? promql is empty")
        for name, value in (("every", every), ("max_age", max_age), ("timeout", timeout)):
            if not 0 < value < math.inf:
                raise ValueError(f"{name} is a number of seconds above 0, not {quoted(value)}")
        parts = httpx.URL(url)
        if parts.scheme not in {"http", "https"} or not parts.host:
            raise ValueError(f"url is the server's http(s) address, as in 'http://prometheus:9090', not {quoted(url)}")
        self.promql = promql
        self._url = str(parts).rstrip("/") + "/api/v1/query"
        self._every, self._max_age, self._timeout = every, max_age, timeout
        self._missing = missing
        self._headers = dict(headers or {})
        self._clock = clock
        self._closed = False
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        """A child asks by itself, when it first reads."""
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._answer: tuple[float, float | None] | None = None
        self._failures, self._error, self._since = 0, "", 0.0

    def health(self) -> str:
        """`running`, or why its answers are missing: `flags.status().threads` shows it under the metric's name."""
        since = self._since
        if since and time.monotonic() - since > 2 * self._timeout:
            return f"has not come back for {time.monotonic() - since:.0f} s, and has {self._timeout:g} s"
        return failing(self._failures, self._error) or RUNNING

    def __call__(self) -> float | None:
        """The reading; starts asking in the background if nobody did. Never blocks, never raises."""
        look()
        if not here(self._thread) and not self._closed:
            self._start()
        answer = self._answer
        if answer is None or self._clock.monotonic() - answer[0] > self._max_age:
            return None
        return answer[1]

    def ask(self) -> float | None:
        """
        Ask now, and wait for the answer, which is the reading from here on.

        Raises:
            ValueError: the server refused the expression, or it gives more than one series, or no number.
            httpx.HTTPError: the server was not reached, or took longer than `timeout`.
        """
        at = self._clock.monotonic()  # an answer is as old as its question
        reply = httpx.post(self._url, data={"query": self.promql}, headers=self._headers, timeout=self._timeout)
        value = _value(reply, self.promql)
        if value is None:
            value = self._missing
        elif math.isnan(value):
            value = None
        self._answer = (at, value)
        return value

    def close(self) -> None:
        """Ask no more."""
        self._closed = True
        self._wake.set()

    def _start(self) -> None:
        with self._lock:
            if not here(self._thread):
                thread = Thread(self._run, name="progflags-prometheus")
                try:
                    thread.start()
                except RuntimeError as error:
                    say("prometheus", f"no thread can be started here ({error}): {self.promql!r} has no readings")
                else:
                    self._thread = thread

    def _run(self) -> None:
        wake = self._wake
        while not self._closed and wake is self._wake:
            self._since = time.monotonic()
            try:
                self.ask()
            except BaseException as error:
                self._failures, self._error = self._failures + 1, said(error)
                swallow(f"prometheus query {self.promql!r}", error)
            else:
                self._failures = 0
            self._since = 0.0
            wake.wait(self._every)


def _value(reply: httpx.Response, promql: str) -> float | None:
    """The one number in an answer; None when there is none."""
    answer = _answer(reply)
    if answer.status == "error":
        raise ValueError(f"{quoted(promql)} was refused: {answer.name} {answer.error}".rstrip())
    data = answer.data
    if data.kind == "scalar":
        return float(data.result[1])
    if data.kind != "vector":
        raise ValueError(f"{quoted(promql)} gives a {data.kind}, not a number")
    if len(data.result) > 1:
        raise ValueError(f"{quoted(promql)} gives {len(data.result)} series where a gate needs one: put sum(…) or max(…) around it")
    return float(data.result[0].value[1]) if data.result else None


def _answer(reply: httpx.Response) -> Any:
    from pydantic import ValidationError

    try:
        return _answers().validate_json(reply.content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        why = ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
        raise ValueError(
            f"HTTP {reply.status_code} without the JSON of Prometheus' API ({why}): is {reply.url} a Prometheus server?"
        ) from None


@cache
def _answers() -> TypeAdapter[Any]:
    """
    What the HTTP API answers; made with the first answer, for pydantic takes 60 ms to import. Numbers come as text: "NaN", "1e+06".

    Source: prometheus.io/docs/prometheus/latest/querying/api, "Format overview" and "Expression query result formats".
    """
    from pydantic import BaseModel, Field, TypeAdapter

    class Series(BaseModel):
        value: tuple[float, float]  # when, and what

    class Vector(BaseModel):
        kind: Literal["vector"] = Field(alias="resultType")
        result: list[Series]

    class Scalar(BaseModel):
        kind: Literal["scalar"] = Field(alias="resultType")
        result: tuple[float, float]

    class Other(BaseModel):
        kind: Literal["matrix", "string"] = Field(alias="resultType")

    class Given(BaseModel):
        status: Literal["success"]
        data: Annotated[Vector | Scalar | Other, Field(discriminator="kind")]

    class Refused(BaseModel):
        status: Literal["error"]
        name: str = Field("", alias="errorType")
        error: str = ""

    return TypeAdapter(Annotated[Given | Refused, Field(discriminator="status")])
