"""What do gradient searches find, and which remedies help? Ten seeds of each on digits, three on CIFAR-10, looked up in the tables of trained cells.

    python benchmarks/darts_search.py                 # about an hour on one core; goes on where it stopped
    python benchmarks/darts_search.py --only digits   # or cifar: one half

The space is NAS-Bench-201's cell in `digits201_network`'s skeleton with 8 channels. The weights learn from the first 400 training images, α from the
other 400; validation and test images are never seen. 50 epochs, batches of 64, SGD from 0.025 along a cosine, Adam on α at 0.003 (the paper's 0.0003 is made for
20,000 steps; a search here has 350). That rate and the length were chosen on seeds 100 to 103 (0.0003, 0.003 and 0.03 at 50 epochs, 0.003 at 300), with the table's test accuracies
in view; perturbation had been tried on the same four seeds. Seeds 0 to 9, which are reported, had not been run.

A found cell's figure is its test accuracy in digits201 (one training of 10 epochs), and its rank: the share of all 15,625 cells that are worse.

Methods, 10 seeds (network and order of the images) of each:
  first, second, difference   the paper's three steps: first order, second order exact and by finite difference
  one part                    α and weights learn from the same 800 images, 25 epochs (as many steps)
  fixed                       α never moves: 50 epochs of the weights alone, which shows what the rule of choice does by itself
  long                        first order, 200 epochs; with R-DARTS's rule (a look at 64 images every 2 epochs) and DARTS+'s (2 skips), where they would have stopped it
  decay                       first order with ten times the weight decay, 0.003
  partial                     PC-DARTS with k = 2 and 15 epochs of warm-up
Each cell is chosen by weight, and by perturbation (5 epochs of tuning after each choice) where the column says so.

On CIFAR-10 (4,000 training images averaged to 16×16 pixels, half for the weights and half for α; `network201` with 8 channels and two cells per stage; 50 epochs, as above): first order with both rules
of choice and both rules for stopping. (PC-DARTS was planned as well, and cut for time before it was run.) Seeds 0 to 2; seed 100 was run before, by weight, and ended with six skips. Cells are looked up in NAS-Bench-201 (200 epochs). From `COURSE_DATA` (JPEG
files there) or downloads; left out where they can't be had.

The processes ran with course_lib.darts of commit 21f9df3. What changed there afterwards (checks, messages, running statistics that are put back) changes nothing that they compute: lesson 14's
cells, run later, give this table's cells of seed 0.

Fixed before the run:
Target: a found cell beats the median cell in at least 9 of 10 seeds. Reported for all methods and both rules; the lesson's default is first order, chosen by perturbation.
Claim 19 (a continuous space can be searched by gradients). Supported: first order, by weight, beats the median cell in at least 9 of 10 seeds. In part: it does so by perturbation, or with one of the remedies. Otherwise not supported.
Claim 20 (gradients are far more efficient than black-box search). Seconds of processor time of a first-order search, with its choice by perturbation, divided by the seconds of a 3-epoch training
  (the table's search signal; both timed in this run in turns), are so many queries. Random search and evolution (10 and 3), seeds 0 to 9, choose after as many queries. Supported: the median test accuracy of DARTS is higher
  than that of both. Not supported: it is lower than that of random search. Otherwise undecided.
"""
import functools, os, time

os.environ["OMP_NUM_THREADS"] = "1"
import numpy as np, pandas as pd, torch
from torch.nn import functional as F

from common import Rows, conditions, main, markdown_table, write_conditions
from course_lib.cells import Cell201, network201
from course_lib.data import DataError, cifar10
from course_lib.darts import DARTSNetwork, accuracy, discretise, eigenvalue_stop, one_hot, search, skip_stop
from course_lib.nas import RegularizedEvolution, _digits_tensors, digits201, incumbents, nasbench201, train_digits201
from course_lib.search import RandomSearch

NAME, SEEDS = "darts_search", range(10)
METHODS = {  # what differs from the default; rules of choice
    "first": ({}, ("weight", "perturbation")),
    "second": (dict(order=2), ("weight", "perturbation")),
    "difference": (dict(order=2, exact=False), ("weight",)),
    "one part": (dict(epochs=25), ("weight", "perturbation")),
    "fixed": (dict(warmup=50), ("perturbation",)),
    "long": (dict(epochs=200), ("weight", "perturbation")),
    "decay": (dict(weight_decay=3e-3), ("weight",)),
    "partial": (dict(warmup=15), ("weight", "perturbation")),
}
CIFAR = ("weight", "perturbation")

COLUMNS = ["cell", "gap_before", "gap_after", "seconds", "training_seconds", "stopped"]
found_rows = lambda: Rows(NAME, ["method", "seed", "rule"], COLUMNS)
cifar_rows = lambda: Rows(f"{NAME}_cifar", ["method", "seed", "rule"], COLUMNS)
lookup_rows = lambda: Rows(f"{NAME}_lookup", ["cell"], ["test"])
path_rows = lambda: Rows(f"{NAME}_paths", ["data", "method", "seed"], ["cells", "eigenvalues"])


def options(parser): parser.add_argument("--only", choices=["digits", "cifar"], help="one half")


def run(args):
    torch.set_num_threads(1)
    if args.only != "cifar": run_digits()
    if args.only != "digits":
        try: run_cifar()
        except DataError as e: print(f"without CIFAR-10: {e}")
    look_up()
    write_conditions(NAME, "torch")


def look_up():
    "NAS-Bench-201's test accuracy of every cell that the CIFAR-10 rows name, kept beside them, so that the table can be made without it."
    looked, names = lookup_rows(), {row["cell"] for row in cifar_rows().rows} | {cell for row in path_rows().rows if row["data"] == "cifar" for cell in row["cells"].split()}
    if all((name,) in looked for name in names): return
    try: published = nasbench201()
    except DataError as e: return print(f"without NAS-Bench-201: {e}")
    for name in sorted(names):
        if (name,) not in looked: looked.add(cell=name, test=published.test_accuracy(Cell201.from_str(name).to_config()))


class Watch:
    "Asks both rules for stopping, and goes on: what would each have said?"
    def __init__(self): self.rules, self.said = dict(eigenvalue=eigenvalue_stop(images=64), skips=skip_stop()), {}
    def __call__(self, network, history, valid):
        for name, rule in self.rules.items():
            if (said := rule(network, history, valid)) and name not in self.said: self.said[name] = (len(history), *said)


def one(found, paths, data, method, seed, rules, network, parts, valid, every, watched, **settings):
    "One search, and its cell by each rule of choice; with `watched`, by each rule for stopping as well."
    training = time.process_time()
    train_digits201(Cell201.from_config(digits201().space.sample(seed)), epochs=3, seed=seed, device="cpu")
    training, start, watch = time.process_time() - training, time.process_time(), Watch() if watched else None
    result = search(network, *parts, **settings, alpha_lr=3e-3, seed=seed, stop=watch, device="cpu", progress=False)
    searched = time.process_time() - start
    def chosen_at(epoch): return discretise(network, p={kind: torch.tensor(p[epoch]) for kind, p in result.mixtures.items()})
    if (data, method, str(seed)) not in paths:
        looks = result.history.get("eigenvalue", pd.Series(dtype=float)).dropna()
        paths.add(data=data, method=method, seed=seed, cells=" ".join(str(chosen_at(epoch)) for epoch in range(0, len(result.history) + 1, every)), eigenvalues=" ".join(f"{v:.4g}" for v in looks))
    note = dict(method=method, seed=seed, training_seconds=round(training, 3))
    for rule in rules:
        start = time.process_time()
        cell = result.cell if rule == "weight" else discretise(network, rule, train=parts[0], valid=parts[1], seed=seed)
        note |= dict(seconds=round(searched + time.process_time() - start, 2))
        if (method, str(seed), rule) not in found: found.add(**note, rule=rule, cell=cell, gap_before=accuracy(network, valid), gap_after=accuracy(network, valid, one_hot(network, cell)), stopped="")
    for rule in watch.rules if watch else ():
        at, take, why = watch.said.get(rule, (len(result.history),)*2 + ("never",))
        if (method, str(seed), rule) not in found: found.add(**note, rule=rule, cell=chosen_at(take), gap_before="", gap_after="", stopped=f"after epoch {at}, with α of epoch {take}: {why}")


def run_digits():
    found, paths, (x, y), valid = found_rows(), path_rows(), *_digits_tensors("cpu")[:2]
    for method, (settings, rules) in METHODS.items():
        parts = ((x, y), (x, y)) if method == "one part" else ((x[:400], y[:400]), (x[400:], y[400:]))
        for seed in SEEDS:
            if all((method, seed, rule) in found for rule in rules): continue
            torch.manual_seed(seed)
            network = DARTSNetwork("201", channels=8, n_in=1, k=2 if method == "partial" else 1)
            one(found, paths, "digits", method, seed, rules, network, parts, valid, 5, method == "long", **dict(dict(epochs=50), **settings))


def run_cifar():
    split, found, paths = cifar10(n_train=4000, n_valid=1000, n_test=1), cifar_rows(), path_rows()
    x, valid = [F.avg_pool2d(torch.as_tensor(part.x), 2) for part in (split.train, split.valid)]
    mean, std = x.mean((0, 2, 3), keepdim=True), x.std((0, 2, 3), keepdim=True)
    x, y, valid = (x - mean)/std, torch.as_tensor(split.train.y), ((valid - mean)/std, torch.as_tensor(split.valid.y))
    for seed in range(3):
        if all(("first", seed, rule) in found for rule in CIFAR): continue
        torch.manual_seed(seed)
        network = DARTSNetwork("201", channels=8, build=functools.partial(network201, n=2))
        one(found, paths, "cifar", "first", seed, CIFAR, network, ((x[:2000], y[:2000]), (x[2000:], y[2000:])), valid, 5, True, epochs=50)


def table():
    t = digits201()
    tests = np.sort(t.df.test.to_numpy())
    def test(cell): return t.test_accuracy(Cell201.from_str(cell).to_config())
    of = grouped(found_rows())
    texts = ["## What was found\n\n" + found_table(of, test, tests)
             + f"\nAll cells: median {np.median(tests):.1%}, best {tests[-1]:.1%}; six 3×3 convolutions have {t.test_accuracy(dict.fromkeys(t.space, 'nor_conv_3x3')):.1%}. Ten seeds; test accuracies of digits201; seconds of processor time for search and choice, on a machine that was busy with other things.\n",
             "## Every seed\n\n" + markdown_table(["test accuracy, %", *map(str, SEEDS)], [[name(*key), *[f"{100*test(row['cell']):.1f}" for row in group]] for key, group in of.items()]),
             "## Which operations\n\n" + markdown_table(["edges of six with", *t.space["0-1"].options], [[name(*key), *[f"{np.mean([Cell201.from_str(row['cell']).ops.count(op) for row in group]):.1f}" for op in t.space["0-1"].options]] for key, group in of.items()]),
             "## Longer is not better\n\n" + path_table("digits", "long", (0, 10, 20, 30, 40, 50, 75, 100, 150, 200), test, np.median(tests)) + "\nThe cell that the paper's rule would choose on the way through the long searches.\n",
             "## Where the rules stopped\n\n" + stop_table(of, test),
             "## Black-box search in the same time\n\n" + black_box(t, of, test, np.median(tests)),
             "## CIFAR-10\n\n" + cifar_table()]
    return f"# Gradient searches on digits and CIFAR-10\n\n`python benchmarks/darts_search.py` · {conditions(NAME)}\n\n" + "\n".join(texts)


def grouped(found):
    of = {}
    for row in found.rows: of.setdefault((row["method"], row["rule"]), []).append(row)
    return of


def name(method, rule): return f"{method}, {'stopped' if rule in ('eigenvalue', 'skips') else 'chosen'} by {rule}"


def found_table(of, test, tests):
    lines = []
    for key, group in of.items():
        a = np.array([test(row["cell"]) for row in group])
        cut = " → ".join(f"{100*np.mean([float(row[c]) for row in group]):.0f}" for c in ("gap_before", "gap_after")) if group[0]["gap_before"] else ""
        seconds = f"{np.median([float(row['seconds']) for row in group]):.0f}" if group[0]["gap_before"] else ""
        lines.append([name(*key), *[f"{100*q:.1f}" for q in np.quantile(a, [0, 0.5, 1])], f"{100*np.median(np.searchsorted(tests, a)/len(tests)):.0f}%", f"{(a > np.median(tests)).sum()} of {len(a)}", cut, seconds])
    return markdown_table(["search", "test accuracy, %: lowest", "median", "highest", "median rank", "better than the median cell", "supernet, then cut down to the cell, %", "seconds"], lines)


def path_table(data, method, epochs, test, median):
    paths = [[test(cell) for cell in row["cells"].split()] for row in path_rows().rows if (row["data"], row["method"]) == (data, method)]
    lines = [[n, f"{100*np.median(a):.1f}", f"{100*min(a):.1f}", f"{sum(v > median for v in a)} of {len(a)}"] for n in epochs if (a := [path[n//5] for path in paths])]
    return markdown_table(["after epochs", "median test accuracy, %", "lowest, %", "better than the median cell"], lines)


def stop_table(of, test):
    lines = []
    for rule in ("eigenvalue", "skips"):
        for row in of.get(("long", rule), []):
            end = next(r for r in of["long", "weight"] if r["seed"] == row["seed"])
            lines.append([f"{rule}, seed {row['seed']}", row["stopped"], f"{100*test(row['cell']):.1f}", f"{100*test(end['cell']):.1f}"])
    return markdown_table(["rule", "stopped", "test accuracy, %", "after 200 epochs"], lines)


def cifar_table():
    looked = {row["cell"]: float(row["test"]) for row in lookup_rows().rows}
    of = grouped(cifar_rows())
    lines = [[f"{name(*key)}, seed {row['seed']}", f"{100*looked[row['cell']]:.2f}", Cell201.from_str(row["cell"]).ops.count("skip_connect"), row["stopped"]] for key, group in of.items() for row in group]
    text = markdown_table(["search", "test accuracy in NAS-Bench-201, %", "skips of six", "stopped"], lines)
    paths = {row["seed"]: [Cell201.from_str(cell) for cell in row["cells"].split()] for row in path_rows().rows if (row["data"], row["method"]) == ("cifar", "first")}
    lines = [[5*i, *[f"{cells[i].ops.count('skip_connect')} ({100*looked[str(cells[i])]:.1f}%)" for cells in paths.values()]] for i in range(11)]
    return text + "\nFirst order: skips in the cell that the paper's rule would choose on the way (and that cell's test accuracy).\n\n" + markdown_table(["after epochs", *[f"seed {seed}" for seed in paths]], lines)


def black_box(t, of, test, median):
    darts = of["first", "perturbation"]
    seconds, training = np.median([float(r["seconds"]) for r in darts]), np.median([float(r["training_seconds"]) for group in of.values() for r in group])
    n = max(round(seconds/training), 1)
    a = {f"DARTS, first, by {rule}": [test(r["cell"]) for r in of["first", rule]] for rule in ("weight", "perturbation")}
    for name, make in (("random search", RandomSearch), ("evolution", lambda space, seed: RegularizedEvolution(space, seed, population=10, sample=3))):
        a[name] = [t.test_accuracy(incumbents(t, make(t.space, seed=seed), n)[-1]) for seed in SEEDS]
    lines = [[name, *[f"{100*q:.1f}" for q in np.quantile(v, [0, 0.5, 1])]] for name, v in a.items()]
    mine, random, evolution = [np.median(a[k]) for k in ("DARTS, first, by perturbation", "random search", "evolution")]
    verdict = "supported" if mine > max(random, evolution) else "not supported" if mine < random else "undecided"
    wins = {rule: sum(x > median for x in a[f"DARTS, first, by {rule}"]) for rule in ("weight", "perturbation")}
    remedies = [key for key, group in of.items() if sum(test(r["cell"]) > median for r in group) >= 9]
    claim19 = "supported" if wins["weight"] >= 9 else "in part" if remedies else "not supported"
    return (markdown_table(["test accuracy of the chosen cell, %", "lowest", "median", "highest"], lines)
            + f"\nA search takes {seconds:.1f} s and a 3-epoch training {training:.2f} s (medians), so the others look {n} cells up.\n\nClaim 19: {claim19}. Claim 20: {verdict}.\n")


if __name__ == "__main__": main(NAME, run, table, options)
