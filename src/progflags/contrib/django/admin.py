"""
The console in Django's admin, where `progflags[console]` is installed; else a page that only shows: what serves, where each rollout
stands, what is wrong with the file.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Final

from django.contrib import admin
from django.template.response import TemplateResponse

from progflags._trouble import swallow
from progflags.contrib.django._client import client
from progflags.errors import ProgflagsError
from progflags.flags import Client, FlagModel

__all__ = ["FlagsPage"]


class _Options:
    """
    What the admin asks of a model, without a model: there is no table, so nothing to migrate and no row to edit.

    Permissions follow the name all the same: `progflags.view_flag` may be granted by a backend of one's own.
    """

    app_label: Final = "progflags"
    app_config: Any = None
    model_name: Final = "flag"
    module_name: Final = "flag"
    object_name: Final = "Flag"
    verbose_name: Final = "flag"
    verbose_name_plural: Final = "flags"
    abstract: Final = False
    swapped: Final = False
    is_composite_pk: Final = False
    pk: Any = None

    @property
    def label(self) -> str:
        return "progflags.Flag"

    @property
    def label_lower(self) -> str:
        return "progflags.flag"


class _Flag:
    """Stands where the admin expects a model class."""

    _meta = _Options()


class FlagsPage(admin.ModelAdmin):  # type: ignore[misc] # Django brings no types
    """The pages. Whoever may view flags sees them; what else one may do there is by permission (see `_pages`)."""

    def get_urls(self) -> list[Any]:
        from django.urls import path

        first = path("", self.admin_site.admin_view(self.page), name="progflags_flag_changelist")
        if find_spec("jinja2") is None:
            return [first]
        return [first, path("<path:page>", self.admin_site.admin_view(self.page))]

    def has_view_permission(self, request: Any, obj: Any = None) -> bool:  # noqa: ARG002 - Django's signature
        return bool(request.user.is_superuser or request.user.has_perm("progflags.view_flag"))

    has_module_permission = has_view_permission

    def has_add_permission(self, request: Any) -> bool:  # noqa: ARG002
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def page(self, request: Any, page: str = "") -> Any:
        from django.core.exceptions import PermissionDenied

        if not self.has_view_permission(request):
            raise PermissionDenied
        if find_spec("jinja2") is not None:
            from django.urls import reverse

            from progflags.contrib.django._pages import answer

            site = self.admin_site.name
            base = reverse(f"{site}:progflags_flag_changelist").rstrip("/")
            return answer(request, page, base, reverse(f"{site}:index"))
        asked = client()
        snapshot = asked.definitions
        context = {
            **self.admin_site.each_context(request),
            "title": "Feature flags",
            "status": asked.status(),  # type: ignore[attr-defined] # a connected client has one
            "rows": [] if snapshot is None else [_row(asked, flag) for flag in snapshot.flags.values()],
        }
        return TemplateResponse(request, "progflags/admin.html", context)


def _row(asked: Client, flag: FlagModel) -> dict[str, Any]:
    """One flag as the page shows it."""
    live = asked.live(flag.key)
    row: dict[str, Any] = {"flag": flag, "variants": ", ".join(flag.variants), "killed": live.killed, "share": None, "rollout": None}
    if flag.rollout is not None or live.edit is not None:
        row["share"] = (live.share or 0) / 10_000
        try:
            row["rollout"] = asked.rollouts.status(flag.key)  # type: ignore[attr-defined] # a connected client has them
        except ProgflagsError as error:
            swallow("admin page", error)
    return row


admin.site.register([_Flag], FlagsPage)
