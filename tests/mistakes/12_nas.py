"Wrong answers to lesson 12's exercises, and what each is told."
import math

import numpy as np

from course_lib.cells import EDGES, OPS_201


def peeks(losses, tests): return np.maximum.accumulate(tests)


def largest_loss(losses, tests): return [tests[int(np.argmax(losses[:n]))] for n in range(1, len(losses) + 1)]


def this_query(losses, tests): return tests


def the_signal(losses, tests): return 1 - np.minimum.accumulate(losses)


def from_the_end(losses, tests): return [tests[int(np.argmin(losses))]]*len(tests)


def the_later(losses, tests): return [max(zip([-loss for loss in losses[:n]], range(n), tests))[2] for n in range(1, len(losses) + 1)]


def only_the_last(losses, tests): return tests[int(np.argmin(losses))]


def without_repetition(rank, population, sample): return math.comb(population - rank, sample - 1)/math.comb(population, sample)


def worst_wins(rank, population, sample): return (rank**sample - (rank - 1)**sample)/population**sample


def is_drawn(rank, population, sample): return sample/population


def nobody_better(rank, population, sample): return ((population - rank + 1)/population)**sample


def all_worse(rank, population, sample): return ((population - rank)/population)**sample


def from_zero(rank, population, sample): return ((population - rank)**sample - (population - rank - 1)**sample)/population**sample


def no_selection(rank, population, sample): return 1/population


def once(rank, population, sample): return sample/population*((population - rank)/population)**(sample - 1)


def p(logits): return np.exp(logits)/np.exp(logits).sum()


def no_baseline(logits, rewards): return p(logits)*rewards


def no_probability(logits, rewards): return rewards - p(logits) @ rewards


def downhill(logits, rewards): return -p(logits)*(rewards - p(logits) @ rewards)


def plain_mean(logits, rewards): return p(logits)*(rewards - rewards.mean())


def own_press(logits, rewards): return p(logits)*(1 - p(logits))*rewards


def one_number(logits, rewards): return p(logits) @ rewards


def draw(rng): return {edge: OPS_201[rng.integers(5)] for edge in EDGES}


def random_search(ask, rng): return min((draw(rng) for _ in range(100)), key=ask)


def asks_too_often(ask, rng): return min((draw(rng) for _ in range(150)), key=ask)


def knows_the_answer(ask, rng): return dict.fromkeys(EDGES, "nor_conv_3x3")


def loses_the_best(ask, rng):
    drawn = [draw(rng) for _ in range(50)]
    for config in drawn: ask(config)
    return drawn[-1]


def not_asked(ask, rng):
    ask(draw(rng))
    return draw(rng)


def gives_up(ask, rng):
    at = draw(rng)
    for edge in EDGES: at = min((at | {edge: op} for op in OPS_201), key=ask)
    return at


def lists(ask, rng): return ask([OPS_201[rng.integers(5)] for _ in EDGES])


MISTAKES = {
    "chosen_so_far": [
        (peeks, "which the search hasn't seen"),
        (largest_loss, "you choose the largest loss"),
        (this_query, "chosen or not"),
        (the_signal, "the signal of the chosen cell"),
        (from_the_end, "turns out best in the end"),
        (the_later, "of equal losses you take the later"),
        (only_the_last, "one is asked for after each query"),
    ],
    "parent_chance": [
        (without_repetition, "you draw without repetition"),
        (worst_wins, "the *worst* in the tournament"),
        (is_drawn, "a chance of being drawn"),
        (nobody_better, "nobody better is drawn"),
        (all_worse, "all members are worse"),
        (from_zero, "which is right for rank 3"),
        (no_selection, "that is no selection"),
        (once, "hold this cell twice"),
    ],
    "expected_step": [
        (no_baseline, "makes the others less likely"),
        (no_probability, "counts as much as the favourite"),
        (downhill, "that goes downhill"),
        (plain_mean, "the rewards' plain mean"),
        (own_press, "The presses of the others"),
        (one_number, "a number for each logit"),
    ],
    "hundred_queries": [
        (random_search, "drawing at random comes as far"),
        (asks_too_often, "asked for a 101st cell"),
        (knows_the_answer, "without asking for any"),
        (loses_the_best, "and had asked for one with"),
        (not_asked, "that it never asked for"),
        (gives_up, "uses few of its queries"),
        (lists, "which isn't a configuration"),
    ],
    "basin_guess": [(15, "Do you mean 15%"), ("most", "where a number is asked for")],
    "epochs_guess": [("four", "isn't one of the answers offered"), (10, "10 isn't one")],
}
