"Every table in benchmarks/ is what its committed raw results give."

import json
import os
import subprocess
import sys

import pytest

from notebooks import ROOT

FOLDER = ROOT / "benchmarks"
STARTS = 'if __name__ == "__main__": main('  # the other files are what the benchmarks share
scripts = sorted(path.stem for path in FOLDER.glob("*.py") if any(line.startswith(STARTS) for line in path.read_text().split("\n")))


@pytest.mark.parametrize("data", [*(["with COURSE_DATA"] if os.environ.get("COURSE_DATA") else []), "without COURSE_DATA"])
@pytest.mark.parametrize("name", scripts)
def test_the_table_is_what_the_raw_results_give(name, data):
    env = {key: value for key, value in os.environ.items() if data == "with COURSE_DATA" or key != "COURSE_DATA"}
    done = subprocess.run([sys.executable, FOLDER / f"{name}.py", "--check"], cwd=ROOT, env=env, text=True, timeout=300,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode: pytest.fail(f"{done.stdout[-3000:]}\nbenchmarks/{name}.md isn't what its raw results give: "
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
