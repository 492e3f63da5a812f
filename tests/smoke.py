"Run where the wheel is installed: a user's first minute with the main names."

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from course_lib.automl import AutoMLClassifier
from course_lib.data import digits, tabular
from course_lib.halving import Hyperband
from course_lib.lr_finder import LRFind, lr_find
from course_lib.search import RandomSearch, minimize
from course_lib.spaces import Choice, Float, Space
from course_lib.surrogates import TPE, ForestSearch, GPSearch

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

from fastai.learner import Learner  # course_lib.lr_finder has given it lr_range_test

learn = Learner(split.dls(), model, loss_func=nn.functional.cross_entropy)
found = learn.lr_range_test()
assert isinstance(found, LRFind) and found.suggestions, found
print("works:", {name: f"{rate:.2g}" for name, rate in found.suggestions.items() if rate})
