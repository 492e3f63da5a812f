"Every table in benchmarks/ is what its committed raw results give."

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from notebooks import ROOT

FOLDER = ROOT / "benchmarks"
STARTS = 'if __name__ == "__main__": main('  # the other files are what the benchmarks share
DATA = [*(["with COURSE_DATA"] if os.environ.get("COURSE_DATA") else []), "without COURSE_DATA"]
scripts = sorted(path.stem for path in FOLDER.glob("*.py") if any(line.startswith(STARTS) for line in path.read_text().split("\n")))


@pytest.fixture(scope="module")
def checks():
    "One process with COURSE_DATA and one without check all tables; what each script said, by data and name."
    without = {key: value for key, value in os.environ.items() if key != "COURSE_DATA"}
    command = [sys.executable, ROOT / "tests" / "checking.py", *(FOLDER / f"{name}.py" for name in scripts)]
    at_work = {data: subprocess.Popen(command, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
               for data, env in [("with COURSE_DATA", dict(os.environ)), ("without COURSE_DATA", without)] if data in DATA}
    said = {}
    for data, process in at_work.items():
        printed, complaints = process.communicate(timeout=600)
        for line in printed.splitlines():
            script, failed, text = json.loads(line)
            said[data, Path(script).stem] = failed, text
        if process.returncode: print(complaints)
    return said


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("name", scripts)
def test_the_table_is_what_the_raw_results_give(name, data, checks):
    failed, said = checks.get((data, name), (True, "the script was never checked"))
    if failed: pytest.fail(f"{said[-3000:]}\nbenchmarks/{name}.md isn't what its raw results give: "
                           f"run `.venv/bin/python benchmarks/{name}.py --table`", pytrace=False)


@pytest.mark.parametrize("name", scripts)
def test_raw_results_conditions_and_table_are_there(name):
    files = {path.name for path in FOLDER.glob(f"{name}*")}
    assert any(file.endswith(".csv") for file in files), f"benchmarks/{name}.py has no raw results: run it"
    assert {f"{name}.json", f"{name}.md"} <= files, f"benchmarks/{name}.py lacks its conditions (.json) or table (.md): run it"
    assert json.loads((FOLDER / f"{name}.json").read_text()), "the conditions are empty"


def test_every_result_has_a_script():
    strays = [path.name for path in FOLDER.glob("*.*") if path.suffix in {".csv", ".json", ".md"} and not any(path.name.startswith(s) for s in scripts)]
    assert not strays, f"no script makes {strays}"
