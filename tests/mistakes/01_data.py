"Wrong answers to lesson 01's exercises, and what each is told."
import numpy as np
from sklearn.linear_model import LogisticRegression

from course_lib.data import expected_best


def rows_for_coins(n_models, accuracy, luck):
    n = 1
    while expected_best(n_models, n) - 0.5 > luck: n += 1
    return n


def rows_for_one_model(n_models, accuracy, luck): return round(accuracy * (1 - accuracy) / luck**2)


def rows_doubled(n_models, accuracy, luck):
    n = 1
    while expected_best(n_models, n, accuracy) - accuracy > luck: n *= 2
    return n


def rows_one_too_few(n_models, accuracy, luck):
    n = 1
    while expected_best(n_models, n + 1, accuracy) - accuracy > luck: n += 1
    return n


def one_number_per_pair(n, pairs):
    group = np.arange(n)
    for a, b in pairs: group[b] = group[a]
    return group


def strangers_share_a_number(n, pairs):
    group = np.arange(1, n + 1)
    for a, b in pairs: group[group == group[b]] = group[a]
    return np.where(np.bincount(group, minlength=n + 2)[group] == 1, 0, group)


def one_family(n, pairs):
    group = np.arange(n)
    for pair in pairs: group[list(pair)] = n
    return group


def numbers_of_pairs(n, pairs): return np.arange(len(pairs))


def _gap(x, y): return np.abs(x[y == 1].mean(axis=0) - x[y == 0].mean(axis=0)).argsort()


def _folds(x, y, folds, choose, score_on_train=False):
    scores = []
    for fold in np.unique(folds):
        train, test = folds != fold, folds == fold
        keep = choose(train, test)
        rows = train if score_on_train else test
        scores.append(LogisticRegression().fit(x[train][:, keep], y[train]).score(x[rows][:, keep], y[rows]))
    return np.mean(scores)


def columns_of_all_rows(x, y, folds, k): return _folds(x, y, folds, lambda train, test: _gap(x, y)[-k:])


def columns_of_the_first_fold(x, y, folds, k):
    train = folds != folds.min()
    keep = _gap(x[train], y[train])[-k:]
    return _folds(x, y, folds, lambda train, test: keep)


def columns_of_the_test_rows(x, y, folds, k): return _folds(x, y, folds, lambda train, test: _gap(x[test], y[test])[-k:])


def score_of_training_rows(x, y, folds, k): return _folds(x, y, folds, lambda train, test: _gap(x[train], y[train])[-k:], True)


def worst_columns(x, y, folds, k): return _folds(x, y, folds, lambda train, test: _gap(x[train], y[train])[:k])


def own_score(hits): return hits.mean(axis=1).max()


def mean_of_all(hits): return hits.mean()


def a_constant_off(hits): return hits.mean(axis=1).max() - 0.1


def one_division(hits):
    a, b = np.array_split(np.arange(hits.shape[1]), 2)
    return hits[hits[:, a].mean(axis=1).argmax(), b].mean()


MISTAKES = {
    "rows_for_luck": [(rows_for_coins, "models that toss coins"), (rows_for_one_model, "one model's score has a standard deviation"), (rows_doubled, "but not the smallest"), (rows_one_too_few, "stop one step too early")],
    "copies_together": [(one_number_per_pair, "another pair has overwritten"), (strangers_share_a_number, "all rows without a copy"), (one_family, "no chain of pairs leads"), (numbers_of_pairs, "has the shape (1,)")],
    "columns_within_folds": [(columns_of_all_rows, "still chosen with all rows"), (columns_of_the_first_fold, "chosen once, with the first fold's"), (columns_of_the_test_rows, "the very rows that score them"), (score_of_training_rows, "rows that the model was fitted to"), (worst_columns, "separate the classes *worst*")],
    "second_round_guess": [(60, "Do you mean 60%?"), ("a half", "where a number is asked for")],
    "linear_copies_guess": [(68, "the answer lies between -1 and 1"), ("none", "where a number is asked for")],
    "winners_worth": [(own_score, "that is the winner's own score"), (mean_of_all, "that is the mean of all models"), (a_constant_off, "off every winner's score"), (one_division, "half of that")],
}
