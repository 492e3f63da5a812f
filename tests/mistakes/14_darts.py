"Wrong answers to lesson 14's exercises, and what each is told."
import numpy as np

DARTS = "none", "skip_connect", "max_pool_3x3", "avg_pool_3x3", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"
OPS = "none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"


def two_by(score):
    def keep_two(p):
        flat = p[:, 1:]
        return [(DARTS[1 + flat[e].argmax()], int(e)) for e in np.argsort(-score(p))[:2]]
    return keep_two


def with_none(p): return [(DARTS[p[e].argmax()], e) for e in np.argsort(-p.max(1))[:2]]


def the_two_heaviest(p): return [(DARTS[1 + i % 7], i // 7) for i in np.argsort(-p[:, 1:], axis=None)[:2]]


def source_first(p): return [(e, DARTS[1 + p[e, 1:].argmax()]) for e in np.argsort(-p[:, 1:].max(1))[:2]]


def numbers_only(p): return [(1 + p[e, 1:].argmax(), e) for e in np.argsort(-p[:, 1:].max(1))[:2]]


def one_step_only(w, alpha, h, c, xi, steps): return (w - xi * h * (w - alpha) - c) * xi * h


def sums_up(w, alpha, h, c, xi, steps):
    for _ in range(steps): w -= xi * h * (w - alpha)
    return (w - c) * steps * xi * h


def judged_before(w, alpha, h, c, xi, steps): return (w - c) * (1 - (1 - xi * h)**steps)


def without_the_chain_rule(w, alpha, h, c, xi, steps):
    for _ in range(steps): w -= xi * h * (w - alpha)
    return w - c


def losses_without(p, judge):
    loss = np.zeros((6, 5))
    for e, o in np.ndindex(6, 5):
        q = p.clone()
        q[e, o] = 0
        loss[e, o] = judge(q)
    return loss


def by_weight(p, judge): return [OPS[o] for o in p.argmax(1).tolist()]


def least_missed(p, judge): return [OPS[o] for o in losses_without(p, judge).argmin(1)]


def as_numbers(p, judge): return p.argmax(1).tolist()


def always_the_same(p, judge): return ["nor_conv_3x3"] * 6


def asks_too_much(p, judge): return [judge(p) for _ in range(101)]


def alone(p, judge):
    loss = np.zeros((6, 5))
    for e, o in np.ndindex(6, 5):
        q = p.clone()
        q[e] = 0
        q[e, o] = 1
        loss[e, o] = judge(q)
    return [OPS[o] for o in loss.argmin(1)]


MISTAKES = {
    "keep_two": [
        (with_none, "it can't be chosen"),
        (the_two_heaviest, "twice the same edge"),
        (two_by(lambda p: p[:, 1:].sum(1)), "you rank the edges by all that isn't `none`"),
        (two_by(lambda p: p[:, 1:].max(1) / p[:, 1:].sum(1)), "what `none` leaves over"),
        (two_by(lambda p: p.max(1)), "that may be the weight of `none`"),
        (two_by(lambda p: -p[:, 1:].max(1)), "the lightest edges"),
        (two_by(lambda p: -np.arange(len(p))), "from the first two nodes"),
        (lambda p: [(DARTS[1 + (p[e, 1:].argmax() + 1) % 7], int(e)) for e in np.argsort(-p[:, 1:].max(1))[:2]], "Did a column get lost"),
        (source_first, "the source comes first"),
        (numbers_only, "without the operations' names"),
    ],
    "alpha_slope": [
        (lambda p, g: p * g, "each α has its own p only"),
        (lambda p, g: p * (1 - p) * g, "the sigmoid's slope"),
        (lambda p, g: g - p @ g, "right up to a factor"),
        (lambda p, g: p * (g - g.mean()), "the plain mean of all"),
        (lambda p, g: p * (p @ g - g), "the opposite sign"),
        (lambda p, g: g, "the slopes for p, unchanged"),
        (lambda p, g: p @ g, "where there is one number for each operation"),
    ],
    "look_ahead": [
        (lambda w, alpha, h, c, xi, steps: 0.0, "that is first order"),
        (judged_before, "before the steps"),
        (sums_up, "also moves on from where α has brought the weight"),
        (lambda w, alpha, h, c, xi, steps: alpha - c, "trained to the end"),
        (one_step_only, "that is one step only"),
        (without_the_chain_rule, "that is the slope for w"),
    ],
    "my_rule": [
        (by_weight, "that is the paper's rule"),
        (least_missed, "the operations that are missed least"),
        (as_numbers, "where the operations' names are asked for"),
        (always_the_same, "one and the same cell, whatever the supernet"),
        (asks_too_much, "more than 100 judgements"),
        (alone, "asked for were 97% on average"),
    ],
    "weights_tau_guess": [(80, "the answer lies between -1 and 1"), ("little", "where a number is asked for")],
    "most_missed_guess": [(7, "the answer lies between 0 and 6"), (0.5, "where a whole number is asked for")],
}
