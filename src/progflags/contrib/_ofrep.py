"""OFREP without a transport: method, path, headers and body in, an answer out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from progflags._json import digest, loads
from progflags._trouble import swallow
from progflags.context import Context, bind
from progflags.flags import Client, ErrorCode, Evaluation, Reason, given

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["JSON", "LIMIT", "Answer", "Authorize", "Endpoint"]

_PATH: Final = "/ofrep/v1/evaluate/flags"
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
class Answer:
    status: int
    body: Mapping[str, Any] | None = None
    headers: tuple[tuple[str, str], ...] = ()

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
    """The protocol without a transport: method, path, headers and body in, an answer out."""

    flags: Client | None
    authorize: Authorize | None = None
    expose: Callable[[str], bool] | None = None
    origins: frozenset[str] = field(default_factory=frozenset)

    def answer(self, method: str, path: str, headers: Headers, body: bytes) -> Answer:
        try:
            answer = self._answer(method, path, headers, body)
        except Exception as error:
            swallow("OFREP", error)
            answer = Answer(500, {"errorDetails": "the evaluation failed; the server's log says why"})
        return Answer(answer.status, answer.body, (*answer.headers, *self._cors(headers)))

    def _answer(self, method: str, path: str, headers: Headers, body: bytes) -> Answer:
        _, found, rest = path.partition(_PATH)
        if not found or (rest and not rest.startswith("/")):
            return Answer(404, {"errorDetails": f"the protocol's path is {_PATH}"})
        if method == "OPTIONS":
            return Answer(204)
        if method != "POST":
            return Answer(405, {"errorDetails": "the protocol asks with POST"}, (("allow", "POST, OPTIONS"),))
        if self.authorize is not None and not self.authorize(headers):
            return Answer(401, {"errorDetails": "credentials are needed"}, (("www-authenticate", "Bearer"),))
        key = rest[1:]
        try:
            client = self._client()
            context = _context(body)
            return self._one(client, key, context) if key else self._all(client, context, headers)
        except _Refused as refused:
            who = {"key": key} if key else {}
            return Answer(refused.status, {**who, "errorCode": str(refused.code), "errorDetails": refused.details})

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
        told = _told(evaluation)
        return Answer(400 if "errorCode" in told else 200, told)

    def _all(self, client: Client, context: Context, headers: Headers) -> Answer:
        # Silent: a client that fetches everything has not yet met any of it.
        with bind(context, fresh=True, silent=True):
            evaluations = client.evaluate_all(context)
        body = {"flags": [_told(evaluation) for key, evaluation in sorted(evaluations.items()) if self._exposed(key)]}
        tag = f'"{digest(body)[:32]}"'
        kept = (("etag", tag), ("cache-control", "private, no-cache"))
        if _matches(headers.get("if-none-match", ""), tag):
            return Answer(304, None, kept)
        return Answer(200, body, kept)

    def _exposed(self, key: str) -> bool:
        return self.expose is None or self.expose(key)

    def _cors(self, headers: Headers) -> tuple[tuple[str, str], ...]:
        origin = headers.get("origin", "")
        if not origin or not ({origin, "*"} & self.origins):
            return ()
        return (
            ("access-control-allow-origin", origin),
            ("vary", "Origin"),
            ("access-control-allow-methods", "POST, OPTIONS"),
            ("access-control-allow-headers", "authorization, content-type, if-none-match, x-api-key"),
            ("access-control-expose-headers", "etag"),
            ("access-control-max-age", "600"),
        )


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


def _told(evaluation: Evaluation) -> dict[str, Any]:
    """One evaluation in the protocol's words."""
    code = evaluation.error_code
    if code is not None:
        return {
            "key": evaluation.key,
            "errorCode": str(code if code in _CODES else ErrorCode.GENERAL),
            "errorDetails": _DETAILS.get(code, "the evaluation failed"),
        }
    plain = evaluation.to_dict()
    if not isinstance(plain["value"], (bool, str, int, float, dict)):
        details = "the protocol knows booleans, strings, numbers and objects: put this value into an object"
        return {"key": evaluation.key, "errorCode": str(ErrorCode.GENERAL), "errorDetails": details}
    return {
        "key": evaluation.key,
        "value": plain["value"],
        "variant": evaluation.variant or "",
        "reason": _REASONS.get(evaluation.reason, "UNKNOWN"),
        "metadata": {"flagSetId": "progflags", "version": str(evaluation.revision)},
    }


def _matches(header: str, tag: str) -> bool:
    """RFC 9110: a list of tags, weak or strong, or a star."""
    offered = {one.strip().removeprefix("W/") for one in header.split(",")}
    return bool(offered & {tag, "*"})
