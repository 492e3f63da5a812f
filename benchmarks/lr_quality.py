"""How good is a suggested learning rate? Regret of every rule on twelve tasks, two optimisers and two budgets.

Oracle: twelve rates, half a decade apart, each averaged over three seeds, trained with one-cycle. A rule's rate comes from five
other seeds and is scored by interpolating the oracle's curve; one case in twenty is checked by really training.
Regret = (loss - best) / (initial - best), losses capped at twice the initial. Takes about an hour on two cores; resumable.
The CIFAR-10 task needs `COURSE_DATA` or the cached download.
"""
import contextlib, io, tempfile, time, warnings, zlib
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context

import numpy as np

from common import Rows, conditions, main, markdown_table, write_conditions

NAME = "lr_quality"
ORACLE_SEEDS, FINDER_SEEDS = range(3), range(10, 15)
RATES = {"sgd": np.logspace(-4.5, 1, 12), "adam": np.logspace(-5, 0.5, 12)}
RULES = ["bracket", "minimum/10", "steepest", "valley", "fastai valley", "fastai slide", "fastai minimum", "fastai steep", "torch-lr-finder", "fixed 1e-3"]
ours = RULES[:4]


def optimizer(name):
    import torch
    return partial(torch.optim.SGD, momentum=0.9) if name == "sgd" else torch.optim.Adam


def train(task, opt_name, rate, steps, seed):
    "One-cycle training from a fresh network: initial and final validation loss, and seconds."
    import torch
    model = task.model(seed)
    initial = task.valid_loss(model)
    begun = time.perf_counter()
    opt = optimizer(opt_name)(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(opt, rate, steps)
    model.train()
    done, dl = 0, task.loader(seed)
    while done < steps:
        for x, y in dl:
            loss = task.loss(model(x), y)
            opt.zero_grad()
            loss.backward()
            opt.step()
            schedule.step()
            done += 1
            if done == steps: break
        if not torch.isfinite(loss): break
    seconds = time.perf_counter() - begun
    return initial, task.valid_loss(model), seconds


def suggestions(task, opt_name, seed):
    "(rule, rate or nan, seconds of its range test) for every rule, each finder from the same weights."
    import matplotlib
    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    import torch
    from fastai.callback.schedule import minimum, slide, steep, valley
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner
    from fastai.optimizer import OptimWrapper
    from torch_lr_finder import LRFinder, TrainDataLoaderIter

    from course_lib.lr_finder import lr_find
    model, begun = task.model(seed), time.perf_counter()
    found = lr_find(model, task.loss, task.loader(seed), optimizer(opt_name)(model.parameters(), lr=1e-3), progress=False)
    seconds = time.perf_counter() - begun
    rows = [(rule, found.suggestions.get(rule, np.nan), seconds) for rule in ours]

    rules = (valley, slide, minimum, steep)
    dl = task.loader(seed)
    dl.device = None
    learn = Learner(DataLoaders(dl, dl), task.model(seed), task.loss, opt_func=partial(OptimWrapper, opt=optimizer(opt_name)), path=tempfile.mkdtemp())
    begun = time.perf_counter()
    with learn.no_bar(), contextlib.redirect_stdout(io.StringIO()):
        try: rates = tuple(learn.lr_find(show_plot=False, suggest_funcs=rules))
        except Exception: rates = (np.nan,) * 4         # some curves make fastai's rules raise an IndexError
    seconds = time.perf_counter() - begun
    rows += [(f"fastai {rule.__name__}", rate, seconds) for rule, rate in zip(rules, rates)]

    class Iter(TrainDataLoaderIter):
        def inputs_labels_from_batch(self, batch): return batch
    model, begun = task.model(seed), time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        finder = LRFinder(model, optimizer(opt_name)(model.parameters(), lr=1e-7), task.loss)
        finder.range_test(Iter(task.loader(seed)), end_lr=10, num_iter=100)
        try: rate = finder.plot(suggest_lr=True, ax=plt.subplots()[1])[1]
        except Exception: rate = np.nan                 # too few points before divergence
        finder.reset()
        plt.close("all")
    return [*rows, ("torch-lr-finder", rate, time.perf_counter() - begun), ("fixed 1e-3", 1e-3, 0.0)]


def one_task(name, opt_name, budgets, find):
    "What is missing of one task and optimiser, in a worker process: oracle rows and finder rows."
    warnings.simplefilter("ignore")
    import torch
    torch.set_num_threads(1)
    from lr_tasks import DEVELOPMENT, TASKS
    task = {**TASKS, **DEVELOPMENT}[name]()
    oracle = []
    for budget in budgets:
        for rate in RATES[opt_name]:
            for seed in ORACLE_SEEDS:
                initial, loss, seconds = train(task, opt_name, float(rate), task.steps[budget], seed)
                oracle.append(dict(task=name, optimiser=opt_name, budget=budget, rate=f"{rate:.6g}", seed=seed,
                                   initial=f"{initial:.6g}", loss=f"{loss:.6g}", seconds=f"{seconds:.4f}"))
    rows = []
    for seed in FINDER_SEEDS if find else ():
        rows += [dict(task=name, optimiser=opt_name, seed=seed, rule=rule, rate=f"{rate:.6g}", seconds=f"{seconds:.4f}")
                 for rule, rate, seconds in suggestions(task, opt_name, seed)]
    return oracle, rows


def check_case(name, opt_name, budget, rate):
    "Really train at a suggested rate, with the oracle's seeds."
    import torch
    torch.set_num_threads(1)
    from lr_tasks import DEVELOPMENT, TASKS
    task = {**TASKS, **DEVELOPMENT}[name]()
    return [train(task, opt_name, rate, task.steps[budget], seed)[1] for seed in ORACLE_SEEDS]


def sampled(row, budget):
    "One case in twenty, the same ones in every run."
    return zlib.crc32("|".join([row["task"], row["optimiser"], row["rule"], row["seed"], str(budget)]).encode()) % 20 == 0


oracle_rows = lambda: Rows(f"{NAME}_oracle", ["task", "optimiser", "budget", "rate", "seed"], ["initial", "loss", "seconds"])
finder_rows = lambda: Rows(f"{NAME}_finder", ["task", "optimiser", "seed", "rule"], ["rate", "seconds"])
check_rows = lambda: Rows(f"{NAME}_check", ["task", "optimiser", "budget", "seed", "rule"], ["rate", "loss"])


def run():
    from lr_tasks import DEVELOPMENT, TASKS
    oracle, finder, check = oracle_rows(), finder_rows(), check_rows()
    started = len(oracle.rows) + len(finder.rows) + len(check.rows)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        jobs = []
        for name in [*DEVELOPMENT, *TASKS]:
            for opt_name in RATES:
                last = [(name, opt_name, b, f"{RATES[opt_name][-1]:.6g}", max(ORACLE_SEEDS)) in oracle for b in (0, 1)]
                find = (name, opt_name, max(FINDER_SEEDS), RULES[-1]) not in finder
                if find or not all(last): jobs.append(pool.submit(one_task, name, opt_name, [b for b in (0, 1) if not last[b]], find))
        for i, job in enumerate(as_completed(jobs)):
            new_oracle, new_finder = job.result()
            for row in new_oracle: oracle.add(**row)
            for row in new_finder: finder.add(**row)
            print(f"{i + 1}/{len(jobs)} tasks", flush=True)
        cases = [(row, b) for row in finder.rows for b in (0, 1)
                 if row["task"] in TASKS and row["rate"] != "nan" and sampled(row, b)]
        jobs = {pool.submit(check_case, row["task"], row["optimiser"], b, float(row["rate"])): (row, b) for row, b in cases
                if (row["task"], row["optimiser"], b, row["seed"], row["rule"]) not in check}
        for job in as_completed(jobs):
            row, b = jobs[job]
            check.add(task=row["task"], optimiser=row["optimiser"], budget=b, seed=row["seed"], rule=row["rule"], rate=row["rate"],
                      loss=" ".join(f"{loss:.6g}" for loss in job.result()))
        print(f"{len(check.rows)} cases checked")
    if len(oracle.rows) + len(finder.rows) + len(check.rows) > started: write_conditions(NAME, "torch", "fastai", "torch-lr-finder", "scikit-learn")


# ---- from raw results to the table ----

def capped(loss, initial): return np.where(np.isfinite(loss), np.minimum(loss, 2 * initial), 2 * initial)


def oracle_curves():
    "(task, optimiser, budget) -> log10 rates, regret at each, seconds of one training, initial and best loss."
    grouped = {}
    for r in oracle_rows().rows: grouped.setdefault((r["task"], r["optimiser"], int(r["budget"])), []).append(r)
    curves = {}
    for key, rows in grouped.items():
        rates = sorted({float(r["rate"]) for r in rows})
        initial = np.mean([float(r["initial"]) for r in rows])
        loss = np.array([[float(r["loss"]) for r in rows if float(r["rate"]) == rate] for rate in rates])
        mean = capped(loss, initial).mean(1)
        curves[key] = dict(rates=np.log10(rates), regret=(mean - mean.min()) / (initial - mean.min()), initial=initial, best=mean.min(),
                           seconds=np.median([float(r["seconds"]) for r in rows]))
    return curves


def scored(names):
    "One dict a case: task, optimiser, budget, seed, rule, regret, offset in decades, cost as a share of training."
    curves, cases = oracle_curves(), []
    for row in finder_rows().rows:
        for budget in (0, 1):
            key = row["task"], row["optimiser"], budget
            if row["task"] not in names or key not in curves: continue
            curve, rate = curves[key], np.log10(float(row["rate"]))
            cases.append(dict(task=key[0], optimiser=key[1], budget=budget, seed=row["seed"], rule=row["rule"], rate=rate,
                              regret=np.interp(rate, curve["rates"], curve["regret"]) if np.isfinite(rate) else np.nan,
                              offset=rate - curve["rates"][np.argmin(curve["regret"])], cost=float(row["seconds"]) / curve["seconds"]))
    return cases


def interval_factor(cases):
    "The factor within which 80% of the best grid rates lie, to either side of `bracket`'s suggestion; no suggestion counts as a miss."
    distance = np.abs([c["offset"] for c in cases if c["rule"] == "bracket"])
    return 10 ** np.quantile(np.where(np.isfinite(distance), distance, np.inf), 0.8, method="higher")


def coverage(cases, calibration):
    "Share of `cases` inside an interval calibrated on the tasks of `calibration` other than the case's own."
    inside = []
    for task in sorted({c["task"] for c in cases}):
        factor = interval_factor([c for c in calibration if c["task"] != task])
        inside += [abs(c["offset"]) <= np.log10(factor) for c in cases if c["task"] == task and c["rule"] == "bracket"]
    return np.mean(inside)


def rule_table(cases):
    rows = []
    for rule in RULES:
        mine = [c for c in cases if c["rule"] == rule]
        regret = np.array([c["regret"] for c in mine])
        ok = np.isfinite(regret)
        offset = np.array([c["offset"] for c in mine])[ok]
        rows.append([rule, f"{np.median(regret[ok]):.3f}", f"{np.quantile(regret[ok], 0.9):.2f}", f"{regret[ok].max():.2f}", f"{np.median(offset):+.2f}",
                     f"{(regret[ok] >= 1).mean():.1%}", f"{(~ok).mean():.1%}", f"{np.median([c['cost'] for c in mine]):.2f}"])
    return markdown_table(["rule", "median regret", "90% regret", "worst regret", "median offset, decades", "diverging", "no suggestion", "cost, trainings"], rows)


def checks():
    "Regret by interpolation against regret by really training, for the cases checked."
    curves, pairs = oracle_curves(), []
    for r in check_rows().rows:
        curve = curves[r["task"], r["optimiser"], int(r["budget"])]
        loss = capped(np.array(r["loss"].split(), float), curve["initial"]).mean()
        trained = (loss - curve["best"]) / (curve["initial"] - curve["best"])
        pairs.append((np.interp(np.log10(float(r["rate"])), curve["rates"], curve["regret"]), trained))
    return np.array(pairs).reshape(-1, 2)


def random_search_cost(cases):
    "Expected number of trainings at log-uniform random rates until one has at most 0.05 regret, per task, optimiser and budget."
    return {key: 1 / max(np.mean(np.interp(np.linspace(*c["rates"][[0, -1]], 1001), c["rates"], c["regret"]) <= 0.05), 1e-3) for key, c in oracle_curves().items()}


def table():
    from course_lib.lr_finder import INTERVAL
    from lr_tasks import DEVELOPMENT, TASKS
    test, dev = scored(TASKS), scored(DEVELOPMENT)
    pairs, tries = checks(), random_search_cost(test)
    gap = np.abs(pairs[:, 0] - pairs[:, 1])
    mine = [c for c in test if c["rule"] == "bracket"]
    per_task = []
    for task in TASKS:
        row = [task]
        for opt_name in RATES:
            for b in (0, 1):
                chosen = [c["regret"] for c in mine if (c["task"], c["optimiser"], c["budget"]) == (task, opt_name, b)]
                row.append(f"{np.median(chosen):.3f}" if len(chosen) else "")
        per_task.append(row)
    return f"""# How good is a suggested learning rate?

Made by `python benchmarks/{NAME}.py` from {NAME}_oracle.csv, {NAME}_finder.csv and {NAME}_check.csv. {conditions(NAME)}

Regret is (loss − best)/(initial − best): 0 for the best of twelve rates half a decade apart (mean of three seeds, one-cycle), 1 for a network that learned nothing. Losses
are capped at twice the initial one. Each rule suggests from five other seeds; offset is log10(suggested/best). Diverging: a regret of 1 or more. Cost: seconds of the range test over seconds of one training.
The aim was a median of 0.01 and a worst of 0.1 for the default rule, `bracket`.

## Twelve test tasks × SGD and Adam × two budgets × five seeds

{rule_table(test)}
## Six development tasks, on which `bracket` was chosen

{rule_table(dev)}
The interval: 80% of the best grid rates of all eighteen tasks lie within a factor of {interval_factor(test + dev):.1f} of the suggestion; `LRFind.interval` uses {INTERVAL:g}. Calibrated on all tasks but the one it is tried on, it holds the best rate in {coverage(test, test + dev):.0%} of the test cases and {coverage(dev, test + dev):.0%} of the development cases, {coverage(test + dev, test + dev):.0%} together (aim: 80%).

Checked by really training {len(pairs)} cases ({len(pairs) / (2 * len([r for r in finder_rows().rows if r['task'] in TASKS])):.0%}): interpolated and trained regret differ by {np.median(gap):.3f} in the median and by {np.quantile(gap, 0.9):.2f} at the 90% point.

A random search over the grid's range needs {np.median([v for k, v in tries.items() if k[0] in TASKS]):.1f} trainings in the median until one lands within 0.05 regret; `bracket` is within 0.05 at once in {np.mean([c['regret'] <= 0.05 for c in mine]):.0%} of the cases.

## Median regret of `bracket`, task by task

{markdown_table(["task", "SGD, short", "SGD, long", "Adam, short", "Adam, long"], per_task)}"""


if __name__ == "__main__": main(NAME, run, table)
