"Run where the wheel is installed: a user's first minute with the main names."

import matplotlib
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from course_lib.augmented import contest, finder, searched
from course_lib.automl import AutoMLClassifier
from course_lib.cells import DARTS_V2, Cell201, Genotype, Network, count_macs, count_params, plot_genotype
from course_lib.darts import DARTSNetwork, FastDARTSNetwork, discretise, one_hot, search
from course_lib.data import digits, tabular
from course_lib.halving import Hyperband
from course_lib.lr_finder import LRFind, lr_find
from course_lib.nas import RegularizedEvolution, digits201, incumbents, naswot, train_digits201
from course_lib.one_cycle import OneCycle
from course_lib.scaling import Workload, digits_journal, simulate
from course_lib.scaling import SPACE as RECORDED
from course_lib.search import RandomSearch, minimize
from course_lib.spaces import Choice, Float, Space
from course_lib.surrogates import TPE, ForestSearch, GPSearch
from course_lib.transfer import Transfer, features, logme, pretrained
from course_lib.weight_sharing import SuperNet, random_sharing

split = digits()
assert split.train.x.shape[1:] == (1, 8, 8) and split.n_out == 10, split
assert 0 <= split.train.x.min() and split.train.x.max() <= 1
table = tabular("wine")
assert table.n_out == 3 and len(table.train.x) == len(table.train.y), table

space = Space(kind=Choice("a", "b"), x=Float(1e-3, 1, log=True), y=Float(0, 1, when=dict(kind="b")))
objective = lambda config, budget=1: (config["x"] - 0.1) ** 2 + config.get("y", 0.5) / budget
for optimizer in (RandomSearch(space), TPE(space), GPSearch(space), ForestSearch(space), Hyperband(space, max_budget=9, sampler=TPE(space))):
    results = minimize(objective, optimizer, n_trials=15, progress=False)
    assert len(results) == 15 and results.best.loss == results.losses.min() and len(results.df) == 15, results

automl = AutoMLClassifier(n_trials=3, progress=False).fit(table.train.x, table.train.y)
assert automl.score(table.test.x, table.test.y) > 0.8 and len(automl.leaderboard_) and automl.test_loss_ < 0.3, automl.leaderboard_

train = split.tensors().train
torch.manual_seed(0)
model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
before = [p.clone() for p in model.parameters()]
optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
found = lr_find(model, nn.functional.cross_entropy, DataLoader(TensorDataset(*train), batch_size=64, shuffle=True), optimiser)
assert isinstance(found, LRFind) and len(found.lrs) == len(found.losses) and found.suggestions, found
assert all(torch.equal(a, b) for a, b in zip(before, model.parameters())), "the finder changed the model"

schedule = OneCycle(optimiser, found.suggestion, n_steps=10)
for _ in range(10): optimiser.step(); schedule.step()
assert optimiser.param_groups[0]["lr"] < 1e-5, optimiser

eight = pretrained("resnet20_cifar8")  # its weights come with the package
photos, labels = torch.rand(24, 3, 32, 32), torch.arange(24) % 2
photos[labels == 1, 0] *= 0.2
tuned = Transfer(eight, 2, "linear_probe").fit((photos, labels))
assert tuned.accuracy(photos, labels) > 0.9 and tuned.passes == 24, tuned.history[-1]
assert logme(features(eight, photos), labels) > logme(features(eight, photos), labels.flip(0)[torch.randperm(24)])

matplotlib.use("agg")
drawings = plot_genotype(DARTS_V2)
drawings[0].figure.canvas.draw()
assert len(drawings) == 2 and Genotype.from_json(DARTS_V2.to_json()) == Genotype.from_config(DARTS_V2.to_config()) == DARTS_V2
net = Network(DARTS_V2, 8, 3, 10, n_in=1).eval()
assert net(torch.rand(2, 1, 8, 8)).shape == (2, 10) and count_macs(net, (1, 16, 16)) > count_params(net) > 0

cells = digits201()  # it comes with the package
found = incumbents(cells, RegularizedEvolution(cells.space, population=10, sample=3), 50)
assert len(found) == 50 and cells.loss(found[-1]) < cells.loss(found[0]) and 0.9 < cells.test_accuracy(found[-1]) <= cells.optimum, found[-1]
cell = Cell201.from_config(found[-1])
once = train_digits201(cell, epochs=1, device="cpu")
assert once["params"] == cells.info(found[-1])["params"] and once["test"] > 0.1 and naswot(once["network"], torch.as_tensor(split.train.x[:16])) > 0, once

shared = random_sharing(SuperNet(), epochs=1, n=5, device="cpu")
assert len(shared["judged"]) == 5 and 0 <= shared["valid"] <= 1, shared
halves = [(torch.as_tensor(split.train.x[a : a + 128]), torch.as_tensor(split.train.y[a : a + 128])) for a in (0, 128)]
network = FastDARTSNetwork("201", channels=4, n_in=1)
gradients = search(network, *halves, epochs=2, device="cpu", progress=False)
assert len(gradients.history) == 2 and discretise(network, p=one_hot(network, gradients.cell)) == gradients.cell, gradients
DARTSNetwork("201", channels=4, n_in=1).load_state_dict(network.state_dict())

standings = contest({"finder": finder, "random": searched(RandomSearch)}, digits, budget=5, seeds=[0], progress=False)
assert standings.estimate("finder").mean < 0.1 and list(standings.table().seeds) == [1, 1], standings.df
fake = simulate(RandomSearch(RECORDED), Workload(RECORDED, digits_journal()), n_workers=10, n_trials=50)  # Optuna and Dask aren't here
assert len(fake) == 50 and 0 <= fake.idle < 1, fake

from fastai.learner import Learner  # course_lib.lr_finder has given it lr_range_test

learn = Learner(split.dls(), model, loss_func=nn.functional.cross_entropy)
found = learn.lr_range_test()
assert isinstance(found, LRFind) and found.suggestions, found
print("works:", {name: f"{rate:.2g}" for name, rate in found.suggestions.items() if rate})
