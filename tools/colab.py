"""Put the cell that brings the course to Colab at the top of every notebook: `python tools/colab.py`, or `python tools/colab.py 08` for one lesson's.

The repository's address in it comes from settings.ini: after a change there, run this again. Everything else in a notebook stays as it is."""

import json
import sys
from configparser import ConfigParser

from notebooks import NBS, ROOT, lessons

config = ConfigParser(delimiters=["="])
config.read(ROOT / "settings.ini", encoding="utf-8")
cfg = config["DEFAULT"]

HOME = "/content"  # where Colab starts, and what its file browser shows
TEST = 'if "google.colab" in __import__("sys").modules:'  # it must not lend a lesson the names that the lesson forgot to import


def source(lesson, cfg=cfg):
    "The first cell of `lesson`. Run again, it fetches nothing twice. Outside Colab it costs a look into a dictionary."
    folder = "/".join([cfg["repo"], cfg["nbs_path"], *lesson.split("/")[:-1]])
    return "\n".join([
        "#| hide",
        f"{TEST}  # in Colab: fetch the course, install it, go to this notebook's folder",
        f'    !cd {HOME} && (test -d {cfg["repo"]} || git clone -q --depth 1 -b {cfg["branch"]} {cfg["git_url"]}) && pip install -q "./{cfg["repo"]}[lab]"',
        f"    %cd {HOME}/{folder}",
    ])


def is_ours(cell): return cell["cell_type"] == "code" and TEST in "".join(cell["source"])


def put(path, lesson, cfg=cfg):
    "Make the cell the first of the notebook at `path`, in place of an older one. Returns whether the file had to be changed."
    old = path.read_text(encoding="utf-8")
    notebook = json.loads(old)
    first = dict(cell_type="code", execution_count=None, id="colab", metadata={}, outputs=[], source=source(lesson, cfg).splitlines(keepends=True))
    notebook["cells"] = [first, *(cell for cell in notebook["cells"] if not is_ours(cell))]
    new = json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"  # as nbdev_clean writes it
    if new == old: return False
    path.write_text(new, encoding="utf-8")
    return True


if __name__ == "__main__":
    changed = [lesson for lesson in lessons(*sys.argv[1:]) if put(NBS / f"{lesson}.ipynb", lesson)]
    print("changed:", ", ".join(changed) or "nothing")
