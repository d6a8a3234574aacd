"""`schema` and the other written files: for editors, with the code's types, and whether what lies there is old."""

import json
import re
import subprocess
import sys
import tomllib
from datetime import date, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from progflags.cli import main
from progflags.errors import DefinitionError
from progflags.flags import json_schema, parse

ROOT = Path(__file__).parents[2]
CODE = '''
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from pydantic import BaseModel, Field
import progflags as pf

class Retry(BaseModel):
    times: int = Field(ge=0, description="How often")

class Limits(BaseModel):
    """How much a search may take."""
    k: int
    retry: Retry = Retry(times=1)

@dataclass(frozen=True)
class Point:
    x: float
    y: float

class Plan(Enum):
    PRO = "pro"
    FREE = "free"

class Odd:
    pass

FLAGS = [
    pf.Flag("search-limits", default=Limits(k=10), description="Limits of searches"),
    pf.Flag("other/limits~ ü", default=Limits(k=1)),
    pf.Flag("point", default=Point(0, 0)),
    pf.Flag("plan", default=Plan.PRO),
    pf.Flag("many", default=[Limits(k=1)], model=list[Limits]),
    pf.Flag("text", default="x", description="A text"),
    pf.Flag("ratio", default=0.5),
    pf.Flag("odd", default=Odd(), model=lambda value: Odd()),
    pf.Flag("anything", default=None),
]
'''
GOOD: dict[str, Any] = {
    "search-limits": {"k": 1, "retry": {"times": 3}},
    "other/limits~ ü": {"k": 1, "retry": {"times": 1}},
    "point": {"x": 1, "y": 2.5},
    "plan": "pro",
    "many": [{"k": 1}],
    "text": "y",
    "ratio": 1,
    "odd": {"whatever": 1},
    "anything": [],
    "unheard-of": 7,
}
BAD: dict[str, Any] = {
    "search-limits": {"k": 1, "retry": {"times": -1}},
    "other/limits~ ü": {"k": "many"},
    "point": {"x": 1},
    "plan": "prro",
    "many": [{"k": 1}, {}],
    "text": 3,
    "ratio": "x",
}


def flags(values: dict[str, Any]) -> dict[str, Any]:
    return {key: {"variants": {"a": value}, "default": "a"} for key, value in values.items()}


def schema_of(code: str, folder: Path, *more: str) -> Any:
    """Of another process: what this one has declared is not its business."""
    (folder / "our_flags.py").write_text(code)
    words = [sys.executable, "-B", "-m", "progflags", "schema", "--code", "our_flags", *more]
    return subprocess.run(words, capture_output=True, text=True, cwd=folder, timeout=60)


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    done = schema_of(CODE, tmp_path_factory.mktemp("code"))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_values_of_typed_flags_have_their_models_schema(typed: Any) -> None:
    """In the document and in every environment; what the code does not type is as before."""
    jsonschema.Draft202012Validator.check_schema(typed)
    validator = jsonschema.Draft202012Validator(typed)

    assert not list(validator.iter_errors({"flags": flags(GOOD), "environments": {"staging": {"flags": flags(GOOD)}}}))
    for key, value in BAD.items():
        assert list(validator.iter_errors({"flags": flags({key: value})})), key
        assert list(validator.iter_errors({"flags": {}, "environments": {"staging": {"flags": flags({key: value})}}})), key
        assert not list(jsonschema.Draft202012Validator(json_schema()).iter_errors({"flags": flags({key: value})}))


def test_a_typed_flag_is_a_flag_all_the_same(typed: Any) -> None:
    """Its other keys are completed and checked as everybody's."""
    (error,) = jsonschema.Draft202012Validator(typed).iter_errors({"flags": {"text": {"percnt": 3}}})
    assert "'percnt'" in error.message


def test_what_models_say_of_themselves_is_shown(typed: Any) -> None:
    """A field's description, and a flag's where its model has none."""
    said = {key: entry["allOf"][1]["properties"]["variants"]["additionalProperties"] for key, entry in _typed_flags(typed).items()}

    assert set(said) == set(BAD)
    assert said["search-limits"]["description"] == "How much a search may take."
    assert said["text"] == {"type": "string", "description": "A text"}
    assert [inner["properties"]["times"]["description"] for name, inner in typed["$defs"].items() if name.endswith("Retry")] == [
        "How often"
    ] * 3


def _typed_flags(schema: Any) -> Any:
    return schema["properties"]["flags"]["properties"]


def test_code_that_declares_nothing_or_can_not_be_imported_is_refused(tmp_path: Path) -> None:
    """Exit 2, with its own words; nothing is written."""
    done = schema_of("raise OSError('no disk')", tmp_path, "-o", "made.json")
    assert (done.returncode, done.stderr) == (2, "progflags: --code our_flags: it can't be imported: OSError: no disk\n")
    done = schema_of("", tmp_path, "-o", "made.json")
    assert (done.returncode, done.stderr) == (2, "progflags: no typed flag (pf.Flag) is declared in our_flags\n")
    assert not (tmp_path / "made.json").exists()


def test_check_says_how_the_written_schema_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1 and a diff; 0 once it is written."""
    made = tmp_path / "flags.schema.json"
    assert main(["schema", "-o", str(made), "--check"]) == 1
    assert "--- /dev/null" in capsys.readouterr().out
    assert main(["schema", "-o", str(made)]) == 0
    assert main(["schema", "-o", str(made), "--check"]) == 0
    assert json.loads(made.read_text()) == json_schema()
    made.write_text(made.read_text().replace('"title": "flag"', '"title": "old"', 1))
    capsys.readouterr()
    assert main(["schema", "-o", str(made), "--check"]) == 1
    said = capsys.readouterr().out
    assert re.search(r'^-\s+"title": "old",$', said, re.M)
    assert said.endswith(f"{made} is not up to date: run progflags schema -o {made}\n")
    assert main(["schema", "--check"]) == 2


def test_codegen_says_how_the_written_module_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A flag that came, as a diff of the module; as JSON too."""
    file, made = tmp_path / "flags.toml", tmp_path / "our_flags.py"
    file.write_text("[flags.one]\n")
    assert main(["codegen", str(file), "-o", str(made)]) == 0
    file.write_text("[flags.one]\n[flags.two]\n")
    assert main(["codegen", str(file), "-o", str(made), "--check"]) == 1
    said = capsys.readouterr().out
    assert '+TWO: Flag[bool] = Flag("two", default=False)' in said
    assert said.endswith(f"{made} is not up to date: run progflags codegen {file} -o {made}\n")
    assert main(["--json", "codegen", str(file), "-o", str(made), "--check"]) == 1
    assert json.loads(capsys.readouterr().out)["diff"].startswith(f"--- {made}\n+++ {made}\n")
    made.write_bytes(b"")
    assert main(["codegen", str(file), "--check"]) == 2
    assert main(["codegen", str(file), "-o", str(made)]) == 0
    made.write_bytes(made.read_bytes().rstrip(b"\n"))
    assert main(["codegen", str(file), "-o", str(made), "--check"]) == 1
    assert "ends of lines" in capsys.readouterr().out


def documents() -> dict[str, Any]:
    """Every flag file of the pages and the examples that loads."""
    found: dict[str, Any] = {}
    for page in sorted((ROOT / "docs").rglob("*.md")):
        for at, text in enumerate(re.findall(r"^```toml\n(.*?)^```", page.read_text(), re.M | re.S)):
            found[f"{page.name}:{at}"] = tomllib.loads(text)
    for path in sorted((ROOT / "examples").rglob("*.toml")):
        found[path.name] = tomllib.loads(path.read_text())
    return {name: document for name, document in found.items() if _loads(document)}


def _loads(document: Any) -> bool:
    try:
        return not parse(document).rejected
    except DefinitionError:  # pyproject.toml, a part of a file
        return False


def _written(value: object) -> str:
    return value.isoformat() if isinstance(value, (date, datetime)) else str(value)


def test_an_editor_accepts_what_the_loader_takes() -> None:
    """No flag file of the documentation or the examples is underlined."""
    validator = jsonschema.Draft202012Validator(json_schema())
    found = documents()
    wrong = {
        name: [error.message for error in errors]
        for name, document in found.items()
        if (errors := list(validator.iter_errors(json.loads(json.dumps(document, default=_written)))))
    }

    assert len(found) > 30
    assert wrong == {}
