"""Django's answers as plain data, for a dark launch to compare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from progflags.contrib._rows import plain

__all__ = ["rows"]


def rows(value: Any) -> Any:
    """
    Model instances as dicts of their columns' values (`author_id`, not `author`), in querysets, lists, tuples, sets and dicts.

    For `dark_launch(…, reduce=rows)`. Nothing is loaded for it: a deferred column is left out.

        @pf.dark_launch("orders-v2", candidate=orders_v2, reduce=rows, flags=flags)
        def orders(user):
            return list(Order.objects.filter(user=user))

    Raises:
        TypeError: a queryset nobody has read yet: it is a question, no answer. Return `list(queryset)` from both functions.
    """
    return plain(value, _opened)


def _opened(value: Any) -> Mapping[str, Any] | list[Any] | None:
    from django.db.models import Model, QuerySet

    if isinstance(value, QuerySet):
        if value._result_cache is None:
            raise TypeError("this queryset has not been read, so there is nothing to compare: return list(queryset) from both functions")
        return list(value._result_cache)
    if not isinstance(value, Model):
        return None
    fields = (field.attname for field in value._meta.concrete_fields)
    return {name: value.__dict__[name] for name in fields if name in value.__dict__}
