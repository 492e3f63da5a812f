"Wrong answers to lesson 10's exercises, and what each is told."
from course_lib.transfer import Transfer, fine_tuning, lp_ft


def along_channels(x, numbers): return x.new_tensor(numbers).reshape(3, 1, 1)


def normalised_twice(x, own_mean, own_std, mean, std): return (x - along_channels(x, mean)) / along_channels(x, std)


def only_undone(x, own_mean, own_std, mean, std): return x * along_channels(x, own_std) + along_channels(x, own_mean)


def undone_in_order(x, own_mean, own_std, mean, std): return normalised_twice((x + along_channels(x, own_mean)) * along_channels(x, own_std), own_mean, own_std, mean, std)


def mixed(x, own_mean, own_std, mean, std): return (only_undone(x, own_mean, own_std, mean, std) - along_channels(x, own_mean)) / along_channels(x, std)


def stops_gradients(body, head):
    body.requires_grad_(False)
    return list(head.parameters())


def trains_all(body, head):
    body.eval()
    return [*body.parameters(), *head.parameters()]


def freezes_both(body, head):
    for module in (body, head): module.requires_grad_(False).eval()
    return list(head.parameters())


def evaluates_both(body, head):
    body.requires_grad_(False)
    body.eval(), head.eval()
    return list(head.parameters())


def calms_batch_norm_only(body, head):
    body.requires_grad_(False)
    body[1].eval()
    return list(head.parameters())


def all_at_a_rate(lr, decay, n_stages, n_training): return [lr / decay**depth for depth in range(n_stages, -1, -1)]


def right_rates(lr, decay, n_stages, n_training): return [0.0] * (n_stages - n_training) + [lr / decay**depth for depth in range(n_training, -1, -1)]


def head_first(*how): return right_rates(*how)[::-1]


def without_the_head(*how): return right_rates(*how)[:-1]


def slows_the_head(lr, decay, n_stages, n_training): return [rate / decay for rate in right_rates(lr, decay, n_stages, n_training)]


def grows_downwards(lr, decay, n_stages, n_training): return [0.0] * (n_stages - n_training) + [lr * decay**depth for depth in range(n_training, -1, -1)]


def probe_alone(net, seed): return Transfer(net, 5, "linear_probe", seed=seed)


def too_gentle(net, seed): return Transfer(net, 5, "lp_ft", seed=seed)


def for_ever(net, seed): return Transfer(net, 5, fine_tuning(500, 1e-2), seed=seed)


def frozen_and_short(net, seed): return Transfer(net, 5, lp_ft(1, 3e-3), seed=seed)


def the_network_itself(net, seed): return net


MISTAKES = {
    "renormalise": [(normalised_twice, "what has been normalised before"), (only_undone, "you have the image back"), (undone_in_order, "in the order in which they were done"), (mixed, "you mix the two statistics")],
    "prepare_probe": [(stops_gradients, "followed your images"), (trains_all, "of the body's parameters have moved"), (freezes_both, "nothing can be trained"), (evaluates_both, "the head's dropout is off"), (calms_batch_norm_only, "the body's dropout is still on")],
    "stage_rates": [(all_at_a_rate, "the frozen stages have a rate"), (head_first, "yours begin with the head"), (without_the_head, "the head is a group too"), (slows_the_head, "the head itself is slowed down"), (grows_downwards, "yours grow towards the lowest stage")],
    "passes_guess": [(0, "the answer lies between 1 and"), ("many", "where a number is asked for")],
    "mirrored_guess": [(60, "Write 0.6"), ("half", "where a number is asked for")],
    "transfer_with_twenty_labels": [(probe_alone, "trains the head alone"), (too_gentle, "the rate is 0.0003 at most"), (for_ever, "100 are allowed"), (frozen_and_short, "keep the statistics of 0 to 4"), (the_network_itself, "where a Transfer is asked for")],
}
