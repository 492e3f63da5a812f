"The course where it isn't installed yet: Colab, Binder, a development container; and what a release says of itself."

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

import colab
import release
from notebooks import NBS, ROOT, lessons
from release import cfg

# Colab

@pytest.mark.parametrize("lesson", lessons())
def test_begins_with_the_cell_for_colab(lesson):
    cells = nbformat.read(NBS / f"{lesson}.ipynb", as_version=4).cells
    ours = [cell for cell in cells if colab.is_ours(cell)]
    if ours != cells[:1] or ours[0].source != colab.source(lesson) or ours[0].outputs:
        pytest.fail(f"{lesson} doesn't begin with the cell that settings.ini gives: run `.venv/bin/python tools/colab.py`", pytrace=False)


def test_the_cell_is_put_first_once_and_changes_nothing_else(tmp_path):
    path = tmp_path / "01_small.ipynb"
    code = nbformat.v4.new_code_cell("2*21", outputs=[nbformat.v4.new_output("execute_result", {"text/plain": ["42 · ½"]})])
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Small"), code]), path)
    clean = [Path(sys.executable).parent / "nbdev_clean", "--fname", path]
    subprocess.run(clean, cwd=ROOT, check=True)
    before = json.loads(path.read_text(encoding="utf-8"))
    assert colab.put(path, "01_small") and not colab.put(path, "01_small")
    once = path.read_bytes()
    subprocess.run(clean, cwd=ROOT, check=True)
    assert path.read_bytes() == once, "nbdev_clean would change what tools/colab.py writes"
    after = json.loads(once)
    assert after["cells"][1:] == before["cells"] and after["metadata"] == before["metadata"]
    assert colab.put(path, "01_small", {**cfg, "repo": "moved"}) and len(json.loads(path.read_bytes())["cells"]) == 3
    assert "cd /content/moved/nbs" in path.read_text(encoding="utf-8")


def test_elsewhere_the_cell_does_nothing():
    names = {}
    exec(TransformerManager().transform_cell(colab.source("01_data")), names)  # get_ipython isn't among the names: a command would fail
    assert names.keys() == {"__builtins__"}


IN_COLAB = """
import json, os, sys, types
from IPython.core.interactiveshell import InteractiveShell
sys.modules["google.colab"] = types.ModuleType("google.colab")
shell, packages, places = InteractiveShell.instance(), sys.argv[1], []
for source in sys.argv[2:]:
    os.chdir(os.environ["CONTENT"])
    for _ in range(2): shell.run_cell(source).raise_error()
    places.append(os.getcwd())
sys.path.insert(0, packages)
import course_lib
print(json.dumps([places, course_lib.__file__]))
"""


@pytest.mark.full(only=True)
def test_in_colab_the_cell_brings_the_course(tmp_path):
    "With another module for Colab's, a local repository for the one on the web, and pip without requirements: those that the tests run with will do."
    origin, content, packages = (tmp_path / name for name in ("origin", "content", "packages"))
    content.mkdir()
    release.copy_sources(origin)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in ["init", "-q", "-b", cfg["branch"]], ["add", "."], ["commit", "-q", "-m", "all"]: subprocess.run([*git, *command], cwd=origin, check=True)
    pip = tmp_path / "bin/pip"
    pip.parent.mkdir()
    pip.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pip "$@" --no-deps --upgrade --target "{packages}"\n')
    pip.chmod(0o755)
    env = {**os.environ, "CONTENT": str(content), "IPYTHONDIR": str(tmp_path), "PATH": f"{pip.parent}{os.pathsep}{os.environ['PATH']}", "PIP_DISABLE_PIP_VERSION_CHECK": "1",
           "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{origin.as_uri()}.insteadOf", "GIT_CONFIG_VALUE_0": cfg["git_url"]}
    tried = ["01_data", next((lesson for lesson in lessons() if "/" in lesson), "02_spaces")]
    sources = [colab.source(lesson).replace(colab.HOME, str(content)) for lesson in tried]
    printed = release.call(sys.executable, "-c", IN_COLAB, packages, *sources, env=env, cwd=tmp_path, timeout=180)
    places, library = json.loads(printed.splitlines()[-1])
    clone = content / cfg["repo"]
    assert [Path(place) for place in places] == [(clone / "nbs" / lesson).parent for lesson in tried], printed
    assert library.startswith(str(packages)) and (clone / "benchmarks").is_dir() and all((clone / "nbs" / f"{lesson}.ipynb").exists() for lesson in tried)
    assert len(list(content.iterdir())) == 1, "it was cloned twice"


# Binder and the development container

def in_range(version): return int(cfg["min_python"][2:]) <= int(version.partition(".")[2]) <= int(cfg["max_python"][2:])


def python_of_the_pins(): return re.search(r"on Python (3\.\d+)", (ROOT / "constraints.txt").read_text())[1]


def test_binder_installs_what_there_is():
    lines = [line for line in (ROOT / "binder/requirements.txt").read_text().splitlines() if line and not line.startswith("#")]
    constraints, package = lines
    assert constraints.startswith("-c ") and (ROOT / "binder" / constraints[3:]).resolve() == ROOT / "constraints.txt"
    extras = re.fullmatch(r"-e \.\[(.*)\]", package)[1].split(",")
    assert "lab" in extras and all(f"{extra}_requirements" in cfg for extra in extras)
    version = (ROOT / "binder/runtime.txt").read_text().strip().removeprefix("python-")
    assert in_range(version) and version == python_of_the_pins(), "the pins are for another version of Python"


@pytest.mark.full(only=True)
def test_binder_finds_all_requirements():
    if subprocess.run([sys.executable, "-m", "uv", "--version"], capture_output=True).returncode: pytest.skip("needs uv")
    version = (ROOT / "binder/runtime.txt").read_text().strip().removeprefix("python-")
    resolved = release.call(sys.executable, "-m", "uv", "pip", "compile", "--python-version", f"{version}.99", "binder/requirements.txt", cwd=ROOT, timeout=300)
    assert "jupyterlab==" in resolved and "torch==" in resolved


def test_the_development_container_makes_what_there_is():
    made = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    image, version = made["image"].rsplit(":", 1)
    assert image.endswith("/python") and in_range(version) and version == python_of_the_pins()
    target = re.fullmatch("make (.*)", made["postCreateCommand"])[1]
    release.call("make", "-n", target, cwd=ROOT)
    assert made["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"].endswith("/.venv/bin/python")
    assert 8888 in made["forwardPorts"]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_a_page_names_the_address_of_settings_only(page):
    "Links that open the course somewhere else."
    here = f"{cfg['user']}/{cfg['repo']}"
    text = (ROOT / page).read_text(encoding="utf-8")
    to_us = re.findall(rf"(?:mybinder\.org/v2/gh|colab\.research\.google\.com/github|codespaces\.new|github\.com/{cfg['user']})[^\s)\"'>]*", text)
    known = rf"mybinder\.org/v2/gh/{here}/{cfg['branch']}(\?.*)?|colab\.research\.google\.com/github/{here}/blob/{cfg['branch']}/.*|codespaces\.new/{here}.*|github\.com/{here}.*"
    assert not (wrong := [link for link in to_us if not re.fullmatch(known, link)]), f"settings.ini has another address than {wrong}"


# What a release says of itself

def test_citation_and_changelog_are_those_of_settings(): assert not (faults := release.unnamed()), "\n".join(faults)


def test_the_changelog_begins_with_what_is_not_released():
    headings = re.findall(r"^## (.*)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert headings[0] == "Unreleased" and all(re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", heading) for heading in headings[1:]), headings


def test_the_citation_has_what_its_format_asks_for():
    import yaml
    stated = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert stated["cff-version"] == "1.2.0" and stated["message"] and stated["type"] == "software" and all(isinstance(word, str) for word in stated["keywords"])


def test_a_forgotten_version_is_a_sentence():
    assert release.unlisted("## Unreleased\n\n## 0.1.0 - 2026-11-26\n", "0.1.0") == []
    assert "CHANGELOG.md begins with 0.1.0, settings.ini has 0.2.0" in release.unlisted("## Unreleased\n\n## 0.1.0 - 2026-11-26\n", "0.2.0")[0]
    assert "begins with no version" in release.unlisted("## Unreleased\n", "0.2.0")[0]
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert "says version: 0.0.9" in release.miscited(re.sub("^version: .*", "version: 0.0.9", cited, flags=re.M))[0]
    assert "repository-code" in release.miscited(cited.replace(cfg["repo"], "elsewhere"))[0]


def test_what_is_not_committed_is_a_sentence(tmp_path):
    assert "isn't a git checkout" in release.uncommitted(tmp_path)[0]
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    assert release.uncommitted(tmp_path) == []
    for n in range(7): (tmp_path / f"{n}.py").touch()
    assert release.uncommitted(tmp_path) == ["not committed: 0.py, 1.py, 2.py, 3.py, 4.py and 2 more. Commit it, or put it away with `git stash -u`"]


def test_a_wrong_distribution_is_told_by_its_contents(tmp_path):
    wheel = tmp_path / f"course_lib-{cfg['version']}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tests/left.py", "")
        archive.writestr(f"course_lib-{cfg['version']}.dist-info/METADATA", "Metadata-Version: 2.4\nName: course-lib\nVersion: 0.0.9\nRequires-Dist: numpy>=2\n\n[a](nbs/01_data.ipynb)\n")
    placed, stated = "\n".join(release.misplaced(wheel)), "\n".join(release.misstated(wheel))
    assert "has tests/left.py, which doesn't belong there" in placed and "lacks course_lib/data.py" in placed
    assert "has Version 0.0.9, settings.ini 0.1.0".replace("0.1.0", cfg["version"]) in stated and "links to nbs/01_data.ipynb" in stated and "has requirements" in stated


def test_the_first_failure_is_shown_and_the_rest_goes_on(capsys):
    step = release.Steps()
    def fail(): raise release.Failed("this went wrong")
    assert step("a", fail) is None and step("b", lambda: ["and this"]) is None and step("c", lambda: "done") == "done"
    assert step.table() == 2
    printed = capsys.readouterr().out
    assert "this went wrong" in printed and "and this" in printed and printed.endswith("\n1 passed, 2 failed\n")
