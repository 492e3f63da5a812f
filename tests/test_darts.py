"Supernets fed wrongly, interrupted, killed and resumed; steps, rules and paths against what they stand for."

import copy
import math
import os
import random
import re
import signal
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from course_lib import darts
from course_lib.cells import (DARTS_V2, EDGES, NASNET_A, OPS_201, PUBLISHED, Cell201, Genotype, Network, cell201_space, darts_space, digits201_network)
from course_lib.darts import *
from course_lib.halving import load_checkpoint, save_checkpoint
from course_lib.spaces import Choice, Float, Space
from course_lib.weight_sharing import *
from notebooks import ROOT
from supernets import KILLS, PLAN, at_step, part, planned, supernet, tiny, ways
from test_nas import same_rng, snapshot_rng
from test_search import examples, seeds, sentence
from test_transfer import one_thread  # noqa: F401, a fixture

KINDS = pytest.mark.parametrize("kind", [DARTSNetwork, FastDARTSNetwork])
SPACES = pytest.mark.parametrize("space", ["201", "darts"])
cells201 = st.tuples(*[st.sampled_from(OPS_201)] * 6).map(Cell201)


def bits(network): return {k: v.clone() for k, v in network.state_dict().items()}
def same_bits(network, before): return all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
def finite(network): return all(v.isfinite().all() for v in network.state_dict().values())
def modes(network): return [m.training for m in network.modules()]
def fill(tensor, value):
    with torch.no_grad(): tensor.fill_(value)


def equal(a, b):
    "Are two results the same in everything but seconds?"
    return (a.cell == b.cell and a.stopped == b.stopped and a.mixtures.keys() == b.mixtures.keys() and all(np.array_equal(a.mixtures[k], b.mixtures[k]) for k in a.mixtures)
            and same_bits(a.network, b.network.state_dict()) and a.history.drop(columns="seconds").equals(b.history.drop(columns="seconds")))


@pytest.fixture(scope="module")
def whole():
    "Every planned search as it goes when nobody disturbs it."
    found = {}
    def get(name):
        if name not in found:
            torch.manual_seed(3)
            found[name] = planned(name)
        return found[name]
    return get


# ---------------------------------------------------------------------------------------------------------------------
# Killed, interrupted, stopped and resumed

@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    "A folder with what killed searches left, and what their process printed."
    folder = tmp_path_factory.mktemp("killed")
    done = subprocess.run([sys.executable, ROOT / "tests" / "supernets.py", folder], cwd=ROOT, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    return folder, done.stdout.splitlines()


def test_importing_loads_no_more_than_it_needs(killed): assert killed[1][0] == "loaded"


@pytest.mark.parametrize("name, how", [(name, how) for name in PLAN for how in ways(name)])
def test_a_killed_search_goes_on_as_if_nothing_had_happened(killed, whole, name, how):
    folder, printed = killed
    assert [line for line in printed if line.startswith(f"{name},{how},")] == [f"{name},{how},-9"] * len(KILLS[how]), "they were all killed"
    torch.manual_seed(3)
    there = (folder / name / how / "state.pt").exists()
    assert equal(planned(name, seed=5 if there else 0, checkpoint=folder / name / how), whole(name)), "from whatever network it is resumed"
    finished = planned(name, seed=6, checkpoint=folder / name / how)
    assert equal(finished, whole(name)), "what is finished is only read"


def test_ctrl_c_at_any_moment(whole, tmp_path):
    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)       # what Ctrl-C calls
    interrupted = 0
    try:
        for milliseconds in (5, 20, 50, 80, 120, 160, 250, 0):
            signal.setitimer(signal.ITIMER_REAL, milliseconds / 1000)
            try: result = planned("first", checkpoint=tmp_path)
            except KeyboardInterrupt: interrupted += 1
            finally: signal.setitimer(signal.ITIMER_REAL, 0)
    finally: signal.signal(signal.SIGALRM, previous)
    assert interrupted and equal(result, whole("first"))


STOPS = dict(skips=lambda: skip_stop(1), many=lambda: skip_stop(7), eigenvalue=lambda: eigenvalue_stop(1, window=1, back=1, ratio=0.0, start=2, images=4), calm=lambda: eigenvalue_stop(3, 1, 1, ratio=1e9, start=1, images=4),
             own=lambda: lambda network, history, valid: (1, "enough") if len(history) == 2 else None)


@pytest.mark.parametrize("name", STOPS)
def test_a_search_that_stops_is_resumed_like_any_other(name, tmp_path):
    first = tiny(supernet(), stop=STOPS[name]())
    if name == "own": assert len(first.history) == 2 and first.cell == discretise(first.network, p={k: torch.tensor(m[1]) for k, m in first.mixtures.items()}), "α of the epoch that the rule named"
    if name in ("many", "calm"): assert len(first.history) == 3 and first.stopped == "3 epochs" and first.cell == discretise(first.network)
    for n in (2, 5):
        def interrupt(): raise KeyboardInterrupt
        back = at_step(n, interrupt)
        try: again = tiny(supernet(), stop=STOPS[name](), checkpoint=tmp_path / str(n))
        except KeyboardInterrupt: pass
        finally: back()
        again = tiny(supernet(), stop=STOPS[name](), checkpoint=tmp_path / str(n))
        assert equal(again, first)
        assert equal(tiny(supernet(), stop=STOPS[name](), checkpoint=tmp_path / str(n)), first), "it stays stopped"


@pytest.mark.parametrize("says", [lambda *a: (99, "late"), lambda *a: (-1, "early")], ids=["99", "-1"])
def test_a_rule_that_names_no_epoch_is_refused(says): assert "stop" in sentence(ValueError, lambda: tiny(supernet(), stop=says))


def test_the_eigenvalue_rule_with_values_that_cant_be_compared():
    for values in ([0.0] * 12, [-1.0] * 6 + [-1.2] * 6, [0.0] * 6 + [1.0] * 6):
        rule, history = eigenvalue_stop(1, window=2, back=2, start=1), []
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for n, value in enumerate(values):
                history.append(dict(epoch=n + 1, eigenvalue=value))
                said = rule(None, history, None)
                assert said is None or 1 <= said[0] <= n + 1 and re.search(r"by \d+%$", said[1])


# ---------------------------------------------------------------------------------------------------------------------
# Checkpoints

@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    tiny(supernet(), checkpoint=folder)
    return folder


def refused_and_left_alone(folder, *says, network=None, **options):
    "A search there is refused in a sentence; file, network and random state stay as they are."
    network = supernet() if network is None else network
    path = Path(folder, "state.pt")
    file, before, rng = path.read_bytes() if path.is_file() else None, bits(network), snapshot_rng()
    message = sentence(ValueError, lambda: tiny(network, checkpoint=folder, **options))
    assert str(folder) in message and all(word in message for word in says), message
    assert same_bits(network, before) and same_rng(rng) and (file is None or path.read_bytes() == file)
    return message


@pytest.mark.parametrize("how", ["empty", "half", "one byte short", "noise", "text", "a list", "a tensor", "a model", "a state dict", "a folder"])
@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")
def test_a_damaged_checkpoint_is_refused(saved, tmp_path, how):
    raw, path = (saved / "state.pt").read_bytes(), tmp_path / "state.pt"
    match how:
        case "a list": torch.save([1, 2], path)
        case "a tensor": torch.save(torch.ones(3), path)
        case "a model": torch.save(supernet(), path)
        case "a state dict": torch.save(supernet().state_dict(), path)
        case "a folder": path.mkdir()
        case _: path.write_bytes({"empty": b"", "half": raw[:len(raw) // 2], "one byte short": raw[:-1], "noise": np.random.default_rng(0).bytes(3000), "text": b"alpha = 3\n"}[how])
    refused_and_left_alone(tmp_path)


@pytest.mark.parametrize("change", [dict(version=0), dict(version=99), dict(version="1"), dict(version=None), dict(about={}), dict(network=None), dict(network={}), dict(opt=None), dict(alpha_opt={}), "foreign"], ids=str)
def test_a_checkpoint_of_another_kind_is_refused(saved, tmp_path, change):
    rng, state = snapshot_rng(), load_checkpoint(saved)
    torch.set_rng_state(rng[0]), random.setstate(rng[3])
    del state["random"]
    save_checkpoint(tmp_path, **(dict(model=supernet().state_dict(), epoch=3) if change == "foreign" else state | change))
    refused_and_left_alone(tmp_path)


@pytest.mark.parametrize("options", [dict(epochs=4), dict(batch=5), dict(order=2), dict(lr=0.1), dict(lr_min=0.1), dict(weight_decay=0.1), dict(alpha_lr=0.2), dict(alpha_decay=0.1), dict(warmup=1), dict(seed=1), dict(amp=torch.bfloat16)], ids=str)
def test_another_searchs_checkpoint_is_refused(saved, options): refused_and_left_alone(saved, next(iter(options)), **options)


def shifted(x, y): return x + 1, y


@pytest.mark.parametrize("options", [dict(train=shifted(*part())), dict(valid=shifted(*part(8, seed=2))), dict(train=part(8, seed=2), valid=part()), dict(train=(part()[0], part()[1].flip(0))), dict(train=(part()[0].reshape(12, 1, 2, 8), part()[1]))],
                         ids=["train", "valid", "exchanged", "classes", "shape"])
def test_a_checkpoint_of_other_data_is_refused(saved, options): refused_and_left_alone(saved, "data", **options)


def moved(make, **sizes): return nn.Sequential(nn.Identity(), *digits201_network(make, **sizes))


@pytest.mark.parametrize("options", [dict(channels=6), dict(space="darts"), dict(k=2), dict(n_out=4), dict(build=moved)], ids=str)
def test_a_checkpoint_of_another_network_is_refused(saved, options): refused_and_left_alone(saved, network=supernet(**options))


@pytest.mark.parametrize("sizes, other", [(dict(), dict(nodes=3)), (dict(), dict(layers=4)), (dict(), dict(channels=6)), (dict(), dict(k=2))], ids=str)
def test_a_checkpoint_of_another_supernet_of_darts_space_is_refused(tmp_path, sizes, other):
    tiny(supernet("darts", **sizes), epochs=1, checkpoint=tmp_path)
    refused_and_left_alone(tmp_path, network=supernet("darts", **other), epochs=1)


def test_a_checkpoint_of_the_fast_network_is_one_of_the_minimal(tmp_path):
    double = partial(supernet, dtype=torch.float64)
    def interrupt(): raise KeyboardInterrupt
    back = at_step(5, interrupt)
    try: tiny(double(kind=FastDARTSNetwork), checkpoint=tmp_path)
    except KeyboardInterrupt: pass
    finally: back()
    assert (tmp_path / "state.pt").exists()
    resumed, plain = tiny(double(), checkpoint=tmp_path), tiny(double())
    assert resumed.cell == plain.cell and np.allclose(resumed.mixtures["cell"], plain.mixtures["cell"], rtol=1e-5)


def test_a_folder_that_cant_be_written_to_is_refused_before_the_work(tmp_path):
    (tmp_path / "file").write_text("something")
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed").chmod(0o500)
    def work(): pytest.fail("a step was taken")
    back = at_step(1, work)
    try:
        for folder in (tmp_path / "file", tmp_path / "file" / "below", *([] if os.access(tmp_path / "closed", os.W_OK) else [tmp_path / "closed"])): refused_and_left_alone(folder)
    finally: back(), (tmp_path / "closed").chmod(0o700)
    assert (tmp_path / "file").read_text() == "something"


def test_an_empty_or_new_folder_is_begun_in_and_its_path_may_be_text(tmp_path):
    plain = tiny(supernet())
    assert equal(tiny(supernet(), checkpoint=str(tmp_path)), plain) and equal(tiny(supernet(), checkpoint=tmp_path / "a" / "b"), plain)


# ---------------------------------------------------------------------------------------------------------------------
# Images and classes

X, Y = part()
GOOD = {"NumPy": (X.numpy(), Y.numpy()), "lists": (X.tolist(), Y.tolist()), "int32": (X.numpy(), Y.numpy().astype(np.int32)), "uint8 classes": (X, Y.byte()), "double": (X.double().numpy(), Y.numpy()), "a list of two": [X, Y], "strided": (X.transpose(2, 3).contiguous().transpose(2, 3), Y),
        "channels last": (X.contiguous(memory_format=torch.channels_last), Y), "with gradients": (X.clone().requires_grad_(), Y), "views": (torch.cat([X, X])[:12], torch.cat([Y, Y])[:12])}
BAD = {"nothing": None, "two nothings": (None, None), "no classes": (X, None), "no images": (None, Y), "text": "train", "a number": 3, "images alone": X, "three": (X, Y, Y), "a DataLoader": DataLoader(TensorDataset(X, Y), 4), "a Dataset": TensorDataset(X, Y), "a dict": dict(x=X, y=Y),
       "none": (X[:0], Y[:0]), "one": (X[:1], Y[:1]), "fewer classes": (X, Y[:5]), "one class": (X, Y * 0), "flat": (X.flatten(1), Y), "an image's worth": (X[0], Y), "without channels": (X[:, 0], Y), "five axes": (X[..., None], Y), "three channels": (X.repeat(1, 3, 1, 1), Y),
       "uint8": ((X * 40).byte(), Y), "int64": (X.long(), Y), "bool": (X > 0, Y), "complex": (X.to(torch.complex64), Y), "NaN": (X * math.nan, Y), "one NaN": (X.index_fill(0, torch.tensor([3]), math.nan), Y), "infinity": (X / 0, Y),
       "floats as classes": (X, Y.float()), "whole floats": (X, Y.double()), "too high": (X, Y + 1), "far too high": (X, Y * 2**40), "negative": (X, -Y), "ignored by torch": (X, torch.where(Y == 1, -100, Y)), "a column": (X, Y[:, None]), "one-hot": (X, F.one_hot(Y, 3).float()), "one-hot numbers": (X, F.one_hot(Y, 3)),
       "bool classes": (X, Y > 0), "names": (X, np.array(list("abc") * 4)), "objects": (X, np.array(list("abc") * 4, dtype=object)), "one number": (X, torch.tensor(1))}


@pytest.mark.parametrize("name", GOOD)
def test_parts_in_any_form_give_the_same_search(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = tiny(supernet(), GOOD[name], epochs=2)
    assert equal(result, tiny(supernet(), epochs=2))
    expected = accuracy(supernet(), (X, Y))
    assert accuracy(supernet(), GOOD[name]) == expected


@pytest.mark.parametrize("name", BAD)
def test_bad_parts_are_refused_before_the_work(name):
    for which in ("train", "valid"):
        network = supernet()
        before, rng = bits(network), snapshot_rng()
        given = dict(train=part(), valid=part(8, seed=2)) | {which: BAD[name]}
        message = sentence(ValueError, lambda: search(network, **given, epochs=1, batch=4, progress=False, device="cpu"))
        assert which in message and same_bits(network, before) and (same_rng(rng) or name == "a DataLoader"), message
        assert which in sentence(ValueError, lambda: discretise(network, "perturbation", **given))


def test_batches_of_all_sizes():
    "A last batch of one is left out; a batch may be larger than a part, and a part of two is enough."
    for n, m, batch in ((5, 8, 4), (8, 5, 4), (2, 2, 2), (3, 3, 2), (2, 12, 64), (12, 2, 64), (9, 9, 8)):
        for space in ("201", "darts"):
            result = tiny(supernet(space), part(n), part(m, seed=2), batch=batch, epochs=1)
            assert np.isfinite(result.history.train_loss).all() and finite(result.network)
    for batch in (1, 0, -1): sentence(ValueError, lambda: tiny(supernet(), batch=batch))


def test_a_batch_of_one_class_is_no_fault():
    x, y = part(12)
    order = y.argsort()
    result = tiny(supernet(), (x[order], y[order]), batch=2)
    assert finite(result.network)
    loss, grads = first_order(supernet(), (x[:4], y[:4] * 0))
    assert loss.isfinite() and all(g.isfinite().all() for g in grads)


def test_the_same_part_for_both_is_a_person_s_choice(): assert len(tiny(supernet(), part(), part()).history) == 3


def test_the_parts_stay_as_they_are():
    train, valid = part(), part(8, seed=2)
    before = [t.clone() for t in (*train, *valid)]
    tiny(supernet(), train, valid, order=2, augment=lambda x: x.mul_(0.5))     # even with one that writes into its images
    assert all(torch.equal(a, b) for a, b in zip(before, (*train, *valid)))


@pytest.mark.parametrize("options", [dict(epochs=0), dict(epochs=-1), dict(order=0), dict(order=3), dict(order="1"), dict(seed=-1)], ids=str)
def test_impossible_settings_are_refused(options):
    network = supernet()
    before, rng = bits(network), snapshot_rng()
    assert next(iter(options)) in sentence(ValueError, lambda: tiny(network, **options))
    assert same_bits(network, before) and same_rng(rng)


# ---------------------------------------------------------------------------------------------------------------------
# What isn't finite

def put(network, where):
    "NaN in one place."
    target = dict(alpha=lambda: network.alphas[next(iter(network.alphas))][1, 2], beta=lambda: network.betas[next(iter(network.betas))][1], weight=lambda: network.weights()[0], last=lambda: network.weights()[-1])[where]()
    fill(target, math.nan)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("where, sizes", [("alpha", {}), ("alpha", dict(space="darts")), ("beta", dict(k=2)), ("weight", {}), ("last", {})], ids=str)
def test_what_is_nan_from_the_start_is_said_in_the_first_step(where, sizes, order):
    network = supernet(**sizes)
    put(network, where)
    message = sentence(FloatingPointError, lambda: tiny(network, order=order))
    assert "step 1 of epoch 1" in message
    if where in ("alpha", "beta"): assert "finite" in sentence(ValueError, lambda: discretise(network))
    else:
        for epochs in (0, 1): sentence((FloatingPointError, ValueError), lambda: discretise(network, "perturbation", train=part(), valid=part(), epochs=epochs))
    sentence((FloatingPointError, ValueError), lambda: dominant_eigenvalue(network, part()))


def broken_at(monkeypatch, n, which):
    "After the n-th step of the weights, something is NaN."
    step, count = darts._weight_step, [0]
    def counted(network, *args, **kwargs):
        loss = step(network, *args, **kwargs)
        count[0] += 1
        if count[0] == n: fill((network.weights() if which == "weight" else network.architecture())[0], math.nan)
        return loss
    monkeypatch.setattr(darts, "_weight_step", counted)


@pytest.mark.parametrize("which", ["weight", "alpha"])
@pytest.mark.parametrize("n, good", [(1, 0), (3, 0), (4, 1), (6, 1), (9, 2)])
def test_a_search_that_breaks_keeps_its_last_good_state(tmp_path, monkeypatch, n, good, which):
    "Also where nothing comes after the step that broke it: at an epoch's end, and at the search's."
    result = tiny(supernet(), checkpoint=tmp_path / "whole")
    with monkeypatch.context() as patched:
        broken_at(patched, n, which)
        network = supernet()
        message = sentence(FloatingPointError, lambda: tiny(network, checkpoint=tmp_path / "broken"))
    assert "step" in message and f"epoch {good + 1}" in message and f"after epoch {good}" in message
    assert finite(network) and np.array_equal(network.mixture()["cell"].detach(), result.mixtures["cell"][good]), "the network is as it was"
    resumed = tiny(network, checkpoint=tmp_path / "broken")                     # a passing fault: this time all goes well
    assert equal(resumed, result)


def test_rates_that_are_too_high_end_in_a_sentence_or_in_finite_numbers():
    for options in (dict(lr=1e6), dict(lr=1e12), dict(lr=1e30), dict(lr=1e38, epochs=1, batch=12), dict(alpha_lr=1e38, epochs=1, batch=12), dict(alpha_lr=1e30), dict(lr=1e30, order=2, k=1), dict(alpha_lr=1e30, alpha_decay=1e30)):
        options.pop("k", None)
        network = supernet()
        try: assert finite(tiny(network, **options).network)
        except FloatingPointError: assert "alpha_lr" in sentence(FloatingPointError, lambda: tiny(supernet(), **options)) and finite(network)


# ---------------------------------------------------------------------------------------------------------------------
# Networks

@pytest.mark.parametrize("nodes, layers, channels, k, size", [(1, 4, 2, 1, 7), (2, 3, 3, 1, 9), (3, 3, 4, 2, (7, 9)), (4, 3, 2, 1, 1), (5, 3, 2, 1, (5, 8)), (2, 3, 9, 3, 7), (1, 4, 5, 1, 2)], ids=str)
def test_every_size_of_the_darts_space(nodes, layers, channels, k, size):
    sizes = dict(space="darts", nodes=nodes, layers=layers, channels=channels, k=k, dtype=torch.float64)
    minimal, fast = supernet(**sizes), supernet(**sizes, kind=FastDARTSNetwork)
    x = torch.randn(3, 1, *(size if isinstance(size, tuple) else (size, size)), generator=torch.Generator().manual_seed(0)).double()
    check_same(minimal, fast, x)
    cell = discretise(minimal)
    assert len(cell.normal) == len(cell.reduce) == nodes and discretise(fast) == cell


@pytest.mark.parametrize("channels, k, size", [(4, 1, 8), (5, 1, 7), (9, 3, 7), (6, 2, (5, 9)), (2, 1, 2)], ids=str)
def test_sizes_of_nasbench201s_space(channels, k, size):
    sizes = dict(channels=channels, k=k, dtype=torch.float64)
    check_same(supernet(**sizes), supernet(**sizes, kind=FastDARTSNetwork), torch.randn(3, 1, *(size if isinstance(size, tuple) else (size, size)), generator=torch.Generator().manual_seed(0)).double())


def check_same(minimal, fast, x):
    "The minimal and the fast network are one: state, scores, every gradient, running statistics, for a mixture and for one cell, in training and evaluation."
    assert same_bits(fast, minimal.state_dict()) and minimal.state_dict().keys() == fast.state_dict().keys()
    y = torch.arange(len(x)) % 3
    for train in (True, False):
        for p in (None, one_hot(minimal, discretise(minimal))):
            found = []
            for network in (minimal.train(train), fast.train(train)):
                scores = network(x, p)
                grads = torch.autograd.grad(F.cross_entropy(scores, y), network.weights() + ([] if p else network.architecture()), materialize_grads=True)
                found.append([scores.detach(), *grads, *(b.double() for b in network.buffers())])
            for ours, theirs in zip(*found):
                assert ours.shape == theirs.shape and torch.allclose(ours, theirs, rtol=1e-8, atol=1e-10 * max(1, theirs.abs().max()))


@KINDS
@pytest.mark.parametrize("layers", [1, 2])
def test_too_few_layers_for_both_kinds_of_cell_are_refused_or_give_a_cell(kind, layers):
    try: network = supernet("darts", kind=kind, layers=layers)
    except ValueError: assert "layers" in sentence(ValueError, lambda: supernet("darts", kind=kind, layers=layers))
    else: assert isinstance(discretise(network), Genotype)


@KINDS
@pytest.mark.parametrize("sizes", [dict(space=None), dict(space="DARTS"), dict(space=201), dict(channels=1), dict(channels=0), dict(channels=-4), dict(channels=4, k=3), dict(channels=4, k=4), dict(k=0), dict(k=-1), dict(k=1.5), dict(layers=0), dict(nodes=0), dict(n_in=0), dict(n_out=0)], ids=str)
def test_impossible_sizes_are_refused(kind, sizes):
    sizes = dict(space="darts") | sizes
    sentence(ValueError, lambda: kind(**sizes))


def test_nodes_beyond_nine_keep_their_order():
    "Edge 2-10 comes after 2-9, not after 2-1."
    network = supernet("darts", nodes=10, channels=2)
    p = {kind: torch.rand(a.shape, generator=torch.Generator().manual_seed(1)) for kind, a in network.alphas.items()}
    assert discretise(network, p=p) == papers_rule(network, p)


# ---------------------------------------------------------------------------------------------------------------------
# From weights to a cell

def papers_rule(network, p):
    "Liu et al. 2019, section 2.4, written again."
    if network.space == "201": return Cell201(tuple(network.ops[int(row.argmax())] for row in p["cell"]))
    cells = {}
    for kind, w in p.items():
        rows = {tuple(map(int, edge.split("-"))): dict(zip(network.ops, row.tolist())) for edge, row in zip(network.edges[kind], w)}
        cells[kind] = []
        for j in range(2, max(node for _, node in rows) + 1):
            best = {i: max((weight, -n, op) for n, (op, weight) in enumerate(rows[i, j].items()) if op != "none") for i in range(j)}
            kept = sorted(sorted(best, key=lambda i: (-best[i][0], i))[:2])
            cells[kind].append(tuple((best[i][2], i) for i in kept))
    concat = range(2, len(cells["normal"]) + 2)
    return Genotype(cells["normal"], concat, cells["reduce"], concat)


NETS = {(space, nodes): supernet(space, **dict(nodes=nodes, channels=2)) for space, nodes in [("201", 4), ("darts", 1), ("darts", 3), ("darts", 5)]}
levels = st.sampled_from([[0.0, 1.0], [0.5], [0.0, 1e-30, 1.0], list(np.linspace(0, 1, 41))])      # few levels: many ties
def skips(cell): return [list(ops).count("skip_connect") for ops in ([cell.ops] if isinstance(cell, Cell201) else [[op for node in nodes for op, _ in node] for nodes in (cell.normal, cell.reduce)])]


@given(st.sampled_from(list(NETS)), levels, seeds)
@examples(60)
def test_the_papers_rule_and_the_limit_of_skips(which, values, seed):
    network, rng = NETS[which], np.random.default_rng(seed)
    p = {kind: torch.tensor(rng.choice(values, a.shape)) for kind, a in network.alphas.items()}
    before, cell = {kind: w.clone() for kind, w in p.items()}, discretise(network, p=p)
    assert cell == papers_rule(network, p)
    for limit in (0, 1, 2, 99, None):
        limited = discretise(network, p=p, max_skips=limit)
        assert limit is None or max(skips(limited)) <= limit
        if limit is None or max(skips(cell)) <= limit: assert limited == cell
        if network.space == "201": assert all(a == b or a == "skip_connect" for a, b in zip(cell.ops, limited.ops)), "only skips give way"
    assert all(torch.equal(before[kind], p[kind]) for kind in p)


def test_of_skips_the_lightest_give_way():
    network = NETS["201", 4]
    p = torch.full((6, 5), 0.1)
    p[:, OPS_201.index("skip_connect")] = torch.tensor([0.9, 0.4, 0.6, 0.5, 0.8, 0.7])
    p[:, OPS_201.index("nor_conv_3x3")] = 0.2
    for limit in range(7):
        ops = discretise(network, p=dict(cell=p), max_skips=limit).ops
        assert {n for n, op in enumerate(ops) if op == "skip_connect"} == set([0, 4, 5, 2, 3, 1][:limit]) and set(ops) <= {"skip_connect", "nor_conv_3x3"}


def test_an_impossible_limit_of_skips_is_refused(): assert "max_skips" in sentence(ValueError, lambda: discretise(NETS["201", 4], max_skips=-1))


@SPACES
def test_alphas_at_the_ends_of_the_line(space):
    network = supernet(space)
    for alpha in network.alphas.values(): fill(alpha[:, :-1], -math.inf)
    cell = discretise(network)
    assert cell == papers_rule(network, network.mixture()) and network.ops[-1] in str(cell)
    for value in (1e30, -1e30, 3e38):
        for alpha in network.alphas.values(): fill(alpha, 0), fill(alpha[:, 1], value)
        assert discretise(network) == papers_rule(network, network.mixture())
    for bad in (math.nan, math.inf):
        fill(next(iter(network.alphas.values()))[0, 0], bad)
        assert "finite" in sentence(ValueError, lambda: discretise(network))
    fill(next(iter(network.alphas.values())), -math.inf)
    assert "finite" in sentence(ValueError, lambda: discretise(network))


def test_unknown_rules_and_mixtures_of_another_shape_are_refused():
    network = supernet("darts")
    for rule in ("Weight", "", None, 1): assert "rule" in sentence(ValueError, lambda: discretise(network, rule))


@given(cells201)
@examples(60)
def test_a_cell_of_nasbench201_comes_back_from_its_mixture(cell):
    network = NETS["201", 4]
    p = one_hot(network, cell)
    assert discretise(network, p=p) == cell and p["cell"].sum(1).eq(1).all()


@st.composite
def distinct(draw, nodes):
    "Genotypes whose nodes read two different nodes, pairs in order, as the paper's rule gives them."
    def cell(): return tuple(tuple((draw(st.sampled_from(CANDIDATES["darts"][1:])), i) for i in sorted(draw(st.lists(st.integers(0, j - 1), min_size=2, max_size=2, unique=True)))) for j in range(2, nodes + 2))
    return Genotype(cell(), range(2, nodes + 2), cell(), range(2, nodes + 2))


@pytest.mark.parametrize("nodes", [1, 3, 5])
def test_a_genotype_comes_back_from_its_mixture(nodes):
    @given(distinct(nodes))
    @examples(30)
    def check(cell): assert discretise(NETS["darts", nodes], p=one_hot(NETS["darts", nodes], cell)) == cell
    check()


@pytest.mark.parametrize("network, cell", [(NETS["201", 4], DARTS_V2), (NETS["darts", 3], Cell201(("none",) * 6)), (NETS["darts", 3], DARTS_V2), (NETS["darts", 5], DARTS_V2), (NETS["darts", 5], NASNET_A), (NETS["201", 4], Cell201(("none",) * 6).to_config()),
                                           (NETS["201", 4], None), (NETS["201", 4], "none"), (NETS["darts", 3], 3)], ids=[str(i) for i in range(9)])
def test_a_cell_that_the_supernet_hasnt_is_refused(network, cell): sentence(ValueError, lambda: one_hot(network, cell))


@KINDS
@given(cells201)
@examples(15)
def test_one_cell_of_the_mixture_is_that_cell_of_nasbench201(kind, cell):
    network, alone = supernet(kind=kind, dtype=torch.float64), digits201_network(cell, 4, 1, 3).double()
    state = {}
    for name in alone.state_dict():
        layer, *rest = name.split(".")
        if rest[0] == "edges": rest = [*rest[:2], str(OPS_201.index(cell.to_config()[rest[1]])), *rest[2:]]
        state[name] = network.state_dict().get(f"layers.{layer}.{'.'.join(rest)}", alone.state_dict()[name])
    alone.load_state_dict(state)
    x = part(5, dtype=torch.float64)[0]
    assert torch.allclose(network(x, one_hot(network, cell)), alone(x), rtol=1e-9)


@KINDS
@given(st.integers(0, 2**31), st.integers(1, 3))
@examples(12)
def test_one_cell_of_the_mixture_is_that_cell_of_the_darts_space(kind, seed, nodes):
    "Whatever it reads, the same node twice by the same operation included; without pools, which have a norm in the supernet only."
    config = {key: value.replace("max_pool", "sep_conv").replace("avg_pool", "dil_conv") if isinstance(value, str) else value for key, value in darts_space(nodes).sample(seed).items()}
    config["normal.2.a.op"], config["normal.2.a.from"] = config["normal.2.b.op"], config["normal.2.b.from"] = "skip_connect", seed % 2
    cell, network = Genotype.from_config(config), supernet("darts", kind=kind, dtype=torch.float64, nodes=nodes)
    alone, state = Network(cell, 4, 3, 3, n_in=1).double(), network.state_dict()
    names = {"stem.0.": "stem.", "linear.": "head.2."}
    for i, reduce in enumerate([False, True, True]):
        names |= {f"cells.{i}.inputs.": f"layers.{i}.inputs."} | {f"cells.{i}.nodes.{j}.{n}.": f"layers.{i}.edges.{source}-{j + 2}.{network.ops.index(op)}." for j, node in enumerate(cell.reduce if reduce else cell.normal) for n, (op, source) in enumerate(node)}
    def taken(name, value):
        ours = next((theirs + name.removeprefix(begin) for begin, theirs in names.items() if name.startswith(begin)), "")
        return state.get(ours, value)
    alone.load_state_dict({name: taken(name, value) for name, value in alone.state_dict().items()})
    x = part(5, 8, dtype=torch.float64)[0]
    assert torch.allclose(network(x, one_hot(network, cell)), alone(x), rtol=1e-9)


@pytest.mark.parametrize("sizes", [dict(), dict(space="darts", nodes=1), dict(space="darts", nodes=1, k=2)], ids=str)
def test_the_perturbation_rule_is_repeatable_and_leaves_the_network_alone(sizes):
    network = supernet(**sizes)
    def found(**options): return discretise(network, "perturbation", **dict(train=part(6, seed=7), valid=part(6, seed=2), epochs=2) | options)
    before, rng = bits(network), snapshot_rng()
    cell = found()
    assert same_bits(network, before) and same_rng(rng) and network.training
    network.eval()
    assert found() == cell and not any(modes(network)), "in whatever mode it is"
    if "space" in sizes: assert "none" not in str(cell) and len(cell.normal) == 1 and all(a[1] < b[1] for nodes in (cell.normal, cell.reduce) for a, b in nodes)


def test_the_perturbation_rule_without_tuning_is_two_sequences_of_comparisons():
    "Written again for the DARTS space: first an operation for each edge in turn, then the two edges of each node that are missed most."
    network, data = supernet("darts", seed=4, nodes=2, channels=2), part(6, seed=5)
    p = {kind: w.detach().clone() for kind, w in network.mixture().items()}
    def without(kind, e, o):
        less = {k: w.clone() for k, w in p.items()}
        less[kind][e, o] = 0
        with torch.no_grad(): return F.cross_entropy(network(data[0], less), data[1]).item()
    pairs = [(kind, e) for kind, w in p.items() for e in range(len(w))]
    for n in torch.randperm(len(pairs), generator=torch.Generator().manual_seed(7)):
        kind, e = pairs[n]
        p[kind][e] = torch.eye(8)[max(range(1, 8), key=lambda o: without(kind, e, o))]
    def two(kind, j):
        edges = [e for e, edge in enumerate(network.edges[kind]) if edge.endswith(f"-{j}")]
        kept = sorted(edges, key=lambda e: without(kind, e, slice(None)))[-2:]
        return tuple((network.ops[p[kind][e].argmax()], int(network.edges[kind][e].split("-")[0])) for e in sorted(kept))
    expected = Genotype(*(half for kind in ("normal", "reduce") for half in ([two(kind, j) for j in (2, 3)], (2, 3))))
    assert discretise(network, "perturbation", train=data, valid=data, epochs=0, seed=7) == expected


# ---------------------------------------------------------------------------------------------------------------------
# Steps

@pytest.fixture
def smooth(monkeypatch):
    "ReLU and max pooling have kinks, where finite differences see something else: here they are smooth."
    monkeypatch.setattr(F, "relu", lambda x, inplace=False: F.softplus(x, 2.0))
    def pool(x, size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False): return F.avg_pool2d(x, size, stride, padding, ceil_mode, False)
    monkeypatch.setattr(F, "max_pool2d", pool)


CASES = [("201", dict()), ("201", dict(k=2)), ("darts", dict(nodes=2)), ("darts", dict(nodes=1, k=2))]


@KINDS
@pytest.mark.parametrize("space, sizes", CASES, ids=str)
def test_architecture_steps_are_the_slopes_of_their_objectives(smooth, kind, space, sizes):
    network = supernet(space, 2, kind, torch.float64, **sizes)
    train, valid, xi, h = part(5, 8, 3, dtype=torch.float64), part(5, 8, 4, dtype=torch.float64), 0.1, 1e-5
    weights = {name: p for name, p in network.named_parameters() if not name.startswith(("alphas", "betas"))}
    def loss(w, batch): return F.cross_entropy(functional_call(network, w, (batch[0],)), batch[1])
    def objective(order):
        if order == 1: return loss(weights, valid).item()
        slope = torch.autograd.grad(loss(weights, train), weights.values())
        return loss({name: p - xi * g for (name, p), g in zip(weights.items(), slope)}, valid).item()
    a, generator = network.architecture(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in a: p.copy_(torch.randn(p.shape, generator=generator, dtype=p.dtype))
    exact = [first_order(network, valid)[1], second_order(network, train, valid, xi)[1], second_order(network, train, valid, xi, exact=False)[1]]
    for _ in range(3):
        ways = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in a]
        def moved(order, t):
            with torch.no_grad():
                for p, v in zip(a, ways): p.add_(v, alpha=t)
            value = objective(order)
            with torch.no_grad():
                for p, v in zip(a, ways): p.sub_(v, alpha=t)
            return value
        for order, grads, limit in ((1, exact[0], 1e-6), (2, exact[1], 1e-6), (2, exact[2], 2e-2)):
            slope = (moved(order, h) - moved(order, -h)) / (2 * h)
            length = sum((g * v).abs().sum() for g, v in zip(grads, ways)).item()
            assert abs(sum((g * v).sum() for g, v in zip(grads, ways)).item() - slope) < limit * length
    flat = [torch.cat([g.flatten() for g in grads]) for grads in exact]
    assert (flat[1] - flat[0]).norm() > 1e-3 * flat[0].norm(), "the orders differ here, or this tests nothing"


@KINDS
@SPACES
@pytest.mark.parametrize("k", [1, 2])
def test_a_step_gives_gradients_and_leaves_all_else_alone(kind, space, k):
    network = supernet(space, kind=kind, k=k)
    data, frozen = part(), network.weights()[0]
    for train in (True, False):
        network.train(train)
        params, rng, mode = {name: p.clone() for name, p in network.named_parameters()}, snapshot_rng(), modes(network)
        for call in (lambda: first_order(network, data), lambda: second_order(network, data, data, 0.1), lambda: second_order(network, data, data, 0.1, exact=False)):
            loss, grads = call()
            assert not loss.requires_grad and [g.shape for g in grads] == [p.shape for p in network.architecture()] and not any(g.requires_grad for g in grads)
            assert all(torch.equal(p, params[name]) and p.grad is None and p.requires_grad for name, p in network.named_parameters()) and same_rng(rng) and modes(network) == mode
        with pytest.raises((ValueError, RuntimeError, IndexError)): first_order(network, (data[0], data[1] + 7))
        with pytest.raises((ValueError, RuntimeError, IndexError)): first_order(network, (data[0].repeat(1, 3, 1, 1), data[1]))
        assert all(p.requires_grad for p in network.parameters()), "after a failure too"
    frozen.requires_grad_(False)
    first_order(network, data)
    assert not frozen.requires_grad


@SPACES
def test_accuracy_and_eigenvalue_leave_the_network_alone_in_either_mode(space):
    network, data = supernet(space, **(dict(nodes=1) if space == "darts" else {})), part(6)
    found = []
    for train in (True, False):
        network.train(train)
        before, rng, mode = bits(network), snapshot_rng(), modes(network)
        found.append((accuracy(network, data), dominant_eigenvalue(network, data), dominant_eigenvalue(network, data)))
        assert same_bits(network, before) and same_rng(rng) and modes(network) == mode and all(p.grad is None for p in network.parameters())
    assert found[0] == found[1] and found[0][1] == found[0][2]
    with pytest.raises(Exception): accuracy(network.train(), (data[0].repeat(1, 3, 1, 1), data[1]))
    assert same_bits(network, before) and network.training, "after a failure too"


def test_accuracy_of_any_number_of_images():
    "It goes through them in pieces; none may be a single image."
    network = supernet("darts", channels=2, nodes=1)
    for n in (2, 3, 511, 512, 513, 514, 1025): assert 0 <= accuracy(network, part(n)) <= 1
    sentence(ValueError, lambda: accuracy(network, part(1)))


@KINDS
@pytest.mark.parametrize("space, sizes", CASES, ids=str)
def test_the_eigenvalue_is_the_hessians(kind, space, sizes):
    network, data = supernet(space, 3, kind, torch.float64, **sizes | (dict(nodes=1) if space == "darts" else {})), part(6, seed=6, dtype=torch.float64)
    tiny(network, epochs=1)
    params = {name: p for name, p in network.named_parameters() if name.startswith(("alphas", "betas"))}
    def loss(flat): return F.cross_entropy(functional_call(network, {name: piece.view_as(p) for (name, p), piece in zip(params.items(), flat.split([p.numel() for p in params.values()]))}, (data[0],)), data[1])
    hessian = torch.autograd.functional.hessian(loss, torch.cat([p.detach().flatten() for p in params.values()]))
    assert dominant_eigenvalue(network, data) == pytest.approx(torch.linalg.eigvalsh(hessian)[-1].item(), rel=2e-3)


# ---------------------------------------------------------------------------------------------------------------------
# The same seed

def test_the_global_random_state_isnt_moved_nor_does_it_matter(tmp_path):
    torch.manual_seed(1)
    rng = snapshot_rng()
    first = tiny(supernet(), order=2, checkpoint=tmp_path)
    assert same_rng(rng)
    torch.manual_seed(2)
    assert equal(tiny(supernet(), order=2), first) and not equal(tiny(supernet(), order=2, seed=1), first)
    rng = snapshot_rng()
    tiny(supernet(), order=2, checkpoint=tmp_path)                              # finished, and read again
    assert same_rng(rng) or "random state" in search.__doc__, "a resumption moves the random state; search doesn't say so"


def test_searches_in_threads_dont_meet():
    def one(network): return tiny(network, order=2, epochs=2)
    networks = [supernet(seed=seed) for seed in range(3)]
    with ThreadPoolExecutor(3) as pool: together = list(pool.map(one, networks))
    assert all(equal(one(supernet(seed=seed)), result) for seed, result in enumerate(together))


@SPACES
@pytest.mark.parametrize("options", [dict(warmup=1), dict(order=2), dict(order=2, exact=False)], ids=str)
def test_the_fast_network_finds_what_the_minimal_one_finds(space, options):
    sizes = dict(nodes=1) if space == "darts" else {}
    minimal, fast = [tiny(supernet(space, 1, kind, torch.float64, **sizes), epochs=2, **options) for kind in (DARTSNetwork, FastDARTSNetwork)]
    assert minimal.cell == fast.cell
    for kind in minimal.mixtures: assert np.allclose(minimal.mixtures[kind], fast.mixtures[kind], rtol=1e-4, atol=1e-6)


def test_what_a_result_holds():
    result = tiny(supernet("darts"), warmup=1)
    assert list(result.history.epoch) == [1, 2, 3] and result.history.valid_loss.isna().tolist() == [True, False, False] and result.stopped == "3 epochs" and result.checkpoint is None
    for kind, w in result.mixtures.items():
        assert w.shape == (4, len(result.network.edges[kind]), 8) and np.allclose(w.sum(2), 1, atol=1e-5) and np.array_equal(w[0], w[1]) and not np.array_equal(w[1], w[2]), "α rests in the warm-up"
        assert np.array_equal(w[-1], result.network.mixture()[kind].detach())
    assert result.cell == discretise(result.network) and isinstance(result.history, pd.DataFrame)


@SPACES
def test_a_plots_axes_can_be_gone_through(space):
    import matplotlib.pyplot as plt
    plt.switch_backend("agg")
    result = tiny(supernet(space, **(dict(nodes=3) if space == "darts" else {})), epochs=1)
    for kind in (None, *result.mixtures):
        axes = result.plot(kind)
        plotted = [ax for ax in axes if ax.lines]
        assert len(plotted) == len(result.network.edges[kind or next(iter(result.mixtures))]) and all(len(ax.lines) == len(result.network.ops) for ax in plotted)
        plt.close("all")


def test_mixed_precision_on_the_cpu():
    for kind in (DARTSNetwork, FastDARTSNetwork):
        for options in (dict(), dict(order=2), dict(order=2, exact=False)):
            result = tiny(supernet(kind=kind), amp=torch.bfloat16, epochs=1, **options)
            assert finite(result.network) and all(p.dtype == torch.float32 for p in result.network.parameters())


# ---------------------------------------------------------------------------------------------------------------------
# In a Learner

@pytest.fixture(scope="module")
def learner():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from fastai.data.core import DataLoaders
        from fastai.data.load import DataLoader as FastaiLoader
        from fastai.learner import Learner
    def make(network=None, n_valid=8, loader=FastaiLoader, cbs=None):
        loaders = [loader(TensorDataset(*part()), 4, shuffle=True), *([] if n_valid is None else [loader(TensorDataset(*(t[:n_valid] for t in part(8, seed=2))), 4)])]
        learn = Learner(DataLoaders(*loaders, device="cpu"), supernet() if network is None else network, loss_func=F.cross_entropy, lr=0.05, cbs=cbs)
        learn.remove_cbs([cb for cb in learn.cbs if cb.name in ("progress", "recorder")])
        return learn
    return make


def trains(network):
    "α can still be learned."
    before = bits(network)
    tiny(network, epochs=1)
    return not same_bits(network, before) and any(not torch.equal(a, before[f"alphas.{k}"]) for k, a in network.alphas.items())


@pytest.mark.parametrize("order, sizes", [(1, dict()), (2, dict(k=2)), (1, dict(space="darts", nodes=1, kind=FastDARTSNetwork))], ids=["201", "second order", "darts"])
def test_a_callback_searches_and_may_be_used_twice(learner, order, sizes):
    learn, cb = learner(supernet(**sizes)), darts_callback(order, alpha_lr=0.1)
    for epochs in (2, 1):
        start = bits(learn.model)
        learn.fit(epochs, cbs=cb)
        assert len(cb.mixtures) == epochs + 1 and finite(learn.model) and cb not in list(learn.cbs)
        for kind in cb.mixtures[0]: assert not torch.equal(cb.mixtures[0][kind], cb.mixtures[-1][kind]) and torch.equal(cb.mixtures[-1][kind], learn.model.mixture()[kind].detach().float())
        assert not same_bits(learn.model, start) and all(p.requires_grad and p.grad is None for p in learn.model.architecture())
    discretise(learn.model)
    assert trains(learn.model)


def test_the_learners_own_steps_leave_alpha_alone(learner):
    learn = learner()
    before = learn.model.alphas["cell"].clone()
    learn.fit(1, wd=0.5, cbs=darts_callback(alpha_lr=0.0, alpha_decay=0.0))
    assert torch.equal(before, learn.model.alphas["cell"])


@pytest.mark.parametrize("event", ["before_batch", "after_pred", "after_backward", "after_batch", "before_validate", "after_epoch"])
@pytest.mark.parametrize("error", [RuntimeError("something else"), KeyboardInterrupt("Ctrl-C")], ids=["error", "Ctrl-C"])
def test_alpha_trains_after_a_fit_that_failed(learner, event, error):
    from fastai.callback.core import Callback
    def fail(self): raise error
    learn, cb = learner(), darts_callback()
    with pytest.raises(type(error)): learn.fit(1, cbs=[cb, type("Failing", (Callback,), {"order": 99, event: fail})()])
    assert all(p.requires_grad for p in learn.model.parameters()) and trains(learn.model)
    learn.fit(1, cbs=cb)
    assert all(p.requires_grad for p in learn.model.parameters())


def test_a_cancelled_fit(learner):
    from fastai.callback.core import Callback, CancelFitException
    def cancel(self): raise CancelFitException("enough")
    learn = learner()
    learn.fit(3, cbs=[darts_callback(), type("Cancelling", (Callback,), dict(order=99, after_batch=cancel))()])
    assert trains(learn.model)


def refused_in_a_fit(learn, *says, kind=ValueError):
    "The callback's own sentence; fastai puts a line before it that says in which callback."
    with pytest.raises(kind) as raised: learn.fit(1, cbs=darts_callback())
    message = str(raised.value).split("\n\t")[-1]
    assert "\n" not in message and message.endswith(".") and all(word in message for word in says), message


@pytest.mark.parametrize("n", [0, None], ids=["empty", "no"])
def test_a_learner_without_a_validation_part_is_refused(learner, n): refused_in_a_fit(learner(n_valid=n), "valid")


def test_a_learner_with_another_network_is_refused(learner): refused_in_a_fit(learner(nn.Sequential(nn.Flatten(), nn.Linear(16, 3))), "DARTSNetwork")


def test_nan_in_a_fit_is_said_in_a_sentence_and_alpha_still_trains(learner):
    learn = learner()
    fill(learn.model.weights()[0], math.nan)
    refused_in_a_fit(learn, "finite", kind=FloatingPointError)
    assert all(p.requires_grad for p in learn.model.parameters())


def test_a_learner_with_torchs_own_loaders(learner):
    learn, cb = learner(loader=DataLoader), darts_callback(alpha_lr=0.1)
    learn.fit(1, cbs=cb)
    assert not torch.equal(cb.mixtures[0]["cell"], cb.mixtures[1]["cell"])


def test_a_last_validation_batch_of_one(learner):
    "Images that end at one pixel: batch norm has nothing to compare."
    learner(supernet("darts"), n_valid=5).fit(2, cbs=darts_callback())


def test_a_callback_of_another_order_is_refused():
    for order in (0, 3, "1", None): assert "order" in sentence(ValueError, lambda: darts_callback(order))


# ---------------------------------------------------------------------------------------------------------------------
# Paths through shared weights

def shared(seed=0, nodes=None, dtype=torch.float32, **sizes):
    "A supernet of paths whose weights depend on the seed alone."
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if nodes is None: return SuperNet(partial(digits201_network, channels=4, n_in=1, n_out=3)).to(dtype)
        return SuperNet(partial(Network, **dict(channels=4, layers=3, n_out=3, n_in=1) | sizes), darts_space(nodes)).to(dtype)


def taught(net, **options): return train_supernet(net, **dict(epochs=1, train=part(dtype=next(net.parameters()).dtype), batch=4, device="cpu") | options)


SHARED = {"201": shared(), "one node": shared(nodes=1), "two nodes": shared(nodes=2, channels=2), "one layer": shared(nodes=2, layers=1), "four layers": shared(nodes=1, layers=4, channels=2)}


@pytest.mark.parametrize("name", SHARED)
def test_a_path_is_the_stand_alone_network(name):
    net, x = copy.deepcopy(SHARED[name]), part(5, 8)[0]
    taught(net)
    for seed in range(5):
        cell = net.path(net.space.sample(seed))
        for train in (True, False):
            ours, alone = copy.deepcopy(net).train(train), net.extract(cell).train(train)
            assert torch.equal(ours(x, cell), alone(x))
            for a, b in zip(ours.extract(cell).state_dict().values(), alone.state_dict().values()): assert torch.equal(a, b), "running statistics too"


def test_an_extracted_network_is_a_copy_of_its_kind():
    net = shared(dtype=torch.float64)
    rng, before = snapshot_rng(), bits(net)
    alone = net.extract(net.space.sample(0))
    assert {p.dtype for p in alone.parameters()} == {torch.float64} and same_rng(rng)
    for p in alone.parameters(): fill(p, 7)
    assert same_bits(net, before)


@pytest.mark.parametrize("name", SHARED)
def test_operations_off_the_path_are_left_alone(name):
    net = copy.deepcopy(SHARED[name])
    cell = net.path(net.space.sample(3))
    net.at(cell)
    on = {id(p) for s in net.shared.values() for op in s.chosen for p in (*op.parameters(), *op.buffers())}
    off = {key: p for key, p in net.state_dict(keep_vars=True).items() if ".choices." in key and id(p) not in on}
    before = {key: p.detach().clone() for key, p in off.items()}
    assert off
    net.train()
    F.cross_entropy(net(part(6)[0], cell), part(6)[1]).backward()
    assert all(p.grad is None for p in off.values()) and (not on or any(p.grad is not None for p in net.parameters()))
    net.zero_grad()
    taught(net, draw=lambda rng: cell)
    assert all(torch.equal(p, before[key]) for key, p in off.items()), "weights, norms and their statistics"


@pytest.mark.parametrize("norms", ["batch", "fresh", "stale"])
@pytest.mark.parametrize("train", [True, False])
def test_judging_a_path_leaves_the_supernet_alone(norms, train):
    net = shared()
    taught(net)
    net.train(train)
    before, rng, mode = bits(net), snapshot_rng(), modes(net)
    first = [shared_accuracy(net, net.space.sample(seed), part(), norms, train=part(9, seed=8)) for seed in range(4)]
    assert same_rng(rng) and modes(net) == mode and all(torch.equal(p, before[name]) for name, p in net.named_parameters())
    assert [shared_accuracy(net, net.space.sample(seed), part(), norms, train=part(9, seed=8)) for seed in range(4)] == first
    others = {seed: shared_accuracy(net, net.space.sample(seed), part(), "stale") for seed in range(4, 8)}
    shared_accuracy(net, net.space.sample(0), part(), norms, train=part(9, seed=8))
    assert others == {seed: shared_accuracy(net, net.space.sample(seed), part(), "stale") for seed in others}, "one cell's judgement doesn't change another's"
    assert same_bits(net, before)
    with pytest.raises(Exception): shared_accuracy(net, net.space.sample(0), (X.repeat(1, 3, 1, 1), Y), norms)
    assert modes(net) == mode and {m.momentum for m in net.modules() if isinstance(m, nn.BatchNorm2d)} == {0.1}, "after a failure too"


@pytest.mark.parametrize("name", [name for name in BAD if name not in ("nothing", "one class", "five axes", "no pixels", "int64", "bool", "complex", "bool classes", "a dict", "objects", "one-hot numbers", "whole floats", "far too high")])
def test_bad_parts_for_shared_weights_are_refused(name):
    net = shared()
    before, cell = bits(net), net.space.sample(0)
    sentence((ValueError, FloatingPointError) if "NaN" in name or name == "infinity" else ValueError, lambda: taught(net, train=BAD[name]))
    sentence((ValueError, FloatingPointError) if "NaN" in name or name == "infinity" else ValueError, lambda: shared_accuracy(net, cell, BAD[name]))
    assert all(torch.equal(p, before[key]) for key, p in net.named_parameters())


@pytest.mark.parametrize("name", GOOD)
def test_parts_in_any_form_teach_the_same(name):
    nets = shared(), shared()
    losses = [taught(net, train=data)["losses"] for net, data in zip(nets, (GOOD[name], (X, Y)))]
    assert losses[0] == losses[1] and shared_accuracy(nets[0], nets[0].space.sample(1), GOOD[name]) == shared_accuracy(nets[1], nets[1].space.sample(1), (X, Y))


def test_one_class_teaches_nothing_but_may_judge():
    assert "one class" in sentence(ValueError, lambda: taught(shared(), train=(X, Y * 0)))
    assert 0 <= shared_accuracy(shared(), shared().space.sample(0), (X, Y * 0)) <= 1


@pytest.mark.parametrize("options", [dict(epochs=0), dict(batch=1), dict(batch=0), dict(seed=-1), dict(draw=lambda rng: DARTS_V2), dict(draw=lambda rng: None)], ids=str)
def test_impossible_trainings_are_refused(options):
    net = shared()
    before = bits(net)
    sentence(ValueError, lambda: taught(net, **options))
    assert same_bits(net, before)


def test_nan_is_never_judged():
    net = shared()
    fill(next(net.parameters()), math.nan)
    cells = [net.space.sample(seed) for seed in range(2)]
    for call in (lambda: shared_accuracy(net, cells[0], part()), lambda: choose_cell(net, cells, part()), lambda: taught(net), lambda: random_sharing(net, 1, 2, train=part(), valid=part(), batch=4, device="cpu"),
                 lambda: enas(net, 1, 2, steps=1, reward_batch=4, train=part(), valid=part(), batch=4, device="cpu")): assert "finite" in sentence(FloatingPointError, call) or "nan" in sentence(FloatingPointError, call)
    broken = shared()
    with pytest.raises(FloatingPointError): taught(broken, lr=1e38, clip=1e30, epochs=1, batch=12), taught(broken, lr=1e38, clip=1e30, epochs=1, batch=12)


@pytest.mark.parametrize("find", [partial(random_sharing, n=3), partial(enas, n=3, steps=2, reward_batch=4)], ids=["random", "enas"])
@pytest.mark.parametrize("nodes", [None, 2], ids=["201", "darts"])
def test_searches_with_shared_weights_depend_on_the_seed_alone(find, nodes):
    def found(seed=0): return find(shared(nodes=nodes), 2, seed=seed, train=part(), valid=part(8, seed=2), batch=4, device="cpu")
    torch.manual_seed(5)
    rng = snapshot_rng()
    first = found()
    assert same_rng(rng)
    torch.manual_seed(6)
    again, other = found(), found(1)
    for key in ("cell", "valid", "judged", "losses"): assert first[key] == again[key]
    assert first["losses"] != other["losses"] and len(first["judged"]) == 3 and first["valid"] == max(value for _, value in first["judged"])


@pytest.mark.parametrize("find", [random_sharing, enas])
@pytest.mark.parametrize("options", [dict(n=0), dict(n=-1), dict(valid=None), dict(epochs=0), dict(seed=-1), dict(train=(X, Y * 0)), dict(valid=(X[:1], Y[:1]))], ids=lambda o: "=".join(map(str, (next(iter(o)), type(next(iter(o.values()))).__name__))))
def test_impossible_searches_with_shared_weights_are_refused(find, options):
    sentence(ValueError, lambda: find(shared(), **dict(epochs=1, n=2, train=part(), valid=part(8, seed=2), batch=4, device="cpu") | options))


@pytest.mark.parametrize("options", [dict(steps=0), dict(start=1), dict(start=-1), dict(reward_batch=1), dict(policy=ENASController(darts_space(1)))], ids=lambda o: next(iter(o)))
def test_impossible_policies_are_refused(options): sentence(ValueError, lambda: enas(shared(), **dict(epochs=1, n=2, train=part(), valid=part(8, seed=2), batch=4, device="cpu") | options))


@pytest.mark.parametrize("space", [Space(), Space(lr=Float(0, 1)), Space({edge: Choice("none") for edge in EDGES[:5]})], ids=str)
def test_a_supernet_of_another_space_is_refused(space): sentence(ValueError, lambda: SuperNet(space=space))


def test_cells_that_a_supernet_hasnt_are_refused():
    pairs = [(("skip_connect", 0), ("skip_connect", 0))] * 2
    for net, bad in ((shared(), [DARTS_V2, None, 3, "none", {}, {"0-1": "none"}, dict.fromkeys(EDGES, "sep_conv_3x3"), darts_space(2).sample(0), cell201_space()]),
                     (shared(nodes=2), [*PUBLISHED.values(), Cell201(("none",) * 6), cell201_space().sample(0), darts_space(1).sample(0), darts_space(3).sample(0), Genotype(pairs, (2, 3), pairs, (3,)), Genotype(pairs, (3, 2), pairs, (2, 3)), Genotype([(("none", 0),) * 2] * 2, (2, 3), pairs, (2, 3)), None])):
        for cell in bad:
            for call in (net.path, net.at, net.extract, lambda cell: net(X, cell), lambda cell: shared_accuracy(net, cell, part()), lambda cell: choose_cell(net, [net.space.sample(0), cell], part())): sentence(ValueError, lambda: call(cell))
    assert "one" in sentence(ValueError, lambda: choose_cell(shared(), [], part()))


def test_a_batch_of_one_through_a_path():
    net = shared(nodes=1)
    cell = net.space.sample(0)
    assert "two images" in sentence(ValueError, lambda: net.train()(X[:1], cell)) and net.eval()(X[:1], cell).shape == (1, 3)


@given(seeds, st.floats(0.001, 5))
@examples(10)
def test_the_controllers_entropy_is_that_of_its_draws(seed, scale):
    "At most the logarithm of the number of choices, and the same for every decision's distribution."
    policy = ENASController(cell201_space(), 0, hidden=4)
    with torch.no_grad():
        for p in policy.controller.parameters(): p.normal_(0, scale, generator=torch.Generator().manual_seed(seed % 2**31))
    config = policy.draw(np.random.default_rng(seed))
    log_p, entropy = policy.log_prob_and_entropy(config)
    assert log_p.item() == pytest.approx(policy.log_prob(config).item(), rel=1e-5) and -1e-6 <= entropy.item() <= 6 * math.log(5) + 1e-4
    assert math.isfinite(policy.learn(config, 0.5)) and all(p.isfinite().all() for p in policy.controller.parameters())
