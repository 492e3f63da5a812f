"""What does a test accuracy depend on most: the architecture, the learning rate, the amount of data, or pretraining? One factorial experiment on two tasks. (Lesson 15, claim 27.)

`python benchmarks/variance.py` makes what is missing (about 25 minutes of one free core; resumable) and writes the table. CIFAR-10 needs `COURSE_DATA` or the download, and is left out where it can't be had.

Every level of every factor with every other: 6 × 7 × 3 × 2 = 252 trainings for each seed on digits, 144 on CIFAR-10. Three seeds were planned; on a busy machine the clock ends the run, which was decided with no analysis seen,
and every seed that is complete by then counts. (It didn't come to that: all three are complete.) A seed divides the images anew (digits) or draws others (CIFAR-10), and fixes weights and batches.
  Architecture: six cells drawn from NAS-Bench-201's space (seed 27; those whose output isn't connected to the input, and repetitions, are passed over).
  Learning rate: 0.001 to 1, a range that a search might be given; seven, half a decade apart, on digits, and four, a decade apart, on CIFAR-10 (cut from seven on a busy machine, before its first training).
  Amount of data: 50, 150 and 540 labelled images (digits: all of the training part, 535 to 541), as many of each class as can be.
  Pretraining: none, or the network without its last layer as it is after 300 steps at rate 0.1 on the other classes, once for each cell and seed.
Digits: classes 5 to 9 are the task, 0 to 4 are for pretraining; `digits201_network`, batches of 64, 130 steps. CIFAR-10, averaged to 16×16 pixels: classes 7 to 9 (horse, ship, truck) are the task,
3,500 images of the other seven are for pretraining; `network201` with 8 channels and one cell per stage, batches of 32, 120 steps. (From seed 1 on its memory format is channels last, which is faster and changes nothing but rounding.) Training is lesson 12's otherwise: SGD, Nesterov momentum 0.9, weight decay
5e-4, the rate falling along a cosine, batch norm's statistics taken anew from the labelled images at the end. A network whose scores aren't finite has a guess's accuracy.

Fixed before the run (a pilot with seed 100 looked at times, and at validation accuracies of a few trainings to see that the networks learn):

Analysis of variance of the test accuracy. Levels of rate, data and pretraining are as they are, each as likely as another; architectures and seeds are samples of many. The variance of one training is divided
  into each factor's main effect, all interactions, and the seeds' part (all that differs between two trainings with equal levels). First-order share: the main effect. Total share: the main effect and all
  interactions in which the factor takes part; total shares add up to more than 1. All of it without bias: what two seeds, and two architectures, have in common is estimated from products of different ones.
  So a small share can come out below 0. `check_decomposition` compares it with closed forms.
  Intervals: 95%, percentiles of 1,000 bootstrap samples of architectures and seeds; six and three are few, so they are rough.
Twice for each task, which makes four cases:
  a guesser: all levels;
  a practitioner: the three better architectures, and the rates within a factor of ten of the best one, both by mean validation accuracy over all other levels and seeds; the two larger amounts of data.
Claim 27, the architecture is rarely the hardest, slowest or most important part. Supported: in all four cases the architecture's total share is below the largest of the other three. In part: in at least two. Otherwise not supported.
Reported beside it, not deciding: the same for the logarithm of the test error (half an image added to the wrong ones, one to all); a third version, one who knows the rate but not the architecture
  (sensible rates, all other levels); a fourth, all levels without the worst cell by validation (the pilot showed that cell B, nothing but 3×3 averages, hardly learns digits, where nothing but the cell looks
  beyond a pixel; such cells belong to the space, and it stays among the six); whether the bootstrap is sure of each comparison; standard deviations in points; mean accuracies by level.
"""
import collections, functools, itertools, os, time

os.environ.setdefault("OMP_NUM_THREADS", "1")     # before NumPy is loaded

import numpy as np, pandas as pd

from common import HERE, Rows, conditions, main, markdown_table, write_conditions
from course_lib.cells import EDGES, Cell201, cell201_space, digits201_network, network201
from course_lib.data import DataError, cifar10, digits
from course_lib.nas import digits201

NAME, SEEDS = "variance", range(3)            # as planned
FACTORS = ("architecture", "learning rate", "amount of data", "pretraining")
RATES = {task: tuple(float(f"{rate:.3g}") for rate in np.logspace(-3, 0, n)) for task, n in (("digits", 7), ("cifar10", 4))}
AMOUNTS, PRETRAINED = (50, 150, 540), ("no", "yes")
LETTERS = "ABCDEF"
TASKS = {"digits": "digits, 5 of 10 classes", "cifar10": "CIFAR-10 at 16×16, 3 of 10 classes"}
VERSIONS = ("guesser", "practitioner", "rate known", "five cells")
AFTERWARDS = ("practitioner, two best rates", "practitioner, all cells that learn")       # looked at because of the results
MEASURES = {"accuracy": "test accuracy", "log error": "logarithm of the test error"}

training_rows = lambda: Rows(NAME, ["task", "seed", "cell", "pretrained", "images", "rate"], ["valid", "test", "valid_images", "test_images", "seconds"])


@functools.cache
def cells():
    "Letter -> one of the six cells."
    rng, found = np.random.default_rng(27), {}
    while len(found) < len(LETTERS):
        cell = Cell201.from_config(cell201_space().sample(rng))
        if "0" in cell.unique: found.setdefault(cell.unique, cell)
    return dict(zip(LETTERS, found.values()))


# ---- runs ----

Task = collections.namedtuple("Task", "train valid test others build batch steps")   # four pairs of images and classes; from a cell and a number of classes to a network


def balanced(x, y):
    "The images in an order in which every beginning has nearly as many of each class."
    rank = np.zeros(len(y), dtype=int)
    for c in np.unique(y): rank[y == c] = np.arange((y == c).sum())
    order = np.lexsort((y, rank))
    return x[order], y[order]


def task_of(name, seed):
    "The images of a task, divided by a seed. Raises DataError where there is no CIFAR-10."
    import torch
    from torch.nn import functional as F
    small = name == "digits"
    split, first = (digits(seed), 5) if small else (cifar10(n_train=5000, n_valid=1000, n_test=2000, seed=seed), 7)
    def image(x): return torch.as_tensor(x) if small else F.avg_pool2d(torch.as_tensor(x), 2)
    mean, std = (0, 1) if small else [f(image(split.train.x), dim=(0, 2, 3), keepdim=True) for f in (torch.mean, torch.std)]
    def pair(x, y): return (image(x) - mean)/std, torch.as_tensor(y)
    def kept(part, held_out):
        rows = (part.y >= first) == held_out
        return pair(*balanced(part.x[rows], part.y[rows] - first*held_out))
    build = (lambda cell, n_out: digits201_network(cell, n_out=n_out)) if small else (lambda cell, n_out: network201(cell, 8, 1, n_out).to(memory_format=torch.channels_last))
    return Task(*[kept(part, True) for part in (split.train, split.valid, split.test)], kept(split.train, False), build, *(64, 130) if small else (32, 120))


def train(network, x, y, rate, steps, batch, seed):
    "SGD along a cosine, and batch norm's statistics anew. Ends early when the loss isn't finite."
    import torch
    from torch.nn import functional as F
    from torch.optim.swa_utils import update_bn
    from lr_tasks import Batches
    opt = torch.optim.SGD(network.parameters(), rate, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(opt, steps)
    loader = Batches(x, y, min(batch, len(x)), seed)
    network.train()
    for x_batch, y_batch in itertools.islice(itertools.chain.from_iterable(itertools.repeat(loader)), steps):
        loss = F.cross_entropy(network(x_batch), y_batch)
        if not loss.isfinite(): break
        loss.backward()
        opt.step()
        opt.zero_grad()
        schedule.step()
    update_bn(x.split(64), network)


def accuracy(network, x, y):
    "Share of images named rightly; a guess's if a score isn't finite."
    import torch
    network.eval()
    with torch.no_grad(): scores = network(x)
    return (scores.argmax(1) == y).float().mean().item() if scores.isfinite().all() else 1/scores.shape[1]


def fresh(task, cell, n_out, seed):
    "A network with the seed's weights."
    import torch
    torch.manual_seed(seed)
    return task.build(cell, n_out)


def pretrained_body(task, cell, seed):
    "Weights of a network trained on the other classes, without its last layer's."
    x, y = task.others
    network = fresh(task, cell, len(y.unique()), seed)
    train(network, x, y, 0.1, 300, task.batch, seed)
    last = f"{len(network) - 1}."
    return {name: w for name, w in network.state_dict().items() if not name.startswith(last)}


def one(task, cell, body, images, rate, seed):
    "One training: validation and test accuracy, and seconds."
    start = time.process_time()
    network = fresh(task, cell, len(task.train[1].unique()), seed)
    if body: network.load_state_dict(body, strict=False)
    x, y = task.train
    train(network, x[:images], y[:images], rate, task.steps, task.batch, seed)
    return accuracy(network, *task.valid), accuracy(network, *task.test), time.process_time() - start


def run():
    import torch
    torch.set_num_threads(1)
    rows = training_rows()
    for seed, name in itertools.product(SEEDS, TASKS):
        levels = list(itertools.product(AMOUNTS, RATES[name]))
        try: task = task_of(name, seed)
        except DataError as e:
            print(f"{name} is left for later: {e}", flush=True)
            continue
        for letter, cell in cells().items():
            if all((name, seed, letter, p, *level) in rows for p in PRETRAINED for level in levels): continue
            bodies = {"no": None, "yes": pretrained_body(task, cell, seed)}
            for p, (images, rate) in itertools.product(PRETRAINED, levels):
                if (name, seed, letter, p, images, rate) in rows: continue
                valid, test, seconds = one(task, cell, bodies[p], images, rate, seed)
                rows.add(task=name, seed=seed, cell=letter, pretrained=p, images=images, rate=rate, valid=f"{valid:.6f}", test=f"{test:.6f}",
                         valid_images=len(task.valid[1]), test_images=len(task.test[1]), seconds=f"{seconds:.3f}")
            print(time.strftime("%H:%M:%S"), name, f"seed {seed}, cell {letter}", flush=True)
    write_conditions(NAME, "torch", "scikit-learn")


# ---- analysis of variance ----

def products(y):
    "Subset of the fixed factors -> products of the deviations that belong to it, averaged over its levels: A²×S², pairs of architectures by pairs of seeds. `y` is A×S×levels of each fixed factor."
    found = {(): y}
    for axis, name in enumerate(FACTORS[1:], 2):
        means = {subset: z.mean(axis, keepdims=True) for subset, z in found.items()}
        found = means | {(*subset, name): z - means[subset] for subset, z in found.items()}
    flat = {subset: z.reshape(len(y)*y.shape[1], -1) for subset, z in found.items()}
    n_a, n_s = y.shape[:2]
    return {subset: (z @ z.T/z.shape[1]).reshape(n_a, n_s, n_a, n_s).transpose(0, 2, 1, 3).reshape(n_a**2, n_s**2) for subset, z in flat.items()}


def components(grams, a, s):
    "Subset of the factors, or 'seeds' -> its part of the variance; `a` and `s` say how often each architecture and seed counts."
    other_a, other_s = [np.outer(w, w) * (1 - np.eye(len(w))) for w in (a, s)]         # pairs of different ones
    same_a, same_s = [np.diag(other.sum(1)) for other in (other_a, other_s)]           # those in the pairs, each with itself
    by_a, by_s = [np.stack([w.ravel()/w.sum() for w in pair]) for pair in ((same_a, other_a), (same_s, other_s))]
    found = {"seeds": 0.0}
    for subset, means in zip(grams, by_a @ np.stack([*grams.values()]) @ by_s.T):
        (whole, kept), (_, common) = means
        found["seeds"] += whole - kept                     # what two seeds don't have in common
        found[FACTORS[0], *subset] = kept - common         # what two architectures don't have in common
        if subset: found[subset] = common
    return found


def shares(found):
    "Rows first and total, columns the four factors and the seeds: shares of the variance."
    total = sum(found.values())
    first = [found[(f,)] for f in FACTORS] + [found["seeds"]]
    every = [sum(v for subset, v in found.items() if subset != "seeds" and f in subset) for f in FACTORS] + [found["seeds"]]
    return np.array([first, every])/total


def check_decomposition():
    "Closed forms: an additive function, a pure interaction, and noise alone."
    rng = np.random.default_rng(0)
    a, l, d, p = [rng.normal(size=n) for n in (6, 7, 3, 2)]
    once = np.ones(6), np.ones(3)
    def of(y): return components(products(np.broadcast_to(y[:, None], (6, 3, 7, 3, 2))), *once)
    additive = of(a[:, None, None, None] + l[:, None, None] + d[:, None] + p)
    for subset, value in additive.items():
        exact = {(FACTORS[0],): a.var(ddof=1), **{(f,): x.var() for f, x in zip(FACTORS[1:], (l, d, p))}}.get(subset, 0)
        assert abs(value - exact) < 1e-12, (subset, value, exact)
    a, l, d = a - a.mean(), l - l.mean(), d - d.mean()
    fixed = of(0*a[:, None, None, None] + l[:, None, None]*d[:, None] + 0*p)
    assert abs(fixed[FACTORS[1:3]] - l.var()*d.var()) < 1e-12 and abs(sum(fixed.values()) - l.var()*d.var()) < 1e-12
    assert np.allclose(shares(fixed), [[0, 0, 0, 0, 0], [0, 1, 1, 0, 0]])
    with_a = of(a[:, None, None, None]*l[:, None, None] + 0*d[:, None] + 0*p)     # Σa = 0: two different architectures' mean product is -Σa²/30
    assert abs(with_a[FACTORS[:2]] - a.var(ddof=1)*l.var()) < 1e-12 and abs(with_a[(FACTORS[1],)] + (a**2).sum()/30*l.var()) < 1e-12
    many = [components(products(rng.normal(size=(6, 3, 7, 3, 2))), *once) for _ in range(300)]
    for subset in many[0]:
        values = np.array([m[subset] for m in many])
        assert abs(values.mean() - (subset == "seeds")) < 4*values.std()/np.sqrt(300), subset
    y = rng.normal(size=(6, 3, 7, 3, 2))
    none, without = [components(products(part), counts, np.ones(3)) for part, counts in ((y, np.array([2., 1, 1, 1, 1, 0])), (y[:5], np.array([2., 1, 1, 1, 1])))]
    assert all(abs(none[subset] - without[subset]) < 1e-12 for subset in none)     # an architecture that wasn't drawn leaves no trace
    uneven = np.array([3., 1, 1, 1, 0, 0]), np.array([2., 1, 0])
    low, high = [components(products(y + level), *uneven) for level in (0, 100)]
    assert all(abs(low[subset] - high[subset]) < 1e-9 for subset in low)           # nor does the mean, however often each is drawn


# ---- from raw results to the table ----

@functools.cache
def frame():
    "A row per training, numbers as numbers, with the logarithm of the test error."
    df = pd.DataFrame(training_rows().rows)
    numeric = [c for c in df if c not in ("task", "cell", "pretrained")]
    df[numeric] = df[numeric].apply(pd.to_numeric)
    wrong = ((1 - df.test)*df.test_images).round()
    return df.assign(log_error=np.log((wrong + 0.5)/(df.test_images + 1)))


@functools.cache
def complete(task):
    "The seeds that have all their trainings."
    counts = frame()[frame().task == task].seed.value_counts()
    return sorted(counts.index[counts == len(LETTERS)*len(RATES[task])*len(AMOUNTS)*len(PRETRAINED)])


def tasks(): return [t for t in TASKS if len(complete(t)) > 1]


def rows_of(task): return frame()[(frame().task == task) & frame().seed.isin(complete(task))]


def levels(task, version):
    "The cells, rates and amounts of data of a version, chosen by validation accuracy."
    df = rows_of(task)
    by_cell, by_rate = [df.groupby(column).valid.mean() for column in ("cell", "rate")]
    sensible = [r for r in RATES[task] if 1/10.1 < r/by_rate.idxmax() < 10.1]
    if version == "guesser": return list(LETTERS), list(RATES[task]), list(AMOUNTS)
    if version == "rate known": return list(LETTERS), sensible, list(AMOUNTS)
    if version == AFTERWARDS[0]: return sorted(by_cell.nlargest(len(LETTERS)//2).index), sorted(by_rate.nlargest(2).index), list(AMOUNTS[1:])
    if version == AFTERWARDS[1]: return sorted(by_cell.index[by_cell > 0.6]), sensible, list(AMOUNTS[1:])
    if version == "five cells": return sorted(by_cell.nlargest(len(LETTERS) - 1).index), list(RATES[task]), list(AMOUNTS)
    return sorted(by_cell.nlargest(len(LETTERS)//2).index), sensible, list(AMOUNTS[1:])


def array(task, version, column):
    "A×S×L×D×P values of a column at a version's levels."
    chosen, rates, amounts = levels(task, version)
    index = pd.MultiIndex.from_product([chosen, complete(task), rates, amounts, PRETRAINED])
    values = rows_of(task).set_index(["cell", "seed", "rate", "images", "pretrained"])[column].loc[index]
    return values.to_numpy().reshape(len(chosen), len(complete(task)), len(rates), len(amounts), len(PRETRAINED))


def resampled(n, rng):
    "How often each of n is drawn; at least two different ones are."
    while True:
        counts = np.bincount(rng.integers(n, size=n), minlength=n).astype(float)
        if (counts > 0).sum() > 1: return counts


Analysis = collections.namedtuple("Analysis", "found shares drawn")   # components; 2×5 shares; bootstrap samples of these, N×2×5


@functools.cache
def analysis(task, version, measure="accuracy"):
    "Variance components, shares and their bootstrap samples."
    y = array(task, version, "test" if measure == "accuracy" else "log_error")
    grams, rng = products(y), np.random.default_rng(2701)
    found = components(grams, *[np.ones(n) for n in y.shape[:2]])
    drawn = [shares(components(grams, *[resampled(n, rng) for n in y.shape[:2]])) for _ in range(1000)]
    return Analysis(found, shares(found), np.array(drawn))


def lead(total): return max(total[1:4]) - total[0]     # the largest of the other three total shares less the architecture's


@functools.cache
def plotted():
    "The shares as a frame that is ready to be drawn: task, version, measure, source, and first-order and total share with their intervals."
    rows = []
    for task, version, measure in itertools.product(tasks(), VERSIONS, MEASURES):
        a = analysis(task, version, measure)
        low, high = np.quantile(a.drawn, [0.025, 0.975], axis=0)
        for i, source in enumerate((*FACTORS, "seeds")):
            rows.append(dict(task=task, version=version, measure=measure, source=source, **{f"{kind}{end}": round(float(v[k, i]), 4) for k, kind in enumerate(("first", "total"))
                                                                                          for end, v in (("", a.shares), ("_low", low), ("_high", high))}))
    return pd.DataFrame(rows)


def write_shares():
    "The shares, as lesson 15 draws them."
    plotted().to_csv(HERE/f"{NAME}_shares.csv", index=False, lineterminator="\n")


def verdict(measure="accuracy"):
    "Claim 27's verdict by the rule, and in how many of the four cases the architecture isn't the largest."
    cases = [lead(analysis(task, version, measure).shares[1]) > 0 for task in TASKS for version in VERSIONS[:2]]
    return "supported" if all(cases) else "in part" if sum(cases) >= 2 else "not supported", sum(cases)


def percent(v, low, high): return f"{v:.0%} ({low:.0%} to {high:.0%})"


def share_table(measure, versions=VERSIONS):
    lines = []
    for task, version in itertools.product(tasks(), versions):
        a = analysis(task, version, measure)
        low, high = np.quantile(a.drawn[:, 1], [0.025, 0.975], axis=0)
        others = [i for i in range(1, 4)]
        best = FACTORS[max(others, key=lambda i: a.shares[1, i])]
        sure = np.mean([lead(total) > 0 for total in a.drawn[:, 1]])
        cell = [percent(*three) for three in zip(a.shares[1], low, high)]
        lines.append([f"{TASKS[task]}, {version}", *cell, best, f"{lead(a.shares[1]):+.0%}", f"{sure:.0%}"])
    return markdown_table(["total share", *FACTORS, "seeds", "largest of the other three", "its lead over the architecture", "bootstrap samples with such a lead"], lines)


def first_table(measure):
    lines = []
    for task, version in itertools.product(tasks(), VERSIONS):
        rows, a = plotted().query("task == @task and version == @version and measure == @measure"), analysis(task, version, measure)
        pairs = sorted(((v, k) for k, v in a.found.items() if k != "seeds" and len(k) > 1), reverse=True)[:2]
        listed = "; ".join(f"{' × '.join(k)} {v/sum(a.found.values()):.0%}" for v, k in pairs)
        lines.append([f"{TASKS[task]}, {version}", *[percent(r.first, r.first_low, r.first_high) for r in rows.itertuples()], f"{sum(v for k, v in a.found.items() if k != 'seeds' and len(k) > 1)/sum(a.found.values()):.0%}", listed])
    return markdown_table(["first-order share", *FACTORS, "seeds", "all interactions", "the two largest"], lines)


def spread_table():
    lines = []
    for task, version in itertools.product(tasks(), VERSIONS):
        a = analysis(task, version)
        variance = sum(a.found.values())
        lines.append([f"{TASKS[task]}, {version}", f"{100*np.sqrt(variance):.1f}", *[f"{100*np.sqrt(max(share, 0)*variance):.1f}" for share in a.shares[1]], f"{100*array(task, version, 'test').mean():.1f}"])
    return markdown_table(["standard deviation of test accuracy, points", "one training", *[f"{f}, with its interactions" for f in FACTORS], "seeds", "mean accuracy"], lines)


def level_table(task):
    df, lines = rows_of(task), []
    for title, column in (("cell", "cell"), ("rate", "rate"), ("labelled images", "images"), ("pretrained", "pretrained")):
        for level, group in df.groupby(column, sort=True):
            low = group[group.pretrained == "no"].test.mean(), group[group.pretrained == "yes"].test.mean()
            lines.append([f"{title} {level}", f"{100*group.valid.mean():.1f}", f"{100*group.test.mean():.1f}", f"{100*group.test.max():.1f}", *["" if np.isnan(v) else f"{100*v:.1f}" for v in low]])
    return markdown_table([f"{TASKS[task]}: mean accuracy, %", "validation", "test", "best test", "test, not pretrained", "test, pretrained"], lines)


def best_of_each(task):
    "Test accuracy of each cell when rate is chosen on validation, by amount of data and pretraining; mean of the seeds."
    df, lines = rows_of(task), []
    mean = df.groupby(["cell", "images", "pretrained", "rate"])[["valid", "test"]].mean()
    best = mean.loc[mean.groupby(["cell", "images", "pretrained"]).valid.idxmax()]
    for letter in LETTERS: lines.append([f"cell {letter}", *[f"{100*best.loc[(letter, images, p)].test.iloc[0]:.1f} ({best.loc[(letter, images, p)].index[0]:g})" for images in AMOUNTS for p in PRETRAINED]])
    return markdown_table([f"{TASKS[task]}: test accuracy, %, at the rate that is best on validation (the rate)", *[f"{images} images, {'pretrained' if p == 'yes' else 'not'}" for images in AMOUNTS for p in PRETRAINED]], lines)


def chosen_table():
    lines = [[TASKS[task], " ".join(levels(task, "practitioner")[0]), ", ".join(f"{r:g}" for r in levels(task, "practitioner")[1]), ", ".join(map(str, levels(task, "practitioner")[2]))] for task in tasks()]
    return markdown_table(["a practitioner's levels, by validation", "cells", "rates", "labelled images"], lines)


def claim_text():
    if len(tasks()) < len(TASKS): return f"Claim 27 isn't decided yet: only {', '.join(tasks()) or 'nothing'} is complete."
    said, n = verdict()
    logs, m = verdict("log error")
    return (f"Claim 27, the architecture is rarely the most important part: **{said}**. Its total share of the test accuracy's variance is below the largest of the other three in {n} of four cases (two tasks, guesser and practitioner). "
            f"By the logarithm of the error it is below in {m} of four, and the verdict would be \"{logs}\".")


def table():
    check_decomposition()
    seconds = frame().groupby("task").seconds.median()
    known = digits201()
    tests = np.sort(known.df.test)
    accuracies = {letter: known.test_accuracy(cell.to_config()) for letter, cell in cells().items()}
    drawn = markdown_table(["cell, as drawn (seed 27)", *EDGES, "digits201, test accuracy, %", "cells of the space below it"],
                           [[letter, *cell.ops, f"{100*accuracies[letter]:.1f}", f"{np.searchsorted(tests, accuracies[letter])/len(tests):.0%}"] for letter, cell in cells().items()])
    return f"""# Architecture, learning rate, amount of data, pretraining: what carries the variance?

Made by `python benchmarks/{NAME}.py` from {NAME}.csv ({len(frame()):,} trainings; median {", ".join(f"{s:.1f} s on {t}" for t, s in seconds.items())}). {conditions(NAME)}

{claim_text()}

The script's first lines say how it was measured, and what was fixed before. A share says which part of the variance of test accuracy a factor takes part in *among these levels*: wider levels have larger shares. "Rate known" has sensible rates and all other levels, "five cells" all levels without the worst cell by validation; these two decide nothing.
Brackets: 95% intervals, bootstrap over architectures and seeds (six or three, and three: rough). Estimates are without bias, so that a small share can be below 0.

## Total shares: main effect and all interactions

{share_table("accuracy")}
## First-order shares: main effects

{first_table("accuracy")}
## In points

{spread_table()}
{chosen_table()}
## Afterwards

Chosen when the results were known, and so deciding nothing: a practitioner with the two best rates (by validation) instead of all within a factor of ten; and one with every cell whose mean validation accuracy is above 60%.

{share_table("accuracy", AFTERWARDS)}
## Of the logarithm of the error

{share_table("log error")}
## Accuracies by level

{"".join(level_table(task) + chr(10) + best_of_each(task) + chr(10) for task in tasks())}
## The cells

{drawn}"""


if __name__ == "__main__": main(NAME, run, table, pictures=write_shares)
