"Every notebook runs from top to bottom, in time, and is small enough to be read on a web page."

import os
import sys
from pathlib import Path

import pytest

from notebooks import NBS, ROOT, lessons
from runner import running

SECONDS = 120 if os.environ.get("COURSE_DATA") else 90
BYTES = 1_000_000


@pytest.fixture(scope="module")
def result_of(request):
    asked = [item.callspec.params["lesson"] for item in request.session.items if item.path == request.path]
    with running(Path(sys.executable).parent / "nbdev_test", ROOT, asked) as result: yield result


@pytest.mark.parametrize("lesson", lessons())
def test_lesson(lesson, result_of, record_property):
    seconds, computing, wrong = result_of(lesson)
    record_property("seconds", seconds)
    size = (NBS / f"{lesson}.ipynb").stat().st_size
    if computing > SECONDS: wrong += f"\n{lesson} computed for {computing:.0f} s and may for {SECONDS}: make its default cells smaller or flag them `#| slow`"
    if size > BYTES: wrong += f"\n{lesson}.ipynb has {size:,} bytes and may have {BYTES:,}: draw fewer or smaller plots"
    if wrong: pytest.fail(wrong, pytrace=False)
