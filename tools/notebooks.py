"""Find the course's notebooks, tell which cells a run leaves out, and run notebooks in place (`make notebooks`)."""

import base64
import io
import os
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbdev.config import get_config
from nbdev.process import extract_directives
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
NBS = ROOT / "nbs"
FLAGS = set(get_config(path=ROOT).tst_flags.split())


def lessons(number="", folder=NBS):
    "Notebooks under `folder`, as paths without suffix relative to it; only those of lesson `number` if it's given."
    paths = sorted(p.relative_to(folder).with_suffix("") for p in folder.rglob("*.ipynb"))
    shown = [p for p in paths if not any(part.startswith((".", "_")) for part in p.parts)]
    return [str(p) for p in shown if p.name.startswith(number.zfill(2) if number else "")]


def left_out(cell, wanted=()):
    "Is this a code cell that a run leaves out: marked `eval: false`, or with a flag that isn't `wanted`?"
    if cell.cell_type != "code": return False
    marks = extract_directives(nbformat.from_dict(cell), remove=False)
    return marks.get("eval:", [""])[0].lower() == "false" or bool((FLAGS - set(wanted)) & marks.keys())


def shrink(output):
    "Store a plot with a palette of 256 colours, which takes a third of the bytes, unless one could see it (photos)."
    if "image/png" not in output.get("data", {}): return
    plot = Image.open(io.BytesIO(base64.b64decode(output.data["image/png"]))).convert("RGB")
    palette = plot.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    error = np.subtract(plot, palette.convert("RGB"), dtype=float)
    if np.sqrt((error**2).mean()) > 3: return  # of 255
    packed = io.BytesIO()
    palette.save(packed, "PNG", optimize=True)
    output.data["image/png"] = base64.b64encode(packed.getvalue()).decode()


def run_in_place(lesson, wanted=()):
    "Run `lesson` in a fresh kernel and save it with new outputs; cells left out keep theirs. The file changes only if all went well."
    path = NBS / f"{lesson}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "python3", "language": "python"}  # else JupyterLab asks
    skip = [cell for cell in notebook.cells if left_out(cell, wanted)]
    for cell in skip: cell.metadata.tags = ["skip-execution"]
    kernel = NotebookClient(notebook, timeout=None, resources={"metadata": {"path": str(path.parent)}},
                            skip_cells_with_tag="skip-execution", extra_arguments=["--log-level=ERROR"])
    kernel.execute()
    notebook.metadata.pop("widgets", None)  # not store_widget_state=False: with it, nbclient hangs at a slider
    for cell in skip: del cell.metadata["tags"]
    for cell in notebook.cells:
        for output in cell.get("outputs", []): shrink(output)
    unfinished = path.with_suffix(".unfinished")
    nbformat.write(notebook, unfinished)
    unfinished.replace(path)


if __name__ == "__main__":
    number, wanted = sys.argv[1], sys.argv[2].split()
    if unknown := set(wanted) - FLAGS: sys.exit(f"FLAGS has {' '.join(unknown)}; there are: {' '.join(sorted(FLAGS))}")
    os.environ.pop("MPLBACKEND", None)  # plots belong into the notebook
    failed = []
    for lesson in lessons(number):
        start = time.time()
        print(f"{lesson} ...", end=" ", flush=True)
        try: run_in_place(lesson, wanted)
        except CellExecutionError as error: failed.append(lesson); print(f"failed and was left as it was\n{error}")
        else: print(f"{time.time() - start:.0f} s")
    if failed: sys.exit(f"failed: {', '.join(failed)}")
