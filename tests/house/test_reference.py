"""The reference names what there is."""

import inspect
import re
from pathlib import Path

from progflags.flags import json_schema
from support.public import named

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def keys(schema):
    """Every key a flag file may have, at any depth."""
    for name, inner in schema.get("properties", {}).items():
        if name != "$schema":
            yield name
        yield from keys(inner)
    for word in ("additionalProperties", "items"):
        if isinstance(schema.get(word), dict):
            yield from keys(schema[word])
    for word in ("anyOf", "oneOf"):
        for inner in schema.get(word, ()):
            yield from keys(inner)


def test_every_key_of_the_file_format_is_in_the_reference():
    """As `key` in the text, or written in a file that loads."""
    text = "".join(
        (REFERENCE / page).read_text()
        for page in ("flag-file.md", "rollout-file.md", "../how-to/steer-a-rollout.md", "../how-to/flags-tools.md")
    )
    found = sorted(set(keys(json_schema())))

    assert len(found) > 60
    assert [key for key in found if not re.search(rf"`{key}`|(^|[`{{,\\[. ]) *{key}( =|[].]|s?\\])", text, re.M)] == []


def test_every_public_name_is_in_the_reference_once():
    """By one of its names, where it has several; as what it is. `notify`, `score` and `shadow` are modules: what is in them is there."""
    directives = re.findall(r"^\.\. auto(\w+):: ([\w.]+)$", "".join(page.read_text() for page in REFERENCE.glob("python-*.md")), re.M)
    shown = [dotted for _, dotted in directives]
    values = dict(named())
    names: dict[int, set[str]] = {}
    for dotted, value in values.items():
        names.setdefault(id(value), set()).add(dotted)

    assert len(names) > 100
    assert [sorted(either) for either in names.values() if len(either & set(shown)) != 1] == []
    assert [dotted for kind, dotted in directives if (kind == "class") != inspect.isclass(values[dotted])] == []
    assert len(shown) == len(set(shown))


def test_the_files_that_a_change_touches_are_there():
    """`where do I change …?` is of use as long as its files are where it says."""
    root = REFERENCE.parents[1]
    text = (root / "docs" / "explanation" / "architecture.md").read_text()
    table = text[text.index("## Where do I change") : text.index("## Why so")]
    found = re.findall(r"`((?:\w+/)*\w+\.(?:py|md|toml))`", table)

    assert len(found) > 25
    assert [name for name in found if not (root / name).exists() and not (root / "src" / "progflags" / name).exists()] == []
