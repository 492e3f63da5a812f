"What test_faults.py runs in other processes: objectives that leave notes and meet with misfortune, and drivers that die or run out of disk."

import json
import os
import signal
import sys
import time
import warnings
from collections import Counter
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from threading import Timer

import course_lib
from course_lib.search import ProcessWorkers, minimize
from course_lib.spaces import Choice, Float, Int, Space
from objectives import erratic

SPACE = Space(x=Float(0, 1), c=Choice("a", "b"), k=Int(1, 9, when=dict(c="a")))
CODE = str(Path(course_lib.__file__).parent)
MARK = "COURSE_FAULTS_FOLDER"  # in the environment of a driver and its workers: by it they are found


# Optimizers: name -> (how it is made from a seed, trials or None for as many as it has). Workers need none of them, so they are imported here and there.

def _random(seed):
    from course_lib.search import RandomSearch
    return RandomSearch(SPACE, seed)


def _tpe(seed):
    from course_lib.surrogates import TPE
    return TPE(SPACE, seed, n_startup=4)


def _hyperband(seed):
    from course_lib.halving import Hyperband
    return Hyperband(SPACE, seed, max_budget=9)


def _asha(seed):
    from course_lib.halving import ASHA
    return ASHA(SPACE, seed, max_budget=9, max_configs=14)


def _bohb(seed):
    from course_lib.halving import Hyperband
    return Hyperband(SPACE, seed, max_budget=9, sampler=_tpe(seed))


def _evolution(seed):
    from course_lib.nas import RegularizedEvolution
    return RegularizedEvolution(SPACE, seed, population=5, sample=2)


def _optuna(seed):
    from course_lib.scaling import OptunaOptimizer
    return OptunaOptimizer(SPACE, seed)


OPTIMIZERS = dict(RandomSearch=(_random, 18), Hyperband=(_hyperband, None), TPE=(_tpe, 18), ASHA=(_asha, None), RegularizedEvolution=(_evolution, 18), BOHB=(_bohb, None), OptunaOptimizer=(_optuna, 18))


# Objectives

def name_of(config, budget=None): return sha256(json.dumps([config, budget], sort_keys=True).encode()).hexdigest()[:12]


class Bare:
    """An objective, as erratic as objectives.erratic, that notes in `folder` when it begins and ends, as empty files, which a full disk allows.
    Misfortune befalls the trials that are the `struck`-th to begin, every time that they are run."""
    def __init__(self, folder, ms=4, misfortune=None, struck=(), padding=0):
        self.folder, self.ms, self.misfortune, self.struck, self.padding = Path(folder), ms, misfortune, struck, padding

    def __call__(self, config, budget=None): return self.run(config, budget)

    def run(self, config, budget=None, checkpoint=None):
        name = name_of(config, budget)
        note(self.folder, "begun", name)
        time.sleep(self.ms / 2000)
        if self._is_struck(name): MISFORTUNES[self.misfortune]()
        came, _ = go_on(checkpoint, budget), time.sleep(self.ms / 2000)
        note(self.folder, "ended", name)
        return erratic(config, budget), dict(came=came, padding="." * self.padding)

    def _is_struck(self, name):
        "Is it one of them? The first to ask, once enough others have begun, is, and remains so."
        n_begun = len({name for name, _ in notes(self.folder, "begun")})
        for n, at in enumerate(self.struck):
            mark = self.folder / f"struck{n}"
            try:
                if n_begun > at: os.symlink(name, mark)
            except FileExistsError: pass
            if n_begun > at and os.readlink(mark) == name: return True
        return False


class Training(Bare):
    "The same with a checkpoint, which holds the number of epochs that were trained."
    def __call__(self, config, budget=None, checkpoint=None): return self.run(config, budget, checkpoint)


def go_on(checkpoint, budget):
    "Train to the budget, saving each epoch whole or not at all. Returns how many epochs there were before."
    if checkpoint is None or budget is None: return None
    path, part = checkpoint / "epochs", checkpoint / f"part{os.getpid()}"
    came = int(path.read_text()) if path.exists() else 0
    for epoch in range(came, budget):
        part.write_text(str(epoch + 1))
        part.replace(path)
    return came


def ends_itself(): os._exit(3)
def is_killed(): os.kill(os.getpid(), signal.SIGKILL)
def hangs(): time.sleep(60)


def hangs_and_is_deaf():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)


MISFORTUNES = {f.__name__: f for f in (ends_itself, is_killed, hangs, hangs_and_is_deaf)}


def note(folder, what, name): (folder / f"{what} {name} {os.getpid()} {time.monotonic_ns()}").touch()


def notes(folder, what):
    "The (name of trial, process) that began or ended, in that order."
    found = [path.name.split() for path in folder.iterdir() if path.name.startswith(what + " ")]
    return [(name, int(pid)) for _, name, pid, _ in sorted(found, key=lambda parts: int(parts[3]))]


def times(folder, what):
    "How often each trial began or ended."
    return Counter(name for name, _ in notes(folder, what))


# Drivers

@contextmanager
def engine(name, address=None):
    "minimize's arguments for an engine of one's own; of Dask, only the client."
    if name == "serial": yield {}
    elif name == "ProcessWorkers":
        with ProcessWorkers(2) as workers: yield dict(executor=workers, n_workers=3)
    else:
        from distributed import Client
        with Client(address, set_as_default=False) as client: yield dict(executor=client.get_executor(pure=False), n_workers=3)


def die(): os.kill(os.getpid(), signal.SIGKILL)


def die_after_lines(optimizer, told, lines):
    "Be killed when so many lines of the library and of the objective have been run after the `told`-th trial was told."
    def trace(frame, event, _):
        nonlocal lines
        if not frame.f_code.co_filename.startswith((CODE, __file__)): return None
        if event == "line" and len(optimizer.history.told) >= told:
            lines -= 1
            if lines < 0: die()
        return trace
    sys.settrace(trace)


def die_after_ms(told, ms):
    "A callback that has the process killed so long after the `told`-th trial; the search doesn't end before that."
    begun = []
    def callback(optimizer, trial):
        n = len(optimizer.history.told)
        if n < told: return
        if not begun: Timer(ms / 1000, die).start()
        begun.append(n)
        if len(begun) > 4: time.sleep(60)
    return callback


def be_short_of_disk(quota):
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (quota, resource.RLIM_INFINITY))


def have_disk_again(filler):
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    if filler: Path(filler).unlink()


def drive(folder, name, seed, objective, engine_name, address, journal, lines=None, ms=None, told=0, quota=None, filler=None, again=False):
    """A search in a process of its own. It is killed `lines` or `ms` after `told` trials, or runs out of disk, which it says in the file `error`;
    then, with `again`, there is room again and it goes on with the optimizer that it has."""
    warnings.simplefilter("ignore")
    os.environ[MARK] = str(folder)
    make, n = OPTIMIZERS[name]
    optimizer = make(seed)
    with engine(engine_name, address) as how:
        search = dict(objective=objective, optimizer=optimizer, n_trials=n, journal=journal, progress=False, callbacks=[die_after_ms(told, ms)] if ms is not None else [], **how)
        if lines is not None: die_after_lines(optimizer, told, lines)
        if quota is not None: be_short_of_disk(quota)
        try: minimize(**search)
        except OSError as e:
            have_disk_again(filler if again else None)
            Path(folder, "error").write_text(f"{type(e).__name__}: {e}")
            Path(folder, "kept").write_bytes(Path(journal).read_bytes())
            if not again: sys.exit(1)
            minimize(**search)
