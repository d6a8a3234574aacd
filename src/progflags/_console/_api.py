"""The JSON API, described as OpenAPI describes one."""

from __future__ import annotations

from typing import Any, Final

from progflags._console._acts import ACTS
from progflags._console.pages import PAGES

__all__ = ["schema"]

_QUERY: Final[dict[str, tuple[str, ...]]] = {
    "rollout": ("flag",),
    "flags": ("q", "kind", "page"),
    "flag": ("flag",),
    "dark-launch": ("flag", "page"),
    "changes": ("flag", "person", "since", "page"),
}
_EXPLAINED: Final = "who gets what, and why: attributes are name=value lines, at is a time (UTC) of which it is told"
_TEXT: Final = {"type": "string"}
_JSON: Final = {"application/json": {"schema": {"type": "object"}}}
_GOOD: Final = {"200": {"description": "as the page shows it", "content": _JSON}}
_BAD: Final = {
    "400": {"description": "the body can't be read", "content": _JSON},
    "401": {"description": "nobody let you in", "content": _JSON},
    "403": {"description": "not yours to do", "content": _JSON},
    "404": {"description": "there is no such thing", "content": _JSON},
    "405": {"description": "another method is wanted", "content": _JSON},
    "409": {"description": "it has moved on, or can't be done from where it stands", "content": _JSON},
    "413": {"description": "too much", "content": _JSON},
    "422": {"description": "something is not said", "content": _JSON},
    "503": {"description": "the store is out of reach", "content": _JSON},
}


def schema(base: str) -> dict[str, Any]:
    """The whole description, of a console at the address `base`."""
    from progflags import __version__

    reads = {f"/api/{name or 'now'}": {"get": _read(name)} for name in PAGES}
    reads["/api/flag"]["post"] = _body(("flag", "key", "attributes", "at"), _EXPLAINED)
    acts = {f"/api/act/{verb}": {"post": _body(("flag", "reason", "seen", "confirm"), one.does)} for verb, one in ACTS.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "progflags console", "version": __version__},
        "servers": [{"url": base or "/"}],
        "paths": {**reads, **acts},
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{"token": []}],
    }


def _read(name: str) -> dict[str, Any]:
    asked = [{"name": one, "in": "query", "schema": _TEXT, "required": one == "flag" and name != "changes"} for one in _QUERY.get(name, ())]
    return {"operationId": name or "now", "parameters": asked, "responses": {**_GOOD, **_BAD}}


def _body(names: tuple[str, ...], does: str) -> dict[str, Any]:
    fields = {"type": "object", "properties": dict.fromkeys(names, _TEXT)}
    body = {"required": True, "content": {"application/json": {"schema": fields}}}
    return {"summary": does, "requestBody": body, "responses": {**_GOOD, **_BAD}}
