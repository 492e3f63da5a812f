"""Notebooks in processes of their own, one thread each, beside the tests.

Parts whose tests look at the clock have the machine to themselves. Then (`begin`) two notebooks at a time run while
pytest is at work on the other parts, which often wait: for a browser, an installation, or these notebooks."""

import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

THREADS = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMEXPR")}
LONGEST = 600  # seconds after which a process is stopped
REFERENCE = 0.09  # seconds that `work` takes with one thread on the machine that the limits were set on, when it is idle

pool, permits = ThreadPoolExecutor(2), threading.Semaphore(0)
live = set()


@functools.cache
def begin(): permits.release(2)


def end():
    "Stop what runs and forget what waits."
    pool.shutdown(wait=False, cancel_futures=True)
    for process in list(live): kill(process)
    permits.release(2)


def kill(process):
    "And all that it has started."
    with suppress(ProcessLookupError): os.killpg(process.pid, signal.SIGKILL)


def queue(function, *arguments):
    "Have `function` called when its turn comes; a Future."
    def turn():
        with permits: return function(*arguments)
    return pool.submit(turn)


def call(command, cwd, seconds=LONGEST, **env):
    "Run `command` with one thread. Returns its exit status, what it printed, seconds by the clock and of the processor."
    start = time.time()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, cwd=cwd, stdout=output, stderr=output, env=environment(**env), start_new_session=True)
        with limited(process, seconds): _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        return process.returncode, output.read(), time.time() - start, used.ru_utime + used.ru_stime


def environment(**more): return {**os.environ, **THREADS, "MPLBACKEND": "agg", **more}


@contextmanager
def limited(process, seconds=LONGEST):
    "Stop `process` if the block takes longer, or the tests end."
    live.add(process)
    stop = threading.Timer(seconds, kill, [process])
    stop.start()
    try: yield
    finally:
        stop.cancel()
        live.discard(process)


def forker(python, here=threading.local()):
    "This thread's process that runs notebooks with `python` (tests/forking.py)."
    kept = vars(here).setdefault("kept", {})
    if python not in kept or kept[python].poll() is not None:
        kept[python] = subprocess.Popen([python, Path(__file__).with_name("forking.py")], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), start_new_session=True)
    return kept[python]


def ask(python, path, flags, folder):
    "Run a notebook in a child of this thread's forker; its exit status, seconds of the processor, what it printed."
    process = forker(python)
    with tempfile.NamedTemporaryFile("w+") as output:
        with limited(process):
            print(json.dumps([str(path), flags, str(folder), output.name]), file=process.stdin, flush=True)
            return *json.loads(process.stdout.readline() or "[-9, 0]"), output.read()


def run(python, project, lesson, data=False):
    """Run one lesson of `project` with nbdev's test runner, under `python`, with its data cells or without.

    Returns seconds by the clock, seconds of the processor, and what went wrong, if anything."""
    start, path = time.time(), Path("nbs") / f"{lesson}.ipynb"
    status, computing, printed = ask(python, path, "data" if data else "", project)
    wrong = "" if status == 0 and "Success." in printed else f"{path} failed after {time.time() - start:.0f} s\n{printed[-6000:]}"
    return time.time() - start, computing, wrong


def slowness_beside():
    "`slowness`, measured in a process of its own: tests that are running here should notice nothing."
    return float(ask(sys.executable, "", "", ".")[2])


def work():
    "A fixed piece of work of the lessons' kind, many small steps with one thread; the processor time it took."
    import torch
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    layer = lambda n: [torch.nn.Conv2d(n, 16, 3, padding=1), torch.nn.BatchNorm2d(16), torch.nn.ReLU()]
    net, x = torch.nn.Sequential(*layer(1), *layer(16), *layer(16)), torch.zeros(64, 1, 8, 8)
    before = time.thread_time()
    for _ in range(40):
        gradients = torch.autograd.grad(net(x).square().mean(), list(net.parameters()))
        with torch.no_grad():
            for weight, gradient in zip(net.parameters(), gradients): weight -= 0.1 * gradient
    sum(i * i for i in range(1_000_000))
    torch.set_num_threads(threads)
    return time.thread_time() - before


def slowness():
    "How many times as long as there `work` takes here and now, and at least 1: limits in seconds mean that machine's."
    return max(1, sorted(work() for _ in range(3))[1] / REFERENCE)
