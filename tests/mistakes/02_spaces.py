"Wrong answers to lesson 02's exercises, and what each is told."
import math

import numpy as np

from course_lib.spaces import Float, Space


def chance_all_alike(k, low, high, log): return 1 / (high - low + 1)


def chance_half_ends(k, low, high, log):
    s = math.log if log else float
    return (s(min(k + 0.5, high)) - s(max(k - 0.5, low))) / (s(high) - s(low))


def chance_short_axis(k, low, high, log):
    s = math.log if log else float
    return (s(k + 0.5) - s(k - 0.5)) / (s(high) - s(low))


def chance_rounded_down(k, low, high, log):
    s = math.log if log else float
    return (s(k + 1) - s(k)) / (s(high + 1) - s(low))


def child_of_dicts(space, a, b, from_a): return {n: (a if take else b)[n] for n, take in zip(space, from_a) if n in (a if take else b)}


def child_without_leftovers(space, a, b, from_a):
    child = child_of_dicts(space, a, b, from_a)
    return {n: value for n, value in child.items() if all(child.get(parent) in wanted for parent, wanted in space[n].when.items())}


def child_from_the_middle(space, a, b, from_a):
    v = np.where(from_a, space.encode(a), space.encode(b))
    return space.decode(np.where(np.isnan(v), 0.5, v))


def child_exchanged(space, a, b, from_a):
    va, vb = space.encode(a), space.encode(b)
    v = np.where(from_a, vb, va)
    v = np.where(np.isnan(v), np.where(from_a, va, vb), v)
    return space.decode(np.where(np.isnan(v), 0.5, v))


def space_of_one_task(): return Space(lr=Float(0.2, 0.9, log=True), momentum=Float(0.8, 0.95))


def space_on_a_linear_axis(): return Space(lr=Float(1e-4, 1), momentum=Float(0.5, 0.9))


def space_without_momentum(): return Space(lr=Float(1e-3, 1, log=True))


MISTAKES = {
    "int_chance": [(chance_all_alike, "you give every whole number the same chance"), (chance_half_ends, "the fault of the naive space"), (chance_short_axis, "more than your axis"), (chance_rounded_down, "as if numbers were rounded down")],
    "mixed_child": [(child_of_dicts, "whose condition the child doesn't meet"), (child_without_leftovers, "where the parent that you asked isn't"), (child_from_the_middle, "you went to the middle of an axis"), (child_exchanged, "a and b have changed places")],
    "narrowed_guess": [(72, "a share lies between 0 and 1, and your guess is 72"), (-0.1, "your guess is -0.1, and the answer lies between 0 and 1")],
    "condition_guess": [("half as many", "'half as many' isn't one of the answers offered"), (36, "36 isn't one of the answers offered")],
    "narrow_space": [(space_of_one_task, "hardly any rate of your space trains it"), (space_on_a_linear_axis, "linear axis"), (space_without_momentum, "your space has the parameters lr")],
}
