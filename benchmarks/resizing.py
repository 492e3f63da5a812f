"""Progressive resizing: does training on small images first reach a given accuracy in less time? Claim 16, two tasks.

From scratch: ResNet-20 on 5,000 CIFAR-10 images, 32 pixels throughout against 16, 24, 32. Transfer: SqueezeNet 1.0 with ImageNet weights, all of it fine-tuned
on ants and bees, 128 pixels throughout against 64, 96, 128. Each size has a third of the epochs. Growing images make an epoch cheaper by about a third, so the
lengths are 2, 4 and 6 epochs at constant size and 3, 6 and 9 growing (photos: 2, 4, 8 and 3, 6, 12): about equal times. Everything else is the same for both
arms: batches, rate, one cycle over the whole training, mirror images, weights stored channels last. The rates were chosen at constant size with seed 100, which
isn't used again, after four epochs, on validation: 0.1 against 0.3 from scratch, 0.0003 against 0.001 and 0.003 for the transfer. The seed, 0 … 4, also picks
the images.

Fixed before the run. Time: seconds of the processor in `fit` or the loop, one thread, both arms in turn in one process, without reading and scoring images.
Target: the constant arm's mean validation accuracy at its middle length. Time to target: where the arm's mean test accuracy at full size, drawn as straight
lines over log(mean seconds), first reaches the target. An arm above it from its shortest training on gets that training's time; one that never reaches it gets
infinity (the constant arm its longest time, in the ratio). Ratio: growing over constant. Interval: 5% to 95% of 2,000 resamples of the seeds, the same for both
arms. Claim 16 is supported here if the interval lies below 1 on both tasks, in part if on one, else not. Also: test accuracy of the growing arm less that of
the constant one at the time of the constant arm's middle length, read off the same lines, with the same resamples.

About 25 minutes of one core (2.2 ms an image at 32 pixels, a quarter of that at 16); a broken-off run goes on. It needs CIFAR-10, the photos and SqueezeNet's
weights (README says where from)."""
import time
from dataclasses import replace

import numpy as np
import torch
from common import Rows, conditions, main, markdown_table, write_conditions
from torch.nn import functional as F

NAME, SEEDS, RESAMPLES = "resizing", range(5), 2000
ARMS = "constant", "growing"
SIZES = {"cifar10": {"constant": (32,), "growing": (16, 24, 32)}, "ants and bees": {"constant": (128,), "growing": (64, 96, 128)}}
EPOCHS = {"cifar10": {"constant": (2, 4, 6), "growing": (3, 6, 9)}, "ants and bees": {"constant": (2, 4, 8), "growing": (3, 6, 12)}}
RATE = {"cifar10": 0.1, "ants and bees": 3e-4}
BS = {"cifar10": 64, "ants and bees": 16}
last = dict(memory_format=torch.channels_last)


def data(task, seed):
    from course_lib.data import cifar10, hymenoptera
    return cifar10(n_train=5000, n_valid=2000, n_test=3000, seed=seed) if task == "cifar10" else hymenoptera(128, seed=seed)


def from_scratch(split, sizes, epochs, seed):
    "ResNet-20 after training, as a function (x, y) -> accuracy, and the seconds it took."
    from course_lib.one_cycle import OneCycle
    from course_lib.transfer import Preprocessing, ResNetCIFAR, resized
    x, y, prepared = torch.as_tensor(split.train.x), torch.as_tensor(split.train.y), Preprocessing(size=32)
    torch.manual_seed(seed)
    rng, rate, n_batches = np.random.default_rng(seed), RATE["cifar10"], -(-len(x)//BS["cifar10"])
    began, model = time.process_time(), ResNetCIFAR(10).to(**last)
    opt = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = OneCycle(opt, rate, epochs*n_batches)
    for epoch in range(epochs):
        size = sizes[epoch*len(sizes)//epochs]
        for rows in np.array_split(rng.permutation(len(x)), n_batches):
            batch = torch.where(torch.as_tensor(rng.random(len(rows)) < 0.5)[:, None, None, None], x[rows].flip(3), x[rows])
            loss = F.cross_entropy(model(prepared(resized(batch, size)).contiguous(**last)), y[rows])
            opt.zero_grad(); loss.backward(); opt.step(); schedule.step()
    seconds = time.process_time() - began
    model.eval()

    @torch.no_grad()
    def accuracy(x, y):
        return np.mean(torch.cat([model(prepared(b).contiguous(**last)).argmax(1) for b in torch.as_tensor(x).split(250)]).numpy() == y)
    return accuracy, seconds


def transferred(split, sizes, epochs, seed):
    "SqueezeNet after fine-tuning, as a function (x, y) -> accuracy, and the seconds it took."
    from course_lib.transfer import Transfer, fine_tuning, pretrained, progressive
    net = pretrained("squeezenet1_0")
    net.body.to(**last)
    recipe = progressive(fine_tuning(epochs, RATE["ants and bees"], mirror=True), sizes)
    began = time.process_time()
    transfer = Transfer(net, 2, recipe, seed=seed).fit(split.train, bs=BS["ants and bees"])
    return transfer.accuracy, time.process_time() - began


train = {"cifar10": from_scratch, "ants and bees": transferred}
raw = lambda: Rows(NAME, ["task", "arm", "epochs", "seed"], ["seconds", "valid_accuracy", "test_accuracy"])


def warm_up(task, split):
    "A short training of each arm that isn't counted: the first step at each size costs more than the others."
    part = split.train
    tiny = replace(split, train=type(part)(part.x[::8], part.y[::8]) if len(part.y) < 1000 else type(part)(part.x[::40], part.y[::40]))
    for arm in ARMS: train[task](tiny, SIZES[task][arm], len(SIZES[task][arm]), 0)


def run():
    torch.set_num_threads(1)
    rows, warm = raw(), set()
    for seed in SEEDS:
        for task in SIZES:
            order = ARMS if seed % 2 == 0 else ARMS[::-1]
            missing = [(arm, EPOCHS[task][arm][i]) for i in range(3) for arm in order if (task, arm, EPOCHS[task][arm][i], seed) not in rows]
            if not missing: continue
            split = data(task, seed)
            if task not in warm: warm_up(task, split)
            warm.add(task)
            for arm, epochs in missing:
                accuracy, seconds = train[task](split, SIZES[task][arm], epochs, seed)
                rows.add(task=task, arm=arm, epochs=epochs, seed=seed, seconds=f"{seconds:.3f}", valid_accuracy=f"{accuracy(*split.valid):.4f}",
                         test_accuracy=f"{accuracy(*split.test):.4f}")
                print(rows.rows[-1], flush=True)
            write_conditions(NAME, "torch", "torchvision")


# ---- from raw results to the table ----

def grid(task):
    "(arm, column) -> lengths × seeds, for the seeds of which every training is there."
    found = {(r["arm"], int(r["epochs"]), int(r["seed"])): r for r in raw().rows if r["task"] == task}
    seeds = [s for s in SEEDS if all((arm, e, s) in found for arm in ARMS for e in EPOCHS[task][arm])]
    return {(arm, column): np.array([[float(found[arm, e, s][column]) for s in seeds] for e in EPOCHS[task][arm]])
            for arm in ARMS for column in ("seconds", "valid_accuracy", "test_accuracy")}


def time_to(target, seconds, accuracy):
    "Where straight lines through accuracy over log(seconds) first reach the target; infinity if they never do."
    if accuracy[0] >= target: return seconds[0]
    for i in range(len(seconds) - 1):
        if accuracy[i + 1] >= target:
            share = (target - accuracy[i])/(accuracy[i + 1] - accuracy[i])
            return seconds[i]*(seconds[i + 1]/seconds[i])**share
    return np.inf


def compared(cells, target, seeds):
    "Seconds to the target of each arm, their ratio, and the gain in accuracy at the time of the constant arm's middle length, for these seeds."
    mean = {key: values[:, seeds].mean(1) for key, values in cells.items()}
    times = [time_to(target, mean[arm, "seconds"], mean[arm, "test_accuracy"]) for arm in ARMS]
    ratio = times[1]/min(times[0], mean["constant", "seconds"][-1])
    read = np.interp(np.log(mean["constant", "seconds"][1]), np.log(mean["growing", "seconds"]), mean["growing", "test_accuracy"])
    return *times, ratio, read - mean["constant", "test_accuracy"][1]


def measured(task):
    "Cells, target, what was measured, and the 5% and 95% points of its resamples."
    cells = grid(task)
    target, n = cells["constant", "valid_accuracy"][1].mean(), cells["constant", "seconds"].shape[1]
    rng = np.random.default_rng(0)
    resampled = [compared(cells, target, rng.integers(0, n, n)) for _ in range(RESAMPLES)]
    return cells, target, compared(cells, target, np.arange(n)), np.quantile(resampled, [0.05, 0.95], axis=0, method="nearest")


def shown(number): return f"{number:.2f}" if np.isfinite(number) else "never"


def table():
    results, rows, curves, below, after, unreached = {task: measured(task) for task in SIZES}, [], [], [], [], []
    for task, (cells, target, (constant, growing, ratio, gain), (low, high)) in results.items():
        below.append(high[2] < 1)
        n = cells["constant", "seconds"].shape[1]
        rows.append([task, n, f"{target:.1%}", shown(constant), shown(growing), shown(ratio), f"{shown(low[2])} to {shown(high[2])}",
                     f"{100*gain:+.1f}", f"{100*low[3]:+.1f} to {100*high[3]:+.1f}"])
        easier = cells["constant", "test_accuracy"][1].mean()
        begun, ended, share, _ = compared(cells, easier, np.arange(n))
        after.append(f"on {task} (target {easier:.1%}) {shown(begun)} seconds constant, {shown(ended)} growing" + (f", ratio {share:.2f}" if np.isfinite(share) else ""))
        if np.isinf([constant, growing]).all(): unreached.append(task)
        for arm in ARMS:
            for i, epochs in enumerate(EPOCHS[task][arm]):
                second, valid, test = [cells[arm, column][i] for column in ("seconds", "valid_accuracy", "test_accuracy")]
                curves.append([f"{task}, {arm}", epochs, f"{second.mean():.1f}", f"{second.mean()/epochs:.2f}", f"{valid.mean():.1%}",
                               f"{test.mean():.1%}", f"{100*test.std(ddof=1):.1f}"])
    verdict = ["not supported", "supported in part", "supported"][sum(below)]
    return f"""# Growing images: time to a given accuracy

Made by `python benchmarks/{NAME}.py` from {NAME}.csv; its docstring says what was fixed before the run. {conditions(NAME)}

CIFAR-10 from scratch: ResNet-20, 5,000 images (the JPEG version where the original isn't found), 32 pixels throughout against 16, 24, 32. Ants and bees: SqueezeNet with ImageNet weights, fine-tuned, 128 pixels throughout
against 64, 96, 128. Accuracy is always that at full size. Seconds are those of one core, in training alone. Target: the constant arm's mean validation accuracy at its middle length. Ratio: seconds to the target, growing over constant.
Gain: test accuracy, growing less constant, at the time of the constant arm's middle length. Intervals: 5% to 95% of resampled seeds. "Never": not within the lengths tried.

{markdown_table(["task", "seeds", "target", "seconds, constant", "seconds, growing", "ratio", "its interval", "gain, points", "its interval"], rows)}
Claim 16 (changing the image size during training saves time to a given accuracy) is **{verdict}** by the rule fixed beforehand: the ratio's interval lies below 1 on {sum(below)} of the {len(below)} tasks.
{f"On {' and '.join(unreached)} neither arm reached the target on test, so that ratio says nothing either way. " if unreached else ""}Added after the run, since validation and test images are not equally hard: with the constant arm's mean test accuracy at its middle length as the target, {"; ".join(after)}.

Resampling so few seeds makes intervals somewhat narrow, and these are two small tasks on one processor: how much time small images save depends on how well a machine computes them.

## Every length

{markdown_table(["task and arm", "epochs", "seconds", "seconds an epoch", "validation", "test", "its deviation, points"], curves)}
## Published beside it

DAWNBench, ImageNet to 93% top-5 accuracy: ResNet-50 on a TPU took 5.88 hours ($27.00) as Google entered it, and 2.74 hours ($12.60) with fast.ai's growing sizes and schedule, 2.14 times less. Those figures are published ones and weren't measured here;
sizes and schedule changed together, so they don't tell what the sizes alone saved. We found no fast.ai entry with AmoebaNet among DAWNBench's results; so claim 15, that changing sizes made AmoebaNet the cheapest way to train ImageNet on one machine, can't be confirmed as it is worded. That isn't evidence that it is false.
"""


if __name__ == "__main__": main(NAME, run, table)
