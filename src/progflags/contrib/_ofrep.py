"""
OFREP without a transport: a request in, an answer out.

The protocol is that of OFREP 0.3.0: open-feature/protocol, service/openapi.yaml; of event streams service/event-streams.yaml and
ADR-0008. `endpoint` without an origin is read by the web provider as a path at the origin that it asks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, quote

from progflags._json import digest, loads
from progflags._streaming import HEADERS
from progflags._trouble import say, swallow
from progflags.context import Context, bind
from progflags.contrib._manifest import MANIFEST, manifest
from progflags.contrib._streams import Streams
from progflags.contrib._ticket import Tickets
from progflags.flags import Client, ErrorCode, Evaluation, Reason, given

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["JSON", "LIMIT", "Answer", "Asked", "Authorize", "Endpoint"]

_PATH: Final = "/ofrep/v1/evaluate/flags"
_EVENTS: Final = "/ofrep/v1/events"  # ours to choose: clients take it from an answer
_MANIFEST: Final = f"/{MANIFEST}"
_INACTIVE: Final = 120  # seconds a page may be hidden before it closes its stream: the protocol's own default
_RETRY_AFTER: Final = ("retry-after", "30")
LIMIT: Final = 65_536  # bytes of a request: a context is a handful of attributes
JSON: Final = ("content-type", "application/json; charset=utf-8")

#: The protocol's own list of codes; whatever else went wrong is GENERAL to a remote caller.
_CODES: Final = frozenset({ErrorCode.PARSE_ERROR, ErrorCode.TARGETING_KEY_MISSING, ErrorCode.INVALID_CONTEXT, ErrorCode.FLAG_NOT_FOUND})
_DETAILS: Final = {
    ErrorCode.FLAG_NOT_FOUND: "no flag of that name is defined",
    ErrorCode.TARGETING_KEY_MISSING: "this flag buckets by an id: send it as context.targetingKey, or the attribute the flag names",
    ErrorCode.PARSE_ERROR: "the flag's definition was refused; see the server's status",
    ErrorCode.INVALID_CONTEXT: "the context can't be used",
    ErrorCode.PROVIDER_NOT_READY: "no flags are loaded yet",
}

#: The protocol's reasons are these and UNKNOWN. A pin looks at nobody; what no rule matched, or is stale, has no word of its own.
_REASONS: Final = {
    Reason.STATIC: "STATIC",
    Reason.PINNED: "STATIC",
    Reason.TARGETING_MATCH: "TARGETING_MATCH",
    Reason.SPLIT: "SPLIT",
    Reason.DISABLED: "DISABLED",
}

Headers = Mapping[str, str]
Authorize = Callable[[Headers], bool]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request. `path` is the whole one, as the client's side of any mount sees it; `query` as it was sent."""

    method: str
    path: str
    headers: Headers
    body: bytes = b""
    query: str = ""

    def said(self, name: str) -> str:
        """A parameter of the query; empty where there is none."""
        return parse_qs(self.query).get(name, [""])[0] if name in self.query else ""


@dataclass(frozen=True, slots=True)
class Answer:
    """`follows`: there is no body, and the client's streams go on from here."""

    status: int
    body: Mapping[str, Any] | None = None
    headers: tuple[tuple[str, str], ...] = ()
    follows: Client | None = None

    def content(self) -> bytes:
        return b"" if self.body is None else json.dumps(self.body, allow_nan=False).encode()


class _Refused(Exception):  # noqa: N818 - an answer on its way out, not an error of ours
    def __init__(self, code: ErrorCode, details: str, status: int = 400) -> None:
        super().__init__(details)
        self.code = code
        self.details = details
        self.status = status


@dataclass(frozen=True, slots=True)
class Endpoint:
    """
    The protocol without a transport.

    `streams`: None where nothing can stay open. `public`: where the streams are found from outside, if that is elsewhere.
    """

    flags: Client | None
    authorize: Authorize | None = None
    expose: Callable[[str], bool] | None = None
    origins: frozenset[str] = field(default_factory=frozenset)
    streams: Streams | None = None
    tickets: Tickets = field(default_factory=lambda: Tickets(None))
    public: str = ""

    def answer(self, asked: Asked) -> Answer:
        try:
            answer = self._answer(asked)
        except Exception as error:
            swallow("OFREP", error)
            answer = Answer(500, {"errorDetails": "the evaluation failed; the server's log says why"})
        return Answer(answer.status, answer.body, (*answer.headers, *self._cors(asked.headers)), answer.follows)

    async def caught_up(self, asked: Asked) -> None:
        """Wait, a moment, for the change that a client has heard of from another process."""
        client, word = given(self.flags), asked.said("flagConfigEtag")
        if word and client is not None and (streams := self._open()) is not None:
            await streams.reached(client, word)

    def _open(self) -> Streams | None:
        return self.streams if self.streams is not None and self.streams.here else None

    def _answer(self, asked: Asked) -> Answer:
        if asked.path.endswith(_EVENTS):
            return self._route(asked, "GET", "streams are read with GET", self._events)
        if asked.path.endswith(_MANIFEST) or f"{_MANIFEST}/" in asked.path:
            return self._catalogue(asked)
        _, found, rest = asked.path.partition(_PATH)
        if not found or (rest and not rest.startswith("/")):
            return Answer(404, {"errorDetails": f"the protocol's path is {_PATH}"})
        return self._route(asked, "POST", "the protocol asks with POST", self._evaluated)

    def _route(self, asked: Asked, method: str, else_: str, answer: Callable[[Asked], Answer]) -> Answer:
        if asked.method == "OPTIONS":
            return Answer(204)
        if asked.method != method:
            return Answer(405, {"errorDetails": else_}, (("allow", f"{method}, OPTIONS"),))
        if not self._authorized(asked):
            return Answer(401, {"errorDetails": "credentials are needed"}, (("www-authenticate", "Bearer"),))
        return answer(asked)

    def _authorized(self, asked: Asked) -> bool:
        if self.authorize is None:
            return True
        ticket = asked.said("ticket") if asked.path.endswith(_EVENTS) else ""
        if ticket and (client := given(self.flags)) is not None:
            if self.tickets.good(ticket, client.clock.now()):
                return True
            if not self.tickets.shared:
                say("OFREP streams", "a ticket was not of this process: where several serve, give each ofrep.asgi(secret=…), the same")
        return self.authorize(asked.headers)

    def _evaluated(self, asked: Asked) -> Answer:
        before, _, rest = asked.path.partition(_PATH)
        key = rest[1:]
        try:
            client = self._client()
            context = _context(asked.body)
            answer = self._one(client, key, context) if key else self._all(client, context, asked)
        except _Refused as refused:
            who = {"key": key} if key else {}
            return Answer(refused.status, {**who, "errorCode": str(refused.code), "errorDetails": refused.details})
        if answer.status != 200 or answer.body is None:
            return answer
        return Answer(200, {**answer.body, **self._offered(client, before)}, answer.headers)

    def _offered(self, client: Client, before: str) -> dict[str, Any]:
        """Where changes are told, as the protocol says it in an answer."""
        if self._open() is None:
            return {}
        path = _EVENTS if self.authorize is None else f"{_EVENTS}?ticket={self.tickets.ticket(client.clock.now())}"
        asked = f"/{quote(before.strip('/'))}".rstrip("/")  # two slashes at the beginning would name a host
        where = {"url": f"{self.public}{path}"} if self.public else {"endpoint": {"requestUri": f"{asked}{path}"}}
        return {"eventStreams": [{"type": "sse", **where, "inactivityDelaySec": _INACTIVE}]}

    def _events(self, _asked: Asked) -> Answer:
        client, streams = given(self.flags), self._open()
        if streams is None:
            return Answer(404, {"errorDetails": "this server offers no event streams: ask again from time to time"})
        if client is None:
            return Answer(503, {"errorDetails": _DETAILS[ErrorCode.PROVIDER_NOT_READY]}, (_RETRY_AFTER,))
        if not streams.admits():
            return Answer(
                503, {"errorDetails": "as many streams are open as this server takes: ask again from time to time"}, (_RETRY_AFTER,)
            )
        return Answer(200, None, HEADERS, client)

    def _catalogue(self, asked: Asked) -> Answer:
        """The manifest, and its API's own words for what is not to be had."""
        if asked.method == "OPTIONS":
            return Answer(204)
        if self.authorize is not None and not self.authorize(asked.headers):
            return _unlisted(401, "credentials are needed", ("www-authenticate", "Bearer"))
        if asked.method != "GET" or not asked.path.endswith(_MANIFEST):
            return _unlisted(403, "flags are changed in their file: this server only reads")
        client = given(self.flags)
        snapshot = None if client is None else client.definitions
        if snapshot is None:
            return _unlisted(500, _DETAILS[ErrorCode.PROVIDER_NOT_READY])
        kept = (("cache-control", "private, no-cache"), ("x-manifest-capabilities", "read"))
        return Answer(200, manifest(snapshot.flags, self._exposed), kept)

    def _client(self) -> Client:
        client = given(self.flags)
        if client is None:
            raise _Refused(ErrorCode.GENERAL, _DETAILS[ErrorCode.PROVIDER_NOT_READY], 500)
        return client

    def _one(self, client: Client, key: str, context: Context) -> Answer:
        # A scope of its own: what a remote program evaluates is no exposure of the request that carries the question.
        with bind(context, fresh=True):
            evaluation = (
                client.evaluate(key, None, context) if self._exposed(key) else Evaluation(key, None, error_code=ErrorCode.FLAG_NOT_FOUND)
            )
        if evaluation.error_code is ErrorCode.FLAG_NOT_FOUND:
            return Answer(404, _told(evaluation))
        told = _told(evaluation, _metadata(client, key))
        return Answer(400 if "errorCode" in told else 200, told)

    def _all(self, client: Client, context: Context, asked: Asked) -> Answer:
        # Silent: a client that fetches everything has not yet met any of it.
        with bind(context, fresh=True, silent=True):
            evaluations = client.evaluate_all(context)
        body = {"flags": [_told(found, _metadata(client, key)) for key, found in sorted(evaluations.items()) if self._exposed(key)]}
        tag = f'"{digest(body)[:32]}"'  # of the flags: a ticket that is another is no other answer
        kept = (("etag", tag), ("cache-control", "private, no-cache"))
        if _matches(asked.headers.get("if-none-match", ""), tag) and not self._elsewhere(client, asked):
            return Answer(304, None, kept)
        return Answer(200, body, kept)

    def _elsewhere(self, client: Client, asked: Asked) -> bool:
        """Whether what the client was told of is not what serves here: then nothing is said to be unchanged."""
        word = asked.said("flagConfigEtag")
        return bool(word) and self.streams is not None and word != self.streams.configurations.word(client)

    def _exposed(self, key: str) -> bool:
        return self.expose is None or self.expose(key)

    def _cors(self, headers: Headers) -> tuple[tuple[str, str], ...]:
        origin = headers.get("origin", "")
        if not origin or not ({origin, "*"} & self.origins):
            return ()
        return (
            ("access-control-allow-origin", origin),
            ("vary", "Origin"),
            ("access-control-allow-methods", "GET, POST, OPTIONS"),
            ("access-control-allow-headers", "authorization, cache-control, content-type, if-none-match, last-event-id, x-api-key"),
            ("access-control-expose-headers", "etag"),
            ("access-control-max-age", "600"),
        )


def _unlisted(status: int, message: str, *headers: tuple[str, str]) -> Answer:
    return Answer(status, {"error": {"message": message, "status": status}}, headers)


def _context(body: bytes) -> Context:
    """The request's context; an empty body is nobody's."""
    if len(body) > LIMIT:
        raise _Refused(ErrorCode.GENERAL, f"a request is at most {LIMIT} bytes", 413)
    try:
        document = loads(body) if body.strip() else {}
    except (ValueError, RecursionError):
        raise _Refused(ErrorCode.PARSE_ERROR, "the body is not JSON") from None
    from pydantic import ValidationError

    try:
        who: Any = getattr(_question().model_validate(document), "context", None)
    except ValidationError as error:
        raise _Refused(ErrorCode.INVALID_CONTEXT, _why(error)) from None
    return Context() if who is None else Context(who.targetingKey or None, who.model_extra)


@cache
def _question() -> type[BaseModel]:
    """What a request says, as the protocol writes it; made with the first one, for pydantic takes 60 ms to import."""
    from pydantic import ConfigDict, create_model

    who: Any = create_model("Who", __config__=ConfigDict(strict=True, extra="allow"), targetingKey=(str | None, None))
    return create_model("Question", __config__=ConfigDict(strict=True), context=(who | None, None))


def _why(error: Any) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(("body", *map(str, first["loc"])))
    return f"{place}: {'an object is needed' if first['type'] == 'model_type' else first['msg']}"


def _metadata(client: Client, key: str) -> Mapping[str, Any]:
    """The flag's own, as its file has them, and whether its definition is being changed."""
    flag = None if client.definitions is None else client.definitions.flags.get(key)
    return {} if flag is None else {**flag.metadata, **client.live(key).told}


def _told(evaluation: Evaluation, metadata: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """One evaluation in the protocol's words; one that is left to the caller has no value."""
    code = evaluation.error_code
    if code is not None:
        return {
            "key": evaluation.key,
            "errorCode": str(code if code in _CODES else ErrorCode.GENERAL),
            "errorDetails": _DETAILS.get(code, "the evaluation failed"),
        }
    told: dict[str, Any] = {"key": evaluation.key, "reason": _REASONS.get(evaluation.reason, "UNKNOWN")}
    told["metadata"] = {**(metadata or {}), "flagSetId": "progflags", "version": str(evaluation.revision)}
    if evaluation.variant is None:
        return told
    plain = evaluation.to_dict()
    if not isinstance(plain["value"], (bool, str, int, float, dict)):
        details = "the protocol knows booleans, strings, numbers and objects: put this value into an object"
        return {"key": evaluation.key, "errorCode": str(ErrorCode.GENERAL), "errorDetails": details}
    return {**told, "value": plain["value"], "variant": evaluation.variant}


def _matches(header: str, tag: str) -> bool:
    """RFC 9110: a list of tags, weak or strong, or a star."""
    offered = {one.strip().removeprefix("W/") for one in header.split(",")}
    return bool(offered & {tag, "*"})
