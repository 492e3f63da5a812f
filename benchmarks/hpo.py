"""How good, and how fast, are the course's optimizers beside Optuna's and scikit-learn's?

`python benchmarks/hpo.py` makes what is missing of four parts (under an hour on one core; resumable) and writes the table:
quality (twelve problems, 60 trials), fidelity (epochs as budget), cost (seconds of ask and tell), workers (ASHA on two processes).
`python benchmarks/hpo.py quality --method TPE --redo` makes the rows of one contestant again, after its code has changed.
"""
import os, sys, time

os.environ.setdefault("OMP_NUM_THREADS", "1")     # before NumPy is loaded

import numpy as np

from common import HERE, Rows, conditions, main, markdown_table, write_conditions
from hpo_problems import FULL, PROBLEMS, EpochsSpent, mlp_space

NAME = "hpo"
SEEDS, LIVE_SEEDS, N_RANDOM, N_RANDOM_LIVE = range(20), range(5), 20_000, 500
CHECKPOINTS = (20, 40, 60)                                           # trials
EPOCHS = (135, 270, 540, 1080)                                       # 5, 10, 20 and 40 full trainings
COST_TASKS = {"TPE": [(d, n) for d in (6, 20) for n in (100, 1000, 3000)], "GPSearch": [(d, n) for d in (6, 20) for n in (100, 200)]}
COST_ROUNDS = {"TPE": 21, "GPSearch": 9, "minimize": 21}
MINIMIZE_TRIALS = 500

METHODS = ["RandomSearch", "TPE", "GPSearch", "ForestSearch", "Optuna TPE", "Optuna GP"]
LIKE = {"TPE": "Optuna TPE", "GPSearch": "Optuna GP"}                # whom each is measured against
OURS = METHODS[:4]
FIDELITY = ["RandomSearch, 27 epochs", "Hyperband", "ASHA", "BOHB", "Optuna Hyperband, random", "Optuna Hyperband, TPE"]

quality_rows = lambda: Rows(f"{NAME}_quality", ["problem", "method", "seed"], ["loss20", "loss40", "loss60", "seconds"])
random_rows = lambda: Rows(f"{NAME}_random", ["problem"], ["n", "median", "best"])
fidelity_rows = lambda: Rows(f"{NAME}_fidelity", ["method", "seed"], ["trials", "spent", *(f"loss{n}" for n in EPOCHS)])
cost_rows = lambda: Rows(f"{NAME}_cost", ["task", "dims", "trials", "round"], ["ours_ms", "theirs_ms", "load"])
worker_rows = lambda: Rows(f"{NAME}_workers", ["seed"], ["trials", "window", "busy", "startup"])


# ---- quality: 60 trials on twelve problems ----

def run_quality(methods):
    from hpo_contestants import SEARCHES, Record
    reference, found = random_rows(), quality_rows()
    for p in PROBLEMS.values():
        if (p.name,) in reference: continue
        rng = np.random.default_rng(2026)
        losses = [p.value(p.space.sample(rng)) for _ in range(N_RANDOM_LIVE if p.live else N_RANDOM)]
        reference.add(problem=p.name, n=len(losses), median=f"{np.median(losses):.6g}", best=f"{min(losses):.6g}")
    for method in [m for m in SEARCHES if m in (methods or SEARCHES)]:
        for p in PROBLEMS.values():
            if method == "RandomizedSearchCV" and not p.live: continue
            for seed in LIVE_SEEDS if p.live else SEEDS:
                if (p.name, method, seed) in found: continue
                objective, begun = Record(p.objective(seed)), time.perf_counter()
                SEARCHES[method](p.space, objective, seed)
                seconds = time.perf_counter() - begun - objective.seconds
                scores = [p.value(objective.chosen(n)) for n in CHECKPOINTS] if p.noise else [min(objective.losses[:n]) for n in CHECKPOINTS]
                found.add(problem=p.name, method=method, seed=seed, seconds=f"{seconds:.3f}",
                          **{f"loss{n}": f"{score:.8g}" for n, score in zip(CHECKPOINTS, scores)})
            print(f"{method} on {p.name}", flush=True)


# ---- fidelity: epochs as budget ----

def run_fidelity(methods):
    from hpo_contestants import FIDELITY_SEARCHES
    reference, found = random_rows(), fidelity_rows()
    if ("epochs",) not in reference:
        rng, recorder = np.random.default_rng(2026), EpochsSpent(np.inf)
        losses = [recorder.fully(mlp_space.sample(rng)) for _ in range(200)]
        reference.add(problem="epochs", n=len(losses), median=f"{np.median(losses):.6g}", best=f"{min(losses):.6g}")
    for method in [m for m in FIDELITY if m in (methods or FIDELITY)]:
        for seed in LIVE_SEEDS:
            if (method, seed) in found: continue
            recorder = EpochsSpent(EPOCHS[-1])
            n_configs = FIDELITY_SEARCHES[method](recorder, seed)
            found.add(method=method, seed=seed, trials=n_configs, spent=recorder.spent, **{f"loss{n}": f"{recorder.best(n):.6g}" for n in EPOCHS})
        print(f"{method} with epochs as budget", flush=True)


# ---- cost ----

def run_cost():
    from hpo_cost import minimize_round, paired_optimizers
    found = cost_rows()
    load = lambda: f"{os.getloadavg()[0]:.2f}"
    for name, tasks in COST_TASKS.items():
        for dims, trials in tasks:
            missing = [i for i in range(COST_ROUNDS[name]) if (name, dims, trials, i) not in found]
            if not missing: continue
            ours, theirs = paired_optimizers(name, dims, trials)
            for i in [-1, *missing]:                                 # the first round warms up
                ms = {f.__name__: f() for f in ((ours, theirs) if i % 2 else (theirs, ours))}
                if i >= 0: found.add(task=name, dims=dims, trials=trials, round=i, load=load(), **{f"{who}_ms": f"{t:.4f}" for who, t in ms.items()})
            print(f"cost of {name}, {dims} dimensions, {trials} trials", flush=True)
    for bar in (False, True):
        task = "minimize with bar" if bar else "minimize"
        for i in range(-1, COST_ROUNDS["minimize"]):
            if (task, 6, MINIMIZE_TRIALS, i) in found: continue
            with_minimize, bare = minimize_round(MINIMIZE_TRIALS, bar, i)
            if i >= 0: found.add(task=task, dims=6, trials=MINIMIZE_TRIALS, round=i, ours_ms=f"{with_minimize:.5f}", theirs_ms=f"{bare:.5f}", load=load())


# ---- workers ----

def run_workers():
    from hpo_cost import asha_on_two_workers
    found = worker_rows()
    for seed in range(3):
        if (seed,) not in found: found.add(seed=seed, **asha_on_two_workers(seed))


PARTS = dict(quality=run_quality, fidelity=run_fidelity, cost=run_cost, workers=run_workers)


def options(parser):
    parser.add_argument("part", nargs="*", help=f"which parts to run: {', '.join(PARTS)} (all)")
    parser.add_argument("--method", nargs="+", metavar="NAME", help="only these contestants of quality and fidelity")
    parser.add_argument("--redo", action="store_true", help="drop the rows of these contestants (or parts) first")


def run(args):
    parts = args.part or list(PARTS)
    if unknown := [p for p in parts if p not in PARTS]: raise SystemExit(f"there is no part {unknown[0]!r}: {', '.join(PARTS)}.")
    known = [*METHODS, "RandomizedSearchCV", *FIDELITY]
    if unknown := [m for m in args.method or () if m not in known]: raise SystemExit(f"there is no contestant {unknown[0]!r}: {', '.join(known)}.")
    for part in parts:
        if args.redo:
            rows = dict(quality=quality_rows, fidelity=fidelity_rows, cost=cost_rows, workers=worker_rows)[part]()
            for selection in [dict(method=m) for m in args.method] if args.method else [{}]: rows.drop(**selection)
        if part in ("quality", "fidelity"): PARTS[part](args.method)
        else: PARTS[part]()
    write_conditions(NAME, "numpy", "scipy", "scikit-learn", "optuna", "torch")


# ---- from raw results to the table ----

def references():
    "Problem -> (optimum, clip): the known optimum or the best loss that anybody saw, and the median loss of one random trial."
    found = {}
    for r in random_rows().rows:
        if r["problem"] == "epochs": continue
        p = PROBLEMS[r["problem"]]
        seen = [float(q["loss60"]) for q in quality_rows().rows if q["problem"] == p.name]
        found[p.name] = (min([float(r["best"]), *seen]) if p.live else p.optimum, float(r["median"]))
    return found


def regrets(n=60):
    "Problem -> method -> normalised regret after `n` trials, one number a seed."
    scales, found = references(), {}
    for r in sorted(quality_rows().rows, key=lambda r: int(r["seed"])):
        optimum, clip = scales[r["problem"]]
        found.setdefault(r["problem"], {}).setdefault(r["method"], []).append(min((float(r[f"loss{n}"]) - optimum) / (clip - optimum), 1))
    return {p: {m: np.array(v) for m, v in by.items()} for p, by in found.items()}


def standard_error(values): return np.std(values, ddof=1) / np.sqrt(len(values))


def mean_of(problems, method):
    "Mean over problems of the mean over seeds, and its standard error."
    values = [by[method] for by in problems.values()]
    return np.mean([v.mean() for v in values]), np.sqrt(sum(standard_error(v)**2 for v in values)) / len(values)


def regret_table(problems, methods):
    lines = [[name, *(f"{by[m].mean():.4f} ± {standard_error(by[m]):.4f}" for m in methods)] for name, by in problems.items()]
    means = {m: mean_of(problems, m) for m in methods}
    lines.append(["**mean**", *("**{:.4f} ± {:.4f}**".format(*means[m]) for m in methods)])
    return markdown_table(["normalised regret after 60 trials", *methods], lines)


def anytime_table(live, methods):
    lines = []
    for n in CHECKPOINTS:
        problems = select(regrets(n), live)
        lines.append([f"{n} trials", *(f"{mean_of(problems, m)[0]:.4f}" for m in methods)])
    return markdown_table(["mean normalised regret after", *methods], lines)


def select(by_problem, live):
    return {name: by_problem[name] for name, p in PROBLEMS.items() if p.live == live and name in by_problem}


def ranks(problems):
    "Problem × method: each seed's ranking of the methods (ties share their ranks), averaged over seeds."
    from scipy.stats import rankdata
    return np.array([rankdata(np.round([by[m] for m in METHODS], 10), axis=0).mean(1) for by in problems.values()])


def critical_difference(k, n):
    "Nemenyi's, at 5%: mean ranks of k methods over n problems that differ by less may well be equal (Demšar 2006)."
    q = {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949}[k]
    return q * np.sqrt(k * (k + 1) / (6 * n))


def head_to_head(problems, mine, other):
    "Differences in regret, one array a problem, and how often `mine` is better, equal and worse."
    differences = [by[mine] - by[other] for by in problems.values()]
    every = np.round(np.concatenate(differences), 10)
    return differences, [(every < 0).sum(), (every == 0).sum(), (every > 0).sum()]


def rank_table(problems):
    from scipy.stats import friedmanchisquare
    table, live = ranks(problems), np.array([PROBLEMS[name].live for name in problems])
    order = np.argsort(table.mean(0))
    first = [f"{METHODS[np.argmin(some.mean(0))]} ({some.mean(0).min():.2f}) on the {kind} problems" for kind, some in {"synthetic": table[~live], "live": table[live]}.items()]
    lines = [[METHODS[i], f"{table[:, i].mean():.2f}", f"{table[~live, i].mean():.2f}", f"{table[live, i].mean():.2f}", "{:.4f} ± {:.4f}".format(*mean_of(problems, METHODS[i]))]
             for i in order]
    return markdown_table(["", f"mean rank, {len(problems)} problems", "synthetic", "live", "mean normalised regret"], lines), " and ".join(first), friedmanchisquare(*table.T).pvalue


def fidelity_table():
    scale = next(r for r in random_rows().rows if r["problem"] == "epochs")
    rows = fidelity_rows().rows
    seen = [float(r[f"loss{n}"]) for r in rows for n in EPOCHS]
    best, clip = min([float(scale["best"]), *seen]), float(scale["median"])
    lines = []
    for method in FIDELITY:
        mine = [r for r in rows if r["method"] == method]
        line = [method]
        for n in EPOCHS:
            regret = np.minimum((np.array([float(r[f"loss{n}"]) for r in mine]) - best) / (clip - best), 1)
            line.append(f"{regret.mean():.4f} ± {standard_error(regret):.4f}")
        lines.append([*line, f"{np.mean([float(r['loss1080']) for r in mine]):.4f}", f"{np.mean([int(r['trials']) for r in mine]):.0f}"])
    return markdown_table(["normalised regret after", *(f"{n} epochs" for n in EPOCHS), "loss after 1080", "configurations"], lines), best, clip


def cost_medians():
    "(task, dims, trials) -> median of ours, of theirs, and of the ratio and the difference, round by round."
    grouped = {}
    for r in cost_rows().rows: grouped.setdefault((r["task"], int(r["dims"]), int(r["trials"])), []).append((float(r["ours_ms"]), float(r["theirs_ms"])))
    return {key: (*np.median(v, axis=0), np.median([a / b for a, b in v]), np.median([a - b for a, b in v])) for key, v in grouped.items()}


def cost_table():
    medians, lines = cost_medians(), []
    for name, tasks in COST_TASKS.items():
        for dims, trials in tasks:
            ours, theirs, ratio, _ = medians[name, dims, trials]
            lines.append([f"{name}: ask and tell after {trials:,} trials in {dims} dimensions", f"{ours:.2f}", f"{theirs:.2f}", f"{ratio:.3f}", "≤ 0.333", "met" if ratio <= 1 / 3 else "**missed**"])
    for task, aim in {"minimize": 0.1, "minimize with bar": 0.2}.items():
        ours, theirs, _, added = medians[task, 6, MINIMIZE_TRIALS]
        lines.append([f"`minimize`{' with the progress bar' if 'bar' in task else ''}: ms a trial, beside a bare loop", f"{ours:.3f}", f"{theirs:.3f}", f"+{added:.3f} ms", f"≤ {aim} ms", "met" if added <= aim else "**missed**"])
    busy = [float(r["busy"]) for r in worker_rows().rows]
    lines.append(["ASHA on two worker processes: share of the time that they are busy, least of three runs", f"{min(busy):.1%}", "", "", "≥ 95%", "met" if min(busy) >= 0.95 else "**missed**"])
    return markdown_table(["", "ours, ms", "Optuna or bare, ms", "ratio or difference", "aim", ""], lines)


def aims(problems):
    "The aims of the comparison, what was measured, and the verdict."
    lines, verdict = [], lambda ok: "met" if ok else "**missed**"
    for mine, other in LIKE.items():
        for what, some in {"all problems": problems, "synthetic": select(problems, False), "live": select(problems, True)}.items():
            differences, _ = head_to_head(some, mine, other)
            gap = np.mean([d.mean() for d in differences])
            error = np.sqrt(sum(standard_error(d)**2 for d in differences)) / len(differences)
            lines.append([f"{mine} no worse than {other} by 0.02 in mean normalised regret, {what}", f"{gap:+.4f} ± {error:.4f}", verdict(gap <= 0.02)])
    table = dict(zip(METHODS, ranks(problems).mean(0)))
    for mine, other in LIKE.items():
        _, (better, equal, worse) = head_to_head(problems, mine, other)
        lines.append([f"{mine} before {other} in mean rank", f"{table[mine]:.2f} and {table[other]:.2f}; better in {better}, equal in {equal}, worse in {worse} pairs", verdict(table[mine] < table[other])])
    first = min(table, key=table.get)
    lines.append(["first in mean rank: one of ours", f"{first}, {table[first]:.2f}", verdict(first in OURS)])
    costs = cost_medians()
    for name, tasks in COST_TASKS.items():
        ratios = [costs[name, d, n][2] for d, n in tasks]
        lines.append([f"{name}'s ask and tell take at most a third of Optuna's", f"{min(ratios):.3f} to {max(ratios):.3f}", verdict(max(ratios) <= 1 / 3)])
    return markdown_table(["aim", "measured", "verdict"], lines)


def worse_by(problems):
    "A sentence on the problems where one of ours is worse than its like by more than 0.02."
    found = [f"{mine} on {name} ({by[mine].mean() - by[other].mean():+.3f})" for mine, other in LIKE.items() for name, by in problems.items()
             if by[mine].mean() - by[other].mean() > 0.02]
    return f"Worse than the like sampler of Optuna by more than 0.02 on single problems: {', '.join(found) or 'none'}."


def missing():
    "What the table still lacks."
    quality, fidelity = quality_rows(), fidelity_rows()
    lacking = [f"{m} on {p.name}" for p in PROBLEMS.values() for m in [*METHODS, *(["RandomizedSearchCV"] if p.live else [])]
               if any((p.name, m, seed) not in quality for seed in (LIVE_SEEDS if p.live else SEEDS))]
    lacking += [f"{m} with epochs" for m in FIDELITY if any((m, seed) not in fidelity for seed in LIVE_SEEDS)]
    return lacking + [part for part, rows in dict(cost=cost_rows, workers=worker_rows).items() if not rows().rows]


def table():
    if lacking := missing(): sys.exit(f"the table waits for rows of {len(lacking)} kinds, {lacking[0]} first: run `python benchmarks/{NAME}.py`.")
    problems = regrets()
    synthetic, live = select(problems, False), select(problems, True)
    problems = {**synthetic, **live}
    rank_lines, first, p_value = rank_table(problems)
    fidelity, best, clip = fidelity_table()
    loads = [float(r["load"]) for r in cost_rows().rows]
    optima = "; ".join(f"{name} {references()[name][0]:.4g} and {references()[name][1]:.4g}" for name in live)
    return f"""# How good and how fast are the course's optimizers?

Made by `python benchmarks/{NAME}.py` from {NAME}_quality.csv, {NAME}_random.csv, {NAME}_fidelity.csv, {NAME}_cost.csv and {NAME}_workers.csv. {conditions(NAME)}

## Aims

{aims(problems)}
{worse_by(problems)} Differences are paired by seed; ± is one standard error throughout.

## Synthetic problems

{regret_table(synthetic, METHODS)}
{anytime_table(False, METHODS)}
Normalised regret is (loss − optimum)/(clip − optimum), at most 1; clip is the median loss of one random trial, from {N_RANDOM:,} of them. 20 seeds; 60 trials, of which the first ten are the same random points for every contestant.
Optuna's samplers have their defaults (`n_startup_trials=10`); so have ours. Ackley's optimum is shifted (to another place on each axis), and Branin's two coordinates are the 8th and the 14th of 20: the middle of the cube is never the answer.
The mixed function has a Choice that makes other parameters active, two Ints and two logarithmic Floats. The noisy quadratic (5 dimensions, noise of standard deviation 0.1, the same sequence for every contestant) is scored by the noise-free value of the configuration with the best noisy one.
The same seed repeats a search exactly on the same machine. Where arithmetic rounds otherwise in the last digit, a search that follows the highest point of a surface soon goes another way: expect other numbers for single problems, within a few standard errors.

## Live problems

{regret_table(live, [*METHODS, "RandomizedSearchCV"])}
{anytime_table(True, [*METHODS, "RandomizedSearchCV"])}
Five seeds, the same 60 trials. The loss is the validation error of an SVM (digits: mean of 4 splits with 200 training rows; wine: 25 splits with 24 rows), the validation cross-entropy of an MLP (breast cancer: 2 splits, 10 epochs; digits: 500 rows, 12 epochs), and the mean squared error of boosting over the variance (3 splits). A fit takes less than 0.2 s.
Nobody knows the optimum: the best loss that anybody saw stands for it, those of {N_RANDOM_LIVE} random trials included. Optimum and clip: {optima}.
RandomizedSearchCV is its sampling: ten shared points, then 50 from scikit-learn's ParameterSampler with the distributions that a user would write (SciPy's, one dict per kernel or solver), evaluated on the same splits. That is what `RandomizedSearchCV(cv=PredefinedSplit(…), refit=False)` computes.

## Ranks

{rank_lines}
![Mean ranks and Nemenyi's critical difference](../nbs/images/hpo_ranks.png)

The methods are ranked for each problem and seed after 60 trials (ties share their ranks), averaged over seeds and then over problems. First are {first}. Friedman's test over the {len(problems)} problems: p = {p_value:.2g}. Nemenyi's critical difference at 5%: {critical_difference(len(METHODS), len(problems)):.2f} ranks. It takes a problem as one observation, so it is on the careful side: averaging over seeds makes ranks steadier than the test assumes.
RandomizedSearchCV, which runs on the live problems only, is not ranked.

## Multi-fidelity

{fidelity}
An MLP on all 1,077 training digits, {FULL} epochs at most, η = 3, five seeds, the same first ten configurations. Every epoch that was really trained counts, and each promotion goes on from its checkpoint. The regret is that of the smallest validation cross-entropy with which a trial (at whatever budget) had ended by then; best seen {best:.4g}, clip {clip:.4g} (the median of 200 random full trainings).
BOHB is `Hyperband(space, sampler=TPE(space))`. Optuna's HyperbandPruner (1 to {FULL} epochs, `reduction_factor=3`, its defaults otherwise) sees the loss after every epoch and stops a trial for good; ours pause and resume.

## Cost

{cost_table()}
Medians of paired runs that take turns in one process with one thread; the ratio is the median of the rounds' ratios. {COST_ROUNDS['TPE']} rounds (GPSearch: {COST_ROUNDS['GPSearch']}). The histories are random trials of a quadratic function with the seed 0, given by `replay` here and by `study.add_trials` on Optuna's in-memory storage; a round is one ask and one tell.
`minimize` runs {MINIMIZE_TRIALS} trials of RandomSearch in 6 dimensions with a journal; the bare loop beside it makes the same asks, calls of the objective, journal writes and tells. The bar writes to a file that is thrown away.
ASHA runs {worker_rows().rows[0]['trials']} trials that sleep 0.5 to 1.5 s. Their time counts from when both have begun a first trial until one has ended its last. The machine's load during the runs: {np.median(loads):.1f} in the median, {max(loads):.1f} at most, of 2 cores.
"""


def pictures():
    "A critical-difference plot of the mean ranks."
    import matplotlib
    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    plt.style.use("course_lib.assets.course")
    problems = regrets()
    problems = {**select(problems, False), **select(problems, True)}
    mean = ranks(problems).mean(0)
    order, difference = np.argsort(mean), critical_difference(len(METHODS), len(problems))
    fig, ax = plt.subplots(figsize=(6.4, 2.6))
    for height, i in enumerate(order):
        ours = METHODS[i] in OURS
        ax.plot([mean[i], mean[i]], [-height, 1.2], color="0.75", ls="-", lw=0.8, zorder=0)
        ax.plot(mean[i], -height, "o" if ours else "s", color="C0" if ours else "0.35")
        ax.annotate(f"{METHODS[i]}  {mean[i]:.2f}", (mean[i], -height), (8, 0), textcoords="offset points", va="center")
    ends, level = -1, 0
    for a in range(len(order)):                                      # bars join what may well be equal
        b = max(j for j in range(len(order)) if mean[order[j]] - mean[order[a]] < difference)
        if b > max(a, ends):
            ax.plot(mean[order[[a, b]]], [0.5 + 0.3 * level] * 2, color="0.2", ls="-", lw=3, solid_capstyle="butt")
            level += 1
        ends = max(ends, b)
    ax.set(xlim=(1, len(METHODS) + 0.6), ylim=(-len(METHODS) + 0.4, 1.2 + 0.3 * level), yticks=[], xlabel="mean rank after 60 trials (1 is best)",
           title=f"Twelve problems; bars join what Nemenyi's test can't tell apart (difference {difference:.2f})")
    ax.grid(False)
    for side in ("left", "right", "top"): ax.spines[side].set_visible(False)
    fig.savefig(HERE.parent / "nbs" / "images" / "hpo_ranks.png", dpi=110)


if __name__ == "__main__": main(NAME, run, table, options, pictures)
