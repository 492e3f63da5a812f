"Random spaces, failing objectives, cut journals, killed workers and drivers: what a search does then."

import copy
import errno
import gc
import json
import math
import os
import pickle
import re
import signal
import subprocess
import sys
import time
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, configuration, example, given, settings
from hypothesis import strategies as st

import objectives
from course_lib import search
from course_lib.halving import ASHA, Hyperband, SuccessiveHalving, brackets, budget_levels, rungs, spent
from course_lib.search import GridSearch, Journal, Optimizer, ProcessWorkers, RandomSearch, Results, Trial, WorkerDied, minimize
from course_lib.spaces import Choice, Constant, Float, Int, Space
from course_lib.surrogates import TPE, ForestSearch, GPSearch
from notebooks import ROOT

configuration.set_hypothesis_home_dir(ROOT / ".cache" / "hypothesis")
TESTS = Path(__file__).parent
SOON = 30  # seconds, for what takes one; the machine may be busy


def examples(n): return settings(max_examples=n, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


seeds = st.integers(0, 2**32)

def sentence(kind, call):
    "The message of the error that `call` ends in: one sentence on one line."
    with pytest.raises(kind) as raised: call()
    message = str(raised.value)
    assert "\n" not in message and message.endswith(".") and len(message) < 600, message
    return message


# ---------------------------------------------------------------------------------------------------------------------
# Random spaces

SCALARS = [None, True, False, 2, -3, 0.5, "adam", "", "é\n\"'", "None", 1e-300]  # no two are equal


@st.composite
def parameters(draw, finite, when):
    kind = draw(st.sampled_from(["int", "choice", "constant"] if finite else ["float", "float", "int", "choice", "constant"]))
    log = draw(st.booleans())
    if kind == "float" and log:
        low = 10**draw(st.floats(-12, 6))
        return Float(low, low * 10**draw(st.floats(0.01, 12)), log=True, when=when)
    if kind == "float":
        low, width = draw(st.floats(-1e6, 1e6)), draw(st.floats(1e-3, 1e6))
        return Float(low, low + width, when=when)
    if kind == "int":
        low = draw(st.integers(1 if log else -50, 50))
        return Int(low, low + draw(st.integers(0, 5) if finite else st.sampled_from([0, 1, 7, 1000, 10**11])), log=log, when=when)
    options = draw(st.lists(st.sampled_from(SCALARS), min_size=1, max_size=1 if kind == "constant" else 4, unique=True))
    return Constant(options[0], when=when) if kind == "constant" else Choice(*options, when=when)


@st.composite
def spaces(draw, finite=False, most=5):
    "A space in which any parameter may depend on one or two of those before it, by one or several of their values."
    params = {}
    for n in range(draw(st.integers(0, most))):
        parents = [name for name, p in params.items() if not isinstance(p, Float)]
        when = {}
        if parents and draw(st.booleans()):
            for name in draw(st.lists(st.sampled_from(parents), min_size=1, max_size=2, unique=True)):
                p = params[name]
                values = p.options if isinstance(p, Choice) else sorted({p.low, (p.low + p.high) // 2, p.high})
                wanted = draw(st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True))
                when[name] = wanted[0] if len(wanted) == 1 else wanted
        params[f"p{n}"] = draw(parameters(finite, when or None))
    return Space(dict(draw(st.permutations(list(params.items())))))


@st.composite
def configs(draw, space):
    "A point of the cube, its corners and edges more often than by chance, decoded."
    return space.decode(draw(st.lists(st.floats(0, 1), min_size=len(space), max_size=len(space))))


def check_round_trip(space, config):
    vector = space.encode(config)
    assert vector.shape == (len(space),)
    assert [name for name, u in zip(space, vector) if not np.isnan(u)] == list(config)  # NaN where inactive, and only there
    assert np.all((np.isnan(vector)) | ((0 <= vector) & (vector <= 1)))
    again = space.decode(vector)
    assert again in space and list(again) == list(config)
    for name, value in config.items():
        p = space[name]
        if isinstance(p, Float): assert abs(again[name] - value) <= 1e-12 * (abs(value) if p.log else p.high - p.low)
        else: assert again[name] == value and type(again[name]) is type(value)


@given(spaces().flatmap(lambda space: st.tuples(st.just(space), configs(space))), seeds)
@examples(60)
def test_what_a_space_gives_is_in_it_and_survives_encoding_and_json(drawn, seed):
    space, config = drawn
    for c in [config, space.sample(seed), *space.neighbours(config), *islice(space.grid(2), 50)]:
        assert c in space
        check_round_trip(space, c)
        back = json.loads(json.dumps(c))
        assert back == c and [type(v) for v in back.values()] == [type(v) for v in c.values()]


@given(st.data())
@examples(60)
def test_any_float_and_any_int_survive_encoding(data):
    p = data.draw(parameters(False, None).filter(lambda p: not isinstance(p, Choice)))
    value = data.draw(st.integers(p.low, p.high) if isinstance(p, Int) else st.floats(p.low, p.high))
    check_round_trip(Space(x=p), dict(x=value))


@given(spaces(finite=True, most=6))
@examples(60)
def test_size_is_the_number_of_grid_points(space):
    assume(space.size <= 3000)
    grid = [json.dumps(c) for c in space.grid()]
    assert len(set(grid)) == len(grid) == space.size


def changes(space, config, other):
    "The parameters that both have with different values; what else comes or goes does so because of one of them, directly or not."
    changed = {name for name in config.keys() & other.keys() if config[name] != other[name]}
    for name in config.keys() ^ other.keys():
        asked, todo = set(), [name]
        while todo: todo += (new := space[todo.pop()].when.keys() - asked); asked |= new
        assert asked & changed
    return changed


@given(spaces().flatmap(lambda space: st.tuples(st.just(space), configs(space))))
@examples(40)
def test_neighbours_differ_in_one_decision(drawn):
    space, config = drawn
    for c in space.neighbours(config):
        assert len(changes(space, c, config)) == 1


def test_a_space_has_the_same_digest_in_another_process():
    drawn = []
    @given(spaces())
    @examples(40)
    def collect(space): drawn.append(space)
    collect()
    code = "import pickle, sys; print(*(s.digest for s in pickle.load(sys.stdin.buffer)))"
    out = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(drawn), capture_output=True, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": "7"}, check=True)
    digests = out.stdout.decode().split()
    assert digests == [s.digest for s in drawn]
    assert len(set(digests)) > 20


# ---------------------------------------------------------------------------------------------------------------------
# Optimizers on them

OPTIMIZERS = dict(
    RandomSearch=RandomSearch,
    GridSearch=lambda space, seed: GridSearch(space, seed, n=3),
    SuccessiveHalving=lambda space, seed: SuccessiveHalving(space, seed, n=11, max_budget=9),
    Hyperband=lambda space, seed: Hyperband(space, seed, max_budget=9),
    ASHA=lambda space, seed: ASHA(space, seed, max_budget=9),
    TPE=lambda space, seed: TPE(space, seed, n_startup=4),
    GPSearch=lambda space, seed: GPSearch(space, seed, n_startup=4, n_candidates=200),
    ForestSearch=lambda space, seed: ForestSearch(space, seed, n_startup=4),
    BOHB=lambda space, seed: Hyperband(space, seed, max_budget=9, sampler=TPE(space, seed, n_startup=4)),
)
RICH = Space(c=Choice("a", "b", None), x=Float(1e-4, 1, log=True, when=dict(c=["a", "b"])), y=Float(-1, 1), k=Int(1, 5, when=dict(c="a")))
each_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)


def run(optimizer, rng, n, workers=3, failing=0.25, loss=None):
    "Ask and tell without `minimize`: up to `workers` trials at once, ending in random order; `failing` of them fail."
    told, history = len(optimizer.history.told), optimizer.history
    while len(history.told) < told + n:
        full = len(history.running) >= workers or len(history.trials) >= told + n
        trial = None if full or history.running and rng.random() < 0.3 else optimizer.ask()
        if trial is not None: yield trial
        elif history.running:
            trial = history.running[rng.integers(len(history.running))]
            bad = rng.random() < failing
            optimizer.tell(trial, rng.choice([math.nan, math.inf, -math.inf]) if bad else loss(trial) if loss else rng.normal())
        else:
            assert optimizer.ask() is None
            assert optimizer.done
            return


# What holds for every optimizer: `make(space, seed)` makes one, on spaces of its kind. test_nas.py asks it of more of them.

def check_asked(make, among, rich, n):
    "What is asked for is in the space, numbered, and in a finite space new, whatever is told and when."
    @given(among, seeds)
    @example(rich, 1)
    @examples(n)
    def check(space, seed):
        optimizer = make(space, seed)
        asked = list(run(optimizer, np.random.default_rng(seed), 14))
        assert all(trial.config in space for trial in asked)
        assert [trial.id for trial in asked] == list(range(len(asked)))
        begun = [json.dumps(trial.config) for trial in asked if trial.parent is None]
        if space.size < math.inf: assert len(set(begun)) == len(begun)
    check()


def check_whole(make):
    "A finite space is tried whole, whatever is forgotten on the way."
    space, rng = Space(c=Choice("a", "b", "c"), k=Int(1, 3, when=dict(c=["a", "b"]))), np.random.default_rng(0)
    optimizer = make(space, 0)
    for n in (1, 3, 2, 200):
        for trial in run(optimizer, rng, n, failing=0): pass
        for trial in optimizer.history.running: optimizer.forget(trial)
    begun = [json.dumps(t.config) for t in optimizer.history.trials.values() if t.parent is None]
    assert len(begun) == len(set(begun)) == space.size == 7


def what(results): return [(t.id, t.config, t.budget, t.parent, t.loss, t.status) for t in results.trials]


def check_cut(make, journal, among, rich, n):
    "A search whose journal was cut anywhere goes on as if nothing had happened."
    @given(among, seeds, st.floats(0, 1), st.booleans())
    @example(rich, 1, 0.75, False)
    @examples(n)
    def check(space, seed, share, whole):
        journal.unlink(missing_ok=True)
        go_on = lambda: minimize(objectives.erratic, make(space, seed), 14, journal=journal, start=[space.sample(seed + 1)], progress=False)
        uncut = what(go_on())
        text = journal.read_bytes()
        if whole: kept = b"".join(text.splitlines(keepends=True)[:round(share * text.count(b"\n"))])
        else: kept = text[:int(share * len(text))]
        journal.write_bytes(kept)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            assert what(go_on()) == uncut
        assert [("cut off" in str(w.message)) for w in said] == ([] if kept[-1:] in (b"", b"\n") else [True])
        assert [json.loads(line)["id"] for line in journal.read_text().splitlines()[1:]] == [id for id, *_ in uncut]
    check()


def well(config, budget=None):
    "Least at (0.6, 0.3), -0.05. A third of the square doesn't work, each part in its own way, and the corner is immense."
    x, y = config["x"], config["y"]
    if x < 0.1: return math.nan
    if x > 0.9: raise ArithmeticError("diverged")
    if y > 0.9: return math.inf
    if y < 0.1: return -math.inf
    return 1e300 if x < 0.2 and y > 0.7 else (x - 0.6)**2 + (y - 0.3)**2 - 0.05


def check_failures(optimizer, best):
    "Failures don't stop or poison a search for the least of `well`."
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = minimize(well, optimizer, 40, start=[dict(x=0.15, y=0.8)], progress=False)
    assert results.stopped in ("n_trials", "done")
    assert all(t.config in optimizer.space for t in results.trials)
    assert {t.status for t in results.trials} == {"done", "failed"}
    assert all(t.loss == math.inf and t.info["error"] for t in results.trials if t.status == "failed")
    assert results.best.loss < best


def check_flat(optimizer, loss):
    "A search in which all is the same goes on."
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = minimize(lambda config, budget=None: loss, optimizer, 12, progress=False)
    assert len(results) == 12 and all(t.config in optimizer.space for t in results.trials)


def check_hopeless(optimizer):
    "A search in which everything fails ends."
    def never(config, budget=None): raise ValueError("never\nin two lines")
    results = minimize(never, optimizer, 15, progress=False)
    assert len(results) > 5 and {t.status for t in results.trials} == {"failed"}
    assert "failed" in sentence(ValueError, lambda: results.best)


def check_told_once(optimizer):
    "A trial is told once, and only if it was asked for."
    trial = optimizer.ask()
    optimizer.tell(trial, 0.5)
    assert "already been told" in sentence(ValueError, lambda: optimizer.tell(trial, 0.5))
    assert "never asked" in sentence(ValueError, lambda: optimizer.tell(Trial(7, trial.config), 0.5))
    assert "never asked" in sentence(ValueError, lambda: optimizer.tell(Trial(0, dict(x=0.123)), 0.5))
    assert len(optimizer.history.told) == 1


@each_optimizer
def test_what_is_asked_is_in_the_space_and_new(name): check_asked(OPTIMIZERS[name], spaces(), RICH, 10 if name in ("GPSearch", "ForestSearch") else 25)


@each_optimizer
def test_a_finite_space_is_tried_whole_whatever_is_forgotten_on_the_way(name): check_whole(OPTIMIZERS[name])


@each_optimizer
def test_a_search_cut_anywhere_goes_on_as_if_nothing_had_happened(name, tmp_path):
    check_cut(OPTIMIZERS[name], tmp_path / "journal", spaces(), RICH, 5 if name in ("GPSearch", "ForestSearch") else 12)


@each_optimizer
def test_failures_dont_stop_or_poison_a_search(name):
    space = Space(x=Float(0, 1), y=Float(0, 1))
    check_failures(GridSearch(space, n=7) if name == "GridSearch" else OPTIMIZERS[name](space, 3), -0.035 if name in ("TPE", "GPSearch", "ForestSearch") else 0.02)


@each_optimizer
@pytest.mark.parametrize("loss", [0.0, 1.0, -1e308])
def test_a_search_in_which_all_is_the_same_goes_on(name, loss): check_flat(OPTIMIZERS[name](RICH, 0), loss)


@each_optimizer
def test_a_search_in_which_everything_fails_ends(name): check_hopeless(OPTIMIZERS[name](Space(x=Float(0, 1), c=Choice("a", "b")), 0))


@each_optimizer
def test_a_trial_is_told_once_and_only_if_it_was_asked_for(name): check_told_once(OPTIMIZERS[name](Space(x=Float(0, 1)), 0))


# ---------------------------------------------------------------------------------------------------------------------
# Schedulers: budgets and promotions

@st.composite
def schedulers(draw):
    "A scheduler of any kind, over a space with many configurations or with few."
    eta = draw(st.integers(2, 4))
    min_budget = draw(st.integers(1, 3))
    levels = dict(min_budget=min_budget, max_budget=min_budget * eta**draw(st.sampled_from([2, 3, 1, 0])) + draw(st.integers(0, 2)), eta=eta)
    space = draw(st.sampled_from([Space(x=Float(0, 1)), Space(x=Float(0, 1), c=Choice("a", "b")), Space(k=Int(1, 12)), Space(k=Constant(1))]))
    sampler = draw(st.sampled_from([None, TPE(space, n_startup=3)]))
    make = draw(st.sampled_from([
        lambda: SuccessiveHalving(space, n=draw(st.sampled_from([None, 20, 7, 2, 1])), sampler=sampler, **levels),
        lambda: Hyperband(space, sizes=draw(st.sampled_from(["algorithm", "table"])), repeats=draw(st.integers(1, 2)), sampler=sampler, **levels),
        lambda: ASHA(space, max_configs=draw(st.integers(1, 40)), sampler=sampler, **levels)]))
    return make()


def children(history): return {t.parent: t for t in history.trials.values() if t.parent is not None}


def check_new_trial(scheduler, trial):
    "What must hold when `trial` has just been asked for."
    history = scheduler.history
    assert trial.budget in scheduler.budgets and type(trial.budget) is int
    if trial.parent is None: return
    parent = history.trials[trial.parent]
    assert parent in history.told and parent.status == "done"
    assert trial.config == parent.config and trial.budget > parent.budget
    assert len(children(history)) == sum(t.parent is not None for t in history.trials.values())  # no trial has two
    if isinstance(scheduler, ASHA):
        rung = [t for t in history.told if t.budget == parent.budget]
        better = sum(t.loss < parent.loss for t in rung)
        assert better < len(rung) // scheduler.eta
        assert trial.budget == scheduler.budgets[scheduler.budgets.index(parent.budget) + 1]


def check_rungs(scheduler):
    "In a finished synchronous search: of each rung at most one in eta went on (and one at least), the best of it, none that failed."
    history, up = scheduler.history, children(scheduler.history)
    if scheduler.space.size == math.inf:
        begun = Counter(t.budget for t in history.trials.values() if t.parent is None)
        assert begun == {bracket[0][1]: bracket[0][0] * getattr(scheduler, "repeats", 1) for bracket in scheduler.plan}
    by_rung = {}
    for t in history.trials.values(): by_rung.setdefault((history.root(t).budget, t.budget), []).append(t)
    for (_, budget), rung in by_rung.items():
        gone = [t for t in rung if t.id in up]
        stayed = [t.loss for t in rung if t.id not in up]
        assert all(t.status == "done" for t in gone)
        if budget == scheduler.budgets[-1]: assert not gone
        elif getattr(scheduler, "repeats", 1) == 1:
            assert len(gone) <= max(1, len(rung) // scheduler.eta)
            assert not gone or max(t.loss for t in gone) <= min(stayed, default=math.inf)
        else: assert len(gone) <= sum(max(1, -(-n // scheduler.eta)) for n in (len(rung) // 2, len(rung) - len(rung) // 2))


def check_finished(scheduler):
    assert scheduler.done and not scheduler.history.running
    if not isinstance(scheduler, ASHA): check_rungs(scheduler)
    trials = scheduler.history.told
    assert spent(trials, restart=True)[-1] == sum(t.budget for t in trials)
    assert spent(trials)[-1] == sum(max(t.budget for t in trials if scheduler.history.root(t).id == root.id) for root in trials if root.parent is None)


@given(schedulers(), seeds, st.integers(1, 5), st.sampled_from([0, 0.2, 0.9]))
@examples(60)
def test_schedulers_keep_their_rules_when_trials_end_in_any_order_and_fail(scheduler, seed, workers, failing):
    for trial in run(scheduler, np.random.default_rng(seed), 2000, workers, failing): check_new_trial(scheduler, trial)
    check_finished(scheduler)


@given(schedulers(), seeds, st.integers(1, 5), st.integers(0, 40))
@examples(60)
def test_schedulers_keep_their_rules_after_a_cut_in_a_parallel_search(scheduler, seed, workers, cut):
    rng, fresh = np.random.default_rng(seed), copy.deepcopy(scheduler)
    for trial in islice(run(scheduler, rng, 2000, workers), cut): check_new_trial(scheduler, trial)
    for trial in scheduler.history.told: fresh.replay(trial)            # as from the journal, in another process
    for trial in scheduler.history.running: scheduler.forget(trial)    # as after Ctrl-C, in this one
    for resumed in (fresh, scheduler):
        for trial in run(resumed, rng, 2000, workers): check_new_trial(resumed, trial)
        check_finished(resumed)


@given(st.integers(1, 100), st.integers(2, 5), st.integers(1, 4), st.sampled_from(["algorithm", "table"]))
@examples(40)
def test_hyperbands_trials_are_those_of_its_brackets(max_budget, eta, min_budget, sizes):
    assume(min_budget <= max_budget)
    scheduler = Hyperband(Space(x=Float(0, 1)), max_budget=max_budget, eta=eta, min_budget=min_budget, sizes=sizes)
    plan = brackets(max_budget, eta, min_budget, sizes)
    total = scheduler.total
    for trial in run(scheduler, np.random.default_rng(0), 10_000, failing=0): pass
    history = scheduler.history
    assert Counter((history.root(t).budget, t.budget) for t in history.told) == {(bracket[0][1], budget): n for bracket in plan for n, budget in bracket}
    assert total == len(history.told) == sum(n for bracket in plan for n, _ in bracket)
    assert spent(history.told, restart=True)[-1] == sum(n * budget for bracket in plan for n, budget in bracket)


@pytest.mark.parametrize("R, eta, levels", [(243, 3, 6), (1000, 10, 4), (81, 3, 5), (64, 2, 7), (80, 3, 4)])
def test_levels_are_counted_in_whole_numbers(R, eta, levels):
    assert len(budget_levels(1, R, eta)) == levels == len(brackets(R, eta))
    assert all(bracket[-1][1] == R for bracket in brackets(R, eta))


# ---------------------------------------------------------------------------------------------------------------------
# Ctrl-C at any moment, several searches with one optimizer, arguments at their limits

def interrupted_at(line, call):
    "Press Ctrl-C when the `line`-th line of search.py is reached in `call`. Did it get that far?"
    reached = 0
    def trace(frame, event, _):
        nonlocal reached
        if frame.f_code.co_filename != search.__file__: return None
        reached += event == "line"
        if event == "line" and reached == line: signal.raise_signal(signal.SIGINT)
        return trace
    previous, tracer = signal.signal(signal.SIGINT, signal.default_int_handler), sys.gettrace()
    sys.settrace(trace)
    try: call()
    except KeyboardInterrupt: pass
    finally:
        sys.settrace(tracer)
        signal.signal(signal.SIGINT, previous)
    return reached >= line


@pytest.mark.parametrize("same_optimizer", [False, True])
@pytest.mark.parametrize("name", ["RandomSearch", "GridSearch", "SuccessiveHalving", "ASHA"])
def test_ctrl_c_at_any_line_loses_nothing_and_repeats_nothing(name, same_optimizer, tmp_path):
    space = Space(x=Int(1, 9), y=Float(0, 1, when=dict(x=[1, 2, 3])))
    make = lambda: OPTIMIZERS[name](space, 1)
    go_on = lambda optimizer, n: what(minimize(objectives.erratic, optimizer, n, journal=tmp_path / str(line), start=[dict(x=9)], progress=False))
    gc.freeze()  # so that `gc.collect` is quick
    line = 0
    uncut, more = go_on(make(), 6), True
    while more:
        line += 1 + line // 60  # near the start every line, later some
        go_on(make(), 2)
        optimizer = make()
        more = interrupted_at(line, lambda: go_on(optimizer, 6))
        gc.collect()  # Ctrl-C in the very line that closes the journal leaves that to Python
        assert not optimizer.history.running
        assert go_on(optimizer if same_optimizer else make(), 6) == uncut, f"after Ctrl-C at line {line}"
    gc.unfreeze()
    assert line > 200


@pytest.mark.parametrize("name", ["RandomSearch", "GridSearch", "SuccessiveHalving", "ASHA"])
def test_ctrl_c_at_any_line_without_a_journal(name):
    optimizer, line = OPTIMIZERS[name](Space(x=Int(1, 200)), 1), 0
    uncut = what(minimize(objectives.erratic, OPTIMIZERS[name](Space(x=Int(1, 200)), 1), 12, progress=False))
    while not line or interrupted_at(line, lambda: minimize(objectives.erratic, optimizer, 12, progress=False)): line += 3
    assert what(optimizer.results) == uncut


def test_one_optimizer_serves_several_searches():
    space = Space(x=Float(0, 1), k=Int(1, 50))
    for name in OPTIMIZERS:
        optimizer, whole = OPTIMIZERS[name](space, 5), OPTIMIZERS[name](space, 5)
        for n in (0, 3, 3, 4, 9): minimize(objectives.erratic, optimizer, n, progress=False)
        assert what(optimizer.results) == what(minimize(objectives.erratic, whole, 9, progress=False))


@each_optimizer
def test_optimizers_and_spaces_can_be_copied_and_pickled(name):
    space = Space(x=Float(1e-3, 1, log=True), c=Choice("a", None), k=Int(1, 50, when=dict(c="a")))
    assert pickle.loads(pickle.dumps(space)) == copy.deepcopy(space) == space
    optimizer = OPTIMIZERS[name](space, 0)
    minimize(objectives.erratic, optimizer, 8, progress=False)
    copies = [copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))]
    results = [what(minimize(objectives.erratic, o, 12, progress=False)) for o in [*copies, optimizer]]
    assert results[0] == results[1] == results[2]


def test_a_search_stops_where_it_should():
    space, never = Space(x=Float(0, 1)), lambda config: pytest.fail("nothing was to run")
    known = RandomSearch(space)
    minimize(lambda config: 0.25, known, 1, progress=False)
    assert minimize(never, RandomSearch(space), n_trials=0).stopped == "n_trials"
    assert minimize(never, RandomSearch(space), timeout=0).stopped == "timeout"
    assert minimize(never, known, n_trials=9, target=0.3).stopped == "target"
    assert minimize(lambda config: 1, RandomSearch(space), 9, callbacks=[lambda optimizer, trial: trial.id == 2], progress=False).stopped == "callback"
    finite = minimize(lambda config: 1, RandomSearch(Space(k=Int(1, 5))), n_trials=9, start=[dict(k=2), dict(k=2)], progress=False)
    assert finite.stopped == "done" and sorted(t.config["k"] for t in finite.trials) == [1, 2, 3, 4, 5] and finite.trials[0].config == dict(k=2)
    assert [t.config for t in minimize(lambda config: 1, RandomSearch(Space()), 9, progress=False).trials] == [{}]


def test_what_an_objective_may_do_and_return():
    import torch
    def loss_of(returned):
        trial, = minimize(lambda config: returned, RandomSearch(Space(x=Float(0, 1))), 1, progress=False).trials
        return trial.loss if trial.status == "done" else trial.info["error"]
    for one in (1, True, np.float32(1), torch.tensor(1.0), np.array(1), (1, {})): assert loss_of(one) == 1.0
    for bad in (None, "much", [1], (1, 2, 3), (1, [2]), (1, dict(a=object())), {}, 1j): assert isinstance(loss_of(bad), str)
    def spoils_its_config(config): config.clear(); return 1
    results = minimize(spoils_its_config, RandomSearch(Space(x=Float(0, 1))), 3, progress=False)
    assert all(t.config in results.space for t in results.trials)
    def info(config): return 1, dict(curve=np.arange(3), best=np.int64(2), tensor=torch.ones(2))
    assert minimize(info, RandomSearch(Space()), 1, progress=False).trials[0].info == dict(curve=[0, 1, 2], best=2, tensor=[1, 1])


def test_spaces_may_be_huge_or_deep():
    many = Space({f"x{n}": Choice(False, True) for n in range(1100)})
    assert many.size == 2**1100
    chain = Space(x0=Choice(0, 1), **{f"x{n}": Choice(0, 1, when={f"x{n - 1}": 1}) for n in range(1, 300)})
    assert chain.size == 301
    tree = Space(n=Int(1, 10**9), **{f"x{n}": Choice(0, 1) for n in range(30)}, y=Choice("a", "b", when=dict(n=[3, 4], **{f"x{n}": 1 for n in range(30)})))
    assert tree.size == 10**9 * 2**30 + 2
    for space in (many, chain, tree):
        results = minimize(lambda config: len(config), RandomSearch(space), 5, progress=False)
        assert len(results) == 5 and all(t.config in space for t in results.trials)


@pytest.mark.parametrize("make", [lambda space: Hyperband(space, max_budget=9), lambda space: ASHA(space, max_budget=9, max_configs=20)], ids=["Hyperband", "ASHA"])
@pytest.mark.parametrize("workers", [1, 2])
def test_promoted_trials_go_on_from_their_checkpoints(make, workers, two_workers, tmp_path):
    search = dict(executor=two_workers if workers == 2 else None, progress=False, journal=tmp_path / "a.b")
    minimize(objectives.epochs, make(Space(x=Float(0, 1))), 10, **search)
    results = minimize(objectives.epochs, make(Space(x=Float(0, 1))), **search)
    assert results.stopped == "done" and all(t.status == "done" and t.info["epochs"] == t.budget for t in results.trials)
    assert sum(t.info["new"] for t in results.trials) == spent(results.trials)[-1] < spent(results.trials, restart=True)[-1]
    other = minimize(objectives.epochs, make(Space(x=Float(0, 1))), 3, journal=tmp_path / "a.c", progress=False)  # has folders of its own
    assert [t.info["new"] for t in other.trials] == [t.budget for t in other.trials]
    (tmp_path / "a.b").unlink()
    for _ in range(2): assert "checkpoints" in sentence(ValueError, lambda: minimize(objectives.epochs, make(Space(x=Float(0, 1))), 3, **search))


# ---------------------------------------------------------------------------------------------------------------------
# Worker processes

x_of = lambda results: [t.config["x"] for t in results.trials]


def alive(pid):
    "Is there such a process? (One that has ended and that nobody has asked about yet, Z, doesn't count.)"
    try: os.kill(pid, 0)
    except ProcessLookupError: return False
    try: return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError: return not Path("/proc/self").exists()


def pids(folder): return [int(path.read_text()) for path in folder.iterdir() if path.name.isdigit() and path.read_text()]


@pytest.fixture(scope="module")
def two_workers():
    with ProcessWorkers(2) as workers: yield workers


def search_six(objective, folder, workers, **more): return minimize(objective, GridSearch(objectives.six(folder)), executor=workers, progress=False, **more)


def test_results_are_told_as_they_come(two_workers, tmp_path):
    results = search_six(objectives.first_is_last, tmp_path, two_workers)
    assert x_of(results)[:3] == [1, 2, 3] and sorted(x_of(results)) == [0, 1, 2, 3, 4, 5]


def test_a_killed_worker_is_replaced_and_its_trial_tried_again(two_workers, tmp_path):
    def kill(optimizer, trial):
        if trial.config["x"] != 4: return
        objectives.wait_until(lambda: pids(tmp_path), SOON)
        os.kill(pids(tmp_path)[0], signal.SIGKILL)
    results = search_six(objectives.held_once, tmp_path, two_workers, callbacks=[kill])
    assert sorted(x_of(results)) == [0, 1, 2, 3, 4, 5] and all(t.status == "done" for t in results.trials)


@pytest.mark.parametrize("objective", [objectives.kills_its_worker, objectives.kills_its_worker_and_leaves_a_child])
def test_a_trial_that_kills_every_worker_fails_and_the_others_finish(objective, two_workers, tmp_path):
    results = search_six(objective, tmp_path, two_workers)
    assert sorted(x_of(results)) == [0, 1, 2, 3, 4, 5]
    failed, = [t for t in results.trials if t.status == "failed"]
    assert failed.config["x"] == 2 and "WorkerDied" in failed.info["error"] and "-9" in failed.info["error"]


def test_trial_timeout_ends_a_trial_that_hangs(two_workers, tmp_path):
    results = search_six(objectives.hangs, tmp_path, two_workers, trial_timeout=2.5)
    assert sorted(x_of(results)) == [0, 1, 2, 3, 4, 5]
    failed, = [t for t in results.trials if t.status == "failed"]
    assert failed.config["x"] == 2 and "2.5 s" in failed.info["error"]
    assert not alive(int((tmp_path / "2").read_text()))


def test_timeout_ends_what_runs_and_the_workers_serve_the_next_search(two_workers, tmp_path):
    begun = time.monotonic()
    results = search_six(objectives.hangs, tmp_path, two_workers, timeout=2)
    assert results.stopped == "timeout" and 2 not in x_of(results)
    assert time.monotonic() - begun < 2 + SOON / 3
    assert len(search_six(objectives.square, tmp_path, two_workers)) == 6


def test_timeout_and_shutdown_while_workers_start(tmp_path):
    begun = time.monotonic()
    for timeout in (0.0005, 0.005, 0.05):
        with ProcessWorkers(2) as workers: search_six(objectives.hangs, tmp_path, workers, timeout=timeout)
    assert time.monotonic() - begun < SOON


def test_more_workers_than_trials(tmp_path):
    with ProcessWorkers(2) as workers: assert len(search_six(objectives.square, tmp_path, workers, n_trials=1)) == 1


def test_answers_that_cant_be_pickled_are_said(two_workers):
    assert "sent back" in sentence(TypeError, two_workers.submit(objectives.raises_peculiar).result)
    assert "sent back" in sentence(TypeError, two_workers.submit(objectives.returns_lambda).result)
    assert two_workers.submit(os.getpid).result() != os.getpid()


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, lambda n: ProcessPoolExecutor(n, mp_context=get_context("spawn"))], ids=["threads", "processes"])
def test_executors_of_the_standard_library_serve(pool, tmp_path):
    with pool(2) as executor: results = search_six(objectives.square, tmp_path, executor, journal=tmp_path / "journal")
    assert sorted(x_of(results)) == [0, 1, 2, 3, 4, 5] and results.best.config["x"] == 3


@pytest.mark.parametrize("make", [lambda space: Hyperband(space, max_budget=9), lambda space: ASHA(space, max_budget=9, max_configs=12)], ids=["Hyperband", "ASHA"])
def test_schedulers_on_two_workers(make, two_workers, tmp_path):
    journal = tmp_path / "journal"
    scheduler = make(Space(x=Float(0, 1)))
    first = minimize(objectives.erratic, scheduler, 7, executor=two_workers, journal=journal, progress=False)
    resumed = make(Space(x=Float(0, 1)))
    results = minimize(objectives.erratic, resumed, executor=two_workers, journal=journal, progress=False)
    assert what(results)[:7] == what(first) and results.stopped == "done"
    check_finished(resumed)


# ---------------------------------------------------------------------------------------------------------------------
# Drivers that are interrupted or killed

ENV = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(TESTS)])}


def driver(folder, objective, with_workers=True):
    return subprocess.Popen([sys.executable, "-c", f"import objectives; objectives.drive({str(folder)!r}, {objective!r}, {with_workers})"], cwd=ROOT,
                            env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def journal_of(folder):
    "The header and the trials of a journal without a cut line."
    text = (folder / "journal").read_text()
    assert text.endswith("\n")
    header, *trials = map(json.loads, text.splitlines())
    assert header["format"] == 1
    return [t["config"]["x"] for t in trials]


def wait_until_held(folder):
    "Until trials 0, 1 and 2 are in the journal, and 3 and 4 are with two workers."
    journal = folder / "journal"
    objectives.wait_until(lambda: (folder / "4").exists() and (folder / "4").read_text() and journal.read_text().count("\n") == 4, SOON)


@pytest.mark.parametrize("with_workers", [True, False], ids=["workers in a with block", "workers left to themselves"])
def test_ctrl_c_leaves_a_good_journal_and_no_workers(with_workers, tmp_path):
    process = driver(tmp_path, "held", with_workers)
    wait_until_held(tmp_path)
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=SOON)[1]
    assert sorted(journal_of(tmp_path)) == [0, 1, 2]
    objectives.wait_until(lambda: not any(map(alive, pids(tmp_path))), SOON)


def test_a_killed_driver_leaves_no_workers_and_is_taken_up_where_it_was(tmp_path, two_workers):
    process = driver(tmp_path, "held")
    wait_until_held(tmp_path)
    process.kill()
    process.communicate()
    objectives.wait_until(lambda: not any(map(alive, pids(tmp_path))), SOON)
    (tmp_path / "go").touch()
    results = search_six(objectives.held, tmp_path, two_workers, journal=tmp_path / "journal")
    assert sorted(x_of(results)) == sorted(journal_of(tmp_path)) == [0, 1, 2, 3, 4, 5]


def test_two_searches_cant_write_one_journal(tmp_path):
    process = driver(tmp_path, "held")
    wait_until_held(tmp_path)
    message = sentence(OSError, lambda: search_six(objectives.square, tmp_path, None, journal=tmp_path / "journal"))
    assert str(tmp_path / "journal") in message and "another search" in message
    (tmp_path / "go").touch()
    process.communicate(timeout=SOON)
    assert process.returncode == 0 and sorted(journal_of(tmp_path)) == [0, 1, 2, 3, 4, 5]


def test_a_script_without_a_main_guard_ends(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import objectives\nobjectives.drive(r'%s', 'square', True)\n" % tmp_path)
    done = subprocess.run([sys.executable, script], cwd=ROOT, env=ENV,
                          timeout=2 * SOON, capture_output=True, text=True)
    assert done.returncode and '__name__ == "__main__"' in done.stderr.replace("'", '"')


# ---------------------------------------------------------------------------------------------------------------------
# Journals that can't be written or belong to something else

def test_a_journal_that_cant_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "journal", tmp_path, Path("/proc/nowhere/journal")):
        assert str(path) in sentence(OSError, lambda: search_six(objectives.square, tmp_path, None, journal=path))
    def read_only(*args, **kwargs): raise OSError(errno.EROFS, os.strerror(errno.EROFS))
    monkeypatch.setattr(Path, "open", read_only)
    assert "journal" in sentence(OSError, lambda: search_six(objectives.square, tmp_path, None, journal=tmp_path / "journal"))


def test_a_full_disk_costs_no_trial_that_was_told(tmp_path):
    code = f"""import resource, signal, objectives
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))
objectives.drive({str(tmp_path)!r}, "square", False)"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=ENV, timeout=2 * SOON, capture_output=True, text=True)
    assert done.returncode and "OSError" in done.stderr and (tmp_path / "journal").stat().st_size == 700
    with pytest.warns(UserWarning, match="cut off"): results = search_six(objectives.square, tmp_path, None, journal=tmp_path / "journal")
    assert sorted(x_of(results)) == sorted(journal_of(tmp_path)) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("other", [
    lambda: RandomSearch(Space(x=Float(0, 2))), lambda: RandomSearch(Space(y=Float(0, 1))), lambda: RandomSearch(Space(x=Float(0, 1)), seed=1),
    lambda: GridSearch(Space(x=Float(0, 1)), n=5), lambda: TPE(Space(x=Float(0, 1)))], ids=["range", "name", "seed", "optimizer", "sampler"])
def test_a_journal_of_another_search_is_refused_and_kept(other, tmp_path):
    journal = tmp_path / "journal"
    minimize(lambda config: 1, RandomSearch(Space(x=Float(0, 1))), 3, journal=journal, progress=False)
    before = journal.read_bytes()
    assert str(journal) in sentence(ValueError, lambda: minimize(lambda config: 1, other(), 3, journal=journal, progress=False))
    assert journal.read_bytes() == before


@pytest.mark.parametrize("text", ["my notes", "my notes\n", "one\ntwo", "[1]\n", "{}\n", '{"format": 1', "\0\0\0", "a,b\n1,2\n3,4"])
def test_a_file_that_isnt_a_journal_is_refused_and_kept(text, tmp_path):
    (tmp_path / "file").write_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if '"format"' in text: minimize(lambda config: 1, RandomSearch(Space()), 1, journal=tmp_path / "file", progress=False)  # a header that was cut
        else:
            assert "file" in sentence(ValueError, lambda: minimize(lambda config: 1, RandomSearch(Space()), 1, journal=tmp_path / "file", progress=False))
            assert (tmp_path / "file").read_text() == text


@pytest.mark.parametrize("line", ['{"id": 0, "config"', "{}", "5", "", '{"id": 0, "config": {"x": 7}, "loss": 1}'])
def test_a_journal_spoilt_in_the_middle_is_refused(line, tmp_path):
    journal, go_on = tmp_path / "journal", lambda: minimize(lambda config: 1, RandomSearch(Space(x=Float(0, 1))), 3, journal=tmp_path / "journal", progress=False)
    go_on()
    header, first, *others = journal.read_text().splitlines()
    journal.write_text("\n".join([header, line, *others, ""]))
    message = sentence(ValueError, go_on)
    assert "line 2" in message or "x can't be 7" in message


def test_lines_taken_out_of_a_journal_are_run_again(tmp_path):
    journal, go_on = tmp_path / "journal", lambda: minimize(objectives.erratic, SuccessiveHalving(Space(x=Float(0, 1)), max_budget=9), journal=tmp_path / "journal", progress=False)
    uncut = go_on()
    lines, parents = journal.read_text().splitlines(), {t.parent for t in uncut.trials}
    failed = [t for t in uncut.trials if t.status == "failed"]
    journal.write_text("\n".join(line for line in lines if '"failed"' not in line) + "\n")
    assert failed and sorted(map(str, what(go_on()))) == sorted(map(str, what(uncut)))
    journal.write_text("\n".join([lines[0], *(line for line in lines[1:] if json.loads(line)["id"] not in parents)]) + "\n")
    assert "goes on from" in sentence(ValueError, go_on)


# ---------------------------------------------------------------------------------------------------------------------
# Errors say what to change

@pytest.mark.parametrize("call, says", [
    (lambda: Float(2, 1), "low must be below high"),
    (lambda: Int(2, 1), "low must not be above high"),
    (lambda: Float(0, 1, log=True), "positive"),
    (lambda: Float(-2, -1, log=True), "positive"),
    (lambda: Int(0, 9, log=True), "positive"),
    (lambda: Float(0, math.inf), "finite"),
    (lambda: Float(math.nan, 1), "finite"),
    (lambda: Int(1.5, 2), "whole numbers"),
    (lambda: Choice(), "at least one option"),
    (lambda: Choice("a", "a"), "differ"),
    (lambda: Choice(1, True), "differ"),
    (lambda: Choice(["a", "b"]), "JSON"),
    (lambda: Choice(print), "JSON"),
    (lambda: Choice(math.nan), "JSON"),
    (lambda: Constant((1, 2)), "JSON"),
    (lambda: Space(a=Float(0, 1, when=dict(b=1))), "isn't in the space"),
    (lambda: Space(a=Choice(1, 2, when=dict(b=1)), b=Choice(1, 2, when=dict(a=1))), "circular"),
    (lambda: Space(a=Choice(1, 2, when=dict(a=1))), "circular"),
    (lambda: Space(a=Choice(1, 2), b=Int(1, 2, when=dict(a=3))), "never"),
    (lambda: Space(a=Choice(1, 2), b=Int(1, 2, when=dict(a=[]))), "at least one value"),
    (lambda: Space(a=Float(0, 1), b=Int(1, 2, when=dict(a=0.5))), "Float"),
    (lambda: Space(a=Float(0, 1)).encode(dict(a=2)), "can't be 2"),
    (lambda: Space(a=Float(0, 1)).encode(dict(a="1")), "can't be '1'"),
    (lambda: Space(a=Float(0, 1)).encode({}), "missing"),
    (lambda: Space(a=Float(0, 1)).encode(dict(a=1, b=1)), "isn't a parameter"),
    (lambda: Space(a=Float(0, 1)).decode([0.5, 0.5]), "1 entries"),
    (lambda: Space(a=Float(0, 1)).decode([math.nan]), "[0, 1]"),
    (lambda: Space(a=Float(0, 1)).grid(), "how many"),
    (lambda: GridSearch(Space(a=Int(0, 10**9))), "n"),
    (lambda: Space(a=Int(0, 9)).grid(dict(b=3)), "isn't a parameter"),
    (lambda: RandomSearch(Space(a=Int(0, 9))).enqueue(dict(a=10)), "can't be 10"),
    (lambda: minimize(lambda config: 1, RandomSearch(Space(a=Float(0, 1)))), "n_trials"),
    (lambda: minimize(lambda config: 1, RandomSearch(Space(a=Float(0, 1))), 3, trial_timeout=1), "ProcessWorkers"),
    (lambda: minimize(lambda config: 1, RandomSearch(Space(a=Float(0, 1))), 3, n_workers=0), "n_workers"),
    (lambda: minimize(lambda config: 1, RandomSearch(Space(a=Float(0, 1))), 3, start=[dict(a=2)]), "can't be 2"),
    (lambda: Results(Space(), []).best, "no trials"),
])
def test_value_errors(call, says): assert says in sentence(ValueError, call)


@pytest.mark.parametrize("call, says", [
    (lambda: Space(a=3), "Constant(3)"),
    (lambda: minimize(lambda: 1, RandomSearch(Space()), 1), "objective(config"),
    (lambda: minimize(lambda config, budget, checkpoint, more: 1, RandomSearch(Space()), 1), "objective(config"),
    (lambda: minimize(lambda *, lr: 1, RandomSearch(Space()), 1), "objective(config"),
    (lambda: minimize(lambda config, checkpoint: 1, RandomSearch(Space()), 1), "objective(config"),
    (lambda: minimize(3, RandomSearch(Space()), 1), "function"),
    (lambda: minimize(lambda config: 1, ASHA(Space()), 1, progress=False), "objective(config, budget)"),
    (lambda: minimize(lambda config: 1, RandomSearch(Space()), 1, executor=ProcessWorkers(1), progress=False), "define the objective in a module"),
])
def test_type_errors(call, says): assert says in sentence(TypeError, call)


def test_an_objective_for_budgets_can_be_put_right_after_the_error():
    optimizer = SuccessiveHalving(Space(x=Float(0, 1)), max_budget=3)
    with pytest.raises(TypeError): minimize(lambda config: 1, optimizer, progress=False)
    assert len(minimize(objectives.erratic, optimizer, progress=False)) >= 3
