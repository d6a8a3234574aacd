"""The reference names what there is."""

import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema

from progflags.flags import json_schema
from progflags.flags.file._format import CHANNEL, DOCUMENT, FLAG, GROUP, HOLDOUT, RAMP, REQUIRE, RULE, SEGMENT
from progflags.flags.file._meaning import MEANING
from progflags.rollout.plan import Plan
from support.public import named

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def tables(schema):
    """Every table that a flag file may have, with its name, at any depth."""
    if isinstance(schema, dict):
        if isinstance(schema.get("title"), str) and "properties" in schema:
            yield schema["title"], schema
        schema = list(schema.values())
    if isinstance(schema, list):
        for inner in schema:
            yield from tables(inner)


def test_every_key_of_the_file_format_is_explained():
    """With a description, an example that its own schema and TOML take, and a default that the schema takes as well."""
    schema = json_schema()
    found = [(name, key, inner) for name, table in tables(schema) for key, inner in table["properties"].items()]
    wrong = []
    for name, key, inner in found:
        where = f"{name}.{key}"
        if not inner.get("description", "").endswith("."):
            wrong.append(f"{where} has no description")
        values = [*inner.get("examples", ()), *([inner["default"]] if "default" in inner else ())]
        if not inner.get("examples"):
            wrong.append(f"{where} has no example")
        beside = {"$defs": schema["$defs"], "properties": {**schema["properties"], **inner.get("properties", {})}}  # what it refers to
        validator = jsonschema.Draft202012Validator({**inner, **beside})
        wrong += [f"{where}: {error.message}" for value in values for error in validator.iter_errors(value)]

    assert len({(name, key) for name, key, _ in found}) > 110
    assert wrong == []


def test_what_is_explained_is_in_the_file_format():
    """Nothing of a table or key that is gone."""
    there = {name: set(table["properties"]) for name, table in tables(json_schema())}
    there["document"] = there.pop("progflags flag file")

    assert {name: set(keys) for name, keys in MEANING.items()} == there


def test_the_examples_load():
    """What the page shows beside a key is what the loader takes there."""
    for fields in (CHANNEL, DOCUMENT, FLAG, GROUP, HOLDOUT, RAMP, REQUIRE, RULE, SEGMENT):
        for key, kind in fields.kinds.items():
            assert kind.check(MEANING[fields.name][key].example) is not None, key
    for key, meaning in MEANING["rollout"].items():
        assert Plan.of({key: meaning.example}).stages, key


def test_the_pages_on_the_file_are_written_from_its_schema():
    """Every table of keys stands once, as `tools/reference` writes it, and can be read as TOML."""
    checked = subprocess.run([sys.executable, REFERENCE.parents[1] / "tools" / "reference", "--check"], capture_output=True, text=True)
    text = "".join((REFERENCE / page).read_text() for page in ("flag-file.md", "rollout-file.md"))
    examples = re.findall(r"^\| `.*\| `(.+ = .+)` \|$", text, re.M)

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert sorted(re.findall(r"<!-- keys: (\w+) -->", text)) == sorted(MEANING)
    assert len(examples) == sum(map(len, MEANING.values()))
    assert all(tomllib.loads(example) for example in examples)


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
