"""How good and how quick are the architecture searches of lesson 12, on tables of trained cells?

`python benchmarks/nas.py` makes what is missing (half an hour on one core; resumable) and writes the table. NAS-Bench-201 comes from `COURSE_DATA` or is downloaded;
where it can't be had, its part is left out, and only digits201 is searched.

A query is one look-up of a cell's search signal (validation accuracy after the cheap training: 12 epochs on CIFAR-10, 3 on digits). A search's cell is the one with the best signal so far;
what counts is that cell's test accuracy after the full training. No search sees a test accuracy, and none proposes a cell twice.

Fixed before any result was seen:

Settings. Evolution: population 10, tournaments of 3, which is what the authors' own script of NAS-Bench-201 runs with; and Real et al.'s 100 and 25. REINFORCE: Adam at 0.1, baseline's decay 0.9;
  its LSTM: 32 units, Adam at 0.01. Predictor: 20 trees, refitted every 10 trials, 100 mutations of the 10 best; once with a column per operation and edge, once with path encoding. These four numbers were compared with a few others on CIFAR-100's and ImageNet16-120's
  columns (own signal, own test accuracy, seeds from 10,000); CIFAR-10's were not looked at, and neither was digits201. TPE: lesson 05's defaults.
Reproduction of Dong & Yang's table. 100 queries of CIFAR-10's signal, seeds 0 to 499 (0 to 99 for LSTM, predictors and TPE); the found cell's test accuracy on all three datasets; mean and standard deviation
  over seeds. (Theirs: 12,000 simulated seconds, which are about 100 cells. The extract of the table has no times, so this can't be replayed exactly.)
  Target: random search, evolution (10, 3) and REINFORCE within 0.15 of the published mean on CIFAR-10, within the published standard deviation on the other two.
Curves. Test accuracy at 10 to 2,000 queries, CIFAR-10 and digits201: seeds 0 to 199 for the quick searches; the slow ones up to 500 queries with
  seeds 0 to 99 (LSTM), 0 to 39 (predictors, TPE) and on digits201 0 to 19 (all of them), and to 2,000 on CIFAR-10 with seeds 0 to 19 (LSTM), 0 to 17 (predictor), 0 to 2 (predictor, paths). Planned were 100 and 20 for all
  of them on both tables; cut twice for want of time, when the quick searches' and the LSTM's curves on CIFAR-10 and four runs of the predictor had been seen,
  and on digits201 only the lesson's own small comparison (30 and 5 runs of 150 queries).
  Target: the best search at least 94.2 on CIFAR-10 at 150 queries, 94.3 at 300. Since the best of several means is reported, its standard error is reported too.
Seconds. Processor time of the 500 runs of 100 queries, all of the four quick searches (random, evolution 10 and 3, REINFORCE, local), ask, look-up and tell. Target: under 60.

Claim 25, about 20 architectures find the most accurate. Statistic: mean regret, the table's best test accuracy less that of the found cell, at 20 queries.
  Supported: at most 0.5 points for random search on both tables. In part: for some search, on one table or both. Otherwise not supported.
Claim 14 (here: evolved cells match or beat those that reinforcement learning finds). Statistic: mean test accuracy at 100 queries, evolution (10, 3) less REINFORCE, with a 95% interval (normal, independent seeds).
  Supported: the interval's lower end is above -0.1 points on both tables. Not supported: its upper end is below -0.1 on both. Otherwise undecided. The LSTM's difference is reported, not deciding.
Claim 24, a hundred times the computation. Reported here, not decided: mean regret at 20, 200 and 2,000 queries.
"""
import functools, math, os, time

os.environ.setdefault("OMP_NUM_THREADS", "1")     # before NumPy is loaded

import numpy as np

from common import Rows, conditions, main, markdown_table, write_conditions
from course_lib.data import DataError
from course_lib.nas import LocalSearch, PredictorSearch, RegularizedEvolution, Reinforce, ReinforceLSTM, digits201, incumbents, nasbench201, path_encoding
from course_lib.search import RandomSearch
from course_lib.surrogates import TPE

NAME = "nas"
QUICK = {"random search": RandomSearch, "evolution": functools.partial(RegularizedEvolution, population=10, sample=3),
         "evolution, 100 and 25": functools.partial(RegularizedEvolution, population=100, sample=25), "REINFORCE": Reinforce, "local search": LocalSearch}
SLOW = {"REINFORCE, LSTM": ReinforceLSTM, "predictor": PredictorSearch, "predictor, paths": functools.partial(PredictorSearch, encode=path_encoding), "TPE": TPE}
METHODS = {**QUICK, **SLOW}
TIMED = ("random search", "evolution", "REINFORCE", "local search")
DATASETS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet16-120": "ImageNet16-120"}
CHECKPOINTS = (10, 20, 50, 100, 150, 200, 300, 500, 1000, 2000)
PUBLISHED = {"random search": ((93.70, 0.36), (71.04, 1.07), (44.57, 1.25)), "evolution": ((93.92, 0.30), (71.84, 0.99), (45.54, 1.03)), "REINFORCE": ((93.85, 0.37), (71.71, 1.09), (45.24, 1.18))}
TABLES = {"CIFAR-10": nasbench201, "digits201": digits201}

found_rows = lambda: Rows(NAME, ["method", "seed"], [*DATASETS, "seconds"])
curve_rows = lambda: Rows(f"{NAME}_curves", ["table", "method", "seed"], ["best", "tests"])


RUNS = {("CIFAR-10", "REINFORCE, LSTM"): (100, 20), ("CIFAR-10", "predictor"): (40, 18), ("CIFAR-10", "predictor, paths"): (40, 3), ("CIFAR-10", "TPE"): (40, 0)}  # to 500 queries, and of these to 2,000

def n_runs(method): return 500 if method in QUICK else 100

def n_queries(table, method, seed):
    "How far the curve of this run goes; None if there is no such run."
    if method in QUICK: return 2000 if seed < 200 else None
    runs, long_runs = RUNS.get((table, method), (20, 0))
    return 2000 if seed < long_runs else 500 if seed < runs else None


# ---- runs ----

def table_of(name):
    "The table, or None with a sentence if it can't be had."
    try: return TABLES[name]()
    except DataError as e: print(f"{name} is left out: {e}")


def run():
    import torch
    torch.set_num_threads(1)
    tables = {name: table for name in TABLES if (table := table_of(name))}
    if "CIFAR-10" in tables: reproduce(tables["CIFAR-10"])
    for name, table in tables.items(): draw_curves(name, table)
    write_conditions(NAME, "numpy", "torch", "scikit-learn")


def reproduce(table):
    found, judges = found_rows(), {dataset: nasbench201(dataset) for dataset in DATASETS}
    for method, make in METHODS.items():
        for seed in range(n_runs(method)):
            if (method, seed) in found: continue
            start = time.process_time()
            cell = incumbents(table, make(table.space, seed=seed), 100)[-1]
            seconds = time.process_time() - start
            found.add(method=method, seed=seed, **{dataset: f"{100*judge.test_accuracy(cell):.2f}" for dataset, judge in judges.items()}, seconds=f"{seconds:.4f}")
        print(f"{method}: {n_runs(method)} runs of 100 queries", flush=True)


def draw_curves(name, table):
    found = curve_rows()
    for method, make in METHODS.items():
        for seed in range(200):
            n = n_queries(name, method, seed)
            if n is None or (name, method, seed) in found: continue
            cells = incumbents(table, make(table.space, seed=seed), n)
            tests = [f"{100*table.test_accuracy(cells[k - 1]):.2f}" for k in CHECKPOINTS if k <= n]
            found.add(table=name, method=method, seed=seed, best=f"{100*table.optimum:.2f}", tests=" ".join(tests))
        print(f"{method} on {name}", flush=True)


# ---- from raw results to the table ----

@functools.cache
def found_cells():
    "method -> runs × datasets, and the seconds of each run."
    rows = found_rows().rows
    return {method: (np.array([[float(r[d]) for d in DATASETS] for r in mine]), np.array([float(r["seconds"]) for r in mine]))
            for method in METHODS if (mine := [r for r in rows if r["method"] == method])}


@functools.cache
def curves(table):
    "method -> for each checkpoint that it reached, the test accuracies of its runs; and the table's best."
    rows, best = [r for r in curve_rows().rows if r["table"] == table], math.nan
    found = {}
    for method in METHODS:
        runs = [[float(v) for v in r["tests"].split()] for r in rows if r["method"] == method]
        if runs: found[method] = [np.array([r[k] for r in runs if len(r) > k]) for k in range(max(map(len, runs)))]
    if rows: best = float(rows[0]["best"])
    return found, best


def mean_sd(values): return f"{values.mean():.2f} ± {values.std(ddof=1):.2f}"


def reproduction_table():
    rows = []
    for method, (accuracies, seconds) in found_cells().items():
        rows.append([method, len(seconds), *map(mean_sd, accuracies.T), f"{seconds.mean():.3f}"])
        if method in PUBLISHED: rows.append([f"*{method}, published*", 500, *(f"*{mean:.2f} ± {sd:.2f}*" for mean, sd in PUBLISHED[method]), ""])
    return markdown_table(["search", "runs", *DATASETS.values(), "seconds a run"], rows)


def curve_table(table, show):
    return markdown_table(["search", *map("{:,}".format, CHECKPOINTS)],
                          [[method, *(show(at[k]) if k < len(at) else "" for k in range(len(CHECKPOINTS)))] for method, at in curves(table)[0].items()])


def at(table, method, n): return curves(table)[0][method][CHECKPOINTS.index(n)]


def said(ok): return "met" if ok else "**missed**"


def targets():
    lines = []
    if found := found_cells():
        for i, (dataset, margin) in enumerate(zip(DATASETS.values(), (0.15, None, None))):
            gaps = {m: found[m][0][:, i].mean() - PUBLISHED[m][i][0] for m in PUBLISHED}
            ok = all(abs(gap) <= (margin or PUBLISHED[m][i][1]) for m, gap in gaps.items())
            lines.append(f"Reproduction on {dataset}, mean here less the published one: {', '.join(f'{m} {gap:+.2f}' for m, gap in gaps.items())}. Target ({f'within {margin}' if margin else 'within a standard deviation'}): {said(ok)}.")
        seconds = sum(found[m][1].sum() for m in TIMED)
        lines.append(f"Seconds for 500 runs of 100 queries of {', '.join(TIMED)} together: {seconds:.0f}. Target (under 60): {said(seconds < 60)}.")
    for n, goal in ((150, 94.2), (300, 94.3)):
        if not curves("CIFAR-10")[0]: break
        method = max((m for m, reached in curves("CIFAR-10")[0].items() if len(reached) > CHECKPOINTS.index(n)), key=lambda m: at("CIFAR-10", m, n).mean())
        values = at("CIFAR-10", method, n)
        lines.append(f"Best search on CIFAR-10 at {n} queries: {method}, {values.mean():.3f} (standard error {values.std(ddof=1)/math.sqrt(len(values)):.3f}, {len(values)} runs). Target (at least {goal}): {said(values.mean() >= goal)}.")
    return "\n".join(f"- {line}" for line in lines)


def claims():
    tables = [t for t in TABLES if curves(t)[0]]
    regret = lambda t, m, n: curves(t)[1] - at(t, m, n).mean()
    random = [regret(t, "random search", 20) for t in tables]
    best = [min((regret(t, m, 20), m) for m in METHODS if m in curves(t)[0]) for t in tables]
    verdict = "supported" if max(random) <= 0.5 and len(tables) == len(TABLES) else "supported in part" if min(best)[0] <= 0.5 else "not supported"
    lines = [f"Claim 25: mean regret at 20 queries {', '.join(f'on {t} {r:.2f} points with random search, {b:.2f} with the best of the searches ({m})' for t, r, (b, m) in zip(tables, random, best))}: {verdict}."]
    ends = []
    for rival in ("REINFORCE", "REINFORCE, LSTM"):
        said = []
        for t in tables:
            if rival not in curves(t)[0]: continue
            a, b = at(t, "evolution", 100), at(t, rival, 100)
            gap, margin = a.mean() - b.mean(), 1.96*math.sqrt(a.var(ddof=1)/len(a) + b.var(ddof=1)/len(b))
            said.append(f"{gap:+.2f} ± {margin:.2f} on {t}")
            if rival == "REINFORCE": ends.append((gap - margin, gap + margin))
        if rival == "REINFORCE":
            verdict = "undecided" if len(ends) < len(TABLES) else "supported" if all(low > -0.1 for low, _ in ends) else "not supported" if all(high < -0.1 for _, high in ends) else "undecided"
            lines.append(f"Claim 14: evolution less REINFORCE at 100 queries, points: {', '.join(said)}: {verdict}.")
        elif said: lines.append(f"Beside it, evolution less the LSTM's REINFORCE: {', '.join(said)}.")
    return "\n".join(f"- {line}" for line in lines)


def more_queries(table):
    best = curves(table)[1]
    return markdown_table(["search", "20", "200", "2,000"], [[m, *(f"{best - reached[k].mean():.2f}" if (k := CHECKPOINTS.index(n)) < len(reached) else "" for n in (20, 200, 2000))] for m, reached in curves(table)[0].items()])


def curve_section(table):
    return f"""## Curves on {table}

Mean test accuracy, %, of the cell with the best signal after so many queries. The best cell of the table has {curves(table)[1]:.2f}.

{curve_table(table, lambda v: f"{v.mean():.2f}")}
From the tenth to the ninetieth percentile of the runs:

{curve_table(table, lambda v: "{:.1f} to {:.1f}".format(*np.quantile(v, [0.1, 0.9])))}
## Regret on {table}

Mean distance to the best cell of the table, points of test accuracy.

{more_queries(table)}"""


def table():
    parts = [f"""# Architecture search on tables

Made by `python benchmarks/{NAME}.py` from {NAME}.csv and {NAME}_curves.csv. {conditions(NAME)}

Settings, seeds, statistics and thresholds are in the script's first lines. Rules, settings and thresholds were written before the runs; numbers of runs were cut twice during them (see there). Quick searches: 500 runs for the reproduction, 200 for the curves. LSTM, predictors and TPE: 100 runs for the reproduction, fewer for the curves (numbers in the same lines).

## Targets

{targets()}

## Claims

{claims()}
"""]
    if found_cells(): parts.append(f"""## Reproduction

Test accuracy after 200 epochs, %, mean ± standard deviation over runs, of the cell with the best CIFAR-10 validation accuracy after 12 epochs among 100. Best cells: 94.37, 73.51, 47.31.

{reproduction_table()}""")
    return "\n".join([*parts, *(curve_section(t) for t in TABLES if curves(t)[0])])


if __name__ == "__main__": main(NAME, run, table)
