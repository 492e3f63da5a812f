"""How good is the course's AutoML beside FLAML, TPOT, H2O and two models with default settings?

Six tasks (automl_tasks.py), 30 seconds of two cores each, three seeds, scored on rows that no contestant sees (balanced accuracy, R²).
Each tool has a Python environment of its own; FLAML and TPOT want different versions of xgboost:

    python -m venv flaml && flaml/bin/pip install "flaml[automl]==2.7.0"
    python -m venv tpot  && tpot/bin/pip install "tpot==1.1.0"
    python -m venv h2o   && h2o/bin/pip install "h2o==3.46.0.12" pandas pyarrow polars scikit-learn      # and Java 8 to 17
    python benchmarks/automl.py --python flaml=flaml/bin/python tpot=tpot/bin/python h2o=h2o/bin/python

A contestant without an environment is left out, and the script says so; H2O needs Java too. About an hour and a quarter, resumable; let nothing else run meanwhile.
`--tools`, `--tasks` and `--seeds` make a part of it; `--redo ours` makes the rows of a contestant again, after its code has changed. Rows of another budget (`--seconds 5`) are kept but don't enter the table.
automl_contestants.py says what each contestant is told.

Fixed before any result was seen, for two claims of the essay. Claim 1, automation makes it easier for beginners, who otherwise guess: supported if ours is ahead of a random pipeline in at least
80% of the runs and its mean rank is ahead of both baselines'. Claim 3, AutoML gives a baseline of what is attainable: supported if our 30 seconds stay behind the best of all contestants by at
most 0.01 in the median of the runs, and by at most 0.03 in the mean on the worst task.
"""
import json, os, pathlib, shutil, signal, subprocess, sys, tempfile

import numpy as np

from common import HERE, Rows, conditions, main, markdown_table, write_conditions

NAME = "automl"
SECONDS, SEEDS, TOLERATED = 30, range(3), 0.01
SEARCHES, BASELINES = ["ours", "FLAML", "TPOT", "H2O"], ["random forest", "boosting"]
EXTRAS = {"a guess": None, "boosting, weighted": ["credit", "grades"]} # not ranked; the tasks (None: all). The second: where classes are of unequal size
TOOLS = [*SEARCHES, *BASELINES, *EXTRAS]
OWN = {"FLAML": "flaml", "TPOT": "tpot", "H2O": "h2o"}                # the other contestants run in this Python
NEAR, FAR, MOST = 0.01, 0.03, 0.8                                    # thresholds of the claims

rows = lambda: Rows(NAME, ["task", "seed", "tool", "budget"], ["score", "fit_seconds", "predict_seconds", "load", "versions", "note"])


# ---- runs ----

def write_rows(folder, X, y, X_test):
    "Plain arrays, which any version of NumPy and pandas reads; the categories' names by column."
    categories = {c: list(X[c].cat.categories) for c in X.select_dtypes("category")}
    column = lambda frame, c: frame[c].cat.codes.to_numpy() if c in categories else frame[c].to_numpy(float)
    parts = {f"{part} {c}": column(frame, c) for part, frame in {"train": X, "test": X_test}.items() for c in X}
    np.savez(folder / "rows.npz", y=y, names=json.dumps(list(X)), **parts)
    return categories


def play(python, tool, task_name, seed, seconds):
    "One contestant on one task: the values of its row."
    from automl_contestants import PATIENCE, STOPPED
    from automl_tasks import task
    from sklearn.metrics import balanced_accuracy_score, r2_score
    X, y, X_test, y_test, kind = task(task_name, seed)
    load = f"{os.getloadavg()[0]:.2f}"
    free = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}  # two cores, and no other rule
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "job.json").write_text(json.dumps(dict(kind=kind, categories=write_rows(folder, X, y, X_test), seconds=seconds, seed=seed)))
        with (folder / "log").open("w") as log:
            process = subprocess.Popen([python, "-W", "ignore", HERE / "automl_contestants.py", tool, folder], cwd=folder, env=free, stdout=log, stderr=log, start_new_session=True)
            try: status = process.wait(600 if tool not in SEARCHES else PATIENCE * seconds + 120)
            except subprocess.TimeoutExpired: status = STOPPED
            finally:                                                 # and whatever it started
                try: os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError: pass
                process.wait()
        try: done, said = json.loads((folder / "done.json").read_text()), np.load(folder / "predictions.npy")
        except FileNotFoundError:
            last = (folder / "log").read_text(errors="replace").strip().split("\n")[-1][:200]
            return dict(score="", fit_seconds="", predict_seconds="", load=load, versions="",
                        note=f"failed: broken off after {PATIENCE} budgets" if status == STOPPED and tool in SEARCHES else f"failed: {last or f'exit status {status}'}")
    score = (r2_score if kind == "regression" else balanced_accuracy_score)(y_test, said)
    return dict(score=f"{score:.6f}", fit_seconds=f"{done['fit_seconds']:.2f}", predict_seconds=f"{done['predict_seconds']:.3f}", load=load, versions=done["versions"], note=done["note"])


def options(parser):
    parser.add_argument("--python", nargs="+", default=[], metavar="TOOL=PATH", help="the Python of flaml, tpot and h2o")
    parser.add_argument("--tools", nargs="+", metavar="NAME", help=f"only these: {', '.join(TOOLS)}")
    parser.add_argument("--tasks", nargs="+", metavar="NAME", help="only these tasks")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS), help="only these seeds")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="time budget (30)")
    parser.add_argument("--redo", nargs="+", default=[], metavar="NAME", help="drop the rows of these contestants first")


def present(given):
    "Contestants that can run here -> their Python."
    found = {tool: sys.executable for tool in TOOLS if tool not in OWN}
    for tool, key in OWN.items():
        if key not in given: print(f"{tool} is left out: no --python {key}=...", flush=True)
        elif not shutil.which(given[key]): raise SystemExit(f"there is no Python at {given[key]}.")
        elif tool == "H2O" and not (shutil.which("java") or os.environ.get("JAVA_HOME")): print("H2O is left out: no Java here", flush=True)
        else: found[tool] = os.path.abspath(shutil.which(given[key]))
    return found


def run(args):
    from automl_tasks import TASKS
    given = dict(pair.split("=", 1) for pair in args.python if "=" in pair)
    for what, names, known in [("contestant", [*(args.tools or []), *args.redo], TOOLS), ("task", args.tasks or [], TASKS), ("environment", list(given), set(OWN.values()))]:
        if unknown := [name for name in names if name not in known]: raise SystemExit(f"there is no {what} {unknown[0]!r}: {', '.join(sorted(known))}.")
    pythons, found = present(given), rows()
    for tool in args.redo: found.drop(tool=tool)
    budget = f"{args.seconds:g}"
    for seed in args.seeds:
        for name in args.tasks or TASKS:
            for tool in args.tools or TOOLS:
                if tool not in pythons or (tool in EXTRAS and EXTRAS[tool] and name not in EXTRAS[tool]) or (name, seed, tool, budget) in found: continue
                row = play(pythons[tool], tool, name, seed, args.seconds)
                found.add(task=name, seed=seed, tool=tool, budget=budget, **row)
                print(f"{name}, seed {seed}, {tool}: {row['score'] or '-'} after {row['fit_seconds'] or '-'} s {row['note']}", flush=True)
    write_conditions(NAME, "numpy", "pandas", "scikit-learn")


# ---- from raw results to the table ----

def in_budget(): return [r for r in rows().rows if float(r["budget"]) == SECONDS]


def scores():
    "Task -> tool -> one score a seed; NaN is a run that failed."
    from automl_tasks import TASKS
    found = {}
    for r in sorted(in_budget(), key=lambda r: (TASKS.index(r["task"]), int(r["seed"]))):
        found.setdefault(r["task"], {}).setdefault(r["tool"], []).append(float(r["score"] or "nan"))
    return {name: {tool: np.array(v) for tool, v in by.items()} for name, by in found.items()}


def contestants(): return [t for t in [*SEARCHES, *BASELINES] if any(r["tool"] == t for r in in_budget())]


def missing():
    from automl_tasks import TASKS
    have = {(r["task"], int(r["seed"]), r["tool"]) for r in in_budget()}
    wanted = {"ours", "FLAML", "TPOT", *BASELINES, *contestants()}
    return [f"{tool} on {name}" for name in TASKS for tool in TOOLS if tool in wanted and any((name, seed, tool) not in have for seed in SEEDS)]


def spread(values): return np.std(values, ddof=1)


def cell(values):
    "Mean ± standard deviation over the seeds that ended well."
    ended = values[~np.isnan(values)]
    failed = f" ({len(values) - len(ended)} of {len(values)} failed)" if len(ended) < len(values) else ""
    return (f"{ended.mean():.4f} ± {spread(ended):.4f}" if len(ended) > 1 else f"{ended[0]:.4f}" if len(ended) else "-") + failed


def score_table(by_task):
    from automl_tasks import kind
    columns = contestants() + [t for t in EXTRAS if any(t in by for by in by_task.values())]
    lines = []
    for name, by in by_task.items():
        best = max((t for t in by if not np.isnan(by[t]).all()), key=lambda t: np.nanmean(by[t]))
        cells = [cell(by[t]) if t in by else "" for t in columns]
        cells[columns.index(best)] = f"**{cells[columns.index(best)]}**"
        lines.append([f"{name} ({'R²' if kind(name) == 'regression' else 'balanced accuracy'})", *cells])
    return markdown_table(["", *columns], lines)


def ranks(by_task):
    "(task × seed) × contestant: 1 is best, ties share their ranks, a failed run is last."
    from scipy.stats import rankdata
    tools = contestants()
    table = [np.round(np.nan_to_num([by[t] for t in tools], nan=-np.inf), 10) for by in by_task.values()]
    return np.concatenate([rankdata(-t, axis=0).T for t in table])


def rank_table(by_task):
    tools, table = contestants(), ranks(by_task)
    per_task = table.reshape(len(by_task), -1, len(tools)).mean(1)
    lines = [[tools[i], f"{table[:, i].mean():.2f}", *(f"{r:.2f}" for r in per_task[:, i])] for i in np.argsort(table.mean(0))]
    return markdown_table(["", "mean rank", *by_task], lines)


def gap(by, other):
    "Ours minus another's, seed by seed, where both ended well."
    difference = by["ours"] - by[other]
    return difference[~np.isnan(difference)]


def gap_table(by_task):
    lines = []
    for name, by in by_task.items():
        line = [name]
        for other in [t for t in contestants() if t != "ours"]:
            d = gap(by, other)
            line.append(f"{d.mean():+.4f} ± {spread(d):.4f} ({d.min():+.4f})" if len(d) > 1 else "-")
        lines.append(line)
    return markdown_table(["ours minus", *(t for t in contestants() if t != "ours")], lines)


def fit_seconds(tool): return np.array([float(r["fit_seconds"]) for r in in_budget() if r["tool"] == tool and r["fit_seconds"]])


def time_table():
    lines = []
    for tool in [*contestants(), *EXTRAS]:
        mine = [r for r in in_budget() if r["tool"] == tool]
        if not mine: continue
        seconds, predict = fit_seconds(tool), [float(r["predict_seconds"]) for r in mine if r["predict_seconds"]]
        over = f"{seconds.max() / SECONDS - 1:+.0%}" if tool in SEARCHES and len(seconds) else ""
        lines.append([tool, *((f"{np.median(seconds):.1f}", f"{seconds.max():.1f}", over, f"{np.median(predict):.2f}") if len(seconds) else ("-", "-", "", "-")), f"{len(mine) - len(seconds)} of {len(mine)}"])
    return markdown_table(["", "fit: median, s", "fit: most, s", "most, beside the budget", "predict: median, s", "failed"], lines)


def aims(by_task):
    verdict, tools = (lambda ok: "met" if ok else "**missed**"), contestants()
    mean = dict(zip(tools, ranks(by_task).mean(0)))
    mean_gaps = {name: d.mean() for name, by in by_task.items() if len(d := gap(by, "FLAML"))}
    worst = min(mean_gaps, key=mean_gaps.get)
    failed = int(sum(np.isnan(by["ours"]).sum() for by in by_task.values()))
    longest = fit_seconds("ours").max()
    pairs = [np.nan_to_num(np.round([by["ours"], by["FLAML"]], 10), nan=-np.inf) for by in by_task.values()]
    better, equal = (int(sum(compare(*p).sum() for p in pairs)) for compare in (np.greater, np.equal))
    return markdown_table(["aim", "measured", "verdict"], [
        ["mean rank at or ahead of FLAML's", f"{mean['ours']:.2f} and {mean['FLAML']:.2f}; better in {better}, equal in {equal} of {len(ranks(by_task))} runs", verdict(mean["ours"] <= mean["FLAML"])],
        [f"never more than {TOLERATED:.0%} (a hundredth of balanced accuracy or R²) behind FLAML on a task, mean over seeds", f"worst: {mean_gaps[worst]:+.4f} on {worst}", verdict(mean_gaps[worst] >= -TOLERATED and not failed)],
        ["`fit` takes at most 10% more than its budget", f"{longest:.1f} s at most, of {SECONDS}", verdict(longest <= 1.1 * SECONDS and not failed)]])


def listed(names, none="none"): return (", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]) if names else none


def searches_better(by, baseline):
    "The searches whose lead over a baseline is larger than its standard deviation over the seeds."
    return [t for t in SEARCHES if t in by and len(d := (by[t] - by[baseline])[~np.isnan(by[t])]) > 1 and d.mean() > spread(d)]


def baseline_table(by_task):
    "For each task: the better baseline, the best search, and the searches that are not clearly ahead of the baseline."
    lines = []
    for name, by in by_task.items():
        baseline = max(BASELINES, key=lambda t: np.nanmean(by[t]))
        searches = [t for t in SEARCHES if t in by and not np.isnan(by[t]).all()]
        best = max(searches, key=lambda t: np.nanmean(by[t]))
        d = by[best] - by[baseline]
        clearly = searches_better(by, baseline)
        behind = [t for t in SEARCHES if t in by and (t not in searches or np.nanmean(by[t]) <= by[baseline].mean())]
        lines.append([name, baseline, f"{by[baseline].mean():.4f}", best, f"{np.nanmean(d):+.4f} ± {spread(d[~np.isnan(d)]):.4f}", listed([t for t in searches if t not in clearly and t not in behind]),
                      listed([t if t in searches else f"{t} (failed)" for t in behind])])
    return markdown_table(["", "better baseline", "its score", "best search", "its lead", "ahead, but within noise", "at or behind the baseline"], lines)


def baseline_wins(by_task):
    "Sentences on where a baseline is not worse than the searches."
    lines = []
    for baseline in BASELINES:
        unbeaten = [name for name, by in by_task.items() if not searches_better(by, baseline)]
        first = [name for name, by in by_task.items() if all(np.nanmean(by[t]) < by[baseline].mean() for t in SEARCHES if t in by and not np.isnan(by[t]).all())]
        wins = []
        for t in [t for t in contestants() if t in SEARCHES]:
            pairs = [(b, s) for by in by_task.values() for b, s in zip(by[baseline], by[t])]
            wins.append(f"{t} in {sum(not s > b for b, s in pairs)} of {len(pairs)}")
        lines.append(f"- The default {baseline} has a better mean than every search on: {listed(first)}. No search is ahead of it by more than noise on: {listed(unbeaten)}. It equals or beats {listed(wins)} runs.")
    return "\n".join(lines) + "\n"


def claims(by_task):
    "The essay's claims 1 and 3, by the statistics of the docstring."
    verdict = lambda ok: "supported" if ok else "not supported"
    mean = dict(zip(contestants(), ranks(by_task).mean(0)))
    pairs = [(a, b) for by in by_task.values() for a, b in zip(by["ours"], by["a guess"])]
    ahead = np.mean([a > b for a, b in pairs])
    gains = [np.median(np.concatenate([by["ours"] - by[t] for by in by_task.values()])) for t in BASELINES]
    short = {name: np.nanmax([np.nan_to_num(v, nan=-np.inf) for t, v in by.items() if t != "ours"] + [by["ours"]], axis=0) - by["ours"] for name, by in by_task.items()}
    every, worst = np.concatenate([*short.values()]), max(short, key=lambda name: short[name].mean())
    return markdown_table(["claim", "statistic", "verdict"], [
        ["1: automation helps a beginner, who would guess", f"ahead of a guess in {ahead:.0%} of {len(pairs)} runs; mean rank {mean['ours']:.2f} beside {listed([f'{mean[t]:.2f} ({t})' for t in BASELINES])}; median gain over them {listed([f'{g:+.4f}' for g in gains])}",
         verdict(ahead >= MOST and all(mean["ours"] < mean[t] for t in BASELINES))],
        ["3: its short run shows what is attainable", f"behind the best of all contestants by {np.median(every):.4f} in the median of {len(every)} runs, and by {short[worst].mean():.4f} on the worst task, {worst}", verdict(np.median(every) <= NEAR and short[worst].mean() <= FAR)]])


def failures():
    kinds = {}
    for r in in_budget():
        if not r["score"]: kinds.setdefault((r["tool"], r["note"]), []).append(f"{r['task']} (seed {r['seed']})")
    return "\n".join(f"- {tool} on {listed(where)}: {note}" for (tool, note), where in kinds.items()) or "- none"


def versions(): return "\n".join(f"- {tool}: {listed(sorted({r['versions'] for r in in_budget() if r['tool'] == tool and r['versions']}))}" for tool in contestants())


def table():
    if lacking := missing(): sys.exit(f"the table waits for rows of {len(lacking)} kinds, {lacking[0]} first: run `python benchmarks/{NAME}.py`.")
    by_task = scores()
    loads = [float(r["load"]) for r in in_budget()]
    without = "" if "H2O" in contestants() else "\n\nH2O is left out: it had no environment, or there was no Java."
    return f"""# How good is the course's AutoML?

Made by `python benchmarks/{NAME}.py` from {NAME}.csv. {conditions(NAME)}

## Aims

{aims(by_task)}
## Scores

{score_table(by_task)}
Mean ± standard deviation over {len(SEEDS)} seeds, on test rows that no contestant saw; the best mean of a task is bold. A seed decides which rows are training and which are test, and is the contestant's own seed. Budget: {SECONDS} seconds of two cores.
The baselines have no budget and no weights: they are what one line of scikit-learn gives. "boosting, weighted" is the line with `class_weight="balanced"`, where classes are of unequal size; "a guess" is a random pipeline. Neither is ranked.{without}

## Claims

{claims(by_task)}

## Ranks

{rank_table(by_task)}
Ranked for each task and seed among {len(contestants())} contestants (ties share their ranks, a failed run is last), then averaged: over all {len(ranks(by_task))}, and by task.

## How far ahead or behind

{gap_table(by_task)}
Ours minus the other, paired by seed: mean ± standard deviation, and the worst seed in brackets. Above zero, ours is better. Pairs with a failed run are left out here.

## Where the baselines already win

{baseline_wins(by_task)}
{baseline_table(by_task)}
Noise is the standard deviation of the paired differences over seeds: a search is ahead by more than noise if its mean lead is larger.

## Time

{time_table()}
Fit is all that `fit` does, encoding of the categories included; imports don't count, nor does the start of H2O's server. A search is broken off at three times its budget; the baselines have none.

Failed runs:

{failures()}

## What ran

{versions()}

The machine's load when a contestant began: {np.median(loads):.1f} in the median, {max(loads):.1f} at most. What each contestant was told: automl_contestants.py. How the tasks are made, and what makes them hard: automl_tasks.py.
"""


if __name__ == "__main__": main(NAME, run, table, options)
