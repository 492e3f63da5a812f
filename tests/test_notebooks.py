"Every notebook runs from top to bottom, in time, and is small enough to be read on a web page. Its data cells, too, with ALL=1 or when its lesson is asked for."

import os
import sys
from pathlib import Path

import pytest

import runner
from notebooks import NBS, ROOT, lessons

DATA = bool(os.environ.get("COURSE_DATA")) and bool(os.environ.get("ALL") or os.environ.get("LESSON"))
SECONDS = 120 if DATA else 90
BYTES = 1_000_000


def beside(lesson):
    "What `runner.run` found, and how slow the machine was meanwhile: before or after, where it was slower."
    before, found = runner.slowness_beside(), runner.run(sys.executable, ROOT, lesson, DATA)
    return max(before, runner.slowness_beside()), *found


@pytest.mark.parametrize("lesson", [lesson for lesson in lessons() if "/" not in lesson])
def test_lesson(lesson, beside, record_property):
    slowness, seconds, computing, wrong = beside
    record_property("seconds", seconds)
    size = (NBS / f"{lesson}.ipynb").stat().st_size
    if computing > SECONDS * slowness: wrong += f"\n{lesson} computed for {computing:.0f} s and may for {SECONDS * slowness:.0f} on this machine: make its default cells smaller or flag them `#| slow`"
    if size > BYTES: wrong += f"\n{lesson}.ipynb has {size:,} bytes and may have {BYTES:,}: draw fewer or smaller plots"
    if wrong: pytest.fail(wrong, pytrace=False)
