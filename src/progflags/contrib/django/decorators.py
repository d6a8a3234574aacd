"""Views that exist only behind a flag: a decorator for functions, a mixin for classes."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.http import Http404

from progflags.contrib.django._client import client
from progflags.contrib.django._named import names

__all__ = ["FlagRequiredMixin", "flag_required"]


def flag_required(flag: str, variant: str | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """
    A view that answers 404 unless the flag is on for this request, or serves `variant` where one is named.

    For functions, sync or async. A flag that doesn't exist is off; `manage.py check` reports it.

        from django.http import HttpResponse

        @flag_required("new-search")
        def search(request):
            return HttpResponse("vectors")
    """

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        names(flag, f"{view.__module__}.{getattr(view, '__qualname__', view)}")
        if iscoroutinefunction(view):

            @wraps(view)
            async def guarded_async(request: Any, *args: Any, **kwargs: Any) -> Any:
                _refuse_unless(flag, variant)
                return await view(request, *args, **kwargs)

            return guarded_async

        @wraps(view)
        def guarded(request: Any, *args: Any, **kwargs: Any) -> Any:
            _refuse_unless(flag, variant)
            return view(request, *args, **kwargs)

        return guarded

    return decorate


class FlagRequiredMixin:
    """
    A class-based view that answers 404 unless `flag_name` is on, or serves `flag_variant` where that is set.

    Put it first among the bases.

        from django.http import HttpResponse
        from django.views import View

        class FastCheckout(FlagRequiredMixin, View):
            flag_name = "checkout-flow"
            flag_variant = "fast"

            def get(self, request):
                return HttpResponse("fast")
    """

    flag_name: str = ""
    flag_variant: str | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.flag_name:
            names(cls.flag_name, f"{cls.__module__}.{cls.__qualname__}")

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        if not self.flag_name:
            raise ImproperlyConfigured(f"{type(self).__name__} needs flag_name, the key of the flag it stands behind")
        _refuse_unless(self.flag_name, self.flag_variant)
        return super().dispatch(request, *args, **kwargs)  # type: ignore[misc] # the view this is mixed into


def _refuse_unless(flag: str, variant: str | None) -> None:
    on = client().is_enabled(flag) if variant is None else client().evaluate(flag).variant == variant
    if not on:
        raise Http404(f"{flag} is off")
