"""Every lesson has exercises and solutions, and every check tells right from wrong.

An untouched exercise says "not yet", a solution passes, and each of the wrong answers in tests/mistakes/ is told what is wrong with it."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import nbformat
import pytest

import runner
from course_lib.checks import Prediction, check
from notebooks import NBS, ROOT, lessons

NUMBERED = [lesson for lesson in lessons() if re.match(r"(0[1-9]|1[0-6])_", lesson)]
SAMPLE = ["01_data", "05_surrogates", "09_one_cycle", "12_nas"]  # without ALL=1
SECONDS, BYTES = 40, 1_000_000  # computing for an exercise or a solution with its imports, of which these take a third; size of the file
FOLDERS = {"exercises": ["not yet"], "solutions": ["correct", "recorded"]}


def checks_of(lesson): return [exercise.name for exercise in check if exercise.lesson == int(lesson[:2])]


def sampled(values, lesson_of): return [pytest.param(value, marks=[] if lesson_of(value) in SAMPLE else pytest.mark.full(only=True)) for value in values]


each_lesson = pytest.mark.parametrize("lesson", sampled(NUMBERED, str))


def beside(lesson):
    "Run a lesson's exercises and its solutions; for each folder what tests/exercising.py found."
    paths = [NBS / folder / f"{lesson}.ipynb" for folder in FOLDERS]
    before = runner.slowness_beside()
    status, printed, _, _ = runner.call([sys.executable, ROOT / "tests" / "exercising.py", *paths], ROOT)
    found = [json.loads(line) for line in printed.splitlines() if line.startswith('["')]
    assert len(found) == 2, f"the run of {lesson}'s exercises ended with {status}:\n{printed[-3000:]}"
    return dict(zip(FOLDERS, found)), max(before, runner.slowness_beside())


@each_lesson
def test_exercises_say_not_yet_and_solutions_pass(lesson, beside, record_property):
    found, slowness = beside
    record_property("seconds", sum(seconds for _, seconds, _, _ in found.values()))
    for folder, (path, seconds, error, verdicts) in found.items():
        assert not error, f"{path} failed:\n{error}"
        assert {name for names, _ in verdicts for name in names} == set(checks_of(lesson)), f"{path} doesn't call just the checks of its lesson"
        for names, said in verdicts:
            states = re.findall(r"^(not yet|not right|correct|recorded):", said, re.M)
            assert len(states) >= len(names) and set(states) <= set(FOLDERS[folder]), f"{path}, {', '.join(names)} says:\n{said}"
        assert seconds < SECONDS * slowness, f"{path} computed for {seconds:.0f} s and may for {SECONDS * slowness:.0f} on this machine"
        assert Path(path).stat().st_size < BYTES


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("lesson", NUMBERED)
def test_three_to_six_with_their_levels(lesson, folder):
    notebook = nbformat.read(NBS / folder / f"{lesson}.ipynb", as_version=4)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    levels = re.findall(r"^##+ .*\b(basics|experiments?|research)\b", text, re.M)
    assert 3 <= len(levels) <= 6 and levels == sorted(levels), levels  # basics, experiments, research: in rising difficulty, as in the alphabet
    other = {"exercises": "solutions", "solutions": "exercises"}[folder]
    assert f"../{lesson}.ipynb" in text and f"../{other}/{lesson}.ipynb" in text, "it should link to the lesson and to the other notebook"


@pytest.mark.parametrize("lesson", NUMBERED)
def test_the_lesson_leads_to_its_exercises(lesson):
    cells = [cell.source for cell in nbformat.read(NBS / f"{lesson}.ipynb", as_version=4).cells if cell.cell_type == "markdown"]
    assert f"](exercises/{lesson}.ipynb)" in cells[-1] and f"](solutions/{lesson}.ipynb)" in cells[-1]
    assert 6 <= "\n".join(cells).count("<details") <= 10, "six to ten questions with folded answers"


def mistakes(lesson):
    path = ROOT / "tests" / "mistakes" / f"{lesson}.py"
    spec = importlib.util.spec_from_file_location(f"mistakes_{lesson}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.MISTAKES


@each_lesson
def test_wrong_answers_are_told_what_is_wrong(lesson):
    "At least two for every check, each with words of its own and with a hint; none is noted as progress."
    wrong = mistakes(lesson)
    assert set(wrong) == set(checks_of(lesson)), "tests/mistakes/ should know just the checks of the lesson"
    for name, answers in wrong.items():
        verdicts = [(getattr(check, name)(answer), piece) for answer, piece in answers]
        for verdict, piece in verdicts:
            assert verdict.state == "not right" and piece in repr(verdict), f"{name}: {verdict}\nand should say: {piece}"
        assert len({verdict.text for verdict, _ in verdicts}) >= 2, f"{name} tells its wrong answers apart in fewer than two ways"
        assert sum(bool(verdict.hint) for verdict, _ in verdicts) >= 2, f"{name} gives no hints"


@pytest.fixture(autouse=True)
def nobodys_progress(monkeypatch, tmp_path): monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "progress.json"))


def endless(*args, **kwargs):
    while True: pass


def raises(*args, **kwargs): raise RuntimeError("this answer always fails")


@pytest.mark.lesson("17_checks")
@pytest.mark.parametrize("name", sampled([exercise.name for exercise in check], lambda name: next(lesson for lesson in NUMBERED if int(lesson[:2]) == getattr(check, name).lesson)))
def test_whatever_a_learner_hands_in_ends_in_a_verdict(name, monkeypatch, tmp_path):
    exercise = getattr(check, name)
    odd = [None, "something", float("nan"), [], object(), int, lambda *a, **k: None, lambda *a, **k: "something", lambda *a, **k: float("nan"), lambda *a, **k: [None], lambda: 1, raises]
    for answer in odd:
        verdict = exercise(answer)
        assert verdict.state in ("not right", "not yet") and verdict.text and not verdict, f"{name}({answer!r}): {verdict}"
    assert exercise(...).state == exercise().state == "not yet"
    assert not Path(tmp_path / "progress.json").exists()
    if not isinstance(exercise, Prediction):
        monkeypatch.setattr(exercise, "seconds", 1)
        assert "still running after 1 second" in repr(exercise(endless))
