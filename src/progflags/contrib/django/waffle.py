"""django-waffle's tables, read and written down as a flag file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from django.db import connection

__all__ = ["as_toml", "tables"]

_FLAG = ("name", "everyone", "percent", "superusers", "staff", "authenticated", "languages", "note")


def tables() -> bool:
    """Whether this database has django-waffle's tables."""
    return {"waffle_flag", "waffle_switch", "waffle_sample"} <= set(connection.introspection.table_names())


def as_toml() -> str:
    """
    Every flag, switch and sample of django-waffle as the text of a flag file. Nothing is written to the database.

    Who was in by user, group, role or language still is. A percentage keeps its size, not its members: waffle drew them
    once per browser, ours are hashed by user. A sample, drawn per call there, sticks to its user here. Groups need the
    attribute `groups` in the context; the file says so where one is used.
    """
    lines = ["# Imported from django-waffle.", "schema = 1", ""]
    for flag in _rows("waffle_flag", ("id", *_FLAG)):
        lines += _flag(flag, _ids("users", flag["id"]), _groups(flag["id"]))
    for switch in _rows("waffle_switch", ("name", "active", "note")):
        lines += [*_head(switch, "switch"), f"percent = {100 if switch['active'] else 0}", ""]
    for sample in _rows("waffle_sample", ("name", "percent", "note")):
        lines += [*_head(sample, "sample"), f"percent = {_number(sample['percent'])}", ""]
    return "\n".join(lines)


def _flag(flag: dict[str, Any], users: list[str], groups: list[str]) -> Iterator[str]:
    yield from _head(flag, "flag")
    if flag["everyone"] is not None:
        yield f"percent = {100 if flag['everyone'] else 0}"
        yield ""
        return
    if flag["percent"] is not None and not any(_conditions(flag, users, groups)):
        yield f"percent = {_number(flag['percent'])}"
        yield ""
        return
    yield ""
    for name, when in _conditions(flag, users, groups):
        yield f"[[flags.{_text(flag['name'])}.rules]]"
        yield f"name = {_text(name)}"
        yield f"when = {_text(when)}" + ("  # needs the attribute `groups` in the context" if name == "groups" else "")
        yield 'serve = "on"'
        yield ""
    if flag["percent"] is not None:
        yield f"[[flags.{_text(flag['name'])}.rules]]"
        yield f"percent = {_number(flag['percent'])}"
        yield ""


def _conditions(flag: dict[str, Any], users: list[str], groups: list[str]) -> Iterator[tuple[str, str]]:
    """Who is in whatever the percentage says, in the order waffle asks."""
    for role in ("authenticated", "staff", "superusers"):
        if flag[role]:
            yield role, role.removesuffix("s")
    languages = [language.strip() for language in flag["languages"].split(",") if language.strip()]
    if languages:
        yield "languages", f"language in {json.dumps(languages)}"
    if users:
        yield "users", f"targeting_key in {json.dumps(users)}"
    if groups:
        yield "groups", f"groups overlaps {json.dumps(groups)}"


def _head(row: dict[str, Any], kind: str) -> Iterator[str]:
    yield f"[flags.{_text(row['name'])}]"
    note = " ".join(str(row["note"] or "").split())
    yield f"description = {_text(note or f'a {kind} of django-waffle')}"


def _text(text: str) -> str:
    """A TOML basic string; JSON's escapes are TOML's, but for DEL, which JSON leaves bare."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _number(percent: Any) -> str:
    return f"{percent:f}".rstrip("0").rstrip(".") if "." in f"{percent:f}" else f"{percent:f}"


def _rows(table: str, columns: Iterable[str]) -> list[dict[str, Any]]:
    """The table's rows by name. Values go through Django's own converters, for a boolean is 0 or 1 in SQLite."""
    names = tuple(columns)
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(map(quote, names))} FROM {quote(table)} ORDER BY {quote('name')}")  # noqa: S608 - our own names, quoted
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _ids(what: str, flag: int) -> list[str]:
    quote = connection.ops.quote_name
    table, column = quote(f"waffle_flag_{what}"), quote(f"{what.removesuffix('s')}_id")
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM {table} WHERE flag_id = %s ORDER BY 1", [flag])  # noqa: S608 - as above
        return [str(row[0]) for row in cursor.fetchall()]


def _groups(flag: int) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT auth_group.name FROM waffle_flag_groups JOIN auth_group ON auth_group.id = waffle_flag_groups.group_id "
            "WHERE waffle_flag_groups.flag_id = %s ORDER BY 1",
            [flag],
        )
        return [str(row[0]) for row in cursor.fetchall()]
