"""What does sharing weights cost and save, and do shared weights rank cells as separate trainings do? (Lesson 13.)

`python benchmarks/weight_sharing.py` makes what is missing (about half an hour on one core; resumable) and writes the table.

A supernet over digits201's space is trained for 30, 100, 300 and 1,000 epochs, with seeds 0 to 2 (300 epochs: 0 to 9), along uniformly drawn paths and along paths that ENAS's policy draws
(not for 1,000 epochs: planned, and left out for want of time when the runs of 30 and 100 epochs were done and their accuracies not yet looked at).
With seeds 0 to 2 it then judges the 1,000 cells of digits201 that were trained separately with three seeds: share of the 359 validation images named rightly, batch norm's statistics from these images.
What the cells are really worth: the mean test accuracy of their three separate trainings. No shared weight has seen a test image.

Fixed before any of these results was seen:

Settings. lr 0.1, batches of 64, gradients clipped to length 1 (with seed 100 and 300 epochs the mean shared validation accuracy of 100 random paths was 0.725 without clipping, 0.761 at 5, 0.781 at 1).
  ENAS: a third of the epochs with uniform paths, then 13 steps of the policy after every epoch, Adam at 0.005, baseline's decay 0.95, 0.03 per nat of entropy, rewards on 128 validation images.
  A pilot with seeds 100 and 101 saw tau of 0.57 to 0.71 on 100 of the cells, beside 0.71 of the parameter count; ENAS's cells in it were no better than the median.
Kendall's tau (tau-b, as there are ties) and Spearman's correlation over the 1,000 cells between shared validation accuracy and true worth; the same for the number of parameters, for the cheap signal (validation
  accuracy of a separate training of three epochs) and for one separate training of ten against the mean of the other two, which is about the best that any signal could do. All of them also among the best tenth by true worth.
Regret. 100 of the 1,000 cells are drawn, 2,000 times; the one with the best signal is chosen (ties: the first drawn). Regret: the best true worth among the 1,000 less that of the chosen cell, points.
Searches, 300 epochs, ten seeds. The best of 100 cells by shared accuracy (random cells; with ENAS, cells that the policy draws); and the ten best of these, trained separately for three epochs, the best of which is kept.
  What counts: test accuracy in digits201's table. Beside them random search and evolution (population 10, sample 3) that train separately, on the table, for as many processor seconds (100 runs each), the median cell and the cell with the most parameters.
Seconds are of the processor, one core. After every supernet three random cells are trained separately, three and ten epochs, in the same process, so that both are measured under the same conditions. (The machine had other work
  during the run, which makes processor seconds longer too: trust ratios more than seconds.)
Norms. With 300 epochs and seeds 0 to 2, 200 of the cells are judged with three kinds of statistics: of the validation images ("batch"), taken anew for every path from the training images ("fresh"), as training left them ("stale").

Claim 17, about 1000 times less computation. Statistic: seconds of 1,000 separate trainings of ten epochs, by those timed in this run, over seconds of training the supernet for 300 epochs and judging 1,000 cells; median of three seeds.
  Supported: at least 316, which is half a power of ten below 1,000. In part: at least 10. Otherwise not supported.
Claim 18, shared weights rank well enough to choose by. Uniform paths, 1,000 epochs, the longest and so the kindest to the claim. (a) tau is above that of the number of parameters with each of three seeds.
  (b) Mean regret is below that of choosing by the number of parameters with each of three seeds. Supported: both. In part: one of them. Otherwise not supported.
"""
import functools, os, time

os.environ.setdefault("OMP_NUM_THREADS", "1")     # before NumPy is loaded

import numpy as np

from common import Rows, conditions, main, markdown_table, write_conditions
from course_lib.cells import Cell201
from course_lib.nas import RegularizedEvolution, digits201, incumbents
from course_lib.search import RandomSearch

NAME = "weight_sharing"
EPOCHS, LONG = (30, 100, 300, 1000), 1000
METHODS = {"uniform": "uniform paths", "ENAS": "ENAS"}
N = 359                                           # validation images

net_rows = lambda: Rows(NAME, ["method", "epochs", "seed"], ["train_seconds", "judge_seconds", "cell_ms", "cheap_seconds", "full_seconds", "loss", "entropy", "best"])
equal_rows = lambda: Rows(f"{NAME}_equal", ["search", "queries", "seed"], ["test"])
cell_rows = lambda: Rows(f"{NAME}_cells", ["method", "epochs", "seed", "norms"], ["cell_ms", "right"])

def seeds(epochs): return range(10 if epochs == 300 else 3)

def cells(): return [Cell201.from_str(cell) for cell in digits201().repeats.index]


# ---- runs ----

def run():
    import torch
    torch.set_num_threads(1)
    for extra in (False, True):                       # the seeds that every length has come first
        for epochs in EPOCHS:
            for seed in seeds(epochs)[3:] if extra else seeds(epochs)[:3]:
                for method in METHODS:
                    if (method, epochs) != ("ENAS", 1000): one_supernet(method, epochs, seed)
    for method in METHODS: search_separately(queries(method))
    write_conditions(NAME, "numpy", "torch", "scikit-learn")


def one_supernet(method, epochs, seed):
    import torch
    from course_lib.weight_sharing import ENASController, SuperNet, enas, random_sharing
    nets, judged = net_rows(), cell_rows()
    if (method, epochs, seed) in nets: return
    torch.manual_seed(seed)
    supernet = SuperNet()
    start = time.process_time()
    if method == "uniform": found = random_sharing(supernet, epochs, 100, seed, device="cpu")
    else: found = enas(supernet, epochs, 100, seed, start=epochs//3, policy=ENASController(supernet.space, seed, lr=0.005, entropy=0.03), device="cpu")
    seconds = time.process_time() - start
    share = found["seconds"]/(found["seconds"] + found["train_seconds"])      # of judging the 100 cells
    if seed < 3:
        judge(judged, supernet, method, epochs, seed, "batch", cells())
        if epochs == 300 and method == "uniform":
            for norms in ("fresh", "stale"): judge(judged, supernet, method, epochs, seed, norms, cells()[:200])
    cheap, full = separate(epochs, seed)
    ranked = sorted(found["judged"], key=lambda pair: -pair[1])
    best = list(dict.fromkeys(str(cell) for cell, _ in ranked))[:10]
    nets.add(method=method, epochs=epochs, seed=seed, train_seconds=f"{seconds*(1 - share):.3f}", judge_seconds=f"{seconds*share:.3f}", cell_ms=f"{1000*seconds*share/100:.3f}",
             cheap_seconds=f"{cheap:.4f}", full_seconds=f"{full:.4f}", loss=f"{np.mean(found['losses'][-130:]):.4f}",
             entropy=f"{np.mean(found['entropies'][-130:]):.3f}" if method == "ENAS" else "", best=" ".join(best))
    print(f"{method}, {epochs} epochs, seed {seed}: {seconds:.1f} s, separately {cheap:.2f} and {full:.2f} s a cell", flush=True)


def queries(method):
    "How many separate trainings of three epochs take as long as a search with a supernet of 300 epochs."
    get = functools.partial(column, method, 300)
    return round(np.median((get("train_seconds") + get("judge_seconds"))/get("cheap_seconds")))


SEPARATE = {"random search": RandomSearch, "evolution": functools.partial(RegularizedEvolution, population=10, sample=3)}

def search_separately(n):
    "Test accuracies of cells found on the table with n queries."
    found, table = equal_rows(), digits201()
    for name, make in SEPARATE.items():
        for seed in range(100):
            if (name, n, seed) not in found: found.add(search=name, queries=n, seed=seed, test=f"{100*table.test_accuracy(incumbents(table, make(table.space, seed=seed), n)[-1]):.2f}")


def judge(judged, supernet, method, epochs, seed, norms, of):
    from course_lib.weight_sharing import shared_accuracy
    if (method, epochs, seed, norms) in judged: return
    start = time.process_time()
    right = [round(N*shared_accuracy(supernet, cell, norms=norms)) for cell in of]
    judged.add(method=method, epochs=epochs, seed=seed, norms=norms, cell_ms=f"{1000*(time.process_time() - start)/len(of):.3f}", right=" ".join(map(str, right)))


def separate(epochs, seed):
    "Processor seconds of a separate training of three and of ten epochs, mean of three random cells."
    from course_lib.nas import train_digits201
    rng, spent = np.random.default_rng([epochs, seed]), []
    for _ in range(3):
        cell = Cell201.from_config(digits201().space.sample(rng))
        for n in (3, 10):
            start = time.process_time()
            train_digits201(cell, n, seed, device="cpu")
            spent.append(time.process_time() - start)
    return np.mean(spent[::2]), np.mean(spent[1::2])


# ---- from raw results to the table ----

@functools.cache
def truth():
    "Per cell, true worth in percent; and what else is known of it."
    table = digits201()
    worth = 100*table.repeats.test.mean(axis=1).to_numpy()
    rows = table.df.loc[table.repeats.index]
    return worth, dict(params=rows.params.to_numpy(), cheap=rows.cheap_valid.to_numpy(), one=100*table.repeats.test[0].to_numpy(), others=100*table.repeats.test[[1, 2]].mean(axis=1).to_numpy())


def kendall(a, b):
    from scipy.stats import kendalltau
    return kendalltau(a, b).statistic


def spearman(a, b):
    from scipy.stats import spearmanr
    return spearmanr(a, b).statistic


@functools.cache
def draws(): return np.array([rng.permutation(1000)[:100] for rng in [np.random.default_rng(0)] for _ in range(2000)])


def regret(signal, worth):
    "Mean regret, points, of the best of 100 by a signal."
    d = draws()
    chosen = d[np.arange(len(d)), np.asarray(signal)[d].argmax(1)]
    return worth.max() - worth[chosen].mean()


def quality(signal, against=None):
    "tau, Spearman, tau among the best tenth, regret."
    worth = truth()[0] if against is None else against
    good = worth >= np.quantile(worth, 0.9)
    return kendall(signal, worth), spearman(signal, worth), kendall(signal[good], worth[good]), regret(signal, worth)


@functools.cache
def shared(method, epochs, norms="batch"):
    "seeds × cells: images named rightly."
    return [np.array(r["right"].split(), int) for r in cell_rows().rows if (r["method"], r["epochs"], r["norms"]) == (method, str(epochs), norms)]


def nets(method, epochs): return [r for r in net_rows().rows if (r["method"], r["epochs"]) == (method, str(epochs))]


def column(method, epochs, name): return np.array([float(r[name]) for r in nets(method, epochs)])


def spread(values, digits=2):
    "Median and range."
    return f"{np.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


HEAD = ["Kendall's τ", "Spearman", "τ, best tenth", "regret of the best of 100, points"]

def ranking():
    worth, known = truth()
    rows = []
    for method, name in METHODS.items():
        for epochs in EPOCHS:
            if not (signals := shared(method, epochs)): continue
            of = np.array([quality(s) for s in signals])
            rows.append([f"shared weights, {name}, {epochs:,} epochs", *(spread(c) for c in of.T)])
    rows += [[name, *(f"{v:.2f}" for v in quality(known[key], against))] for name, key, against in
             [("number of parameters", "params", None), ("separate training of three epochs, validation", "cheap", None), ("one separate training of ten, test", "one", known["others"])]]
    return markdown_table(["signal", *HEAD], rows)


def norms_table():
    worth, rows = truth()[0][:200], []
    for norms, name in dict(batch="of the validation images", fresh="taken anew for every path", stale="as training left them").items():
        of = [r for r in cell_rows().rows if (r["method"], r["epochs"], r["norms"]) == ("uniform", "300", norms)]
        if not of: continue
        right = [np.array(r["right"].split(), int)[:200] for r in of]
        rows.append([name, spread([kendall(r, worth) for r in right]), spread([100*r.mean()/N for r in right], 1), spread([float(r["cell_ms"]) for r in of], 0)])
    return markdown_table(["batch norm's statistics", "Kendall's τ, 200 cells", "mean shared accuracy, %", "ms a cell"], rows)


def ratios(n, epochs, method="uniform", against="full_seconds"):
    "Seconds of n separate trainings over those of the shared search that judges n cells, per seed."
    return [n*float(r[against])/(float(r["train_seconds"]) + n*float(r["cell_ms"])/1000) for r in nets(method, epochs) if int(r["seed"]) < 3]


def cost_table():
    rows = []
    for method, name in METHODS.items():
        for epochs in EPOCHS:
            if not nets(method, epochs): continue
            get = functools.partial(column, method, epochs)
            rows.append([f"{name}, {epochs:,} epochs", spread(get("train_seconds"), 1), spread(get("cell_ms"), 1), spread(get("cheap_seconds")), spread(get("full_seconds")),
                         f"{np.median(get('train_seconds')/get('full_seconds')):.0f}", *(f"{np.median(ratios(n, epochs, method)):.1f}" for n in (100, 1000, 10000))])
    return markdown_table(["supernet", "seconds of training", "ms to judge a cell", "seconds of a separate training, 3 epochs", "10 epochs", "supernet in trainings of 10 epochs", "ratio, 100 cells", "1,000", "10,000"], rows)


def searches():
    table, rows = digits201(), []
    test = lambda cell: 100*table.df.test[cell]
    say = lambda v: [len(v), f"{np.mean(v):.2f} ± {np.std(v, ddof=1):.2f}", f"{min(v):.2f} to {max(v):.2f}"]
    for method, name in METHODS.items():
        if not (of := nets(method, 300)): continue
        tops, seconds, cheap = [r["best"].split() for r in of], column(method, 300, "train_seconds") + column(method, 300, "judge_seconds"), column(method, 300, "cheap_seconds")
        rows.append([f"shared weights, {name}: best of 100", f"{np.median(seconds):.0f}", *say([test(top[0]) for top in tops])])
        rows.append(["the same, ten best trained for three epochs", f"{np.median(seconds + 10*cheap):.0f}", *say([test(max(top, key=table.df.cheap_valid.get)) for top in tops])])
    for method, name in METHODS.items():
        n = queries(method)
        for search in SEPARATE:
            values = [float(r["test"]) for r in equal_rows().rows if (r["search"], r["queries"]) == (search, str(n))]
            if values: rows.append([f"{search}, {n} separate trainings of three epochs, the time of {name}", f"{n*np.median(column(method, 300, 'cheap_seconds')):.0f}", *say(values)])
    distinct = 100*table.df.drop_duplicates("unique").test
    rows += [["a random distinct cell", "0", len(distinct), f"{distinct.mean():.2f} ± {distinct.std():.2f}", f"{distinct.min():.2f} to {distinct.max():.2f}, median {distinct.median():.2f}"],
             ["the cell with the most parameters", "0", 1, f"{100*table.df.test[table.df.params.idxmax()]:.2f}", ""]]
    return markdown_table(["search", "seconds", "runs", "test accuracy, %, mean ± sd", "range"], rows)


def claims():
    lines = []
    if values := ratios(1000, 300):
        m = np.median(values)
        lines.append(f"Claim 17: 1,000 separate trainings of ten epochs take {spread(values, 1)} times the seconds of a supernet of 300 epochs that judges 1,000 cells (three seeds): {'supported' if m >= 316 else 'supported in part' if m >= 10 else 'not supported'}.")
    if signals := shared("uniform", LONG):
        params = quality(truth()[1]["params"])
        of = np.array([quality(s) for s in signals])
        a, b = (of[:, 0] > params[0]).all(), (of[:, 3] < params[3]).all()
        lines.append(f"Claim 18: τ {', '.join(f'{v:.3f}' for v in of[:, 0])} beside {params[0]:.3f} of the number of parameters; regret {', '.join(f'{v:.2f}' for v in of[:, 3])} beside {params[3]:.2f} points ({len(signals)} seeds): {'supported' if a and b else 'supported in part' if a or b else 'not supported'}.")
    return "\n".join(f"- {line}" for line in lines)


def table():
    return f"""# Shared weights

Made by `python benchmarks/{NAME}.py` from {NAME}.csv and {NAME}_cells.csv. {conditions(NAME)}

Settings, seeds, statistics and thresholds are in the script's first lines and were written before the runs. Median and range over seeds, unless it says otherwise.

## Claims

{claims()}

## Ranking

1,000 cells of digits201, against the mean test accuracy of three separate trainings (the last row: one training against the mean of the other two).

{ranking()}
## Norms

Supernets of 300 epochs, uniform paths, three seeds.

{norms_table()}
## Searches

Supernets of 300 epochs, test accuracy of the chosen cell in digits201's table. Seconds of one core, medians.

{searches()}
## Seconds

Of one core. A ratio is the seconds of that many separate trainings of ten epochs over those of training the supernet and judging as many cells (three seeds, median).

{cost_table()}"""


if __name__ == "__main__": main(NAME, run, table)
