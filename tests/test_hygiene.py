"What is committed is complete, fits together and names no place but its own."

import re
import subprocess
from configparser import ConfigParser

import nbformat
import pytest

from notebooks import NBS, ROOT, left_out, lessons

config = ConfigParser(delimiters=["="])
config.read(ROOT / "settings.ini", encoding="utf-8")
cfg = config["DEFAULT"]

# Folders and hosts that exist on somebody's machine only; written in two pieces so that this file doesn't name them
PRIVATE = re.compile("/" + r"(work|root|home|Users|tmp/author)/\w|" + "|".join(["pypi" + r"\.org", "python" + r"hosted\.org", "npm" + r"js\.org"]))
NUMBERED = [lesson for lesson in lessons() if re.match(r"\d\d_", lesson) and not lesson.startswith("00")]


def committed(): return subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")[:-1]


def test_no_file_names_a_private_path_or_a_registry():
    found = []
    for name in committed():
        try: text = (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError): continue
        found += [f"{name}:{n}: {match[0]}" for n, line in enumerate(text.split("\n"), 1) if (match := PRIVATE.search(line))]
    assert not found, "take these out:\n" + "\n".join(found)


def test_the_address_of_the_repository_stands_in_settings_only():
    address = f"github.com/{cfg['user']}/{cfg['repo']}"
    assert cfg["git_url"].endswith(address)
    named = [name for name in committed() if name.endswith((".py", ".toml", ".yaml")) and (ROOT / name).exists()
             and not name.endswith("_modidx.py") and address in (ROOT / name).read_text()]  # nbdev copies it into _modidx.py
    assert not named, f"read it from settings.ini in {named}"


@pytest.mark.parametrize("lesson", lessons())
def test_committed_with_outputs(lesson):
    notebook = nbformat.read(NBS / f"{lesson}.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    kernel = notebook.metadata.get("kernelspec", {}).get("name")
    assert kernel == "python3", f"JupyterLab would ask which kernel {lesson} wants: run `make notebooks LESSON={lesson[:2]}`"
    outputs = [output for cell in code for output in cell.outputs]
    errors = [output.ename for output in outputs if output.output_type == "error"]
    assert not errors, f"{lesson} was saved with an error ({errors[0]}): mend it and run `make notebooks LESSON={lesson[:2]}`"
    assert outputs or not code, f"{lesson} has no outputs: run `make notebooks LESSON={lesson[:2]}`"
    flagged = [cell for cell in code if left_out(cell)]
    assert not flagged or any(cell.outputs for cell in flagged), f"{lesson}: no flagged cell has the output of a real run: make notebooks FLAGS=..."


@pytest.mark.parametrize("page", ["README.md", "lessons.md", "nbs/00_start.ipynb"])
@pytest.mark.parametrize("lesson", NUMBERED)
def test_listed(lesson, page):
    path = ROOT / page
    if not path.exists() or lesson not in path.read_text(): pytest.fail(f"{page} doesn't list {lesson}: add it", pytrace=False)


def test_requirements_are_pinned():
    pins = {line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().split("\n") if "==" in line}
    wanted = " ".join(cfg[key] for key in cfg if key.endswith("requirements")).split()
    loose = [r for r in wanted if re.split("[<>=!~]", r)[0].lower() not in pins]
    assert not loose, f"constraints.txt has no version of {loose}"


def claims(text, prefix):
    "The rows of the table of claims: number, claim, (lesson, section), figure, verdict, without the links' way to the files."
    rows = [line.strip("| \n").split(" | ") for line in text.split("\n") if re.match(r"\| \d+ \| .* \| \[\d\d, ", line)]
    return [[cell.replace(f"]({prefix}", "](") for cell in row] for row in rows]


def test_the_39_claims_stand_in_lesson_15_and_in_the_syllabus():
    lesson = "\n".join(cell.source for cell in nbformat.read(NBS / "15_augmented.ipynb", as_version=4).cells if cell.cell_type == "markdown")
    here, there = claims(lesson, "../"), claims((ROOT / "lessons.md").read_text().replace("](nbs/", "]("), "")
    assert [int(row[0]) for row in here] == list(range(1, 40)) and all(len(row) == 5 for row in here)
    assert here == there, "lessons.md and lesson 15 differ"


@pytest.mark.parametrize("row", claims((ROOT / "lessons.md").read_text(), "nbs/"), ids=lambda row: row[0])
def test_a_claim_names_a_section_that_exists(row):
    number, title, file = re.match(r"\[(\d\d), (.*)\]\((.*)\.ipynb#", row[2]).groups()
    headings = [line.lstrip("# ") for cell in nbformat.read(NBS / f"{file}.ipynb", as_version=4).cells if cell.cell_type == "markdown" for line in cell.source.split("\n") if line.startswith("#")]
    assert file.startswith(number) and title in headings
    assert re.match("supported here|supported in part|not supported here|by citation|not testable at this scale|undecided", row[4])
