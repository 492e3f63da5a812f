"Wrong answers to lesson 03's exercises, and what each is told."
import math

import numpy as np

from course_lib.search import n_trials_for


def hits_one_by_one(hits, top, confidence): return hits * n_trials_for(top, confidence)


def hits_on_average(hits, top, confidence): return math.ceil(hits / top)


def hits_ignored(hits, top, confidence): return n_trials_for(top, confidence)


def one_hit_too_many(hits, top, confidence):
    n = hits
    while sum(math.comb(n, k) * top**k * (1 - top)**(n - k) for k in range(hits + 1)) > 1 - confidence: n += 1
    return n


def climb_from(space, history, rng, choose=lambda done: min(done, key=lambda t: t.loss), fresh=True):
    done = [t for t in history.told if t.status == "done"]
    if not done: return space.sample(rng)
    options = [c for c in space.neighbours(choose(done).config) if not fresh or c not in history]
    return options[rng.integers(len(options))] if options else space.sample(rng)


def climb_cannot_begin(space, history, rng): return climb_from(space, history, rng) if history.told else min(history.told, key=lambda t: t.loss).config


def climb_from_the_last(space, history, rng): return climb_from(space, history, rng, lambda done: done[-1])


def climb_from_the_worst(space, history, rng): return climb_from(space, history, rng, lambda done: max(done, key=lambda t: t.loss))


def climb_again(space, history, rng): return climb_from(space, history, rng, fresh=False)


def climb_unrepeatable(space, history, rng): return climb_from(space, history, np.random.default_rng() if len(history.told) > 1 else rng)


def just_darts(space, history, rng): return space.sample(rng)


def always_the_middle(space, history, rng): return space.decode([0.5] * len(space))


def lower_half(space, history, rng): return space.decode(rng.random(len(space)) / 2)


MISTAKES = {
    "trials_for_hits": [(hits_one_by_one, "times for a sure hit"), (hits_on_average, "*on average*"), (hits_ignored, "the number for a single hit"), (one_hit_too_many, "one more than was asked for")],
    "climb": [(climb_cannot_begin, "when nothing has been told, yours raises"), (climb_from_the_last, "the trial that was done last"), (climb_from_the_worst, "next to the worst trial"), (climb_again, "which has been tried before"), (climb_unrepeatable, "can't be repeated or resumed")],
    "darts_guess": [(80, "a share lies between 0 and 1, and your guess is 80"), ("most", "where a number is asked for")],
    "batches_guess": [(0, "your guess is 0, and the answer lies between"), ("twice", "where a number is asked for")],
    "better_than_darts": [(just_darts, "draws the same trials as random search"), (always_the_middle, "which is a piece of knowledge about the landscape"), (climb_from, "it sticks in one of the ripples' hollows"), (lower_half, "8 of 10 were asked for")],
}
