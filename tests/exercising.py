"""Run notebooks one after the other in this process (their imports are heavy), as nbdev's test runner does, and print what each check said.

A line of JSON for each notebook: path, seconds of the processor, the error that ended it, and [names of the checks, text] for each cell that calls one."""

import json
import os
import re
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path

from execnb.nbio import read_nb
from execnb.shell import CaptureShell


def text(output):
    "What an output says, as plain text."
    said = output.get("text") or output.get("data", {}).get("text/plain", "")
    return said if isinstance(said, str) else "".join(said)


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        start, notebook, error = time.process_time(), read_nb(path), ""
        os.chdir(path.parent)
        shell = CaptureShell(path)
        try:
            with redirect_stdout(sys.stderr): shell.run_all(notebook, exc_stop=True)
        except Exception: error = shell.prettytb(fname=path)
        verdicts = [[re.findall(r"\bcheck\.(\w+)\(", cell.source), "".join(map(text, cell.get("outputs", [])))]
                    for cell in notebook.cells if cell.cell_type == "code" and "check." in cell.source]
        print(json.dumps([str(path), time.process_time() - start, error, verdicts]), flush=True)
