"Run notebooks with nbdev's own test runner: two at once, one thread each, each in a fresh process."

import os
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

THREADS = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMEXPR")}
LONGEST = 600  # seconds after which a notebook is stopped


def run(command, project, lesson):
    """Run one lesson of `project` with `command` (nbdev_test or nbdev-test).

    Returns seconds by the clock, seconds of the processor (the same on an idle machine, and fair on a busy one),
    and what went wrong, if anything."""
    path = Path("nbs") / f"{lesson}.ipynb"
    flags = ["--flags", "data"] if os.environ.get("COURSE_DATA") else []
    start = time.time()
    with tempfile.TemporaryFile("w+") as output:
        arguments = [path, "--n-workers", "0"] if Path(command).name == "nbdev-test" else ["--path", path, "--n_workers", "0"]  # nbdev 3, nbdev 2
        process = subprocess.Popen([command, *arguments, *flags], cwd=project, stdout=output, stderr=output,
                                   env={**os.environ, **THREADS, "MPLBACKEND": "agg"})
        stop = threading.Timer(LONGEST, process.kill)
        stop.start()
        _, status, used = os.wait4(process.pid, 0)
        stop.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        printed = output.read()
    seconds = time.time() - start
    wrong = "" if process.returncode == 0 and "Success." in printed else f"{path} failed after {seconds:.0f} s\n{printed[-6000:]}"
    return seconds, used.ru_utime + used.ru_stime, wrong


@contextmanager
def running(command, project, lessons):
    "Start all `lessons`; give a function that waits for one of them and returns what `run` does."
    with ThreadPoolExecutor(2) as pool:
        started = {lesson: pool.submit(run, command, project, lesson) for lesson in lessons}
        try: yield lambda lesson: started[lesson].result()
        finally: pool.shutdown(cancel_futures=True)
