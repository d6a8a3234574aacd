"""`manage.py progflags_from_waffle > flags.toml`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from progflags.contrib.django.waffle import as_toml, tables

__all__ = ["Command"]


class Command(BaseCommand):  # type: ignore[misc] # Django brings no types
    """Prints django-waffle's flags, switches and samples as a flag file."""

    help = "Print django-waffle's flags, switches and samples as a progflags file. Reads the database, changes nothing."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own type; the file it makes may be the one that is missing

    def handle(self, *_: Any, **__: Any) -> None:
        if not tables():
            raise CommandError("this database has no tables of django-waffle")
        self.stdout.write(as_toml())
