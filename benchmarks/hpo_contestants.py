"""The contestants of benchmarks/hpo.py: how each of them runs on a problem. All get the same ten start-up points.

Ours are looked up by name when they run, and Optuna is imported when it is needed: making the table needs none of them.
"""
import time, warnings

import numpy as np

from course_lib.search import RandomSearch, minimize
from course_lib.spaces import Choice, Float

N_TRIALS, N_START = 60, 10


def start_points(space, seed):
    "Ten random configurations, the same for every contestant."
    rng = np.random.default_rng([seed, 54321])
    return [space.sample(rng) for _ in range(N_START)]


class Record:
    "An objective that remembers what it was asked and how long it took."
    def __init__(self, objective):
        self.objective, self.configs, self.losses, self.seconds = objective, [], [], 0.0

    def __call__(self, config):
        begun = time.perf_counter()
        loss = self.objective(config)
        self.seconds += time.perf_counter() - begun
        self.configs.append(config)
        self.losses.append(loss)
        return loss

    def chosen(self, n): return self.configs[int(np.argmin(self.losses[:n]))]


def ours(name):
    def search(space, objective, seed):
        if name == "RandomSearch": optimizer = RandomSearch(space, seed)
        else:
            import course_lib.surrogates
            optimizer = getattr(course_lib.surrogates, name)(space, seed)
        minimize(objective, optimizer, N_TRIALS, start=start_points(space, seed), progress=False)
    return search


# ---- Optuna ----

def quiet_optuna():
    import optuna
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    warnings.filterwarnings("ignore", module="optuna")
    return optuna


def suggest(trial, space):
    "Ask an Optuna trial for a configuration of our space, conditions included."
    values = {}
    for name in space._order:
        if not space._active(name, values): continue
        p = space[name]
        if isinstance(p, Choice): values[name] = trial.suggest_categorical(name, p.options)
        elif isinstance(p, Float): values[name] = trial.suggest_float(name, p.low, p.high, log=p.log)
        else: values[name] = trial.suggest_int(name, p.low, p.high, log=p.log)
    return space._ordered(values)


def optuna_sampler(name, seed): return getattr(quiet_optuna().samplers, name)(seed=seed, **({} if name == "RandomSampler" else dict(n_startup_trials=N_START)))


def optuna_search(name):
    def search(space, objective, seed):
        optuna = quiet_optuna()
        study = optuna.create_study(sampler=optuna_sampler(name, seed))
        for config in start_points(space, seed): study.enqueue_trial(config)
        study.optimize(lambda trial: objective(suggest(trial, space)), n_trials=N_TRIALS)
    return search


# ---- scikit-learn ----

def scipy_distribution(p):
    "What a user of RandomizedSearchCV would write for a parameter of ours."
    from scipy import stats
    if isinstance(p, Choice): return list(p.options)
    if isinstance(p, Float): return stats.loguniform(p.low, p.high) if p.log else stats.uniform(p.low, p.high - p.low)
    values = np.arange(p.low, p.high + 1)
    return stats.rv_discrete(values=(values, np.diff([p.encode(v) for v in values - 0.5] + [1.0]))) if p.log else stats.randint(p.low, p.high + 1)


def sklearn_distributions(space):
    "One dict of distributions for each combination of the parents' values, as RandomizedSearchCV wants conditional parameters."
    from itertools import product
    parents = [name for name in space._order if any(name in p.when for p in space.params.values())]
    dicts = []
    for values in product(*[space[name].values() for name in parents]):
        fixed = dict(zip(parents, values))
        dicts.append({name: [fixed[name]] if name in fixed else scipy_distribution(p) for name, p in space.params.items() if space._active(name, fixed)})
    return dicts


def sklearn_search(space, objective, seed):
    "The sampling of RandomizedSearchCV: its ParameterSampler, evaluated on our splits as PredefinedSplit would with refit=False."
    from sklearn.model_selection import ParameterSampler
    drawn = ParameterSampler(sklearn_distributions(space), N_TRIALS - N_START, random_state=seed)
    plain = lambda value: value.item() if hasattr(value, "item") else value
    for config in [*start_points(space, seed), *drawn]: objective(space._ordered({name: plain(value) for name, value in config.items()}))


SEARCHES = {"RandomSearch": ours("RandomSearch"), "TPE": ours("TPE"), "GPSearch": ours("GPSearch"), "ForestSearch": ours("ForestSearch"),
            "Optuna TPE": optuna_search("TPESampler"), "Optuna GP": optuna_search("GPSampler"), "RandomizedSearchCV": sklearn_search}


# ---- epochs as budget ----

def over(recorder): return lambda optimizer, trial: recorder.over


def fully(recorder, seed):
    from hpo_problems import mlp_space as space
    return len(minimize(recorder.fully, RandomSearch(space, seed), start=start_points(space, seed), n_trials=10**6, callbacks=[over(recorder)], progress=False))


def scheduled(name, sampler=None, **options):
    "One of our schedulers until the epochs are used up."
    def search(recorder, seed):
        import course_lib.halving, course_lib.surrogates
        from hpo_problems import FULL, mlp_space as space
        chosen = sampler and getattr(course_lib.surrogates, sampler)(space, seed)
        optimizer = getattr(course_lib.halving, name)(space, seed, max_budget=FULL, sampler=chosen, **options)
        results = minimize(recorder.resumed, optimizer, start=start_points(space, seed), n_trials=10**6, callbacks=[over(recorder)], progress=False)
        return sum(trial.parent is None for trial in results.trials)
    return search


def optuna_hyperband(sampler):
    "Optuna's Hyperband: the loss is reported after every epoch. A study's name decides which bracket a trial belongs to."
    def search(recorder, seed):
        from hpo_problems import FULL, mlp_space as space
        optuna = quiet_optuna()
        pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=FULL, reduction_factor=3)
        study = optuna.create_study(sampler=optuna_sampler(sampler, seed), pruner=pruner, study_name=f"hpo {seed}")
        for config in start_points(space, seed): study.enqueue_trial(config)
        def objective(trial):
            config, model = suggest(trial, space), None
            for epoch in range(1, FULL + 1):
                model, loss = recorder.train(model, config, 1)
                trial.report(loss, epoch)
                if epoch < FULL and trial.should_prune():
                    recorder.end(loss)
                    raise optuna.TrialPruned()
            recorder.end(loss)
            return loss
        study.optimize(objective, callbacks=[lambda study, trial: recorder.over and study.stop()])
        return len(study.trials)
    return search


FIDELITY_SEARCHES = {"RandomSearch, 27 epochs": fully, "Hyperband": scheduled("Hyperband", repeats=None), "ASHA": scheduled("ASHA"),
                     "BOHB": scheduled("Hyperband", "TPE", repeats=None),
                     "Optuna Hyperband, random": optuna_hyperband("RandomSampler"), "Optuna Hyperband, TPE": optuna_hyperband("TPESampler")}
