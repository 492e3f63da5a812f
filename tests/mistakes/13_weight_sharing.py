"Wrong answers to lesson 13's exercises, and what each is told."
import math

import numpy as np

EDGES = "0-1", "0-2", "1-2", "0-3", "1-3", "2-3"
OPS = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]


def judges_for_nothing(train, judge, separate, times): return math.ceil(times * train / separate)


def factor_of_the_training(train, judge, separate, times): return math.ceil(times * train / (separate - judge))


def level(train, judge, separate, times): return math.ceil(train / (separate - judge))


def negative(train, judge, separate, times): return math.ceil(times * train / (separate - times * judge))


def rounds_down(train, judge, separate, times):
    gain = separate - times * judge
    return math.floor(times * train / gain) if gain > 0 else math.inf


def each_for_itself(rng): return [{edge: OPS[rng.integers(5)] for edge in EDGES} for _ in range(5)]


def same_everywhere(rng): return [dict.fromkeys(EDGES, op) for op in rng.permutation(OPS)]


def shuffles_the_paths(rng): return [{edge: OPS[(i + k) % 5] for k, edge in enumerate(EDGES)} for i in rng.permutation(5)]


def shifts(rng):
    by = {edge: rng.integers(5) for edge in EDGES}
    return [{edge: OPS[(i + by[edge]) % 5] for edge in EDGES} for i in range(5)]


def tuples_of_operations(rng): return list(zip(*(rng.permutation(OPS) for _ in EDGES)))


def one_path(rng): return [{edge: OPS[rng.integers(5)] for edge in EDGES}]


def without_the_generator(rng):
    rng = np.random.default_rng(0)
    orders = {edge: rng.permutation(OPS) for edge in EDGES}
    return [{edge: orders[edge][i] for edge in EDGES} for i in range(5)]


def mean_of(loss, replace=False):
    def choosing_costs(signal, worth, n, rng): return np.mean([loss(signal, worth, rng.choice(len(worth), n, replace=replace)) for _ in range(2000)])
    return choosing_costs


def length_of(cell): return -sum(op.startswith("nor") for op in cell.ops)


def parameters(cell): return sum({"nor_conv_3x3": 592, "nor_conv_1x1": 80}.get(op, 0) for op in cell.ops)


def looks_it_up(cell):
    from course_lib.nas import digits201
    looks_it_up.worth = getattr(looks_it_up, "worth", None)
    if looks_it_up.worth is None: looks_it_up.worth = digits201().repeats.test.mean(axis=1)
    return looks_it_up.worth.get(str(cell), 0)


MISTAKES = {
    "pays_off": [
        (judges_for_nothing, "every cell has to be judged, too"),
        (factor_of_the_training, "of the supernet's training only"),
        (level, "merely level"),
        (negative, "the supernet's side grows faster"),
        (rounds_down, "the factor isn't reached yet"),
    ],
    "fair_paths": [
        (each_for_itself, "each path is drawn for itself"),
        (same_everywhere, "one and the same operation on all six edges"),
        (shuffles_the_paths, "is settled by what runs on edge 0-1"),
        (shifts, "of the 120 possible combinations"),
        (tuples_of_operations, "a configuration is asked for: a dict"),
        (one_path, "you return 1 paths"),
        (without_the_generator, "one and the same list of paths"),
    ],
    "choosing_costs": [
        (mean_of(lambda s, w, at: w[at].max() - w[at[s[at].argmax()]]), "nobody told the search to draw those"),
        (mean_of(lambda s, w, at: w.max() - w[at].max()), "a signal that knows everything"),
        (mean_of(lambda s, w, at: w[at[s[at].argmax()]] - w.max()), "the wrong way round"),
        (mean_of(lambda s, w, at: w.max() - w[at[s[at].argmin()]]), "the smallest signal"),
        (mean_of(lambda s, w, at: w.max() - w[s.argmax()]), "What is `n` for?"),
        (mean_of(lambda s, w, at: w.max() - w[at[s[at].argmax()]], replace=True), "the same cell twice"),
        (mean_of(lambda s, w, at: w[at[s[at].argmax()]]), "the worth of the chosen cell"),
    ],
    "free_signal": [
        (length_of, "the opposite order"),
        (parameters, "the signal to be beaten"),
        (looks_it_up, "looks its answers up"),
        (lambda cell: 1, "it puts them in no order"),
        (lambda cell: cell.ops.count("nor_conv_3x3"), "cells that you haven't seen"),
    ],
    "agreement_guess": [(57, "the answer lies between -1 and 1"), ("much", "where a number is asked for")],
    "neighbours_guess": [(71, "Do you mean 71%"), (-0.2, "the answer lies between 0 and 1")],
}
