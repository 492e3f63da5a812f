"Malformed cells, hostile tables, searches under the contract of all optimizers; networks counted, cut, copied and fed oddly."

import base64
import copy
import dataclasses
import gzip
import hashlib
import inspect
import io
import json
import math
import os
import pickle
import pickletools
import random
import socket
import subprocess
import sys
import zlib
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import objectives
from course_lib import cells, nas
from course_lib.cells import *
from course_lib.data import DataError, digits
from course_lib.halving import Hyperband
from course_lib.nas import *
from course_lib.search import RandomSearch, minimize
from course_lib.spaces import Choice, Constant, Float, Int, Space
from notebooks import ROOT
from test_search import (RICH, changes, check_asked, check_cut, check_failures, check_flat, check_hopeless, check_told_once, check_whole, examples, run, seeds, sentence,
                         spaces, what)
from test_transfer import SERVED, files, homes, needs_data, no_network, one_thread, refused, same, server  # fixtures among them

GOOD = "|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_1x1~1|skip_connect~2|"
CELL = Cell201.from_str(GOOD)
ALL201 = [Cell201(ops) for ops in product(OPS_201, repeat=6)]
cells201 = st.sampled_from(ALL201)


def plain(genotype=DARTS_V2): return json.loads(genotype.to_json())


def changed(where, value, genotype=DARTS_V2):
    "The JSON of a genotype with one part of it replaced."
    tree = at = plain(genotype)
    for key in where[:-1]: at = at[key]
    at[where[-1]] = value
    return json.dumps(tree)


@st.composite
def genotypes(draw, most=4, ops=OPS):
    "Any genotype: every operation, cells of different sizes, any concatenation."
    def cell():
        nodes = tuple(tuple((draw(st.sampled_from(ops)), draw(st.integers(0, j - 1))) for _ in "ab") for j in range(2, draw(st.integers(1, most)) + 2))
        return nodes, tuple(draw(st.lists(st.integers(2, len(nodes) + 1), min_size=1, unique=True)))
    return Genotype(*cell(), *cell())


# ---------------------------------------------------------------------------------------------------------------------
# Genotypes

NODE, PAIR, SOURCE, CONCAT = ("normal", "nodes", 2), ("normal", "nodes", 2, 0), ("normal", "nodes", 2, 0, 1), ("reduce", "concat")


@pytest.mark.parametrize("where, value, says", [
    (SOURCE, 4, "itself"), (SOURCE, 5, "later"), (SOURCE, 99, "later"), (SOURCE, -1, "-1"), (SOURCE, 1.0, "1.0"), (SOURCE, "1", "'1'"), (SOURCE, True, "True"), (SOURCE, None, "None"),
    (("normal", "nodes", 0, 0, 1), 2, "itself"),
    (("reduce", "nodes", 3, 1, 0), "sep_conv_4x4", "sep_conv_"), (("reduce", "nodes", 3, 1, 0), "nor_conv_3x3", "nor_conv_3x3"), (("reduce", "nodes", 3, 1, 0), "", "operation"),
    (("reduce", "nodes", 3, 1, 0), None, "operation"), (("reduce", "nodes", 3, 1, 0), 3, "operation"), (("reduce", "nodes", 3, 1, 0), ["sep_conv_3x3"], "operation"), (("reduce", "nodes", 3, 1, 0), "SEP_CONV_3X3", "operation"),
    (("normal", "nodes"), [], "at least one"), (("normal", "nodes"), None, "list"), (("normal", "nodes"), "ab", "list"), (("normal", "nodes"), {}, "list"), (("normal", "nodes"), 3, "list"),
    (NODE, [], "two pairs"), (NODE, [["none", 0]], "two pairs"), (NODE, [["none", 0]] * 3, "two pairs"), (NODE, "ab", "two pairs"), (NODE, None, "two pairs"), (NODE, {"a": 1, "b": 2}, "two pairs"),
    (PAIR, ["none"], "two pairs"), (PAIR, ["none", 0, 0], "two pairs"), (PAIR, "ab", "two pairs"), (PAIR, None, "two pairs"),
    (CONCAT, [], "some of its nodes"), (CONCAT, [2, 2], "each once"), (CONCAT, [1], "2, 3, 4, 5"), (CONCAT, [6], "2, 3, 4, 5"), (CONCAT, [2.0], "2.0"), (CONCAT, ["2"], "'2'"), (CONCAT, [[2]], "[2]"), (CONCAT, None, "None"), (CONCAT, [True, 2], "True")])
def test_a_malformed_genotype_is_refused_for_what_is_wrong(where, value, says):
    message = sentence(ValueError, lambda: Genotype.from_json(changed(where, value)))
    assert says in message and where[0] in message
    if where[-3:-2] == ("nodes",) or where[-2:-1] == ("nodes",): assert f"node {where[2] + 2}" in message
    tree = json.loads(changed(where, value))
    assert says in sentence(ValueError, lambda: Genotype(*(tree[kind][part] for kind in ("normal", "reduce") for part in ("nodes", "concat"))))


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "3", '"normal"', "NaN", "{'normal': 1}", '{"normal": {"nodes": []}}', '{"normal": [], "reduce": []}', '{"normal": 3, "reduce": 4}', '{"normal": null, "reduce": null}',
                                  "[" * 100_000, '{"normal":' * 100_000, "1" * 5000, "\0", None, 3, b"\xff", [1], {"normal": {}}], ids=lambda t: str(t)[:12])
def test_what_isnt_a_genotypes_json_is_refused(text): assert "genotype" in sentence(ValueError, lambda: Genotype.from_json(text))


def test_a_genotypes_json_cut_anywhere_is_refused():
    text = NASNET_A.to_json()
    for n in range(len(text)): sentence(ValueError, lambda: Genotype.from_json(text[:n]))
    assert Genotype.from_json(text) == Genotype.from_json(f" {text}\n") == Genotype.from_json(text.encode()) == NASNET_A


@st.composite
def mutated(draw, text, most=3):
    "The text with some characters removed, repeated, replaced or exchanged."
    for _ in range(draw(st.integers(1, most))):
        i, j = sorted(draw(st.lists(st.integers(0, len(text)), min_size=2, max_size=2)))
        piece = draw(st.sampled_from(["", text[i:j], text[j:i:-1], "|", "+", "~", "0", "1", "none", "skip_connect", "|none~0|", " ", "\n", "é", "٠", "[", "]", '"', ",", "2", "-", "{", "null", draw(st.text(max_size=3))]))
        text = text[:i] + piece + text[draw(st.sampled_from([i, j, min(i + 1, len(text))])):]
    return text


@given(mutated(GOOD))
@examples(400)
def test_a_mutated_architecture_string_is_refused_or_says_exactly_what_the_cell_is(text):
    try: cell = Cell201.from_str(text)
    except ValueError:
        message = sentence(ValueError, lambda: Cell201.from_str(text))
        assert repr(text)[1:15] in message or "no operation" in message
    else: assert str(cell) == text


@given(mutated(DARTS_V1.to_json()))
@examples(150)
def test_a_mutated_genotypes_json_is_refused_or_says_exactly_what_the_genotype_is(text):
    try: genotype = Genotype.from_json(text)
    except ValueError: sentence(ValueError, lambda: Genotype.from_json(text))
    else:
        assert plain(genotype) == {kind: {part: json.loads(text)[kind][part] for part in ("nodes", "concat")} for kind in ("normal", "reduce")}


@given(genotypes())
@examples(60)
def test_genotypes_are_values(genotype):
    again = Genotype.from_json(genotype.to_json())
    lists = Genotype(*json.loads(json.dumps(dataclasses.astuple(genotype))))
    for other in (again, lists, copy.deepcopy(genotype), pickle.loads(pickle.dumps(genotype)), eval(repr(genotype))):
        assert other == genotype and hash(other) == hash(genotype) and {genotype: 1}[other] == 1 and other.to_json() == genotype.to_json()
    for name in ("normal", "normal_concat", "reduce", "reduce_concat"):
        with pytest.raises(AttributeError): setattr(genotype, name, getattr(genotype, name))
        with pytest.raises(TypeError): getattr(genotype, name)[0] = 2
    other = dataclasses.replace(genotype, normal=genotype.normal + ((("none", 0), ("none", 0)),))
    assert other != genotype and len({genotype, other, again}) == 2


@given(genotypes())
@examples(60)
def test_what_a_genotype_writes_as_a_configuration_gives_the_genotype_back(genotype):
    try: config = genotype.to_config()
    except ValueError:
        assert "to_json" in sentence(ValueError, genotype.to_config)
        return
    assert config in darts_space(len(genotype.normal)) and Genotype.from_config(config) == genotype
    assert json.loads(json.dumps(config)) == config


@given(st.integers(1, 6), seeds)
@examples(40)
def test_every_configuration_is_a_genotype(nodes, seed):
    config = darts_space(nodes).sample(seed)
    genotype = Genotype.from_config(config)
    assert genotype.to_config() == config and len(genotype.normal) == len(genotype.reduce) == nodes
    assert list(genotype.to_config()) == list(config), "the order of the space"
    assert genotype.normal[-1][1] == (config[f"normal.{nodes + 1}.b.op"], config[f"normal.{nodes + 1}.b.from"])


def test_configurations_that_are_no_genotype_are_refused():
    good = darts_space().sample(0)
    for bad in ({}, None, [1], 3, "normal", good | {"normal.2.a.op": "none"}, good | {"normal.2.a.from": 2}, good | {"normal.2.a.from": "0"}, good | {"more": 1}, good | {f"more{i}": i for i in range(8)},
                {k: v for k, v in good.items() if k != "reduce.5.b.from"}, CELL.to_config(), {1: 2}): refused(lambda: Genotype.from_config(bad))
    for n in (0, -1, 2.0, "4", None, True): sentence(ValueError, lambda: darts_space(n))
    for name in ("NASNET_A", "AMOEBANET_A", "ENAS"): assert "to_json" in sentence(ValueError, PUBLISHED[name].to_config)


def test_how_many_cells_there_are():
    assert len(set(ALL201)) == cell201_space().size == 15_625
    for nodes in (1, 2): assert darts_space(nodes).size == math.prod((7 * j)**2 for j in range(2, nodes + 2))**2
    assert len(PUBLISHED) == len(set(PUBLISHED.values())) == 7 and all(getattr(cells, name) is genotype for name, genotype in PUBLISHED.items())


@needs_data
def test_the_published_cells_are_those_of_the_papers():
    path = Path(os.environ["COURSE_DATA"], "genotypes.json")
    if not path.exists(): pytest.skip("no genotypes.json")
    ours = {name.lower().replace("_", ""): genotype for name, genotype in PUBLISHED.items()}
    published = {name.lower().replace("_", "").replace("-", ""): entry for name, entry in json.loads(path.read_text()).items() if isinstance(entry, dict) and "normal" in entry}
    assert ours.keys() == published.keys() and all(Genotype.from_json(json.dumps(entry)) == ours[name] for name, entry in published.items())


# ---------------------------------------------------------------------------------------------------------------------
# NAS-Bench-201's cells

@pytest.mark.parametrize("ops", [(), ("none",) * 5, ("none",) * 7, "none", "abcdef", None, 3, {"0-1": "none"}, ("none",) * 5 + ("zero",), ("none",) * 5 + (None,), ("none",) * 5 + (["none"],), ("none",) * 5 + ("sep_conv_3x3",)], ids=str)
def test_a_malformed_cell_is_refused(ops): sentence(ValueError, lambda: Cell201(ops))


@pytest.mark.parametrize("text", ["", "|", "+", "++", "|+|+|", "|none~0|", GOOD[:-1], GOOD + "|", GOOD + "+", GOOD + "\n", " " + GOOD, GOOD.replace("~2", "~3"), GOOD.replace("+", "-"), GOOD.replace("none", "nothing"),
                                  GOOD.replace("~0", "~0~0", 1), GOOD.replace("~0", "", 1), GOOD.upper(), "+".join(reversed(GOOD.split("+"))), None, 3, b"|none~0|", ["|none~0|"], CELL, "|none~0|" * 10_000], ids=lambda t: str(t)[:30])
def test_a_malformed_architecture_string_is_refused(text): assert len(sentence(ValueError, lambda: Cell201.from_str(text))) < 600


@pytest.mark.parametrize("config", [None, [], 3, GOOD, CELL, {}, {"0-1": "none"}, CELL.to_config() | {"0-1": "zero"}, CELL.to_config() | {"lr": 1}, CELL.to_config() | {"2-3": None}, CELL.to_config() | {"2-3": ["none"]}, {**DARTS_V1.to_config()}], ids=lambda c: str(c)[:30])
def test_a_configuration_that_is_no_cell_is_refused(config): sentence(ValueError, lambda: Cell201.from_config(config))


def test_cells_are_values():
    for cell in random.Random(0).sample(ALL201, 200):
        for other in (Cell201(list(cell.ops)), Cell201.from_str(str(cell)), Cell201.from_config(cell.to_config()), copy.deepcopy(cell), pickle.loads(pickle.dumps(cell)), eval(repr(cell))):
            assert other == cell and hash(other) == hash(cell) and other.unique == cell.unique and {cell: 1}[other] == 1
        assert cell.to_config() in cell201_space() and list(cell.to_config()) == list(EDGES) == list(cell201_space())
    for name in ("ops", "unique"):
        with pytest.raises(AttributeError): setattr(CELL, name, ("none",) * 6)
    with pytest.raises(TypeError): CELL.ops[0] = "none"
    assert CELL.unique == Cell201(CELL.ops).unique and CELL.to_config()["0-1"] == "nor_conv_3x3"
    assert CELL.to_config() == {"0-1": "nor_conv_3x3", "0-2": "none", "1-2": "avg_pool_3x3", "0-3": "skip_connect", "1-3": "nor_conv_1x1", "2-3": "skip_connect"}  # as GOOD reads


def term(cell):
    "What the last node computes, as nested multisets: independent of strings and their order. A zero stays a term of its sum."
    zero, nodes = ("zero",), [Counter({("input",): 1})]
    for j in (1, 2, 3):
        node = Counter()
        for i in range(j):
            op = cell.to_config()[f"{i}-{j}"]
            if op == "none" or nodes[i] == {zero: 1}: node[zero] += 1
            elif op == "skip_connect": node += nodes[i]
            else: node[(op, frozenset(nodes[i].items()))] += 1
        nodes.append(node)
    return frozenset(nodes[3].items())


def test_unique_joins_only_cells_with_the_same_terms():
    strings = defaultdict(set)
    for cell in ALL201: strings[cell.unique].add(term(cell))
    assert len(strings) == 6466 and max(map(len, strings.values())) == 1
    assert len(set().union(*strings.values())) == 5755, "Dong & Yang's strings keep some sums apart that differ in order only"


def test_cells_that_unique_joins_compute_the_same():
    joined = defaultdict(list)
    for cell in ALL201: joined[cell.unique].append(cell)
    x = torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.manual_seed(0)
    fixed = {op: operation201(op, 3).double().eval() for op in OPS_201}                 # an operation is the same wherever it stands, and makes nothing of nothing
    for group in random.Random(1).sample([g for g in joined.values() if len(g) > 1], 60):
        outputs = []
        for cell in random.Random(2).sample(group, min(4, len(group))):
            net = CellNet201(cell, 3).double().eval()
            for edge in net.edges: net.edges[edge] = fixed[cell.to_config()[edge]]
            outputs.append(net(x))
        for out in outputs: assert torch.allclose(out, outputs[0], atol=1e-12)


# ---------------------------------------------------------------------------------------------------------------------
# Networks

def scores(net, x, training=False):
    net.train(training)
    return net(x)


@given(genotypes(3), st.integers(2, 4), st.integers(1, 4), st.sampled_from(["small", "imagenet"]), st.booleans(), st.integers(1, 3), st.integers(1, 5), st.integers(0, 9), st.integers(0, 9))
@examples(25)
def test_any_genotype_takes_images_of_any_size_or_says_how_large_they_must_be(genotype, channels, layers, stem, auxiliary, n_in, n_out, more_h, more_w):
    net = Network(genotype, channels, layers, n_out, auxiliary, stem=stem, n_in=n_in)
    least = 2**net.halvings
    h, w = least + more_h, least + more_w
    for batch in (1, 3):
        out = scores(net, torch.rand(batch, n_in, h, w))
        assert out.shape == (batch, n_out) and torch.isfinite(out).all()
    for size in ((least - 1, w), (h, least - 1), (1, 1), (0, 0)):
        message = sentence(ValueError, lambda: scores(net, torch.rand(1, n_in, *size)))
        assert f"{size[0]}×{size[1]}" in message and f"{least}×{least}" in message
    if auxiliary:                                                                       # with the head, the size from which on it works in training is said too
        message = sentence(ValueError, lambda: scores(net, torch.rand(2, n_in, 1, 1), True))
        needed = int(message.rsplit("×", 1)[1].rstrip("."))
        if needed <= 40:
            sentence(ValueError, lambda: scores(net, torch.rand(2, n_in, needed - 1, needed), True))
            first, second = scores(net, torch.rand(2, n_in, needed, needed), True)
            assert first.shape == second.shape == (2, n_out)
    for wrong in (torch.rand(1, n_in + 1, h, w), torch.rand(n_in, h, w), torch.rand(1, n_in)): sentence(ValueError, lambda: scores(net, wrong))


@pytest.mark.parametrize("stem", ["small", "imagenet"])
@pytest.mark.parametrize("size", [32, 33, 37])
def test_images_of_odd_sizes(stem, size):
    for genotype in (NASNET_A, P_DARTS):
        net = Network(genotype, 2, 3, 3, stem=stem)
        assert scores(net, torch.rand(1, 3, size, size + 1)).shape == (1, 3)
        scores(net, torch.rand(2, 3, size, size), True).sum().backward()


@pytest.mark.parametrize("bad", [dict(channels=0), dict(channels=1), dict(layers=0), dict(layers=-1), dict(n_out=0), dict(drop_path=1), dict(drop_path=-0.1), dict(drop_path=math.nan),
                                 dict(stem="large"), dict(stem=None), dict(genotype=None), dict(genotype="DARTS_V1"), dict(genotype=CELL), dict(genotype=DARTS_V1.to_config()), dict(n_in=0)], ids=str)
def test_networks_that_cant_be_built(bad): refused(lambda: Network(**dict(genotype=DARTS_V1, channels=4, layers=3, n_out=2) | bad), length=1200)


def test_drop_path():
    x = torch.rand(2000, 2, 3, 3) + 0.5
    for p in (0.1, 0.5):
        ratio = (drop_path(x, p) / x).flatten(1)
        assert ((ratio == 0).all(1) | torch.isclose(ratio, torch.tensor(1 / (1 - p))).all(1)).all() and abs((ratio[:, 0] == 0).float().mean() - p) < 0.05
    assert torch.equal(drop_path(x, 0.0), x)
    torch.manual_seed(0)
    net, x = Network(DARTS_V2, 4, 4, 3, drop_path=0.5), torch.rand(4, 3, 16, 16)
    scores(net, x, True)
    out = scores(net, x)
    assert torch.equal(out, scores(net, x)), "evaluation draws nothing"
    assert not torch.equal(scores(net, x, True), scores(net, x, True))
    net.drop_path = 0.0
    assert torch.equal(scores(net, x, True), scores(net, x, True))
    state = snapshot_rng()
    scores(net, x, True)
    assert same_rng(state), "without drop-path nothing is drawn"
    before = copy.deepcopy(net.state_dict())
    net.drop_path = 0.9
    net.load_state_dict(before)
    assert torch.equal(scores(net, x), scores(net, x))


def test_the_auxiliary_head_is_there_in_training_only():
    torch.manual_seed(0)
    with_head, x = Network(DARTS_V2, 4, 4, 3, auxiliary=True), torch.rand(2, 3, 32, 32)
    without = Network(DARTS_V2, 4, 4, 3)
    assert count_params(with_head) > count_params(without) and count_macs(with_head, (3, 32, 32)) == count_macs(without, (3, 32, 32))
    missing, more = without.load_state_dict(with_head.state_dict(), strict=False)
    assert not missing and more and all(key.startswith("auxiliary.") for key in more)
    assert torch.equal(scores(with_head, x), scores(without, x)) and isinstance(scores(without, x, True), torch.Tensor)
    main, second = scores(with_head, x, True)
    nn.functional.cross_entropy(second, torch.tensor([0, 1])).backward()
    grads = {name for name, p in with_head.named_parameters() if p.grad is not None}
    assert any(name.startswith("auxiliary.") for name in grads) and "linear.weight" not in grads
    assert not any(name.startswith(f"cells.{3}.") for name in grads), "the head reads the last reduction cell, not the last cell"


def live(genotype, layers):
    "Names of the parts that a network's output depends on, found backwards."
    reductions, wanted, alive = {layers // 3, 2 * layers // 3}, {layers - 1}, {"linear"}
    for i in reversed(range(layers)):
        if i not in wanted: continue
        nodes, concat = (genotype.reduce, genotype.reduce_concat) if i in reductions else (genotype.normal, genotype.normal_concat)
        reached = set(concat)
        for j in reversed(range(2, len(nodes) + 2)):
            if j not in reached: continue
            for k, (op, source) in enumerate(nodes[j - 2]):
                if op != "none": reached.add(source), alive.add(f"cells.{i}.nodes.{j - 2}.{k}")
        for source in reached & {0, 1}: alive.add(f"cells.{i}.inputs.{source}"), wanted.add(i - 2 + source)
    return alive | {"stem"} if wanted & {-1, -2} else alive


@given(genotypes(4), st.integers(1, 5))
@examples(20)
def test_a_gradient_reaches_every_parameter_that_the_output_depends_on(genotype, layers):
    net = Network(genotype, 2, layers, 3)
    scores(net, torch.rand(3, 3, 16, 16), True).sum().backward()
    alive = live(genotype, layers)
    for name, p in net.named_parameters(): assert (p.grad is not None) == any(name == part or name.startswith(f"{part}.") for part in alive), name


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_cells_learn_with_every_parameter_that_their_papers_use(name):
    torch.manual_seed(0)
    net = Network(PUBLISHED[name], 2, 6, 3, auxiliary=True, drop_path=0.1)
    first, second = scores(net, torch.rand(8, 3, 32, 32), True)
    (nn.functional.cross_entropy(first, torch.arange(8) % 3) + 0.4 * nn.functional.cross_entropy(second, torch.arange(8) % 3)).backward()
    without = {n for n, p in net.named_parameters() if p.grad is None}
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)
    assert without <= {n for n, _ in net.named_parameters() if not any(n.startswith(f"{part}.") for part in live(PUBLISHED[name], 6))}


NETS = {"Network": (lambda: Network(PC_DARTS, 4, 4, 3, auxiliary=True, drop_path=0.2), (3, 32, 32)), "imagenet": (lambda: Network(AMOEBANET_A, 4, 3, 3, stem="imagenet", n_in=1), (1, 40, 41)),
        "digits201": (lambda: digits201_network(CELL), (1, 8, 8)), "network201": (lambda: network201(CELL, 4, 1, 7), (3, 9, 9)), "CellNet201": (lambda: CellNet201(CELL, 3), (3, 5, 6)), "nothing": (lambda: CellNet201(Cell201(("none",) * 6), 3), (3, 5, 5))}
each_net = pytest.mark.parametrize("name", NETS)


@each_net
def test_networks_are_copied_saved_and_restored(name, tmp_path):
    make, shape = NETS[name]
    torch.manual_seed(0)
    net, x = make(), torch.rand(2, *shape)
    with torch.no_grad(): scores(net, x, True)
    out = scores(net, x)
    other = make()
    torch.save(net.state_dict(), tmp_path / "net.pt")
    other.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True))
    for again in (other, copy.deepcopy(net), pickle.loads(pickle.dumps(net))): assert torch.equal(scores(again, x), out) and same(again.state_dict(), net.state_dict())
    clone = copy.deepcopy(net)
    with torch.no_grad():
        for p in clone.parameters(): p.add_(1)
    assert torch.equal(scores(net, x), out), "a copy shares nothing"


def counted(net, shape):
    "Multiply-adds as torch's own counter has them, where a multiply-add is two operations."
    with torch.no_grad(), FlopCounterMode(display=False) as counter: net(torch.zeros(1, *shape))
    return counter.get_total_flops() // 2


@each_net
def test_counts_agree_with_torchs_own(name):
    make, shape = NETS[name]
    net = make().eval()
    assert count_macs(net, shape) == counted(net, shape) and count_params(net) == sum(math.prod(p.shape) for p in net.parameters())
    assert count_params(net.requires_grad_(False)) == 0


@given(genotypes(3), st.integers(2, 4), st.integers(1, 4), st.sampled_from(["small", "imagenet"]), st.integers(0, 3))
@examples(15)
def test_counts_of_any_genotype_agree_with_torchs_own(genotype, channels, layers, stem, more):
    net = Network(genotype, channels, layers, 3, stem=stem).eval()
    shape = (3, 2**net.halvings + more, 2**net.halvings)
    assert count_macs(net, shape) == counted(net, shape)


@given(cells201, st.integers(2, 5), st.integers(1, 2))
@examples(15)
def test_counts_of_any_cell_agree_with_torchs_own(cell, channels, n):
    for net, shape in ((network201(cell, channels, n).eval(), (3, 7, 9)), (digits201_network(cell, channels).eval(), (1, 8, 8))):
        assert count_macs(net, shape) == counted(net, shape)


def test_a_layer_counts_as_often_as_it_is_used():
    shared = nn.Linear(3, 3, bias=False)
    assert (count_macs(nn.Sequential(shared, shared), (3,)), count_params(nn.Sequential(shared, shared))) == (18, 9)
    assert count_macs(nn.Conv2d(4, 6, 3, groups=2), (4, 5, 5)) == 3 * 3 * 6 * 9 * 2 and count_macs(nn.ReLU(), (3,)) == 0


def snapshot_rng(): return torch.get_rng_state(), np.random.get_state()[1].copy(), np.random.get_state()[2], random.getstate()
def same_rng(state): return torch.equal(state[0], torch.get_rng_state()) and np.array_equal(state[1], np.random.get_state()[1]) and state[2] == np.random.get_state()[2] and state[3] == random.getstate()


class Fails(nn.Module):
    "A network that changes nothing and then fails."
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Dropout(0.5))
    def forward(self, x): raise RuntimeError(f"after {self.body(x).shape}")


LOOKS = {"count_macs": lambda net, shape: count_macs(net, shape), "count_params": lambda net, shape: count_params(net), "naswot": lambda net, shape: naswot(net, torch.rand(6, *shape, generator=torch.Generator().manual_seed(0))),
         "synflow": lambda net, shape: synflow(net, shape)}


def condition(net):
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks), "forward" in vars(m)) for m in net.modules()]
    return [m.training for m in net.modules()], hooks, [p.grad is None for p in net.parameters()], [p.requires_grad for p in net.parameters()], [p.dtype for p in net.parameters()]


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", ["digits201", "network201", "imagenet", "fails"])
def test_looking_at_a_network_leaves_it_as_it_was(look, name):
    make, shape = (Fails, (1, 8, 8)) if name == "fails" else NETS[name]
    net = make()
    for i, m in enumerate(net.modules()): m.training = bool(i % 3)                      # a mixture of modes
    before, state, rng = condition(net), {k: v.clone() for k, v in net.state_dict().items()}, snapshot_rng()
    with torch.random.fork_rng(enabled=name == "fails"):                                 # its dropout draws
        if name == "fails" and look != "count_params":
            with pytest.raises(RuntimeError, match="after"): LOOKS[look](net, shape)
        else:
            first = LOOKS[look](net, shape)
            assert LOOKS[look](net, shape) == pytest.approx(first, rel=1e-9) and math.isfinite(first)
    assert condition(net) == before and same(state, net.state_dict()) and same_rng(rng) and torch.is_grad_enabled()


def test_proxies_against_counting_by_hand():
    torch.manual_seed(0)
    net, x = digits201_network(CELL), torch.as_tensor(digits().train.x[:12])
    signs, hooks = [], [m.register_forward_hook(lambda m, i, o: signs.append((o > 0).flatten(1))) for m in net.modules() if isinstance(m, nn.ReLU)]
    copy.deepcopy(net).train()(x)
    for hook in hooks: hook.remove()
    bits = torch.cat(signs, 1)
    kernel = torch.tensor([[(a == b).sum() for b in bits] for a in bits], dtype=torch.float64)
    assert naswot(net, x) == pytest.approx(torch.linalg.slogdet(kernel)[1].item(), rel=1e-6)
    assert naswot(net, x[[0, 0, 1]]) == -math.inf
    total, plain_net = 0, copy.deepcopy(net).double()
    for name, m in [*plain_net.named_modules()]:
        if isinstance(m, nn.BatchNorm2d): plain_net.get_submodule(name.rpartition(".")[0])._modules[name.rpartition(".")[2]] = nn.Identity()
    with torch.no_grad():
        for p in plain_net.parameters(): p.abs_()
    plain_net(torch.ones(1, 1, 8, 8, dtype=torch.float64)).sum().backward()
    for m in plain_net.modules():
        if isinstance(m, (nn.Conv2d, nn.Linear)) and m.weight.grad is not None: total += (m.weight * m.weight.grad).sum().item()
    assert synflow(net, (1, 8, 8)) == pytest.approx(math.log(total), rel=1e-9)
    sentence(ValueError, lambda: naswot(nn.Linear(2, 2), x))
    sentence(ValueError, lambda: synflow(nn.Sequential(nn.ReLU()), (3,)))


def test_naswot_needs_neither_chance_nor_room_for_an_auxiliary_head():
    torch.manual_seed(0)
    net, x, rng = Network(DARTS_V2, 4, 4, 3, auxiliary=True, drop_path=0.3).eval(), torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0)), snapshot_rng()
    assert naswot(net, x) == naswot(net, x) == naswot(net.train(), x) and same_rng(rng)


def test_training_a_cell_is_repeatable_and_leaves_chance_alone():
    rng = snapshot_rng()
    first, again = [train_digits201(CELL, 1, device="cpu") for _ in range(2)]
    assert same_rng(rng)
    torch.manual_seed(123)
    third, other = train_digits201(CELL, 1, device="cpu"), train_digits201(CELL, 1, seed=1, device="cpu")
    for result in (again, third): assert same(result["network"].state_dict(), first["network"].state_dict()) and result["valid"] == first["valid"] and result["test"] == first["test"]
    assert not same(other["network"].state_dict(), first["network"].state_dict())
    assert (first["params"], first["macs"]) == (count_params(digits201_network(CELL)), count_macs(digits201_network(CELL), (1, 8, 8)))
    assert all(first[part] * 359 == pytest.approx(round(first[part] * 359), abs=1e-3) for part in ("valid", "test"))
    for bad in (GOOD, None, CELL.to_config(), DARTS_V1): refused(lambda: train_digits201(bad, 1, device="cpu"), length=1200)
    for make in (digits201_network, network201):
        for bad in (GOOD, None, 3): sentence(ValueError, lambda: make(bad))


@pytest.mark.parametrize("call", [lambda: operation("sep_conv_4x4", 4), lambda: operation(None, 4), lambda: operation("nor_conv_3x3", 4), lambda: operation201("sep_conv_3x3", 4), lambda: operation201("", 4), lambda: plot_genotype("DARTS_V1"), lambda: plot_genotype(None),
                                  lambda: plot_genotype(DARTS_V1, "middle"), lambda: plot_genotype(CELL, "normal"), lambda: plot_genotype(DARTS_V1, ax=3)])
def test_unknown_operations_and_drawings_are_refused(call): sentence(ValueError, call)


def test_drawings():
    import matplotlib
    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    for cell, part, n in ((PC_DARTS, None, 2), (NASNET_A, "reduce", 1), (CELL, None, 1), (Cell201(("none",) * 6), None, 1)):
        axes = np.atleast_1d(plot_genotype(cell, part))
        assert len(axes) == n
        axes[0].figure.canvas.draw()
        plt.close(axes[0].figure)
    fig, ax = plt.subplots()
    assert plot_genotype(DARTS_V1, "normal", ax=ax) is ax and len(plt.get_fignums()) == 1
    plt.close(fig)


# ---------------------------------------------------------------------------------------------------------------------
# Tables

def little(cells_=ALL201[::3000], name="little"):
    rows = {str(cell): dict(cheap_valid=0.5 + i / 100, cheap_test=0.4, valid=0.8, test=0.7 + i / 100, params=i, macs=2 * i) for i, cell in enumerate(cells_)}
    return CellTable(name, pd.DataFrame.from_dict(rows, orient="index"))


WRONG = [None, [], (), 3, "none", GOOD, CELL, CELL.ops, {}, {"0-1": "none"}, CELL.to_config() | {"0-1": "zero"}, CELL.to_config() | {"0-1": None}, CELL.to_config() | {"0-1": ["none"]}, CELL.to_config() | {"0-1": {}}, CELL.to_config() | {"0-1": math.nan},
         CELL.to_config() | {"lr": 0.1}, {k.replace("-", "_"): v for k, v in CELL.to_config().items()}, darts_space().sample(0), DARTS_V1, dict.fromkeys(EDGES), dict(zip("abcdef", CELL.ops)), CELL.to_config()]


@pytest.mark.parametrize("config", WRONG, ids=lambda c: str(c)[:40])
@pytest.mark.parametrize("method", ["loss", "test_accuracy", "info"])
def test_a_query_for_what_isnt_in_the_table_is_refused(config, method):
    table = little()
    refused(lambda: getattr(table, method)(config), "little", length=1200)
    assert table.loss(ALL201[0].to_config()) == 0.5


def test_a_table_answers_and_isnt_changed_by_who_asks():
    table, config = little(), ALL201[3000].to_config()
    for _ in range(2):
        assert (table.loss(config), table.test_accuracy(config), table.info(config)["params"]) == (pytest.approx(0.49), pytest.approx(0.71), 1)
        info = table.info(config)
        assert json.loads(json.dumps(info)) == info and type(table.loss(config)) is float and type(table.test_accuracy(config)) is float
        info.clear()
    assert table.loss(dict(reversed(config.items()))) == table.loss(config), "the order of the keys says nothing"
    assert table.optimum == table.df.test.max() and "little" in repr(table) and table.space == cell201_space()
    objective = lambda c: (table.loss(c), table.info(c))
    few = Space({edge: Choice(op) for edge, op in config.items()})
    assert minimize(objective, RandomSearch(few), 3, progress=False).best.info["macs"] == 2


def test_incumbents_are_the_best_so_far():
    space = Space({edge: Choice("none", "skip_connect") for edge in EDGES})
    table = little([Cell201.from_config(c) for c in space.grid()])
    found = incumbents(table, RandomSearch(space, 3), 64)
    results = minimize(table.loss, RandomSearch(space, 3), 64, progress=False)
    assert [table.loss(c) for c in found] == results.incumbent.tolist() and found[-1] == results.best.config and all(c in space for c in found)
    assert all(table.loss(c) == min(table._loss.values()) for c in incumbents(table, RandomSearch(space), 64)[-1:])
    try: more = incumbents(table, RandomSearch(space, 3), 70)                           # there are 64
    except ValueError: sentence(ValueError, lambda: incumbents(table, RandomSearch(space, 3), 70))
    else: assert more[:64] == found and len(more) in (64, 70)
    with pytest.raises(ValueError, match="little"): incumbents(table, RandomSearch(darts_space()), 3)


def forget_tables():
    for f in vars(nas).values(): getattr(f, "cache_clear", bool)()


@pytest.fixture
def fresh():
    "Tables are read anew, before and after."
    forget_tables()
    yield
    forget_tables()


ASSET = ROOT / "course_lib" / "assets" / "digits201.csv.gz"


def altered(data, how):
    if how == "empty": return b""
    if how == "truncated": return data[:len(data) // 2]
    if how == "one byte": return data[:-100] + bytes([data[-100] ^ 1]) + data[-99:]
    if how == "longer": return data + b"\0"
    if how == "a web page": return b"<!DOCTYPE html><title>404</title>"
    return gzip.compress(b"cell,seed\n")


HOW = ["empty", "truncated", "one byte", "longer", "a web page", "another table"]


@pytest.mark.parametrize("how", [*HOW, "missing", "a folder"])
def test_a_damaged_table_in_the_package_is_refused(tmp_path, monkeypatch, fresh, how):
    (tmp_path / "assets").mkdir()
    path = tmp_path / "assets" / ASSET.name
    if how == "a folder": path.mkdir()
    elif how != "missing": path.write_bytes(altered(ASSET.read_bytes(), how))
    monkeypatch.setattr(nas.resources, "files", lambda *_: tmp_path)
    for _ in range(2): refused(digits201, "digits201.csv.gz", "install", kind=DataError)
    monkeypatch.undo()
    assert len(digits201().df) == 15_625, "a failure isn't remembered"


def test_the_courses_own_table(monkeypatch):
    table = digits201()
    assert table is digits201() and len(table.df) == 15_625 and table.df.index.is_unique and set(table.df.index) == set(map(str, ALL201))
    assert table.df[["cheap_valid", "cheap_test", "valid", "test"]].stack().between(0, 1).all() and not table.df[["params", "macs", "cheap_valid", "test"]].isna().any().any()
    for column in ("cheap_valid", "test"):
        assert np.allclose((table.df[column] * 359).round(), table.df[column] * 359, atol=1e-6) and (table.df.groupby("unique")[column].nunique() == 1).all()
    assert table.df.unique.nunique() == 6466 and table.repeats.shape[0] == 1000
    for cell in random.Random(5).sample(ALL201, 20):
        net, info = digits201_network(cell), table.info(cell.to_config())
        assert (info["params"], info["macs"]) == (count_params(net), count_macs(net, (1, 8, 8)))
        assert table.loss(cell.to_config()) == pytest.approx(1 - table.df.cheap_valid[str(cell)], abs=1e-6) and table.test_accuracy(cell.to_config()) == table.df.test[str(cell)]
    for config in WRONG[:-1]: refused(lambda: table.loss(config), "digits201", length=1200)
    text = table.df.to_csv() + repr(table) + str(table.source)
    assert "/tmp" not in text and f"{os.sep}home{os.sep}" not in text


@pytest.mark.parametrize("dataset", ["mnist", "", "CIFAR10", "imagenet", None, 3, ["cifar10"], 10.0])
def test_an_unknown_dataset_is_refused(dataset, homes, no_network):
    assert "cifar10, cifar100" in sentence(ValueError, lambda: nasbench201(dataset)) and not no_network


# Five rows as pandas 1.0.5, 1.1.5 and 1.3.5 pickled them (to_pickle, Python 3.7, 3.8, 3.9), compressed
PICKLED = {
    "1.0.5": ("c-obfUr!T35Wst-t>s@Vi9~rJnkbe(o;^Y3L8StsaIqx3lgswHbT3@5&D|bCQV>nRnCycI>v!;D_>qiXKxc2KgtnmJ9{Ssv*_pYS?#>-&zW>Ojl1GfSNKhk@={7@Z?u4X4r5Ic#oUA45GdcZ99?GJ~"
              "IyF#AF?n&n7jPN|#E;Ad2}qrWkrX4#e$(B3uVw9D+=c*mx*cnDpGIbtM38UD3FrrBUFpDq4U24NtukkH;_)DEv<|d;BlfvR!jK$5J}0DZGl+N?yBu6ZHrXh}4M>-4Ig@tkM6MWB`9*HYqHWmu6UoL!"
              "w#E-yszj0AT!cNgq3r|0Xv<2avhfF=<i}p(vien3ks+bWAht_=A5ubk*V`eXReHo}#HASSh<n7BVicv0b>v*uX0HKF3MlWG&t+w%kW*v=^)FQ7Q+P8rDkd&#Vn~9z>f)B-h0ZavBC-)DA&25bCgRPO"
              "w6khKVPPaODHO$SvD>OcY@*YjoSi+DY*M6mdiwIBr!Ohhmz7`oEd5;4{EalqnuD6h1<mq(<P@@qoI%cM-d#XGMLt75M=l~?A(u1@WzBEM!fWIz>XC&vC?gAN$aT~s3mYgS3wBvT+5KHJI$iU+y2h3-"
              ">sc{{kAX}h2ap-$zjED6&ZN^Odv&MPZ2Hdp{`^s?J=+eNp#zs<&$0F`P(-_4OUVIs`H}Tsdzbj6EyZJS2q;EQ7746AIf3%n><*$ldldZ<@Rd{zR(DA{V%Lt+m7Z5+>Z|H)ZyT-~u~V(OsmVneWjEEm"
              "8@uF2o#4O49<m~vW;1M-%_%>)q<Fcn^fl0zJs{U~n7Zgd52eVJOl!fk^jsw{JR}<uxvHAjk%YHX`Wy_OSXo|*e4`#ZV1%)ruf`q>-2j%^$oE_|H|?~Y*T+0oZ*s)mv5)MtI{IDOtwd|UZmp$pl#Dh9"
              "#xHzq)OhcFc$^01B$@ZykcV&%Uz9@`SIxhuVL|K"),
    "1.1.5": ("c-obfTTc@~6o9*>TgxpLBT-(6CW_0&+7(nDR4UiN#**+(Hq-62vtcjI?kqx55KTZy=D~!KU*m&6$@mBK%<Po3ATjL2esj*5GiT0R&K&9Af8;arV<RmT)KOe=!U&fd5%Mu-{mY1=RoOn{lb`qjH(1X0"
              "n-OQ@-QC@Q;wV5~T=G$XnmCF%8(Q>2XXkw?r|!l!_}}k!tm8c#mue`6a07OLKiKO+2M%PA>7BL=T!+bUHX0;;Yd>}O6OXzmiqJm9vm@+;K}@5>q2R)F*^#qb5KeYE<5uRFFKIRYg>P}g(yYQUC!<WS"
              ")BTpnkYzXL`RUix+Q+muuU4xYf8dipYk~6GsmLLRB8R}p4)#0<2*Dk<fg-c~l;W6jHrNq&k;mDvk~-F*3pq8rJ}gmyX~%pa3p0k8EEk9^s3s>cGcwG^{<VY=3YuaKw*<S^jg+cPk12{Mq|b6O4O`sO"
              "MFT@alVf6$)Sa${g(i+%2Qsl6QRvr_Mni6*asDgQ{ry}>`CCz|r0h?5R7_cUq&T5yC{8KPq<k=^_(Jie;w!~@#kYzJDT|eq-xQ1Q6ql7=vACjS#p0^sy3#8aH<YYcv?`p8vuva1c)Y%JJTkCVR^HN2"
              "IMbFm6?^r@I5#rApQe~q>{HAs%0O;cAhP(6Fq#NMR%DR7<eoU#WUO<nQ{zK<RP8p}ZQ89c^z7Na*~4;sx*dd(4L4=iHup?W#5-<F$N_ffq4{5XkNCXJ*)wnmuo_u5B+M(agz(tx9YlCuQd}KDO-bZn"
              "_NJ7M*wdqYt><--u4J`#c^PgxVkcX1fyMnI!{oNOjw4t1D}StZi##C)nIuzWn#>44xV!4kU+b$WU-B5;&|#w60UvOdFPF@@l9?7;1T}?|0hX_cG9Gi7ozUl@CMCkM#tQHb*kFWOU#KN6RN?@ddhEH5"
              "D5h4{Dp;C`nuwVkl1=iFe6})T3SHVQsnwu&s>MkxE1nHC86F@}^E;1`?PH4MBd`r|5T)?U9Pp%8`U`h%OJx"),
    "1.3.5": ("c-obfTTc@~6vw-z1u94?iHgP$O$;esDitq07%6fwu(2e(8nT&gXFD7Amf2Y@NkM$zmdt~RBcI2QWc&hpW_BuFE+KBx{^rc(?3_7g|Fd8G@ufef9)2rAK?}uIJEXYkP~>C5OACmhCDr~eCclbZQQ-y4"
              "Z&Sg?d#Aer!!$r%T=h|a+L*?I4}b7Nd*f4T!*X77lE7wR=)vGXgeY^7C;J~<?x`u4!_-oMw=8AA<O8uLDr97GSMWm6a(!Xu;|3E=J{lx`w3GUPCZ?_}_>kq$&~GM=qjpd^t>m(gp_$k0(=2ETUQ~X8"
              "Ew&TMQ{Z`bMw}cU$&HwO+;}G%jmF9!c+{VngWZ^hSv(Znm=_GD@xf-|ddv+Vm}2a?wsd3WV3Hxd9Kw$bk&&~|$f%Br+^L-Y%53=OY|7u7Mm=RI<$gJ3{juhRW<~Rf=ChO!UunM9e53hRb4K&M=4{Gx"
              "J>@se@|@;^?$<0YYFo3sq`9p7HOnj7)-0QKLGJUs({t2h{E~z2mj_KA$zvuHX5JjU_DuQho=Wi($P1zrL57DditR9n8BJ^k86snR0P0c=%6uJ&d7~-P%@}Eh<rY^n)zCRt4YTmZlXduNtPa|2TM<;h"
              "HN8E(H`RIC2|{YY3pcIWb`3h>4L6c@fNi!{yLLQdzU&D80u}^VdsYpF+67xdu2{`Fkt@%2T=bx~Bx9&$LrOhnW=vhV@~Ssoi0b3{WB6Z>-Dt7=o+cn~`Lhx^5;8SoS^a6@Z4ByzV$i=EmK2|5*(WRF"
              "GcR`AN(oz_j)KgQd08D~v0EF1V3;cF1w?HEYG-55gTjI$vt0+#+SGG~V+I1%H8(*D`AuzgM~DB}>9FgAlm?h}hyU4fSjGpMD5biQsQO>$_b!W!qM$89Ta)YwheQpKCkDC<#m);c3nO6`WdlRQP(HEz"
              "gBt*}5QJHV-@Pa-A2X!RV;xiuF$Pxvh;+Z@c&M$Kcai6XTd~zjBG5p@u;rm9hRfhMPMX!f--$gM"),
}
FIVE = ["|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|", "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
        "|skip_connect~0|+|skip_connect~0|none~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|", "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|",
        "|nor_conv_1x1~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|none~2|"]
SHORT = pd.DataFrame(dict(arch=range(5), cellstr=FIVE, **{name: [10*k + i + 0.125 for i in range(5)] for k, name in enumerate(["cifar10-test", "cifar10-val", "cifar100-test", "cifar100-val", "imagenet-test", "imagenet-val"])}))
FULL = pd.DataFrame(dict(ArchitectureString=FIVE, CIFAR10TestAccuracy200Epochs=[91.5, 10.0, 93.25, 92.125, 90.0], CIFAR100TestAccuracy200Epochs=[71.5, 1.0, 73.25, 72.125, 70.0], ImageNetTestAccuracy200Epochs=[41.5, 0.83, 43.25, 42.125, 40.0]))
each_pandas = pytest.mark.parametrize("version", PICKLED)


def pickled(version): return zlib.decompress(base64.b85decode(PICKLED[version]))


def read(tmp_path, data):
    (tmp_path / "table.pd").write_bytes(data)
    return nas._read_pickled_frame(tmp_path / "table.pd")


@each_pandas
def test_a_table_that_an_old_pandas_pickled_is_read(tmp_path, version): pd.testing.assert_frame_equal(read(tmp_path, pickled(version)), SHORT, check_index_type=False)


@each_pandas
def test_a_pickled_table_cut_anywhere_is_refused(tmp_path, version):
    data = pickled(version)
    for n in range(0, len(data), 1 if os.environ.get("ALL") else 7): refused(lambda: read(tmp_path, data[:n]), kind=DataError)


class Calls:
    "Unpickled, it calls a function."
    def __init__(self, function, *arguments): self.called = function, arguments
    def __reduce__(self): return self.called


class Named:
    "Pickled as the global that its name says, which need not exist here."
    def __init__(self, module, name): self.module, self.name = module, name


class Pickler(pickle._Pickler):
    "Pickles `Named` as a global, in the way of the older protocols or of the newer ones."
    def save(self, obj, save_persistent_id=True):
        if not isinstance(obj, Named): return super().save(obj, save_persistent_id)
        if self.proto >= 4: self.save(obj.module), self.save(obj.name), self.write(pickle.STACK_GLOBAL)
        else: self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())


def packed(obj, protocol):
    out = io.BytesIO()
    Pickler(out, protocol).dump(obj)
    return out.getvalue()


def call(protocol, module, name, *arguments):
    "A pickle that calls module.name(*arguments)."
    head = pickle.PROTO + bytes([protocol])
    body = packed(Named(module, name), protocol)[len(head) if protocol >= 2 else 0:-1]
    if protocol >= 4: body = body[9:]  # without the frame
    plain_arguments = pickle.dumps(arguments, 2)[2:-1]
    return (head if protocol >= 2 else b"") + body + plain_arguments + pickle.REDUCE + pickle.STOP


GADGETS = [("os", "system", "touch {ran}"), ("posix", "system", "touch {ran}"), ("nt", "system", "touch {ran}"), ("builtins", "eval", "open({ran!r}, 'w')"), ("builtins", "exec", "open({ran!r}, 'w')"), ("builtins", "open", "{ran}", "w"), ("__builtin__", "eval", "open({ran!r}, 'w')"),
           ("builtins", "getattr", "a", "upper"), ("builtins", "__import__", "antigravity"), ("subprocess", "getoutput", "touch {ran}"), ("subprocess", "Popen", "{ran}"), ("importlib", "import_module", "antigravity"), ("runpy", "run_path", "{ran}"),
           ("functools", "reduce", "a"), ("operator", "methodcaller", "system", "touch {ran}"), ("operator", "attrgetter", "system"), ("pickle", "loads", b"N."), ("numpy", "load", "{ran}"), ("numpy", "savetxt", "{ran}", [1]), ("numpy", "fromfile", "{ran}"), ("numpy.testing._private.utils", "runstring", "open({ran!r}, 'w')", {}),
           ("numpy.core.multiarray", "fromfile", "{ran}"), ("numpy._core.multiarray", "_reconstruct", 1), ("numpy.lib.npyio", "load", "{ran}"), ("numpy", "ndarray.tofile", "{ran}"), ("numpy", "os.system", "touch {ran}"), ("numpy.core.multiarray", "_reconstruct.__globals__"),
           ("pandas.core.frame", "DataFrame.to_csv", "{ran}"), ("pandas.core.frame", "DataFrame.eval", "a"), ("pandas", "eval", "1"), ("pandas", "read_pickle", "{ran}"), ("pandas.io.pickle", "read_pickle", "{ran}"), ("pandas.core.computation.eval", "eval", "1"), ("pandas.core.frame", "os.system", "touch {ran}"),
           ("pandas.core.internals.managers", "BlockManager.__init__.__globals__"), ("torch", "load", "{ran}"), ("course_lib.nas", "pickle.loads", b"N."), ("course_lib.nas", "_Inert"), ("shutil", "rmtree", "{ran}"), ("webbrowser", "open", "http://127.0.0.1:9"), ("timeit", "timeit", "open({ran!r}, 'w')"), ("code", "InteractiveInterpreter"),
           ("functools", "partial.__reduce__"), ("functools", "wraps", 1), ("copyreg", "__newobj__", 1), ("builtins", "slice.__class__")]


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("gadget", GADGETS, ids=lambda g: ".".join(g[:2]))
def test_code_in_a_pickled_table_is_refused_and_not_run(tmp_path, gadget, protocol):
    module, name, *arguments = gadget
    arguments = [a.format(ran=str(tmp_path / "ran")) if isinstance(a, str) else a for a in arguments]
    message = refused(lambda: read(tmp_path, call(protocol, module, name, *arguments)), kind=DataError)
    if "." not in name: assert f"{module}.{name}" in message
    assert files(tmp_path) == [tmp_path / "table.pd"]


def test_the_gadgets_would_work(tmp_path):
    for protocol in (0, 2, 4):
        (tmp_path / "ran").unlink(missing_ok=True)
        pickle.loads(call(protocol, "builtins", "exec", f"open({str(tmp_path / 'ran')!r}, 'w').close()"))
        assert (tmp_path / "ran").exists()


INSIDE = {"partial of eval": lambda ran: partial(eval, f"open({ran!r}, 'w')"), "partial called": lambda ran: Calls(partial(eval, f"open({ran!r}, 'w')")),
          "in a frame's attributes": lambda ran: _with_attrs(Calls(os.mkdir, ran)), "in a cell": lambda ran: pd.DataFrame(dict(a=[Calls(os.mkdir, ran)])), "in a list": lambda ran: [1, {"a": (Calls(os.mkdir, ran),)}],
          "in an array": lambda ran: np.array([Calls(os.mkdir, ran)], dtype=object), "in the state of an array": lambda ran: Calls(eval, f"open({ran!r}, 'w')")}


def _with_attrs(value):
    frame = pd.DataFrame(dict(a=[1]))
    frame.attrs["note"] = value
    return frame


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("where", INSIDE)
def test_code_deep_inside_is_refused_and_not_run(tmp_path, where, protocol):
    refused(lambda: read(tmp_path, pickle.dumps(INSIDE[where](str(tmp_path / "ran")), protocol)), kind=DataError)
    assert files(tmp_path) == [tmp_path / "table.pd"] and not (tmp_path / "ran").exists()


@each_pandas
def test_code_put_into_a_good_table_is_refused_and_not_run(tmp_path, version):
    "After any of its opcodes, a call whose result is dropped."
    data, ran = pickled(version), str(tmp_path / "ran")
    payload = b"cbuiltins\nexec\n" + pickle.dumps((f"open({ran!r}, 'w')",), 2)[2:-1] + b"R0"
    places = [position for op, _, position in pickletools.genops(data) if position and op.name not in ("FRAME", "PROTO")]
    for at in places[::7]:
        head = data[:at].replace(data[2:11], b"", 1) if data[2:3] == pickle.FRAME else data[:at]  # a frame of another length would be refused for that
        refused(lambda: read(tmp_path, head + payload + data[at:]), kind=DataError)
        assert not os.path.exists(ran)


@pytest.mark.parametrize("thing", [3, None, "text", [1, 2], {"a": 1}, {"_mgr": 1}, np.arange(3), np.array(["a", None], dtype=object), slice(3), pd.DataFrame(dict(a=[1])), pd.Series([1]), pd.Index([1]), Calls(slice, 1, 2), Counter("aab"), 1j, DARTS_V1], ids=lambda w: repr(w)[:20])
def test_a_pickle_of_something_else_is_refused(tmp_path, thing):
    for protocol in (0, 2, 4, 5):
        message = refused(lambda: read(tmp_path, pickle.dumps(thing, protocol)), kind=DataError)
        assert "get it again" in message


@pytest.mark.parametrize("data", [b"", b".", b"\0" * 100, b"<!DOCTYPE html>", b"a,b\n1,2\n", gzip.compress(b"hello"), b"PK\3\4" + bytes(50), b"N.", b"\x80\xff.", b"(" * 1000, b"0.", b"}.", b"]\x94" * 5000 + b"a" * 4999 + b".", b"P1\n.", b"\x82\x01."], ids=lambda d: repr(d[:12]))
def test_a_file_that_isnt_a_pickle_is_refused(tmp_path, data): refused(lambda: read(tmp_path, data), kind=DataError)


def test_bytes_arent_taken_for_objects(tmp_path):
    "Arrays of objects made from the file's own bytes would be pointers of its choice: whoever looks at them may crash, or worse. In processes of their own."
    code = """import os, pickle, sys, numpy as np
from course_lib import nas
class Calls:
    def __init__(self, *called): self.called = called
    def __reduce__(self): return self.called
address, text = sys.argv[1], b"A" * 8
flagless = Calls(np.dtype, ("V8", False, True), (3, "|", None, ("f0",), {"f0": (np.dtype("O"), 0)}, 8, 1, 0))
made = dict(ndarray=Calls(np.ndarray, ((1,), np.dtype("O"), text)), flagless=Calls(np.ndarray, ((1,), flagless, text)), frombuffer=Calls(np.frombuffer, (text, np.dtype("O"), (1,), "C")))
for which, thing in made.items():
    data = pickle.dumps(thing, 3).replace(b"numpy._core", b"numpy.core").replace(b"cnumpy\\nfrombuffer", b"cnumpy.core.numeric\\n_frombuffer")
    open(address, "wb").write(data)
    if not (child := os.fork()):
        try: repr(nas._FrameUnpickler(open(address, "rb")).load())
        except Exception: pass
        os._exit(0)
    if status := os.waitpid(child, 0)[1]: print(which, "ended with", status)
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "table.pd"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr[-500:]


@each_pandas
def test_a_pickled_table_with_other_bytes_is_a_table_or_refused(version, tmp_path):
    @given(st.data())
    @examples(60)
    def check(data):
        content = bytearray(pickled(version))
        for _ in range(data.draw(st.integers(1, 3))):
            i = data.draw(st.integers(0, len(content) - 1))
            content[i] = data.draw(st.sampled_from([content[i] ^ 1, content[i] ^ 128, 0, 255, ord("R"), ord("b"), ord("0")]))
        try: frame = read(tmp_path, content)
        except DataError: refused(lambda: read(tmp_path, content), kind=DataError)
        else: assert isinstance(frame, pd.DataFrame)
    check()


@given(st.permutations(range(5)), st.permutations(range(5)))
@examples(20)
def test_two_published_files_are_merged_in_any_order_of_rows(first, second):
    merged = nas._merge201(SHORT.iloc[list(first)], FULL.iloc[list(second)])
    expected = nas._merge201(SHORT, FULL)
    pd.testing.assert_frame_equal(merged.loc[FIVE], expected.loc[FIVE], check_names=False)
    assert expected.loc[FIVE[2]].to_dict() == dict(cifar10_valid_12ep=12.125, cifar10_test_12ep=2.125, cifar100_valid_12ep=32.125, cifar100_test_12ep=22.125, imagenet16_valid_12ep=52.125, imagenet16_test_12ep=42.125,
                                                   cifar10_test_200ep=93.25, cifar100_test_200ep=73.25, imagenet16_test_200ep=43.25)


@pytest.fixture
def published(homes, server, monkeypatch, fresh):
    "The two published files, small ones, served here; by part, how the server behaves (see test_transfer.py)."
    content = dict(short=pickled("1.1.5"), full=FULL.iloc[::-1].to_csv(index=False).encode())
    sources = dict(short="_short201", full="_full201")
    def serve(**how):
        for part, name in sources.items():
            source = getattr(nas, name)
            SERVED[source.file] = content[part]
            digest = "sha256:" + hashlib.sha256(content[part]).hexdigest()
            monkeypatch.setattr(nas, name, source._replace(digest=digest, url=f"{server}/{how.get(part, 'whole')}/{source.file}"))
    yield homes, serve, content
    SERVED.clear()


def test_the_published_table_is_downloaded_once_and_merged(published, no_network, monkeypatch):
    homes, serve, content = published
    serve()
    no_network.clear()
    monkeypatch.setattr("socket.getaddrinfo", _loopback)
    table = nasbench201("cifar100")
    assert len(table.df) == 5 and sorted(p.read_bytes() for p in files(homes)) == sorted(content.values())
    config = Cell201.from_str(FIVE[3]).to_config()
    assert (table.loss(config), table.test_accuracy(config)) == (pytest.approx(1 - 0.33125), pytest.approx(0.72125)) and table.optimum == pytest.approx(0.7325)
    assert "nasbench201" in sentence(ValueError, lambda: table.loss(CELL.to_config()))
    serve(short="404", full="404")
    forget_tables()
    assert nasbench201().test_accuracy(config) == pytest.approx(0.92125) and nasbench201("imagenet16-120").test_accuracy(config) == pytest.approx(0.42125)


def _loopback(host, port, *args, **kwargs):
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


@pytest.mark.parametrize("part", ["short", "full"])
@pytest.mark.parametrize("how", ["404", "nonsense", "chunks", "breaks", "page"])
def test_a_download_that_breaks_off_or_is_something_else_leaves_nothing(published, part, how):
    homes, serve, content = published
    serve(**{part: how})
    refused(nasbench201, kind=DataError)
    other = {"short": [], "full": [content["short"]]}[part]
    assert [p.read_bytes() for p in files(homes)] == other, "what was good is kept, what was bad isn't"
    serve()
    assert len(nasbench201().df) == 5, "a failure isn't remembered"


@pytest.mark.parametrize("how", HOW)
def test_damaged_files_in_the_cache_are_downloaded_again(published, how):
    homes, serve, content = published
    serve()
    for part, source in (("short", nas._short201), ("full", nas._full201)): (homes / "cache" / source.file).write_bytes(altered(content[part], how))
    assert len(nasbench201().df) == 5 and sorted(p.read_bytes() for p in files(homes)) == sorted(content.values())


@pytest.mark.parametrize("which", ["_merged201", "_short201", "_full201"])
@pytest.mark.parametrize("how", HOW)
def test_damaged_files_of_the_readers_own_are_refused_and_kept(published, which, how):
    homes, serve, content = published
    serve()
    source = getattr(nas, which)
    path = homes / "data" / source.file
    path.write_bytes(altered(bytes(range(256)) * 20, how))
    refused(nasbench201, source.file, kind=DataError)
    assert path.exists()


def test_a_hostile_file_whose_digest_fits_is_refused_all_the_same(published):
    homes, serve, content = published
    content["short"] = call(4, "os", "mkdir", str(homes / "ran"))
    serve()
    refused(nasbench201, "os.mkdir", kind=DataError)
    assert not (homes / "ran").exists()


def test_without_a_network_the_remedy_is_named(homes, no_network, fresh):
    refused(nasbench201, "COURSE_DATA", kind=DataError)
    assert no_network and not files(homes)


@needs_data
def test_the_published_table():
    raw = pd.read_csv(Path(os.environ["COURSE_DATA"], "nasbench201.csv.gz"))
    assert all(Cell201.from_str(arch).unique == unique for arch, unique in zip(raw.arch, raw.unique)) and raw.arch.nunique() == 15_625 and raw.unique.nunique() == 6466
    for dataset, name, best in (("cifar10", "cifar10", 0.9437), ("cifar100", "cifar100", 0.7351), ("imagenet16-120", "imagenet16", 0.4731)):
        table = nasbench201(dataset)
        assert len(table.df) == 15_625 and table.optimum == pytest.approx(best, abs=5e-5) and dataset in table.name
        for row in raw.sample(200, random_state=1).to_dict("records"):
            config = Cell201.from_str(row["arch"]).to_config()
            assert table.loss(config) == pytest.approx(1 - row[f"{name}_valid_12ep"] / 100, abs=1e-6) and table.test_accuracy(config) == pytest.approx(row[f"{name}_test_200ep"] / 100, abs=1e-6)
    config = Cell201(("skip_connect",) * 6).to_config()
    assert nasbench201().test_accuracy(config) == pytest.approx(0.5430, abs=5e-5)
    info = nasbench201("cifar100").info(CELL.to_config())
    net = network201(CELL, n_out=100)
    assert (info["params"], info["macs"]) == (count_params(net), count_macs(net, (3, 32, 32)))


# ---------------------------------------------------------------------------------------------------------------------
# Searches

SEARCHES = dict(
    RegularizedEvolution=lambda space, seed=0: RegularizedEvolution(space, seed, population=4, sample=2),
    Reinforce=lambda space, seed=0: Reinforce(space, seed),
    ReinforceLSTM=lambda space, seed=0: ReinforceLSTM(space, seed, hidden=8),
    LocalSearch=lambda space, seed=0: LocalSearch(space, seed),
    PredictorSearch=lambda space, seed=0: PredictorSearch(space, seed, n_startup=4, every=3, n_members=4, n_candidates=20),
)
each_search = pytest.mark.parametrize("name", SEARCHES)
RICH_FINITE = Space(c=Choice("a", "b", None), x=Int(1, 1000, log=True, when=dict(c=["a", "b"])), y=Choice(*(i / 20 for i in range(21))), k=Int(1, 5, when=dict(c="a")))
SMALL = Space(c=Choice("a", "b", "c"), k=Int(1, 3, when=dict(c=["a", "b"])), z=Constant(7))
JOINT = Space({edge: Choice(*OPS_201) for edge in EDGES}, lr=Int(1, 9, log=True), n=Int(1, 4, when={"0-1": "none"}))
def reinforced(name): return name.startswith("Reinforce")
def among(name): return st.one_of(spaces(finite=True), st.just(RICH_FINITE), st.just(JOINT)) if reinforced(name) else spaces()
def rich(name): return RICH_FINITE if reinforced(name) else RICH


@each_search
def test_what_is_asked_is_in_the_space_and_new(name): check_asked(SEARCHES[name], among(name), rich(name), 20)


@each_search
def test_a_finite_space_is_tried_whole_whatever_is_forgotten_on_the_way(name): check_whole(SEARCHES[name])


@each_search
def test_a_search_cut_anywhere_goes_on_as_if_nothing_had_happened(name, tmp_path): check_cut(SEARCHES[name], tmp_path / "journal", among(name), rich(name), 8)


@each_search
def test_failures_dont_stop_or_poison_a_search(name):
    along = Choice(*(i / 20 for i in range(21))) if reinforced(name) else Float(0, 1)
    check_failures(SEARCHES[name](Space(x=along, y=along), 3), 0.02)


@each_search
@pytest.mark.parametrize("loss", [0.0, 1.0, -1e308, 1e308])
def test_a_search_in_which_all_is_the_same_goes_on(name, loss): check_flat(SEARCHES[name](rich(name)), loss)


@each_search
def test_a_search_in_which_everything_fails_ends(name): check_hopeless(SEARCHES[name](Space(x=Int(0, 20), c=Choice("a", "b"))))


@each_search
def test_a_trial_is_told_once_and_only_if_it_was_asked_for(name): check_told_once(SEARCHES[name](Space(x=Int(0, 9))))


@each_search
def test_a_search_that_was_replayed_goes_on_in_the_same_way(name):
    @given(among(name), seeds, st.integers(1, 4), st.integers(0, 20))
    @examples(10)
    def check(space, seed, workers, cut):
        def loss(trial): return objectives.luck(trial.config)
        first, again = SEARCHES[name](space, seed), SEARCHES[name](space, seed)
        for _ in run(first, np.random.default_rng(seed), cut, workers, loss=loss): pass
        for trial in first.history.told: again.replay(trial)
        for trial in first.history.running: first.forget(trial)
        ours, theirs = [[t.config for t in run(o, np.random.default_rng(seed + 1), 12, workers, loss=loss)] for o in (first, again)]
        assert ours == theirs
    check()


@each_search
def test_the_same_seed_gives_the_same_trials_and_another_seed_others(name):
    def asked(seed): return [t.config for t in run(SEARCHES[name](JOINT, seed), np.random.default_rng(0), 25)]
    rng = snapshot_rng()
    assert asked(0) == asked(0) != asked(1) and same_rng(rng)
    for seed in (-1, 1.5, "a", None): sentence(ValueError, lambda: SEARCHES[name](JOINT, seed))
    assert asked(np.int64(3)) == asked(3) and asked(2**70)


@each_search
def test_a_persons_suggestions_come_first(name):
    optimizer = SEARCHES[name](SMALL)
    suggested = [dict(c="c", z=7), dict(c="a", k=2, z=7), dict(c="c", z=7)]
    optimizer.enqueue(*suggested)
    assert [optimizer.ask().config for _ in range(2)] == suggested[:2] and optimizer.ask().config not in suggested
    sentence(ValueError, lambda: optimizer.enqueue(dict(c="c", k=1, z=7)))
    results = minimize(lambda c: c["k"], SEARCHES[name](SMALL), 5, start=suggested[1:2], progress=False)
    assert results.trials[0].config == suggested[1]


@each_search
@pytest.mark.parametrize("space", [Space(), Space(a=Constant(1)), Space(a=Choice("x"), b=Int(3, 3, when=dict(a="x")))], ids=["empty", "constant", "one of each"])
def test_a_space_with_one_configuration(name, space):
    results = minimize(lambda config: 1.0, SEARCHES[name](space), 5, progress=False)
    assert len(results) == 1 and results.stopped == "done" and results.best.config == space.sample(0)


@each_search
def test_a_finite_space_ends(name):
    results = minimize(lambda config: config.get("k", 0), SEARCHES[name](SMALL), progress=False)
    assert len(results) == SMALL.size == 7 and results.stopped == "done" and SEARCHES[name](SMALL).total == 7


@each_search
def test_a_search_describes_itself(name):
    optimizer = SEARCHES[name](SMALL, 5)
    said = optimizer.describe()
    assert json.loads(json.dumps(said)) == said and said["name"] == name and said["seed"] == 5
    assert set(said) == {"name", *inspect.signature(type(optimizer)).parameters} - {"space"}
    defaults = globals()[name](SMALL).describe()
    assert defaults != said and {k: v.default for k, v in inspect.signature(type(optimizer)).parameters.items() if k not in ("space", "seed")} == {k: v for k, v in defaults.items() if k not in ("name", "seed")}


@each_search
def test_a_search_serves_a_scheduler(name):
    scheduler = Hyperband(JOINT, max_budget=9, sampler=SEARCHES[name](JOINT))
    asked = list(run(scheduler, np.random.default_rng(1), 60))
    assert all(t.config in JOINT for t in asked) and any(t.parent is not None for t in asked) and scheduler.describe()["sampler"]["name"] == name


@each_search
def test_a_search_in_threads(name):
    with ThreadPoolExecutor(4) as pool: results = minimize(lambda c: len(c["0-1"]) + c["lr"], SEARCHES[name](JOINT), 40, executor=pool, progress=False)
    assert len({json.dumps(t.config) for t in results.trials}) == 40


def bowl(config): return sum((op != "nor_conv_3x3") + 0.1 * OPS_201.index(op) for op in config.values())


@each_search
def test_a_search_learns(name):
    "On a sum over the edges, with published settings, each does better than chance."
    make = dict(RegularizedEvolution=lambda seed: RegularizedEvolution(cell201_space(), seed, population=10, sample=3), PredictorSearch=lambda seed: PredictorSearch(cell201_space(), seed, n_members=8)).get(name, lambda seed: globals()[name](cell201_space(), seed))
    def mean(make): return np.mean([minimize(bowl, make(seed), 150, progress=False).best.loss for seed in range(3)])
    assert mean(make) < mean(lambda seed: RandomSearch(cell201_space(), seed)) - 0.5


@pytest.mark.parametrize("make", [Reinforce, ReinforceLSTM])
def test_a_policy_wants_values_that_can_be_listed(make):
    for space in (Space(lr=Float(0, 1)), Space(c=Choice(1, 2), lr=Float(0, 1, when=dict(c=2))), Space(lr=Int(1, 10**9))):
        assert "lr" in sentence(ValueError, lambda: make(space))


BAD = dict(RegularizedEvolution=[dict(population=0), dict(population=-3), dict(sample=0)], Reinforce=[dict(lr=0), dict(lr=-1), dict(lr=math.nan), dict(lr=math.inf), dict(decay=1), dict(decay=-0.1), dict(decay=math.nan)],
           ReinforceLSTM=[dict(lr=0), dict(decay=1), dict(hidden=0), dict(hidden=-1)], LocalSearch=[dict(step=0), dict(step=-0.1), dict(step=1.5), dict(step=math.nan)],
           PredictorSearch=[{name: bad} for name in ("n_startup", "every", "n_members", "n_candidates", "n_best") for bad in (0, -1)])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name, bad", [(name, bad) for name, all_ in BAD.items() for bad in all_], ids=str)
def test_impossible_arguments_of_a_search_are_refused(name, bad): assert next(iter(bad)) in sentence(ValueError, lambda: globals()[name](cell201_space(), **bad))


@given(spaces(), seeds)
@examples(80)
def test_a_mutation_changes_one_decision(space, seed):
    rng = np.random.default_rng(seed)
    config = space.sample(rng)
    before = dict(config)
    for _ in range(4):
        child = mutate(space, config, rng)
        assert child in space and config == before and child is not config
        assert len(changes(space, child, config)) == any(space[name].size > 1 for name in config)
    assert mutate(space, config, np.random.default_rng(1)) == mutate(space, config, np.random.default_rng(1))


def test_evolution_forgets_the_old_and_a_child_has_a_parent_among_the_living():
    optimizer, told = RegularizedEvolution(cell201_space(), 0, population=8, sample=8), []
    for n in range(60):
        trial = optimizer.ask()
        if n >= 8:
            alive = told[-8:]
            assert any(sum(trial.config[e] != t.config[e] for e in EDGES) == 1 for t in alive), "a child differs from one of the living in one edge"
        optimizer.tell(trial, float(n))                                                 # the first would live for ever if the oldest didn't die
        told.append(trial)


def test_a_policys_score_is_the_gradient_of_its_log_probability():
    optimizer = Reinforce(SMALL)
    optimizer.logits = np.where(np.isfinite(optimizer.logits), np.random.default_rng(0).normal(size=optimizer.logits.shape), -np.inf)
    for config in SMALL.grid():
        logits = torch.tensor(optimizer.logits, requires_grad=True)
        taken = [(d, list(SMALL[name].values()).index(config[name])) for d, name in enumerate(SMALL) if name in config]
        sum(logits[d].log_softmax(0)[k] for d, k in taken).backward()
        assert np.allclose(optimizer.score(config), np.nan_to_num(logits.grad.numpy()), atol=1e-12)
    lstm = ReinforceLSTM(SMALL, hidden=8)
    with torch.no_grad():
        for p in lstm.controller.parameters(): p.normal_(0, 0.5, generator=torch.Generator().manual_seed(p.numel()))
    assert sum(lstm.log_prob(config).exp().item() for config in SMALL.grid()) == pytest.approx(1, abs=1e-5)
    drawn = Counter(json.dumps(c) for c in lstm._draw(4000, np.random.default_rng(0), 1))
    for config in SMALL.grid(): assert abs(drawn[json.dumps(config)] / 4000 - lstm.log_prob(config).exp().item()) < 0.04


# ---------------------------------------------------------------------------------------------------------------------
# Imports

def test_importing_loads_no_more_than_it_needs():
    heavy = ["fastai", "fastprogress", "matplotlib", "networkx", "IPython"]
    code = f"""import sys
import course_lib.cells
print("cells", *(m for m in {[*heavy, "sklearn", "pandas"]!r} if m in sys.modules))
import course_lib.nas
print("nas", *(m for m in {heavy!r} if m in sys.modules))"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "cells\nnas\n"
