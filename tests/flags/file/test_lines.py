"""Every mistake is found on its line: the locators for TOML and JSON text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progflags.errors import DefinitionError
from progflags.flags import decode, decode_json, decode_toml

# Every leaf holds the number of the line it is written on, so that the document checks itself.
TOML = '''a = 1
"quoted key" = 2          # a comment with [brackets] and = signs
'literal' = 3
dotted.inner.leaf = 4
text = """
  [not.a.table]
x = "#"
"""
after_text = 9
raw = \'\'\'
"""quotes""" = 1
\'\'\'
after_raw = 13
many = [ 14, 14,
  15,     # trailing comment ] }
  [ 16, 16 ],
  { k = 17, deep = { er = 17 } },
]

[table]
leaf = 21
[table.sub."odd.key"]
leaf = 23
[[list]]
leaf = 25
[list.child]
leaf = 27
[[list]]
leaf = 29
[[list.inner]]
leaf = 31
[[list.inner]]
leaf = 33
when = 'plan == "]" and x'
strange = "escaped \\" quote # ["
last = 36
'''


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[tuple[str | int, ...], Any]]:
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in leaves(item, (*path, key))]
    if isinstance(value, list):
        return [leaf for at, item in enumerate(value) for leaf in leaves(item, (*path, at))]
    return [(path, value)]


@pytest.mark.parametrize("text", [TOML, TOML.replace("\n", "\r\n"), "\ufeff" + TOML])
def test_every_toml_value_is_found_on_its_line(text: str) -> None:
    """Quoted, dotted and literal keys, strings over several lines, nested arrays, inline tables, arrays of tables."""
    document, lines = decode_toml(text.encode(), "x.toml")
    checked = 0
    for path, value in leaves(document):
        if isinstance(value, int):
            assert lines(path) == value, path
            checked += 1
    assert checked == 21


def test_toml_tables_are_found_at_their_headers() -> None:
    """A problem with a table as a whole points at its header."""
    _, lines = decode_toml(TOML, "x.toml")
    assert lines(("table",)) == 20
    assert lines(("list", 1)) == 28
    assert lines(("list", 1, "inner", 1)) == 32
    assert lines(("nowhere",)) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=6), json_values, max_size=5))
def test_every_json_value_is_found_on_its_line(value: dict[str, Any]) -> None:
    """Checked by putting a marker in place of each leaf and searching the text for it."""
    paths = [path for path, _ in leaves(value)]
    for path in paths[:5]:
        if not path:
            continue
        marked = json.loads(json.dumps(value))
        spot = marked
        for key in path[:-1]:
            spot = spot[key]
        spot[path[-1]] = "~~HERE~~"
        text = json.dumps(marked, indent=1)
        wanted = next(number for number, line in enumerate(text.splitlines(), 1) if '"~~HERE~~"' in line)
        _, lines = decode_json(text, "x.json")
        assert lines(path) == wanted


@pytest.mark.parametrize(
    ("text", "file", "message"),
    [
        ("a = 1\nb = 2\na = 3\n", "f.toml", "f.toml:3: a: written twice: first on line 1, again on line 3 (keep one of the two)"),
        ("[t]\nk = 1\n[u]\n[t]\n", "f.toml", "f.toml:4: t: written twice: first on line 1, again on line 4 (keep one of the two)"),
        ("x = { a = 1,\n a = 2 }", "f.toml", "f.toml:1: not TOML"),
        (
            '{"a": 1,\n "b": {"c": 1,\n "c": 2}}',
            "f.json",
            "f.json:3: b.c: written twice: first on line 2, again on line 3 (keep one of the two)",
        ),
        ("a = \n", "f.toml", "f.toml:1: not TOML: Invalid value, column 5"),
        ("a = [1,\n", "f.toml", "f.toml:2: not TOML: "),
        ('{"a": }', "f.json", "f.json:1: not JSON: Expecting value, column 7"),
        ("[1, 2]", "f.json", 'f.json:1: the document is no object (write { "flags": { ... } })'),
        ("x = 1\ny = " + "[" * 2000, "f.toml", "f.toml:2: nested deeper than 32 levels"),
        ('{"x":\n' + "[" * 100_000, "f.json", "f.json:2: nested deeper than 32 levels"),
        ("a = 1\nb = " + "9" * 5000, "f.toml", "f.toml:2: a number of more than 4,300 digits"),
        ('{"b":\n ' + "9" * 5000 + "}", "f.json", "f.json:2: a number of more than 4,300 digits"),
        (b"a = 1\nb = '\xff'\n", "f.toml", "f.toml:2: not UTF-8: byte 0xff at offset 11 (save the file as UTF-8)"),
        ("a = 1".encode("utf-16"), "f.toml", "f.toml:1: not UTF-8: byte 0xff at offset 0 (this is UTF-16: save the file as UTF-8)"),
        ("a = 1\nb = '\x00'\n", "f.toml", "f.toml:2: not TOML: Found invalid character"),
    ],
)
def test_an_unreadable_text_names_its_line(text: str | bytes, file: str, message: str) -> None:
    """Golden messages: what a person sees who mistyped."""
    with pytest.raises(DefinitionError) as caught:
        decode(text, file)
    assert str(caught.value).startswith(message)


def test_json_and_toml_are_told_apart_without_a_name() -> None:
    """A dict-like text is JSON, whatever it is called."""
    assert decode('{"flags": {}}', "flags")[0] == {"flags": {}}
    assert decode("[flags]", "flags")[0] == {"flags": {}}


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_a_document_or_a_definition_error(text: bytes) -> None:
    """Nothing else escapes."""
    for file in ("f.toml", "f.json"):
        try:
            document, lines = decode(text, file)
        except DefinitionError as error:
            assert all(problem.file == file and problem.line for problem in error.problems)  # noqa: PT017
        else:
            assert all(lines(path) for path, _ in leaves(document) if path)
