"Objectives and drivers for other processes, which import them from here."

import json
import math
import os
import signal
import time
from hashlib import sha256
from pathlib import Path

from course_lib.search import GridSearch, ProcessWorkers, minimize
from course_lib.spaces import Constant, Int, Space


def luck(config, budget=None):
    "A number in [0, 1) that looks random and is the same everywhere."
    return int(sha256(json.dumps([config, budget], sort_keys=True).encode()).hexdigest()[:12], 16) / 16**12


def erratic(config, budget=None):
    "A loss that says nothing; one trial in four fails in one of four ways."
    u = luck(config, budget)
    if u < 0.06: raise RuntimeError("this setting doesn't work")
    return math.nan if u < 0.12 else math.inf if u < 0.18 else -math.inf if u < 0.24 else u


def square(config): return (config["x"] - 3)**2


def epochs(config, budget, checkpoint):
    "An epoch is a letter in a file."
    path = checkpoint / "epochs"
    done = len(path.read_text()) if path.exists() else 0
    path.write_text("e" * budget)
    return luck(config, budget), dict(epochs=len(path.read_text()), new=budget - done)


# In these, `folder` is where the processes leave each other notes. Nothing waits for ever.

def six(folder): return Space(folder=Constant(str(folder)), x=Int(0, 5))


def note(config, name=None): Path(config["folder"], name or str(config["x"])).write_text(str(os.getpid()))


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end: raise TimeoutError(f"waited {seconds} s in vain")
        time.sleep(0.02)


def first_is_last(config):
    if config["x"] == 0: wait_until(lambda: Path(config["folder"], "4").exists())
    note(config)
    return square(config)


def held(config):
    "Trials 3, 4 and 5 wait until there is a file `go`."
    note(config)
    if config["x"] >= 3: wait_until(Path(config["folder"], "go").exists)
    return square(config)


def held_once(config):
    "The first worker that tries 2 waits there."
    if config["x"] == 2 and not Path(config["folder"], "2").exists():
        note(config)
        time.sleep(60)
    return square(config)


def kills_its_worker(config):
    if config["x"] == 2: os.kill(os.getpid(), signal.SIGKILL)
    return square(config)


def kills_its_worker_and_leaves_a_child(config):
    if config["x"] == 2:
        if os.fork() == 0: time.sleep(20); os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)
    return square(config)


def hangs(config):
    note(config)
    if config["x"] == 2: time.sleep(60)
    return square(config)


class Peculiar(Exception):
    "An exception that can be pickled and not unpickled."
    def __init__(self, a, b): super().__init__(a)


def raises_peculiar(): raise Peculiar(1, 2)
def returns_lambda(): return lambda: 1


def drive(folder, objective, with_workers):
    "A search in a process of its own, to be interrupted or killed."
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job would ignore it
    workers = ProcessWorkers(2)
    search = dict(objective=globals()[objective], optimizer=GridSearch(six(folder)), executor=workers, journal=Path(folder) / "journal", progress=False)
    if not with_workers: minimize(**search)
    with workers: minimize(**search)
