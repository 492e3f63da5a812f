"Wrong answers to lesson 07's exercises, and what each is told."
import math

import numpy as np
from scipy import stats

from course_lib.robustness import Estimate


def intervals_apart(a, b): a, b = Estimate(a), Estimate(b); return a.high < b.low or b.high < a.low


def as_if_unpaired(a, b): return stats.ttest_ind(a, b, equal_var=False).pvalue < 0.05


def two_standard_errors(a, b): return abs(np.mean(a - b)) > 1.96 * np.std(a - b, ddof=1) / math.sqrt(len(a))


def the_other_way_round(a, b): d = Estimate(a - b); return d.low <= 0 <= d.high


def one_direction(a, b): return Estimate(a - b).low > 0


def any_difference(a, b): return np.mean(a) != np.mean(b)


def one_setting_only(noise, change): return math.ceil((2 * noise / change) ** 2)


def one_standard_error(noise, change): return math.ceil(2 * (noise / change) ** 2)


def without_the_square(noise, change): return math.ceil(2 * math.sqrt(2) * noise / change)


def rounds_down(noise, change): return max(1, int(8 * (noise / change) ** 2))


def both_together(noise, change): return math.ceil(16 * (noise / change) ** 2)


def mean_of_shares(random, default, tuned): return np.mean((random - default) / (random - tuned))


def what_is_left(random, default, tuned): return (default - tuned).sum() / (random - tuned).sum()


def upside_down(random, default, tuned): return (random - tuned).sum() / (random - default).sum()


def over_the_default(random, default, tuned): return (random - default).sum() / (default - tuned).sum()


def cut_off(random, default, tuned): return min(1.0, (random - default).sum() / (random - tuned).sum())


def once_each(look, n, budget): return int(np.argmin([look(k) for k in range(n)]))


def twice_each(look, n, budget): return int(np.argmin([look(k) + look(k) for k in range(n)]))


def first_twenty(look, n, budget): return int(np.argmin([np.mean([look(k) for _ in range(4)]) for k in range(20)]))


def three_times_each(look, n, budget): return int(np.argmin([look(k) + look(k) + look(k) for k in range(n)]))


def returns_the_loss(look, n, budget): return round(1000 * min(look(k) for k in range(n)))


def again_at_twenty(look, n, budget):
    first = np.array([look(k) for k in range(n)])
    best = first.argsort()[:20]
    return int(best[np.argmin([first[k] + look(k) + look(k) for k in best])])


MISTAKES = {
    "surely_different": [(intervals_apart, "two intervals, one for each model"), (as_if_unpaired, "had had different seeds"), (two_standard_errors, "the scatter itself is hardly known"), (the_other_way_round, "0 lies *in* the interval"), (one_direction, "in one direction only"), (any_difference, "never quite the same")],
    "repeats_needed": [(one_setting_only, "one of the two settings only"), (one_standard_error, "*one* standard error"), (without_the_square, "grow with its square"), (rounds_down, "In which direction do you round"), (both_together, "for both settings together")],
    "share_recovered": [(mean_of_shares, "You average the datasets' shares"), (what_is_left, "leaves to tuning"), (upside_down, "the wrong way round"), (over_the_default, "over the *default*"), (cut_off, "You cut the share off")],
    "phantom_guess": [(10, "your guess is 10"), ("a third", "where a number is asked for"), (-1, "your guess is -1")],
    "narrow_guess": [(50, "Write 0.5"), ("most", "where a number is asked for"), (-0.3, "between 0 and 1")],
    "choose_carefully": [(once_each, "take the luckiest"), (twice_each, "the same 2 looks"), (first_twenty, "never look at 20"), (three_times_each, "80 looks are all there are"), (returns_the_loss, "not its loss"), (again_at_twenty, "at most half of")],
}
