"""A person with good tools against a machine with a big budget: every contestant has 60 seconds on one core, search and training together.

    python benchmarks/contest.py                 # an hour and a half of one core; goes on where it stopped
    python benchmarks/contest.py --only digits   # or cifar, ants: one task

Three tasks. digits: 1,797 digits of 8×8 pixels, five seeds; a seed divides the images and draws all else. CIFAR-10 with few labels: 500 labelled training images, 500 to choose with, 2,000 to
test on. Ants and bees: 195 photos to train on, 49 to choose with, 153 to test on. Two seeds each; both from `COURSE_DATA` or the downloads.

The machine has two cores, and other programs ran beside the contest, which slows a core down by up to a half: the steps say how much was done. The clock shows processor seconds of one process with one thread, and training steps beside them. Whatever a contestant does counts: range tests, failed trials, predictions on the validation
part. Contestants hand in predictors; the one with the smallest validation error counts, and its test error is reported. Before a task's first attempt a short training warms the process up.

Contestants (course_lib.augmented has the code):
  defaults            one training of 9 epochs (photos: 20) with fastai's defaults: AdamW, one-cycle to 0.001
  finder              the same, but one-cycle to the rate that the finder suggests, as it stands
  finder, long        the same, but a training that takes all that is left
  transfer + finder   a published network: a head on frozen features, then fine-tuning of at most 7 epochs at the rate that the finder suggests (digits: ResNet-20 trained on eight classes of CIFAR-10, images
                      enlarged to 32 pixels; photos: SqueezeNet trained on ImageNet, 64 pixels for CIFAR-10 and 128 for ants and bees)
  random search, TPE, Hyperband, BOHB   over nine settings of the training (`training_space()`; photos: mirrored images, too), 3 to 27 epochs (photos: 7 to 60); Hyperband and BOHB: brackets of at most 27 (60) epochs, again and again
  TPE, rate alone     over the learning rate, with fastai's defaults and 9 epochs
  finder, then TPE    TPE over all nine, whose first trial is the finder's training: person and machine
  AutoML              `AutoMLClassifier` on pixels (photos: averaged to 8×8); it answers once, at the end
  AutoML on features  photos only: on SqueezeNet's features: a published network and a machine
  evolution           digits only: regularised evolution (population 10, sample 3) of NAS-Bench-201's cell with real trainings of 3 epochs for 60% of the budget, then one long training
  DARTS               digits only: first order, 50 epochs, the cell chosen by perturbation, then one long training
  weight sharing      digits only: a supernet of 150 epochs judges 100 random cells, then one long training
All but the last three and transfer train the same network, with ResNet's block for a cell. CIFAR-10's images are averaged to 16 pixels for it, the photos to 32. Hyperband and BOHB take no part on the photos.

Fixed before the run, after a first look at seed 100 on digits for errors in the code (ten contestants, one seed): settings weren't changed for it, except that a warm-up was added, and that trainings which take all that is left follow the clock (a forecast of the epochs that fit had failed). Differences are of test errors, in points (hundredths), paired
by seed; intervals are 95%, Student's t over five seeds. On the photos there are two seeds: there "ahead" means in both.

Claim 2 (AutoML speeds up experienced practitioners, too). Digits: the practitioner alone is "finder, long", with a machine "finder, then TPE". Seconds until the second has the validation error that the first ends with, divided by the
  seconds of the first. Supported in part (a person's hours aren't measured): at most a half in the median, and below 1 in at least four of five seeds. Otherwise not supported here.
Claim 24 (a hundred times the computation can replace expertise). Expertise is one training: of "finder" and "transfer + finder" the one with the smaller mean validation error on the task. The machine is random search with all its 60 seconds, which
  are about a hundred trainings on digits, and fewer on the photos (the table says how many). Its test error less that of expertise. Digits: replaced if the interval's upper end is at most 0.5 points. Photos: if it's at most 0.5 points in both seeds.
  Supported: on all three tasks. Not supported: on none. Otherwise in part. After 1 and 10 trainings' steps it's reported.
Claim 29 (most people need not search: transfer serves them). Photos: "transfer + finder" has a smaller test error than every contestant that searches without a published network (random search, TPE, finder then TPE, AutoML), in both seeds. Supported: on both
  tasks. In part: on one. Otherwise not supported.
Claim 30 (person and computer together do better than automation alone). Digits. (a) "finder, then TPE" less TPE: the mean of the test errors that count after 5, 10, 20, 40 and 60 seconds. (b) "finder, then TPE" less "finder, long" at the end.
  Supported: both intervals are below 0. In part: one is. Not supported: (a) is above 0. Otherwise undecided.
Claim 39 (with fast.ai's defaults only the rate is left to choose). Digits: "TPE, rate alone" less TPE, after 10 and after 60 seconds. Supported: both upper ends are at most 0.5 points. Not supported: the lower end after 60 seconds is above 0.5. Otherwise in part
  if one of the upper ends is at most 0.5, and undecided if none is.

What happened in the run. It began with commit 81534cf; course_lib.augmented was then divided into smaller pieces, which compute the same. The machine was busy, so that 60 seconds were 67 trainings' steps on digits, and not the hundred planned.
AutoML's clock is on the wall. Its attempts were made last, and made again (those before thrown away, all of them, whatever they had shown) until it had at least 34 processor seconds of its 54, in most attempts 45: `spent` says how many.
"""
import functools, os, time, warnings

os.environ["OMP_NUM_THREADS"] = "1"
import numpy as np, torch

from common import HERE, conditions, main, markdown_table, write_conditions
from course_lib.augmented import (Standings, automl, contest, darts, defaults, evolved, finder, finder_config, finder_long, searched, shared, small_network, training_space,
                                  transferred)
from course_lib.data import DataError, cifar10, digits, hymenoptera
from course_lib.halving import Hyperband
from course_lib.robustness import Estimate
from course_lib.search import RandomSearch
from course_lib.spaces import Float, Space
from course_lib.surrogates import TPE
from course_lib.transfer import features, pretrained

NAME, BUDGET = "contest", 60
TASKS = {"digits": (digits, range(5)), "cifar": (lambda seed: cifar10(500, 500, 2000, seed=seed), range(2)), "ants": (lambda seed: hymenoptera(128, seed=seed), range(2))}


def bohb(space, seed): return Hyperband(space, seed, max_budget=27, repeats=None, sampler=TPE(space, seed, random_fraction=1/3))
def hyperband(space, seed): return Hyperband(space, seed, max_budget=27, repeats=None)


def on_digits():
    "Contestants on digits, those last that need a quiet machine."
    rate = Space(lr=Float(1e-5, 1, log=True))
    return {"defaults": defaults, "finder": finder, "finder, long": finder_long, "transfer + finder": transferred("resnet20_cifar8", 32),
            "random search": searched(RandomSearch), "TPE": searched(TPE), "finder, then TPE": searched(TPE, start=finder_config), "TPE, rate alone": searched(TPE, rate),
            "Hyperband": searched(hyperband, training_space(None)), "BOHB": searched(bohb, training_space(None)), "evolution": evolved, "DARTS": darts, "weight sharing": shared, "AutoML": automl()}


def on_photos(pixels, size):
    "Contestants on photos: `pixels` a side for the small network, `size` for the published one."
    network, space, epochs = functools.partial(small_network, side=pixels), training_space((7, 60), mirror=True), 20
    def published(x): return features(pretrained("squeezenet1_0"), x, size, device="cpu")
    return {"defaults": functools.partial(defaults, epochs=epochs, network=network), "finder": functools.partial(finder, epochs=epochs, network=network),
            "finder, long": functools.partial(finder_long, network=network), "transfer + finder": transferred("squeezenet1_0", size, mirror=True),
            "random search": searched(RandomSearch, space, network=network), "TPE": searched(TPE, space, network=network),
            "finder, then TPE": searched(TPE, space, functools.partial(finder_config, epochs=epochs, network=network, mirror=False), network),
            "AutoML": automl(), "AutoML on features": automl(published)}


CONTESTANTS = {"digits": on_digits, "cifar": functools.partial(on_photos, 16, 64), "ants": functools.partial(on_photos, 32, 128)}


def options(parser): parser.add_argument("--only", choices=TASKS, help="one task")


def run(args):
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for name in [args.only] if args.only else TASKS:
        (task, seeds), contestants = TASKS[name], CONTESTANTS[name]()
        path = HERE / f"{NAME}_{name}.csv"
        try: contest({"warm up": contestants["finder"]}, task, BUDGET, seeds=[100], progress=False)
        except DataError as e: print(f"{name} is left out: {e}"); continue
        for turn in (False, True):                                        # AutoML's own clock is on the wall: last, when nothing else runs
            for seed in seeds:
                for who, contestant in contestants.items():
                    if who.startswith("AutoML") == turn:
                        contest({who: contestant}, task, BUDGET, seeds=[seed], save=path, progress=False)
                        print(time.strftime("%H:%M"), name, seed, who, flush=True)
    write_conditions(NAME, "torch", "scikit-learn")


# ---- the table ----

TITLES = dict(digits="Digits, five seeds", cifar="CIFAR-10, 500 labels, two seeds", ants="Ants and bees, two seeds")
WHAT = dict(digits="digits", cifar="CIFAR-10", ants="ants and bees")
SEARCHES = ("random search", "TPE", "finder, then TPE", "AutoML")         # on photos, without a published network


def standings(): return {name: Standings.read(HERE / f"{NAME}_{name}.csv") for name in TASKS if (HERE / f"{NAME}_{name}.csv").exists()}
def points(estimate): return f"{100*estimate.mean:+.2f} ({100*estimate.low:+.2f} to {100*estimate.high:+.2f})"
def each(values): return ", ".join(f"{100*v:+.1f}" for v in values)


def results(found):
    "A row for each contestant, best mean test error first."
    rows = []
    for name, row in found.table().iterrows():
        rows.append([name, f"{row.valid:.1%}", f"{row.test:.1%} ± {100*row.sd:.1f}", " ".join(f"{100*t:.1f}" for t in found.estimate(name).values), f"{row['at']:.0f}", f"{row.spent:.0f}", f"{row.steps:,.0f}"])
    return markdown_table(["contestant", "validation error", "test error, ± deviation over seeds", "each seed", "last best after, s", "spent, s", "steps"], rows)


def machine_and_expert(found):
    "Random search less the better of finder and transfer by validation, and how much more it did."
    experts = ("finder", "transfer + finder")
    expert = min(experts, key=lambda name: found.estimate(name, what="valid").mean)
    one = found.df[(found.df.contestant == "finder") & (found.df.event == "end")].set_index("seed").steps - 200        # of one training, without the range test
    steps = found.df[(found.df.contestant == "random search") & (found.df.event == "end")].set_index("seed").steps
    return expert, found.estimate("random search") - found.estimate(expert), (steps/one).mean()


def claims(found):
    "Claim -> what the rule asks, measured, and its verdict."
    d, said = found["digits"], {}
    target = d.estimate("finder, long", what="valid").values
    ratios = d.seconds_to("finder, then TPE", target)/d.seconds_to("finder, long", target)
    n, median = int((ratios < 1).sum()), np.median(ratios)
    said[2] = f"seconds of \"finder, then TPE\" to what \"finder, long\" ends with, over the seconds of the latter: {', '.join(f'{r:.2f}' if np.isfinite(r) else 'never' for r in ratios)}; below 1 in {n} of 5, median {f'{median:.2f}' if np.isfinite(median) else 'never'}: **{'supported in part' if n >= 4 and median <= 0.5 else 'not supported here'}**"
    replaced, parts = [], []
    for name, s in found.items():
        expert, gap, times = machine_and_expert(s)
        replaced.append(gap.high <= 0.005 if name == "digits" else (gap.values <= 0.005).all())
        parts.append(f"{WHAT[name]}: random search with {times:.0f} trainings' steps less {expert} {points(gap) if name == 'digits' else each(gap.values)} points, {'replaced' if replaced[-1] else 'not replaced'}")
    said[24] = "; ".join(parts) + f": **{'supported here' if all(replaced) else 'supported in part' if any(replaced) else 'not supported here'}**"
    photos = {name: s for name, s in found.items() if name != "digits"}
    gaps = {name: {who: s.estimate("transfer + finder") - s.estimate(who) for who in SEARCHES} for name, s in photos.items()}
    ahead = {name: all((gap.values < 0).all() for gap in g.values()) for name, g in gaps.items()}
    said[29] = "; ".join(f"{WHAT[name]}: transfer less " + ", ".join(f"{who} {each(gap.values)}" for who, gap in g.items()) + f" points, {'ahead of all in both seeds' if ahead[name] else 'not ahead of all in both seeds'}" for name, g in gaps.items())
    said[29] += f": **{'supported here' if all(ahead.values()) else 'supported in part' if any(ahead.values()) else 'not supported here'}**"
    mean = lambda who: sum(d.curve(who, [5, 10, 20, 40, 60], "test").T)/5
    a, b = (Estimate(mean("finder, then TPE") - mean("TPE")), d.estimate("finder, then TPE") - d.estimate("finder, long"))
    below = (a.high < 0) + (b.high < 0)
    said[30] = f"(a) \"finder, then TPE\" less TPE, mean over the clock: {points(a)} points; (b) less \"finder, long\" at the end: {points(b)} points: **{'supported here' if below == 2 else 'supported in part' if below else 'not supported here' if a.low > 0 else 'undecided'}**"
    ten, sixty = (d.estimate("TPE, rate alone", s) - d.estimate("TPE", s) for s in (10, BUDGET))
    level = (ten.high <= 0.005) + (sixty.high <= 0.005)
    said[39] = f"\"TPE, rate alone\" less TPE: after 10 s {points(ten)} points, after 60 s {points(sixty)}: **{'supported here' if level == 2 else 'not supported here' if sixty.low > 0.005 else 'supported in part' if level else 'undecided'}**"
    return said


def table():
    found = standings()
    text = f"# A person with good tools against a machine with a big budget\n\nMade by `benchmarks/{NAME}.py`, whose docstring says who takes part and how. {conditions(NAME)}\n\n"
    text += f"{BUDGET} seconds of one core for each attempt, search and training together. A contestant's figure is the test error of what was best on validation. Steps are training steps, range tests and probes included; AutoML takes none.\n\n"
    for name, s in found.items(): text += f"## {TITLES[name]}\n\n{results(s)}\n"
    times = [1, 10, None]
    d = found["digits"]
    one = d.df[(d.df.contestant == "finder") & (d.df.event == "end")].steps.iloc[0] - 200
    rows = [[f"{t} × {one} steps" if t else "all", *[f"{d.curve(who, [t*one if t else 10**9], 'test', 'steps').mean():.1%}" for who in ("random search", "TPE")]] for t in times]
    text += f"## What more computation buys\n\nMean test error on digits after the steps of so many trainings of 9 epochs. One training with the finder: {d.estimate('finder').mean:.1%}.\n\n" + markdown_table(["", "random search", "TPE"], rows) + "\n"
    failed = [(name, row.contestant, row.seed, row.note) for name, s in found.items() for row in s.df[(s.df.event == "end") & ~s.df.note.isin(["finished", "out of budget"])].itertuples()]
    text += "## Claims\n\nIntervals are 95%, over five seeds; of the two seeds of photos both are given.\n\n" + "\n".join(f"- **{number}**: {what}." for number, what in claims(found).items()) + "\n"
    if failed: text += "\n## Attempts that failed\n\n" + "\n".join(f"- {WHAT[name]}, {who}, seed {seed}: {note}" for name, who, seed, note in failed) + "\n"
    return text


def pictures():
    "The contest on digits, as README shows it."
    import matplotlib
    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    plt.style.use("course_lib.assets.course")
    axs = standings()["digits"].plot(SHOWN)
    axs[0].figure.savefig(HERE.parent / f"nbs/images/{NAME}.png", dpi=110)


SHOWN = ("transfer + finder", "finder, then TPE", "TPE", "AutoML")


if __name__ == "__main__": main(NAME, run, table, options, pictures)
