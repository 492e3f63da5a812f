"""What does a step of DARTS's supernet cost, with `FastDARTSNetwork` and with `DARTSNetwork`?

    python benchmarks/darts.py            # about 15 minutes on one quiet core, 12 GB of memory; goes on where it stopped

Two supernets of the same weights: the paper's (DARTS space, 16 channels, 8 cells, 3×32×32 pixels, batches of 8 and of 64), and the one of lesson 14
(NAS-Bench-201's space, 8 channels, `digits201_network`'s skeleton, 1×8×8 pixels, batches of 64). Random images: what they show doesn't change the work.

A repetition takes each step with both versions, one after the other, who begins alternating; the first repetition isn't counted. The steps:
  weight      forward, backward for the weights, gradients clipped to norm 5, SGD with momentum
  alpha       `first_order` (which marks the weights as not needing gradients meanwhile), Adam
  exact       `second_order`, differentiated twice, Adam
  difference  `second_order`, the paper's finite difference, Adam
On a CPU: processor time of one thread, in single precision. On a GPU: wall-clock between synchronisations, in single precision and bfloat16, with
batches of 64 to 512, plain and through torch.compile with CUDA graphs (mode="reduce-overhead", first order only).

Statistic, fixed before the run: the median over repetitions of the ratio of the fast version's time to the minimal one's in the same repetition, with
quartiles. A first-order search step is a weight step and an α step of one repetition, and its ratio is that of the sums. Repetitions: 15; at batch 8 five
for the second order, which takes seconds a step; at batch 64 on a CPU three, first order only: differentiating the minimal version twice doesn't fit
in the 24 GB of the machine. The aims (the issue's): weight and first-order search step at most 0.5, kept activations at most 0.6, and the fast
version's exact second order at most 2 times its finite difference (median of that ratio in the same repetition).

Kept: what the forward pass keeps for the backward pass, unique storages without parameters, in MiB per image. Peak: how much a fresh process's largest
resident memory grows in one weight step, in MiB (Linux; measured on the CPU).

The committed run shared two cores with other processes, which makes seconds longer for both versions and ratios noisier."""
import os, sys, time

os.environ["OMP_NUM_THREADS"] = "1"
import numpy as np, torch
from torch import nn
from torch.nn import functional as F

from common import Rows, conditions, main, markdown_table, write_conditions
from course_lib.darts import DARTSNetwork, FastDARTSNetwork, first_order, second_order

STEPS = "weight", "alpha", "exact", "difference"
LIMITS = dict(weight=0.5, search=0.5, kept=0.6, exact=2)
PAPER, DIGITS = "paper, C=16, 8 cells", "digits, 201, C=8"
SETTINGS = {PAPER: (dict(), (3, 32, 32)), DIGITS: (dict(space="201", channels=8, n_in=1), (1, 8, 8))}
VERSIONS = dict(minimal=DARTSNetwork, fast=FastDARTSNetwork)
# setting, batch, steps, repetitions, times that a step is taken in one
CPU = [(PAPER, 8, STEPS[:2], 15, 1), (DIGITS, 64, STEPS, 15, 10), (PAPER, 8, STEPS[2:], 5, 1), (PAPER, 64, STEPS[:2], 3, 1)]
GPU = [(PAPER, batch, steps, 15, 5) for batch, steps in ((64, STEPS), (128, STEPS[:2]), (256, STEPS[:2]), (512, STEPS[:2]))]
KEYS = ["device", "kind", "setting", "batch", "step", "repetition"]


class Player:
    "A supernet with its two optimisers and what each step does."
    def __init__(self, version, setting, batch, device="cpu", amp=None, compiled=False):
        torch.manual_seed(0)
        options, shape = SETTINGS[setting]
        self.network = VERSIONS[version](**options).to(device)
        self.forward = torch.compile(self.network, mode="reduce-overhead") if compiled else self.network
        self.train, self.valid = [(torch.randn(batch, *shape, device=device), torch.randint(10, (batch,), device=device)) for _ in range(2)]
        self.w, self.a, self.amp, self.device = self.network.weights(), self.network.architecture(), amp, device
        self.opt = torch.optim.SGD(self.w, 0.025, momentum=0.9, weight_decay=3e-4)
        self.alpha_opt = torch.optim.Adam(self.a, 3e-4, betas=(0.5, 0.999), weight_decay=1e-3)

    def weight(self):
        with torch.autocast(self.device, self.amp, enabled=self.amp is not None): loss = F.cross_entropy(self.forward(self.train[0]), self.train[1])
        for p, g in zip(self.w, torch.autograd.grad(loss, self.w)): p.grad = g
        nn.utils.clip_grad_norm_(self.w, 5)
        self.opt.step()

    def move_alpha(self, grads):
        for p, g in zip(self.a, grads): p.grad = g
        self.alpha_opt.step()

    def alpha(self):
        if self.forward is self.network:
            with torch.autocast(self.device, self.amp, enabled=self.amp is not None): grads = first_order(self.network, self.valid)[1]
        else:
            for p in self.w: p.requires_grad_(False)
            with torch.autocast(self.device, self.amp, enabled=self.amp is not None): loss = F.cross_entropy(self.forward(self.valid[0]), self.valid[1])
            grads = torch.autograd.grad(loss, self.a)
            for p in self.w: p.requires_grad_()
        self.move_alpha(grads)

    def exact(self, exact=True):
        with torch.autocast(self.device, self.amp, enabled=self.amp is not None): grads = second_order(self.network, self.train, self.valid, 0.025, exact)[1]
        self.move_alpha(grads)

    def difference(self): self.exact(False)

    def seconds(self, step, times):
        "Seconds for one step: of the processor, or on a GPU of the clock."
        clock = time.process_time if self.device == "cpu" else time.perf_counter
        if self.device != "cpu": torch.cuda.synchronize()
        start = clock()
        for _ in range(times): getattr(self, step)()
        if self.device != "cpu": torch.cuda.synchronize()
        return (clock() - start)/times


def agree():
    "Both versions give the same, or nothing is timed."
    for setting in SETTINGS:
        minimal, fast = [Player(version, setting, 4) for version in VERSIONS]
        assert all(torch.equal(p, q) for p, q in zip(minimal.network.state_dict().values(), fast.network.state_dict().values()))
        found = [torch.autograd.grad(F.cross_entropy(p.network.double()(p.train[0].double()), p.train[1]), [*p.w, *p.a]) for p in (minimal, fast)]
        for p, q in zip(*found): assert (p - q).norm() <= 1e-10*p.norm() + 1e-14, "gradients differ"


def kept(player):
    "MiB per image that a forward pass keeps for the backward pass."
    ours, seen = {p.untyped_storage().data_ptr() for p in player.network.parameters()}, {}
    def pack(t):
        if t.untyped_storage().data_ptr() not in ours: seen[t.untyped_storage().data_ptr()] = t.untyped_storage()
        return t
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t): F.cross_entropy(player.network(player.train[0]), player.train[1])
    return sum(s.nbytes() for s in seen.values())/2**20/len(player.train[0])


def peak(version, setting, batch, checkpoint, result):
    "In a process of its own: MiB by which its largest resident memory grows in a weight step."
    def most(): return next(int(line.split()[1])/1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
    torch.set_num_threads(1)
    Player(version, DIGITS, 2).weight()                      # libraries are loaded
    player = Player(version, setting, batch)
    if checkpoint: use_checkpoints(player)
    before = most()
    player.weight()
    result.put(most() - before)


def use_checkpoints(player):
    for m in player.network.modules():
        if hasattr(m, "checkpoint"): m.checkpoint = True


def times(device, kind, plan, **options):
    rows = Rows("darts", KEYS, [*VERSIONS])
    for setting, batch, steps, repetitions, n in plan:
        todo = [r for r in range(repetitions) if any((device, kind, setting, batch, step, r) not in rows for step in steps)]
        if not todo: continue
        players = {version: Player(version, setting, batch, **options) for version in VERSIONS}
        for repetition in [None, *todo]:                     # the first one warms up
            order = [*VERSIONS] if (repetition or 0) % 2 == 0 else [*VERSIONS][::-1]
            for step in steps:
                took = {version: players[version].seconds(step, n) for version in order}
                if repetition is not None and (device, kind, setting, batch, step, repetition) not in rows:
                    rows.add(device=device, kind=kind, setting=setting, batch=batch, step=step, repetition=repetition, **{v: f"{t:.6f}" for v, t in took.items()})
        print(device, kind, setting, batch, *steps, "done", flush=True)
        write_conditions("darts", "torch")


def memory():
    import multiprocessing
    rows, context = Rows("darts_memory", ["setting", "batch", "version"], ["kept", "peak"]), multiprocessing.get_context("spawn")
    for setting, batch in ((PAPER, 8), (PAPER, 64), (DIGITS, 64)):
        for version in (*VERSIONS, "fast, checkpoint"):
            if (setting, batch, version) in rows: continue
            name, again = version.split(",")[0], "checkpoint" in version
            player = Player(name, setting, min(batch, 8))    # per image it is the same
            if again: use_checkpoints(player)
            result = context.Queue()
            process = context.Process(target=peak, args=(name, setting, batch, again, result))
            process.start()
            grown = result.get(timeout=900)
            process.join()
            rows.add(setting=setting, batch=batch, version=version, kept=f"{kept(player):.4f}", peak=f"{grown:.1f}")


def run():
    torch.set_num_threads(1)
    agree()
    times("CPU", "fp32", CPU)
    memory()
    if not torch.cuda.is_available(): return
    device = torch.cuda.get_device_name()
    for kind, options in {"fp32": {}, "bf16": dict(amp=torch.bfloat16), "bf16, compiled": dict(amp=torch.bfloat16, compiled=True)}.items():
        plan = [(setting, batch, steps[:2] if "compiled" in kind else steps, *rest) for setting, batch, steps, *rest in GPU]
        times(device, kind, plan, device="cuda", **options)


def quartiles(values, digits=2):
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{median:.{digits}f}", f"{low:.{digits}f} to {high:.{digits}f}"


def table():
    rows, found = Rows("darts", KEYS, [*VERSIONS]).rows, {}
    for r in rows: found.setdefault((r["device"], r["kind"], r["setting"], int(r["batch"])), {}).setdefault(r["step"], {})[int(r["repetition"])] = float(r["minimal"]), float(r["fast"])
    lines, ratios, seconds, estimates = [], {}, {}, []
    for key, steps in found.items():
        steps = {step: np.array([t for _, t in sorted(taken.items())]) for step, taken in steps.items()}
        if {"weight", "alpha"} <= steps.keys() and len(steps["weight"]) == len(steps["alpha"]): steps["search"] = steps["weight"] + steps["alpha"]
        for step, label in dict(weight="weight step", alpha="α step, first order", search="search step, first order", exact="α step, second order exact", difference="α step, second order by finite difference").items():
            if step not in steps: continue
            minimal, fast = steps[step].T
            ratios[key, step] = fast/minimal
            seconds[key, step] = np.median(fast)
            lines.append([f"{key[2]}, batch {key[3]}" + ("" if key[:2] == ("CPU", "fp32") else f", {key[0]}, {key[1]}"), label, f"{np.median(minimal):.3g}", f"{np.median(fast):.3g}", *quartiles(fast/minimal), len(fast)])
        if {"exact", "difference"} <= steps.keys():
            minimal, fast = np.median(steps["exact"]/steps["difference"], axis=0)
            estimates.append(f"{key[2]}, batch {key[3]}: {minimal:.2f} for the minimal version, {fast:.2f} for the fast one")
        if key[0] != "CPU" and "search" in steps: seconds[key, "50 epochs"] = np.median(steps["search"][:, 1])*50*(25000//key[3])/60
    kept_rows = Rows("darts_memory", ["setting", "batch", "version"], ["kept", "peak"]).rows
    by_version = {(r["setting"], r["batch"], r["version"]): r for r in kept_rows}
    memory_lines = [[f"{r['setting']}, batch {r['batch']}", r["version"], f"{float(r['kept']):.1f}" if r["setting"] == PAPER else f"{float(r['kept']):.3f}",
                     f"{float(r['kept'])/float(by_version[r['setting'], r['batch'], 'minimal']['kept']):.3f}", f"{float(r['peak']):.0f}"] for r in kept_rows]
    def verdict(value, limit): return f"{value:.3f} ({'met' if value <= limit else 'not met'}: at most {limit})"
    verdicts = []
    for batch in (8, 64):
        key = "CPU", "fp32", PAPER, batch
        verdicts += [f"{name} at batch {batch}: {verdict(np.median(ratios[key, step]), LIMITS[step])}" for step, name in dict(weight="weight step", search="first-order search step").items() if (key, step) in ratios]
    if kept_rows: verdicts.append(f"kept activations, the paper's supernet: {verdict(float(by_version[PAPER, '8', 'fast']['kept'])/float(by_version[PAPER, '8', 'minimal']['kept']), LIMITS['kept'])}")
    for key in found:
        if "exact" in found[key] and "difference" in found[key]:
            ratio = np.median([found[key]["exact"][r][1]/found[key]["difference"][r][1] for r in found[key]["exact"]])
            verdicts.append(f"exact over finite difference, {key[2]}, batch {key[3]}: {verdict(ratio, LIMITS['exact'])}")
    gpu = [f"{key[0]}, {key[1]}, batch {key[3]}: {minutes:.1f} minutes" for (key, what), minutes in seconds.items() if what == "50 epochs"]
    head = ["supernet", "step", "minimal, s", "fast, s", "ratio", "quartiles", "repetitions"]
    return (f"# DARTS: a step of the supernet\n\nMade by benchmarks/darts.py; what is measured stands at its beginning. {conditions('darts')}\n\n"
            "## A step, beside the minimal version\n\n" + markdown_table(head, lines)
            + "\nMedians over repetitions in turns; on the CPU processor time of one thread, single precision. Exact second order over finite difference, medians: "
            + "; ".join(estimates) + ".\n\n"
            "## The aims\n\n" + "".join(f"- {v[0].upper()}{v[1:]}\n" for v in verdicts) + "\n"
            "## Memory\n\n" + markdown_table(["supernet", "version", "kept for the backward pass, MiB per image", "of the minimal", "peak in a weight step, MiB"], memory_lines)
            + "\nWith checkpoints the inputs of the cells, which are kept as well, aren't counted in the first column of figures; the peak has them.\n"
            + "\n## On a GPU\n\n" + ("The paper's first-order search on CIFAR-10 (50 epochs of 25,000 images), extrapolated from the steps above: " + "; ".join(gpu) + ".\n" if gpu else
              "Not measured: no GPU was at hand. The script measures float32 and bfloat16, batches of 64 to 512, with and without torch.compile and CUDA graphs, where there is one, so the aim of 15 minutes for the paper's search is open.\n"))


if __name__ == "__main__": main("darts", run, table)
