"""How much do a random forest and gradient boosting depend on their hyperparameters?

`python benchmarks/robustness.py` makes what is missing (half an hour on one core; resumable) and writes the table.

Two models, ten datasets (five bundled, five generated), five seeds (each divides or draws the rows anew). The loss is 1 - AUC with classes and
1 - R² with a number; divided by the loss of a guess (0.5 and 1) where datasets are averaged, called "of a guess" below. Settings are chosen on the
validation part and reported on the test part. Intervals for one dataset are Student's t over the five seeds, 95%; those over datasets are Student's t over the ten datasets' means.

Fixed before any result was seen:

Claim 35, forests are less sensitive than boosting. Statistic: the IQR of the test loss over 200 random settings, of a guess; boosting's minus the forest's, paired by seed.
  Supported: the interval over seeds is above 0 on at least 8 of 10 datasets in the wide spaces, and the interval over datasets is above 0 in the wide and in the sensible spaces.
  Supported in part: the interval over datasets is above 0 in one of the two. Not supported: in neither.
  Reported beside it, not deciding: the share of settings that are worse than scikit-learn's default by more than a tenth of a guess; the same IQR for the error in place of 1 - AUC.

Claim 36, boosting often reacts strongly to small changes. Around the best of 200 settings on validation (a case: dataset and seed): ten refits with other random
  states, and ten random moves of all parameters within 5% of their axes in the wide space's cube. A case reacts strongly if the root mean square change of the test loss is both more
  than twice the standard deviation of the refits, and more than 0.02 of a guess (0.010 AUC: what tuning a forest brings in Probst and others' table).
  Statistic: share of boosting's cases that react strongly, averaged by dataset. "Often" is a third.
  Supported: the interval over datasets lies above 1/3. Not supported: it lies below 1/3. Otherwise undecided.
  Whether this is special to boosting: the excess (reaction without noise), boosting's minus the forest's, interval over datasets above 0. Other radii (2%, 15%) are reported, not deciding.

Claim 38, smarter defaults have a huge effect. Per model, the gain of tuning is the default's test loss minus that of the best of 200 random settings (and the default) on validation. k defaults are
  learned greedily from the nine other datasets (`portfolio` on losses normalised per dataset); on the tenth the best of the k on validation is taken.
  Statistic: share recovered = sum over datasets of the gain of k defaults / the same of tuning, of a guess; interval: percentiles of 2,000 bootstrap samples of datasets, and of seeds within them.
  Supported: for boosting, four defaults recover at least 75%, with the interval's lower end above 50%. Not supported: its upper end is below 50%. Otherwise supported in part.
  If tuning's own gain isn't above 0 (interval over datasets), there is nothing to recover, and the share isn't quoted. Control: k random settings instead of k learned ones.
"""
import os, sys, time

os.environ.setdefault("OMP_NUM_THREADS", "1")     # before NumPy is loaded

import numpy as np

from common import HERE, Rows, conditions, main, markdown_table, write_conditions
from robustness_tasks import BUNDLED, DATASETS, GUESS
from course_lib.robustness import SPACES, PerSeed, fit_trees, nearby, robustness, score_loss, tunability

NAME = "robustness"
SEEDS, MODELS = range(5), ("forest", "boosting")
N_SETTINGS = {"wide": 200, "sensible": 50}
RADII, N_MOVES, N_REFITS, SMALL = (0.02, 0.05, 0.15), 10, 10, 0.05
MARGIN, STRONG, OFTEN, SIZES = 0.1, 0.02, 1 / 3, (1, 2, 4, 8)

setting_rows = lambda: Rows(f"{NAME}_settings", ["dataset", "model", "space", "seed"], ["valid", "test", "valid_error", "test_error", "seconds"])
move_rows = lambda: Rows(f"{NAME}_moves", ["dataset", "model", "seed", "what"], ["setting", "losses"])
numbers = lambda values: " ".join(f"{v:.5g}" for v in values)


def settings(model, space):
    "scikit-learn's default, then the random settings: the same on every dataset and for every seed."
    return [{}] + [SPACES[space][model].sample(np.random.default_rng([2026, k])) for k in range(N_SETTINGS[space])]


def losses_of(model, config, split, seed):
    "1 - AUC or 1 - R² on validation and test, and the errors on both (None with a number)."
    fitted = fit_trees(model, config, split, seed)
    error = lambda part: float((fitted.predict(part.x) != part.y).mean()) if split.classes else np.nan
    return score_loss(fitted, split), score_loss(fitted, split, "test"), error(split.valid), error(split.test)


# ---- runs ----

def run():
    found = setting_rows()
    for space in N_SETTINGS:
        for dataset, make in DATASETS.items():
            for model in MODELS:
                for seed in SEEDS:
                    if (dataset, model, space, seed) in found: continue
                    split, begun = make(seed), time.perf_counter()
                    every = [losses_of(model, config, split, 1000 * seed + k) for k, config in enumerate(settings(model, space))]
                    columns = dict(zip(("valid", "test", "valid_error", "test_error"), map(numbers, zip(*every))))
                    if not split.classes: columns.update(valid_error="", test_error="")
                    found.add(dataset=dataset, model=model, space=space, seed=seed, **columns, seconds=f"{time.perf_counter() - begun:.2f}")
            print(f"{space} spaces on {dataset}", flush=True)
        if space == "wide": run_moves()
    write_conditions(NAME, "numpy", "scipy", "scikit-learn")


def run_moves():
    "Refits of the chosen setting, small moves of all parameters, and of one at a time."
    found = move_rows()
    for dataset, make in DATASETS.items():
        for model in MODELS:
            valid = matrix(dataset, model, "wide", "valid")
            for seed in SEEDS:
                if (dataset, model, seed, "alone") in found: continue
                found.drop(dataset=dataset, model=model, seed=seed)
                split, space = make(seed), SPACES["wide"][model]
                setting = 1 + int(valid[seed, 1:].argmin())              # the default isn't in the space
                chosen, rng = settings(model, "wide")[setting], np.random.default_rng([2027, seed])
                def losses(configs): return numbers([score_loss(fit_trees(model, c, split, int(rng.integers(2**31))), split, "test") for c in configs])
                case = dict(dataset=dataset, model=model, seed=seed, setting=setting)
                found.add(**case, what="refits", losses=losses([chosen] * N_REFITS))
                for radius in RADII: found.add(**case, what=radius, losses=losses([nearby(space, chosen, radius, rng) for _ in range(N_MOVES)]))
                ends = [{**chosen, name: (space[name].neighbours(chosen[name], SMALL) or [chosen[name]])[end]} for name in space for end in (0, -1)]
                found.add(**case, what="alone", losses=losses(ends))
        print(f"moves on {dataset}", flush=True)


# ---- from raw results to the table ----

def matrix(dataset, model, space, what="test"):
    "Seeds × settings; the first column is scikit-learn's default."
    by_seed = {int(r["seed"]): r[what].split() for r in setting_rows().rows if (r["dataset"], r["model"], r["space"]) == (dataset, model, space)}
    return np.array([by_seed[seed] for seed in SEEDS], dtype=float)


def table(): sys.exit("the table waits for its rows.")


if __name__ == "__main__": main(NAME, run, table)
