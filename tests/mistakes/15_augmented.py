"Wrong answers to lesson 15's exercises, and what each is told."
import numpy as np


def mean_of_losses(seconds, losses, budget): return sum(losses)/len(losses)


def steps(seconds, losses, budget, of=lambda y, after: y):
    "The area below the curve; `of` says what counts between a moment and the next, of the losses at both."
    kept = [(t, y) for t, y in zip(seconds, losses) if t < budget]
    ends, after = [t for t, _ in kept[1:]] + [budget], [y for _, y in kept[1:]] + [kept[-1][1]]
    return sum(of(y, b)*(end - t) for (t, y), end, b in zip(kept, ends, after))


def area(seconds, losses, budget): return steps(seconds, losses, budget)


def stops_early(seconds, losses, budget): return sum(y*(b - a) for y, a, b in zip(losses, seconds, seconds[1:]))/budget


def late_counts(seconds, losses, budget):
    end = max(budget, seconds[-1])
    return sum(y*(b - a) for y, a, b in zip(losses, seconds, seconds[1:] + [end]))/end


def straight_lines(seconds, losses, budget): return steps(seconds, losses, budget, lambda y, after: (y + after)/2)/budget


def too_early(seconds, losses, budget): return steps(seconds, losses, budget, lambda y, after: after)/budget


def in_the_end(seconds, losses, budget): return [y for t, y in zip(seconds, losses) if t < budget][-1]


def share(df, columns, measured): return df.groupby(columns)[measured].transform("mean").var(ddof=0)/df[measured].var(ddof=0)


def both(df, a, b, measured): return share(df, [a, b], measured)


def all_the_rest(df, a, b, measured): return 1 - share(df, [a], measured) - share(df, [b], measured)


def three_factors(df, a, b, measured): return share(df, ["rate", "cell", "data"], measured) - share(df, [a], measured) - share(df, [b], measured)


def turned(df, a, b, measured): return share(df, [a], measured) + share(df, [b], measured) - share(df, [a, b], measured)


def product(df, a, b, measured): return share(df, [a], measured)*share(df, [b], measured)


def apart(df, a, b, measured): return share(df, [a], measured) + share(df, [b], measured)


def one_left_in(df, a, b, measured): return share(df, [a, b], measured) - share(df, [a], measured)


def fitted(attempt, x, y):
    from sklearn.svm import SVC
    model = SVC().fit(x.reshape(-1, 64), y)
    return lambda x: model.predict(x.reshape(-1, 64))


def ten_trees(attempt):
    from sklearn.ensemble import RandomForestClassifier
    model = RandomForestClassifier(10, random_state=attempt.seed).fit(attempt.train.x.reshape(-1, 64), attempt.train.y)
    attempt.submit(lambda x: model.predict(x.reshape(-1, 64)))


def learns_by_heart(attempt):
    from sklearn.neighbors import KNeighborsClassifier
    x, y = [np.concatenate([part[k] for part in (attempt.train, attempt.valid)]) for k in (0, 1)]
    model = KNeighborsClassifier(1).fit(x.reshape(-1, 64), y)
    attempt.submit(lambda x: model.predict(x.reshape(-1, 64)))


def too_late(attempt):
    predict = fitted(attempt, *attempt.train)
    while attempt.spent < 1: pass
    attempt.submit(predict)


def images_as_they_are(attempt):
    from sklearn.svm import SVC
    attempt.submit(SVC().fit(attempt.train.x, attempt.train.y).predict)


def hands_in_nothing(attempt): return fitted(attempt, *attempt.train)


MISTAKES = {
    "mean_over_clock": [
        (mean_of_losses, "as if each had counted for as long"),
        (area, "the area below the curve"),
        (stops_early, "you stop at the last change"),
        (late_counts, "after the budget counts in yours"),
        (straight_lines, "you draw a straight line"),
        (too_early, "before it was handed in"),
        (in_the_end, "what counted in the end"),
    ],
    "interaction_share": [
        (both, "all that the two explain"),
        (all_the_rest, "what other factors and luck do"),
        (three_factors, "a third factor has part"),
        (turned, "the sign is turned"),
        (product, "a product of two shares"),
        (apart, "what they explain apart"),
        (one_left_in, "is still in it"),
    ],
    "quick_contestant": [
        (ten_trees, "the target is less than 1.9%"),
        (learns_by_heart, "trained on the images that should choose"),
        (too_late, "came after the second was over"),
        (images_as_they_are, "your contestant raised ValueError"),
        (hands_in_nothing, "handed in nothing that is better"),
    ],
    "unpaired_guess": [(0, "the answer lies between 0.1 and 100"), ("many", "where a number is asked for")],
    "range_guess": [(60, "Do you mean 60%"), (-0.5, "the answer lies between 0 and 1")],
}
