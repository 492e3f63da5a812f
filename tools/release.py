"""Could this be published as it is? (`make release-check`)

Builds both distributions from a clean copy, compares what they say of themselves with settings.ini, installs each in an
environment of its own and tries it there. tests/test_wheel.py uses the same functions. The environments are kept in .cache/,
and made again when Python or the requirements change."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from configparser import ConfigParser
from email.parser import Parser
from pathlib import Path

import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"
config = ConfigParser(delimiters=["="])
config.read(ROOT / "settings.ini", encoding="utf-8")
cfg = config["DEFAULT"]
LICENSES = {"apache2": "Apache-2.0"}  # settings.ini's word and the one that others know


class Failed(Exception): "What was tried, and what was said."


def call(*command, **kwargs):
    "Run a command; returns what it printed."
    shown = " ".join(map(str, command))
    try: done = subprocess.run(command, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **kwargs)
    except subprocess.TimeoutExpired as late: raise Failed(f"{shown}\nwas stopped after {late.timeout:.0f} s") from None
    if done.returncode: raise Failed(f"{shown}\n{done.stdout[-6000:]}")
    return done.stdout


# What there must be before anything is built

def uncommitted(root=ROOT):
    if not (root / ".git").exists(): return ["this isn't a git checkout, so nobody can tell what belongs to the release: run it in a clone"]
    names = [line[3:] for line in call("git", "status", "--porcelain", cwd=root).splitlines()]
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return [f"not committed: {shown}. Commit it, or put it away with `git stash -u`"] if names else []


def not_exported(root=ROOT):
    "Where course_lib isn't what the notebooks export, or a notebook isn't clean."
    sys.path += [str(TESTS)] * (str(TESTS) not in sys.path)
    from test_sync import drift
    with tempfile.TemporaryDirectory() as scratch: return drift(root, Path(scratch))


def unlisted(changelog, version):
    "Is the newest version in the text of CHANGELOG.md the one of settings.ini?"
    newest = re.search(r"^## \[?(\d[^\]\s]*)", changelog, re.M)
    if newest and newest[1] == version: return []
    return [f"CHANGELOG.md begins with {newest[1] if newest else 'no version'}, settings.ini has {version}: say in CHANGELOG.md what is new in {version}"]


def miscited(citation, cfg=cfg):
    "Where the text of CITATION.cff differs from settings.ini."
    stated = yaml.safe_load(citation)
    wanted = {"title": cfg["title"], "version": cfg["version"], "license": LICENSES[cfg["license"]], "repository-code": cfg["git_url"],
              "authors": [{"name": cfg["author"], "email": cfg["author_email"]}]}
    return [f"CITATION.cff says {key}: {stated.get(key)}, settings.ini {value}" for key, value in wanted.items() if stated.get(key) != value]


def unnamed(root=ROOT):
    "Do CHANGELOG.md and CITATION.cff speak of this version?"
    missing = [name for name in ("CHANGELOG.md", "CITATION.cff") if not (root / name).exists()]
    if missing: return [f"there is no {name}" for name in missing]
    changelog, citation = ((root / name).read_text(encoding="utf-8") for name in ("CHANGELOG.md", "CITATION.cff"))
    return unlisted(changelog, cfg["version"]) + miscited(citation)


# Build

def copy_sources(to, root=ROOT):
    "Copy what git knows or would add: no environments, no caches, no leftovers of earlier builds."
    for name in call("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", cwd=root).split("\0"):
        if not (root / name).is_file(): continue
        (Path(to) / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, Path(to) / name)


def build(out, root=ROOT):
    "The source distribution, and the wheel built from it, made in a clean copy; their paths in the folder `out`."
    with tempfile.TemporaryDirectory() as copy:
        copy_sources(copy, root)
        call(sys.executable, "-m", "build", "--outdir", out, copy)
    return next(Path(out).glob("*.tar.gz")), next(Path(out).glob("*.whl"))


# What is in them

def contents(dist):
    "Names and bytes of the files in a distribution; those of an sdist without their folder."
    if dist.suffix == ".whl":
        archive = zipfile.ZipFile(dist)
        return {name: archive.read(name) for name in archive.namelist()}
    archive = tarfile.open(dist)
    return {member.name.partition("/")[2]: archive.extractfile(member).read() for member in archive if member.isfile()}


def misplaced(dist, root=ROOT):
    "What a distribution lacks, and what doesn't belong into it."
    name, lib = cfg["lib_name"].replace("-", "_"), cfg["lib_path"]
    if dist.suffix == ".whl": extra, own = set(), rf"{name}-{re.escape(cfg['version'])}\.dist-info/"
    else: extra, own = {"setup.py", "pyproject.toml", "settings.ini", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff"}, rf"PKG-INFO|setup\.cfg|{name}\.egg-info/"
    wanted = {path.relative_to(root).as_posix() for path in (root / lib).rglob("*") if path.is_file() and "__pycache__" not in path.parts} | extra
    found = {file for file in contents(dist) if not re.match(own, file)}
    return [f"{dist.name} lacks {file}" for file in sorted(wanted - found)] + [f"{dist.name} has {file}, which doesn't belong there" for file in sorted(found - wanted)]


def metadata(dist): return Parser().parsestr(next(data for name, data in contents(dist).items() if re.fullmatch(r"PKG-INFO|.*\.dist-info/METADATA", name)).decode())


def requirements(meta):
    "What metadata require: for each extra, and '' for the package itself, the requirements."
    found = {extra: set() for extra in ["", *meta.get_all("Provides-Extra", [])]}
    for line in meta.get_all("Requires-Dist", []):
        line, _, marker = line.partition(";")
        extra = re.search(r"extra == [\"'](.*?)[\"']", marker)
        found[extra[1] if extra else ""].add(str(Requirement(line)))
    return found


def misstated(dist):
    "Where a distribution's metadata differ from settings.ini, or its long description has links that lead nowhere outside the repository."
    meta = metadata(dist)
    minors = range(int(cfg["min_python"][2:]), int(cfg["max_python"][2:]) + 1)
    wanted = {"Name": cfg["lib_name"], "Version": cfg["version"], "Summary": cfg["description"], "Author": cfg["author"], "Author-email": cfg["author_email"],
              "License-Expression": LICENSES[cfg["license"]], "Keywords": set(cfg["keywords"].split()), "Description-Content-Type": "text/markdown",
              "Requires-Python": {f">={cfg['min_python']}", f"<3.{minors[-1] + 1}"}}
    stated = {key: set(re.split("[ ,]+", meta[key] or "")) if isinstance(value, set) else meta[key] for key, value in wanted.items()}
    wanted["Project-URL"] = {cfg["git_url"], f"{cfg['git_url']}/issues", f"{cfg['git_url']}/blob/{cfg['branch']}/CHANGELOG.md"}
    stated["Project-URL"] = {line.split(", ")[-1] for line in meta.get_all("Project-URL", [])}
    wanted["Python classifiers"] = {f"Programming Language :: Python :: {version}" for version in ["3", *(f"3.{minor}" for minor in minors)]}
    stated["Python classifiers"] = {line for line in meta.get_all("Classifier", []) if "Python" in line}
    wanted["requirements"] = {key.removesuffix("requirements").rstrip("_"): {str(Requirement(r)) for r in cfg[key].split()} for key in cfg if key.endswith("requirements")}
    stated["requirements"] = requirements(meta)
    faults = [f"{dist.name} has {key} {stated[key]}, settings.ini {value}" for key, value in wanted.items() if stated[key] != value]
    text = meta.get_payload()
    if not text.strip(): faults.append(f"{dist.name} has no long description")
    return faults + [f"the long description links to {link}, which is only in the repository" for link in re.findall(r"\]\((?!https?://|mailto:|#)([^)]*)\)", text)]


def twine(dist):
    "Would a registry take the metadata, and can it show the long description?"
    said = call(sys.executable, "-m", "twine", "check", "--strict", dist)
    if "renderers are not available" in said: raise Failed(f"{said}\nWithout comrak, twine takes any long description: `make .venv/.installed` brings it.")


# Where nothing else is installed

def install(env, *what):
    "Install or update in `env` with uv if `make` could get it, else with pip; return env's python."
    python = env / ("Scripts" if os.name == "nt" else "bin") / "python"
    uv = subprocess.run([sys.executable, "-m", "uv", "--version"], capture_output=True).returncode == 0
    tool = [sys.executable, "-m", "uv", "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install"]
    call(*tool, *what)
    return python


def environment(name, dist, extra="", also=()):
    "A clean environment with the newest versions that a distribution allows, and today's distribution in it; its python."
    env = ROOT / ".cache" / name
    done, wanted = env / "made-for", f"{sys.version}\n{cfg['requirements']}\n{cfg['lab_requirements']}"
    if not done.exists() or done.read_text() != wanted:
        call(sys.executable, "-m", "venv", "--clear", env)
        install(env, f"{dist}{extra}", *also)
        done.write_text(wanted)
    return install(env, "--force-reinstall", "--no-deps", dist)


def elsewhere(python, script):
    "Run a script of tests/ outside the project, where only what is installed can be seen; returns what it printed."
    env = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    with tempfile.TemporaryDirectory() as folder: return call(python, TESTS / script, cwd=folder, env={**env, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}, timeout=300)


# The whole of it

class Steps:
    "Does one thing after the other, and keeps how each went."

    def __init__(self): self.rows = []

    def __call__(self, name, function, *arguments):
        "Call `function`. A list that it returns is what it found wrong; anything else is a result. None if it failed."
        print(f"{name} ...", flush=True)
        start = time.time()
        try: result = function(*arguments)
        except Failed as failed: result = [str(failed)]
        faults = result if isinstance(result, list) else []
        for fault in faults: print(fault)
        self.rows.append((name, time.time() - start, "FAILED" if faults else "passed"))
        return None if faults else result

    def table(self):
        "Print it; returns how many failed."
        failed = sum(result == "FAILED" for *_, result in self.rows)
        print(f"\n{'step':44}{'seconds':>8}  result")
        for name, seconds, result in self.rows: print(f"{name:44}{seconds:8.1f}  {result}")
        print(f"\n{len(self.rows) - failed} passed, {failed} failed")
        return failed


def main():
    step = Steps()
    step("everything is committed", uncommitted)
    step("course_lib is what the notebooks export", not_exported)
    step("CHANGELOG.md and CITATION.cff: the version", unnamed)
    if any(result == "FAILED" for *_, result in step.rows): return step.table()  # what is built from this wouldn't be the release
    with tempfile.TemporaryDirectory() as out:
        dists = step("both distributions are built", build, out)
        for kind, dist in zip(("sdist", "wheel"), dists or ()):
            step(f"{kind}: what is in it", misplaced, dist)
            step(f"{kind}: metadata are those of settings.ini", misstated, dist)
            step(f"{kind}: twine check --strict", twine, dist)
            python = step(f"{kind}: installs in a clean environment", environment, kind, dist)
            if not python: continue
            names = step(f"{kind}: every public name", elsewhere, python, "public_names.py")
            if names: print(names.strip())
            step(f"{kind}: a user's first minute", elsewhere, python, "smoke.py")
    return step.table()


if __name__ == "__main__": sys.exit(bool(main()))
