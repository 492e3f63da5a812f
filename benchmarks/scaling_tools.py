"""What benchmarks/scaling.py times: the same random search with each tool. Worker processes import their objective from here.

A tool is a function `(workers, jobs, folder, begun)` that gives the seconds from `begun` until its workers were ready, and for each job, which is a pair
(rounds of work per trial, number of trials), the seconds that those trials took. Optuna, Dask and Ray are imported where they are used."""
import contextlib, hashlib, importlib.util, itertools, logging, multiprocessing, os, pathlib, shutil, tempfile, time
from collections import Counter
from functools import partial

import numpy as np

from course_lib.search import Journal, ProcessWorkers, RandomSearch, minimize
from course_lib.spaces import Float, Space

NAMES = [f"x{i}" for i in range(6)]
SPACE = Space({name: Float(0, 1) for name in NAMES})
WARM = 4            # trials before the clock runs, of each worker where workers are processes of their own
SECONDS = 600       # after which a measurement is given up


def work(rounds, config):
    "The objective: a sum, after so many rounds of a hash that runs on one core and lets other threads run meanwhile, as numerical libraries do."
    if rounds: hashlib.pbkdf2_hmac("sha256", b"work", b"salt", rounds)
    return sum(config.values())


def rounds_for(seconds, tries=15):
    "Rounds that take so many seconds of the processor here: by the fastest of some tries."
    def took():
        begun = time.process_time()
        work(20000, {})
        return time.process_time() - begun
    return round(20000 * seconds / min(took() for _ in range(tries)))


def clock(f, *args):
    begun = time.perf_counter()
    f(*args)
    return time.perf_counter() - begun


# ---- ours ----

def ours(workers, jobs, folder, begun, start=lambda workers: contextlib.nullcontext(), journal=True, fsync=False):
    number = itertools.count()
    def search(rounds, n):
        memory = Journal(folder / f"{next(number)}.jsonl", fsync) if journal else None
        found = minimize(partial(work, rounds), RandomSearch(SPACE), n, journal=memory, executor=executor, n_workers=workers, progress=False)
        assert len(found) == n and all(t.status == "done" for t in found.trials)
    with start(workers) as executor:
        search(0, WARM * workers)
        return time.perf_counter() - begun, [clock(search, *job) for job in jobs]


@contextlib.contextmanager
def dask(workers):
    "An executor on a scheduler and worker processes of our own."
    from distributed import Client, LocalCluster
    with (LocalCluster(processes=True, n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=logging.ERROR) as cluster,
          Client(cluster) as client): yield client.get_executor(pure=False)


# ---- processes that know each other only by what is on the disk ----

def bare(rounds, n, folder, seed):
    "No tool at all: draw, work. The first call warms up and gives what makes `n` trials."
    rng = np.random.default_rng(seed)
    def run(n):
        for _ in range(n): work(rounds, SPACE.sample(rng))
    run(WARM)
    return lambda: run(n)


def optuna_study(rounds, n, folder, seed, kind):
    "A study in a storage that all processes of this search share."
    import optuna
    from optuna.storages.journal import JournalFileBackend
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    storages = dict(memory=lambda: None, rdb=lambda: f"sqlite:///{folder / f'{rounds}.db'}",
                    journal=lambda: optuna.storages.JournalStorage(JournalFileBackend(str(folder / f"{rounds}.log"))))
    study = optuna.create_study(storage=storages[kind](), study_name="search", sampler=optuna.samplers.RandomSampler(seed=seed), load_if_exists=True)
    def objective(trial): return work(rounds, {name: trial.suggest_float(name, 0, 1) for name in NAMES})
    study.optimize(objective, n_trials=WARM)
    return lambda: study.optimize(objective, n_trials=n)


def alone(prepare, jobs, folder, workers=1, seed=0, lock=contextlib.nullcontext(), meet=lambda: None):
    "One process's part of every job: when it was ready, and when each part began and ended."
    spans = []
    for rounds, n in jobs:
        with lock: run = prepare(rounds, n // workers, folder, seed)           # the first one makes the study, the others find it
        meet()
        begun = time.perf_counter()
        run()
        spans.append((begun, time.perf_counter()))
    return spans


def _part(answers, barrier, *args):
    try: answers.put(alone(*args, barrier.wait))
    except Exception as e:
        barrier.abort()                                        # nobody waits for this one
        answers.put(e)


def separately(prepare, workers, jobs, folder, begun):
    "The trials of a job in equal parts for processes that begin together; with one worker, here. `prepare` is `bare` or a study."
    if workers == 1: parts = [alone(prepare, jobs, folder)]
    else:
        begun = time.perf_counter()
        context = multiprocessing.get_context("spawn")
        answers, lock, barrier = context.Queue(), context.Lock(), context.Barrier(workers, timeout=SECONDS)
        processes = [context.Process(target=_part, args=(answers, barrier, prepare, jobs, folder, workers, seed, lock)) for seed in range(workers)]
        for process in processes: process.start()
        parts = [answers.get(timeout=SECONDS) for _ in processes]
        for process in processes: process.join()
        for part in parts:
            if isinstance(part, Exception): raise part
    begins, ends = np.array(parts).transpose(2, 1, 0)          # jobs × processes
    return begins[0].min() - begun, (ends.max(axis=1) - begins.min(axis=1)).tolist()


# ---- Ray Tune ----

def ray_tune(workers, jobs, folder, begun):
    "Trials in actors that are used again, as many at once as Ray is given processors; what its callback sees."
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_AIR_NEW_OUTPUT="0", RAY_DEDUP_LOGS="0", RAY_agent_register_timeout_ms="120000", RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0")
    here = pathlib.Path(__file__).parent
    os.environ["PYTHONPATH"] = f"{here}{os.pathsep}{here.parent}"                # so that actors find this module
    import psutil, ray
    from ray import tune
    class Clock(tune.Callback, tune.Stopper):
        "Times from when each of the workers has done the warming trials; the search is stopped `n` trials later."
        def __init__(self, n): self.n, self.done, self.times = n, Counter(), []
        def on_trial_complete(self, iteration, trials, trial, **_):
            self.done[trial.last_result["pid"]] += 1
            if sum(count >= WARM for count in self.done.values()) >= workers: self.times.append(time.perf_counter())
        def __call__(self, trial_id, result): return False
        def stop_all(self): return len(self.times) > self.n
    def search(rounds, n):
        watch, meeting = Clock(n), folder / f"meeting-{rounds}"
        meeting.mkdir()
        tuner = tune.Tuner(partial(ray_trial, rounds, workers, meeting), param_space={name: tune.uniform(0, 1) for name in NAMES},
            tune_config=tune.TuneConfig(metric="loss", mode="min", num_samples=100_000, reuse_actors=True),
            run_config=tune.RunConfig(name=str(rounds), storage_path=str(folder), verbose=0, callbacks=[watch], stop=watch, failure_config=tune.FailureConfig(fail_fast=True)))
        found = tuner.fit()
        assert not found.num_errors and len(watch.times) > n
        return watch.times
    try:
        ray.init(num_cpus=workers, include_dashboard=False, _node_ip_address="127.0.0.1", logging_level="ERROR", log_to_driver=False, object_store_memory=100 * 2**20, _temp_dir=str(folder / "ray"))
        runs = [search(*job) for job in jobs]
        return runs[0][0] - begun, [times[n] - times[0] for times, (_, n) in zip(runs, jobs)]
    finally:
        started = psutil.Process().children(recursive=True)
        ray.shutdown()
        for process in psutil.wait_procs(started, timeout=20)[1]: process.kill()


def ray_trial(rounds, workers, meeting, config):
    "A trial. The first ones wait for each other: Ray gives the trial of an actor that is still starting to one that is free, so short trials would never see a second actor."
    (meeting / str(os.getpid())).touch()
    while sum(1 for _ in meeting.iterdir()) < workers: time.sleep(0.01)
    return dict(loss=work(rounds, config))


# ---- all of them ----

def _separate(prepare): return partial(separately, prepare)

DRIVER, PROCESSES, DASK, RDB, LOG, RAY, BARE = "minimize, in the driver", "minimize, ProcessWorkers", "minimize, Dask", "Optuna, RDB storage (SQLite)", "Optuna, journal storage", "Ray Tune", "no tool"
TOOLS = {BARE: _separate(bare), DRIVER: ours, PROCESSES: partial(ours, start=ProcessWorkers), DASK: partial(ours, start=dask),
         RDB: _separate(partial(optuna_study, kind="rdb")), LOG: _separate(partial(optuna_study, kind="journal")), RAY: ray_tune}
FSYNC, FSYNC_PROCESSES, FORGETFUL, MEMORY = f"{DRIVER}, fsync", f"{PROCESSES}, fsync", f"{DRIVER}, no journal", "Optuna, in memory"
ASIDE = {FORGETFUL: partial(ours, journal=False), FSYNC: partial(ours, fsync=True), FSYNC_PROCESSES: partial(ours, start=ProcessWorkers, fsync=True),
         MEMORY: _separate(partial(optuna_study, kind="memory"))}
WORKERS = {DRIVER: [1], FORGETFUL: [1], FSYNC: [1], MEMORY: [1], FSYNC_PROCESSES: [2]}       # the others: with one and with two


def installed(tool): return tool != RAY or importlib.util.find_spec("ray") is not None


def _measure(answers, tool, *args): answers.put({**TOOLS, **ASIDE}[tool](*args))


def measure(tool, workers, jobs, tries=3):
    "A measurement in a process of its own, of which nothing is left afterwards: seconds until ready, seconds per job. Raises RuntimeError if it fails or takes too long, `tries` times."
    context = multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()
    with tempfile.TemporaryDirectory(prefix="scaling-", ignore_cleanup_errors=True) as folder:
        process = context.Process(target=_measure, args=(answers, tool, workers, jobs, pathlib.Path(folder), time.perf_counter()))
        process.start()
        process.join(SECONDS)
        if process.is_alive(): end(process.pid)
        process.join()
    if not process.exitcode: return answers.get()
    time.sleep(5)                                              # what it had started ends, too
    shutil.rmtree(folder, ignore_errors=True)
    if tries > 1: return measure(tool, workers, jobs, tries - 1)
    raise RuntimeError(f"{tool} with {workers}: the measurement ended with exit code {process.exitcode}.")


def end(pid):
    "End a process and all that it has started."
    import psutil
    process = psutil.Process(pid)
    for member in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess): member.kill()
