"""Profiles: the entries of `[profiles]`, each a pattern with the profile of what it matches, or a profile of the file's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from progflags.flags._freeze import FrozenDict
from progflags.flags._model import ProfileSpec
from progflags.flags._problems import Problems, word
from progflags.flags.file._fields import is_table, read
from progflags.flags.file._format import PROFILE

__all__ = ["profiles"]


def profiles(table: Mapping[Any, Any], problems: Problems, before: Mapping[str, str | ProfileSpec]) -> Mapping[str, str | ProfileSpec]:
    """
    The profiles of a checked document, in its order. What is wrong with one is reported, and leaves it as it was `before`.

    Whether a rollout could be carried out by one is the plan's to check.
    """
    found: dict[str, str | ProfileSpec] = {}
    for key, entry in table.items():
        name = word(key)
        spec = _profile(name, entry, problems) if is_table(entry) else entry
        found[name] = before.get(name, spec) if isinstance(spec, ProfileSpec) and spec.broken else spec
    return FrozenDict(found)


def _profile(name: str, entry: Mapping[Any, Any], problems: Problems) -> ProfileSpec:
    before = len(problems.found)
    data = read(entry, PROFILE, lambda at, message, hint: problems.add(("profiles", name, *at), message, hint))
    return ProfileSpec(name, FrozenDict(data), problems.file, problems.lines, broken=len(problems.found) > before)
