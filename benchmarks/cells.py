"""Does `course_lib.cells.Network` train as fast as a module of the same cell that is written out by hand?

    python benchmarks/cells.py            # a few minutes on one core; goes on where it stopped

Two networks, each in two versions with the same weights: DARTS_V2 (16 channels, 8 cells, 32×32 pixels, batches of 16), and a residual block as a
cell of NAS-Bench-201 in `digits201_network` (8×8 pixels, batches of 64). The versions by hand stand in this file: no lists of operations, no
genotype, one line per node. Before anything is timed, both versions get the same weights and must give the same outputs and the same gradients.

A repetition is a few training steps (forward, cross-entropy, backward, SGD step) of both versions, in turns, who begins alternating; processor time of one
thread per step, 15 repetitions after one that isn't counted. Statistic, fixed before the run: the median over repetitions of the ratio of `Network`'s time
to the hand-written module's time of the same repetition, with its quartiles. "As fast" means: a median ratio of at most 1.05.

The first run, at commit 35eb82e, gave 1.090 (1.046 to 1.108) for DARTS_V2 and 1.036 for the digits' network. The cause was found by timing a third version: the
module by hand pools each input of the reduction cell once, and `Network` did so for each edge. `Cell` now shares pools; the figures are from a complete new run after it."""
import os, time

os.environ["OMP_NUM_THREADS"] = "1"
import numpy as np, torch
from torch import nn
from torch.nn import functional as F

from common import Rows, conditions, main, markdown_table, write_conditions
from course_lib.cells import DARTS_V2, Cell201, Network, digits201_network

REPETITIONS, LIMIT = 15, 1.05


def relu_conv_bn(n_in, n_out, k=1): return nn.Sequential(nn.ReLU(), nn.Conv2d(n_in, n_out, k, padding=k//2, bias=False), nn.BatchNorm2d(n_out))


class Halve(nn.Module):
    "Half the pixels, by two strided convolutions on shifted images of even sides."
    def __init__(self, n_in, n_out):
        super().__init__()
        self.a, self.b, self.bn = nn.Conv2d(n_in, n_out//2, 1, 2, bias=False), nn.Conv2d(n_in, n_out//2, 1, 2, bias=False), nn.BatchNorm2d(n_out)
    def forward(self, x):
        x = F.relu(x)
        return self.bn(torch.cat([self.a(x), self.b(x[:, :, 1:, 1:])], 1))


def sep(c):
    def once(): return nn.ReLU(), nn.Conv2d(c, c, 3, padding=1, groups=c, bias=False), nn.Conv2d(c, c, 1, bias=False), nn.BatchNorm2d(c)
    return nn.Sequential(*once(), *once())


def dil(c): return nn.Sequential(nn.ReLU(), nn.Conv2d(c, c, 3, padding=2, dilation=2, groups=c, bias=False), nn.Conv2d(c, c, 1, bias=False), nn.BatchNorm2d(c))


class HandNormal(nn.Module):
    "DARTS's second-order normal cell."
    def __init__(self, n0, n1, c, halve):
        super().__init__()
        self.in0, self.in1 = Halve(n0, c) if halve else relu_conv_bn(n0, c), relu_conv_bn(n1, c)
        self.sep20, self.sep21, self.sep30, self.sep31, self.sep41, self.dil52 = sep(c), sep(c), sep(c), sep(c), sep(c), dil(c)
    def forward(self, x, y):
        x, y = self.in0(x), self.in1(y)
        node2 = self.sep20(x) + self.sep21(y)
        node3 = self.sep30(x) + self.sep31(y)
        node4 = self.sep41(y) + x
        node5 = x + self.dil52(node2)
        return torch.cat([node2, node3, node4, node5], 1)


class HandReduce(nn.Module):
    "DARTS's second-order reduction cell."
    def __init__(self, n0, n1, c, halve):
        super().__init__()
        self.in0, self.in1 = Halve(n0, c) if halve else relu_conv_bn(n0, c), relu_conv_bn(n1, c)
    def forward(self, x, y):
        x, y = self.in0(x), self.in1(y)
        pool_x, pool_y = F.max_pool2d(x, 3, 2, 1), F.max_pool2d(y, 3, 2, 1)
        node2 = pool_x + pool_y
        node3 = node2 + pool_y
        node4 = pool_x + node2
        node5 = node2 + pool_y
        return torch.cat([node2, node3, node4, node5], 1)


class HandDarts(nn.Module):
    "Eight cells, the third and the sixth of which halve the image."
    def __init__(self, c=16):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 3*c, 3, padding=1, bias=False), nn.BatchNorm2d(3*c))
        self.cell0, self.cell1 = HandNormal(3*c, 3*c, c, False), HandNormal(3*c, 4*c, c, False)
        self.cell2, self.cell3, self.cell4 = HandReduce(4*c, 4*c, 2*c, False), HandNormal(4*c, 8*c, 2*c, True), HandNormal(8*c, 8*c, 2*c, False)
        self.cell5, self.cell6, self.cell7 = HandReduce(8*c, 8*c, 4*c, False), HandNormal(8*c, 16*c, 4*c, True), HandNormal(16*c, 16*c, 4*c, False)
        self.linear = nn.Linear(16*c, 10)
    def forward(self, x):
        s = self.stem(x)
        a = self.cell0(s, s)
        b = self.cell1(s, a)
        c = self.cell2(a, b)
        d = self.cell3(b, c)
        e = self.cell4(c, d)
        f = self.cell5(d, e)
        g = self.cell6(e, f)
        h = self.cell7(f, g)
        return self.linear(h.mean((2, 3)))


class HandResidual(nn.Module):
    "A residual block in place of a cell, in the digits' network."
    def __init__(self, c=8):
        super().__init__()
        self.stem_conv, self.stem_bn = nn.Conv2d(1, c, 1, bias=False), nn.BatchNorm2d(c)
        self.conv1, self.conv2 = relu_conv_bn(c, c, 3), relu_conv_bn(c, c, 3)
        self.step_conv, self.step_bn = nn.Conv2d(c, 2*c, 1, bias=False), nn.BatchNorm2d(2*c)
        self.conv3, self.conv4 = relu_conv_bn(2*c, 2*c, 3), relu_conv_bn(2*c, 2*c, 3)
        self.bn, self.linear = nn.BatchNorm2d(2*c), nn.Linear(2*c, 10)
    def forward(self, x):
        x = self.stem_bn(self.stem_conv(x))
        x = x + self.conv2(self.conv1(x))
        x = self.step_bn(self.step_conv(F.avg_pool2d(x, 2)))
        x = x + self.conv4(self.conv3(x))
        return self.linear(F.relu(self.bn(x)).mean((2, 3)))


RESIDUAL = Cell201.from_str("|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|")
CONTESTS = {  # name: ours, by hand, images, steps per repetition
    "DARTS_V2, 16 channels, 8 cells": (lambda: Network(DARTS_V2, 16, 8, 10), HandDarts, (16, 3, 32, 32), 2),
    "residual block, digits201_network": (lambda: digits201_network(RESIDUAL), HandResidual, (64, 1, 8, 8), 40),
}


def pair(name):
    "Both versions with the same weights, checked: outputs and gradients agree."
    torch.manual_seed(0)
    ours, by_hand = CONTESTS[name][0](), CONTESTS[name][1]()
    theirs = by_hand.state_dict()
    values = list(ours.state_dict().values())
    assert [v.shape for v in values] == [v.shape for v in theirs.values()], "the modules aren't in the same order"
    by_hand.load_state_dict(dict(zip(theirs, values)))
    x, y = torch.randn(CONTESTS[name][2]), torch.randint(10, CONTESTS[name][2][:1])
    for model in (ours, by_hand): F.cross_entropy(model(x), y).backward()
    for p, q in zip(ours.parameters(), by_hand.parameters()): torch.testing.assert_close(p.grad, q.grad, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(ours(x), by_hand(x), rtol=1e-4, atol=1e-5)
    return ours, by_hand, x, y


def seconds(model, opt, x, y, steps):
    "Processor time of one training step, in seconds."
    start = time.process_time()
    for _ in range(steps):
        opt.zero_grad()
        F.cross_entropy(model(x), y).backward()
        opt.step()
    return (time.process_time() - start)/steps


def run():
    torch.set_num_threads(1)
    rows = Rows("cells", ["contest", "repetition"], ["network", "by_hand"])
    for name, (*_, steps) in CONTESTS.items():
        todo = [r for r in range(REPETITIONS) if (name, r) not in rows]
        if not todo: continue
        ours, by_hand, x, y = pair(name)
        players = {"network": ours, "by_hand": by_hand}
        opts = {who: torch.optim.SGD(model.parameters(), 0.01, momentum=0.9) for who, model in players.items()}
        for repetition in [None, *todo]:       # the first one warms up
            order = list(players) if (repetition or 0) % 2 == 0 else list(players)[::-1]
            took = {who: seconds(players[who], opts[who], x, y, steps) for who in order}
            if repetition is not None: rows.add(contest=name, repetition=repetition, **{who: f"{t:.6f}" for who, t in took.items()})
        print(name, "done", flush=True)
        write_conditions("cells", "torch")


def table():
    rows, lines, verdicts = Rows("cells", ["contest", "repetition"], ["network", "by_hand"]).rows, [], []
    for name in CONTESTS:
        ours, by_hand = np.array([[float(r["network"]), float(r["by_hand"])] for r in rows if r["contest"] == name]).T
        low, median, high = np.quantile(ours/by_hand, [0.25, 0.5, 0.75])
        lines.append([name, f"{1000*np.median(ours):.1f}", f"{1000*np.median(by_hand):.1f}", f"{median:.3f}", f"{low:.3f} to {high:.3f}"])
        verdicts.append(f"{name}: {'as fast' if median <= LIMIT else 'slower'} by the rule (a median ratio of at most {LIMIT}).")
    head = ["network", "`course_lib`, ms per step", "by hand, ms per step", "ratio", "quartiles"]
    return (f"# Cells: speed\n\nMade by benchmarks/cells.py; what is measured stands at its beginning. {conditions('cells')}\n\n"
            "## Training, against a module written by hand\n\n" + markdown_table(head, lines)
            + f"\nMedians of {REPETITIONS} repetitions in turns, processor time of one thread; same weights, and outputs and gradients that agree. " + " ".join(verdicts)
            + " The first run, before `Cell` shared pools, gave 1.090 and 1.036.\n")


if __name__ == "__main__": main("cells", run, table)
