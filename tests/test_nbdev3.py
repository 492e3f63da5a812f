"Lessons under nbdev 3, in a clean environment with the wheel and its newest libraries, from a copy without course_lib: their default cells, and only with ALL=1."

import functools
import shutil
import tempfile
import threading
from pathlib import Path

import pytest

import release
import runner
from notebooks import ROOT, lessons

once = threading.Lock()


@functools.cache
def project():
    "The environment's python, and the folder that it works in."
    folder = Path(tempfile.mkdtemp())
    _, wheel = release.build(folder / "dist")
    for name in "nbs", "benchmarks": shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return release.environment("nbdev3", wheel, extra="[lab]", also=["nbdev>=3"]), folder


def beside(lesson):
    with once: python, folder = project()
    return runner.run(python, folder, lesson)


@pytest.mark.full
@pytest.mark.parametrize("lesson", [lesson for lesson in lessons() if "/" not in lesson])
def test_lesson(lesson, beside, record_property):
    seconds, _, wrong = beside
    record_property("seconds", seconds)
    if wrong: pytest.fail(wrong, pytrace=False)
