"Wrong answers to lesson 05's exercises, and what each is told."
from scipy.special import ndtr

from course_lib.surrogates import expected_improvement


def chance_above(mean, std, best): return ndtr((mean - best) / std)


def chance_by_variance(mean, std, best): return ndtr((best - mean) / std**2)


def chance_without_doubt(mean, std, best): return ndtr(best - mean)


def gain(mean, std, best): return expected_improvement(mean, std, best)


def average(losses, signal, noise): return losses.mean(), noise / len(losses)


def each_alone(losses, signal, noise): return signal * losses.sum() / (signal + noise), signal * noise / (len(losses) * signal + noise)


def _right(losses, signal, noise):
    total = len(losses) * signal + noise
    return signal * losses.sum() / total, signal * noise / total


def as_deviation(losses, signal, noise):
    mean, variance = _right(losses, signal, noise)
    return mean, variance**0.5


def of_a_measurement(losses, signal, noise):
    mean, variance = _right(losses, signal, noise)
    return mean, variance + noise


def of_an_average(losses, signal, noise): return _right(losses, signal, noise)[0], noise / len(losses)


def greedy(mean, std, best): return -mean


def widest(mean, std, best): return std


def highest(mean, std, best): return mean


def all_equal(mean, std, best): return 0 * mean


def too_timid(mean, std, best): return -mean + std


MISTAKES = {
    "chance_of_improvement": [(chance_above, "to come out *above* the best"), (chance_by_variance, "you divide by the variance"), (chance_without_doubt, "you leave the doubt out"), (gain, "weighs each gain by its size")],
    "after_repeats": [(average, "yours is the plain average"), (each_alone, "as if each were the only one"), (as_deviation, "yours is the standard deviation"), (of_a_measurement, "variance of the next *measurement*"), (of_an_average, "the variance of an average")],
    "luck_of_the_best_guess": [(7, "Write 0.07"), (-0.1, "the answer lies between 0 and 1")],
    "score": [(greedy, "tries what the greedy rule tries"), (widest, "where the band is widest"), (highest, "predicted loss is highest"), (all_equal, "all points have the same score"), (too_timid, "and at most a third of the widest band's")],
}
