"Published weights that are broken, hostile or fed wrongly; what a recipe moves and what it leaves; rates that rise and fall once."

import copy
import hashlib
import json
import math
import os
import pickle
import random
import socket
import threading
import time
import urllib.request
import warnings
import zipfile
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
import torch.hub
from hypothesis import HealthCheck, assume, configuration, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import nn

from course_lib import one_cycle as schedules
from course_lib import transfer
from course_lib.data import DataError, cifar10, digits, hymenoptera
from course_lib.one_cycle import OneCycle, Scheduler, schedule_callback
from course_lib.transfer import (Phase, Preprocessing, Published, ResNetCIFAR, Transfer, check_input, cut, features, fine_tuning, find_weights, gradual, guard,
                                 linear_probe, load_weights, logme, lp_ft, pretrained, progressive, published, resized)
from notebooks import ROOT

configuration.set_hypothesis_home_dir(ROOT / ".cache" / "hypothesis")
needs_data = pytest.mark.skipif(not os.environ.get("COURSE_DATA"), reason="needs COURSE_DATA")
full = pytest.mark.full
IMAGENET = Preprocessing()


def examples(n): return settings(max_examples=n, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def refused(call, *parts, kind=ValueError, length=700):
    "The message of the error that `call` ends in: our own kind, one line, and what it must name."
    with pytest.raises(kind) as raised: call()
    message = str(raised.value)
    assert "\n" not in message and 15 < len(message) < length, message
    for part in parts: assert str(part).lower() in message.lower(), message
    return message


def same(a, b): return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def snapshot(module): return {k: v.clone() for k, v in module.state_dict().items()}


def random_net(seed=0, n_out=5, dropout=0.0):
    "A published network in small: six blocks, batch norms whose statistics are their own."
    torch.manual_seed(seed)
    model = ResNetCIFAR(n_out, 1, 4)
    for m in model.modules():
        if isinstance(m, nn.BatchNorm2d): m.running_mean.normal_(0, 0.3), m.running_var.uniform_(0.5, 2)
    blocks = [model.conv1, model.bn1, model.relu, model.layer1, model.layer2, *([nn.Dropout2d(dropout)] if dropout else []), model.layer3]
    return Published("small", model.eval(), nn.Sequential(*blocks).eval(), 16, Preprocessing(16), "random", "none", "people", "layer3")


def images(n=40, size=16, seed=0, shape=None):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 3, *(shape or (size, size)), generator=generator)


def task(n=40, size=16, n_out=3, seed=0): return images(n, size, seed), torch.arange(n) % n_out


RECIPES = dict(probe=linear_probe(3), fine_tuning=fine_tuning(2), lp_ft=lp_ft(2, probe_epochs=3), gradual=gradual(4), mirrored=gradual(4, mirror=True),
               growing=progressive(lp_ft(4, probe_epochs=2), (8, 12, 16)), last_stage=[Phase(2, 1e-2, 1)],
               probe_after=[Phase(2, 1e-2, None), Phase(2, 1e-2, 0)], middle_after=[Phase(2, 1e-2, None), Phase(2, 1e-2, 1), Phase(1, 1e-2, 0)])


# ---------------------------------------------------------------------------------------------------------------------
# Files of weights

def small(): return ResNetCIFAR(4, 1, 4)


@pytest.fixture(scope="module")
def state(): return small().state_dict()


class Trap:
    "What unpickling it would do leaves a trace."
    def __init__(self, path): self.path = str(path)
    def __reduce__(self): return os.mkdir, (self.path,)


def in_zip(path, data):
    "A file of torch's newer format whose pickle is `data`."
    torch.save({"a": torch.ones(3)}, path)
    with zipfile.ZipFile(path) as z: members = {name: z.read(name) for name in z.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as z:
        for name, content in members.items(): z.writestr(name, data if name.endswith("/data.pkl") else content)


TRAPS = {"newer format.pt": lambda p, t, s: torch.save({**s, "x": t}, p),
         "older format.pt": lambda p, t, s: torch.save({**s, "x": t}, p, _use_new_zipfile_serialization=False),
         "nested.pth": lambda p, t, s: torch.save({"state_dict": s, "args": [{"x": (t,)}]}, p),
         "zip around a pickle.pt": lambda p, t, s: in_zip(p, pickle.dumps(t)),
         "zip around a newer pickle.pt": lambda p, t, s: in_zip(p, pickle.dumps(t, protocol=4)),
         "pickle.pt": lambda p, t, s: p.write_bytes(pickle.dumps(t, protocol=2)),
         "text pickle.th": lambda p, t, s: p.write_bytes(pickle.dumps(t, protocol=0)),
         "called.safetensors": lambda p, t, s: p.write_bytes(pickle.dumps(t, protocol=2))}


@pytest.mark.parametrize("name", TRAPS)
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_code_in_a_file_of_weights_is_refused_and_not_run(tmp_path, state, name):
    TRAPS[name](tmp_path / name, Trap(tmp_path / "ran"), state)
    model = small()
    before = snapshot(model)
    message = refused(lambda: load_weights(model, tmp_path / name), name, kind=DataError)
    if not name.endswith("safetensors"): assert "code" in message
    assert not (tmp_path / "ran").exists() and same(before, model.state_dict())
    os.mkdir(tmp_path / "ran")  # the trap would have worked
    with pytest.raises(FileExistsError): pickle.loads(pickle.dumps(Trap(tmp_path / "ran")))


def test_a_whole_pickled_model_is_refused(tmp_path):
    torch.save(small(), tmp_path / "model.pt")
    refused(lambda: load_weights(small(), tmp_path / "model.pt"), "state dict", kind=DataError)


@pytest.mark.parametrize("kind", ["newer", "older", "safetensors"])
def test_a_file_cut_anywhere_is_refused(tmp_path, state, kind):
    if kind == "safetensors": pytest.importorskip("safetensors.torch").save_file(state, tmp_path / "whole.safetensors")
    else: torch.save(state, tmp_path / "whole.pt", _use_new_zipfile_serialization=kind == "newer")
    whole, = tmp_path.glob("whole.*")
    data, path, model = whole.read_bytes(), tmp_path / f"cut{whole.suffix}", small()
    before = snapshot(model)
    step = max(1, len(data) // (600 if os.environ.get("ALL") else 60))
    for n in sorted({*range(0, 9), *range(9, len(data), step), *range(len(data) - 3, len(data))}):
        path.write_bytes(data[:n])
        message = refused(lambda: load_weights(model, path), path.name, kind=DataError)
        if kind != "older" or n > 1000: assert "code" not in message, f"cut at {n} of {len(data)}: {message}"  # there, half a name may look like another
    assert same(before, model.state_dict())
    assert same(load_weights(model, whole).state_dict(), state)


OTHERS = {"a web page": b"<!DOCTYPE html>\n<html><head><title>404</title></head><body>Not found</body></html>\n", "nothing": b"", "text": b"404: not found\n" * 50,
          "JSON": b'{"message": "Not Found"}', "XML": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 3\n",
          "gzip": bytes([31, 139, 8, 0]) + bytes(60), "picture": b"\xff\xd8\xff\xe0" + bytes(60), "zeros": bytes(4096)}


@pytest.mark.parametrize("what", OTHERS)
def test_a_file_of_another_kind_is_refused_for_what_it_is(tmp_path, what):
    (tmp_path / "other.pth").write_bytes(OTHERS[what])
    message = refused(lambda: load_weights(small(), tmp_path / "other.pth"), "other.pth", kind=DataError)
    assert "run code" not in message, message


def test_other_archives_and_other_contents_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "archive.pt", "w") as z: z.writestr("readme.txt", "hello")
    contents = {"list.pt": [1, 2], "tensor.pt": torch.ones(3), "number.pt": 3}
    for name, content in contents.items(): torch.save(content, tmp_path / name)
    refused(lambda: load_weights(small(), tmp_path / "archive.pt"), "archive.pt", kind=DataError)
    for name in contents: refused(lambda: load_weights(small(), tmp_path / name))
    for path in (tmp_path, tmp_path / "absent.pt"): refused(lambda: load_weights(small(), path), path.name, kind=DataError)


@pytest.mark.parametrize("content", [{1: torch.ones(1)}, {"state_dict": [1]}, {"state_dict": {2: 3}}, [1], 3], ids=str)
def test_what_is_no_dict_of_tensors_is_refused(tmp_path, content):
    refused(lambda: load_weights(small(), content), length=3000)
    torch.save(content, tmp_path / "a.pt")
    refused(lambda: load_weights(small(), tmp_path / "a.pt"), length=3000)


@given(st.data())
@examples(30)
def test_all_keys_that_do_not_fit_are_listed_and_nothing_is_loaded(data):
    model = small()
    before, keys = snapshot(model), [*model.state_dict()]
    given_state = {k: v + 1 for k, v in before.items()}
    chosen = data.draw(st.lists(st.sampled_from(keys), min_size=1, max_size=6, unique=True))
    for key in chosen:
        change = data.draw(st.sampled_from(["missing", "shape", "kind", "renamed"]))
        if change == "missing": del given_state[key]
        elif change == "renamed": given_state[f"{key}_"] = given_state.pop(key)
        elif change == "shape": given_state[key] = torch.zeros(*before[key].shape, 2)
        else: given_state[key] = "not a tensor"
    if all(k.endswith("num_batches_tracked") for k in chosen): assume(any(k in given_state for k in keys if k.endswith("num_batches_tracked")))
    message = refused(lambda: load_weights(model, given_state), "nothing was loaded", length=3000)
    for key in chosen: assert key in message
    for key in keys: assert key in chosen or f" {key}," not in message
    assert same(before, model.state_dict())


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s}, lambda s: {f"module.{k}": v for k, v in s.items()},
                                  lambda s: {k: v for k, v in s.items() if not k.endswith("num_batches_tracked")},
                                  lambda s: {k: v.double() if v.is_floating_point() else v for k, v in s.items()}], ids=["plain", "state_dict", "module.", "old", "double"])
def test_the_usual_forms_of_weights_are_loaded(tmp_path, state, wrap):
    torch.save(wrap(state), tmp_path / "w.pt")
    assert same(load_weights(small(), tmp_path / "w.pt").state_dict(), state) and same(load_weights(small(), wrap(state)).state_dict(), state)


def test_the_weights_given_stay_as_they_are(state):
    mine = {f"module.{k}": v.clone() for k, v in state.items()}
    load_weights(model := small(), mine)
    with torch.no_grad():
        for p in model.parameters(): p.zero_()
    assert all(k.startswith("module.") for k in mine) and all(torch.equal(mine[f"module.{k}"], v) for k, v in state.items())


# ---------------------------------------------------------------------------------------------------------------------
# Where weights are found

@pytest.fixture
def homes(tmp_path, monkeypatch):
    "Empty folders in place of the reader's."
    names = dict(COURSE_DATA=tmp_path / "data", TORCH_HOME=tmp_path / "torch", COURSE_CACHE=tmp_path / "cache", HF_HOME=tmp_path / "hf")
    for name, path in names.items():
        path.mkdir()
        monkeypatch.setenv(name, str(path))
    return tmp_path


@pytest.fixture
def no_network(monkeypatch):
    asked = []
    def unknown(host, *_, **__): asked.append(host); raise socket.gaierror(-2, "Name or service not known")
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    return asked


def test_the_order_in_which_weights_are_looked_for(homes, monkeypatch, no_network):
    places = [homes / p for p in ("data", "data/torch_home/hub/checkpoints", "torch/hub/checkpoints", "cache")]
    for place in reversed(places):
        place.mkdir(parents=True, exist_ok=True)
        (place / "w-12345678.pt").write_bytes(b"x")
        assert find_weights("w-12345678.pt", "http://nowhere.invalid/w-12345678.pt") == place / "w-12345678.pt"
    monkeypatch.delenv("COURSE_DATA")
    assert find_weights("w-12345678.pt") == places[2] / "w-12345678.pt"
    monkeypatch.setenv("TORCH_HOME", str(homes / "elsewhere"))
    assert find_weights("w-12345678.pt") == places[3] / "w-12345678.pt" and not no_network


@pytest.mark.parametrize("name", ["resnet18", "mnasnet0_5", "resnet20_cifar10"])
def test_neither_network_nor_file(homes, no_network, name):
    began = time.monotonic()
    message = refused(lambda: pretrained(name), "COURSE_DATA", kind=DataError)
    assert str(homes / "torch") in message and time.monotonic() - began < 30
    assert bool(no_network) == (name != "resnet20_cifar10")
    assert not [p for p in homes.rglob("*") if p.is_file()]
    assert pretrained(name, weights=False).weights == "random"


def test_the_courses_own_weights_need_neither(homes, no_network):
    net = pretrained("resnet20_cifar8")
    assert net.model.linear.out_features == 8 and "random" not in net.weights and net.preprocessing.size == 32 and not no_network
    assert all(torch.isfinite(v).all() for v in net.model.state_dict().values()) and features(net, images(2, 32)).std() > 0.1


GOOD = bytes(range(250)) * 4
SERVED = {}  # by name of the file, what is served in place of GOOD


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *args): pass
    def do_GET(self):
        how, content = self.path.split("/")[1], SERVED.get(self.path.split("/")[-1], GOOD)
        if how == "404": return self.send_error(404)
        if how == "nonsense": return self.wfile.write(b"hello\r\n\r\n")
        if how == "silent": return self.server.over.wait(20)
        self.send_response(200)
        if how == "chunks": self.send_header("Transfer-Encoding", "chunked")
        else: self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if how == "chunks": self.wfile.write(b"100\r\nabc")
        elif how == "page": self.wfile.write(b"<html>".ljust(len(content)))
        else: self.wfile.write(content if how == "whole" else content[:500])
        self.wfile.flush()
        if how == "stalls": self.server.over.wait(20)
        self.close_connection = True


@pytest.fixture(scope="module")
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.daemon_threads, server.over = True, threading.Event()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.over.set(), server.shutdown(), server.server_close(), thread.join(10)


def files(folder): return [p for p in folder.rglob("*") if p.is_file()]


def named(digest): return f"net-{digest}.pt" if digest else "net.pt"


def test_a_download_whose_digest_fits_is_kept_and_used_again(homes, server):
    file = named(hashlib.sha256(GOOD).hexdigest()[:8])
    path = find_weights(file, f"{server}/whole/{file}", progress=False)
    assert path.read_bytes() == GOOD and files(homes) == [path]
    assert find_weights(file, "http://127.0.0.1:9/gone", progress=False) == path


@pytest.mark.parametrize("how, digest", [*[(how, digest) for how in ("404", "nonsense", "chunks", "breaks") for digest in ("right", "wrong", "none")], ("page", "right"), ("page", "wrong"), ("whole", "wrong")])
def test_a_bad_download_leaves_nothing_behind(homes, server, how, digest):
    file = named(dict(right=hashlib.sha256(GOOD).hexdigest()[:8], wrong="0badc0de", none="")[digest])
    refused(lambda: find_weights(file, f"{server}/{how}/{file}", progress=False), kind=DataError)
    assert not files(homes)


@pytest.mark.parametrize("how", ["silent", "stalls"])
def test_a_silent_server_is_given_up(homes, server, monkeypatch, how):
    waits, urlopen = [], urllib.request.urlopen
    def opened(url, data=None, timeout=None, **more):
        waits.append(timeout)
        return urlopen(url, data, timeout=1, **more)
    monkeypatch.setattr(urllib.request, "urlopen", opened)
    if hasattr(torch.hub, "urlopen"): monkeypatch.setattr(torch.hub, "urlopen", opened)
    began = time.monotonic()
    refused(lambda: find_weights("net-12345678.pt", f"{server}/{how}/net-12345678.pt", progress=False), kind=DataError)
    assert waits and all(isinstance(w, (int, float)) and 0 < w <= 120 for w in waits), f"no limit to waiting: {waits}"
    assert time.monotonic() - began < 15 and not files(homes)


def test_nobody_listens(homes): refused(lambda: find_weights("net-12345678.pt", "http://127.0.0.1:9/net-12345678.pt", progress=False), "COURSE_DATA", kind=DataError)


# ---------------------------------------------------------------------------------------------------------------------
# Published networks

def torchvision_names():
    models = pytest.importorskip("torchvision.models")
    return models, [n for n in published() if not n.startswith("timm/") and "_cifar" not in n]


@pytest.mark.parametrize("n, start", [(0, "small"), pytest.param(1, "large", marks=full)])
def test_every_torchvision_network_is_cut_where_its_own_classifier_begins(n, start):
    tv, names = torchvision_names()
    assert len(names) > 40 and {"mnasnet1_0", "efficientnet_b0", "mobilenet_v3_small", "regnet_y_400mf", "resnet18", "squeezenet1_0"} <= set(names)
    x, wrong = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)), {}
    for name in names:
        weights = tv.get_model_weights(name)["IMAGENET1K_V1" if name == "squeezenet1_0" else "DEFAULT"]
        big = weights.meta["num_params"] > 30e6
        if big != bool(n) or weights.meta["num_params"] > 100e6: continue
        net, expected = pretrained(name, weights=False), weights.transforms()
        model, p = net.model, net.preprocessing
        if net.n_params != weights.meta["num_params"]: wrong[name] = "parameters"
        if (p.size, p.mean, p.std, p.resize, p.interpolation) != (expected.crop_size[0], tuple(expected.mean), tuple(expected.std), expected.resize_size[0], expected.interpolation.value): wrong[name] = p
        if any(m.training for m in model.modules()): wrong[name] = "training"
        if {id(q) for q in net.body.parameters()} - {id(q) for q in model.parameters()}: wrong[name] = "the body is a copy"
        with torch.inference_mode():
            maps, out = net.body(x), model(x)
            pooled = getattr(model, "avgpool", lambda m: m.mean((2, 3), keepdim=True))(maps)
            if name.startswith("squeezenet"): again = model.classifier(maps).flatten(1)
            elif name.startswith("convnext"): again = model.classifier(pooled)
            else: again = getattr(model, "classifier", getattr(model, "fc", None))(pooled.flatten(1))
        if maps.ndim != 4 or maps.shape[1] != net.n_features or not torch.allclose(out, again, atol=1e-5): wrong[name] = f"cut: {tuple(maps.shape)}, {net.n_features} features"
    assert not wrong


@needs_data
def test_published_weights_on_disk(monkeypatch):
    for name, n in dict(squeezenet1_0=1248424, resnet20_cifar10=269722).items():
        net = pretrained(name)
        assert net.n_params == n and "random" not in net.weights and net.licence and name in repr(net)
    assert pretrained("resnet20_cifar10").preprocessing == Preprocessing(32)


@pytest.mark.parametrize("name, near", [("resnet19", "resnet18"), ("ResNet18", "resnet18"), ("mnasnet", "mnasnet1_0"), ("efficientnetb0", "efficientnet_b0"), ("squeezenet", "squeezenet1_0"),
                                        ("resnet20", "resnet20_cifar"), ("zzzzzz", "published()"), ("", "published()"), ("resnet18.pth", "resnet18")])
def test_an_unknown_name_is_answered_with_the_nearest(name, near):
    refused(lambda: pretrained(name), near)
    refused(lambda: Transfer(name, 2), near)


@pytest.mark.parametrize("name", [None, 3])
def test_a_name_is_a_string(name): refused(lambda: pretrained(name))


def test_weights_of_the_readers_own(tmp_path):
    own = pretrained("resnet20_cifar10", weights=False)
    torch.save(own.model.state_dict(), tmp_path / "own.pt")
    for weights in (own.model.state_dict(), tmp_path / "own.pt", str(tmp_path / "own.pt")):
        net = pretrained("resnet20_cifar10", weights=weights)
        assert same(net.model.state_dict(), own.model.state_dict()) and "random" not in net.weights
    refused(lambda: pretrained("resnet20_cifar8", weights=tmp_path / "own.pt"), "linear.weight", "10×64")
    refused(lambda: pretrained("resnet20_cifar10", weights=tmp_path / "absent.pt"), "absent.pt", kind=DataError)


TIMM = dict(mnasnet_100=4383312, regnetx_002=2684792, mobilenetv3_small_100=2542856, resnet18=11689512)


@pytest.mark.parametrize("name", TIMM)
def test_networks_of_timm(name):
    timm = pytest.importorskip("timm")
    net, cfg = pretrained(f"timm/{name}", weights=False), timm.get_pretrained_cfg(name)
    x = torch.randn(2, 3, 64, 64)
    with torch.inference_mode(): assert torch.allclose(net.model(x), net.model.forward_head(net.body(x)), atol=1e-5)
    assert net.n_params == TIMM[name] and features(net, images(2, 64)).shape == (2, net.n_features)
    p = net.preprocessing
    assert (p.size, p.mean, p.std, p.interpolation) == (cfg.input_size[-1], tuple(cfg.mean), tuple(cfg.std), cfg.interpolation)
    resize = next(t for t in timm.data.create_transform(**timm.data.resolve_data_config(pretrained_cfg=cfg.to_dict()), is_training=False).transforms if type(t).__name__ == "Resize")
    assert p.resize == (resize.size if isinstance(resize.size, int) else resize.size[0])


@full
def test_every_network_of_timm_that_is_listed_is_cut_rightly():
    timm = pytest.importorskip("timm")
    x, wrong, names = torch.randn(2, 3, 96, 96), {}, published("timm/*")
    assert {"timm/nasnetalarge", "timm/pnasnet5large", "timm/mnasnet_100"} <= set(names)
    for name in names:
        with torch.device("meta"): size = sum(p.numel() for p in timm.create_model(name[5:]).parameters())
        if size > 20e6: continue
        net = pretrained(name, weights=False)
        with torch.inference_mode(): maps, out = net.body(x), net.model(x)
        if maps.shape[1] != net.n_features or net.n_params != size or not torch.allclose(out, net.model.forward_head(maps), atol=1e-4): wrong[name] = tuple(maps.shape)
    assert not wrong


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "vit_tiny_patch16_224"])
def test_networks_without_a_feature_map_are_refused_or_averaged_rightly(name):
    pytest.importorskip("timm")
    try: net = pretrained(f"timm/{name}", weights=False)
    except ValueError as e: assert name in str(e); return
    x = images(2, 224)
    f = features(net, x)
    with torch.inference_mode(): maps = net.model.forward_features(net.preprocessing(x))
    if maps.ndim == 4: assert np.allclose(f, maps.mean((1, 2)), atol=1e-5)  # N×H×W×C
    assert f.shape == (2, net.n_features)


@pytest.mark.parametrize("broken", ["cut", "a trap", "a page", "a key is missing", "another head"])
def test_broken_files_of_timm_end_as_others_do(homes, no_network, broken):
    timm = pytest.importorskip("timm")
    path, model = homes / "data" / timm.get_pretrained_cfg("mnasnet_100").url.split("/")[-1], timm.create_model("mnasnet_100")
    state = model.state_dict()
    torch.save(state, path)
    assert torch.equal(pretrained("timm/mnasnet_100", progress=False).model.conv_stem.weight, state["conv_stem.weight"])
    if broken == "cut": path.write_bytes(path.read_bytes()[:10**6])
    elif broken == "a page": path.write_bytes(OTHERS["a web page"])
    else: torch.save({"a trap": {**state, "x": Trap(homes / "ran")}, "a key is missing": {k: v for k, v in state.items() if k != "conv_stem.weight"},
                      "another head": {**state, "classifier.weight": torch.zeros(10, 1280)}}[broken], path)
    refused(lambda: pretrained("timm/mnasnet_100", progress=False), {"a key is missing": "conv_stem.weight", "another head": "classifier.weight"}.get(broken, path.name))
    assert not (homes / "ran").exists()


def test_a_network_of_ones_own_is_cut():
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2))
    grey, x, y = Preprocessing(16, (0.4,), (0.3,)), images(12)[:, :1], torch.arange(12) % 2
    for last, n in (("0", 8), ("1", 8), ("2", 6)):
        net = cut(model, last, grey)
        assert net.n_features == n and net.cut == last and [*net.body] == [*model][:int(last) + 1] and model.training
        assert Transfer(net, 2, gradual(3)).fit((x, y)).predict(x).shape == (12, 2) and features(net, x).shape == (12, n)
    refused(lambda: features(net, images(2)), "N×1×H×W")
    refused(lambda: cut(model, "absent", grey), "absent", "0, 1, 2")
    for last in "45": refused(lambda: cut(model, last, grey))  # N×D is no feature map
    refused(lambda: cut(ResNetCIFAR(4, 1, 4), "linear", IMAGENET))
    assert check_input((x - 0.4) / 0.3, grey) is None and check_input(x.expand(-1, 3, -1, -1), grey)


def test_without_timm_the_extra_is_named(monkeypatch):
    import sys
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError, match=r"course-lib\[timm\]"): pretrained("timm/mnasnet_100", weights=False)
    assert "resnet18" in published() and not [n for n in published() if n.startswith("timm/")]


# ---------------------------------------------------------------------------------------------------------------------
# Images: their preparation, and the guard over it

@given(st.integers(0, 3), st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
@examples(30)
def test_preprocessing_and_features_are_what_torch_says(n, h, w, seed):
    tf = pytest.importorskip("torchvision.transforms.functional")
    x = images(n, seed=seed, shape=(h, w))
    assert torch.allclose(IMAGENET(x), tf.normalize(x, IMAGENET.mean, IMAGENET.std) if n else x, atol=1e-6)
    net = random_net()
    with torch.inference_mode(): maps = net.body(net.preprocessing(x)) if n else torch.zeros(0, 16, 1, 1)
    f = features(net, x)
    assert f.shape == (n, 16) and f.dtype == np.float32 and np.allclose(f, maps.mean((2, 3)), atol=1e-5)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
@examples(30)
def test_resizing_keeps_range_mean_and_mirror(h, w, size):
    x = images(2, shape=(h, w))
    y = resized(x, size)
    assert y.shape == (2, 3, size, size) and y.min() > -1e-5 and y.max() < 1 + 1e-5
    assert torch.allclose(resized(x.flip(3), size), y.flip(3), atol=1e-5)
    assert torch.allclose(resized(torch.full_like(x, 0.3), size), torch.tensor(0.3), atol=1e-5)


def test_features_do_not_depend_on_the_batch_and_leave_the_network_alone():
    net, x = random_net(), images(20)
    before = snapshot(net.model)
    assert np.allclose(features(net, x, bs=7), features(net, x), atol=1e-6)
    assert np.allclose(features(net, x.numpy(), size=8), features(net, resized(x, 8)), atol=1e-6)
    net.model.train()
    features(net, x)
    assert same(before, net.model.state_dict()) and all(p.requires_grad for p in net.model.parameters())


SMALL_SQUEEZE = [8, 12, 16]  # pixels: too few for squeezenet's three poolings


@pytest.mark.parametrize("what, words", dict(bytes=["255"], byte_type=["255"], negative=["[0, 1]"], nan=["NaN"], infinite=["NaN"], one_channel=["one channel", "expand"],
                                             four_channels=["N×3×H×W"], channels_last=["N×3×H×W"], one_image=["N×3×H×W"], flat=["N×3×H×W"], no_pixels=[]).items())
def test_bad_images_are_refused_everywhere(what, words):
    x, y = task(12)
    bad = dict(bytes=x * 255, byte_type=(x * 255).byte(), negative=x - 0.5, nan=x.clone(), infinite=x.clone(), one_channel=x[:, :1], four_channels=torch.cat([x, x[:, :1]], 1),
               channels_last=x.permute(0, 2, 3, 1), one_image=x[0], flat=x.flatten(1), no_pixels=x[:, :, :0])[what]
    if what in ("nan", "infinite"): bad[7, 1, 2, 3] = math.nan if what == "nan" else math.inf
    net = random_net()
    refused(lambda: features(net, bad), *words)
    refused(lambda: IMAGENET(bad), *words) if what != "no_pixels" else None
    refused(lambda: Transfer(net, 3, linear_probe(1)).predict(bad), *words)
    if what == "one_image": bad = x[:, 0]  # N×H×W
    for recipe in (linear_probe(2), fine_tuning(2)):
        t = Transfer(net, 3, recipe)
        before = snapshot(t.model)
        refused(lambda: t.fit((bad, y)), *words)
        refused(lambda: t.fit((x, y), valid=(bad, y)), *words)
        assert same({k: v for k, v in before.items() if "standardise" not in k}, {k: v for k, v in snapshot(t.model).items() if "standardise" not in k}), "bad validation images are found after training"
        assert not t.history


def test_a_broken_image_is_named():
    x, y = task(12)
    x[7, 1, 2, 3] = math.nan
    refused(lambda: Transfer(random_net(), 3, linear_probe(1)).fit((x, y)), "7")


def test_images_too_small_for_the_network():
    net = pretrained("squeezenet1_0", weights=False)
    for size in SMALL_SQUEEZE:
        refused(lambda: features(net, images(2, size)), "small")
        refused(lambda: Transfer(net, 2, linear_probe(1)).fit((images(4, size), [0, 1, 0, 1])), "small")
        refused(lambda: Transfer(net, 2, linear_probe(1)).predict(images(2, size)), "small")
    t = Transfer(net, 2, progressive(fine_tuning(2), (32, 8)))
    refused(lambda: t.fit((images(4, 32), [0, 1, 0, 1])), "small")
    assert features(net, images(2, 32)).shape == (2, 512)


def stats(mean, std): return lambda x: (x - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


CIFAR = (0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)
RIGHT = stats(IMAGENET.mean, IMAGENET.std)
MISTAKES = {"none": lambda x: x, "bytes": lambda x: x * 255, "half": stats((0.5,) * 3, (0.5,) * 3), "cifar": stats(*CIFAR), "reversed": stats(IMAGENET.mean[::-1], IMAGENET.std[::-1]),
            "bytes normalised": lambda x: RIGHT(x * 255), "twice": lambda x: RIGHT(RIGHT(x)), "caffe": lambda x: x.flip(1) * 255 - torch.tensor([103.9, 116.8, 123.7])[:, None, None]}
CERTAIN = ("none", "bytes", "bytes normalised", "twice", "caffe")


def smooth(seed, n, size, contrast=1.6, level=0.5, grain=4):
    "Random images: smooth fields in three correlated channels, clipped to [0, 1] where contrast and level push them out."
    g = torch.Generator().manual_seed(seed)
    field = nn.functional.interpolate(torch.randn(n, 1, grain, grain, generator=g) + 0.3 * torch.randn(n, 3, grain, grain, generator=g), (size, size), mode="bilinear")
    return (level + contrast * 0.4 * field).clamp(0, 1)


def as_bytes(x): return (x * 255).round() / 255


@given(seed=st.integers(0, 10**6), n=st.integers(1, 8), size=st.sampled_from([16, 32, 57]), contrast=st.floats(1.5, 4), rounded=st.booleans())
@examples(60)
def test_the_check_on_images_with_black_and_white_in_them(seed, n, size, contrast, rounded):
    x = smooth(seed, n, size, contrast)
    if rounded: x = as_bytes(x)
    flat = x.transpose(0, 1).flatten(1)
    assume(((flat == 0).float().mean(1) > 0.01).all() and ((flat == 1).float().mean(1) > 0.01).all())
    assert check_input(RIGHT(x), IMAGENET) is None
    for name, mistake in MISTAKES.items():
        message = check_input(mistake(x), IMAGENET)
        assert message and str(IMAGENET.mean) in message and str(IMAGENET.std) in message and "\n" not in message, (name, message)
    for dtype in (torch.float16, torch.bfloat16):
        assert check_input(RIGHT(x).to(dtype), IMAGENET) is None, dtype
        for name in ("none", "half", "bytes"): assert check_input(MISTAKES[name](x).to(dtype), IMAGENET), (name, dtype)
    half = Preprocessing(224, (0.5,) * 3, (0.5,) * 3)
    assert check_input(MISTAKES["half"](x), half) is None and check_input(RIGHT(x), half) and check_input(x, half) and check_input(x * 255, half)
    unit = Preprocessing(224, (0.0,) * 3, (1.0,) * 3)
    assert check_input(x, unit) is None and check_input(RIGHT(x), unit) and check_input(MISTAKES["half"](x), unit) and check_input(x * 255, unit)


@given(seed=st.integers(0, 10**6), n=st.integers(1, 8), size=st.sampled_from([8, 32, 57]), low=st.floats(0, 0.8), span=st.floats(0.05, 1), rounded=st.booleans())
@examples(40)
def test_no_false_alarm_on_dark_bright_and_pale_images(seed, n, size, low, span, rounded):
    x = smooth(seed, n, size, 0.7)
    x = low + min(span, 1 - low) * (x - x.min()) / (x.max() - x.min())
    x = as_bytes(x) if rounded else x if low == 0 else x[:1]  # several images made pale by one factor look like other statistics
    assert check_input(RIGHT(x), IMAGENET) is None
    for name in MISTAKES:
        if rounded and name not in ("caffe",) or name == "bytes normalised" or name == "none" and x.max() - x.min() > 0.6: assert check_input(MISTAKES[name](x), IMAGENET), name


@pytest.mark.parametrize("value", [0.0, 0.3, 0.5, 0.6, 1.0])
def test_no_false_alarm_on_a_plain_surface(value): assert check_input(RIGHT(torch.full((4, 3, 32, 32), value)), IMAGENET) is None


def rates(x, bs):
    "Share of batches that are warned about, for each way to normalise them."
    ways = {"right": RIGHT, **MISTAKES}
    return {name: float(np.mean([check_input(way(b), IMAGENET) is not None for b in x.split(bs)])) for name, way in ways.items()}


def photos(size, n=None): return torch.as_tensor(hymenoptera(size).train.x)[:n]


PHOTOS = {"cifar10": lambda: torch.as_tensor(cifar10(160, 10, 10).train.x), "photos 64": lambda: photos(64), "photos 128": lambda: photos(128, 96)}  # as bytes gave them
MADE = {"photos 160 to 96": lambda: resized(photos(160), 96), "grey photos": lambda: photos(96).mean(1, keepdim=True).expand(-1, 3, -1, -1)}  # no longer on bytes


@needs_data
@pytest.mark.parametrize("name", [*PHOTOS, *MADE])
def test_the_check_on_photos(name):
    x = {**PHOTOS, **MADE}[name]()
    for bs, false, sure, found in ((1, 0.03, 0.98, 0), (8, 0, 1, 0.5), (32, 0, 1, 0.8)):
        if name in PHOTOS: false, sure, found = 0, 1, 1
        rate = rates(x[:64 * bs], bs)
        assert rate["right"] <= false and all(rate[m] >= (sure if m in CERTAIN else found) for m in MISTAKES), (bs, rate)


@needs_data
@pytest.mark.parametrize("bs", [1, 32])
def test_no_false_alarm_on_photos_that_were_changed(bs):
    x, g = photos(96), torch.Generator().manual_seed(0)
    def factor(low, high): return low + (high - low) * torch.rand(len(x), 1, 1, 1, generator=g)
    dim, level = factor(0.6, 1.4), x.mean((1, 2, 3), keepdim=True)
    changed = {"dark": as_bytes(0.3 * x), "bright": as_bytes(0.7 + 0.3 * x), "pale": as_bytes(0.4 + 0.2 * x), "brightness": (x * dim).clamp(0, 1), "contrast": (level + (x - level) * dim).clamp(0, 1),
               "mixed": dim.clamp(0, 1) * x + (1 - dim.clamp(0, 1)) * x.flip(0), "black border": nn.functional.pad(x, (9, 9, 0, 0)), "blurred": resized(resized(x, 24), 96), "inverted": 1 - x}
    wrong = {name: float(np.mean([check_input(RIGHT(b), IMAGENET) is not None for b in y.split(bs)])) for name, y in changed.items()}
    assert not {name: share for name, share in wrong.items() if share > 0.03}


@pytest.mark.parametrize("size", [8, 32])
def test_the_check_on_digits_as_three_channels(size):
    x = resized(torch.as_tensor(digits().train.x)[:256].expand(-1, 3, -1, -1), size)
    for bs in (8, 32):
        rate = rates(x, bs)
        assert rate.pop("right") == 0 and min(rate.values()) > 0.9, (bs, rate)


@pytest.mark.parametrize("x", [torch.zeros(0, 3, 8, 8), torch.full((2, 3, 8, 8), math.nan), torch.zeros(3, 8, 8), torch.zeros(2, 1, 8, 8), torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.zeros(2, 3, 0, 8)],
                         ids=["no image", "NaN", "3 axes", "1 channel", "bytes", "no pixel"])
def test_the_check_never_breaks_a_call(x):
    found = check_input(x, IMAGENET)
    if x.ndim != 4 or x.shape[1] == 1 or x.isnan().any(): assert found
    seen, net = [], nn.Identity()
    handle = guard(net, IMAGENET)
    with warnings.catch_warnings(): warnings.simplefilter("ignore"); net(x)
    handle.remove()


def told(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [w for w in caught if "these weights expect" in str(w.message)]


@pytest.fixture
def guarded():
    net, x = random_net(), smooth(0, 8, 32, 2.0)
    handle = guard(net.model, IMAGENET, n_batches=3)
    yield net.model, x, handle
    handle.remove()


def test_the_guard_warns_once_in_the_readers_line_and_goes(guarded):
    model, x, handle = guarded
    found = told(lambda: [model(x) for _ in range(5)])
    assert len(found) == 1
    assert found[0].filename == __file__, f"the warning points at {found[0].filename}"
    handle.remove()
    assert not told(lambda: model(x)) and not model._forward_pre_hooks


@pytest.mark.parametrize("n", [0, 1, 2])
def test_the_guard_looks_at_the_first_batches_only(n):
    model, x = random_net().model, smooth(0, 8, 32, 2.0)
    handle = guard(model, IMAGENET, n_batches=n)
    assert not told(lambda: [model(RIGHT(x)) for _ in range(n)] + [model(x)])
    handle.remove()


def test_the_guard_under_keywords_other_arguments_half_and_autocast(guarded):
    model, x, handle = guarded
    class Odd(nn.Module):
        def forward(self, words=None, x=None): return x
    odd = Odd()
    guard(odd, IMAGENET)
    assert len(told(lambda: odd("no tensor", x=x))) <= 1 and len(told(lambda: odd(None))) == 0
    def half():
        with torch.autocast("cpu", torch.bfloat16), torch.inference_mode(): model(RIGHT(x))
    assert not told(half)
    assert len(told(lambda: model(x=x))) == 1
    low = copy.deepcopy(random_net().model).bfloat16()
    guard(low, IMAGENET)
    assert not told(lambda: low(RIGHT(x).bfloat16())) and len(told(lambda: low(x.bfloat16()))) == 1


def test_a_guarded_network_is_trained_copied_and_pickled(guarded):
    model, x, handle = guarded
    out = model(RIGHT(x).requires_grad_())
    out.sum().backward()
    again = pickle.loads(pickle.dumps(model))
    assert same(again.state_dict(), model.state_dict()) and same(copy.deepcopy(model).state_dict(), model.state_dict())
    net = random_net()
    guard(net.body, net.preprocessing)
    assert not told(lambda: Transfer(net, 3, fine_tuning(1)).fit(task(12)))


@full
@pytest.mark.parametrize("outer", [False, True])
def test_the_guard_under_compile(outer):
    model, x = random_net().model, smooth(0, 8, 32, 2.0)
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="eager")
    for wrong in (False, True):
        handle = guard(compiled if outer else model, IMAGENET)
        assert len(told(lambda: [compiled(x if wrong else RIGHT(x)) for _ in range(4)])) == wrong
        handle.remove()


# ---------------------------------------------------------------------------------------------------------------------
# LogME

def brute_logme(f, y):
    "The largest log of N(y; 0, I/β + FFᵀ/α) over α and β, by scipy from many beginnings."
    values, basis = np.linalg.eigh(f @ f.T)
    values = values.clip(0)
    columns, scale = (y[:, None] == np.unique(y)).astype(float).T if y.ndim == 1 and y.dtype.kind in "iub" else y.reshape(len(f), -1).T, np.log(max(values.max(), 1e-12))
    def largest(column):
        z2 = (basis.T @ column)**2
        def loss(p):
            with np.errstate(over="ignore"): v = np.exp(p[0]) + values * np.exp(p[1])
            return 0.5 * np.sum(np.log(2 * np.pi * v) + z2 / v)
        return -min(minimize(loss, [b, a - scale], method="Nelder-Mead", options=dict(xatol=1e-9, fatol=1e-11, maxiter=4000)).fun for b in (-6, -1, 1) for a in (-12, -3, 0, 4))
    return np.mean([largest(c) for c in columns]) / len(f)


@st.composite
def feature_tables(draw):
    n, d, seed = draw(st.integers(2, 14)), draw(st.integers(1, 18)), draw(st.integers(0, 10**6))
    rng = np.random.default_rng(seed)
    f = rng.normal(size=(n, d)) * np.exp(rng.normal(size=d)) * draw(st.sampled_from([1e-3, 1, 1e3]))
    kind = draw(st.sampled_from(["plain", "constant column", "duplicate rows", "duplicate columns", "a zero column", "shifted"]))
    if kind == "constant column": f[:, 0] = f[0, 0]
    elif kind == "duplicate rows": f[n // 2:] = f[:n - n // 2]
    elif kind == "duplicate columns": f[:, -1] = f[:, 0]
    elif kind == "a zero column": f[:, 0] = 0
    elif kind == "shifted": f += 5
    return f, rng


@given(feature_tables(), st.integers(2, 4), st.booleans())
@examples(25)
def test_logme_is_the_largest_evidence(table, n_classes, real):
    f, rng = table
    y = f[:, 0] / f.std() + rng.normal(size=len(f)) if real else rng.integers(0, n_classes, len(f))
    found, brute = logme(f, y), brute_logme(f, y)
    assert found >= brute - 1e-6
    assert found <= brute + max(1e-4, 1e-3 * abs(brute)) or found > 3  # a perfect fit has no largest evidence


@given(feature_tables(), st.integers(2, 4))
@examples(60)
def test_logme_does_not_see_rotation_scale_order_or_the_names_of_classes(table, n_classes):
    f, rng = table
    y = rng.integers(0, n_classes, len(f))
    value = logme(f, y)
    assert math.isfinite(value)
    assume(value < 3)
    turned, order, names = np.linalg.qr(rng.normal(size=(f.shape[1],) * 2))[0], rng.permutation(len(f)), rng.permutation(n_classes) * 7 - 3
    for other in (logme(f @ turned, y), logme(f * 1e4, y), logme(f[order], y[order]), logme(f, names[y]), logme(np.hstack([f, 0 * f]), y)):
        assert other == pytest.approx(value, abs=1e-6)
    columns = (y[:, None] == np.unique(y)).astype(float)
    assert logme(f, columns) == pytest.approx(value, abs=1e-9) == pytest.approx(np.mean([logme(f, c) for c in columns.T]), abs=1e-9)


def test_logme_prefers_features_that_tell():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 60)
    noise, signal = rng.normal(size=(60, 8)), np.eye(3)[y] @ rng.normal(size=(3, 8))
    values = [logme(noise + s * signal, y) for s in (0, 0.5, 1, 2, 4)]
    assert values == sorted(values)
    assert logme(torch.tensor(noise), torch.tensor(y)) == logme(noise, y) == logme(noise.astype(np.float32).astype(float) * 0 + noise, list(y))


@pytest.mark.parametrize("f, y", [(np.zeros((0, 3)), []), (np.ones((3, 2)), [0, 1]), (np.ones(3), [0, 1, 0]), (np.ones((3, 0)), [0, 1, 0]), (np.ones((2, 2)), [math.nan, 1]), (np.full((2, 2), math.inf), [0, 1]),
                                  (np.ones((3, 2)), ["a", "b", "a"]), (np.ones((3, 2)), [None, 1, 2]), (np.ones((1, 2)), 3)], ids=str)
def test_logme_refuses(f, y): refused(lambda: logme(f, y))


# ---------------------------------------------------------------------------------------------------------------------
# Transfer

class Counter:
    "How many images went through each stage, and of which sizes."
    def __init__(self, t):
        self.n, self.sizes = [0] * len(t.stages), []
        for i, stage in enumerate(t.stages): stage.register_forward_pre_hook(lambda m, inputs, i=i: self.see(i, inputs[0]))
    def see(self, i, x):
        self.n[i] += len(x)
        if i == 0: self.sizes += [x.shape[-1]] * len(x)


def trained(recipe, data=None, net=None, **options):
    t = Transfer(net or random_net(), 3, recipe, **options)
    t.counted = Counter(t)
    return t.fit(data or task(), bs=16)


@pytest.mark.parametrize("batch_norm", ["frozen", "train"])
@pytest.mark.parametrize("name", RECIPES)
def test_the_cache_changes_costs_and_nothing_else(name, batch_norm):
    x, _ = task()
    kept, anew = [trained(RECIPES[name], batch_norm=batch_norm, cache_bytes=b) for b in (2**30, 0)]
    for t in (kept, anew): assert t.passes == t.counted.n[-1] == t.history[-1]["passes"]
    epochs = sum(p.epochs for p in RECIPES[name])
    assert anew.passes == len(x) * (epochs + 1) and kept.passes <= anew.passes  # one pass for the head's mean and deviation
    assert torch.allclose(kept.predict(x), anew.predict(x), atol=1e-5)
    a, b = kept.model.state_dict(), anew.model.state_dict()
    assert all(torch.allclose(a[k].float(), b[k].float(), atol=1e-5) for k in a)
    assert [h["loss"] for h in kept.history] == pytest.approx([h["loss"] for h in anew.history], abs=1e-5)


def test_a_probe_passes_each_image_once_and_a_frozen_stage_too():
    x, y = task()
    assert trained(linear_probe(20)).passes == len(x)
    t = trained([Phase(5, 1e-2, 1)])
    assert t.counted.n == [2 * len(x), 2 * len(x), 6 * len(x)] and t.passes == 6 * len(x)
    few = Transfer(random_net(), 3, [Phase(5, 1e-2, 1)], cache_bytes=100)  # too little for anything
    few.counted = Counter(few)
    assert torch.allclose(few.fit((x, y), bs=16).predict(x), t.predict(x), atol=1e-5)


def test_validation_counts_apart_and_changes_nothing():
    data = task()
    plain, scored = trained(RECIPES["gradual"]), Transfer(random_net(), 3, RECIPES["gradual"]).fit(data, valid=task(9, seed=5), bs=16)
    assert plain.passes == scored.passes and same(plain.model.state_dict(), scored.model.state_dict())
    assert all(0 <= h["valid_accuracy"] <= 1 for h in scored.history) and len(scored.history) == 4
    assert scored.history[-1]["valid_accuracy"] == scored.accuracy(*task(9, seed=5))


@pytest.mark.parametrize("batch_norm", ["frozen", "train"])
@pytest.mark.parametrize("stages", [0, 1, 2, None])
def test_what_is_frozen_and_what_moves(stages, batch_norm):
    t = Transfer(random_net(), 3, [Phase(2, 1e-2, stages)], batch_norm=batch_norm)
    before = [snapshot(s) for s in t.stages]
    t.fit(task(), bs=16)
    for i, (stage, old) in enumerate(zip(t.stages, before)):
        active = stages is None or i >= len(t.stages) - stages
        for name, value in stage.state_dict().items():
            statistic = any(w in name for w in ("running_", "num_batches"))
            assert torch.equal(value, old[name]) != (batch_norm == "train" if statistic else active), (i, name)
    assert not torch.equal(t.head.linear.weight, torch.zeros_like(t.head.linear.weight))


@pytest.mark.parametrize("name", RECIPES)
def test_the_published_network_is_not_changed(name):
    net = random_net()
    net.body[0].weight.requires_grad_(False)
    net.body[3].train()
    before, flags, grads = snapshot(net.model), [m.training for m in net.model.modules()], [(p.requires_grad, p.grad) for p in net.model.parameters()]
    for batch_norm in ("frozen", "train"):
        Transfer(net, 3, RECIPES[name], batch_norm=batch_norm).fit(task(20), bs=16).predict(images(3), tta=True)
    assert same(before, net.model.state_dict()) and flags == [m.training for m in net.model.modules()] and grads == [(p.requires_grad, p.grad) for p in net.model.parameters()]


@pytest.mark.parametrize("name", ["lp_ft", "mirrored", "growing"])
def test_the_seed_decides(name):
    def run(seed, luck):
        torch.manual_seed(luck), np.random.seed(luck), random.seed(luck)
        return Transfer(net, 3, RECIPES[name], seed=seed).fit(task(), bs=16).model.state_dict()
    net = random_net(dropout=0.3)
    first = run(1, 0)
    assert same(first, run(1, 99)) and not same(first, run(2, 0))


def test_fit_leaves_the_global_random_state_alone():
    t = Transfer(random_net(dropout=0.3), 3, RECIPES["mirrored"])
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    t.fit(task())
    assert torch.equal(before[0], torch.get_rng_state()) and (before[1] == np.random.get_state()[1]).all() and before[2] == random.getstate()


def test_rates_are_as_the_recipe_promises(monkeypatch):
    seen = []
    class Spy(torch.optim.AdamW):
        def step(self, *args, **kwargs):
            seen.append([({id(p) for p in g["params"]}, g["lr"], g["betas"][0], g["weight_decay"]) for g in self.param_groups])
            return super().step(*args, **kwargs)
    monkeypatch.setattr(torch.optim, "AdamW", Spy)
    t = Transfer(random_net(), 3, [Phase(10, 0.01, None, 2.0), Phase(10, 0.02, 1, 3.0), Phase(5, 0.03)], weight_decay=0.05).fit(task(), bs=10)
    parts = [{id(p) for p in part.parameters()} for part in [*t.stages, t.head]]
    assert len(seen) == 4 * 25
    for steps, expected in ((seen[:40], [0.01 / 8, 0.01 / 4, 0.01 / 2, 0.01]), (seen[40:80], [0.02 / 3, 0.02]), (seen[80:], [0.03])):
        assert [g[0] for g in steps[0]] == parts[-len(expected):]
        curves = np.array([[g[1] for g in step] for step in steps])
        assert np.allclose(curves.max(0), expected) and np.allclose(curves / curves[:, -1:], np.array(expected) / expected[-1])
        assert np.allclose(curves[:, -1], schedules.curve(schedules.one_cycle(expected[-1]), len(steps)))
        assert all(g[3] == 0.05 for step in steps for g in step) and min(g[2] for step in steps for g in step) == pytest.approx(0.85, abs=2e-3)


@pytest.mark.parametrize("n_epochs, sizes", [(4, (8, 16)), (6, (8, 12, 16)), (5, (8, 16)), (2, (8, 12, 16)), (1, (8, 16))])
def test_the_body_sees_the_sizes_in_order_and_the_last_one_at_the_end(n_epochs, sizes):
    n = 20
    try: t = Transfer(random_net(), 3, [Phase(n_epochs, 1e-2, None, sizes=sizes)])
    except ValueError: assert n_epochs < len(sizes); return
    t.counted = Counter(t)
    try: t.fit(task(n, 24))
    except ValueError: assert n_epochs < len(sizes); return
    epochs = [h["size"] for h in t.history]
    assert t.counted.sizes == [sizes[-1]] * n + [s for s in epochs for _ in range(n)]
    assert epochs == sorted(epochs) and epochs[-1] == sizes[-1]
    if n_epochs >= len(sizes): assert set(epochs) == set(sizes) and max(map(epochs.count, sizes)) - min(map(epochs.count, sizes)) <= 1
    t.counted.sizes.clear()
    t.predict(images(3, 24)), t.predict(images(3, 24), size=10)
    assert t.counted.sizes == [sizes[-1]] * 3 + [10] * 3


def test_images_that_are_not_square_stay_so():
    net, x = random_net(), images(12, shape=(16, 12))
    with torch.inference_mode(): maps = net.body(net.preprocessing(x)).mean((2, 3)).numpy()
    assert np.allclose(features(net, x), maps, atol=1e-5)
    shapes = []
    t = Transfer(net, 3, fine_tuning(1))
    t.stages[0].register_forward_pre_hook(lambda m, inputs: shapes.append(tuple(inputs[0].shape[2:])))
    t.fit((x, torch.arange(12) % 3)).predict(x)
    assert set(shapes) == {(16, 12)}


def test_predictions_and_test_time_augmentation():
    x, y = task(30)
    t = trained(RECIPES["lp_ft"])
    p = t.predict(x)
    assert p.shape == (30, 3) and torch.allclose(p.sum(1), torch.ones(30), atol=1e-5) and not p.requires_grad
    assert torch.allclose(t.predict(x, tta=True), (p + t.predict(x.flip(3))) / 2, atol=1e-6) and torch.allclose(t.predict(x.flip(3), tta=True), t.predict(x, tta=True), atol=1e-6)
    assert torch.allclose(t.predict(x, bs=7), p, atol=1e-6) and torch.equal(t.predict(x.numpy()), p) and torch.equal(t.predict(x[3:4])[0].argmax(), p[3].argmax())
    assert t.accuracy(x, y) == (p.argmax(1) == y).double().mean().item() and t.accuracy(x, y.numpy(), tta=True) == (t.predict(x, tta=True).argmax(1) == y).double().mean().item()
    with torch.inference_mode(): assert torch.allclose(t.model.eval()(t.preprocessing(x)).softmax(1), p, atol=1e-6)
    for bad in (y[:1], y[:7]): refused(lambda: t.accuracy(x, bad))
    refused(lambda: t.accuracy(x[:0], y[:0]))


def test_before_training_every_class_is_as_likely():
    assert torch.allclose(Transfer(random_net(), 4, linear_probe(1)).predict(images(3)), torch.tensor(0.25))


def test_after_training_the_network_is_ready_to_be_used():
    for name, batch_norm in (("probe", "frozen"), ("fine_tuning", "train"), ("gradual", "frozen")):
        t = trained(RECIPES[name], net=random_net(dropout=0.5), batch_norm=batch_norm)
        x, before = images(8), snapshot(t.model)
        with torch.no_grad(): out = t.model(t.preprocessing(x)).softmax(1)
        assert torch.allclose(out, t.predict(x), atol=1e-6), f"{name}: t.model(x) isn't what t.predict(x) says: training mode?"
        assert same(before, t.model.state_dict()) and t.history[-1]["seconds"] > 0


def test_the_model_is_one_module():
    t = trained(RECIPES["gradual"])
    assert t.model is t.model and not t.model.training
    guard(t.model, t.preprocessing)
    assert len(told(lambda: t.model(smooth(0, 8, 16, 2.0)))) == 1


@pytest.mark.parametrize("batch_norm", ["frozen", "train"])
def test_the_cache_with_layers_that_work_in_place(batch_norm):
    net = pretrained("squeezenet1_0", weights=False)
    data = images(9, 40), torch.arange(9) % 3
    kept, anew = [Transfer(net, 3, gradual(4), batch_norm=batch_norm, cache_bytes=b).fit(data, bs=4).predict(data[0]) for b in (2**30, 0)]
    assert torch.allclose(kept, anew, atol=1e-5)


def test_copies_and_pickles_predict_the_same():
    t, x = trained(RECIPES["gradual"]), images(9)
    t2 = Transfer(random_net(), 3, RECIPES["gradual"]).fit(task(), bs=16)
    for other in (copy.deepcopy(t2), pickle.loads(pickle.dumps(t2))):
        assert torch.equal(other.predict(x), t.predict(x)) and other.history[-1]["loss"] == t.history[-1]["loss"]
    fresh = Transfer(random_net(), 3)
    fresh.model.load_state_dict(t.model.state_dict())
    assert torch.equal(fresh.predict(x), t.predict(x))
    alone = copy.deepcopy(t.model)
    with torch.no_grad(): alone[-1].linear.weight.add_(1)
    assert not torch.equal(alone[-1].linear.weight, t.head.linear.weight)


def test_a_second_fit_sees_its_own_images():
    (x, y), (x2, y2) = task(40, seed=0), task(40, seed=1)
    t = Transfer(random_net(), 3, linear_probe(3)).fit((x, y))
    again = t.fit((x2, y2)).predict(x2)
    other = Transfer(random_net(), 3, linear_probe(3), cache_bytes=0).fit((x, y)).fit((x2, y2)).predict(x2)
    assert torch.allclose(again, other, atol=1e-5)


def test_a_fit_after_one_that_failed_sees_its_own_images():
    (x, y), (x2, y2) = task(40, seed=0), task(40, seed=1)
    class Stop(Exception): pass
    for recipe in (linear_probe(3), RECIPES["lp_ft"]):
        found = []
        for cache_bytes in (2**30, 0):
            t = Transfer(random_net(), 3, recipe, cache_bytes=cache_bytes)
            def stop(*_): raise Stop
            handle = t.head.linear.register_forward_pre_hook(stop)
            with pytest.raises(Stop): t.fit((x2, y2))
            handle.remove()
            found.append(t.fit((x, y)).predict(x))
        assert torch.allclose(*found, atol=1e-5)


BAD_LABELS = {"floats": lambda y: y.float(), "half": lambda y: y + 0.5, "negative": lambda y: y - 1, "too large": lambda y: y + 1, "strings": lambda y: ["ant", "bee", "ant"] * 4, "numpy strings": lambda y: np.array(["a"] * 12),
              "objects": lambda y: np.array([None] * 12), "one-hot": lambda y: torch.eye(3)[y], "too few": lambda y: y[:5], "none": lambda y: y[:0], "a number": lambda y: 1, "NaN": lambda y: torch.full((12,), math.nan), "nothing": lambda y: None}


@pytest.mark.parametrize("what", BAD_LABELS)
def test_bad_labels_are_refused_before_training(what):
    x, y = task(12)
    t = Transfer(random_net(), 3, linear_probe(1))
    refused(lambda: t.fit((x, BAD_LABELS[what](y))))
    refused(lambda: t.fit((x, y), valid=(x, BAD_LABELS[what](y))))
    assert not t.history and t.passes == 0


@pytest.mark.parametrize("kind", ["uint8", "int8", "int16", "uint16", "int32", "int64", "uint32", "list"])
def test_all_kinds_of_whole_numbers_are_labels(kind):
    x, y = task(12, n_out=2)
    t = Transfer(random_net(), 2, linear_probe(2))
    labels = y.tolist() if kind == "list" else y.numpy().astype(kind)
    assert torch.equal(t.fit((x, labels)).predict(x), Transfer(random_net(), 2, linear_probe(2)).fit((x.numpy(), y)).predict(x))


def test_a_class_without_examples_is_named():
    x, y = task(12)
    refused(lambda: Transfer(random_net(), 5, linear_probe(1)).fit((x, y)), "3", "4", "no examples")
    refused(lambda: Transfer(random_net(), 3, linear_probe(1)).fit((x, y * 0 + 1)), "0", "2", "no examples")
    Transfer(random_net(), 3, linear_probe(1)).fit((x, y), valid=(x[:1], y[:1]))  # in validation it may be missing


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("bs", [1, 1000])
def test_one_image_per_class_and_batches_of_one(name, bs):
    data = task(3)
    for batch_norm in ("frozen", "train"):
        t = Transfer(random_net(), 3, RECIPES[name], batch_norm=batch_norm).fit(data, bs=bs)
        assert torch.isfinite(t.predict(images(5))).all() and t.accuracy(*data) >= 1 / 3


@pytest.mark.parametrize("batch_norm", ["frozen", "train"])
def test_images_that_are_all_equal(batch_norm):
    x = images(1).expand(12, -1, -1, -1)
    t = Transfer(random_net(), 3, RECIPES["lp_ft"], batch_norm=batch_norm).fit((x, torch.arange(12) % 3))
    assert torch.isfinite(t.predict(x)).all()


@pytest.mark.parametrize("given_up", [dict(bs=0), dict(bs=-1), dict(bs=2.5), dict(n_stages=0), dict(n_stages=-1), dict(n_out=2.0), dict(n_out="3"), dict(n_out=1), dict(n_out=None), dict(recipe="lpft"), dict(recipe=linear_probe),
                                      dict(recipe=Phase(1, 1e-2)), dict(recipe=None), dict(recipe=[]), dict(recipe=[Phase(1, -1.0)]), dict(recipe=[Phase(1, math.nan)]), dict(recipe=[Phase(-1, 1e-2)]), dict(recipe=[Phase(1.5, 1e-2)]),
                                      dict(recipe=[Phase(1, 1e-2, -2)]), dict(recipe=[Phase(1, 1e-2, None, 0)]), dict(recipe=[Phase(1, 1e-2, sizes=(0,))]), dict(recipe=[Phase(1, 1e-2, sizes=(-8,))]), dict(batch_norm="eval"),
                                      dict(batch_norm=None), dict(net=nn.Linear(1, 1)), dict(net=None), dict(seed=-1)], ids=str)
def test_impossible_arguments_are_refused(given_up):
    more = dict(given_up)
    bs = more.pop("bs", 16)
    def go():
        options = dict(n_out=3, recipe=linear_probe(1)) | more
        Transfer(options.pop("net", random_net()), options.pop("n_out"), options.pop("recipe"), **options).fit(task(12), bs=bs)
    refused(go)


@pytest.mark.parametrize("train", [None, (), (images(3),), images(3), "xy"], ids=lambda t: type(t).__name__)
def test_what_is_no_pair_is_refused(train):
    with pytest.raises((ValueError, TypeError)): Transfer(random_net(), 3, linear_probe(1)).fit(train)


def test_a_rate_that_explodes_is_told():
    refused(lambda: Transfer(random_net(), 3, [Phase(3, 1e25, None)]).fit(task()), "rate")


def test_devices():
    net = random_net()
    t = Transfer(net, 3, RECIPES["lp_ft"], device="cpu").fit(task())
    assert t.device == torch.device("cpu") and t.predict(images(2)).device.type == "cpu"
    refused(lambda: Transfer(net, 3, device="no such thing"), kind=Exception, length=3000)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_what_the_processor_gives():
    x, y = task()
    for name in RECIPES:
        cpu, gpu = [Transfer(random_net(), 3, RECIPES[name], device=d).fit((x, y), bs=16) for d in ("cpu", "cuda")]
        assert torch.allclose(cpu.predict(x), gpu.predict(x), atol=1e-2) and gpu.predict(x).device.type == "cpu", name
        moved = Transfer(random_net(), 3, RECIPES[name], device="cuda").fit((x.cuda(), y.cuda()), bs=16)
        assert torch.allclose(moved.predict(x), gpu.predict(x), atol=1e-2)
    net = random_net()
    assert np.allclose(features(net, x, device="cpu"), features(net, x, device="cuda"), atol=1e-3)


@pytest.mark.parametrize("make", [pytest.param(lambda: pretrained("squeezenet1_0", weights=False), id="squeezenet"), pytest.param(lambda: pretrained("mnasnet0_5", weights=False), id="mnasnet"),
                                  pytest.param(lambda: pretrained("efficientnet_b0", weights=False), id="efficientnet", marks=full), pytest.param(lambda: pretrained("timm/regnetx_002", weights=False), id="timm's regnet")])
@pytest.mark.parametrize("batch_norm", ["frozen", "train"])
def test_real_architectures_train_by_every_stage(make, batch_norm):
    if "timm" in repr(make.__code__.co_consts): pytest.importorskip("timm")
    net = make()
    data = images(6, 32), torch.arange(6) % 2
    t = Transfer(net, 2, gradual(4), batch_norm=batch_norm).fit(data, bs=3)
    assert torch.isfinite(t.predict(data[0])).all() and sum(p.numel() for p in t.stages.parameters()) == sum(p.numel() for p in net.body.parameters())


# ---------------------------------------------------------------------------------------------------------------------
# Schedules

rates_ = st.floats(1e-8, 1e3)
shares = st.floats(0.02, 0.98)


def weights(n, seed=0):
    g = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(3, generator=g)) for _ in range(n)]


def optimiser(kind, n=1, lr=0.1, **more):
    return getattr(torch.optim, kind)([dict(params=[p]) for p in weights(n)], lr=lr, **more)


def take(opt, scheduler, n):
    "Steps on a quadratic loss; the rates and momenta that each of them used."
    used = []
    for _ in range(n):
        opt.zero_grad()
        sum((p**2).sum() for g in opt.param_groups for p in g["params"]).backward()
        used.append([(float(g["lr"]), g["betas"][0] if "betas" in g else g.get("momentum")) for g in opt.param_groups])
        opt.step(), scheduler.step()
    return used


@given(st.integers(1, 60), shares, st.lists(rates_, min_size=1, max_size=4), st.floats(1.01, 1e3), st.floats(1, 1e6), st.floats(0, 0.9), st.floats(0, 0.99))
@examples(100)
def test_one_cycle_is_two_half_cosines_at_any_length(n, pct, lrs, div, div_final, low, high):
    opt = optimiser("SGD", len(lrs), momentum=0.5)
    used = np.array(take(opt, OneCycle(opt, lrs, n, pct, div, div_final, momentum=(high, low)), n))
    t = np.arange(n) / n
    def half(a, b, share): return a + (b - a) * (1 - np.cos(np.pi * share)) / 2
    up = t < pct
    for i, lr in enumerate(lrs):
        expected = np.where(up, half(lr / div, lr, t / pct), half(lr, lr / div_final, (t - pct) / (1 - pct)))
        assert np.allclose(used[:, i, 0], expected, rtol=1e-6, atol=lr * 1e-9)
        assert np.allclose(used[:, i, 1], np.where(up, half(high, low, t / pct), half(low, high, (t - pct) / (1 - pct))), atol=1e-9)
    assert used[0, 0, 0] == pytest.approx(lrs[0] / div) and (used[:, :, 0] > 0).all() and (used[:, :, 0] <= np.array(lrs) * (1 + 1e-9)).all()
    end = [g["lr"] for g in opt.param_groups]
    assert end == pytest.approx([lr / div_final for lr in lrs])


SOME = st.sampled_from([lambda: schedules.constant(0.1), lambda: schedules.linear(0.1, 0), lambda: schedules.cosine(0.2, 0.01), lambda: schedules.exponential(0.1, 1e-4), lambda: schedules.step(0.1),
                        lambda: schedules.triangular(0.01, 0.1, 3), lambda: schedules.warmup(schedules.cosine(0.1, 0), 0.1), lambda: schedules.one_cycle(0.3),
                        lambda: schedules.joined([(0.2, schedules.linear(0, 0.1)), (0.5, schedules.constant(0.1)), (0.3, schedules.one_cycle(0.1))])])


@given(st.lists(SOME, min_size=1, max_size=3), st.integers(1, 25), st.sampled_from(["SGD", "Adam", "AdamW", "RMSprop"]), st.booleans(), st.booleans())
@examples(25)
def test_resuming_at_any_step_is_as_if_nothing_had_happened(made, n, kind, momentum, through_json):
    def start():
        opt = optimiser(kind, len(made), **(dict(momentum=0.9) if kind in ("SGD", "RMSprop") else {}))
        return opt, Scheduler(opt, n, [make() for make in made], schedules.one_cycle_momentum() if momentum else None)
    opt, scheduler = start()
    states = []
    def state(): return copy.deepcopy([p.detach() for g in opt.param_groups for p in g["params"]]), copy.deepcopy(opt.state_dict()), scheduler.state_dict()
    used = []
    for _ in range(n): states.append(state()); used += take(opt, scheduler, 1)
    states.append(state())
    for done, (values, opt_state, saved) in enumerate(states):
        opt2, scheduler2 = start()
        with torch.no_grad():
            for p, v in zip((p for g in opt2.param_groups for p in g["params"]), values): p.copy_(v)
        if done % 2: opt2.load_state_dict(copy.deepcopy(opt_state)), scheduler2.load_state_dict(json.loads(json.dumps(saved)) if through_json else saved)
        else: scheduler2.load_state_dict(saved), opt2.load_state_dict(copy.deepcopy(opt_state))
        assert scheduler2.state_dict() == saved and saved["done"] == done
        assert take(opt2, scheduler2, n - done) == used[done:]
        assert all(torch.equal(p, q) for g, h in zip(opt.param_groups, opt2.param_groups) for p, q in zip(g["params"], h["params"]))
        refused(scheduler2.step, "steps")


@pytest.mark.parametrize("bad", [dict(done=999), dict(done=-1), dict(done="3"), dict(done=2.5), dict(done=11), dict(done=None), dict(n_steps=9), dict(lr=[0.1]), dict(lr=[0.9, 0.9]), dict(lr=None), "no lr", "nothing", "momentum", None, [1]], ids=str)
@pytest.mark.parametrize("own", [False, True])
def test_a_state_that_does_not_belong_is_refused_and_changes_nothing(bad, own):
    opt = optimiser("SGD", 2, momentum=0.9)
    scheduler = Scheduler(opt, 10, (lambda p: 2 - p / 2) if own else schedules.cosine(1, 0))
    take(opt, scheduler, 4)
    good, before = scheduler.state_dict(), [dict(g, params=None) for g in opt.param_groups]
    def rate(done): return [2 - done / 20] * 2 if own and isinstance(done, (int, float)) else good["lr"]
    state = {k: v for k, v in good.items() if k != "lr"} if bad == "no lr" else {} if bad == "nothing" else good | dict(momentum=[0.9, 0.9]) if bad == "momentum" else good | dict(lr=rate(bad.get("done", 4))) | bad if isinstance(bad, dict) else bad
    refused(lambda: scheduler.load_state_dict(state))
    assert scheduler.state_dict() == good and before == [dict(g, params=None) for g in opt.param_groups]
    take(opt, scheduler, 6)
    refused(scheduler.step)


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Muon"])
def test_every_optimiser_with_a_momentum(kind):
    if not hasattr(torch.optim, kind): pytest.skip("not in this torch")
    opt = getattr(torch.optim, kind)([nn.Parameter(torch.ones(2, 2))], lr=1)
    used = take(opt, OneCycle(opt, 0.1, 20), 20)
    assert np.allclose([u[0][0] for u in used], schedules.curve(schedules.one_cycle(0.1), 20)) and np.allclose([u[0][1] for u in used], schedules.curve(schedules.one_cycle_momentum(), 20))
    if kind != "SGD": assert opt.param_groups[0].get("betas", (0, 0))[1:] == getattr(torch.optim, kind)([nn.Parameter(torch.ones(2, 2))]).param_groups[0].get("betas", (0, 0))[1:]


@pytest.mark.parametrize("kind", ["Adagrad", "Adadelta", "Rprop", "ASGD"])
def test_an_optimiser_without_momentum(kind):
    opt = optimiser(kind)
    before = dict(opt.param_groups[0])
    refused(lambda: OneCycle(opt, 0.1, 5), "momentum=None")
    assert before == opt.param_groups[0]
    take(opt, OneCycle(opt, 0.1, 5, momentum=None), 5)


def test_parameters_added_later():
    opt = optimiser("SGD", 1, momentum=0.9)
    scheduler = OneCycle(opt, 0.1, 10)
    first = take(opt, scheduler, 4)
    opt.add_param_group(dict(params=weights(1, 7), lr=99.0))
    rest = take(opt, scheduler, 1) + take(opt, scheduler, 5)
    assert rest[0][1][0] in (99.0, rest[0][0][0])  # the scheduler sets it at its next step
    alone = optimiser("SGD", 1, momentum=0.9)
    assert all(u[0] == u[1] for u in rest[1:]) and [u[0] for u in first + rest] == [u[0] for u in take(alone, OneCycle(alone, 0.1, 10), 10)]
    opt = optimiser("SGD", 2)
    scheduler = Scheduler(opt, 10, [0.1, 0.2])
    opt.add_param_group(dict(params=weights(1, 7), lr=99.0))
    refused(scheduler.step, "3 parameter groups")
    assert scheduler.done == 0, "a step that failed was counted"


def test_a_schedule_that_gives_nonsense_stops_before_anything_is_set():
    for value in (math.nan, math.inf, -0.1):
        opt = optimiser("Adam", 2)
        scheduler = Scheduler(opt, 4, lambda p: 0.1 if p < 0.5 else value)
        take(opt, scheduler, 1)
        refused(scheduler.step, "0.5")
        assert [g["lr"] for g in opt.param_groups] == [0.1, 0.1] and scheduler.done == 1
        refused(scheduler.step, "0.5")
    for momentum in (1.0, 1.5, [0.9, 1.2], -0.1, math.nan, "a", lambda p: 2.0):
        opt = optimiser("Adam", 2)
        message = refused(lambda: Scheduler(opt, 4, momentum=momentum), "momentum")
        assert "lr must" not in message and opt.param_groups[0]["betas"] == (0.9, 0.999)


@pytest.mark.parametrize("call", [lambda o: OneCycle(o, 0.1, 5, momentum=0.9), lambda o: OneCycle(o, 0.1, 5, momentum=(0.9, 0.8, 0.7)), lambda o: OneCycle(o, 0.1, 5, momentum=(0.9,)), lambda o: OneCycle(o, 0.1, 5, momentum=(1, 0.9)),
                                  lambda o: OneCycle(o, [0.1], 5), lambda o: OneCycle(o, [0.1, 0.2, 0.3], 5), lambda o: OneCycle(o, 0, 5), lambda o: OneCycle(o, -0.1, 5), lambda o: OneCycle(o, math.nan, 5), lambda o: OneCycle(o, "a", 5),
                                  lambda o: OneCycle(o, 0.1, 0), lambda o: OneCycle(o, 0.1, 2.5), lambda o: OneCycle(o, 0.1, "5"), lambda o: OneCycle(o, 0.1, 5, pct_start=0), lambda o: OneCycle(o, 0.1, 5, pct_start=1),
                                  lambda o: OneCycle(o, 0.1, 5, div=0), lambda o: OneCycle(o, 0.1, 5, div_final=math.inf), lambda o: Scheduler(o, 5), lambda o: Scheduler([torch.ones(1)], 5, 0.1), lambda o: Scheduler(o, 5, None, None)])
def test_impossible_schedules_are_refused(call):
    opt = optimiser("SGD", 2, momentum=0.9)
    before = [dict(g, params=None) for g in opt.param_groups]
    refused(lambda: call(opt))
    assert before == [dict(g, params=None) for g in opt.param_groups]


@pytest.mark.parametrize("call", [lambda: schedules.step(0.1, at=0.5)(0.1), lambda: schedules.joined([(0.5, 0.1), (0.5, 0.2)])(0.1), lambda: schedules.warmup(0.1)(0.1), lambda: schedules.curve(0.1, 3)])
def test_a_number_is_taken_for_a_constant_or_refused(call):
    try: call()
    except ValueError as e: assert "\n" not in str(e)


@given(rates_, rates_, st.floats(0, 1))
@examples(100)
def test_schedules_stay_between_their_ends(a, b, p):
    low, high = min(a, b) * (1 - 1e-9), max(a, b) * (1 + 1e-9)
    for make in (schedules.linear, schedules.cosine, schedules.exponential, lambda a, b: schedules.triangular(a, b, 3)):
        assert low - high * 1e-12 <= make(a, b)(p) <= high
        assert make(a, b)(0) == pytest.approx(a)
    for make in (schedules.linear, schedules.cosine, schedules.exponential): assert make(a, b)(1) == pytest.approx(b)
    for outside in (-1e-9, 1 + 1e-9, math.nan): refused(lambda: schedules.cosine(a, b)(outside))


@given(st.integers(0, 10**5), st.integers(1, 6), st.integers(1, 500))
@examples(60)
def test_joined_schedules_give_each_its_share(seed, n, steps):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(n)) * 0.99 + 0.01 / n
    rates = rng.random(n)
    got = schedules.curve(schedules.joined([(s, schedules.constant(r)) for s, r in zip(shares, rates)]), steps)
    starts = np.array([math.fsum(shares[:i]) for i in range(n)])
    assert got == pytest.approx(rates[np.searchsorted(starts, np.arange(steps) / steps, side="right") - 1])


def test_torchs_half_cosine_and_exponential_are_ours():
    opt = optimiser("SGD")
    for theirs, ours in ((torch.optim.lr_scheduler.CosineAnnealingLR(opt, 30, 0.001), schedules.cosine(0.1, 0.001)), (torch.optim.lr_scheduler.ExponentialLR(optimiser("SGD"), 0.9), schedules.exponential(0.1, 0.1 * 0.9**30))):
        seen = []
        for _ in range(30): seen.append(theirs.get_last_lr()[0]), theirs.optimizer.step(), theirs.step()
        assert np.allclose(seen, schedules.curve(ours, 30))


@pytest.fixture(scope="module")
def fastai():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("fastai.learner"), pytest.importorskip("fastai.optimizer"), pytest.importorskip("fastai.data.core")


def learner(fastai, opt_func=None, x=None, model=None):
    learn, optim, core = fastai
    x = images(24) if x is None else x
    rows = [(a, torch.tensor(i % 5)) for i, a in enumerate(x)]
    dls = core.DataLoaders.from_dsets(rows, rows[:4], bs=8, device=torch.device("cpu"), num_workers=0, shuffle=False)
    return learn.Learner(dls, model or random_net().model, loss_func=nn.functional.cross_entropy, opt_func=opt_func or optim.Adam, train_bn=True)


@pytest.mark.parametrize("name", ["Adam", "SGD", "RMSProp", "wrapped"])
def test_fastais_optimisers_in_a_plain_loop(fastai, name):
    _, optim, _ = fastai
    p = nn.Parameter(torch.ones(3))
    if name == "wrapped": opt = optim.OptimWrapper([p], torch.optim.SGD, lr=0.1, momentum=0.9)
    else: opt = getattr(optim, name)([p], lr=0.1, mom=0.9)
    used, scheduler = [], OneCycle(opt, 0.1, 12)
    for _ in range(12):
        (p**2).sum().backward()
        used.append((opt.hypers[0]["lr"], opt.hypers[0]["mom"]))
        opt.step(), opt.zero_grad(), scheduler.step()
    assert np.allclose(np.array(used).T, [schedules.curve(schedules.one_cycle(0.1), 12), schedules.curve(schedules.one_cycle_momentum(), 12)])
    refused(lambda: OneCycle(optim.SGD([p], lr=0.1), 0.1, 5), "momentum=None")
    refused(lambda: OneCycle(optim.SGD([p], lr=0.1, mom=0.9), [0.1, 0.2], 5), "1 parameter group")


def test_in_a_learner_schedules_agree_with_fastais_own(fastai):
    ours, theirs = learner(fastai), learner(fastai)
    for learn in (ours, theirs): learn.remove_cb(learn.progress) if hasattr(learn, "progress") else None
    with ours.no_logging(), theirs.no_logging():
        for _ in range(2):  # the same callback serves again
            ours.fit(2, cbs=schedule_callback(schedules.one_cycle(3e-3), schedules.one_cycle_momentum()))
            theirs.fit_one_cycle(2, 3e-3)
            for k in ("lrs",): assert np.allclose(getattr(ours.recorder, k), getattr(theirs.recorder, k))
            assert np.allclose(ours.recorder.hps["mom"], theirs.recorder.hps["mom"]) if hasattr(ours.recorder, "hps") else True
    for a, b in zip(ours.model.parameters(), theirs.model.parameters()): assert torch.allclose(a, b, atol=1e-6)
    callback = schedule_callback(schedules.cosine(0.1, 0))
    with ours.no_logging(): ours.fit(1, cbs=callback), ours.fit(1, cbs=callback)
    for bad, words in ((schedule_callback([0.1, 0.2]), "parameter group"), (schedule_callback(lambda p: -1.0), "0 or more"), (schedule_callback(momentum=1.5), "momentum")):
        with ours.no_logging(), pytest.raises(ValueError, match=words): ours.fit(1, cbs=bad)  # fastai puts a line of its own before ours


def test_the_guard_in_a_learner(fastai):
    for wrong in (False, True):
        x = smooth(0, 24, 16, 2.5)
        net = random_net()
        learn = learner(fastai, x=x if wrong else RIGHT(x), model=net.model)
        guard(learn.model, net.preprocessing)
        with learn.no_logging(): assert len(told(lambda: learn.fit(1))) == wrong
