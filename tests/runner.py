"Run notebooks with nbdev's own test runner: two at once, one thread each, each in a fresh process."

import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

THREADS = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMEXPR")}
LONGEST = 600  # seconds after which a notebook is stopped


def run(command, project, lesson):
    "Run one lesson of `project` with `command` (nbdev_test or nbdev-test); return seconds and what went wrong, if anything."
    path = Path("nbs") / f"{lesson}.ipynb"
    flags = ["--flags", "data"] if os.environ.get("COURSE_DATA") else []
    start = time.time()
    try:
        done = subprocess.run([command, "--path", path, "--n_workers", "0", *flags], cwd=project, text=True, timeout=LONGEST,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env={**os.environ, **THREADS, "MPLBACKEND": "agg"})
    except subprocess.TimeoutExpired: return LONGEST, f"{path} was stopped after {LONGEST} s"
    wrong = "" if done.returncode == 0 and "Success." in done.stdout else f"{path} failed\n{done.stdout[-6000:]}"
    return time.time() - start, wrong


@contextmanager
def running(command, project, lessons):
    "Start all `lessons`; give a function that waits for one of them and returns what `run` does."
    with ThreadPoolExecutor(2) as pool:
        started = {lesson: pool.submit(run, command, project, lesson) for lesson in lessons}
        try: yield lambda lesson: started[lesson].result()
        finally: pool.shutdown(cancel_futures=True)
