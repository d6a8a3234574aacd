"""YAML that means what it says: 1.2 booleans, no aliases, both lines of a doubled key."""

from datetime import date

import pytest

from progflags.errors import DefinitionError, MissingExtraError
from progflags.sources import Loader, source_of
from progflags.sources._yaml import decode_yaml


def decode(text):
    return decode_yaml(text.encode(), "flags.yaml")[0]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("on", "on"), ("off", "off"), ("yes", "yes"), ("NO", "NO"), ("y", "y"), ("True", "True"), ("TRUE", "TRUE"),
        ("true", True), ("false", False), ("null", None), ("~", None), ("", None), ("Null", "Null"),
        ("10", 10), ("-3", -3), ("010", "010"), ("0x1F", "0x1F"), ("1_000", "1_000"), ("1:30", "1:30"), ("0o17", "0o17"),
        ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0), ("1.10", 1.1), ("1.10.0", "1.10.0"), (".inf", ".inf"), (".nan", ".nan"),
        ("2027-03-01", date(2027, 3, 1)), ("2027-02-31", "2027-02-31"), ("2027-03-01T10:00:00Z", "2027-03-01T10:00:00Z"),
        ("'10'", "10"), ('"true"', "true"), ("! 10", "10"), ("=", "="),
    ],
)  # fmt: skip
def test_a_plain_word_is_what_it_looks_like(written, meant):
    """Norway stays a country, a version with two dots a text, an octal nobody meant as well."""
    found = decode(f"value: {written}\n")["value"]
    assert found == meant
    assert type(found) is type(meant)


def test_keys_are_always_text():
    """Variants named on and off, 1 and 2, true and null."""
    assert list(decode("on: 1\noff: 2\n1: 3\ntrue: 4\n~: 5\n2027-01-01: 6\n")) == ["on", "off", "1", "true", "~", "2027-01-01"]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("flags:\n  a: {}\n  b: {}\n  a: {}\n", 4, "flags.a: written twice: first on line 2, again on line 4"),
        ("flags: {a: {percent: 1, percent: 2}}\n", 1, "flags.a.percent: written twice"),
        ("flags: {on: {}, 'on': {}}\n", 1, "flags.on: written twice"),
        ("a: &x [1]\nb: *x\n", 2, r"b: an alias \(\*x\)"),
        ("a: &x [1, *x]\n", 1, r"an alias \(\*x\)"),
        ("a: 1\n<<: {b: 1}\n", 2, "a merge key"),
        ("a: !!python/object:os.system x\n", 1, "a tag"),
        ("a: !!binary aGk=\n", 1, "a tag"),
        ("!!str a: 1\n", 1, "a tag"),
        ("a: 1\n---\nb: 2\n", 2, "a second document"),
        ("? [a, b]\n: 1\n", 1, "a key that is no text"),
        ("- a\n- b\n", 1, "the document is no table"),
        ("just words\n", 1, "the document is no table"),
        ("a: [1, 2\nb: 3\n", 2, "not YAML"),
        ("a: 1\n\tb: 2\n", 2, "not YAML"),
        ("a: 'open\n", 2, "not YAML"),
        ("a: \x01\n", 1, "not YAML"),
        ("a: " + "[" * 100 + "]" * 100, 1, "nested deeper than 32 levels"),
        ("a:\n" + "".join(f"{' ' * n}b:\n" for n in range(1, 2000)), 42, "nested deeper"),
    ],
)
def test_what_a_flag_file_has_no_use_for_is_refused_with_its_line(text, line, message):
    """And what is no YAML at all."""
    with pytest.raises(DefinitionError, match=message) as caught:
        decode(text)
    assert caught.value.problems[0].line == line


def test_bytes_that_are_no_utf_8_name_the_place():
    """Line and offset."""
    with pytest.raises(DefinitionError, match=r"flags.yaml:2: .*0xff at offset 5"):
        decode_yaml(b"a: 1\n\xff", "flags.yaml")


def test_an_alias_bomb_costs_nothing():
    """Nine levels of nine: refused at the first alias."""
    bomb = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
    with pytest.raises(DefinitionError, match="an alias"):
        decode(bomb)


def test_lines_are_those_of_the_keys():
    """Of items too."""
    _, lines = decode_yaml(b"flags:\n  a:\n    rules:\n      - when: x\n        serve: on\n      - serve: off\n", "f")
    assert [lines(path) for path in [(), ("flags",), ("flags", "a"), ("flags", "a", "rules", 1, "serve"), ("flags", "b")]] == [
        1,
        1,
        2,
        6,
        None,
    ]


def test_an_empty_document_is_an_empty_table():
    """Then the format says what it lacks."""
    assert decode("# nothing yet\n") == {}


def test_a_yaml_file_serves_and_its_mistakes_have_lines(tmp_path):
    """The same format in another syntax."""
    path = tmp_path / "flags.yml"
    path.write_text("flags:\n  a:\n    variants: {on: x, off: y}\n    default: off\n  b:\n    percent: 25\n    ownr: me\n")
    loader = Loader(source_of(path))
    snapshot = loader.first()

    assert snapshot.flags["a"].variants == {"on": "x", "off": "y"}
    (problem,) = snapshot.rejected
    assert (problem.file, problem.line, problem.key) == (str(path), 7, "flags.b.ownr")


def test_without_the_extra_a_yaml_path_says_what_to_install(tmp_path, monkeypatch):
    """When the program connects, not when the file changes."""
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    with pytest.raises(MissingExtraError, match=r"progflags\[yaml\]"):
        source_of(tmp_path / "flags.yaml")


def test_the_pure_python_parser_agrees(monkeypatch):
    """Where PyYAML has no C library."""
    import yaml

    text = "a: [1, on, {b: 'x', c: 2027-01-01}]\nd: |\n  long\n"
    expected = decode(text)
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    assert decode(text) == expected == {"a": [1, "on", {"b": "x", "c": date(2027, 1, 1)}], "d": "long\n"}
