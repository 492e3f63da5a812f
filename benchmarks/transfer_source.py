"""The source network of lesson 10's third task: ResNet-20 trained on eight classes of CIFAR-10, so that cats and dogs are new to it.

The published CIFAR-10 ResNet-20 has seen all ten classes, so it can't show what transfers to classes that it hasn't. This script trains the same
architecture on the eight others (all of cifar10's training part with seed 0, validation and test untouched) and writes course_lib/assets/resnet20_cifar8.pt
(weights as 16-bit floats; `pretrained("resnet20_cifar8")` reads them). Fixed beforehand: the two classes (the pair that is hardest to tell apart), twelve epochs
of SGD with Nesterov momentum, one cycle to a rate of 0.2, batches of 128, weight decay 5e-4, mirror images and shifts by up to four pixels. Nothing was tuned.
Run it again and it goes on after the last finished epoch. About twenty minutes of one core. It needs CIFAR-10 (README says where)."""
import csv
import time

import numpy as np
import torch
from common import HERE, main, markdown_table, conditions, write_conditions
from torch.nn import functional as F

from course_lib.data import cifar10
from course_lib.one_cycle import OneCycle

NAME, EPOCHS, BS, LR = "transfer_source", 12, 128, 0.2
ASSET = HERE.parent/"course_lib/assets/resnet20_cifar8.pt"
CHECKPOINT = HERE.parent/".cache/transfer_source.pt"
NEW = ("cat", "dog")


def eight(part, classes):
    "Images of the eight classes, and their numbers 0 … 7."
    kept = [i for i, c in enumerate(classes) if c not in NEW]
    rows = np.isin(part.y, kept)
    return torch.as_tensor(part.x[rows]), torch.as_tensor(np.searchsorted(kept, part.y[rows]))


def varied(x, rng):
    "Images mirrored at random and shifted by up to four pixels, the same shift for a whole batch."
    x = torch.where(torch.as_tensor(rng.random(len(x)) < 0.5)[:, None, None, None], x.flip(3), x)
    dy, dx = rng.integers(0, 9, 2)
    return F.pad(x, (4, 4, 4, 4))[:, :, dy:dy + 32, dx:dx + 32]


@torch.no_grad()
def accuracy(model, x, y, preprocessing):
    model.eval()
    return sum((model(preprocessing(a)).argmax(1) == b).sum().item() for a, b in zip(x.split(256), y.split(256)))/len(y)


def run():
    from course_lib.transfer import Preprocessing, ResNetCIFAR
    torch.set_num_threads(1)
    split, preprocessing = cifar10(), Preprocessing(size=32)
    (x, y), valid, test = [eight(getattr(split, part), split.classes) for part in ("train", "valid", "test")]
    torch.manual_seed(0)
    model = ResNetCIFAR(8)
    opt = torch.optim.SGD(model.parameters(), lr=LR, momentum=0.9, weight_decay=5e-4, nesterov=True)
    n_batches = -(-len(x)//BS)
    schedule, rows = OneCycle(opt, LR, EPOCHS*n_batches), []
    if CHECKPOINT.exists():
        saved = torch.load(CHECKPOINT, weights_only=True)
        for what, state in zip((model, opt, schedule), saved["states"]): what.load_state_dict(state)
        rows = saved["rows"]
    for epoch in range(len(rows), EPOCHS):
        began, rng = time.process_time(), np.random.default_rng([0, epoch])
        model.train()
        for batch in np.array_split(rng.permutation(len(x)), n_batches):
            loss = F.cross_entropy(model(preprocessing(varied(x[batch], rng))), y[batch])
            opt.zero_grad(); loss.backward(); opt.step(); schedule.step()
        rows.append([epoch + 1, round(time.process_time() - began, 1), round(accuracy(model, *valid, preprocessing), 4)])
        CHECKPOINT.parent.mkdir(exist_ok=True)
        torch.save(dict(states=[w.state_dict() for w in (model, opt, schedule)], rows=rows), CHECKPOINT)
    torch.save({k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}, ASSET)
    half = ResNetCIFAR(8)
    half.load_state_dict(torch.load(ASSET, weights_only=True))
    with open(HERE/f"{NAME}.csv", "w", newline="") as f:
        writer = csv.writer(f, lineterminator="\n")
        writer.writerows([["epoch", "cpu_seconds", "valid_accuracy"], *rows, ["test", "", round(accuracy(half, *test, preprocessing), 4)]])
    write_conditions(NAME, "torch", "torchvision")


def table():
    rows = list(csv.reader(open(HERE/f"{NAME}.csv")))[1:]
    *epochs, test = rows
    text = f"# A network that has never seen a cat or a dog\n\nMade by `benchmarks/{NAME}.py`, whose docstring says how. {conditions(NAME)}\n\n"
    text += f"Accuracy on the test images of the eight classes, with the 16-bit weights that ship: {float(test[2]):.1%}. CIFAR-10 here is its JPEG version where the original isn't found.\n\n"
    return text + markdown_table(["epoch", "seconds of one core", "validation accuracy"], [[e, s, f"{float(a):.1%}"] for e, s, a in epochs])


if __name__ == "__main__": main(NAME, run, table)
