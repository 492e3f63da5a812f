"Run benchmark scripts with --check, one after the other in this process (their imports are heavy), and print what each said as a line of JSON."

import contextlib
import io
import json
import runpy
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(sys.argv[1]).parent))
for script in sys.argv[1:]:
    said, status, sys.argv = io.StringIO(), 0, [script, "--check"]
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try: runpy.run_path(script, run_name="__main__")
        except SystemExit as e:
            status = e.code or 0
            if isinstance(status, str): print(status)
        except Exception: status = 1; traceback.print_exc(file=said)
    print(json.dumps([script, status != 0, said.getvalue()]), file=sys.__stdout__, flush=True)
