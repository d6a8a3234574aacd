"""`manage.py progflags …`: the command line, told which file and store the project uses."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from progflags.contrib._program import arguments, run
from progflags.contrib.django._client import configured

__all__ = ["Command"]


class Command(BaseCommand):  # type: ignore[misc] # Django brings no types
    """Hands every argument on, behind `--flags`, `--store` and `--environment` from PROGFLAGS."""

    help = "The progflags command line, on this project's flag file and store."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own type; `validate` must run where the checks would fail

    def run_from_argv(self, argv: list[str]) -> None:
        try:
            code = self._run(argv[2:])
        except CommandError as error:
            self.stderr.write(f"{type(error).__name__}: {error}")
            code = error.returncode
        sys.exit(code)

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("words", nargs=argparse.REMAINDER, help="what follows `progflags` on its own command line")

    def handle(self, *args: str, words: list[str] | None = None, **_: Any) -> None:
        code = self._run([*args, *(words or ())])
        if code:
            raise CommandError(f"progflags exited with {code}", returncode=code)

    def _run(self, words: list[str]) -> int:
        try:
            setting = configured()
            told = arguments(setting["source"], setting.get("store"), setting.get("environment"))
        except (ImproperlyConfigured, ValueError) as error:
            raise CommandError(str(error), returncode=2) from error
        return run([*told, *words])
