"""How much do a random forest and gradient boosting depend on their hyperparameters?

`python benchmarks/robustness.py` makes what is missing (three quarters of an hour on one core; resumable) and writes the table.

Two models, ten datasets (five bundled, five generated), five seeds (each divides or draws the rows anew). The loss is 1 - AUC with classes and
1 - R² with a number; divided by the loss of a guess (0.5 and 1) where datasets are averaged, called "of a guess" below. Settings are chosen on the
validation part and reported on the test part. Intervals for one dataset are Student's t over the five seeds, 95%; those over datasets are Student's t over the ten datasets' means.

Fixed before any result was seen:

Claim 35, forests are less sensitive than boosting. Statistic: the IQR of the test loss over 200 random settings, of a guess; boosting's minus the forest's, paired by seed.
  Supported: the interval over seeds is above 0 on at least 8 of 10 datasets in the wide spaces, and the interval over datasets is above 0 in the wide and in the sensible spaces.
  Supported in part: the interval over datasets is above 0 in one of the two. Not supported: in neither.
  Reported beside it, not deciding: the share of settings that are worse than scikit-learn's default by more than a tenth of a guess; the same IQR for the error in place of 1 - AUC.

Claim 36, boosting often reacts strongly to small changes. Around the best of 200 settings on validation (a case: dataset and seed): ten refits with other random
  states, and ten random moves of all parameters within 5% of their axes in the wide space's cube. A case reacts strongly if the root mean square change of the test loss is both more
  than twice the standard deviation of the refits, and more than 0.02 of a guess (0.010 AUC: what tuning a forest brings in Probst and others' table).
  Statistic: share of boosting's cases that react strongly, averaged by dataset. "Often" is a third.
  Supported: the interval over datasets lies above 1/3. Not supported: it lies below 1/3. Otherwise undecided.
  Whether this is special to boosting: the excess (reaction without noise), boosting's minus the forest's, interval over datasets above 0. Other radii (2%, 15%) are reported, not deciding.

Claim 38, smarter defaults have a huge effect. Per model, the gain of tuning is the default's test loss minus that of the best of 200 random settings (and the default) on validation. k defaults are
  learned greedily from the nine other datasets (`portfolio` on losses normalised per dataset); on the tenth the best of the k on validation is taken.
  Statistic: share recovered = sum over datasets of the gain of k defaults / the same of tuning, of a guess; interval: percentiles of 2,000 bootstrap samples of datasets, and of seeds within them.
  Supported: for boosting, four defaults recover at least 75%, with the interval's lower end above 50%. Not supported: its upper end is below 50%. Otherwise supported in part.
  (Added while the fits ran, not deciding: Optuna's TPE with its defaults in the same wide space, 32 trials, same seeds: after how many trials is it worth eight learned defaults?)
  If tuning's own gain isn't above 0 (interval over datasets), there is nothing to recover, and the share isn't quoted. Control: k random settings instead of k learned ones.
"""
import functools, math, os, sys, time

os.environ.setdefault("OMP_NUM_THREADS", "1")     # before NumPy is loaded

import numpy as np

from common import HERE, Rows, conditions, main, markdown_table, write_conditions
from robustness_tasks import BUNDLED, DATASETS, GUESS
from course_lib.spaces import Int
from course_lib.robustness import SPACES, Estimate, default_gains, fit_trees, good_defaults, nearby, recovered, robustness, score_loss, tunability

NAME = "robustness"
SEEDS, MODELS = range(5), ("forest", "boosting")
N_SETTINGS = {"wide": 200, "sensible": 30}
RADII, N_MOVES, N_REFITS, SMALL = (0.02, 0.05, 0.15), 10, 10, 0.05
N_TRIALS, CHECKPOINTS = 32, (8, 16, 32)
MARGIN, STRONG, OFTEN, SIZES = 0.1, 0.02, 1 / 3, (1, 2, 4, 8)

setting_rows = lambda: Rows(f"{NAME}_settings", ["dataset", "model", "space", "seed"], ["valid", "test", "valid_error", "test_error", "seconds"])
move_rows = lambda: Rows(f"{NAME}_moves", ["dataset", "model", "seed", "what"], ["setting", "losses"])
search_rows = lambda: Rows(f"{NAME}_search", ["dataset", "model", "seed"], ["valid", "test"])
numbers = lambda values: " ".join(f"{v:.5g}" for v in values)


def settings(model, space):
    "scikit-learn's default, then the random settings: the same on every dataset and for every seed."
    return [{}] + [SPACES[space][model].sample(np.random.default_rng([2026, k])) for k in range(N_SETTINGS[space])]


def losses_of(model, config, split, seed):
    "1 - AUC or 1 - R² on validation and test, and the errors on both (None with a number)."
    fitted = fit_trees(model, config, split, seed)
    error = lambda part: float((fitted.predict(part.x) != part.y).mean()) if split.classes else np.nan
    return score_loss(fitted, split), score_loss(fitted, split, "test"), error(split.valid), error(split.test)


# ---- runs ----

def run():
    found = setting_rows()
    for space in N_SETTINGS:
        for dataset, make in DATASETS.items():
            for model in MODELS:
                for seed in SEEDS:
                    if (dataset, model, space, seed) in found: continue
                    split, begun = make(seed), time.perf_counter()
                    every = [losses_of(model, config, split, 1000 * seed + k) for k, config in enumerate(settings(model, space))]
                    columns = dict(zip(("valid", "test", "valid_error", "test_error"), map(numbers, zip(*every))))
                    if not split.classes: columns.update(valid_error="", test_error="")
                    found.add(dataset=dataset, model=model, space=space, seed=seed, **columns, seconds=f"{time.perf_counter() - begun:.2f}")
            print(f"{space} spaces on {dataset}", flush=True)
        if space == "wide": run_moves()
    run_search()
    write_conditions(NAME, "numpy", "scipy", "scikit-learn", "optuna")


def run_search():
    "Optuna's TPE, in the wide spaces."
    import optuna
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    found = search_rows()
    for dataset, make in DATASETS.items():
        for model in MODELS:
            for seed in SEEDS:
                if (dataset, model, seed) in found: continue
                split, seen = make(seed), []
                def objective(trial):
                    config = {name: (trial.suggest_int if isinstance(p, Int) else trial.suggest_float)(name, p.low, p.high, log=p.log) for name, p in SPACES["wide"][model].params.items()}
                    seen.append(losses_of(model, config, split, 1000 * seed + trial.number)[:2])
                    return seen[-1][0]
                optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed)).optimize(objective, n_trials=N_TRIALS)
                found.add(dataset=dataset, model=model, seed=seed, **dict(zip(("valid", "test"), map(numbers, zip(*seen)))))
        print(f"Optuna on {dataset}", flush=True)


def run_moves():
    "Refits of the chosen setting, small moves of all parameters, and of one at a time."
    found = move_rows()
    for dataset, make in DATASETS.items():
        for model in MODELS:
            valid = matrix(dataset, model, "wide", "valid")
            for seed in SEEDS:
                if (dataset, model, seed, "alone") in found: continue
                found.drop(dataset=dataset, model=model, seed=seed)
                split, space = make(seed), SPACES["wide"][model]
                setting = 1 + int(valid[seed, 1:].argmin())              # the default isn't in the space
                chosen, rng = settings(model, "wide")[setting], np.random.default_rng([2027, seed])
                def losses(configs): return numbers([score_loss(fit_trees(model, c, split, int(rng.integers(2**31))), split, "test") for c in configs])
                case = dict(dataset=dataset, model=model, seed=seed, setting=setting)
                found.add(**case, what="refits", losses=losses([chosen] * N_REFITS))
                for radius in RADII: found.add(**case, what=radius, losses=losses([nearby(space, chosen, radius, rng) for _ in range(N_MOVES)]))
                ends = [{**chosen, name: (space[name].neighbours(chosen[name], SMALL) or [chosen[name]])[end]} for name in space for end in (0, -1)]
                found.add(**case, what="alone", losses=losses(ends))
        print(f"moves on {dataset}", flush=True)


# ---- from raw results to the table ----

@functools.cache
def matrix(dataset, model, space, what="test"):
    "Seeds × settings; the first column is scikit-learn's default."
    by_seed = {int(r["seed"]): r[what].split() for r in setting_rows().rows if (r["dataset"], r["model"], r["space"]) == (dataset, model, space)}
    return np.array([by_seed[seed] for seed in SEEDS], dtype=float)


def stack(model, space, what="test"):
    "Datasets × seeds × settings."
    return np.array([matrix(dataset, model, space, what) for dataset in DATASETS])


def of_a_guess(dataset, estimate): return Estimate(estimate.values / GUESS[dataset])


def over_datasets(estimates): return Estimate(np.array([e.mean for e in estimates]))


def spread(dataset, model, space, what="test"):
    "IQR over the random settings, of a guess; and the share that is worse than the default by more than a tenth of a guess."
    losses = matrix(dataset, model, space, what)
    found = robustness(losses[:, 1:], reference=losses[:, 0], margin=MARGIN * GUESS[dataset])
    return Estimate(found.iqr.values / (GUESS[dataset] if what == "test" else 1)), found.worse


def wider(space, what="test", datasets=DATASETS):
    "Dataset -> boosting's IQR minus the forest's, of a guess."
    return {d: spread(d, "boosting", space, what)[0] - spread(d, "forest", space, what)[0] for d in datasets}


def tuned(dataset, model):
    "Gain of tuning over scikit-learn's default, and over the best single default of the other datasets; in units of the loss."
    valid, test = matrix(dataset, model, "wide", "valid"), matrix(dataset, model, "wide")
    others = [i for i, d in enumerate(DATASETS) if d != dataset]
    optimal = good_defaults(stack(model, "wide")[others], 1)[0]
    return tunability(valid, test, 0), tunability(valid, test, optimal)


@functools.cache
def moves(dataset, model, what):
    "Seeds × losses."
    by_seed = {int(r["seed"]): r["losses"].split() for r in move_rows().rows if (r["dataset"], r["model"], r["what"]) == (dataset, model, str(what))}
    return np.array([by_seed[seed] for seed in SEEDS], dtype=float) / GUESS[dataset]


def reactions(dataset, model, radius=SMALL):
    "Per seed, of a guess: standard deviation of the refits, reaction to small moves, and the reaction without the noise."
    refits, moved = moves(dataset, model, "refits"), moves(dataset, model, radius)
    noise, reaction = refits.std(axis=1, ddof=1), np.sqrt(((moved - refits.mean(axis=1, keepdims=True))**2).mean(axis=1))
    return noise, reaction, np.sqrt(np.maximum(reaction**2 - noise**2 * (1 + 1 / refits.shape[1]), 0))


def strong(dataset, model, radius=SMALL):
    noise, reaction, _ = reactions(dataset, model, radius)
    return Estimate(((reaction > 2 * noise) & (reaction > STRONG)).astype(float))


def alone(model):
    "Parameter -> estimate over datasets of the root mean square change when it moves by 5% of its axis alone, without the noise."
    found = {name: [] for name in SPACES["wide"][model]}
    for dataset in DATASETS:
        refits, ends = moves(dataset, model, "refits"), moves(dataset, model, "alone")
        changes = (ends - refits.mean(axis=1, keepdims=True)).reshape(len(ends), -1, 2)
        noise = refits.var(axis=1, ddof=1) * (1 + 1 / refits.shape[1])
        for i, name in enumerate(found): found[name].append(math.sqrt(max(np.mean((changes[:, i]**2).mean(axis=1) - noise), 0)))
    return {name: Estimate(np.array(values)) for name, values in found.items()}


def gains(model):
    "Size -> datasets × seeds: gain over scikit-learn's default, of a guess; those of random settings beside those of learned ones."
    valid, test = stack(model, "wide", "valid"), stack(model, "wide")
    guess = np.array([GUESS[d] for d in DATASETS])[:, None]
    learned = {size: g / guess for size, g in default_gains(valid, test, 0, SIZES).items()}
    rng = np.random.default_rng(2028)
    at_random = {size: np.mean([[tunability(v, t, 0, among=rng.choice(np.arange(1, t.shape[1]), size, replace=False)).values for v, t in zip(valid, test)]
                                for _ in range(100)], axis=0) / guess for size in SIZES}
    return learned, at_random


def searched(model):
    "Trials -> datasets × seeds: gain of Optuna's TPE over scikit-learn's default, of a guess."
    found = {n: [] for n in CHECKPOINTS}
    rows = {(r["dataset"], int(r["seed"])): r for r in search_rows().rows if r["model"] == model}
    for dataset in DATASETS:
        valid, test = [np.array([rows[dataset, seed][what].split() for seed in SEEDS], dtype=float) for what in ("valid", "test")]
        default = matrix(dataset, model, "wide")[:, 0]
        for n in CHECKPOINTS: found[n].append(tunability(valid[:, :n], test[:, :n], default).values / GUESS[dataset])
    return {n: np.array(values) for n, values in found.items()}


# ---- words ----

def show(e, digits=3): return f"{e.mean:+.{digits}f} ({e.low:+.{digits}f} to {e.high:+.{digits}f})"
def plain(e, digits=3): return f"{e.mean:.{digits}f} ({e.low:.{digits}f} to {e.high:.{digits}f})"
def share_of_cases(e): return f"{e.mean:.0%} ({max(e.low, 0):.0%} to {min(e.high, 1):.0%})"
def share(found): return "{:.0%} ({:.0%} to {:.0%})".format(*found)


def verdict35():
    by_dataset, sensible = wider("wide"), wider("sensible")
    wide_mean, sensible_mean = over_datasets(by_dataset.values()), over_datasets(sensible.values())
    clear = sum(e.low > 0 for e in by_dataset.values())
    both = (wide_mean.low > 0) + (sensible_mean.low > 0)
    verdict = "supported" if both == 2 and clear >= 8 else "supported in part" if both else "not supported"
    measured = f"boosting's IQR wider by {show(wide_mean)} in the wide spaces, above 0 on {clear} of {len(DATASETS)} datasets; by {show(sensible_mean)} in the sensible ones"
    return verdict, measured


def verdict36():
    shares = {m: over_datasets([strong(d, m) for d in DATASETS]) for m in MODELS}
    excess = over_datasets([Estimate(reactions(d, "boosting")[2] - reactions(d, "forest")[2]) for d in DATASETS])
    verdict = "supported" if shares["boosting"].low > OFTEN else "not supported" if shares["boosting"].high < OFTEN else "undecided"
    special = "more than the forest" if excess.low > 0 else "no clear difference from the forest"
    return f"{verdict}; {special}", f"strong reaction in {share_of_cases(shares['boosting'])} of boosting's cases, {share_of_cases(shares['forest'])} of the forest's; excess reaction, boosting minus forest: {show(excess, 4)}"


def verdict38():
    words, verdict = [], "not decided: nothing to recover"
    for model in MODELS:
        learned, _ = gains(model)
        gain = Estimate(learned["all"].mean(axis=1))
        four = recovered(learned[4], learned["all"])
        words.append(f"{model}: tuning gains {show(gain)}" + (f", four defaults recover {share(four)}" if gain.low > 0 else ", an interval that holds 0"))
        if model == "boosting" and gain.low > 0:
            verdict = "supported" if four[0] >= 0.75 and four[1] > 0.5 else "not supported" if four[2] < 0.5 else "supported in part"
    return verdict, "; ".join(words)


def claims_table():
    claims = {"35. Random forests are less sensitive to hyperparameters than boosting": verdict35,
              "36. Boosting often reacts strongly to *small* changes": verdict36, "38. Smarter defaults have a huge effect": verdict38}
    return markdown_table(["claim", "measured (95% intervals over datasets)", "verdict by the rule fixed beforehand"], [[claim, *reversed(decide())] for claim, decide in claims.items()])


def spread_table():
    lines = []
    for d in DATASETS:
        wide, sensible = [[spread(d, m, space) for m in MODELS] for space in N_SETTINGS]
        lines.append([d, *(f"{e.mean:.3f}" for e, _ in wide), show(wide[1][0] - wide[0][0]), *(f"{w.mean:.0%}" for _, w in wide), *(f"{e.mean:.3f}" for e, _ in sensible), show(sensible[1][0] - sensible[0][0])])
    means = [over_datasets(wider(space).values()) for space in N_SETTINGS]
    column = lambda space, m, i: over_datasets([spread(d, m, space)[i] for d in DATASETS]).mean
    lines.append(["**mean**", *(f"{column('wide', m, 0):.3f}" for m in MODELS), show(means[0]), *(f"{column('wide', m, 1):.0%}" for m in MODELS), *(f"{column('sensible', m, 0):.3f}" for m in MODELS), show(means[1])])
    return markdown_table(["IQR of the test loss, of a guess", "forest, wide", "boosting, wide", "boosting − forest", "forest: worse than the default by 0.1", "boosting: the same", "forest, sensible", "boosting, sensible", "boosting − forest"], lines)


def error_sentence():
    classes = [d for d in DATASETS if GUESS[d] == 0.5]
    found = wider("wide", "test_error", classes)
    return f"With the error in place of 1 − AUC (seven datasets with classes), boosting's IQR is wider by {show(over_datasets(found.values()))}, with an interval above 0 on {sum(e.low > 0 for e in found.values())} of {len(classes)}."


def tunability_table():
    lines = []
    for d in DATASETS:
        found = {m: tuned(d, m) for m in MODELS}
        default = [matrix(d, m, "wide")[:, 0].mean() for m in MODELS]
        lines.append([d, *(f"{v:.3f}" for v in default), *(show(found[m][i]) for m in MODELS for i in (0, 1))])
    return markdown_table(["gain of tuning on the test part", "forest: loss of the default", "boosting: loss of the default", "forest: over the package's default", "over an optimal one", "boosting: over the package's default", "over an optimal one"], lines)


PROBST = {"forest": ("ranger", 0.010, 0.006), "boosting": ("xgboost", 0.043, 0.014)}


def probst_table():
    groups = {"seven with classes": [d for d in DATASETS if GUESS[d] == 0.5], "the bundled of them": [d for d in BUNDLED if GUESS[d] == 0.5]}
    lines = []
    for m in MODELS:
        package, *theirs = PROBST[m]
        for i, what in enumerate(("the package's default", "an optimal default")):
            lines.append([f"{m}, over {what}", *(show(over_datasets([tuned(d, m)[i] for d in some])) for some in groups.values()), f"{theirs[i]:.3f} ({package})"])
    for i, what in enumerate(("the package's default", "an optimal default")):
        lines.append([f"boosting − forest, over {what}", *(show(over_datasets([tuned(d, "boosting")[i] - tuned(d, "forest")[i] for d in some])) for some in groups.values()), f"{PROBST['boosting'][i + 1] - PROBST['forest'][i + 1]:.3f}"])
    return markdown_table(["mean gain in AUC", *groups, "Probst and others, 38 datasets"], lines)


def moves_table():
    lines = []
    for d in DATASETS:
        line = [d]
        for m in MODELS:
            noise, reaction, excess = reactions(d, m)
            line += [f"{noise.mean():.4f}", f"{reaction.mean():.4f}", f"{strong(d, m).mean:.0%}"]
        lines.append([*line, show(Estimate(reactions(d, "boosting")[2] - reactions(d, "forest")[2]), 4)])
    mean = lambda m, i: np.mean([reactions(d, m)[i].mean() for d in DATASETS])
    lines.append(["**mean**", *(cell for m in MODELS for cell in (f"{mean(m, 0):.4f}", f"{mean(m, 1):.4f}", f"{np.mean([strong(d, m).mean for d in DATASETS]):.0%}")),
                  show(over_datasets([Estimate(reactions(d, "boosting")[2] - reactions(d, "forest")[2]) for d in DATASETS]), 4)])
    return markdown_table(["within 5% of each axis, of a guess", "forest: refits", "forest: moves", "strong", "boosting: refits", "boosting: moves", "strong", "excess, boosting − forest"], lines)


def radius_table():
    lines = []
    for radius in RADII:
        excess = {m: over_datasets([Estimate(reactions(d, m, radius)[2]) for d in DATASETS]) for m in MODELS}
        lines.append([f"{radius:.0%}", *(plain(excess[m], 4) for m in MODELS), *(share_of_cases(over_datasets([strong(d, m, radius) for d in DATASETS])) for m in MODELS)])
    return markdown_table(["moves within", "forest: excess", "boosting: excess", "forest: strong cases", "boosting: strong cases"], lines)


def alone_table():
    found = {m: alone(m) for m in MODELS}
    names = list(dict.fromkeys(name for m in reversed(MODELS) for name in found[m]))
    return markdown_table(["one parameter moved by 5% of its axis", *MODELS],
                          [[f"`{name}`" if name != "subsample" else "`subsample`, `max_samples`",
                            *(plain(e, 4) if (e := found[m].get(name) or found[m].get({"subsample": "max_samples"}.get(name))) else "" for m in MODELS)] for name in names if name != "max_samples"])


def defaults_table():
    lines = []
    for m in MODELS:
        learned, at_random = gains(m)
        fine = Estimate(learned["all"].mean(axis=1)).low > 0
        for size in SIZES:
            lines.append([f"{m}, {size}", show(Estimate(learned[size].mean(axis=1)), 4), share(recovered(learned[size], learned["all"])) if fine else "not quoted", f"{at_random[size].mean():+.4f}"])
        lines.append([f"{m}, all 200", show(Estimate(learned["all"].mean(axis=1)), 4), "", ""])
    return markdown_table(["how many", "learned from the nine others: gain, of a guess", "share of tuning's gain", "drawn at random: gain"], lines)


# ---- what was looked at after the results, and decides nothing ----

def from_a_random_setting(model):
    "Size -> datasets × seeds: the same gains over the median random setting in place of scikit-learn's default, whose own gain is there too."
    test, guess = stack(model, "wide"), np.array([GUESS[d] for d in DATASETS])[:, None]
    default = (np.median(test[:, :, 1:], axis=2) - test[:, :, 0]) / guess
    return {"scikit-learn's default": default, **{size: g + default for size, g in gains(model)[0].items()}}


def random_table():
    found = {m: from_a_random_setting(m) for m in MODELS}
    name = lambda size: size if isinstance(size, str) else "1 learned default" if size == 1 else f"{size} learned defaults"
    lines = [[name(size), *(cell for m in MODELS for cell in (f"{found[m][size].mean():.4f}", share(recovered(found[m][size], found[m]["all"]))))] for size in found["forest"] if size != "all"]
    lines.append(["all 200", *(cell for m in MODELS for cell in (plain(Estimate(found[m]["all"].mean(axis=1)), 4), ""))])
    return markdown_table(["from the median random setting", *(cell for m in MODELS for cell in (f"{m}: gain, of a guess", "share of tuning's gain"))], lines)


def can_split(dataset, model):
    "Which of the settings leave two leaves' worth of rows to each tree?"
    n = len(DATASETS[dataset](0).train.y)
    return np.array([n * c.get("max_samples", c.get("subsample")) >= 2 * c["min_samples_leaf"] for c in settings(model, "wide")[1:]])


def alive_table():
    lines, groups = [], {"classes": [], "a number": []}
    for d in DATASETS:
        alive = {m: can_split(d, m) for m in MODELS}
        iqr = {m: Estimate(robustness(matrix(d, m, "wide")[:, 1:][:, alive[m]]).iqr.values / GUESS[d]) for m in MODELS}
        groups["classes" if GUESS[d] == 0.5 else "a number"].append(iqr["boosting"] - iqr["forest"])
        error = show(wider("wide", "test_error", [d])[d]) if GUESS[d] == 0.5 else ""
        lines.append([d, f"{1 - alive['forest'].mean():.0%}", *(f"{e.mean:.3f}" for e in iqr.values()), show(iqr["boosting"] - iqr["forest"]), error])
    for name, found in groups.items(): lines.append([f"**mean, {name}**", "", "", "", show(over_datasets(found)), ""])
    lines.append(["**mean**", "", "", "", show(over_datasets(sum(groups.values(), []))), ""])
    return markdown_table(["IQR, of a guess, wide spaces", "can't split", "forest, the others", "boosting, the others", "boosting − forest", "the same for the error, all settings"], lines)


def collapses(model):
    "Cases (dataset, seed) in which a refit, or a move within 5%, ends worse than the median refit by more than a tenth of a guess; and the share of all refits and moves that do."
    cases, every = {"refits": 0, "moves": 0}, {"refits": [], "moves": []}
    for d in DATASETS:
        refits, moved = moves(d, model, "refits"), moves(d, model, SMALL)
        for what, losses in (("refits", refits), ("moves", moved)):
            worse = losses > np.median(refits, axis=1, keepdims=True) + MARGIN
            cases[what] += int(worse.any(axis=1).sum())
            every[what].append(worse.mean())
    return cases, {what: np.mean(shares) for what, shares in every.items()}


def collapse_table():
    lines = []
    for m in MODELS:
        cases, every = collapses(m)
        lines.append([m, *(cell for what in ("refits", "moves") for cell in (f"{cases[what]} of {len(DATASETS) * len(SEEDS)}", f"{every[what]:.1%}"))])
    return markdown_table(["worse than the median refit by 0.1 of a guess", "cases with such a refit", "share of refits", "cases with such a move", "share of moves"], lines)


def search_table():
    "Optuna's TPE beside eight learned defaults, paired by dataset and seed."
    lines = []
    for m in MODELS:
        eight = gains(m)[0][8]
        for n, found in searched(m).items(): lines.append([f"{m}, {n} trials", f"{found.mean():+.4f}", f"{eight.mean():+.4f}", show(Estimate((found - eight).mean(axis=1)), 4)])
    return markdown_table(["", "TPE: gain, of a guess", "eight learned defaults", "TPE − defaults"], lines)


def learned_table(model):
    "The eight defaults that all ten datasets together would give."
    chosen, every = good_defaults(stack(model, "wide"), max(SIZES)), settings(model, "wide")
    names = list(SPACES["wide"][model])
    return markdown_table([model, *names], [[i + 1, *(f"{every[c][n]:.3g}" if every[c] else "default" for n in names)] for i, c in enumerate(chosen)])


def missing():
    found, moved, searches = setting_rows(), move_rows(), search_rows()
    lacking = [f"{space} {m} on {d}" for space in N_SETTINGS for d in DATASETS for m in MODELS if any((d, m, space, seed) not in found for seed in SEEDS)]
    return lacking + [f"moves of {m} on {d}" for d in DATASETS for m in MODELS if any((d, m, seed, "alone") not in moved for seed in SEEDS)] + [
        f"Optuna's TPE for the {m} on {d}" for d in DATASETS for m in MODELS if any((d, m, seed) not in searches for seed in SEEDS)]


def table():
    if lacking := missing(): sys.exit(f"the table waits for rows of {len(lacking)} kinds, {lacking[0]} first: run `python benchmarks/{NAME}.py`.")
    fits = sum(len(r["test"].split()) for r in setting_rows().rows) + sum(len(r["losses"].split()) for r in move_rows().rows) + sum(len(r["test"].split()) for r in search_rows().rows)
    return f"""# How much do a forest and boosting depend on their hyperparameters?

Made by `python benchmarks/{NAME}.py` from {NAME}_settings.csv, {NAME}_moves.csv and {NAME}_search.csv ({fits:,} fits). {conditions(NAME)}

Scikit-learn's random forest and gradient boosting, ten datasets, five seeds (each divides or draws the rows anew). The loss is 1 − AUC with classes and 1 − R² with a number (diabetes, Friedman 1, linear). "Of a guess" means divided by the loss of a model that knows nothing: 0.5 and 1.
iris, wine, breast_cancer, digits (is it odd?) and diabetes come with scikit-learn; the other five are generated. Settings are chosen on the validation part and reported on the test part.
Brackets hold 95% intervals: over the five seeds for a dataset (Student's t), over the ten datasets' means in a last line. The five seeds divide the same rows of a bundled dataset, so their intervals are a little too narrow.

## Claims

{claims_table()}
Rules and thresholds stand in the script's first lines, and were committed before the first fit.

## Spread

{spread_table()}
200 random settings in the wide spaces, 30 in the sensible ones. {error_sentence()}

## Without the settings that can't split

{alive_table()}
Looked at after the results, and deciding nothing. A tree can't split if its subsample is smaller than two leaves. Both models draw the same shares and leaf sizes, so the same settings are left out. The error is a share of rows and isn't divided by a guess.

## Tunability

{tunability_table()}
In units of the loss. An optimal default is the setting (of the same 200 and the package's) that is best on average on the nine other datasets.

## Beside Probst, Boulesteix and Bischl

{probst_table()}
Their forest is ranger, their boosting xgboost, their defaults those of the R packages, their spaces others than ours; only the size and the order can be compared. Intervals: over datasets.

## Small moves

{moves_table()}
Around the best of 200 settings on validation: ten refits with other random states (standard deviation), ten random moves of all parameters (root mean square change from the refits' mean; the moves have new random states too). The excess is the moves' reaction without the refits' noise. Strong: more than twice the noise and more than {STRONG} of a guess.

## Other radii

{radius_table()}
## Collapses

{collapse_table()}
Looked at after the results, and deciding nothing: trainings that went badly wrong around the best setting on validation, with nothing changed but the random state, and with small moves.

## One parameter at a time

{alone_table()}
Root mean square change of the test loss, of a guess, without the refits' noise; intervals over datasets.

## Good defaults

{defaults_table()}
Gain over scikit-learn's default on the left-out dataset, mean over datasets and seeds. The intervals of the shares: percentiles of 2,000 bootstrap samples of datasets, and of seeds within them. Random settings: mean of 100 draws.

## From a random setting

{random_table()}
Looked at after the results, and deciding nothing: the same, but tuning's gain is counted from the median of the 200 random settings, not from scikit-learn's default.

## Against a search

{search_table()}
Optuna's TPE with its defaults (the first ten trials are random), in the same wide space, on the same splits; the best trial on validation counts. Intervals: over datasets.

## The defaults themselves

{learned_table("forest")}
{learned_table("boosting")}
Learned from all ten datasets, in the order of choice.
"""



if __name__ == "__main__": main(NAME, run, table)
