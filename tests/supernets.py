"Supernets and searches so small that one takes a tenth of a second. As a script: searches that are killed, each in a process of its own."

import os
import signal
import sys
from functools import partial
from pathlib import Path

import torch

from course_lib import darts
from course_lib.cells import digits201_network

SIZES = {"201": dict(channels=4), "darts": dict(channels=4, layers=3, nodes=2)}
PLAN = dict(first=dict(order=1), second=dict(order=2, k=2), paper=dict(order=2, exact=False, space="darts", nodes=1), augmented=dict(augment=lambda x: x + 0.1 * torch.randn_like(x)))


def supernet(space="201", seed=0, kind=darts.DARTSNetwork, dtype=torch.float32, **sizes):
    "A network whose weights and α depend on the seed alone."
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind(space, **SIZES[space] | dict(n_in=1, n_out=3) | sizes).to(dtype)


def part(n=12, side=4, seed=1, channels=1, dtype=torch.float32):
    "Images and classes of a task with something to learn: where the light is."
    x, y = torch.randn(n, channels, side, side, generator=torch.Generator().manual_seed(seed)).to(dtype), torch.arange(n) % 3
    for image, row in zip(x, y): image[:, row * side // 3] += 1
    return x, y


def tiny(network, train=None, valid=None, **options):
    "A search of three epochs with three steps each."
    dtype = next(network.parameters()).dtype
    train, valid = train or part(dtype=dtype), valid or part(8, seed=2, dtype=dtype)
    return darts.search(network, train, valid, **dict(epochs=3, batch=4, alpha_lr=0.1, progress=False, device="cpu") | options)


def planned(name, seed=0, **options):
    "One of the searches of PLAN."
    plan = dict(PLAN[name])
    return tiny(supernet(plan.pop("space", "201"), seed, **{name: plan.pop(name) for name in ("k", "nodes") if name in plan}), **plan | options)


def at_step(n, do):
    "Call `do` in place of the n-th step of the weights from now on."
    step, count = darts._weight_step, [0]
    def counted(*args, **kwargs):
        count[0] += 1
        return do() if count[0] == n else step(*args, **kwargs)
    darts._weight_step = counted
    return partial(setattr, darts, "_weight_step", step)


def die(): os.kill(os.getpid(), signal.SIGKILL)


def die_while_writing(n):
    "Be killed when the n-th checkpoint is half written."
    save, count = torch.save, [0]
    def half(state, path):
        count[0] += 1
        save(state, path)
        if count[0] == n:
            os.truncate(path, os.path.getsize(path) // 2)
            die()
    torch.save = half


def die_before_renaming(n):
    "Be killed when the n-th checkpoint is written and not yet in its place."
    replace, count = os.replace, [0]
    def never(*paths):
        count[0] += 1
        if count[0] == n: die()
        replace(*paths)
    os.replace = never


KILLS = {"in epoch 1": [lambda: at_step(2, die)], "in epoch 2": [lambda: at_step(5, die)], "in the last step": [lambda: at_step(9, die)], "again and again": [lambda: at_step(2, die), lambda: at_step(5, die), lambda: at_step(2, die), lambda: at_step(4, die)],
         "while writing": [lambda: die_while_writing(3)], "before renaming": [lambda: die_before_renaming(3), lambda: die_before_renaming(1)]}


def ways(name): return KILLS if name == "first" else ["in epoch 2"]


def main(folder):
    "All searches, killed in all ways; prints how each process ended."
    torch.set_num_threads(1)
    p = torch.nn.Parameter(torch.ones(1))
    p.grad = torch.ones(1)
    for kind in (torch.optim.SGD, torch.optim.Adam): kind([p]).step()           # imports once what every child would import
    for name in PLAN:
        for how in ways(name):
            for prepare in KILLS[how]:
                sys.stdout.flush()
                if not (pid := os.fork()):
                    torch.manual_seed(3)
                    prepare()
                    planned(name, checkpoint=Path(folder, name, how))
                    os._exit(0)
                print(name, how, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), sep=",")


if __name__ == "__main__":
    import course_lib.weight_sharing  # noqa: F401
    print("loaded", *(m for m in ("fastai", "fastprogress", "matplotlib", "networkx", "IPython") if m in sys.modules), sep=",")
    main(sys.argv[1])
