"Wrong answers to lesson 04's exercises, and what each is told."
import numpy as np
from scipy.stats import spearmanr


def divides_the_budget(n, max_budget, eta):
    plan, budget = [], max_budget
    while budget >= 1: plan.insert(0, (max_budget // budget, budget)); budget //= eta
    return plan


def divides_the_budget_forwards(n, max_budget, eta):
    plan, budget = [], max_budget
    while budget >= 1: plan.append((n, budget)); budget //= eta
    return plan


def right_plan(n, max_budget, eta):
    plan = []
    while n: plan.append((n, max_budget // n)); n //= eta
    return plan


def keeps_all(n, max_budget, eta): return [(n, budget) for _, budget in right_plan(n, max_budget, eta)]


def less_for_the_survivors(n, max_budget, eta): return [(k, max_budget // eta**i) for i, (k, _) in enumerate(right_plan(n, max_budget, eta))]


def begins_with_one(n, max_budget, eta):
    plan, budget = [], 1
    while n: plan.append((n, budget)); n, budget = n // eta, budget * eta
    return plan


def what_is_added(n, max_budget, eta):
    plan = right_plan(n, max_budget, eta)
    return [(k, budget - (plan[i - 1][1] if i else 0)) for i, (k, budget) in enumerate(plan)]


def without_the_winner(n, max_budget, eta): return right_plan(n, max_budget, eta)[:-1] if n > 1 else right_plan(n, max_budget, eta)


def budget_first(n, max_budget, eta): return [(budget, k) for k, budget in right_plan(n, max_budget, eta)]


def last_first(n, max_budget, eta): return right_plan(n, max_budget, eta)[::-1]


def places(k, eta): return max(1, k // eta)


def on_arrival(losses, eta, places=places, own=1): return [i for i in range(len(losses)) if sorted(losses[:i + 1]).index(losses[i]) < places(i + own, eta)]


def complete_rung(losses, eta): return np.argsort(losses)[:places(len(losses), eta)]


def promotion_form(losses, eta):
    gone = []
    for k in range(1, len(losses) + 1): gone += [i for i in np.argsort(losses[:k])[:k // eta] if i not in gone]
    return gone


def no_place_at_first(losses, eta): return on_arrival(losses, eta, lambda k, eta: k // eta)


def not_itself(losses, eta): return on_arrival(losses, eta, own=0)


def only_records(losses, eta): return on_arrival(losses, eta, lambda k, eta: 1)


def the_losses(losses, eta): return [losses[i] for i in on_arrival(losses, eta)]


def best(curves, column, eta): return set(np.argsort(curves[:, column])[:len(curves) // eta])


def one_column_late(curves, budget, eta): return len(best(curves, budget, eta) & best(curves, -1, eta)) / (len(curves) // eta)


def correlation(curves, budget, eta): return spearmanr(curves[:, budget - 1], curves[:, -1])[0]


def of_all(curves, budget, eta): return len(best(curves, budget - 1, eta) & best(curves, -1, eta)) / len(curves)


def of_the_largest(curves, budget, eta): return len(best(-curves, budget - 1, eta) & best(-curves, -1, eta)) / (len(curves) // eta)


def the_single_best(curves, budget, eta): return float(np.argmin(curves[:, -1]) in best(curves, budget - 1, eta))


def same_order(curves, budget, eta):
    k = len(curves) // eta
    return np.mean(np.argsort(curves[:, budget - 1])[:k] == np.argsort(curves[:, -1])[:k])


def by_the_last_loss(curves, k): return np.argsort(curves[:, -1])[:k]


def the_steepest(curves, k): return np.argsort(curves[:, -1] - curves[:, curves.shape[1] // 3 - 1])[:k]


def a_step_further(curves, k): return np.argsort(2 * curves[:, -1] - curves[:, curves.shape[1] // 3 - 1])[:k]


def the_worst(curves, k): return np.argsort(-curves[:, -1])[:k]


def one_only(curves, k): return [np.argmin(curves[:, -1])]


MISTAKES = {
    "successive_halving": [(divides_the_budget, "budgets add up to 108, not 81: you divide the budget by η where the number of configurations should be divided"), (divides_the_budget_forwards, "budgets add up to 360, not 81: you divide the budget by η"), (keeps_all, "nobody has been stopped"), (less_for_the_survivors, "the survivors get less"), (begins_with_one, "you begin with a budget of 1"), (what_is_added, "what is *added*"), (without_the_winner, "nobody comes to the full budget"), (budget_first, "the wrong way round"), (last_first, "in the wrong order")],
    "trains_on": [(complete_rung, "you wait until all have come"), (promotion_form, "that is the promotion form"), (no_place_at_first, "you stop the first 2"), (not_itself, "only those that came before"), (only_records, "only a new record"), (the_losses, "no position in `losses`")],
    "kept_share": [(one_column_late, "which holds the losses after 10 epochs"), (correlation, "the rank correlation"), (of_all, "you divide by all 9 configurations"), (of_the_largest, "the largest losses"), (the_single_best, "the single best one"), (same_order, "at the same rank")],
    "kept_at_nine_guess": [(33, "a share lies between 0 and 1"), ("a third", "where a number is asked for")],
    "worst_first_guess": [(1.5, "a share lies between 0 and 1"), (-0.3, "the answer lies between 0 and 1")],
    "goes_on": [(by_the_last_loss, "yours chooses as halving does"), (the_steepest, "does harm where an early ranking can be trusted"), (a_step_further, "haste is still rewarded"), (the_worst, "both are too high"), (one_only, "yours names 1")],
}
