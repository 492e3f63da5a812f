"Wrong answers to lesson 06's exercises, and what each is told."
import numpy as np
import pandas as pd
from sklearn.base import clone


def most_probable(proba, cost): return proba.argmax(1)


def over_decisions(proba, cost): return (proba @ cost.T).argmin(1)


def dearest(proba, cost): return (proba @ cost).argmax(1)


def weighs_by_the_row(proba, cost): return (proba * cost.sum(1)).argmax(1)


def costs_and_no_choice(proba, cost): return proba @ cost


def worst_alone(losses, chosen): return max(chosen, key=lambda c: losses[:, c].mean())


def without(losses, chosen): return [losses[:, [o for o in chosen if o != c]].min(1).mean() for c in chosen]


def place_in_the_list(losses, chosen): return int(np.argmin(without(losses, chosen)))


def missed_most(losses, chosen): return chosen[int(np.argmax(without(losses, chosen)))]


def the_last(losses, chosen): return chosen[-1]


def fewest_wins(losses, chosen): return min(chosen, key=lambda c: (losses[:, chosen].argmin(1) == chosen.index(c)).sum())


def in_sample(model, X, y, folds): return model.fit(X, y).predict(X)


def fold_after_fold(model, X, y, folds): return np.concatenate([clone(model).fit(X[train], y[train]).predict(X[valid]) for train, valid in folds])


def fits_on_what_it_predicts(model, X, y, folds):
    found = np.empty(len(y))
    for _, valid in folds: found[valid] = clone(model).fit(X[valid], y[valid]).predict(X[valid])
    return found


def overwrites(model, X, y, folds):
    for train, _ in folds: found = clone(model).fit(X[train], y[train]).predict(X)
    return found


def one_fold(model, X, y, folds): return clone(model).fit(X[folds[0][0]], y[folds[0][0]]).predict(X[folds[0][1]])


def everything(X, y): return list(X.columns)


def nothing(X, y): return []


def numbers_of_columns(X, y): return [0]


def correlation(X, y):
    strength = X.select_dtypes("number").corrwith(pd.Series(y)).abs()
    return list(strength.index[strength > 0.5])


def low_threshold(X, y):
    strength = X.select_dtypes("number").corrwith(pd.Series(y)).abs()
    return list(strength.index[strength > 0.15])


MISTAKES = {
    "cheapest_choice": [(most_probable, "you take the most probable class"), (over_decisions, "what could be *said*"), (dearest, "that is the dearest one"), (weighs_by_the_row, "if all mistakes on a class cost the same"), (costs_and_no_choice, "one class number for each row")],
    "dispensable": [(worst_alone, "whose own mean is the largest"), (place_in_the_list, "its place in the list"), (missed_most, "would be missed most"), (the_last, "you drop the last one"), (fewest_wins, "on the fewest datasets")],
    "out_of_fold": [(in_sample, "had seen all the rows"), (fold_after_fold, "in the order of the folds"), (fits_on_what_it_predicts, "the very rows that it then predicts"), (overwrites, "the model of the last fold"), (one_fold, "one prediction for each row is asked for")],
    "twins_guess": [(77, "Write 0.77"), ("all", "where a number is asked for"), (-0.5, "between 0 and 1")],
    "pca_outside_guess": [(90, "Write 0.9"), (None, "your guess is None"), (500, "your guess is 500")],
    "ask_about": [(everything, "nearly everything stops listening"), (nothing, "asks about nothing"), (correlation, "and none where the leak is a text"), (low_threshold, "where 3 are bearable"), (numbers_of_columns, "the table has no such column")],
}
