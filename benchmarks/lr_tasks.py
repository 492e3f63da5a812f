"""The tasks that the learning-rate benchmark trains on: small networks, each training at most 2 seconds on one core.

Twelve test tasks, and six development tasks on generated data: the rule `bracket` was chosen on generated data alone.
"""
import numpy as np
import torch
from sklearn.datasets import make_classification, make_friedman1
from torch import nn
from torch.nn import functional as F

from course_lib.data import cifar10, digits, tabular


class Task:
    "Data, a fresh network and a loss. `steps` are the short and the long budget."
    def __init__(self, data, network, loss=F.cross_entropy, steps=(100, 400), batch=64):
        (self.x, self.y), (self.x_valid, self.y_valid) = data
        self.network, self.loss, self.steps, self.batch = network, loss, steps, min(batch, len(self.x) // 4)

    def model(self, seed):
        torch.manual_seed(seed)
        return self.network()

    def loader(self, seed): return Batches(self.x, self.y, self.batch, seed)

    @torch.no_grad()
    def valid_loss(self, model):
        model.eval()
        return self.loss(model(self.x_valid), self.y_valid).item()


class Batches:
    "A loader without overhead: shuffled full batches, with a generator of its own."
    def __init__(self, x, y, batch, seed):
        self.x, self.y, self.batch = x, y, batch
        self.generator = torch.Generator().manual_seed(seed)
    def __len__(self): return len(self.x) // self.batch
    def __iter__(self):
        for rows in torch.randperm(len(self.x), generator=self.generator)[:len(self) * self.batch].split(self.batch):
            yield self.x[rows], self.y[rows]


def parts(split):
    "Training and validation tensors, inputs normalised; a regression's targets standardised."
    tensors = split.tensors()
    train, valid = tensors.train, tensors.valid
    if split.classes: return train, valid
    mean, std = train.y.mean(), train.y.std()
    return (train.x, ((train.y - mean) / std).reshape(-1, 1)), (valid.x, ((valid.y - mean) / std).reshape(-1, 1))


def generated(x, y, regression=False):
    x = torch.tensor((x - x.mean(0)) / x.std(0), dtype=torch.float32)
    y = torch.tensor((y - y.mean()) / y.std(), dtype=torch.float32)[:, None] if regression else torch.tensor(y)
    cut = len(x) * 3 // 4
    return (x[:cut], y[:cut]), (x[cut:], y[cut:])


def classes(n, dim, n_classes, seed): return generated(*make_classification(
    n, dim, n_informative=dim // 2, n_classes=n_classes, flip_y=0.02, random_state=seed))


def mlp(n_in, n_out, width=64, depth=2, norm=False):
    layers = []
    for i in range(depth):
        layers += [nn.Linear(n_in if i == 0 else width, width), *([nn.BatchNorm1d(width)] if norm else []), nn.ReLU()]
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(width, n_out))


def conv(n_in, n_out, stride=2, norm=True):
    return nn.Sequential(nn.Conv2d(n_in, n_out, 3, stride, 1, bias=not norm), *([nn.BatchNorm2d(n_out)] if norm else []), nn.ReLU())


def cnn(n_in, n_out, norm=True, widths=(16, 32)):
    layers = [conv(i, o, norm=norm) for i, o in zip((n_in, *widths), widths)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], n_out))


class ResBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.path = nn.Sequential(conv(width, width, 1), nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))
    def forward(self, x): return F.relu(x + self.path(x))


def resnet(n_out):
    return nn.Sequential(conv(1, 16), ResBlock(16), ResBlock(16), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, n_out))


class GRU(nn.Module):
    "Reads an image row by row."
    def __init__(self, row, n_out):
        super().__init__()
        self.gru, self.head = nn.GRU(row, 32, batch_first=True), nn.Linear(32, n_out)
    def forward(self, x): return self.head(self.gru(x.flatten(1).view(len(x), -1, self.gru.input_size))[0][:, -1])


def half_digits(low):
    "Digits 0 to 4 or 5 to 9, as classes 0 to 4."
    def keep(part):
        rows = (part.y >= low) & (part.y < low + 5)
        return part.x[rows], part.y[rows] - low
    tensors = digits().tensors()
    return keep(tensors.train), keep(tensors.valid)


def fine_tuned():
    "A network trained on digits 0 to 4 that is to learn digits 5 to 9."
    first = Task(half_digits(0), lambda: cnn(1, 5))
    model = first.model(0)
    opt = torch.optim.Adam(model.parameters(), 1e-2)
    for epoch in range(10):
        for x, y in first.loader(epoch):
            opt.zero_grad()
            first.loss(model(x), y).backward()
            opt.step()
    weights = model.state_dict()
    def network():
        fresh = cnn(1, 5)                       # its new head is the seed's
        body = {k: v for k, v in weights.items() if not k.startswith("4.")}
        fresh.load_state_dict(body, strict=False)
        return fresh
    return Task(half_digits(5), network)


TASKS = {  # name: function that makes the Task
    "digits mlp": lambda: Task(parts(digits()), lambda: mlp(64, 10)),
    "digits mlp, batch norm": lambda: Task(parts(digits()), lambda: mlp(64, 10, norm=True)),
    "digits cnn": lambda: Task(parts(digits()), lambda: cnn(1, 10, norm=False)),
    "digits cnn, batch norm": lambda: Task(parts(digits()), lambda: cnn(1, 10)),
    "digits resnet": lambda: Task(parts(digits()), lambda: resnet(10), steps=(100, 300)),
    "digits fine-tuning": fine_tuned,
    "breast cancer mlp": lambda: Task(parts(tabular("breast_cancer")), lambda: mlp(30, 2)),
    "wine mlp": lambda: Task(parts(tabular("wine")), lambda: mlp(13, 3, width=32)),
    "iris linear": lambda: Task(parts(tabular("iris")), lambda: nn.Linear(4, 3)),
    "diabetes linear": lambda: Task(parts(tabular("diabetes")), lambda: nn.Linear(10, 1), F.mse_loss),
    "diabetes mlp": lambda: Task(parts(tabular("diabetes")), lambda: mlp(10, 1), F.mse_loss),
    "cifar10 subset cnn": lambda: Task(parts(cifar10(n_train=2000, n_valid=1000, n_test=10)), lambda: cnn(3, 10, widths=(16, 32, 64)), steps=(60, 200)),
}
DEVELOPMENT = {
    "generated linear": lambda: Task(classes(1500, 20, 3, 0), lambda: nn.Linear(20, 3)),
    "generated mlp": lambda: Task(classes(1500, 20, 4, 1), lambda: mlp(20, 4)),
    "generated mlp, batch norm": lambda: Task(classes(1500, 20, 4, 3), lambda: mlp(20, 4, norm=True)),
    "generated gru": lambda: Task(classes(1500, 32, 4, 4), lambda: GRU(8, 4)),
    "friedman mlp": lambda: Task(generated(*make_friedman1(1500, noise=0.5, random_state=0), True), lambda: mlp(10, 1), F.mse_loss),
    "friedman deep mlp": lambda: Task(generated(*make_friedman1(1500, noise=1.0, random_state=1), True), lambda: mlp(10, 1, depth=4, norm=True), F.mse_loss),
}
