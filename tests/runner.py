"""Notebooks in processes of their own, one thread each, beside the tests.

Parts whose tests look at the clock have the machine to themselves. Then one notebook at a time runs while pytest
is at work on the other parts (`begin`), and two at once when it only waits for them (`both`)."""

import functools
import os
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

THREADS = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMEXPR")}
LONGEST = 600  # seconds after which a process is stopped
REFERENCE = 0.09  # seconds that `work` takes with one thread on the machine that the limits were set on, when it is idle

pool, permits = ThreadPoolExecutor(2), threading.Semaphore(0)
live = set()


@functools.cache
def begin(): permits.release()


@functools.cache
def both():
    begin()
    permits.release()


def end():
    "Stop what runs and forget what waits."
    pool.shutdown(wait=False, cancel_futures=True)
    for process in list(live): process.kill()
    for _ in range(2): permits.release()


def queue(function, *arguments):
    "Have `function` called when its turn comes; a Future."
    def turn():
        with permits: return function(*arguments)
    return pool.submit(turn)


def call(command, cwd, seconds=LONGEST, **env):
    "Run `command` with one thread. Returns its exit status, what it printed, seconds by the clock and of the processor."
    start = time.time()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, cwd=cwd, stdout=output, stderr=output, env={**os.environ, **THREADS, "MPLBACKEND": "agg", **env})
        live.add(process)
        stop = threading.Timer(seconds, process.kill)
        stop.start()
        _, status, used = os.wait4(process.pid, 0)
        stop.cancel()
        live.discard(process)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        return process.returncode, output.read(), time.time() - start, used.ru_utime + used.ru_stime


def run(command, project, lesson, data=bool(os.environ.get("COURSE_DATA"))):
    """Run one lesson of `project` with `command` (nbdev_test or nbdev-test), with its data cells if the files are there.

    Returns seconds by the clock, seconds of the processor, and what went wrong, if anything."""
    path = Path("nbs") / f"{lesson}.ipynb"
    flags = ["--flags", "data"] if data else []
    arguments = [path, "--n-workers", "0"] if Path(command).name == "nbdev-test" else ["--path", path, "--n_workers", "0"]  # nbdev 3, nbdev 2
    status, printed, seconds, computing = call([command, *arguments, *flags], project)
    wrong = "" if status == 0 and "Success." in printed else f"{path} failed after {seconds:.0f} s\n{printed[-6000:]}"
    return seconds, computing, wrong


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
