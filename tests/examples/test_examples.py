"""Every example, copied somewhere else as a reader would, tells its story and says truly how it went."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(path.name for path in EXAMPLES.iterdir() if path.suffix == ".py" or (path / "__main__.py").exists())
LISTED = (EXAMPLES / "README.md").read_text()


def run(name: str, folder: Path, *edits: tuple[str, str, str]) -> tuple[int, dict, str]:
    """A copy's exit code, its last line, and all it said; each of `edits` is a file of the example, and what is put for what."""
    source, copy = EXAMPLES / name, folder / name
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__")) if source.is_dir() else shutil.copyfile(source, copy)
    for file, before, after in edits:
        path = copy / file if file else copy
        assert before in path.read_text()
        path.write_text(path.read_text().replace(before, after))
    before = sorted(path.name for path in folder.iterdir())
    ours = {key: value for key, value in os.environ.items() if not key.startswith(("PROGFLAGS_", "PYTEST", "DJANGO_", "COV_"))}
    done = subprocess.run(
        [sys.executable, name], cwd=folder, env={**ours, "PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True, text=True, timeout=400
    )
    assert sorted(path.name for path in folder.iterdir()) == before, "it left something behind"
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stdout + done.stderr


def story(name: str, folder: Path) -> dict:
    code, outcome, said = run(name, folder)
    assert (code, outcome["ok"]) == (0, True), said
    assert "Traceback" not in said
    return outcome


@pytest.mark.parametrize("name", NAMES)
def test_one_command_is_told_alike_in_the_list_and_in_the_file(name):
    file = EXAMPLES / name
    told = ast.get_docstring(ast.parse((file / "__main__.py" if file.is_dir() else file).read_text()))

    assert f"`python examples/{name}" in told
    assert f"python examples/{name}" in LISTED


def test_nothing_is_listed_that_is_not_there():
    assert set(re.findall(r"python examples/(\w+(?:\.py)?)", LISTED)) == set(NAMES)


@pytest.mark.slow
def test_a_search_engine_is_judged_by_rank_overlap(tmp_path):
    outcome = story("search_rewrite.py", tmp_path)

    assert outcome["states"] == {"index": "UNSAFE", "index-folded": "SAFE"}
    assert outcome["scores"]["index"] < 0.7 < outcome["scores"]["index-folded"]
    assert outcome["answers_changed"] == 0
    assert outcome["worst_empty"] == 5


@pytest.mark.slow
def test_three_releases_are_judged_from_files(tmp_path):
    outcome = story("canary_from_csv.py", tmp_path)

    assert outcome["decisions"] == {"tidied-up": "PASS", "new-cache": "ROLLBACK", "tried-for-a-minute": "HOLD"}
    assert outcome["decided_by"]["new-cache"] == ["p99_latency"]
    assert outcome["exit_code"] == 1


@pytest.mark.slow
def test_a_store_is_left_without_a_wrong_answer(tmp_path):
    outcome = story("store_migration", tmp_path)

    assert outcome["states"] == ["UNSAFE", "SAFE"]
    assert outcome["mismatches"] == ["$.total"]
    assert outcome["percents"] == [10, 50, 100]
    assert outcome["rampdown"] == {"rampdown": 997}
    assert (outcome["repaired"], outcome["wrong_answers"]) == (2, 0)


@pytest.mark.slow
def test_a_batch_job_takes_its_rewrite_back_and_then_climbs(tmp_path):
    outcome = story("batch_job.py", tmp_path)

    assert outcome["bad"]["state"] == "rolled_back"
    assert outcome["bad"]["percent_reached"] == 10
    assert outcome["good"]["state"] == "completed"
    assert outcome["bad"]["wrong"] == outcome["good"]["wrong"] == 0
    assert outcome["good"]["invoices"] == 1000 * outcome["good"]["jobs"]
    assert outcome["bad"]["new"] < 0.2 * outcome["bad"]["invoices"]


@pytest.mark.slow
def test_a_task_keeps_what_its_page_promised(tmp_path):
    outcome = story("flask_celery", tmp_path)

    assert outcome["kept"] == 100
    assert outcome["promised_new"] == 20  # of 100, by hash: the same every time
    assert outcome["state"] == "rolled_back"
    assert outcome["percent_reached"] == 50
    assert outcome["invoices"] == outcome["orders"]
    assert outcome["new_after_rollback"] == 0


@pytest.mark.slow
def test_a_django_project_takes_its_search_back(tmp_path):
    outcome = story("django_project", tmp_path)

    assert outcome["previews"] == {"olga": 200, "paul": 404}
    assert outcome["state"] == "rolled_back"
    assert outcome["percent_reached"] == 20
    assert 0 < outcome["visitors_new"] < outcome["visitors"]
    assert outcome["new_after_rollback"] == outcome["came_over"] == 0


@pytest.mark.slow
def test_a_fastapi_shop_takes_one_release_back_and_serves_the_next(tmp_path):
    outcome = story("fastapi_shop", tmp_path)

    assert outcome["shadow"] == {"state": "UNSAFE", "paths": ["$.total"], "wrong_bills": 0}
    assert outcome["bad"]["state"] == "rolled_back"
    assert outcome["bad"]["percent_reached"] == 10
    assert 0 < outcome["bad"]["customers"] < 60
    assert outcome["good"]["state"] == "completed"
    assert outcome["good"]["failed"] == 0
    assert outcome["console_without_token"] == 401


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("canary_from_csv.py", ("", "missing=0.02", "missing=0.0")),
        (
            "store_migration",
            ("__main__.py", "shop.copy_old_orders(300, forgets_discounts=True)", "shop.copy_old_orders(300, forgets_discounts=False)"),
        ),
    ],
)
def test_a_story_that_goes_otherwise_is_said_to(name, edit, tmp_path):
    """The bug is not there, so nothing is found, and the exit code says so."""
    code, outcome, _ = run(name, tmp_path, edit)

    assert (code, outcome["ok"]) == (1, False)
