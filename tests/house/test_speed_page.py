"""The page about speed says what was measured, and nothing else."""

import re

from benchmarks.kept import saved
from benchmarks.speed_page import IMAGES, PAGE, PARTS, parts

PROSE = PAGE.read_text(encoding="utf-8")


def test_its_tables_are_those_of_the_figures_that_were_kept():
    for name, body in parts(*saved()).items():
        (told,) = re.findall(rf"<!-- {name} -->\n\n(.*?)\n\n<!-- end -->", PROSE, flags=re.DOTALL)
        assert told == body


def test_every_part_has_a_plot_that_names_its_rows():
    _, found = saved()
    for part in PARTS:
        drawn = (IMAGES / f"speed-{part.name}.svg").read_text(encoding="utf-8")
        for panel in part.panels:
            assert all(one.name.replace("'", "&#39;") in drawn or one.name in drawn for one in found[panel]), part.name
        assert f"images/speed-{part.name}.svg" in PROSE


def test_what_a_peer_does_quicker_is_said():
    """A part where another library is below one of ours is named under the last heading."""
    _, found = saved()
    admitted = PROSE.partition("## What is slower than another library")[2]
    for part in PARTS:
        for panel in part.panels:
            theirs = [one for one in found[panel] if one.whose == "peer"]
            best = min((one.value for one in theirs), default=float("inf"))
            if any(one.value > best for one in found[panel] if one.whose == "ours"):
                quicker = {one.name.split()[0].rstrip(",") for one in theirs if one.value == best}
                assert all(name in admitted for name in quicker), (part.name, quicker)
