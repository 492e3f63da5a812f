"""A real search, recorded: the journal that lesson 16's simulations draw from (course_lib/assets/scaling_journal.jsonl).

    python benchmarks/scaling_journal.py      # a few minutes on one core; goes on where it stopped
    python benchmarks/scaling_journal.py --table

Random search, seed 16, 300 configurations of `course_lib.scaling.SPACE`: a network with one hidden layer on scikit-learn's digits (rate, momentum, weight decay, width, size of the batches), by `train_digits`.
Each is trained once for 27 epochs, and error on the 359 validation images and seconds of the processor are noted after 1, 3, 9 and 27. Weights and batches have a seed of their own per configuration, from its digest,
so that the noise of a repetition is in the errors. One thread. The journal is what `minimize(..., journal=...)` wrote. scaling_journal.csv holds the curves, a row per configuration.

Fixed before the first result was seen:

The simulations need losses and seconds of configurations that weren't tried. Two ways are compared, each on configurations that it hasn't seen:
  nearest: the curve of the nearest recorded configuration in the unit cube (itself left out);
  forest and matching: `course_lib.scaling.Workload`, the curve of one of ten recorded trials which the forest expects to end most like it. For a recorded configuration the forest's expectation is the one out of bag, and its own curve can't be drawn.
For both: Spearman's correlation between drawn and real error after 27 epochs, the same for the seconds, the medians over 20 draws (nearest has only one); and, since the simulated losses should be spread like the real ones,
  quantiles of the final error (5%, 25%, 50%, 75%) drawn for 2,000 new random configurations (seed 17), beside those recorded, and the rank correlation between the errors after 1 and after 27 epochs.
The one with the higher correlation of the final errors is used. Target for the simulations: the error after 27 epochs that one in fifty of the recorded configurations reaches.
"""
import csv, hashlib, json, os

os.environ.setdefault("OMP_NUM_THREADS", "1")     # before NumPy is loaded

import numpy as np

from common import HERE, conditions, main, markdown_table, write_conditions
from course_lib.scaling import BUDGETS, SPACE, Workload, read_journal, train_digits
from course_lib.search import RandomSearch, minimize

NAME, N, SEED = "scaling_journal", 300, 16
ASSET = HERE.parent / "course_lib" / "assets" / "scaling_journal.jsonl"


def objective(config):
    seed = int(hashlib.sha256(json.dumps(config).encode()).hexdigest()[:8], 16)
    return train_digits(config, BUDGETS[-1], seed)


def run():
    train_digits(SPACE.sample(0), 1)              # what is loaded and set up the first time shall not count
    minimize(objective, RandomSearch(SPACE, SEED), N, journal=ASSET)
    write_conditions(NAME, "numpy", "torch", "scikit-learn")


def spearman(a, b):
    from scipy.stats import spearmanr
    return spearmanr(a, b).statistic


def nearest(points, new, skip_self):
    "For each of `new` the row of the nearest of `points`."
    apart = ((new[:, None] - points[None])**2).sum(2)
    if skip_self: np.fill_diagonal(apart, np.inf)
    return apart.argmin(1)


def matched(work, expected, skip_self, rng):
    "For each expected end a row drawn as `Workload` draws, itself left out."
    apart = np.abs(work.expected[None] - expected[:, None])
    if skip_self: np.fill_diagonal(apart, np.inf)
    return np.array([rng.choice(row) for row in np.argpartition(apart, work.k, axis=1)[:, :work.k]])


def quantiles(errors): return [f"{100*q:.1f}" for q in np.quantile(errors[:, -1], [0.05, 0.25, 0.5, 0.75])] + [f"{spearman(errors[:, 0], errors[:, -1]):.2f}"]


def target(errors): return float(np.quantile(errors[:, -1], 1/50, method="lower"))


def table():
    trials = read_journal(ASSET)
    work = Workload(SPACE, trials)
    real, all_seconds = work.errors, np.array([t.info["seconds"] for t in trials])
    seconds, steps = all_seconds[:, -1], np.diff(all_seconds, prepend=0)
    rng, new = np.random.default_rng(17), [SPACE.sample(seed) for seed in np.random.default_rng(17).integers(2**31, size=2000)]
    draws = [matched(work, work.expected, True, rng) for _ in range(20)]
    took = [(steps/work.off*work.off[row]).sum(1) for row in draws]      # the forest's expectation out of bag, times how far the drawn trial was off
    own, of_new = nearest(work.X, work.X, True), nearest(work.X, work._points(new), False)
    curves = np.array([work.curve(config, rng)[0] for config in new])
    rows = [["recorded", "", "", *quantiles(real)],
            ["nearest", f"{spearman(real[own][:, -1], real[:, -1]):.2f}", f"{spearman(seconds[own], seconds):.2f}", *quantiles(real[of_new])],
            ["forest and matching", f"{np.median([spearman(real[row][:, -1], real[:, -1]) for row in draws]):.2f}", f"{np.median([spearman(t, seconds) for t in took]):.2f}", *quantiles(curves)]]
    levels = [[str(b), f"{100*np.median(real[:, i]):.1f}", f"{100*real[:, i].min():.1f}", f"{spearman(real[:, i], real[:, -1]):.2f}", f"{np.median(all_seconds[:, i]):.3f}"] for i, b in enumerate(BUDGETS)]
    return f"""# A recorded search, for the simulations of lesson 16

Made by `python benchmarks/{NAME}.py` from course_lib/assets/scaling_journal.jsonl. {conditions(NAME)}

{len(trials)} random configurations, {sum(t.status == 'failed' for t in trials)} of them failed. A training of 27 epochs took {np.median(seconds):.2f} s in the median, {seconds.min():.2f} to {seconds.max():.2f}. Target: an error of {100*target(real):.2f}%, which one in fifty reaches.

## What was recorded

{markdown_table(["epochs", "median error, %", "lowest error, %", "rank correlation with the error after 27", "median seconds"], levels)}
## How well it stands in for configurations that were never tried

{markdown_table(["curves", "rank correlation of the error", "of the seconds", "error, %: 5% quantile", "25%", "50%", "75%", "1 epoch and 27, rank correlation"], rows)}
"Recorded" is what the quantiles should be. Both ways are judged on configurations that they haven't seen.
"""


def write_csv():
    with (HERE / f"{NAME}.csv").open("w", newline="") as f:
        writer = csv.writer(f, lineterminator="\n")
        writer.writerow(["id", *SPACE, *[f"error_{b}" for b in BUDGETS], *[f"seconds_{b}" for b in BUDGETS]])
        for t in read_journal(ASSET): writer.writerow([t.id, *[f"{v:.6g}" for v in t.config.values()], *t.info["errors"], *t.info["seconds"]])


if __name__ == "__main__": main(NAME, run, table, pictures=write_csv)
