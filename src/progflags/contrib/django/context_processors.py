"""`{% if flags.new_search %}` in every template."""

from __future__ import annotations

from typing import Any

from progflags.contrib.django._client import client

__all__ = ["TemplateFlags", "flags"]


def flags(request: Any) -> dict[str, Any]:  # noqa: ARG001 - Django's signature; the context is the one the middleware bound
    """
    Adds `flags`: `flags.KEY` is the flag's value, with `_` for `-` where a key has dashes.

        # settings.py; a template then says {% if flags.new_search %}
        ENGINE = "django.template.backends.django.DjangoTemplates"
        PROCESSORS = ["progflags.contrib.django.context_processors.flags"]
        TEMPLATES = [{"BACKEND": ENGINE, "OPTIONS": {"context_processors": PROCESSORS}}]
    """
    return {"flags": TemplateFlags()}


class TemplateFlags:
    """Flags by subscript, which is how templates look attributes up; an unknown one is None, hence false."""

    __slots__ = ()

    def __getitem__(self, key: str) -> Any:
        asked = client()
        snapshot = asked.definitions
        known = {} if snapshot is None else snapshot.flags
        name = key if key in known else key.replace("_", "-")
        return asked.evaluate(name, None).value

    def __contains__(self, key: str) -> bool:
        return self[key] is not None
