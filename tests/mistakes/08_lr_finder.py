"Wrong answers to lesson 08's exercises, and what each is told."
import copy

import numpy as np


def band_by_width(low, high, start_lr, end_lr, mode):
    low, high = max(low, start_lr), min(high, end_lr)
    return max(high - low, 0) / (end_lr - start_lr)


def band_by_decades(low, high, start_lr, end_lr, mode):
    low, high = max(low, start_lr), min(high, end_lr)
    return max(np.log(high / low), 0) / np.log(end_lr / start_lr)


def band_beyond_the_test(low, high, start_lr, end_lr, mode):
    axis = np.log if mode == "exp" else float
    return (axis(high) - axis(low)) / (axis(end_lr) - axis(start_lr))


def band_in_decades(low, high, start_lr, end_lr, mode): return np.log10(high / low) if mode == "exp" else (high - low) / (end_lr - start_lr)


def note_without_copy(model, opt):
    weights, settings = model.state_dict(), opt.state_dict()
    def restore(): model.load_state_dict(weights); opt.load_state_dict(settings)
    return restore


def note_of_the_model(model, opt):
    weights = copy.deepcopy(model.state_dict())
    return lambda: model.load_state_dict(weights)


def note_of_parameters(model, opt):
    weights, settings = [p.detach().clone() for p in model.parameters()], copy.deepcopy(opt.state_dict())
    def restore():
        for p, weight in zip(model.parameters(), weights): p.data.copy_(weight)
        opt.load_state_dict(settings)
    return restore


def note_of_the_rate(model, opt):
    weights, lr = copy.deepcopy(model.state_dict()), opt.param_groups[0]["lr"]
    def restore():
        model.load_state_dict(weights)
        opt.param_groups[0]["lr"] = lr
    return restore


def note_itself(model, opt): return copy.deepcopy((model.state_dict(), opt.state_dict()))


def half_of_the_loss(lrs, losses): return lrs[np.argmax(losses <= losses[:10].mean() / 2)]


def half_at_last(lrs, losses): return lrs[np.flatnonzero(losses <= (losses[:10].mean() + losses.min()) / 2)[-1]]


def half_as_step(lrs, losses): return np.argmax(losses <= (losses[:10].mean() + losses.min()) / 2)


def half_of_the_axis(lrs, losses): return np.sqrt(lrs[0] * lrs[np.argmin(losses)])


def lowest_point(lrs, losses): return lrs[np.argmin(losses)]


def always_a_tenth(lrs, losses): return 0.1


def a_decade_back(lrs, losses): return lrs[np.argmin(losses)] / 10


def far_too_careful(lrs, losses): return lrs[np.argmin(losses)] / 1000


MISTAKES = {
    "steps_in_band": [(band_by_width, "you measure the band by its width"), (band_by_decades, "the linear form adds the same amount"), (band_beyond_the_test, "that the test never reaches"), (band_in_decades, "how many decades")],
    "take_note": [(note_without_copy, "hands out no copies"), (note_of_the_model, "the optimiser still has the test's last rate"), (note_of_parameters, "running mean and variance"), (note_of_the_rate, "remembers of earlier gradients"), (note_itself, "where a function is asked for")],
    "half_fall": [(half_of_the_loss, "half of the *loss*"), (half_at_last, "on its way up again"), (half_as_step, "the number of the step"), (half_of_the_axis, "half-way along the axis of rates")],
    "without_momentum_guess": [(5000, "the answer lies between 0.01 and 1000"), ("ten", "where a number is asked for")],
    "loss_times_ten_guess": [(0.1, "0.1 isn't one of the answers offered"), ("a hundredth", "'a hundredth' isn't one of the answers offered")],
    "range_test_rule": [(lowest_point, "takes the rate of the lowest point"), (always_a_tenth, "on every curve, whatever it looks like"), (a_decade_back, "that is what `minimum/10` says"), (far_too_careful, "too careful there")],
}
