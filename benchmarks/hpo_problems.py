"""The problems of benchmarks/hpo.py: seven functions whose optimum is known, five live scikit-learn problems, and one with epochs as budget.

Nothing here was chosen after a look at how any of our optimizers does on it.
"""
import math, pickle, warnings
from dataclasses import dataclass
from functools import cache
from typing import Callable

import numpy as np

import common  # puts course_lib on the path
from course_lib.data import digits, tabular
from course_lib.spaces import Choice, Float, Int, Space


@dataclass(frozen=True)
class Problem:
    "Something to minimise."
    name: str
    space: Space
    value: Callable       # config -> loss without noise
    optimum: float = None # None: nobody knows it, and the best loss that anybody saw stands for it
    noise: float = 0      # standard deviation of what is added to `value`
    live: bool = False    # does `value` train something?

    def objective(self, seed):
        "The function that a search sees. The k-th evaluation has the same noise for every contestant with this seed."
        rng = np.random.default_rng([seed, 12345])
        return lambda config: self.value(config) + (self.noise * rng.standard_normal() if self.noise else 0.0)


# ---- functions with a known optimum ----

def cube(d, low=0, high=1): return Space({f"x{i:02}": Float(low, high) for i in range(d)})


def branin(a, b): return (b - 5.1 / (4 * math.pi**2) * a**2 + 5 / math.pi * a - 6)**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(a) + 10


def hartmann6(config):
    x = np.array(list(config.values()))
    A = np.array([[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]])
    P = 1e-4 * np.array([[1312, 1696, 5569, 124, 8283, 5886], [2329, 4135, 8307, 3736, 1004, 9991],
                         [2348, 1451, 3522, 2883, 3047, 6650], [4047, 8828, 8732, 5743, 1091, 381]])
    return float(-np.array([1, 1.2, 3, 3.2]) @ np.exp(-(A * (x - P)**2).sum(1)))


def rosenbrock(config):
    x = np.array(list(config.values()))
    return float((100 * (x[1:] - x[:-1]**2)**2 + (1 - x[:-1])**2).sum())


SHIFT = np.array([7, -11, 3, 14, -5, -13, 9, -2, 12, -8])   # where Ackley's optimum lies, in [-20, 20]: not in the middle of any axis


def ackley(config):
    x = np.array(list(config.values())) - SHIFT
    return float(-20 * math.exp(-0.2 * math.sqrt((x**2).mean())) - math.exp(np.cos(2 * math.pi * x).mean()) + 20 + math.e)


mixed_space = Space(kind=Choice("a", "b", "c"), rate=Float(1e-5, 1, log=True), depth=Int(1, 8), flag=Choice(True, False),
                    momentum=Float(0, 1, when=dict(kind="a")), width=Int(4, 256, log=True, when=dict(kind=("a", "b"))),
                    decay=Float(1e-6, 1e-1, log=True, when=dict(kind="b")))


def mixed(config):
    "Kind a is best when tuned (0) and worst when not, c the other way round; rate and momentum depend on each other as they do in training."
    rate, depth = math.log10(config["rate"]), config["depth"]
    common = 0.05 * (depth - 6)**2 + (0.2 if config["flag"] else 0)
    if config["kind"] == "a":
        width = math.log2(config["width"] / 64)
        return common + (rate + 2.3 + 3 * (config["momentum"] - 0.83))**2 + 4 * (config["momentum"] - 0.83)**2 + 0.1 * width**2
    if config["kind"] == "b":
        return common + 0.3 + 0.3 * (rate + 3)**2 + 0.05 * math.log2(config["width"] / 16)**2 + 0.1 * (math.log10(config["decay"]) + 4)**2
    return common + 0.8 + 0.1 * (rate + 1.5)**2


CENTRE, WEIGHT = np.array([0.23, 0.71, 0.38, 0.87, 0.55]), np.array([1, 4, 2, 1, 3])


def quadratic(config): return float(WEIGHT @ (np.array(list(config.values())) - CENTRE)**2)


# ---- live problems ----

@cache
def splits(data, n, rows=None):
    "`n` splits of a dataset (seeds 0, 1, …): standardised training rows (at most `rows`), targets, and the same of the validation part."
    found = []
    for seed in range(n):
        split = digits(seed) if data == "digits" else tabular(data, seed)
        mean, std = (0, 1) if data == "digits" else split.stats
        flat = lambda part: (np.asarray(part.x, np.float64).reshape(len(part.x), -1) - mean) / std
        keep = np.random.default_rng(seed).permutation(len(split.train.x))[:rows]
        found.append((flat(split.train)[keep], split.train.y[keep], flat(split.valid), split.valid.y))
    return found


def svm(data, n, rows):
    def value(config):
        from sklearn.svm import SVC
        wrong = [np.mean(SVC(**config).fit(x, y).predict(x_valid) != y_valid) for x, y, x_valid, y_valid in splits(data, n, rows)]
        return float(np.mean(wrong))
    return value


svm_space = Space(kernel=Choice("rbf", "poly", "sigmoid"), C=Float(1e-3, 1e3, log=True), gamma=Float(1e-5, 10, log=True),
                  coef0=Float(-1, 1, when=dict(kernel=("poly", "sigmoid"))), degree=Int(2, 6, when=dict(kernel="poly")))

mlp_space = Space(width=Int(4, 64, log=True), activation=Choice("relu", "tanh", "logistic"), alpha=Float(1e-6, 10, log=True),
                  batch_size=Int(16, 128, log=True), solver=Choice("adam", "sgd"), learning_rate_init=Float(1e-4, 1, log=True),
                  momentum=Float(0, 0.99, when=dict(solver="sgd")), beta_1=Float(0.5, 0.99, when=dict(solver="adam")))


def network(config, epochs=1):
    from sklearn.neural_network import MLPClassifier
    rest = {name: value for name, value in config.items() if name != "width"}
    return MLPClassifier((config["width"],), max_iter=epochs, n_iter_no_change=10**6, random_state=0, **rest)


def cross_entropy(model, x, y, n_classes):
    "In nats; at most twice that of a guess."
    worst = 2 * math.log(n_classes)
    p = model.predict_proba(x)[np.arange(len(y)), y]
    loss = float(-np.log(np.maximum(p, 1e-12)).mean())
    return min(loss, worst) if math.isfinite(loss) else worst


def mlp(data, n, rows, epochs, n_classes):
    def value(config):
        losses = []
        for x, y, x_valid, y_valid in splits(data, n, rows):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")             # "hasn't converged": epochs are few on purpose
                try: losses.append(cross_entropy(network(config, epochs).fit(x, y), x_valid, y_valid, n_classes))
                except ValueError: losses.append(2 * math.log(n_classes))    # its weights became infinite
        return float(np.mean(losses))
    return value


boosting_space = Space(learning_rate=Float(0.01, 1, log=True), max_iter=Int(5, 60, log=True), max_leaf_nodes=Int(2, 32, log=True), min_samples_leaf=Int(1, 60),
                       l2_regularization=Float(1e-3, 1e3, log=True), max_features=Float(0.1, 1), loss=Choice("squared_error", "absolute_error"))


def boosting(config):
    "Mean squared error over the variance of the validation targets."
    from sklearn.ensemble import HistGradientBoostingRegressor
    ratios = []
    for x, y, x_valid, y_valid in splits("diabetes", 3):
        model = HistGradientBoostingRegressor(early_stopping=False, random_state=0, **config).fit(x, y)
        ratios.append(np.mean((model.predict(x_valid) - y_valid)**2) / np.var(y_valid))
    return float(np.mean(ratios))


PROBLEMS = {p.name: p for p in [
    Problem("Branin", Space(a=Float(-5, 10), b=Float(0, 15)), lambda c: branin(c["a"], c["b"]), 0.397887),
    Problem("Hartmann6", cube(6), hartmann6, -3.32237),
    Problem("Rosenbrock-5", cube(5, -5, 10), rosenbrock, 0),
    Problem("Ackley-10", cube(10, -20, 20), ackley, 0),
    Problem("Branin in 20 dimensions", cube(20), lambda c: branin(15 * c["x07"] - 5, 15 * c["x13"]), 0.397887),
    Problem("mixed conditional", mixed_space, mixed, 0),
    Problem("noisy quadratic", cube(5), quadratic, 0, noise=0.1),
    Problem("SVM, digits", svm_space, svm("digits", 4, 200), live=True),
    Problem("SVM, wine", svm_space, svm("wine", 25, 24), live=True),
    Problem("MLP, breast cancer", mlp_space, mlp("breast_cancer", 2, None, 10, 2), live=True),
    Problem("MLP, digits", mlp_space, mlp("digits", 1, 500, 12, 10), live=True),
    Problem("boosting, diabetes", boosting_space, boosting, live=True)]}


# ---- epochs as budget ----

FULL = 27                                        # epochs of a full training


class EpochsSpent:
    "A network on digits, trained epoch by epoch: counts the epochs that were really trained and remembers what each trial ended with."
    def __init__(self, total): self.total, self.spent, self.ended = total, 0, []

    def train(self, model, config, epochs):
        "Go on with `model` (None: a new one) for `epochs` epochs: the model and its validation loss."
        x, y, x_valid, y_valid = splits("digits", 1)[0]
        model = model or network(config)
        self.spent += epochs
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                for _ in range(epochs): model.partial_fit(x, y, classes=np.arange(10))
                loss = cross_entropy(model, x_valid, y_valid, 10)
            except ValueError: loss = 2 * math.log(10)                 # its weights became infinite
        return model, loss

    def end(self, loss): self.ended.append((self.spent, loss))

    def best(self, spent):
        "The smallest loss with which a trial ended before so many epochs were spent."
        return min((loss for at, loss in self.ended if at <= spent), default=math.inf)

    @property
    def over(self): return self.spent >= self.total

    # what `minimize` calls: one for optimizers without budgets, one for those that set them
    def fully(self, config):
        loss = self.train(None, config, FULL)[1]
        self.end(loss)
        return loss

    def resumed(self, config, budget, checkpoint):
        file = checkpoint / "model.pkl"
        done, model = pickle.loads(file.read_bytes()) if file.exists() else (0, None)
        model, loss = self.train(model, config, int(budget) - done)
        file.write_bytes(pickle.dumps((int(budget), model)))
        self.end(loss)
        return loss
