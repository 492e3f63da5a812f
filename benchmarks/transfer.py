"""Recipes for transfer against fastai's `fine_tune`, a logistic regression on frozen features, and training from scratch.

Nine cells: ants and bees (squeezenet1_0 at 128 px) with 20, 100 and all 195 labels, for 500 don't exist; CIFAR-10 (squeezenet1_0, images
enlarged to 64 px) and cats against dogs (resnet20_cifar8 at 32 px, which has seen CIFAR-10's eight other classes only) with 20, 100 and 500.
Five seeds; a seed draws the labelled images from the training part, as many of each class, and the order. Validation: 49 photos, 500 images,
500 images. Test: 153 photos, 1,000 images, 2,000 images. Every contestant passes each labelled image through the body at most eight times, in
batches of at most 16, on one thread. `fine_tune(7)` freezes for one epoch and trains all for seven; our recipes standardise the features (one pass,
kept for the probe) and train for seven (gradual unfreezing for eight, the first on these features); a logistic regression needs one pass.
`fine_tune` has its defaults: base_lr 2e-3, freeze_epochs 1, and `vision_learner`'s head, rates and batch norm. Ours have the library's rates (1e-3
for heads, divided by 2.6 from stage to stage) and a probe of 40 epochs, of five before fine-tuning; "gentle" means 40 before fine-tuning at 3e-4.
"Mirror" and "gentle" show a random half of the images mirrored and, at test time, average over each image and its mirror image. All of it was settled
on validation parts with seeds from 100 on, as SCRATCH_LR was; nothing was scored on a test part before the run. Scratch: the same architecture with
random weights. (After the run, and because of it, the library's `lp_ft` took over the probe and the rate of the gentle one as its defaults; the contestants here
name theirs.)

Statistics, fixed before the run. Per cell the best of our recipes is the one with the highest mean validation accuracy over the five seeds (the
cheaper one of equals). Its test accuracy less `fine_tune`'s, seed by seed: mean and standard error; it's ahead if the mean exceeds the standard
error, behind if the mean is below minus the standard error. Aim: ahead in six of nine cells, and a ratio of CPU seconds of fit (median over
seeds, then over cells) of at most 1. Claim 29: the same recipe less training from scratch, in the same way, supported if it's ahead in all nine
cells. What the cache saves: a linear probe of 40 epochs with and without it, medians of three, in turn.
About 45 minutes of one core; resumable. It needs the photos, CIFAR-10 and the weights (README says where).
"""
import functools
import time
import warnings

import numpy as np

from common import Rows, conditions, main, markdown_table, write_conditions

NAME, SEEDS, EPOCHS, PROBE = "transfer", range(5), 7, 5
OTHERS = ["fine_tune", "logistic regression", "from scratch"]
PENALTIES = np.logspace(-4, 0, 9)        # of the logistic regression: the best on validation is taken, seed by seed
SCRATCH_LR = {"squeezenet1_0": 1e-3, "resnet20_cifar8": 3e-3}
CACHE_CELLS = [("ants and bees", 100), ("CIFAR-10", 500), ("cats and dogs", 500)]
CELLS = [("ants and bees", 20), ("ants and bees", 100), ("ants and bees", 195), *[(t, n) for t in ("CIFAR-10", "cats and dogs") for n in (20, 100, 500)]]


def recipes():
    "Our contestants: phases, and whether they look at mirror images at test time."
    from course_lib.transfer import fine_tuning, gradual, linear_probe, lp_ft
    return {"linear probe": (linear_probe(), False), "fine-tuning": (fine_tuning(EPOCHS), False), "LP-FT": (lp_ft(EPOCHS, 1e-3, probe_epochs=PROBE), False),
            "gradual": (gradual(EPOCHS + 1), False), "LP-FT, mirror": (lp_ft(EPOCHS, 1e-3, probe_epochs=PROBE, mirror=True), True),
            "LP-FT, gentle": (lp_ft(EPOCHS, lr=3e-4, probe_epochs=40, mirror=True), True)}


OURS = ["linear probe", "fine-tuning", "LP-FT", "gradual", "LP-FT, mirror", "LP-FT, gentle"]
# First all cells of the first turn; within a cell, a seed's fits follow each other
TURNS = [["fine_tune", "logistic regression", "linear probe", "fine-tuning", "LP-FT, gentle"], ["from scratch", "LP-FT, mirror"], ["LP-FT", "gradual"]]


def accuracies(predict, part, mirror):
    "Accuracy on a part; with `mirror` of the mean over images and their mirror images, and without."
    x, y = part
    p = predict(x)
    right = lambda p: (p.argmax(1) == y).double().mean().item()
    return (right(p + predict(x.flip(3))), right(p)) if mirror else (right(p),)*2


def one_fit(task, contestant, x, y, seed):
    "CPU seconds of fit, passes, and validation and test accuracy, each with and without mirror images at test time."
    import torch
    from course_lib.transfer import Transfer, fine_tuning, pretrained
    from transfer_tasks import BS, fastai_predict, fine_tune, learner, logistic_regression
    torch.manual_seed(seed)
    if contestant == "logistic regression": return logistic_regression(task, x, y, PENALTIES)
    if contestant == "fine_tune":
        net = pretrained(task.net)
        learn = learner(task, x, y, seed, net)
        began = time.process_time()
        fine_tune(learn, EPOCHS)
        seconds, passes, predict, mirror = time.process_time() - began, (EPOCHS + 1)*len(x), functools.partial(fastai_predict, learn, net), False
    else:
        if contestant == "from scratch":
            phases, mirror = fine_tuning(EPOCHS, SCRATCH_LR[task.net], decay=1), False
            model = Transfer(pretrained(task.net, weights=None), task.n_out, phases, batch_norm="train", seed=seed, device="cpu")
        else:
            phases, mirror = recipes()[contestant]
            model = Transfer(task.net, task.n_out, phases, seed=seed, device="cpu")
        began = time.process_time()
        model.fit((x, y), bs=BS)
        seconds, passes, predict = time.process_time() - began, model.passes, model.predict
    assert passes <= (EPOCHS + 1)*len(x)
    return seconds, passes, accuracies(predict, task.valid, mirror), accuracies(predict, task.test, mirror)


result_rows = lambda: Rows(NAME, ["task", "labels", "seed", "contestant"], ["seconds", "passes", "valid", "test", "valid_without_mirror", "test_without_mirror"])
cache_rows = lambda: Rows(f"{NAME}_cache", ["task", "labels", "repeat", "cache"], ["seconds", "passes", "valid"])


def ready(name):
    "Are the task's weights there?"
    from course_lib.data import DataError
    from course_lib.transfer import pretrained
    from transfer_tasks import NETS
    try: return bool(pretrained(NETS[name]))
    except DataError as e: print(f"{name} is left for later: {e}", flush=True)


def run():
    import torch
    from transfer_tasks import BS, TASKS
    from course_lib.transfer import Transfer, linear_probe
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    task_of, rows, cache = functools.cache(lambda name: TASKS[name]()), result_rows(), cache_rows()
    started = len(rows.rows) + len(cache.rows)
    for contestants in TURNS:
        for name, n in sorted(CELLS, key=lambda cell: (cell[1], CELLS.index(cell))):
            if not ready(name): continue
            for seed in SEEDS:
                for contestant in contestants:
                    if (name, n, seed, contestant) in rows: continue
                    task = task_of(name)
                    seconds, passes, valid, test = one_fit(task, contestant, *task.train(n, seed), seed)
                    rows.add(task=name, labels=n, seed=seed, contestant=contestant, seconds=f"{seconds:.3f}", passes=passes, valid=f"{valid[0]:.6f}", test=f"{test[0]:.6f}",
                             valid_without_mirror=f"{valid[1]:.6f}", test_without_mirror=f"{test[1]:.6f}")
            print(time.strftime("%H:%M"), name, n, contestants[0], flush=True)
        if contestants is TURNS[0]:
            for name, n in filter(lambda cell: ready(cell[0]), CACHE_CELLS):
                for repeat in range(3):
                    for size in (2**30, 0):
                        if (name, n, repeat, size) in cache: continue
                        task = task_of(name)
                        x, y = task.train(n, 0)
                        model = Transfer(task.net, task.n_out, linear_probe(40), seed=0, device="cpu", cache_bytes=size)
                        began = time.process_time()
                        model.fit((x, y), bs=BS)
                        cache.add(task=name, labels=n, repeat=repeat, cache=size, seconds=f"{time.process_time() - began:.3f}", passes=model.passes, valid=f"{model.accuracy(*task.valid):.6f}")
    if len(rows.rows) + len(cache.rows) > started: write_conditions(NAME, "torch", "torchvision", "fastai", "scikit-learn")


# ---- from raw results to the table ----

def results():
    "(task, labels) -> contestant -> dict of arrays over the five seeds; contestants without all seeds are left out."
    found = {}
    for row in result_rows().rows: found.setdefault((row["task"], int(row["labels"])), {}).setdefault(row["contestant"], {})[int(row["seed"])] = row
    columns = ("seconds", "passes", "valid", "test", "test_without_mirror")
    return {cell: {c: {k: np.array([float(by_seed[s][k]) for s in SEEDS]) for k in columns} for c, by_seed in found.get(cell, {}).items() if len(by_seed) == len(SEEDS)}
            for cell in CELLS}


def mean_se(a): return a.mean(), a.std(ddof=1)/np.sqrt(len(a))


def pm(a):
    mean, se = mean_se(100*a)
    return f"{mean:.1f} ± {se:.1f}"


def chosen(cell):
    "The recipe with the highest mean validation accuracy, the cheaper one of equals; None where none is there."
    mine = [c for c in OURS if c in cell]
    return max(mine, key=lambda c: (round(cell[c]["valid"].mean(), 6), -cell[c]["seconds"].mean()), default=None)


def verdict(difference):
    mean, se = mean_se(difference)
    return "ahead" if mean > se else "behind" if mean < -se else "level"


def comparisons(found, other, column="test"):
    "One dict a cell that has both: recipe, paired difference, verdict, ratio of seconds."
    made = []
    for cell, by in found.items():
        if (best := chosen(by)) is None or other not in by: continue
        d = by[best][column] - by[other]["test"]
        made.append(dict(cell=cell, best=best, difference=d, verdict=verdict(d), ratio=np.median(by[best]["seconds"]/by[other]["seconds"])))
    return made


def counted(made): return ", ".join(f"{k} in {sum(c['verdict'] == k for c in made)}" for k in ("ahead", "level", "behind"))


def label(cell): return f"{cell[0]}, {cell[1]} labels"


def comparison_table(found, made, other):
    rows = [[label(c["cell"]), c["best"], pm(found[c["cell"]][c["best"]]["test"]), pm(found[c["cell"]][other]["test"]), pm(c["difference"]), c["verdict"], f"{c['ratio']:.2f}"] for c in made]
    return markdown_table(["cell", "recipe, chosen on validation", "its test accuracy, %", f"{other}, %", "difference, points", "verdict", "ratio of seconds"], rows)


def alone_table(found):
    "Every recipe taken for all cells, without a choice on validation."
    rows = []
    for recipe in OURS:
        made = [(by[recipe]["test"] - by["fine_tune"]["test"], np.median(by[recipe]["seconds"]/by["fine_tune"]["seconds"])) for by in found.values() if recipe in by and "fine_tune" in by]
        if not made: continue
        verdicts = [verdict(d) for d, _ in made]
        rows.append([recipe, len(made), *[verdicts.count(k) for k in ("ahead", "level", "behind")], f"{100*np.mean([d.mean() for d, _ in made]):+.1f}", f"{np.median([r for _, r in made]):.2f}"])
    return markdown_table(["recipe", "cells", "ahead", "level", "behind", "mean difference, points", "median ratio of seconds"], rows)


def everything(found, column, form=pm):
    names = [*OURS, *OTHERS]
    return markdown_table(["cell", *names], [[label(cell), *[form(by[c][column]) if c in by else "" for c in names]] for cell, by in found.items()])


def cache_table():
    by = {}
    for row in cache_rows().rows: by.setdefault((row["task"], int(row["labels"])), {}).setdefault(int(row["cache"]), []).append(row)
    rows, ratios = [], []
    for cell, sizes in by.items():
        if set(sizes) != {0, 2**30}: continue
        kept, anew = [np.median([float(r["seconds"]) for r in sizes[s]]) for s in (2**30, 0)]
        ratios.append(anew/kept)
        gap = 100*abs(float(sizes[0][0]["valid"]) - float(sizes[2**30][0]["valid"]))
        rows.append([label(cell), f"{kept:.2f}", f"{anew:.1f}", f"{anew/kept:.1f}", sizes[2**30][0]["passes"], sizes[0][0]["passes"], f"{gap:.2f}"])
    return markdown_table(["cell", "seconds with the cache", "without", "ratio", "passes with", "without", "difference in validation accuracy, points"], rows), ratios


def missing(found):
    "What has no results from all seeds, contestant by contestant."
    gaps = {c: [f"{cell[0]} {cell[1]}" for cell, by in found.items() if c not in by] for c in [*OURS, *OTHERS]}
    return "; ".join(f"{c} ({'all cells' if len(cells) == len(CELLS) else ', '.join(cells)})" for c, cells in gaps.items() if cells)


def reading(found, against, plain, logistic, scratch, ratios):
    "The sentences that the numbers give."
    if not against: return "Nothing to compare yet."
    n, span = len(against), lambda values, form: f"{min(values):{form}} to {max(values):{form}}"
    of = lambda made, k: [c for c in made if c["verdict"] == k]
    time_ratio, times = np.median([c["ratio"] for c in against]), [c["ratio"] for c in against]
    sure = sum(c["difference"].mean() > 2*mean_se(c["difference"])[1] for c in against)
    all_of_them = np.median([sum(np.median(by[r]["seconds"]) for r in OURS if r in by)/np.median(by["fine_tune"]["seconds"]) for by in found.values() if "fine_tune" in by])
    lost = "; ".join(label(c["cell"]) for c in of(against, "behind")) or "nowhere"
    said = [f"Against `fine_tune` the recipe chosen on validation is {counted(against)} of {n} cells; in {sure} of them the lead exceeds two standard errors. "
            f"The aim, ahead in two thirds of the nine cells, is {'met' if len(of(against, 'ahead')) >= 2*len(CELLS)/3 else 'missed'}. Behind: {lost}.",
            f"Seconds of the chosen recipe: {time_ratio:.2f} of `fine_tune`'s in the median cell, {span(times, '.2f')}. The aim, no more time, is {'met' if time_ratio <= 1 else 'missed'} by the "
            f"recipe itself. Who has to find it by fitting them all pays {all_of_them:.1f} times `fine_tune`'s seconds in the median cell.",
            f"\"Mirror\" and \"gentle\" pass each test image twice. The same choices without that at test time: {counted(plain)} of {n} cells."]
    if logistic: said.append(f"Against a logistic regression on the same frozen features, its penalty chosen on validation seed by seed: {counted(logistic)} of {len(logistic)} cells. "
                             f"Its seconds are those of all {len(PENALTIES)} penalties.")
    if scratch:
        supported = len(of(scratch, "ahead")) == len(CELLS)
        said.append(f"Against training from scratch: {counted(scratch)} of {len(scratch)} cells, by {span([100*c['difference'].mean() for c in scratch], '.1f')} points. "
                    f"Both have at most eight passes: what longer training from scratch would reach isn't measured. "
                    f"By the statistic fixed beforehand, claim 29 is {'supported' if supported else 'not supported in every cell'} here.")
    if ratios: said.append(f"Forty epochs of a linear probe cost {span(ratios, '.0f')} times as much without the cache as with it.")
    said.append("The standard errors are over draws of labelled images and orders; the test part is the same for all seeds, so they don't tell how a cell would come out on other test images. "
                "With all 195 labels the seeds differ in the order only.")
    if gaps := missing(found): said.append(f"Without results from all seeds: {gaps}.")
    return "\n\n".join(said)


def table():
    found = results()
    against, plain = comparisons(found, "fine_tune"), comparisons(found, "fine_tune", "test_without_mirror")
    logistic, scratch = comparisons(found, "logistic regression"), comparisons(found, "from scratch")
    cached, ratios = cache_table()
    return f"""# Recipes for transfer

Made by `python benchmarks/{NAME}.py` from {NAME}.csv and {NAME}_cache.csv. {conditions(NAME)}

Accuracies in percent, mean ± standard error over {len(SEEDS)} seeds. At most eight passes of each labelled image through the body, batches of at most 16, one thread; seconds are CPU seconds of fit.
Ants and bees have 195 training photos, so the third cell has 195 labels instead of 500. CIFAR-10 is its JPEG version where the original isn't found: its figures are no CIFAR-10 results.
"Ahead" means that the mean of the paired differences exceeds their standard error. The docstring of the script says what was fixed before the run.

## Reading

{reading(found, against, plain, logistic, scratch, ratios)}

## Recipes against fine_tune

{comparison_table(found, against, "fine_tune")}
## Each recipe alone against fine_tune

The same recipe in every cell, so that nothing is chosen on validation.

{alone_table(found)}
## Recipes against a logistic regression

{comparison_table(found, logistic, "logistic regression")}
## Recipes against training from scratch

{comparison_table(found, scratch, "from scratch")}
## What the cache saves

A linear probe of 40 epochs, the features of the frozen body computed once or in each epoch.

{cached}
## Test accuracy of every contestant

{everything(found, "test")}
## Validation accuracy of every contestant

{everything(found, "valid")}
## CPU seconds of fit

Medians over the seeds.

{everything(found, "seconds", lambda a: f"{np.median(a):.2f}")}
## Passes of labelled images through the body

{everything(found, "passes", lambda a: f"{np.median(a):,.0f}")}"""


if __name__ == "__main__": main(NAME, run, table)
