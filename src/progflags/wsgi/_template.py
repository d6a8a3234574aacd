"""The whole template of the endpoint that answered: what blueprints and mounts before it took of the path belongs to it."""

from __future__ import annotations

from typing import Any

from progflags._route import LABEL

__all__ = ["template"]


def template(environ: dict[str, Any]) -> str | None:
    """
    `/shop/users/<id>` for a rule `/users/<id>` of an application mounted under `/shop`; None where no router left its rule.

    Asked when the response starts, for Flask takes its request out of the environ when it is done. A mount's own part is in
    SCRIPT_NAME by then.
    """
    label = environ.get(LABEL)
    if label is not None:
        return str(label)
    rule = getattr(getattr(environ.get("werkzeug.request"), "url_rule", None), "rule", None)
    return f"{environ.get('SCRIPT_NAME', '')}{rule}" if isinstance(rule, str) else None
