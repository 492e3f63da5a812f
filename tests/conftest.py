"""What `make test` runs, chosen by ONLY, LESSON and ALL, and the table at its end."""

import os
from collections import Counter, defaultdict
from pathlib import Path

import pytest

import runner

ONLY, LESSON, ALL = (os.environ.get(name, "") for name in ("ONLY", "LESSON", "ALL"))
ALONE = ["interrupt", "sync", "hygiene", "share", "lab", "search", "faults"]  # quick ones, and those that look at the clock: nothing runs beside them
BESIDE = ["automl", "benchmarks", "transfer", "nas", "darts", "wheel", "web", "browser"]  # beside these, notebooks are run
LAST = ["notebooks", "exercises", "nbdev3"]  # their tests wait for what was run
SAMPLED = ["automl", "transfer", "nas", "darts"]  # of a test with many cases, every third is run, unless one asks for more
PARTS = ALONE + BESIDE + LAST
BAD, GOOD, SKIP = "FAILED", "passed", "skipped"

started = {}  # test -> what is run for it beside the others
outcomes = {}  # test -> (row of the table, seconds, result)


def part_of(item): return item.path.stem.removeprefix("test_")


def lesson_of(item):
    "The lesson that a test is about: its parameter `lesson`, or what it is marked with; else nothing."
    if hasattr(item, "callspec") and "lesson" in item.callspec.params: return item.callspec.params["lesson"]
    mark = item.get_closest_marker("lesson")
    return mark.args[0] if mark else ""


def chosen(item):
    if ONLY and part_of(item) not in ONLY.split(): return False
    if LESSON and not Path(lesson_of(item)).name.startswith(LESSON.zfill(2)): return False
    full = item.get_closest_marker("full")
    return not full or bool(ALL or LESSON or ONLY and full.kwargs.get("only"))


def alone(item): return part_of(item) in ALONE or item.get_closest_marker("clock") is not None


def pytest_configure(config):
    config.addinivalue_line("markers", "clock: looks at the clock, so that nothing runs beside it")
    config.addinivalue_line("markers", "full(only=False): only with ALL=1 (or when its lesson is asked for; with only=True, also when its part is)")
    config.addinivalue_line("markers", "lesson(number): belongs to this lesson")
    parts = sorted(path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py"))
    if unknown := set(ONLY.split()) - set(parts):
        raise pytest.UsageError(f"ONLY={' '.join(unknown)}: no such part. There are: {', '.join(parts)}")


def sample(items):
    cases = Counter()
    for item in items:
        test = item.nodeid.partition("[")[0]
        if ALL or LESSON or ONLY or part_of(item) not in SAMPLED or cases[test] % 3 == 0: yield item
        cases[test] += 1


def pytest_collection_modifyitems(config, items):
    keep = list(sample(filter(chosen, items)))
    if items and not keep: raise pytest.UsageError(f"nothing to test for ONLY={ONLY} LESSON={LESSON}: is there such a lesson in nbs/?")
    config.hook.pytest_deselected(items=[item for item in items if item not in keep])
    items[:] = sorted(keep, key=lambda item: (not alone(item), PARTS.index(part_of(item))))


def pytest_collection_finish(session):
    "A module's function `beside(lesson)` waits in line for its turn from now on; the test gets the result."
    if session.config.option.collectonly: return
    for item in session.items:
        if "beside" in getattr(item, "fixturenames", ()): started[item.nodeid] = runner.queue(item.module.beside, lesson_of(item))


def pytest_runtest_setup(item):
    if not alone(item): runner.begin()


@pytest.fixture
def beside(request):
    "What the module's function `beside(lesson)` returned."
    runner.begin()
    return started[request.node.nodeid].result()


def pytest_sessionfinish(): runner.end()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    "Note how each test ended. A test that waited for work done elsewhere says how long that took: record_property('seconds', s)."
    report = yield
    row = (part_of(item), lesson_of(item))
    _, seconds, result = outcomes.get(item.nodeid, (row, 0, GOOD))
    if report.failed: result = BAD
    elif report.skipped and result != BAD: result = SKIP
    stated = dict(report.user_properties).get("seconds")
    outcomes[item.nodeid] = row, seconds + report.duration if stated is None else stated, result
    return report


def pytest_collectreport(report):
    if report.failed: outcomes[report.nodeid] = (Path(report.nodeid).stem.removeprefix("test_"), ""), 0, BAD


def pytest_unconfigure(config):
    "The last thing printed: a row for each part or lesson, and the closing line."
    if hasattr(config, "workerinput") or config.option.collectonly: return
    rows = defaultdict(list)
    for row, seconds, result in outcomes.values(): rows[row].append((seconds, result))
    print(f"\n{'part':12}{'lesson':32}{'seconds':>8}  result")
    for (part, lesson), tests in rows.items():
        results = [result for _, result in tests]
        worst = next(r for r in (BAD, GOOD, SKIP) if r in results)
        number = f"{results.count(worst)} of {len(tests)} " if len(tests) > 1 else ""
        print(f"{part:12}{lesson:32}{sum(s for s, _ in tests):8.1f}  {number}{worst}")
    ends = [result for _, _, result in outcomes.values()]
    skipped = f", {ends.count(SKIP)} skipped" if SKIP in ends else ""
    print(f"\n{ends.count(GOOD)} passed, {ends.count(BAD)} failed{skipped}", flush=True)
