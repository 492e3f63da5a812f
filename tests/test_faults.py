"""Workers killed, drivers killed, trials that kill or hang, journals cut, disks full: twenty seeded searches of each, with every engine that promises to survive it.
After each, every finished trial is recorded exactly once, none is lost, the search is complete, and a serial search has proposed exactly what it would have without the fault."""

import importlib
import json
import math
import multiprocessing
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import os
import random
import signal
import subprocess
import warnings
from contextlib import ExitStack
from mmap import PAGESIZE
from threading import Timer

import psutil
import pytest

import faults
from course_lib.search import ProcessWorkers, minimize
from faults import OPTIMIZERS, Bare, Training, name_of, notes, times
from objectives import erratic, wait_until
from test_search import SOON, TESTS, alive, check_finished, what

SEEDS, SAMPLE = range(20), (3, 12)  # all, and those of a plain `make test`
LIMIT, IMPORTS = 240, 300           # seconds for one search with its fault and its resumption, which take one or two; for what is imported before the first
BUDGETED = {"Hyperband", "ASHA", "BOHB"}
PRELOAD = ["faults", "course_lib.halving", "course_lib.surrogates", "course_lib.nas", "course_lib.scaling", "optuna", "distributed"]


def seeded(*engines):
    "Run a test for each engine and seed: a sample of them, or all with ONLY=faults or ALL=1."
    return pytest.mark.parametrize("engine, seed", [pytest.param(e, s, marks=[] if s in SAMPLE else pytest.mark.full(only=True)) for e in engines for s in SEEDS])


# ---------------------------------------------------------------------------------------------------------------------
# Engines: two workers for the whole module, so that what one search leaves behind meets the next one

class Engines(ExitStack):
    "A server that forks drivers and Dask's workers, from a process that has imported all that they need; and, from when they are needed, ProcessWorkers and a Dask cluster."
    workers = cluster = client = None

    def __init__(self):
        super().__init__()
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(PRELOAD)
        (first := self.context.Process(target=int)).start()
        for module in PRELOAD: importlib.import_module(module)  # here too, at the same time
        assert end_of(first, IMPORTS) == 0

    def arguments(self, name, n_workers=3):
        "minimize's arguments for an engine, when its workers are well."
        if name == "serial": return {}
        if name == "Dask": return dict(executor=self.dask().get_executor(pure=False), n_workers=n_workers)
        self.workers = self.workers or self.enter_context(ProcessWorkers(2))
        return dict(executor=self.workers, n_workers=n_workers)

    def dask(self):
        "A client of the cluster, when both workers are there."
        import dask
        from distributed import Client, LocalCluster
        if self.cluster is None:
            for name, value in {"worker.multiprocessing-method": "forkserver", "deploy.lost-worker-timeout": "1h"}.items(): self.enter_context(dask.config.set({f"distributed.{name}": value}))
            self.cluster = self.enter_context(LocalCluster(processes=True, n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50))
            self.client = self.enter_context(Client(self.cluster, set_as_default=False))
        wait_until(lambda: len(found := list(self.cluster.scheduler.workers.values())) == 2 and all(alive(w.pid) for w in found))
        return self.client

    def drive(self, **arguments):
        "Run a driver to its end, whatever that is: its exit code."
        address = self.dask().scheduler.address if arguments["engine_name"] == "Dask" else None
        (driver := self.context.Process(target=faults.drive, kwargs=dict(address=address, **arguments))).start()
        return end_of(driver, LIMIT / 3)


def end_of(process, seconds):
    "A process's exit code."
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
        pytest.fail(f"the process didn't end within {seconds} s")
    return process.exitcode


def children(): return {p.pid for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE}


@pytest.fixture(scope="module")
def engines():
    "The engines; afterwards no process of theirs is left."
    with pytest.MonkeyPatch.context() as patch, ExitStack() as last:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")]))
        patch.setenv("OMP_NUM_THREADS", "1")
        multiprocessing.resource_tracker.ensure_running()  # which ends with pytest
        before = children()
        last.callback(lambda: wait_until(lambda: children() <= before, SOON))
        last.callback(multiprocessing.forkserver._forkserver._stop)
        with Engines() as engines: yield engines


@pytest.fixture(autouse=True)
def bounded():
    "No test hangs: after LIMIT seconds it fails."
    def late(*_): raise TimeoutError(f"not finished after {LIMIT} s")
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(LIMIT)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


# ---------------------------------------------------------------------------------------------------------------------
# A search that meets a fault, and what must hold afterwards

class Case:
    "A search: which optimizer it uses, and all that is left to chance, follow from the fault, the engine and the seed."
    def __init__(self, fault, engine, seed, engines, folder):
        self.random, self.engine, self.engines, self.folder, self.seed = random.Random(f"{fault} {engine} {seed}"), engine, engines, folder, seed
        names = list(OPTIMIZERS)
        self.name = names[(seed + len(fault) + len(engine)) % len(names)]
        self.make, self.n = OPTIMIZERS[self.name]
        self.journal, self.notes = folder / "journal", folder / "notes"
        self.notes.mkdir()
        self.objective = Training(self.notes)

    def search(self, n_workers=3, **more):
        "Search in this process, with the shared workers."
        self.optimizer = self.make(self.seed)
        return minimize(self.objective, self.optimizer, self.n, journal=self.journal, progress=False, **self.engines.arguments(self.engine, n_workers), **more)

    def drive(self, **fault):
        "Search in a process of its own, which has workers of its own: its exit code. None of its processes is left."
        code = self.engines.drive(folder=self.folder, name=self.name, seed=self.seed, objective=self.objective, engine_name=self.engine, journal=self.journal, **fault)
        wait_until(lambda: not left(self.folder), SOON)
        return code

    def uninterrupted(self):
        "The same search, serial and without a fault."
        (self.folder / "reference").mkdir(exist_ok=True)
        objective = type(self.objective)(self.folder / "reference", 0, padding=self.objective.padding)
        return minimize(objective, self.make(self.seed), self.n, journal=self.folder / "reference" / "journal", progress=False)

    @property
    def in_flight(self): return 1 if self.engine == "serial" else 3

    def untold(self):
        "How many trials ended that the journal doesn't have."
        text = self.recorded
        return len(times(self.notes, "ended").keys() - {name_of(*found[1:3]) for found in records(text[:text.rfind(b"\n") + 1])})

    @property
    def recorded(self): return self.journal.read_bytes() if self.journal.exists() else b""


def left(folder):
    "The processes that a driver has left behind."
    def is_one(process):
        try: return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(faults.MARK) == str(folder)
        except psutil.Error: return False
    return [p.pid for p in psutil.process_iter() if is_one(p)]


def records(text):
    "The trials of a journal without a cut line: (id, config, budget, parent, loss, status) each."
    if not text: return []
    assert text.endswith(b"\n")
    header, *trials = map(json.loads, text.splitlines())
    assert header["format"] == 1
    return [(t["id"], t["config"], t["budget"], t["parent"], math.inf if t["loss"] is None else t["loss"], t["status"]) for t in trials]


def outcome(config, budget):
    "Loss and status that a trial must have, unless it was struck."
    try: loss = erratic(config, budget)
    except RuntimeError: loss = math.nan
    return (loss, "done") if math.isfinite(loss) else (math.inf, "failed")


def check(case, results, kept=b"", struck=(), lost=0):
    "What holds after every fault. `kept`: what was in the journal when it came; `struck`: trials that can't but fail; `lost`: how many may have run without being told, because the driver died."
    found = records(case.recorded)
    assert case.recorded.startswith(kept), "what was recorded before the fault isn't there any more"
    assert found == what(results), "the journal holds something else than the results"
    assert sorted(id for id, *_ in found) == list(range(len(found))), "a trial is missing, or recorded twice"
    by_name = {name_of(config, budget): (loss, status) for _, config, budget, _, loss, status in found}
    assert len(by_name) == len(found), "a configuration was tried twice with one budget"
    for _, config, budget, _, loss, status in found:
        assert (loss, status) == ((math.inf, "failed") if name_of(config, budget) in struck else outcome(config, budget))
    check_complete(case, results)
    check_notes(case, by_name, struck, lost)
    check_checkpoints(case, results)
    if case.engine == "serial": assert what(results) == what(case.uninterrupted())
    if case.name == "RandomSearch": assert sorted(map(str, (f[:2] for f in found))) == sorted(map(str, (f[:2] for f in what(case.uninterrupted()))))
    check_read_again(case, results)


def check_complete(case, results):
    if case.n is None:
        assert results.stopped == "done"
        check_finished(case.optimizer)
    else: assert results.stopped == "n_trials" and len(results) == case.n


def check_notes(case, by_name, struck, lost):
    "Who finished is recorded; who is recorded as finished was."
    begun, ended = times(case.notes, "begun"), times(case.notes, "ended")
    assert not ended.keys() & set(struck)
    assert by_name.keys() - set(struck) <= ended.keys(), "a trial is recorded that never ended"
    assert set(struck) <= by_name.keys() <= begun.keys()
    assert len(begun.keys() - by_name.keys()) <= lost, "a trial was begun and isn't recorded"


def check_checkpoints(case, results):
    "A promoted configuration went on from where it was. (Dask may run a trial twice at once, and then the slower one has the last word.)"
    budgets = {t.id: t.budget for t in results.trials}
    for t in results.trials:
        if t.parent is None or not isinstance(case.objective, Training) or "came" not in t.info or case.engine == "Dask": continue
        assert t.info["came"] >= budgets[t.parent]


def check_read_again(case, results):
    "Another search that takes up the journal finds everything in it, and nothing left to do."
    before = times(case.notes, "begun")
    again = minimize(case.objective, case.make(case.seed), case.n, journal=case.journal, progress=False)
    assert what(again) == what(results) and again.stopped == results.stopped and times(case.notes, "begun") == before


@pytest.fixture
def case(request, engine, seed, engines, tmp_path): return Case(request.function.__name__, engine, seed, engines, tmp_path)


# ---------------------------------------------------------------------------------------------------------------------
# The faults

@seeded("ProcessWorkers", "Dask")
def test_a_worker_is_killed(case):
    told, ms, which = case.random.randint(2, 10), case.random.uniform(0, 15), case.random.randrange(2)
    killed = []
    def kill():
        found = sorted(pid for pid in {pid for _, pid in notes(case.notes, "begun")} if alive(pid))
        killed.append(found[which % len(found)])
        os.kill(killed[0], signal.SIGKILL)
    timer = Timer(ms / 1000, kill)
    def callback(optimizer, trial):
        n = len(optimizer.history.told)
        if n == told: timer.start()
        if n == told + 4: timer.join(SOON)
    case.objective.ms = 8
    results = case.search(callbacks=[callback])
    assert len(killed) == 1 and os.getpid() not in killed
    wait_until(lambda: not alive(killed[0]), SOON)
    check(case, results)
    again = [name for name, n in times(case.notes, "begun").items() if n > 1]
    first = {name: pid for name, pid in reversed(notes(case.notes, "begun"))}
    assert all(first[name] == killed[0] for name in again), "a trial was run twice whose worker lived"
    assert len(again) <= (1 if case.engine == "ProcessWorkers" else 3)


@seeded("serial", "ProcessWorkers", "Dask")
def test_the_driver_is_killed(case):
    kept, deaths = b"", case.random.choice([[(0, 8)], [(0, 12)], [(0, 5), (6, 10)]])
    for died, (least, most) in enumerate(deaths):
        told, lines, ms = case.random.randint(least, most), case.random.randrange(200), case.random.uniform(0, 15)
        by_lines = case.engine == "serial" or told == 0 or case.random.random() < 0.5
        assert case.drive(told=told, **(dict(lines=lines) if by_lines else dict(ms=ms))) == -signal.SIGKILL
        assert case.recorded.startswith(kept)
        kept = case.recorded
        assert kept[-1:] in (b"", b"\n"), "a killed driver left a line that is cut"
        assert len(records(kept)) >= told and case.untold() <= case.in_flight * (died + 1), "what had been told isn't in the journal"
    results = case.search()
    check(case, results, kept, lost=0 if case.engine == "serial" else 3 * len(deaths))
    check_runs(case, len(results), len(deaths))


def check_runs(case, n, ends):
    "No more was run twice, or in vain, than what was in flight when the driver ended."
    assert times(case.notes, "begun").total() <= n + case.in_flight * ends


def struck(case): return {os.readlink(path) for path in case.notes.glob("struck*")}


def check_struck(case, results, error, times_run):
    "Those that were struck, and they alone, have failed of it, after so many attempts."
    found = {name_of(t.config, t.budget): t for t in results.trials if error in t.info.get("error", "")}
    assert found.keys() == struck(case) and len(found) == len(case.objective.struck)
    assert all(times(case.notes, "begun")[name] == times_run for name in found)


@seeded("ProcessWorkers", "Dask")
def test_a_trial_kills_its_workers(case, monkeypatch):
    case.objective.misfortune = case.random.choice(["is_killed", "ends_itself"])
    case.objective.struck = case.random.sample(range(12), case.random.choice([1, 2]) if case.engine == "ProcessWorkers" else 1)
    if case.engine == "Dask":
        case.engines.dask()
        monkeypatch.setattr(case.engines.cluster.scheduler, "allowed_failures", 1)
    results = case.search(n_workers=2)
    check(case, results, struck=struck(case))
    check_struck(case, results, "WorkerDied" if case.engine == "ProcessWorkers" else "KilledWorker", 2)


@seeded("ProcessWorkers")
def test_a_trial_hangs(case):
    case.objective.misfortune = case.random.choice(["hangs", "hangs_and_is_deaf"])
    case.objective.struck = case.random.sample(range(12), case.random.choice([1, 2]))
    results = case.search(trial_timeout=1.5)
    check(case, results, struck=struck(case))
    check_struck(case, results, "longer than 1.5 s", 1)
    assert not any(alive(pid) for name, pid in notes(case.notes, "begun") if name in struck(case))


@seeded("serial", "ProcessWorkers", "Dask")
def test_the_journal_is_cut_within_a_line(case):
    case.search()
    lines = case.recorded.splitlines(keepends=True)
    line = case.random.randrange(len(lines))
    kept = b"".join(lines[:line])
    case.journal.write_bytes(kept + lines[line][:case.random.randrange(1, len(lines[line]))])
    for path in case.notes.iterdir(): path.unlink()
    with pytest.warns(UserWarning, match="cut off"): results = case.search()
    assert times(case.notes, "begun").total() == len(results) - max(line - 1, 0), "a trial was run again that was recorded, or not run that wasn't"
    for _, config, budget, *_ in records(kept):
        for event in ("begun", "ended"): faults.note(case.notes, event, name_of(config, budget))
    check(case, results, kept)


@pytest.fixture
def small_disk(tmp_path):
    "A folder on a disk of 16 pages (64 kB on most machines); None where it can't be mounted."
    (folder := tmp_path / "disk").mkdir()
    try: mounted = not subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={16 * PAGESIZE}", "tmpfs", folder], capture_output=True, timeout=SOON).returncode
    except OSError: mounted = False
    yield folder if mounted else None
    if mounted: subprocess.run(["umount", folder], check=True, timeout=SOON)


def fill(disk, pages):
    "Leave room for so many pages. Returns the file that takes up the rest."
    stat = os.statvfs(disk)
    (disk / "filler").write_bytes(bytes(stat.f_bavail * stat.f_frsize - pages * PAGESIZE))
    return disk / "filler"


@seeded("serial", "ProcessWorkers", "Dask")
def test_the_disk_is_full(case, small_disk):
    again, filler, quota = case.random.random() < 0.5, None, None
    if small_disk and case.seed % 2:  # the journal alone is on it
        case.journal, case.objective = small_disk / "journal", Bare(case.notes, padding=case.random.randrange(600))
        case.uninterrupted()
        filler = fill(small_disk, case.random.randint(0, size_of(case) // 2 // PAGESIZE))
    else:
        case.uninterrupted()
        quota = case.random.randint(1, size_of(case) // 2)
    assert case.drive(quota=quota, filler=filler, again=again) == (0 if again else 1)
    assert "OSError" in (case.folder / "error").read_text()
    if filler and not again: filler.unlink()
    at_the_fault = (case.folder / "kept").read_bytes()
    assert len(at_the_fault) == quota if filler is None else len(at_the_fault) % PAGESIZE == 0
    kept = at_the_fault[:at_the_fault.rfind(b"\n") + 1]
    assert again or case.recorded == at_the_fault and case.untold() <= case.in_flight
    whole = case.recorded if again else kept
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        results = case.search()
    assert [("cut off" in str(w.message)) for w in said] == ([] if again or kept == at_the_fault else [True])
    assert whole.startswith(kept)
    check(case, results, whole, lost=0 if case.engine == "serial" else 3)
    check_runs(case, len(results), 1)


def size_of(case): return (case.folder / "reference" / "journal").stat().st_size
