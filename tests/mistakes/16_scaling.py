"Wrong answers to lesson 16's exercises, and what each is told."
import heapq
from collections import Counter


def played(seconds, workers):
    "When each worker is free at last."
    free = [0.0] * workers
    for s in seconds: heapq.heapreplace(free, free[0] + s)
    return free


def share(seconds, workers, end): return 1 - sum(seconds) / (workers * end)


def one_for_each(seconds, workers): return 1 - sum(seconds) / len(seconds) / max(seconds)


def waits_each_round(seconds, workers): return share(seconds, workers, sum(max(seconds[i:i + workers]) for i in range(0, len(seconds), workers)))


def dealt_like_cards(seconds, workers): return share(seconds, workers, max(sum(seconds[i::workers]) for i in range(workers)))


def longest_first(seconds, workers): return share(seconds, workers, max(played(sorted(seconds)[::-1], workers)))


def as_early_as_possible(seconds, workers): return share(seconds, workers, max(max(seconds), sum(seconds) / workers))


def who_never_works_is_free(seconds, workers): return share(seconds, min(workers, len(seconds)), max(played(seconds, workers)))


def busy(seconds, workers): return 1 - share(seconds, workers, max(played(seconds, workers)))


def seconds_of_waiting(seconds, workers): return workers * max(played(seconds, workers)) - sum(seconds)


def noted(log):
    "What began, what ended, how many workers each trial lost, and what was running at the end."
    begun, ended, lost, running = [], [], Counter(), {}
    for event, trial, worker in log:
        if event == "begun": begun.append(trial); running[worker] = trial
        elif event == "ended": ended.append(trial); running.pop(worker, None)
        elif worker in running: lost[running.pop(worker)] += 1
    return begun, ended, lost, list(running.values())


def poison_again(log): return sorted(set(noted(log)[0]) - set(noted(log)[1]))


def one_death_is_enough(log):
    begun, ended, lost, _ = noted(log)
    return sorted(set(begun) - set(ended) - set(lost))


def only_the_dead(log):
    _, ended, lost, _ = noted(log)
    return sorted(t for t in lost if lost[t] < 2 and t not in ended)


def only_the_running(log):
    _, ended, lost, running = noted(log)
    return sorted({t for t in running if lost[t] < 2 and t not in ended})


def a_result_for_each_beginning(log):
    begun, ended, lost, _ = noted(log)
    return sorted(t for t in set(begun) if lost[t] < 2 and begun.count(t) > ended.count(t))


def begun_twice_is_given_up(log):
    begun, ended, _, _ = noted(log)
    return [t for t in sorted(set(begun)) if begun.count(t) < 2 and t not in ended]


def all_that_began(log): return sorted(set(noted(log)[0]))


def one_for_each_beginning(log):
    begun, ended, lost, _ = noted(log)
    return sorted(t for t in begun if t not in ended and lost[t] < 2)


def blames_the_last_one(log):
    "A worker keeps the trial that it has ended."
    begun, ended, lost, last = set(), set(), Counter(), {}
    for event, trial, worker in log:
        if event == "begun": begun.add(trial); last[worker] = trial
        elif event == "ended": ended.add(trial)
        elif worker in last: lost[last.pop(worker)] += 1
    return sorted((begun - ended | set(lost)) - {t for t in lost if lost[t] > 1})


def what_the_driver_can_serve(seconds, workers, efficiency): return seconds / (workers * efficiency)


def what_a_worker_waits(seconds, workers, efficiency): return seconds * (1 / efficiency - 1)


def the_easier_limit(seconds, workers, efficiency): return max(seconds / (workers * efficiency), seconds * (1 / efficiency - 1))


def divided_among_them(seconds, workers, efficiency): return seconds / workers


def share_of_a_trial(seconds, workers, efficiency): return min(seconds * (1 - efficiency), seconds / (workers * efficiency))


def waits_for_all(seconds, workers, efficiency): return seconds * (1 / efficiency - 1) / workers


def what_is_left(seconds, workers, efficiency): return seconds / (workers * efficiency) - seconds


def searched(kind, workers, **options):
    "A plan: this optimizer, on so many workers."
    def plan(seed):
        from course_lib import halving, scaling, search, surrogates
        make = getattr(search, kind, None) or getattr(halving, kind, None) or getattr(surrogates, kind)
        return make(scaling.SPACE, seed, **options), workers
    return plan


def the_wrong_way_round(seed): return searched("RandomSearch", 100)(seed)[::-1]


def the_same_again(seed, once=[]):
    if not once: once.append(searched("ASHA", 40, max_budget=27)(0)[0])
    return once[0], 40


def always_seed_0(seed): return searched("ASHA", 40, max_budget=27)(0)


MISTAKES = {
    "idle_share": [
        (one_for_each, "as in the lesson's first picture"),
        (waits_each_round, "you let all wait after every 3 trainings"),
        (dealt_like_cards, "deal the trainings out in turn"),
        (longest_first, "begin with the longest"),
        (as_early_as_possible, "ends as early as it possibly could"),
        (who_never_works_is_free, "the workers that never get a training"),
        (busy, "in which they work"),
        (seconds_of_waiting, "the seconds of waiting"),
    ],
    "run_again": [
        (poison_again, "would take two more"),
        (one_death_is_enough, "after a single death"),
        (only_the_dead, "the driver died as well"),
        (only_the_running, "lost its worker just before"),
        (a_result_for_each_beginning, "one result is enough"),
        (begun_twice_is_given_up, "is no second death"),
        (all_that_began, "whatever has begun"),
        (one_for_each_beginning, "more than once"),
        (blames_the_last_one, "takes its results with it"),
    ],
    "bracket_guess": [(1000, "the answer lies between 0.1 and 100"), ("ten", "where a number is asked for")],
    "affordable_overhead": [
        (what_the_driver_can_serve, "not how long each of them waits"),
        (what_a_worker_waits, "not for those of the others"),
        (the_easier_limit, "the one that is easier to keep"),
        (divided_among_them, "the efficiency has no part in it"),
        (share_of_a_trial, "the lost share of a trial"),
        (waits_for_all, "wait for all others every time"),
        (what_is_left, "nought or less is no answer"),
    ],
    "hundred_workers": [
        (searched("RandomSearch", 100), "trained to its end"),
        (searched("SuccessiveHalving", 20, n=9, min_budget=3, max_budget=27), "at its end before the target"),
        (searched("Hyperband", 100, max_budget=27, repeats=30), "because workers had to wait"),
        (searched("ASHA", 100, max_budget=27), "fast enough, and too dear"),
        (searched("ASHA", 10, max_budget=27), "cheap enough, and too slow"),
        (searched("ASHA", 40, max_budget=27), "too slow and too dear"),
        (searched("ASHA", 40, max_budget=27, eta=2), "a budget that nobody has recorded"),
        (searched("ASHA", 400, max_budget=27), "400 workers can't be rented"),
        (the_wrong_way_round, "comes first in yours"),
        (the_same_again, "has been used before"),
        (always_seed_0, "whatever the seed"),
    ],
}
