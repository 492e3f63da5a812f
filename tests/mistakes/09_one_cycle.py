"Wrong answers to lesson 09's exercises, and what each is told."
import math

import numpy as np


def jumps_at_the_corner(lr, flat): return lambda position: lr if position <= flat else lr * (1 + math.cos(math.pi * position)) / 2


def never_arrives(lr, flat): return lambda position: lr * (1 + math.cos(math.pi * max(position - flat, 0))) / 2


def straight_down(lr, flat): return lambda position: lr * min(1, (1 - position) / (1 - flat))


def a_rate_and_no_schedule(lr, flat): return lr


def falls_from_the_start(lr, flat): return lambda position: lr * (1 + math.cos(math.pi * min(position / flat, 1))) / 2


def rates(shape, peak, positions): return np.array([shape(peak)(p) for p in positions])


def mean_for_peak(shape, rate, n_steps): return rates(shape, rate, np.arange(n_steps) / n_steps).mean()


def last_position_too(shape, rate, n_steps): return rate / rates(shape, 1.0, np.linspace(0, 1, n_steps)).mean()


def twice(shape, rate, n_steps): return 2 * rate


def the_same(shape, rate, n_steps): return rate


def decay_alone(rates, decay): return (1 - decay) ** len(rates)


def one_after_another(rates, decay): return 1 - decay * np.sum(rates)


def small_steps(rates, decay): return math.exp(-decay * np.sum(rates))


def at_the_mean(rates, decay): return (1 - decay * np.mean(rates)) ** len(rates)


def always_a_tenth(): return lambda position: 0.1


def climbs(): return lambda position: 0.2 * position


def explodes(): return lambda position: 30 * (1 - position)


def below_zero(): return lambda position: 0.1 - position


def a_list_of_rates(): return [0.1] * 50


MISTAKES = {
    "flat_then_cosine": [(jumps_at_the_corner, "jumps where the flat part ends"), (never_arrives, "over before it has come down"), (straight_down, "that is a straight line"), (a_rate_and_no_schedule, "where a schedule is asked for"), (falls_from_the_start, "has to stay in the first part")],
    "fair_peak": [(mean_for_peak, "whose *peak* is"), (last_position_too, "positions that the training doesn't have"), (twice, "rule of thumb"), (the_same, "Only a constant has its peak for its mean")],
    "weight_left": [(decay_alone, "by the decay alone"), (one_after_another, "from the *first* weight"), (small_steps, "the limit for very small steps"), (at_the_mean, "the mean rate at each step")],
    "backwards_guess": [(8, "Write 0.08"), ("worse", "where a number is asked for"), (-0.1, "between 0 and 1")],
    "all_good_guess": [(80, "Write 0.8"), (800, "your guess is 800")],
    "schedule_for_fifty_steps": [(always_a_tenth, "its rivals are constant rates"), (climbs, "Your last rate is"), (explodes, "its largest rate is 30"), (below_zero, "a rate is 0 or more"), (a_list_of_rates, "where a schedule is asked for")],
}
