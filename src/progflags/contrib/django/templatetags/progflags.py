"""
`{% load progflags %}`, then `{% flag "new-search" %}…{% else %}…{% endflag %}`.

`{% flag "checkout-flow" is "fast" %}` asks for a variant; `{% flag_value "checkout-flow" "classic" as flow %}` is the value.
"""

from __future__ import annotations

from typing import Any

from django.template import Library, Node, NodeList, TemplateSyntaxError

from progflags.contrib.django._client import client
from progflags.contrib.django._named import names

__all__ = ["register"]

register = Library()


@register.tag(name="flag")  # type: ignore[untyped-decorator] # Django brings no types
def _flag(parser: Any, token: Any) -> FlagNode:
    """{% flag KEY %} … {% else %} … {% endflag %}, or {% flag KEY is VARIANT %}."""
    words = token.split_contents()
    if len(words) not in (2, 4) or (len(words) == 4 and words[2] != "is"):
        raise TemplateSyntaxError('{% flag "key" %} or {% flag "key" is "variant" %}, up to {% endflag %}')
    if words[1][0] in "\"'":
        names(words[1][1:-1], f"template {parser.origin}" if parser.origin else "a template")
    shown = parser.parse(("else", "endflag"))
    hidden = NodeList()
    if parser.next_token().contents == "else":
        hidden = parser.parse(("endflag",))
        parser.delete_first_token()
    return FlagNode(parser.compile_filter(words[1]), parser.compile_filter(words[3]) if len(words) == 4 else None, shown, hidden)


class FlagNode(Node):  # type: ignore[misc] # Django brings no types
    """Renders one of two parts."""

    child_nodelists = ("shown", "hidden")

    def __init__(self, key: Any, variant: Any, shown: Any, hidden: Any) -> None:
        self.key = key
        self.variant = variant
        self.shown = shown
        self.hidden = hidden

    def render(self, context: Any) -> str:
        key = self.key.resolve(context)
        on = client().is_enabled(key) if self.variant is None else client().evaluate(key, None).variant == self.variant.resolve(context)
        rendered: str = (self.shown if on else self.hidden).render(context)
        return rendered


@register.simple_tag  # type: ignore[untyped-decorator]
def flag_value(key: str, default: Any = None) -> Any:
    """The flag's value, `default` where it has none."""
    return client().get(key, default)
