"""
Flag files as people write them, made at random: comments above and behind, wide spaces, several styles; and where each key stands.

`written(form, chance, flags)` → Written(text, document, lines): `lines` has for each path the first line and the line behind the last.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

_WORDS = ["fast", "it's", 'say "a"', "a # b", "x = 1", "[no]", "{ }", "ü", "", "null", "1.10", "on", "C:\\temp", "a: b", "- x", "…"]
_NAMES = ["description", "owner", "ticket", "percent", "tags", "metadata"]


@dataclass
class Written:
    text: str
    document: dict[str, Any]
    lines: dict[tuple[Any, ...], tuple[int, int]] = field(default_factory=dict)


def value_of(name: str, chance: Any) -> Any:
    if name == "percent":
        return chance.choice([0, 5, 25, 99, 0.5, 12.25])
    if name == "tags":
        return [chance.choice(_WORDS) for _ in range(chance.randrange(4))]
    if name == "metadata":
        return {
            key: chance.choice([1, True, 2.5, chance.choice(_WORDS)]) for key in chance.sample(["a", "b c", "x-y"], chance.randrange(1, 4))
        }
    return chance.choice(_WORDS)


def table_of(chance: Any, *, rules: bool = True) -> dict[str, Any]:
    names = chance.sample(_NAMES, chance.randrange(0 if rules else 1, len(_NAMES)))
    table = {name: value_of(name, chance) for name in names}
    if rules and chance.random() < 0.7:
        table["rules"] = [table_of(chance, rules=False) for _ in range(chance.randrange(1, 4))]
    return table


def written(form: str, chance: Any, flags: int) -> Written:
    document: dict[str, Any] = {"schema": 1}
    if chance.random() < 0.5:
        document["retired"] = ["gone", "older"]
    document["flags"] = {f"flag-{at}": table_of(chance) for at in range(flags)}
    made = {"toml": _Toml, "yaml": _Yaml, "json": _Json}[form](chance)
    made.document(document)
    return Written("\n".join(made.lines) + "\n", document, made.spans)


class _Pen:
    def __init__(self, chance: Any) -> None:
        self.chance = chance
        self.lines: list[str] = []
        self.spans: dict[tuple[Any, ...], tuple[int, int]] = {}

    def maybe_comment(self, indent: str = "") -> None:
        for _ in range(self.chance.choice([0, 0, 0, 1, 2])):
            self.lines.append(f"{indent}# {self.chance.choice(_WORDS)}")

    def blank(self) -> None:
        self.lines += [""] * self.chance.choice([0, 1, 1, 2])

    def behind(self) -> str:
        return self.chance.choice(["", "", " # why", "      # [x] = 'y'"])

    def put(self, path: tuple[Any, ...], text: str) -> None:
        start = len(self.lines)
        self.lines += text.split("\n")
        self.spans[path] = (start, len(self.lines))


class _Toml(_Pen):
    def document(self, document: dict[str, Any]) -> None:
        self.lines.append("# the flags of everybody")
        self.put(("schema",), "schema = 1" + self.behind())
        if "retired" in document:
            self.put(("retired",), f"retired = {self.value(document['retired'], wide=True)}")
        for key, table in document["flags"].items():
            self.blank()
            if self.chance.random() < 0.2:
                self.lines += ["", "# ── a part of the file ──", ""]
            self.flag(("flags", key), table)

    def flag(self, path: tuple[Any, ...], table: dict[str, Any]) -> None:
        self.maybe_comment()
        self.lines.append(f"[flags.{path[1]}]" + self.behind())
        sections = self.chance.random() < 0.6
        self.keys(path, {key: value for key, value in table.items() if key != "rules"})
        if "rules" in table and not sections:
            self.put((*path, "rules"), f"rules = {self.value(table['rules'], wide=True)}")
        elif "rules" in table:
            for at, rule in enumerate(table["rules"]):
                self.blank()
                start = len(self.lines)
                self.maybe_comment()
                self.lines.append(f"[[flags.{path[1]}.rules]]" + self.behind())
                self.keys((*path, "rules", at), rule)
                self.spans[(*path, "rules", at)] = (start, len(self.lines))

    def keys(self, path: tuple[Any, ...], table: dict[str, Any]) -> None:
        indent = self.chance.choice(["", "", "  "])
        for key, value in table.items():
            self.maybe_comment(indent)
            if key == "metadata" and self.chance.random() < 0.4:
                for name, item in value.items():
                    self.put((*path, key, name), f"{indent}metadata.{json.dumps(name)} = {self.value(item)}{self.behind()}")
                continue
            between = self.chance.choice([" = ", " = ", "=", "    = "])
            self.put((*path, key), f"{indent}{key}{between}{self.value(value, wide=True)}{self.behind()}")

    def value(self, value: Any, *, wide: bool = False) -> str:
        if isinstance(value, dict):
            return "{ " + ", ".join(f"{json.dumps(key)} = {self.value(item)}" for key, item in value.items()) + " }"
        if isinstance(value, list) and wide and value and self.chance.random() < 0.5:
            return "[\n" + "".join(f"    {self.value(item)},{self.behind()}\n" for item in value) + "]"
        if isinstance(value, list):
            return "[" + self.chance.choice([",", ", "]).join(map(self.value, value)) + "]"
        if isinstance(value, str):
            return self.text(value, wide)
        return json.dumps(value)

    def text(self, value: str, wide: bool) -> str:
        styles = [json.dumps(value, ensure_ascii=self.chance.random() < 0.5)]
        if "'" not in value:
            styles.append(f"'{value}'")
        if wide and "\\" not in value and not value.endswith('"'):
            styles.append(f'"""{value}"""')
        return self.chance.choice(styles)


class _Yaml(_Pen):
    def document(self, document: dict[str, Any]) -> None:
        self.unit, self.offset = self.chance.choice([2, 4]), self.chance.choice([0, 2])
        self.lines.append("# the flags of everybody")
        self.put(("schema",), "schema: 1" + self.behind())
        if "retired" in document:
            self.put(("retired",), "retired: [gone, older]" if self.chance.random() < 0.5 else "retired:\n- gone # long ago\n- older")
        self.lines.append("flags:")
        for key, table in document["flags"].items():
            self.blank()
            indent = " " * self.unit
            self.maybe_comment(indent)
            if not table:
                self.put(("flags", key), f"{indent}{key}: {{}}")
                continue
            self.lines.append(f"{indent}{key}:{self.behind()}")
            self.keys(("flags", key), table, indent * 2)

    def keys(self, path: tuple[Any, ...], table: dict[str, Any], indent: str, dash: str = "") -> None:
        for key, value in table.items():
            if not dash:
                self.maybe_comment(indent)
            begin, dash = dash or indent, ""
            if key == "rules" or (key in ("metadata", "tags") and value and self.chance.random() < 0.4):
                self.lines.append(f"{begin}{key}:{self.behind()}")
                if key == "metadata":
                    self.keys((*path, key), value, indent + " " * self.unit)
                else:
                    self.items((*path, key), value, indent + " " * self.offset)
                continue
            self.put((*path, key), f"{begin}{self.word(key)}:{self.chance.choice([' ', ' ', '   '])}{self.value(value)}{self.behind()}")

    def items(self, path: tuple[Any, ...], items: list[Any], indent: str) -> None:
        for at, item in enumerate(items):
            start = len(self.lines)
            self.maybe_comment(indent)
            if isinstance(item, dict):
                self.keys((*path, at), item, f"{indent}  ", dash=f"{indent}- ")
            else:
                self.lines.append(f"{indent}- {self.value(item)}{self.behind()}")
            self.spans[(*path, at)] = (start, len(self.lines))

    def value(self, value: Any) -> str:
        if isinstance(value, dict):
            return "{ " + ", ".join(f"{self.word(key)}: {self.value(item)}" for key, item in value.items()) + " }"
        if isinstance(value, list):
            return "[" + ", ".join(map(self.value, value)) + "]"
        return self.word(value) if isinstance(value, str) else json.dumps(value)

    def word(self, text: str) -> str:
        plain = text.isalpha() and text not in ("null", "true", "false", "on")
        styles = [json.dumps(text, ensure_ascii=False), "'" + text.replace("'", "''") + "'", *([text] if plain else [])]
        return self.chance.choice(styles)


class _Json(_Pen):
    """No comments; but objects within a line beside tall ones."""

    def document(self, document: dict[str, Any]) -> None:
        self.unit = self.chance.choice(["  ", "    ", "\t"])
        self.lines = self.tall((), document, "").split("\n")

    def tall(self, path: tuple[Any, ...], value: Any, indent: str) -> str:
        flat = len(path) > 2 and self.chance.random() < 0.4
        if not isinstance(value, (dict, list)) or not value or flat:
            return json.dumps(value, ensure_ascii=False)
        inner = indent + self.unit
        items = value.items() if isinstance(value, dict) else enumerate(value)
        rows = [
            f"{inner}{json.dumps(key) + ': ' if isinstance(value, dict) else ''}{self.tall((*path, key), item, inner)}"
            for key, item in items
        ]
        begin, end = "{}" if isinstance(value, dict) else "[]"
        return begin + "\n" + ",\n".join(rows) + f"\n{indent}{end}"
