"""The page about speed says what was measured, and nothing else."""

import re

from benchmarks.kept import saved
from benchmarks.speed_page import IMAGES, PAGE, parts
from benchmarks.speed_parts import PARTS, Curves, along

PROSE = PAGE.read_text(encoding="utf-8")


def test_its_tables_are_those_of_the_figures_that_were_kept():
    for name, body in parts(*saved()).items():
        (told,) = re.findall(rf"<!-- {name} -->\n\n(.*?)\n\n<!-- end -->", PROSE, flags=re.DOTALL)
        assert told == body


def test_every_part_that_is_plotted_has_a_plot_that_names_its_rows():
    _, found = saved()
    for part in PARTS:
        if not part.plotted:
            continue
        drawn = (IMAGES / f"speed-{part.name}.svg").read_text(encoding="utf-8")
        for figures in part.seen(found).values():
            names = [along(one)[0] if isinstance(part, Curves) else one.name for one in figures]
            assert all(name.replace("'", "&#39;") in drawn or name in drawn for name in names), part.name
        assert f"images/speed-{part.name}.svg" in PROSE


def test_what_a_peer_does_quicker_is_said_and_why():
    """Each row where another library is ahead stands in the table under the last heading, and the library in the words after it."""
    _, found = saved()
    table, _, admitted = PROSE.partition("## What is slower than another library")[2].partition("<!-- end -->")
    behind = [(what, ours, theirs) for part in PARTS for what, ours, theirs in part.behind(found)]
    assert behind
    for what, ours, theirs in behind:
        assert f"| {what}: {ours.name} |" in table
        assert theirs.name.split()[0].rstrip(",") in admitted, (what, theirs.name)
