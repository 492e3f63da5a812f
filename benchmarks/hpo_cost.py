"What benchmarks/hpo.py times: one ask and tell beside Optuna's, `minimize` beside a bare loop, and how busy ASHA keeps two workers."
import contextlib, os, pathlib, tempfile, time

import numpy as np

from hpo_contestants import optuna_sampler, quiet_optuna
from course_lib.search import Journal, ProcessWorkers, RandomSearch, Trial, minimize
from course_lib.spaces import Float, Space


def cube(dims): return Space({f"x{i:02}": Float(0, 1) for i in range(dims)})


def quadratic(config): return float(sum((i % 3 + 1) * (x - 0.2 - 0.03 * i)**2 for i, x in enumerate(config.values())))


def timed(f):
    begun = time.perf_counter()
    f()
    return 1e3 * (time.perf_counter() - begun)


def paired_optimizers(name, dims, n):
    "Our optimizer and Optuna's with the same history of n random trials: two functions that make one ask and tell and say how many ms that took."
    import course_lib.surrogates
    optuna, space = quiet_optuna(), cube(dims)
    rng = np.random.default_rng(0)
    optimizer = getattr(course_lib.surrogates, name)(space)
    study = optuna.create_study(sampler=optuna_sampler({"TPE": "TPESampler", "GPSearch": "GPSampler"}[name], 0))
    distributions = {name: optuna.distributions.FloatDistribution(0, 1) for name in space}
    for i in range(n):
        config = space.sample(rng)
        optimizer.replay(Trial(i, config, loss=quadratic(config)))
        study.add_trial(optuna.trial.create_trial(params=config, distributions=distributions, value=quadratic(config)))
    def ours():
        def round():
            trial = optimizer.ask()
            optimizer.tell(trial, quadratic(trial.config))
        return timed(round)
    def theirs():
        def round():
            trial = study.ask()
            study.tell(trial, quadratic({name: trial.suggest_float(name, 0, 1) for name in space}))
        return timed(round)
    return ours, theirs


def minimize_round(n, bar, turn):
    "ms a trial of `minimize`, and of a loop that does the same work without it: ask, objective, journal, tell."
    space = cube(6)
    def with_minimize(folder):
        with (folder / "bar.txt").open("w") as out, contextlib.redirect_stdout(out):
            return timed(lambda: minimize(quadratic, RandomSearch(space), n, journal=folder / "a.jsonl", progress=bar))
    def bare(folder):
        def loop():
            optimizer, journal = RandomSearch(space), Journal(folder / "b.jsonl")
            journal.open(dict(format=1, space=space.digest, optimizer=optimizer.describe()))
            for _ in range(n):
                trial = optimizer.ask()
                begun = time.perf_counter()
                outcome = quadratic(trial.config), {}, time.perf_counter() - begun
                journal.append(trial, outcome)
                optimizer.tell(trial, *outcome)
            journal.close()
        return timed(loop)
    with tempfile.TemporaryDirectory() as folder:
        ms = {f: f(pathlib.Path(folder)) / n for f in ((with_minimize, bare) if turn % 2 else (bare, with_minimize))}
    return ms[with_minimize], ms[bare]


# ---- workers ----

sleeping_space = Space(seconds=Float(0.5, 1.5), x=Float(0, 1))


def sleeping(config, budget):
    "A trial of about a second, importable by worker processes: it waits, and says when."
    begun = time.time()
    time.sleep(config["seconds"])
    return config["x"] + 1 / budget, dict(begun=begun, ended=time.time(), worker=os.getpid())


def asha_on_two_workers(seed, n=40):
    "The share of the time that the two workers are busy, from when both have begun to when one finds nothing to begin; that time, and that until both had begun, in s."
    from course_lib.halving import ASHA
    started = time.time()
    with ProcessWorkers(2) as workers:
        results = minimize(sleeping, ASHA(sleeping_space, seed, max_budget=27), n, executor=workers, progress=False)
    spans = np.array([(t.info["begun"], t.info["ended"]) for t in results.trials])
    worker = np.array([t.info["worker"] for t in results.trials])
    both = max(spans[worker == w, 0].min() for w in set(worker))
    last = min(spans[worker == w, 1].max() for w in set(worker))
    busy = np.clip(np.minimum(spans[:, 1], last) - np.maximum(spans[:, 0], both), 0, None).sum() / (2 * (last - both))
    return dict(trials=n, window=f"{last - both:.2f}", busy=f"{busy:.4f}", startup=f"{both - started:.2f}")
