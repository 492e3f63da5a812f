"""What does each of the AutoML systems' ideas add to random search?

`python benchmarks/automl_pieces.py` makes what is missing (half an hour on one core; resumable, one division of one task at a time) and writes the table.
With `--keep FOLDER` the predictions stay there, and `--ensembles` then weighs them again, after a change of the weighing, without fitting anything.
No piece is tuned on these tasks, and the portfolio's datasets are others (numbers below 100 of `portfolio.dataset`).

Fixed before any result was seen:

Tasks: breast_cancer, wine, diabetes, 500 rows of digits, and two generated tables, the first of each kind from number 100 on with at most 1,000 rows, categories and missing values.
A seed divides the rows 60/40 into search rows and test rows (500 and about 718 of digits); the loss is the error, or the squared error relative to a guess.
Every piece has 45 evaluations of three-fold cross-validation on the search rows. The test rows' loss is that of the mean prediction of the three fold models. The incumbent after k evaluations is the first pipeline with the smallest
validation loss among them; a failed evaluation counts as one. Search methods with a common seed share their draws where they draw alike: `portfolio` is `random` from its ninth evaluation on, and the first generation of `nsga2` is `random`.

Statistic: per task, test loss of a piece minus that of random search after all evaluations, paired by seed; mean, and standard error over the seeds. For ensembles: minus the test loss of the single best pipeline of the same evaluations.
Verdict: "helped" if the mean lies more than two standard errors below 0, "hurt" if it lies more than two above, otherwise "no difference". If no piece ever made a difference, with so few seeds about one verdict in seven
would still read helped or hurt. NSGA-II is also judged, in the same way, by the share of the area of regret (0 to 1) and size (1 to the largest) that its front covers after all evaluations: the front is chosen on validation, the regrets are those of the test rows.
Regret: 0 is the smallest test loss of any pipeline of that division, 1 is the median of random search's pipelines and everything worse.
(The script was tried on two tasks with seeds 90 and 91 after this was written; only the number of seeds changed then, for time. Six had been planned; the run was ended after four, for time again, with the fifth half done.)
(`stack` was changed after its first results had been seen: it had divided the weights of non-negative least squares by their sum, which is wrong where the sum is far from 1; now the sum is held at 1 in the fit. The predictions are the same, weighed again.)
Reported, not deciding: the same after 10 and 20 evaluations (ensembles: 5, 10 and 20), the area on validation, the incumbent's size, and the mean regret over the tasks.
"""
import os, pathlib, tempfile, time

os.environ.setdefault("OMP_NUM_THREADS", "1")     # before NumPy is loaded

import numpy as np

from common import HERE, Rows, conditions, main, markdown_table, write_conditions
from portfolio import N_DATASETS, dataset
from course_lib.automl import NSGA2, PipelineObjective, TableEncoder, ensemble_selection, meta_features, pipeline_size, pipeline_space, stack, warm_start
from course_lib.data import digits, part_rows, tabular
from course_lib.search import RandomSearch, Trial, minimize, pareto_front
from course_lib.surrogates import ForestSearch

NAME = "automl_pieces"
SEEDS, N_TRIALS, N_FOLDS, N_STARTS, POPULATION = range(4), 45, 3, 8, 20
CHECKPOINTS, ENSEMBLE_CHECKPOINTS = (10, 20, N_TRIALS), (5, 10, 20, N_TRIALS)
TASKS = {"breast_cancer": "classification", "wine": "classification", "digits": "classification", "generated classes": "classification",
         "diabetes": "regression", "generated numbers": "regression"}
NUMBERS = {"generated classes": 102, "generated numbers": 114}       # of `portfolio.dataset`
METHODS = {"random": "random search", "cash": "CASH (Auto-WEKA)", "portfolio": "portfolio, then random (auto-sklearn)",
           "portfolio+cash": "portfolio, then CASH", "nsga2": "NSGA-II (TPOT)"}
COMBINATIONS = {"single": "the best pipeline", "selection": "selection (auto-sklearn)", "stack": "stack (H2O)"}
SOURCES = ("random", "cash")                                         # whose trials are combined

trial_rows = lambda: Rows(NAME, ["task", "seed", "method", "evaluation"], ["valid", "test", "size", "model", "seconds"])
ensemble_rows = lambda: Rows(f"{NAME}_ensembles", ["task", "seed", "method", "evaluations", "combination"], ["valid", "test", "members"])


# ---- tasks ----

def parts(name, seed):
    "Search rows and test rows of one division: X, y, X_test, y_test, and which columns are categories."
    if name in NUMBERS:
        assert NUMBERS[name] >= N_DATASETS, "the portfolio was learned on this dataset"
        table, y = dataset(TASKS[name], NUMBERS[name])
        search, *test = part_rows(y, seed=seed, stratify=TASKS[name] == "classification")
        test = np.concatenate(test)
        encoder = TableEncoder().fit(table.iloc[search])
        return encoder.transform(table.iloc[search]), y[search], encoder.transform(table.iloc[test]), y[test], encoder.categorical_
    split = digits(seed) if name == "digits" else tabular(name, seed)
    X, y = split.train
    if name == "digits":
        rows = np.random.default_rng(seed).permutation(len(X))[:500]
        X, y = X[rows], y[rows]
    X, X_test = (np.asarray(x, dtype=float).reshape(len(x), -1) for x in (X, np.concatenate([split.valid.x, split.test.x])))
    return X, y, X_test, np.concatenate([split.valid.y, split.test.y]), []


class Division:
    "One division of a task: the objective, its space, and a memory, so that no pipeline is fitted twice."
    def __init__(self, name, seed, folder):
        self.kind = TASKS[name]
        X, y, X_test, self.y_test, categorical = parts(name, seed)
        if self.kind == "regression": y, self.y_test = (y - y.mean()) / y.std(), (self.y_test - y.mean()) / y.std()
        self.objective = PipelineObjective(X, y, self.kind, categorical=categorical, n_folds=N_FOLDS, seed=seed, other=X_test, folder=folder)
        self.space = pipeline_space(categories=bool(categorical), missing=bool(np.isnan(X).any()))
        self.starts, self.known = warm_start(meta_features(X, y, self.kind, categorical), self.kind, self.space, N_STARTS), {}

    def __call__(self, config):
        key = self.objective.path(config)
        if key not in self.known:
            begun = time.process_time()
            if key.exists():                                         # of a run before
                self.known[key] = self.objective.score(self.objective.valid_y, self.objective.saved(Trial(0, config))[0]), dict(size=pipeline_size(config), cpu=0)
                return self.known[key]
            try: loss, info = self.objective(config)
            except Exception as e: loss, info = np.nan, dict(error=f"{type(e).__name__}: {e}")
            self.known[key] = loss, dict(info, cpu=time.process_time() - begun)
        return self.known[key]

    def search(self, method, seed):
        "All trials of a method."
        optimizer = dict(cash=ForestSearch, nsga2=NSGA2).get(method.removeprefix("portfolio+"), RandomSearch)
        extra = dict(population=POPULATION) if method == "nsga2" else {}
        return minimize(self, optimizer(self.space, seed, **extra), N_TRIALS, start=self.starts if "portfolio" in method else (), progress=False).trials

    def test_loss(self, prediction): return self.objective.score(self.y_test, prediction)

    def combine(self, trials):
        "Combination -> validation loss, test loss, number of pipelines, for the trials that succeeded."
        done = [t for t in trials if t.status == "done"]
        valid, test = zip(*[self.objective.saved(t) for t in done])
        y, score = self.objective.valid_y, self.objective.score
        weights = dict(single=np.eye(len(done))[int(np.argmin([t.loss for t in done]))], selection=ensemble_selection(valid, y, score), stack=stack(valid, y))
        mean = lambda w, predictions: sum(w[i] * predictions[i] for i in np.flatnonzero(w))
        return {name: (score(y, mean(w, valid)), self.test_loss(mean(w, test)), int((w > 0).sum())) for name, w in weights.items()}


def divide(name, seed, trials_found, ensembles_found, keep):
    "Everything about one division."
    with tempfile.TemporaryDirectory() as passing:
        folder = keep / f"{name}-{seed}" if keep else passing
        if keep: folder.mkdir(parents=True, exist_ok=True)
        division = Division(name, seed, folder)
        for method in METHODS:
            trials = division.search(method, seed)
            for i, t in enumerate(trials, 1):
                if (name, seed, method, i) in trials_found: continue
                done = t.status == "done"
                trials_found.add(task=name, seed=seed, method=method, evaluation=i, valid=f"{t.loss:.5g}", test=f"{division.test_loss(division.objective.saved(t)[1]):.5g}" if done else "inf",
                                 size=t.info.get("size", ""), model=t.config["model"], seconds=f"{t.info['cpu']:.2f}")
            for k in ENSEMBLE_CHECKPOINTS if method in SOURCES else ():
                for combination, (valid, test, members) in division.combine(trials[:k]).items():
                    if (name, seed, method, k, combination) in ensembles_found: continue
                    ensembles_found.add(task=name, seed=seed, method=method, evaluations=k, combination=combination, valid=f"{valid:.5g}", test=f"{test:.5g}", members=members)


def options(parser):
    parser.add_argument("--keep", type=pathlib.Path, metavar="FOLDER", help="where to keep the predictions")
    parser.add_argument("--ensembles", action="store_true", help="combine the pipelines again")


def run(args):
    trials_found, ensembles_found = trial_rows(), ensemble_rows()
    if args.ensembles: ensembles_found.drop()
    for seed in SEEDS:
        for name in TASKS:
            wanted = [(name, seed, m, i + 1) for m in METHODS for i in range(N_TRIALS)]
            combined = [(name, seed, m, k, c) for m in SOURCES for k in ENSEMBLE_CHECKPOINTS for c in COMBINATIONS]
            if all(key in trials_found for key in wanted) and all(key in ensembles_found for key in combined): continue
            begun = time.process_time()
            divide(name, seed, trials_found, ensembles_found, args.keep)
            print(f"{name}, seed {seed}: {time.process_time() - begun:.0f} s of processor time", flush=True)
    write_conditions(NAME, "scikit-learn", "numpy", "scipy")


# ---- from raw results to the table ----

def trials_table():
    "A pandas row per evaluation, with the `incumbent` on test: the test loss of the first pipeline with the smallest validation loss so far."
    import pandas as pd
    trials = pd.read_csv(HERE / f"{NAME}.csv").sort_values(["task", "seed", "method", "evaluation"], ignore_index=True)
    best = trials.groupby(["task", "seed", "method"]).valid.cummin()
    new = (trials.evaluation == 1) | (trials.valid < best.shift())
    trials["incumbent"], trials["incumbent_size"] = (trials[column].where(new).ffill() for column in ("test", "size"))
    for loss in ("valid", "test"):
        low = trials.groupby(["task", "seed"])[loss].transform("min")
        middle = trials[loss].where(trials.method == "random").groupby([trials.task, trials.seed]).transform("median")
        trials[f"{loss}_low"], trials[f"{loss}_range"] = low, np.maximum(middle - low, 1e-9)
    trials["regret"] = ((trials.incumbent - trials.test_low) / trials.test_range).clip(0, 1)
    return trials


def curves():
    "A pandas row per task, method and evaluation: the incumbent's test `loss` and `regret`, means over the seeds, and their standard errors `loss_se` and `spread`."
    found = trials_table().groupby(["task", "method", "evaluation"])
    return found.agg(loss=("incumbent", "mean"), loss_se=("incumbent", "sem"), regret=("regret", "mean"), spread=("regret", "sem")).reset_index()


def covered(trials, loss):
    "Share of the area between regret 0 and 1 and sizes 1 to the largest that one search's front covers; chosen on validation, regrets of `loss`."
    largest = trials["largest"].iloc[0]
    trials = trials[np.isfinite(trials.valid)]
    trials = trials[pareto_front(trials[["valid", "size"]])]
    regrets = ((trials[loss] - trials[f"{loss}_low"]) / trials[f"{loss}_range"]).clip(0, 1)
    best = [min([1, *regrets[trials["size"] <= size]]) for size in range(1, int(largest) + 1)]
    return 1 - float(np.mean(best))


def difference(found, base):
    "Mean difference, its standard error over the seeds, and its verdict (for a loss)."
    d = np.asarray(found, dtype=float) - np.asarray(base, dtype=float)
    mean, error = d.mean(), d.std(ddof=1) / np.sqrt(len(d))
    return mean, error, "no difference" if abs(mean) <= 2*error else "helped" if mean < 0 else "hurt"


def written(mean, error, verdict, unit=100):
    return f"{round(unit*mean, 2) + 0:+.2f} ± {unit*error:.2f}" + ("" if verdict == "no difference" else f" {verdict}")


def sentence(piece, verdicts):
    "Where a piece helped, hurt, or neither."
    where = {v: [task for task, found in verdicts.items() if found == v] for v in ("helped", "no difference", "hurt")}
    return f"- **{piece}**: " + "; ".join(f"{v}{' on ' if v != 'no difference' else ': '}{', '.join(tasks)}" for v, tasks in where.items() if tasks) + "."


def search_tables(trials):
    "A table per checkpoint, then the verdicts of the last."
    lines, verdicts = [], {}
    for k in reversed(CHECKPOINTS):
        at = trials[trials.evaluation == k].pivot(index=["task", "seed"], columns="method", values="incumbent")
        rows = []
        for task in TASKS:
            found = {m: difference(at.loc[task][m], at.loc[task]["random"]) for m in METHODS if m != "random"}
            if k == N_TRIALS: verdicts[task] = {m: d[2] for m, d in found.items()}
            rows.append([task, f"{100*at.loc[task]['random'].mean():.2f}", *(written(*d) for d in found.values())])
        lines += [f"\n## Searches after {k} evaluations\n", markdown_table(["task", "random search", *(label for m, label in METHODS.items() if m != "random")], rows)]
    return lines, [sentence(label, {task: verdicts[task][m] for task in TASKS}) for m, label in METHODS.items() if m != "random"]


def regret_table(trials):
    "Mean over the tasks, by seed."
    rows = []
    for m, label in METHODS.items():
        row = [label]
        for k in CHECKPOINTS:
            by_seed = trials[trials.evaluation == k].groupby(["method", "seed"]).regret.mean()
            mean, error, _ = difference(by_seed[m], by_seed["random"])
            row += [f"{by_seed[m].mean():.3f}", f"{mean:+.3f} ± {error:.3f}" if m != "random" else ""]
        rows.append(row)
    return ["\n## Mean regret over the tasks\n", markdown_table(["method", *(title for k in CHECKPOINTS for title in (f"after {k}", "minus random's"))], rows)]


def front_table(trials):
    "NSGA-II's fronts beside those of random search."
    trials = trials.assign(largest=trials.groupby("task")["size"].transform("max"))
    rows, verdicts = [], {}
    for task in TASKS:
        area = {(m, loss): [covered(t, loss) for _, t in trials[(trials.task == task) & (trials.method == m)].groupby("seed")] for m in ("random", "nsga2") for loss in ("valid", "test")}
        size = {m: trials[(trials.task == task) & (trials.method == m) & (trials.evaluation == N_TRIALS)].incumbent_size.mean() for m in ("random", "nsga2")}
        test, valid = (difference(-np.array(area["nsga2", loss]), -np.array(area["random", loss])) for loss in ("test", "valid"))
        verdicts[task] = test[2]
        rows.append([task, f"{100*np.mean(area['random', 'test']):.1f}", f"{0 - 100*test[0]:+.1f} ± {100*test[1]:.1f}" + ("" if test[2] == "no difference" else f" {test[2]}"), f"{0 - 100*valid[0]:+.1f} ± {100*valid[1]:.1f}", f"{size['random']:.1f}", f"{size['nsga2']:.1f}"])
    header = ["task", "random search", "NSGA-II", "NSGA-II on validation", "size of random's choice", "size of NSGA-II's choice"]
    return ["\n## Fronts of loss and size\n", f"Per cent of the area that the front covers after {N_TRIALS} evaluations, and NSGA-II's minus random search's; sizes are steps of the pipeline with the smallest validation loss.\n",
            markdown_table(header, rows)], [sentence("NSGA-II (TPOT), area of loss and size", verdicts)]


def ensemble_tables(found):
    "A table per checkpoint, then the verdicts of the last."
    lines, verdicts = [], {}
    for k in reversed(ENSEMBLE_CHECKPOINTS):
        at = found[found.evaluations == k].pivot(index=["method", "task", "seed"], columns="combination", values=["test", "members"])
        rows = []
        for source in SOURCES:
            for task in TASKS:
                test, members = at.loc[source, task]["test"], at.loc[source, task]["members"]
                ds = {c: difference(test[c], test["single"]) for c in COMBINATIONS if c != "single"}
                if k == N_TRIALS: verdicts[source, task] = {c: d[2] for c, d in ds.items()}
                rows.append([f"{task}, {source}", f"{100*test['single'].mean():.2f}", *(text for c, d in ds.items() for text in (written(*d), f"{members[c].mean():.1f}"))])
        lines += [f"\n## Ensembles after {k} evaluations\n", markdown_table(["task, search", "single best", *(t for c, label in COMBINATIONS.items() if c != "single" for t in (label, "pipelines in it"))], rows)]
    return lines, [sentence(f"{label} of the pipelines of {METHODS[source]}", {task: verdicts[source, task][c] for task in TASKS}) for c, label in COMBINATIONS.items() if c != "single" for source in SOURCES]


def table():
    import pandas as pd
    trials, ensembles = trials_table(), pd.read_csv(HERE / f"{NAME}_ensembles.csv")
    n_seeds, failed = trials.seed.nunique(), int((~np.isfinite(trials.valid)).sum())
    searches, s = search_tables(trials)
    fronts, f = front_table(trials)
    combined, e = ensemble_tables(ensembles)
    decided = sum(line.count(task) for line in s + f + e for task in TASKS)
    return "\n".join(["# What the pieces of AutoML add to random search\n", conditions(NAME) + "\n",
        f"{len(TASKS)} tasks, {n_seeds} divisions each, {N_TRIALS} evaluations of {N_FOLDS}-fold cross-validation for every search; {failed} of {len(trials):,} evaluations failed. Losses on test rows in per cent: of rows that are wrong, or of a guess's squared error. "
        "Differences are paired by division, ± one standard error; the first column of numbers is what they are measured against. Negative is better, except for areas.\n",
        "\n## Where each piece helps\n", f"After {N_TRIALS} evaluations, \"helped\" and \"hurt\" meaning more than two standard errors. Of {decided} verdicts about {decided/7:.0f} would be one of these if no piece ever made a difference.\n",
        *s, *f, *e, *searches, *regret_table(trials), *fronts, *combined])


if __name__ == "__main__": main(NAME, run, table, options)
