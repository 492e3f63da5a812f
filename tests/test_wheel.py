"""The wheel: what is in it, and that it works where nothing else is installed, with the newest libraries it allows.

With ALL=1 a second environment also has nbdev 3 and runs the notebooks, from a copy without course_lib.
The environments are kept in .cache/ and made again when the requirements change; `make clean` removes them."""

import os
import shutil
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from email.parser import Parser
from pathlib import Path

import pytest

from notebooks import ROOT, lessons
from runner import running

TESTS = ROOT / "tests"
config = ConfigParser(delimiters=["="])
config.read(ROOT / "settings.ini", encoding="utf-8")
cfg = config["DEFAULT"]


def call(*command, **kwargs):
    "Run a command; if it fails, so does the test, with what the command printed."
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kwargs)
    if done.returncode: pytest.fail(f"{' '.join(map(str, command))}\n{done.stdout[-6000:]}", pytrace=False)
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    "Built from the source distribution of a copy, so that nothing left lying around gets in, and nothing is left."
    copy, out = (tmp_path_factory.mktemp(name) for name in ("source", "dist"))
    shutil.copytree(ROOT, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".venv", ".git", ".cache", "build", "dist", "*.egg-info"))
    call(sys.executable, "-m", "build", "--outdir", out, copy)
    return next(out.glob("*.whl"))


def install(env, *what):
    "Install or update in `env` with uv if `make` could get it, else with pip; return env's python."
    python = env / ("Scripts" if os.name == "nt" else "bin") / "python"
    uv = subprocess.run([sys.executable, "-m", "uv", "--version"], capture_output=True).returncode == 0
    tool = [sys.executable, "-m", "uv", "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install"]
    call(*tool, *what)
    return python


def environment(name, wheel, extra="", also=()):
    "A clean environment with the newest versions that the wheel allows, and today's wheel in it."
    env = ROOT / ".cache" / name
    done, wanted = env / "made-for", f"{sys.version}\n{cfg['requirements']}\n{cfg['lab_requirements']}"
    if not done.exists() or done.read_text() != wanted:
        call(sys.executable, "-m", "venv", "--clear", env)
        install(env, f"{wheel}{extra}", *also)
        done.write_text(wanted)
    return install(env, "--force-reinstall", "--no-deps", wheel)


@pytest.fixture(scope="module")
def clean(wheel): return environment("wheel", wheel)


@pytest.fixture
def elsewhere(tmp_path):
    "How to run something outside the project, seeing only what is installed."
    env = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    return dict(cwd=tmp_path, env={**env, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}, timeout=300)


def test_contents(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    folder = f"{cfg['lib_name'].replace('-', '_')}-{cfg['version']}.dist-info/"
    strays = [name for name in names if not name.startswith((f"{cfg['lib_path']}/", folder))]
    assert not strays, f"the wheel should hold the package only, not {strays}"
    here = {str(p.relative_to(ROOT)) for p in (ROOT / cfg["lib_path"]).rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    packed = {name for name in names if name.startswith(f"{cfg['lib_path']}/")}
    assert here == packed, f"in the folder only: {here - packed}; in the wheel only: {packed - here}"


def test_metadata_is_that_of_settings(wheel):
    archive = zipfile.ZipFile(wheel)
    meta = Parser().parsestr(archive.read(next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))).decode())
    assert (meta["Name"], meta["Version"], meta["Summary"]) == (cfg["lib_name"], cfg["version"], cfg["description"])
    assert cfg["git_url"] in meta.as_string() and cfg["author"] in meta["Author"]
    extras = {key.removesuffix("_requirements") for key in cfg if key.endswith("_requirements")}
    assert set(meta.get_all("Provides-Extra")) == extras
    needs = [line for line in meta.get_all("Requires-Dist") if "extra ==" not in line]
    assert {n.split(">")[0].split("<")[0].split("=")[0] for n in needs} == {r.split(">")[0].split("<")[0] for r in cfg["requirements"].split()}
    assert set(meta["Requires-Python"].split(",")) == {f">={cfg['min_python']}", f"<3.{int(cfg['max_python'][2:]) + 1}"}


def test_public_names(clean, elsewhere): print(call(clean, TESTS / "public_names.py", **elsewhere))


def test_smoke(clean, elsewhere): print(call(clean, TESTS / "smoke.py", **elsewhere))


@pytest.fixture(scope="module")
def result_with_nbdev3(wheel, tmp_path_factory, request):
    python = environment("nbdev3", wheel, extra="[lab]", also=["nbdev>=3"])
    project = tmp_path_factory.mktemp("project")
    for folder in "nbs", "benchmarks": shutil.copytree(ROOT / folder, project / folder)
    shutil.copy(ROOT / "pyproject.toml", project)
    asked = [item.callspec.params["lesson"] for item in request.session.items if item.path == request.path and hasattr(item, "callspec")]
    with running(python.parent / "nbdev-test", project, asked) as result: yield result


@pytest.mark.full
@pytest.mark.parametrize("lesson", lessons())
def test_notebook_with_nbdev3(lesson, result_with_nbdev3, record_property):
    seconds, _, wrong = result_with_nbdev3(lesson)
    record_property("seconds", seconds)
    if wrong: pytest.fail(wrong, pytrace=False)
