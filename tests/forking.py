"""Run notebooks with nbdev's test runner, each in a child of this process, which has imported what nearly all of them need: that is ten seconds for each.

A line of JSON asks: notebook (none: how slow is this machine?), flags, folder to work in, file for what is printed. A line answers: exit status, seconds of the processor."""

import json
import os
import sys

import fastcore.test, IPython, matplotlib.pyplot, nbdev.test, numpy, pandas, scipy.optimize, scipy.stats, sklearn.ensemble, torch, torchvision  # noqa: E401, F401

import runner


def child(notebook, flags, folder, output):
    file = os.open(output, os.O_WRONLY)
    for stream in (1, 2): os.dup2(file, stream)
    os.chdir(folder)
    status = 1
    try:
        if notebook: nbdev.test.nbdev_test(path=notebook, flags=flags, n_workers=0)
        else: print(runner.slowness())
        status = 0
    except SystemExit as end: status = int(end.code or 0)
    finally:
        for stream in (sys.stdout, sys.stderr): stream.flush()
        os._exit(status)


if __name__ == "__main__":
    for line in sys.stdin:
        process = os.fork()
        if not process: child(*json.loads(line))
        _, status, used = os.wait4(process, 0)
        print(json.dumps([os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime]), flush=True)
