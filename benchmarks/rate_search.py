"""Does the learning-rate finder settle the rate faster than a search over the rate alone? Random search, TPE and Hyperband against one range test. (Lesson 15, claim 33.)

`python benchmarks/rate_search.py` makes what is missing (about 20 minutes of one core; resumable) and writes the table. CIFAR-10 needs `COURSE_DATA` or the download, and is left out where it can't be had.

The seven tasks of one_cycle_tasks.py; a case is a task and a seed. Training is lesson 09's with fastai's defaults: one-cycle, AdamW (0.99, 1e-5, weight decay 0.01), batches of 64, for all of the task's N steps (256 to 800).
Planned are five seeds of six tasks and three of CIFAR-10, in the order of `ORDER`; on a busy machine the clock ends the run, which was decided with no result seen, and all cases that are complete by then count.
(Three seeds of the six tasks and two of CIFAR-10 were: 20 cases.)
Each case's oracle: 25 rates, a quarter of a decade apart, 1e-5 to 10, trained for N steps, and for N/3 and N/9 with a one-cycle of that length. There: a loss of at most 1.05 times the smallest of the 25.
Searches look up the nearest of the 25 rates instead of training; 200 simulated runs for each search and case. They draw from 1e-5 to 10, log-uniformly:
  random search; TPE (lesson 05's, defaults: its first 10 rates are random); Hyperband (lesson 04's, budgets N/9, N/3, N, again and again; a rate that goes on starts afresh, as the schedule's length differs).
The finder's rate is trained for real: lesson 08's `lr_find` with its defaults (up to 200 steps) and its default `suggestion`; beside it a third of that, lesson 09's rule fixed beforehand.
Both together: the range test, the suggestion first, then TPE over the whole range, or random search within the finder's interval (a factor of 6.8 to either side).
Without any search: 1e-3, fastai's default; and the one of the 25 rates that is there most often on the six other tasks.

Cost: steps of all trainings until the first one that is there, that one included, and the steps of the range test; in trainings of N steps. Infinite for a fixed rate that isn't there; searches end after 50 trainings.
Each way chooses by the validation loss (the smallest of the trainings of N steps so far). Whether it is there is decided by the validation loss; beside it by the test loss of the chosen rate against the smallest test loss of the 25.

Fixed before any result was seen:

Claim 33, the finder settles the rate faster than AutoML does. The finder is the default `suggestion` as it stands. Its median cost is over all cases, a search's over all cases and runs. Supported: its median is below that of each of
  the three searches. In part: it is there in less than half of the cases, but over those its median cost is below each search's over the same cases. Otherwise not supported.
Reported beside it, not deciding: the share of cases in which it is there at all; the same verdict for a third of the suggestion, and by the test loss; what a search that starts at the suggestion needs; other thresholds than 1.05;
  share of 1,000 bootstrap samples (tasks, and seeds within them) in which the finder's median is below each search's.

Added when the results were known, deciding nothing: the oracle's best rate, the suggestion and a third of it, trained again from two other weights and orders. The oracle is the luckiest of 25 trainings, and the searches look up that very
training; how often is its rate within 5% of it in another one?
"""
import functools, itertools, os, time

os.environ.setdefault("OMP_NUM_THREADS", "1")     # before NumPy is loaded

import numpy as np, pandas as pd

from common import HERE, Rows, conditions, main, markdown_table, write_conditions
from course_lib.data import DataError
from course_lib.halving import Hyperband
from course_lib.search import RandomSearch
from course_lib.spaces import Float, Space
from course_lib.surrogates import TPE
from one_cycle import TASKS, adamw, found_rate, numbers, train, values

NAME, PARTS, AGAIN = "rate_search", (9, 3, 1), (1, 2)
ORDER = [(task, seed) for seed in range(5) for task in TASKS[:-1]]
for n, place in enumerate((12, 19, 26)): ORDER.insert(place, (TASKS[-1], n))      # CIFAR-10 takes as long as all the others
RATES, WITHIN, N_RUNS, MOST, INTERVAL = np.logspace(-5, 1, 25), 1.05, 200, 50, 6.8
WEIGHTS = np.array([0.5, *[1]*23, 0.5])/24      # how often each of the 25 is the nearest to a random rate
SPACE = Space(lr=Float(1e-5, 10, log=True))
SEARCHES, STARTED = ("random search", "TPE", "Hyperband"), ("finder, then TPE", "finder, then random in its interval")
FINDER = {"the finder's suggestion": 1, "a third of it": 1/3}
FIXED = ("1e-3", "the other tasks' best rate")
METHODS = (*FINDER, *SEARCHES, *STARTED, *FIXED)
MEASURES = ("valid", "test")

grid_rows = lambda: Rows(NAME, ["task", "seed", "steps"], ["valid", "test", "seconds"])
finder_rows = lambda: Rows(f"{NAME}_finder", ["task", "seed"], ["suggestion", "range_steps", "steps", "valid", "test"])
again_rows = lambda: Rows(f"{NAME}_again", ["task", "seed", "again"], ["best_rate", *MEASURES])
search_rows = lambda: Rows(f"{NAME}_searches", ["task", "seed", "method"], ["valid", "test"])


# ---- runs ----

def shape(steps):
    "Rate (as a share of the largest) and momentum of every step of fastai's one-cycle."
    from course_lib.one_cycle import curve, one_cycle, one_cycle_momentum
    return zip(curve(one_cycle(1.0), steps), curve(one_cycle_momentum(), steps))


def batches(task, seed):
    "Batches of 64 without end, in the seed's order."
    loader = task.loader(seed, 64)
    while True: yield from loader


def train_all(task, seed, rates, steps):
    """One-cycle with fastai's defaults at several rates side by side: lists of validation and test losses.

    Each is what a training of its own gives, up to rounding (`check_side_by_side`): the networks begin alike and see the same batches, and AdamW's steps are written out."""
    import torch
    from torch.func import functional_call, grad, stack_module_state, vmap
    models = [task.model(seed) for _ in rates]
    params, buffers = stack_module_state(models)
    params = {name: p.detach() for name, p in params.items()}
    base = models[0].train()
    def loss(params, buffers, x, y): return task.loss(functional_call(base, (params, buffers), (x,)), y)
    gradient, rates = vmap(grad(loss), in_dims=(0, 0, None, None)), torch.tensor([float(r) for r in rates])
    first, second = [{name: torch.zeros_like(p) for name, p in params.items()} for _ in range(2)]
    for t, ((share, momentum), (x, y)) in enumerate(zip(shape(steps), batches(task, seed)), 1):
        g = gradient(params, buffers, x, y)
        for name, p in params.items():
            lr = (rates*share).reshape(-1, *[1]*(p.ndim - 1))
            first[name].lerp_(g[name], 1 - momentum)
            second[name].mul_(0.99).addcmul_(g[name], g[name], value=0.01)
            p.mul_(1 - lr*0.01).sub_(lr/(1 - momentum**t)*first[name]/((second[name]/(1 - 0.99**t)).sqrt() + 1e-5))
    for i, model in enumerate(models): model.load_state_dict({name: v[i] for name, v in (params | buffers).items()})
    return [[task.scores(model, part)[1] for model in models] for part in ("valid", "test")]


def check_side_by_side():
    "Two networks trained side by side against trainings of their own with torch's AdamW."
    from course_lib.one_cycle import OneCycle
    from one_cycle_tasks import TASKS as make
    for name in ("digits MLP", "digits convnet"):
        task, rates = make[name](0), (1e-3, 3e-2)
        together = np.transpose(train_all(task, 0, rates, 40))
        for rate, found in zip(rates, together):
            model = task.model(0)
            opt = adamw(model, 0.95)
            alone = train(task, 0, model, opt, OneCycle(opt, rate, 40), 64)[2:]
            assert np.allclose(alone, found, rtol=2e-3), (name, rate, alone, found)


def run_case(task, name, seed, grid, finder):
    "The oracle's trainings of one task and seed, and the finder's."
    for part in PARTS:
        steps = task.steps//part
        if (name, seed, steps) in grid: continue
        begun = time.process_time()
        valid, test = train_all(task, seed, RATES, steps)
        grid.add(task=name, seed=seed, steps=steps, valid=numbers(valid), test=numbers(test), seconds=f"{time.process_time() - begun:.2f}")
    if (name, seed) not in finder:
        suggestion, range_steps, _ = found_rate(task, seed, "adamw")
        valid, test = train_all(task, seed, [suggestion*multiple for multiple in FINDER.values()], task.steps)
        finder.add(task=name, seed=seed, suggestion=f"{suggestion:.5g}", range_steps=range_steps, steps=task.steps, valid=numbers(valid), test=numbers(test))


def options(parser): parser.add_argument("--until", help="begin no case after this time of day, such as 17:30")


def run(args):
    import torch
    torch.set_num_threads(1)
    from one_cycle_tasks import TASKS as make
    check_side_by_side()
    grid, finder = grid_rows(), finder_rows()
    for name, seed in ORDER:
        if args.until and time.strftime("%H:%M") >= args.until: break
        try: task = make[name](seed)
        except DataError as e:
            print(f"{name} is left for later: {e}", flush=True)
            continue
        run_case(task, name, seed, grid, finder)
        print(time.strftime("%H:%M:%S"), f"seed {seed}, {name}", flush=True)
    run_searches()
    run_again()
    write_conditions(NAME, "torch", "scikit-learn")


def run_again():
    "Train the oracle's best rate and the finder's from other weights, in another order."
    from one_cycle_tasks import TASKS as make
    found = again_rows()
    for case, again in itertools.product(cases(), AGAIN):
        if (case.task, case.seed, again) in found: continue
        best, task = RATES[case.full["valid"].argmin()], make[case.task](int(case.seed))
        valid, test = train_all(task, 1000*again + int(case.seed), [best, *[case.suggestion*multiple for multiple in FINDER.values()]], case.n)
        found.add(task=case.task, seed=case.seed, again=again, best_rate=f"{best:.5g}", valid=numbers(valid), test=numbers(test))


def run_searches():
    "Simulate what is missing."
    found = search_rows()
    for case, method in itertools.product(cases(), SEARCHES + STARTED):
        if (case.task, case.seed, method) in found: continue
        costs = [simulated(case, method, seed) for seed in range(N_RUNS)]
        found.add(task=case.task, seed=case.seed, method=method, **{m: " ".join(f"{cost:.3g}" for cost in column) for m, column in zip(MEASURES, zip(*costs))})
    print(time.strftime("%H:%M:%S"), "searches", flush=True)


# ---- searches, looked up ----

class Case:
    "A task and a seed: losses of the 25 rates at three lengths, and of the finder's rates."
    def __init__(self, grid, finder):
        self.task, self.seed, self.n = finder["task"], finder["seed"], int(finder["steps"])
        self.losses = {int(r["steps"]): {m: values(r, m) for m in MEASURES} for r in grid}
        self.full, self.suggestion, self.range_steps = self.losses[self.n], float(finder["suggestion"]), int(finder["range_steps"])
        self.found = {m: values(finder, m) for m in MEASURES}            # at each of FINDER's multiples

    def there(self, loss, measure, within=WITHIN): return loss <= within*self.full[measure].min()

    def look_up(self, rate, steps):
        "Validation and test loss of the nearest rate; the suggestion's own are known for N steps."
        if rate == self.suggestion and steps == self.n: return tuple(self.found[m][0] for m in MEASURES)
        nearest = np.abs(np.log(RATES/rate)).argmin()
        return tuple(self.losses[steps][m][nearest] for m in MEASURES)


@functools.cache
def cases():
    "All cases whose trainings are complete."
    grid = {}
    for r in grid_rows().rows: grid.setdefault((r["task"], r["seed"]), []).append(r)
    return [Case(grid[r["task"], r["seed"]], r) for r in finder_rows().rows if len(grid[r["task"], r["seed"]]) == len(PARTS)]


def optimizer_of(case, method, seed):
    "The search, and what is spent before its first training."
    if method == "random search": return RandomSearch(SPACE, seed=seed), 0
    if method == "TPE": return TPE(SPACE, seed=seed), 0
    if method == "Hyperband": return Hyperband(SPACE, seed=seed, max_budget=9, min_budget=1, repeats=None), 0
    near = Space(lr=Float(max(case.suggestion/INTERVAL, RATES[0]), min(case.suggestion*INTERVAL, RATES[-1]), log=True))
    opt = TPE(SPACE, seed=seed) if method == STARTED[0] else RandomSearch(near, seed=seed)
    opt.enqueue(dict(lr=case.suggestion))
    return opt, case.range_steps


def simulated(case, method, seed):
    "Cost until the choice is there, by validation and by test loss; infinite after 50 trainings' steps, and when the best of the 25 is chosen and isn't there."
    opt, spent = optimizer_of(case, method, seed)
    best, chosen, costs = np.inf, None, [np.inf, np.inf]
    while spent < MOST*case.n and np.isinf(costs).any() and best > case.full["valid"].min():
        trial = opt.ask()
        steps = case.n if trial.budget is None else case.n//(9//trial.budget)
        losses = case.look_up(trial.config["lr"], steps)
        opt.tell(trial, losses[0])
        spent += steps
        if steps < case.n: continue
        if losses[0] < best: best, chosen = losses[0], losses
        costs = [min(cost, spent/case.n) if case.there(loss, m) else cost for cost, loss, m in zip(costs, chosen, MEASURES)]
    return costs


def borrowed(case):
    "The rate that is there most often on the other tasks, by validation loss; the first among equals."
    others = [c.there(c.full["valid"], "valid") for c in cases() if c.task != case.task]
    return RATES[np.sum(others, axis=0).argmax()]


# ---- from raw results to the table ----

@functools.cache
def costs(method, measure):
    "A row for each case, a column for each run: cost in trainings."
    if method in SEARCHES + STARTED:
        rows = {(r["task"], r["seed"]): r for r in search_rows().rows if r["method"] == method}
        return np.array([values(rows[c.task, c.seed], measure) for c in cases()])
    def fixed(c):
        if method in FINDER: return c.found[measure][list(FINDER).index(method)], 1 + c.range_steps/c.n
        return c.look_up(1e-3 if method == FIXED[0] else borrowed(c), c.n)[MEASURES.index(measure)], 1
    return np.array([[cost if c.there(loss, measure) else np.inf] for c in cases() for loss, cost in [fixed(c)]])


def median(a): return float(np.quantile(a, 0.5, method="higher"))     # of an even number the upper one, as some are infinite


def verdict(method, measure, rows=slice(None)):
    "Claim 33's verdict by the rule for one of the finder's two rates."
    mine, theirs = costs(method, measure)[rows], {s: costs(s, measure)[rows] for s in SEARCHES}
    there = np.isfinite(mine[:, 0])
    if all(median(mine) < median(s) for s in theirs.values()): return "supported"
    if 0 < there.mean() < 0.5 and all(median(mine[there]) < median(s[there]) for s in theirs.values()): return "in part"
    return "not supported"


@functools.cache
def drawn():
    "Bootstrap samples of the cases' numbers: tasks, and seeds within them."
    rng, of = np.random.default_rng(3301), {}
    for i, c in enumerate(cases()): of.setdefault(c.task, []).append(i)
    groups = list(of.values())
    return [np.concatenate([rng.choice(groups[g], len(groups[g])) for g in rng.integers(len(groups), size=len(groups))]) for _ in range(1000)]


def show(value): return "never" if np.isinf(value) else f"{value:.1f}"


def method_table(measure):
    lines, finder = [], list(FINDER)[0]
    met = np.isfinite(costs(finder, measure)[:, 0])
    for method in METHODS:
        a = costs(method, measure)
        medians = [median(a[rows]) for rows in drawn()]
        low, high = [np.quantile(medians, q, method="nearest") for q in (0.025, 0.975)]
        ahead = f"{np.mean([median(costs(finder, measure)[rows]) < m for rows, m in zip(drawn(), medians)]):.0%}" if method in SEARCHES else ""
        lines.append([method, f"{show(median(a))} ({show(low)} to {show(high)})", f"{np.isfinite(a).mean():.0%}", *[f"{(a <= n).mean():.0%}" for n in (1, 2, 4, 8)], show(np.quantile(a, 0.9, method="higher")), show(median(a[met])), show(median(a[~met])) if (~met).any() else "", ahead])
    return markdown_table(["way", "median cost, trainings", "there in the end", *[f"there after {n}" for n in (1, 2, 4, 8)], "cost, 90%", "median where the suggestion is there", "median where it isn't", "bootstrap: the suggestion's median is smaller"], lines)


def task_table(measure):
    lines = []
    for task in counted():
        rows = [i for i, c in enumerate(cases()) if c.task == task]
        mine = [cases()[i] for i in rows]
        best = [RATES[c.full["valid"].argmin()] for c in mine]
        width = np.mean([c.there(c.full["valid"], "valid").sum() for c in mine])
        off = [c.found["valid"][0]/c.full["valid"].min() - 1 for c in mine]
        lines.append([task, mine[0].n, f"{np.median([c.range_steps for c in mine]):.0f}", f"{np.median(best):.2g}", f"{np.median([c.suggestion for c in mine]):.2g}", f"{width:.1f}", f"{np.median(off):+.0%}",
                      *[f"{np.isfinite(costs(m, measure)[rows]).sum()} of {len(rows)}" for m in FINDER], *[show(median(costs(m, measure)[rows])) for m in SEARCHES + STARTED]])
    return markdown_table(["task", "N, steps", "range test, steps", "best rate", "suggestion", "of 25 rates, there", "suggestion's loss above the best, median", *[f"{m}: there" for m in FINDER], *[f"{m}: median cost" for m in SEARCHES + STARTED]], lines)


def threshold_table():
    lines = []
    for within in (1.02, 1.05, 1.1, 1.2, 1.5):
        def share(loss_of, measure="valid"): return np.mean([c.there(loss_of(c), measure, within) for c in cases()])
        p = [WEIGHTS @ c.there(c.full["valid"], "valid", within) for c in cases()]
        lines.append([f"{within - 1:.0%}", *[f"{share(lambda c, i=i: c.found['valid'][i]):.0%}" for i in range(len(FINDER))], f"{share(lambda c: c.look_up(1e-3, c.n)[0]):.0%}", f"{share(lambda c: c.look_up(borrowed(c), c.n)[0]):.0%}", f"{np.mean(p):.0%}"])
    return markdown_table(["within so much of the oracle, at once", *FINDER, *FIXED, "a random rate"], lines)


def again_table():
    "How often a rate is within 5% of the oracle when it is trained again."
    by_case = {(c.task, c.seed): c for c in cases()}
    met = {task: {m: np.array([by_case[r["task"], r["seed"]].there(values(r, m), m) for r in again_rows().rows if task in (r["task"], "all")]) for m in MEASURES} for task in (*counted(), "all")}
    lines = [[task, len(of["valid"]), *[f"{share:.0%}" for m in MEASURES for share in of[m].mean(axis=0)]] for task, of in met.items()]
    return markdown_table(["trained again", "trainings", *[f"{name}, {'validation' if m == 'valid' else 'test'}" for m in MEASURES for name in ("the oracle's best rate", *FINDER)]], lines)


def claim_text():
    suggestion, third = FINDER
    there = np.isfinite(costs(suggestion, "valid")).mean()
    def cost(method): return f"{c:.1f} trainings" if np.isfinite(c := median(costs(method, "valid"))) else "infinite"
    others = ", ".join(f"{s} is {cost(s)}" for s in SEARCHES)
    said = {(m, measure): verdict(m, measure) for m in FINDER for measure in MEASURES}
    return (f"Claim 33, the finder settles the rate faster than AutoML does: **{said[suggestion, 'valid']}**. The finder's suggestion is within 5% of the oracle in {there:.0%} of {len(cases())} cases, and its median cost is {cost(suggestion)}; that of {others}. "
            f"By the test loss the verdict would be \"{said[suggestion, 'test']}\"; for a third of the suggestion \"{said[third, 'valid']}\" (test: \"{said[third, 'test']}\").")


def counted():
    "Task -> number of its cases."
    return {t: n for t in TASKS if (n := sum(c.task == t for c in cases()))}


def table():
    seconds = sum(float(r["seconds"]) for r in grid_rows().rows)
    return f"""# Does the finder settle the rate faster than a search?

Made by `python benchmarks/{NAME}.py` from {NAME}.csv, {NAME}_finder.csv and {NAME}_searches.csv ({len(grid_rows().rows)*len(RATES):,} trainings of the oracle, {seconds/60:.0f} minutes). {conditions(NAME)}

{claim_text()}

The script's first lines say how it was measured, and what was fixed before. Costs are in trainings of N steps, the range test included; "never": not there in half of the cases. {len(cases())} cases ({", ".join(f"{t} {n}" for t, n in counted().items())}), {N_RUNS} runs of each search and case.
Brackets: 95%, bootstrap over tasks and seeds. The median of an even number is the upper one.

## Until the validation loss is within 5% of the oracle's

{method_table("valid")}
## Until the chosen rate's test loss is within 5% of the oracle's

{method_table("test")}
## By task, validation

{task_table("valid")}
## Other thresholds, without any search

{threshold_table()}
## Afterwards: how much of the oracle is luck?

{again_table()}
The share of trainings that are within 5% of the oracle when a rate is trained again from two other weights and orders. A way that trains once can hardly be there more often than the oracle's own rate is when it is trained again.
"""


if __name__ == "__main__": main(NAME, run, table, options)
