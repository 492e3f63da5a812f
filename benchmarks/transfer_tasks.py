"The three tasks of the transfer benchmark, and the fastai side of its contest."
import functools
import time
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

BS = 16


def _balanced(y, n, seed):
    "Row numbers of `n` examples drawn with the seed, in as equal numbers per class as `n` allows."
    rng = np.random.default_rng(seed)
    classes = np.unique(y)
    counts = [n//len(classes) + (i < n % len(classes)) for i in range(len(classes))]
    return rng.permutation(np.concatenate([rng.permutation(np.flatnonzero(y == c))[:k] for c, k in zip(classes, counts)]))


def _enlarged(part, rows, size):
    from course_lib.transfer import resized
    return resized(torch.as_tensor(np.asarray(part.x)[rows]), size), torch.as_tensor(part.y[rows])


class Task:
    "A published network, a pool to draw labelled images from, and fixed validation and test parts; images in [0, 1], as tensors."
    def __init__(self, net, labels, split, size, n_valid, n_test, keep=None):
        self.net, self.labels, self.size = net, labels, size
        if keep is not None:
            old = [split.classes.index(c) for c in keep]
            part = lambda p: SimpleNamespace(x=np.asarray(p.x)[np.isin(p.y, old)], y=np.searchsorted(old, p.y[np.isin(p.y, old)]))
            split = SimpleNamespace(train=part(split.train), valid=part(split.valid), test=part(split.test), classes=keep)
        self.n_out, self.pool = len(split.classes), split.train
        rows = lambda p, n: np.arange(len(p.y)) if n is None else _balanced(p.y, n, 0)
        self.valid = _enlarged(split.valid, rows(split.valid, n_valid), size)
        self.test = _enlarged(split.test, rows(split.test, n_test), size)

    def train(self, n, seed):
        "The labelled images of a seed, in the order it draws."
        n = len(self.pool.y) if n is None else n
        return _enlarged(self.pool, _balanced(self.pool.y, n, seed), self.size)


@functools.cache
def _cifar10():
    from course_lib.data import cifar10
    return cifar10(n_train=8000, n_valid=5000, n_test=10_000)


def ants_and_bees():
    from course_lib.data import hymenoptera
    return Task("squeezenet1_0", [20, 100, 195], hymenoptera(size=128), 128, None, None)


def ten_classes(): return Task("squeezenet1_0", [20, 100, 500], _cifar10(), 64, 500, 1000)


def cats_and_dogs(): return Task("resnet20_cifar8", [20, 100, 500], _cifar10(), 32, 500, None, ("cat", "dog"))


NETS = {"ants and bees": "squeezenet1_0", "CIFAR-10": "squeezenet1_0", "cats and dogs": "resnet20_cifar8"}
TASKS = {"ants and bees": ants_and_bees, "CIFAR-10": ten_classes, "cats and dogs": cats_and_dogs}


# ---- fastai ----

def learner(task, x, y, seed, published):
    """A Learner as fastai makes it, with its own head; images normalised as the weights expect.

    Batches are evened out, so that none is dropped and none is tiny. The weights are those that `pretrained` finds; nothing is downloaded."""
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader
    from fastai.callback import progress, schedule              # they add no_bar and fine_tune to Learner
    from fastai.learner import Learner
    from fastai.vision.learner import create_head, vision_learner
    import fastcore.all as fc
    import random
    torch.manual_seed(seed)
    n_batches = -(-len(x)//BS)
    rows = torch.utils.data.TensorDataset(published.preprocessing(x), y)
    dl = DataLoader(rows, bs=-(-len(x)//n_batches), shuffle=True, drop_last=False, device=torch.device("cpu"),
                    create_item=fc.noop, create_batch=rows.__getitem__, retain=fc.noop)
    dl.rng = random.Random(seed)
    dls, loss = DataLoaders(dl, dl, device=torch.device("cpu")), nn.CrossEntropyLoss()
    if task.net.startswith("resnet20"):
        head = create_head(published.n_features, task.n_out)
        for m in head.modules():
            if isinstance(m, nn.Linear): nn.init.kaiming_normal_(m.weight)      # as vision_learner does
        model = nn.Sequential(published.body, head)
        learn = Learner(dls, model, loss, splitter=lambda m: [fc.L(m[0].parameters()), fc.L(m[1].parameters())])
        learn.create_opt(); learn.freeze()
        return learn
    import torchvision.models as tv
    learn = vision_learner(dls, getattr(tv, task.net), normalize=False, n_out=task.n_out, pretrained=False, loss_func=loss)
    state = published.model.features.state_dict()
    body = learn.model[0]
    own = list(body.state_dict())
    assert len(own) == len(state) and all(body.state_dict()[k].shape == v.shape for k, v in zip(own, state.values()))
    body.load_state_dict(dict(zip(own, state.values())))
    learn.freeze()
    return learn


def fine_tune(learn, epochs):
    "fastai's fine_tune with its defaults, without scoring in between."
    from fastai.callback.core import Callback, CancelValidException
    class NoValidation(Callback):
        def before_validate(self): raise CancelValidException()
    with learn.no_bar(), learn.no_logging(): learn.fine_tune(epochs, cbs=NoValidation())


@torch.no_grad()
def fastai_predict(learn, net, x):
    learn.model.eval()
    return torch.cat([learn.model(net.preprocessing(b)).softmax(1) for b in x.split(64)])


# ---- a logistic regression on frozen features ----

def logistic_regression(task, x, y, penalties):
    "CPU seconds with all penalties tried, passes, and the accuracies of the one that is best on validation (the strongest of equals), as `one_fit` gives them."
    from course_lib.transfer import features, pretrained
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    net = pretrained(task.net)
    (f_valid, y_valid), (f_test, y_test) = [(features(net, part[0], device="cpu"), part[1].numpy()) for part in (task.valid, task.test)]
    began = time.process_time()
    f = features(net, x, device="cpu")
    fits = [make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=2000)).fit(f, y.numpy()) for C in penalties]
    seconds = time.process_time() - began
    best = max(fits, key=lambda fit: fit.score(f_valid, y_valid))
    return seconds, len(x), (best.score(f_valid, y_valid),)*2, (best.score(f_test, y_test),)*2
