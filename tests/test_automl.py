"Odd tables, bad targets, pipelines that fail, hang and die; what a search may see; ensembles, fronts and the portfolio against brute force."

import json
import math
import os
import pickle
import resource
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager
from datetime import date
from importlib import util
from itertools import combinations, combinations_with_replacement, product

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import sparse
from sklearn import datasets, metrics
from sklearn.base import clone
from scipy.optimize import minimize as minimize_scipy
from sklearn.utils.estimator_checks import estimator_checks_generator

import objectives
from course_lib import automl
from course_lib.automl import *
from course_lib.search import RandomSearch, minimize
from course_lib.spaces import Choice, Float, Int, Space
from hostile import Hostile, quick_start
from notebooks import ROOT
from runner import slowness
from test_search import TESTS, configs, examples, run, seeds, sentence, spaces, what

KINDS = ("classification", "regression")
full, clock = pytest.mark.full, pytest.mark.clock


@pytest.fixture
def quick(monkeypatch): monkeypatch.setattr(automl, "warm_start", quick_start)


@pytest.fixture
def n_folds(monkeypatch): return lambda n: monkeypatch.setattr(automl._AutoML, "_folds", lambda self, rows: n)


def table(n=120, seed=0, missing=True):
    "Two numbers and a category, as a DataFrame, and what depends on them."
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(dict(a=rng.normal(size=n), b=rng.normal(size=n), c=rng.choice(["x", "y", "z"], n)))
    target = X.a + (X.c == "x") + 0.2*rng.normal(size=n)
    if missing: X = X.mask(rng.random(X.shape) < 0.05)
    return X, target.to_numpy()


def estimator(kind="classification", **arguments):
    return (AutoMLClassifier if kind == "classification" else AutoMLRegressor)(**{**dict(n_trials=3, time_budget=30, progress=False), **arguments})


def classes(target): return (target > 0.3).astype(int)


@contextmanager
def silence():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def fitted(X, y, kind="classification", **arguments):
    "The estimator, and what it warned about; its predictions are sound."
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = estimator(kind, **arguments).fit(X, y)
    with silence():
        predicted = model.predict(X)
        proba = model.predict_proba(X) if kind == "classification" else None
    assert predicted.shape == (len(X),)
    if kind == "classification":
        assert proba.shape == (len(X), len(model.classes_)) and np.all(proba >= 0) and np.allclose(proba.sum(1), 1)
        assert set(predicted) <= set(model.classes_)
    else: assert np.isfinite(predicted).all()
    assert np.isclose(sum(weight for weight, _ in model.ensemble_), 1)
    return model, " ".join(str(w.message) for w in said)


def refused(X, y, kind="classification", error=ValueError, **arguments):
    "The sentence that `fit` ends in, before any search."
    model = estimator(kind, **arguments)
    with silence(), pytest.raises(error) as raised: model.fit(X, y)
    said = str(raised.value)
    assert "\n" not in said and said.endswith(".") and len(said) < 300, said
    assert not any(name in vars(model) for name in ("results_", "ensemble_")), "a search had begun"
    return said


# ---------------------------------------------------------------------------------------------------------------------
# scikit-learn's own checks

checks = [(kind, check) for kind in KINDS for _, check in estimator_checks_generator(estimator(kind, n_trials=2), mark="skip")]


@pytest.mark.parametrize("kind, check", checks, ids=lambda value: getattr(getattr(value, "func", value), "__name__", value))
def test_scikit_learns_check(kind, check, quick):
    with silence(): check(estimator(kind, n_trials=2))


@full
@pytest.mark.parametrize("kind, check", checks, ids=lambda value: getattr(getattr(value, "func", value), "__name__", value))
def test_scikit_learns_check_with_the_real_portfolio(kind, check):
    with silence(): check(estimator(kind, n_trials=2))


def test_it_is_an_estimator_like_others(quick):
    X, target = table()
    model = estimator(loss="log_loss", seed=3)
    assert clone(model).get_params() == model.get_params()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, classes(target))
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict_proba(X), model.predict_proba(X))
    assert model.score(X, classes(target)) > 0.7
    assert model.n_features_in_ == 3 and list(model.feature_names_in_) == ["a", "b", "c"]


# ---------------------------------------------------------------------------------------------------------------------
# Bad and odd input

X, TARGET = table()
Y, N = classes(TARGET), len(X)


def test_targets_that_cant_be_learned():
    assert "one class only" in refused(X, np.zeros(N))
    assert "one class only" in refused(X, ["yes"] * N)
    assert "nothing to learn" in refused(X, np.full(N, 2.5), "regression")
    assert "nothing to learn" in refused(X, np.full(N, 0.1), "regression")
    assert "3 rows" in refused(X, np.where(np.arange(N) < 3, np.nan, Y))
    for missing in (pd.Series([None, *["a", "b"] * 59, "a"]), pd.Series([None, *["a", "b"] * 59, "a"], dtype="string"), pd.Series([None, *[0, 1] * 59, 1], dtype="Int64"), pd.Series([None, *["a", "b"] * 59, "a"], dtype="category")):
        assert "1 rows" in refused(X, missing)
    for bad in (np.nan, np.inf, -np.inf): assert "3 rows" in refused(X, np.where(np.arange(N) < 3, bad, TARGET), "regression")
    assert "AutoMLClassifier" in refused(X, np.where(Y, "a", "b"), "regression")
    refused(X, TARGET)                                                  # numbers are no classes
    refused(X, pd.Series([1, "a"] * 60, dtype=object))
    refused(X, np.c_[Y, Y])
    assert "50" in refused(X, Y[:50])


@pytest.mark.parametrize("y, one", [
    (np.where(Y, "yes", "no"), "yes"), (np.where(Y, "yes", "no").tolist(), "yes"), (Y == 1, True), (Y.tolist(), 1), (Y * 2.0, 2.0), (-Y, -1),
    (pd.Series(np.where(Y, "yes", "no"), dtype=object, index=range(500, 500 + N)), "yes"), (pd.Series(np.where(Y, "yes", "no"), dtype="string"), "yes"),
    (pd.Series(np.where(Y, "yes", "no"), dtype="category"), "yes"), (pd.Series(Y, dtype="category"), 1), (pd.Series(Y, dtype="Int64"), 1),
    (pd.Series(Y == 1, dtype="boolean"), True), (pd.Series(Y, dtype=object), 1), (pd.Series(list(Y == 1), dtype=object), True), (np.array(list(Y), dtype=object), 1),
], ids=["strings", "list", "bools", "list of ints", "floats", "negative", "object", "string", "category", "category of ints", "Int64", "boolean", "object of ints", "object of bools", "array of objects"])
def test_classes_of_any_kind(y, one, quick):
    model, said = fitted(X, y, n_trials=1)
    known = model.classes_.tolist()
    assert not said and one in known and {type(c) for c in known} == {type(one)}
    right = np.where(Y, known.index(one), 1 - known.index(one))
    assert model.score(X, model.classes_[right]) > 0.7


def test_numbers_of_any_kind(quick):
    for y in (TARGET.tolist(), TARGET.astype("float32"), (TARGET * 10).astype(int), pd.Series(TARGET, index=range(7, 7 + N)), pd.Series(TARGET).astype("Float64"), pd.Series(TARGET, dtype=object), TARGET * 1e30 + 1e31, TARGET * 1e-30):
        model, said = fitted(X, y, "regression", n_trials=2)
        assert not said and model.score(X, np.asarray(y, dtype=float)) > 0.5
    assert "too large" in refused(X, TARGET * 1e200, "regression")      # its variance isn't a number any more


@pytest.mark.parametrize("folds", [1, 5])
def test_a_class_with_one_row_is_kept_and_named(folds, quick, n_folds):
    n_folds(folds)
    y = np.where(np.arange(N) == 0, 7, Y)
    for loss, n_trials in dict(balanced_error=7, log_loss=2).items():
        model, said = fitted(X, y, loss=loss, n_trials=n_trials, seed=1)
        assert "'7'" in said or " 7 " in said
        assert model.classes_.tolist() == [0, 1, 7]
        if loss == "balanced_error": assert model.test_loss_ < 0.5            # predicting the rare class everywhere is no balance


@pytest.mark.parametrize("n", [5, 7, 10])
def test_a_handful_of_rows(n, quick):
    for kind, y in (("classification", np.arange(n) % 2), ("classification", np.array(["b", "a", "c"])[np.arange(n) % 3]), ("regression", TARGET[:n])):
        model, said = fitted(X[:n], y, kind, n_trials=7)
        assert f"{n} rows" in said


def test_fewer_rows_than_that():
    for n in (0, 1, 4): assert str(n) in refused(X[:n], Y[:n])
    assert refused(X[[]], Y)


@pytest.mark.parametrize("n, n_classes", [(10, 10), (10, 9), (10, 7), (12, 6), (40, 30), (60, 30), (12, 4)])
def test_more_classes_than_a_fold_has_rows(n, n_classes, quick):
    "Every class but the last has n // n_classes rows; it works, or is refused in a sentence."
    X, y = table(n)[0], np.minimum(np.arange(n) // max(n // n_classes, 1), n_classes - 1)
    try: fitted(X, y, n_trials=7)
    except ValueError: assert refused(X, y)


def columns(**more): return X.assign(**more)


ODD = {
    "infinite values": columns(d=np.where(np.arange(N) < 3, np.inf, X.a)), "a column of infinities": columns(d=-np.inf), "an all-missing column": columns(d=np.nan),
    "an all-missing object column": columns(d=pd.Series([None] * N, dtype=object)), "a constant": columns(d=1), "a constant category": columns(d="k"), "one number": X[["a"]], "one category": X[["c"]],
    "a few strings among numbers": columns(d=[str(v) for v in X.a[:-2]] + ["unknown", "?"]), "numbers as text": columns(d=X.a.map(str, na_action="ignore")),
    "bools": columns(d=X.a > 0), "nullable": columns(d=pd.array([1, None] * (N // 2), dtype="Int64"), e=X.c.astype("string"), f=pd.array([True, None, False] * (N // 3), dtype="boolean"), g=X.a.astype("Float64")),
    "a thousand levels": pd.concat([X] * 20).assign(d=[f"level {i % 1000}" for i in range(20 * N)])[:1200], "a level per row": columns(d=[f"level {i}" for i in range(N)]),
    "mixed types": columns(d=[1, "a", 2.5, None, True, b"x"] * (N // 6)), "decimals": columns(d=np.arange(N).astype(object)), "intervals": columns(d=pd.cut(X.a, 4)),
    "huge numbers": columns(d=np.linspace(-1e300, 1e300, N)), "tiny numbers": columns(d=np.linspace(-1e-300, 1e-300, N)), "integers of 60 bits": columns(d=np.arange(N) + 2**60), "unsigned": columns(d=np.arange(N, dtype="uint8")),
    "float16": columns(d=X.a.astype("float16")), "an index": X.set_axis(np.random.default_rng(0).permutation(N) + 7), "an index with one label": X.set_axis([1] * N), "names that are numbers": X.set_axis([3, 1, 2], axis=1),
    "categories": X.astype(dict(c="category")), "ordered categories": columns(d=pd.Categorical(X.c, ["z", "x", "y", "never"], ordered=True)), "categories of numbers": columns(d=pd.Categorical(np.arange(N) % 4)),
    "lists": X.astype(object).where(X.notna(), None).to_numpy().tolist(), "an array of objects": X.to_numpy(dtype=object), "an array": X[["a", "b"]].to_numpy(), "in Fortran's order": np.asfortranarray(X[["a", "b"]]),
    "an unwritable array": (lambda a: (a.setflags(write=False), a)[1])(X[["a", "b"]].to_numpy()), "a sparse column": X[["a", "b"]].fillna(0).astype(pd.SparseDtype(float, 0)), "all the same row": pd.DataFrame(dict(a=[1.0] * N, c=["k"] * N)),
}
WARNS = {"infinite values": "'d'", "a column of infinities": "no values", "an all-missing column": "'d'", "an all-missing object column": "'d'", "a few strings among numbers": "'d'", "huge numbers": "'d'"}


@pytest.mark.parametrize("odd", ODD)
def test_odd_tables_work(odd, quick):
    before = pickle.dumps(ODD[odd])
    y = np.tile(Y, 20)[:len(ODD[odd])]
    model, said = fitted(ODD[odd], y, n_trials=5)
    if odd != "all the same row": assert {t.status for t in model.results_.trials if t.config["model"] in ("linear", "boosting", "knn", "extra_trees")} == {"done"}, [t.info.get("error") for t in model.results_.trials]
    assert WARNS[odd] in said if odd in WARNS else not said, said
    assert pickle.dumps(ODD[odd]) == before
    fitted(ODD[odd], np.tile(TARGET, 20)[:len(ODD[odd])], "regression", n_trials=1)


def test_tables_that_cant_be_used():
    assert "missing" in refused(pd.DataFrame(np.full((N, 2), np.nan)), Y)
    assert "'d'" in refused(columns(d=pd.date_range("2020", periods=N)), Y)
    assert "'d'" in refused(columns(d=pd.date_range("2020", periods=N, tz="UTC")), Y)
    assert "'d'" in refused(columns(d=pd.to_timedelta(np.arange(N), "h")), Y)
    assert "'d'" in refused(columns(d=pd.Series([None, *[date(2020, 1, 1 + i % 28) for i in range(N - 1)]], dtype=object)), Y)
    assert "'d'" in refused(columns(d=pd.Series([None, *[pd.Timestamp(2020, 1, 1 + i % 28) for i in range(N - 1)]], dtype=object)), Y)
    assert "'d'" in refused(columns(d=[[1]] * N), Y, error=TypeError)
    assert "'a'" in refused(X.set_axis(["a", "a", "c"], axis=1), Y)
    refused(sparse.csr_matrix(np.eye(N)), Y, error=TypeError)
    refused(X.a, Y)
    refused(np.zeros((N, 2, 2)), Y)
    refused(columns(d=np.arange(N) * 1j), Y)


@pytest.mark.parametrize("argument, bad", [("time_budget", 0), ("time_budget", -1), ("time_budget", "60"), ("time_budget", math.inf), ("time_budget", math.nan), ("time_budget", None), ("seed", -1), ("seed", 1.5),
                                           ("seed", None), ("seed", 2**40), ("n_trials", 0), ("n_trials", -3), ("n_trials", "a"), ("n_trials", 1.5), ("n_jobs", 0), ("n_jobs", -2), ("n_jobs", 1.5), ("n_jobs", "all"),
                                           ("loss", "accuracy"), ("loss", "squared_error"), ("ensemble", "none"), ("ensemble", True)])
def test_bad_arguments_are_named(argument, bad): assert argument in refused(X, Y, **{argument: bad})


def test_numpys_whole_numbers_are_whole_numbers(quick): fitted(X, Y, n_trials=np.int64(1), seed=np.int32(3), n_jobs=np.int64(1), time_budget=np.float32(30))


def test_a_fit_that_is_refused_leaves_nothing_half_done(quick):
    model, _ = fitted(X, Y, n_trials=1)
    with pytest.raises(ValueError): model.fit(X, np.zeros(N))
    with pytest.raises(ValueError, match="not fitted"): model.predict(X)


@pytest.mark.parametrize("model_name", MODELS)
def test_what_comes_new_at_predict(model_name, monkeypatch):
    "Missing values, categories and infinities that weren't there in fit; whatever the pipeline."
    X, target = table(missing=False)
    X["k"], X["q"] = pd.Categorical(np.arange(N) % 4), np.arange(N) % 3 == 0
    def only(features, kind, space, n=8, table=None): return [c for c in quick_start(features, kind, space) if c["model"] == model_name]
    monkeypatch.setattr(automl, "warm_start", only)
    for kind, y in (("classification", classes(target)), ("regression", target)):
        model, _ = fitted(X, y, kind, n_trials=1)
        predict = model.predict_proba if kind == "classification" else model.predict
        usual = predict(X)
        for new in (X.assign(c="new"), X.assign(a=np.nan), X.assign(a=np.inf), X.assign(c=None), X.mask(np.random.default_rng(0).random(X.shape) < 0.5), X[:1].assign(a=np.nan, b=np.nan, c=None), X[:1].assign(a=-np.inf)):
            with silence(): assert np.isfinite(predict(new)).all()
        for same in (X.astype(dict(c="category", k=int)), X.astype(dict(k=float)), X.astype(dict(c=object, q=object, k=object)), X.astype(dict(c="string", q="boolean", a="Float64")), X.set_axis(range(5, 5 + N))):
            assert np.allclose(predict(same), usual)
        for rows in (slice(0, 1), slice(50, 60)): assert np.allclose(predict(X[rows]), usual[rows])


def test_what_has_changed_at_predict_is_said(quick):
    model, _ = fitted(X, Y, n_trials=1)
    for wrong in (X[["b", "a", "c"]], X[["a", "b"]], X.assign(d=1), X.rename(columns=dict(a="z"))):
        with pytest.raises(ValueError, match="feature"): model.predict(wrong)
    assert "'a'" in sentence(ValueError, lambda: model.predict(X.assign(a="odd")))
    assert "'a'" in sentence(ValueError, lambda: model.predict(X[:1].assign(a="odd")))
    with pytest.warns(UserWarning, match="'a'"): model.predict(X.assign(a=["odd"] * 5 + X.a[5:].tolist()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(X.assign(a=X.a.map(str, na_action="ignore")))    # numbers as text are numbers
    empty, _ = fitted(X.assign(d=np.nan), Y, n_trials=1)
    assert np.allclose(empty.predict_proba(X.assign(d=3.0)), empty.predict_proba(X.assign(d=np.nan)))
    numbers, _ = fitted(X.assign(d=np.arange(N) % 5), Y, n_trials=1)
    assert np.allclose(numbers.predict_proba(X.assign(d=pd.Categorical(np.arange(N) % 5))), numbers.predict_proba(X.assign(d=np.arange(N) % 5)))


# ---------------------------------------------------------------------------------------------------------------------
# The time budget, and pipelines that fail, hang or die

def big_table(n=20_000):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(n, 12)), columns=[f"n{i}" for i in range(12)])
    for i in range(4): X[f"c{i}"] = rng.choice([f"level {k}" for k in range(5*(i + 1)**2)], n)
    target = X.n0*X.n1 + (X.c0 == "level 1") + np.sin(2*X.n2) + 0.3*rng.normal(size=n)
    return X.mask(rng.random(X.shape) < 0.05), np.digitize(target, np.quantile(target, [0.3, 0.7])), target.to_numpy()


def processor_time(): return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


@contextmanager
def within(seconds, record_property, processes=1):
    "What happens here takes no longer, or no more processor time (per process) if the machine is busy with other things."
    begun, used = time.monotonic(), processor_time()
    yield
    took, worked = time.monotonic() - begun, (processor_time() - used) / processes
    record_property("took", round(took, 2))
    assert min(took, worked) < seconds, f"{took:.1f} s instead of {seconds:.1f}, {worked:.1f} s of it at work"


@clock
@pytest.mark.parametrize("budget, jobs, kind", [(10, 1, "classification"), *(pytest.param(*case, marks=full) for case in [(15, 2, "regression"), (15, 2, "classification"), (10, 1, "regression"), (30, 2, "classification"), (60, 1, "classification")])])
def test_the_time_budget_is_kept(budget, jobs, kind, record_property):
    X, y, target = big_table()
    model = estimator(kind, time_budget=budget, n_jobs=jobs, n_trials=None)
    with warnings.catch_warnings(record=True) as said, within(1.1*budget, record_property, jobs):
        warnings.simplefilter("always")
        model.fit(X, y if kind == "classification" else target)
    assert len(model.predict(X)) == len(X)
    assert said or len(model.leaderboard_) >= 3 and math.isfinite(model.test_loss_)


@clock
def test_a_second_gives_a_model_and_a_warning(record_property):
    X, y, _ = big_table()
    with within(8 * slowness(), record_property): model, said = fitted(X, y, time_budget=1, n_jobs=2, n_trials=None)
    assert "second" in said


@clock
@pytest.mark.parametrize("what", ["numbers", pytest.param("text", marks=full)])
def test_ten_thousand_columns(what, record_property):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 10_000))
    y = X[:, :5].sum(1) > 0
    if what == "text": X = pd.DataFrame(np.where(X > 0, "a", "b"))
    model = estimator(time_budget=10, n_trials=None)
    with warnings.catch_warnings(record=True) as said, within(11 if what == "numbers" else 20 * slowness(), record_property):  # ten seconds for text alone: pandas takes half a millisecond a column and step
        warnings.simplefilter("always")
        model.fit(X, y)
    assert len(model.predict(X)) == len(X)
    assert said or math.isfinite(model.test_loss_)


@clock
def test_a_fit_ends_at_the_deadline():
    X, y, _ = big_table(2000)
    begun, outer = time.time(), signal.signal(signal.SIGALRM, signal.SIG_IGN)
    objective = automl.PipelineObjective(TableEncoder().fit(X).transform(X), y, "classification", n_folds=1, deadline=begun + 1)
    slow = dict(model="boosting", learning_rate=0.01, max_iter=100_000, max_leaf_nodes=100, min_samples_leaf=1, max_features=1., l2_regularization=1e-6)
    with pytest.raises(TimeoutError, match="the time was up"): objective(slow)
    assert time.time() - begun < 3 * slowness()
    assert signal.signal(signal.SIGALRM, outer) == signal.SIG_IGN and signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def hostile(monkeypatch, **models):
    monkeypatch.setattr(automl, "PipelineObjective", Hostile)
    monkeypatch.setenv("HOSTILE", json.dumps(models))


def test_pipelines_that_fail_hang_and_die_dont_end_the_run(quick, monkeypatch):
    hostile(monkeypatch, boosting="raises", knn="hangs", extra_trees="dies", svm="is bad", mlp="raises", forest="raises")
    monkeypatch.setattr(automl, "_TRIAL", 2 / 60)
    model, _ = fitted(X, Y, time_budget=60, n_jobs=2, n_trials=6)
    status = {t.config["model"]: (t.status, t.info.get("error", "")) for t in model.results_.trials}
    assert status.pop("linear")[0] == "done"
    assert {"boosting", "knn", "extra_trees", "svm"} <= set(status) and all(s == "failed" for s, _ in status.values())
    assert "TimeoutError" in status["knn"][1] and "WorkerDied" in status["extra_trees"][1] and "doesn't work" in status["boosting"][1]
    assert set(model.leaderboard_.model) == {"linear"}


@full
@clock
def test_when_all_pipelines_hang_the_time_budget_is_kept(quick, monkeypatch, record_property):
    hostile(monkeypatch, **{m: "hangs" for m in MODELS})
    with within(16.5, record_property): model, said = fitted(X, Y, time_budget=15, n_jobs=2, n_trials=None)
    assert said


def test_when_all_pipelines_fail_there_is_a_model_and_a_warning(quick, monkeypatch):
    hostile(monkeypatch, **{m: "raises" for m in MODELS})
    for kind, y in (("classification", Y), ("regression", TARGET)):
        model, said = fitted(X, y, kind, n_trials=4)
        assert "4" in said and "doesn't work" in said and math.isnan(model.test_loss_) and not len(model.leaderboard_)


def test_a_pipeline_that_fails_in_the_last_fit_only_is_left_out(quick, monkeypatch):
    build, bad = automl.build_pipeline, {"linear", "boosting", "knn"}
    class Failing:
        def __init__(self, pipeline): self.pipeline = pipeline
        def fit(self, X, y):
            if len(X) == N: raise MemoryError("too much")
            return self.pipeline.fit(X, y)
    monkeypatch.setattr(automl, "build_pipeline", lambda config, *more: Failing(build(config, *more)) if config["model"] in bad else build(config, *more))
    for ensemble in ("selection", "stack", None):
        model, said = fitted(X, Y, n_trials=5, ensemble=ensemble)
        assert all("Failing" not in repr(pipeline) for _, pipeline in model.ensemble_)
    bad |= set(MODELS)
    model, said = fitted(X, Y, n_trials=5)
    assert said


def python(folder, *arguments):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(TESTS)])}
    return subprocess.run([sys.executable, *arguments], env=env, cwd=folder, text=True, capture_output=True, timeout=240)


def test_two_processes_from_a_script(tmp_path):
    done = python(tmp_path, TESTS / "hostile.py", tmp_path)
    assert not done.returncode, done.stderr
    n, score = (tmp_path / "done").read_text().split()
    assert n == "3" and float(score) > 0.8


@full
@clock
def test_a_script_that_forgot_its_guard_is_told_so(tmp_path):
    (tmp_path / "unguarded.py").write_text(f"import hostile\nhostile.script({str(tmp_path)!r})\n")
    done = python(tmp_path, "unguarded.py")
    assert done.returncode and "__main__" in done.stderr.strip().splitlines()[-1] and not (tmp_path / "done").exists()


# ---------------------------------------------------------------------------------------------------------------------
# What the search may see

class Spy(PipelineObjective):
    seen = []
    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        Spy.seen.append(self)


@pytest.fixture
def spied(monkeypatch):
    "The objective that the search was given, after `fit`."
    monkeypatch.setattr(automl, "PipelineObjective", Spy)
    Spy.seen.clear()
    yield lambda: Spy.seen[-1]
    Spy.seen.clear()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("folds", [1, 5])
def test_the_search_never_meets_the_rows_that_score_it(kind, folds, quick, spied, n_folds):
    n_folds(folds)
    rows = X.assign(row=np.arange(float(N)))
    y = Y if kind == "classification" else TARGET
    model, _ = fitted(rows, y, kind, n_trials=3)
    objective = spied()
    searched, tested = set(objective.X[:, 3]), set(objective.other[:, 3])
    assert not searched & tested and searched | tested == set(range(N)) and len(tested) == round(0.2*N)
    assert len(objective.y) == len(searched) and len(objective.folds) == folds
    valid = np.concatenate([v for _, v in objective.folds])
    assert len(set(valid)) == len(valid) and (folds == 1 or len(valid) == len(searched))
    for train, v in objective.folds: assert not set(train) & set(v) and len(set(train)) == len(train) and len(train) + len(v) == len(searched)


def told(model): return [(t.config, t.loss) for t in model.results_.trials]


@pytest.mark.parametrize("kind, loss, ensemble", [("classification", "error", "selection"), ("classification", "balanced_error", "selection"), ("classification", "log_loss", "stack"), ("regression", "squared_error", "selection"),
                                                  ("regression", "absolute_error", "stack"), ("regression", "squared_error", None)])
def test_targets_of_the_test_rows_change_the_score_and_nothing_else(kind, loss, ensemble, quick, monkeypatch):
    split = np.random.default_rng(1).permutation(N)
    search, test = split[24:], split[:24]
    monkeypatch.setattr(automl, "_set_aside", lambda *_: (search, test))
    y = Y if kind == "classification" else TARGET
    other = y.copy()
    other[test] = 1 - y[test] if kind == "classification" else 7 - 3*y[test]
    one, two = [fitted(X, target, kind, loss=loss, ensemble=ensemble, n_trials=4)[0] for target in (y, other)]
    assert told(one) == told(two)
    assert one.leaderboard_.weight.tolist() == two.leaderboard_.weight.tolist()
    assert two.test_loss_ > one.test_loss_ + 0.1


@pytest.mark.parametrize("kind, loss", [("classification", "error"), ("classification", "log_loss"), ("classification", "balanced_error"), ("regression", "squared_error"), ("regression", "absolute_error")])
def test_the_score_is_what_fresh_rows_give(kind, loss, quick):
    "A thousand rows that nobody has seen agree with `test_loss_` up to its own uncertainty."
    X, target = table(1500)
    y = classes(target) if kind == "classification" else target
    model, _ = fitted(X[:500], y[:500], kind, loss=loss, n_trials=4)
    new, y = X[500:], y[500:]
    match loss:
        case "error": found = 1 - metrics.accuracy_score(y, model.predict(new))
        case "balanced_error": found = 1 - metrics.balanced_accuracy_score(y, model.predict(new))
        case "log_loss": found = metrics.log_loss(y, model.predict_proba(new))
        case "squared_error": found = 1 - metrics.r2_score(y, model.predict(new))
        case "absolute_error": found = np.abs(y - model.predict(new)).sum() / np.abs(y - np.median(y)).sum()
    assert abs(found - model.test_loss_) < 0.12


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_model(kind, quick):
    y = Y if kind == "classification" else TARGET
    one, two, other = [fitted(X, y, kind, n_trials=n, seed=seed)[0] for seed, n in ((3, 8), (3, 8), (4, 2))]
    assert told(one) == told(two) != told(other)
    assert one.leaderboard_.drop(columns="seconds").equals(two.leaderboard_.drop(columns="seconds"))
    assert one.test_loss_ == two.test_loss_ and np.array_equal(one.predict(X), two.predict(X))


def test_halving_begins_on_samples_and_chooses_among_those_with_most_rows(quick, spied):
    X, target = table(4000)
    model, _ = fitted(X, classes(target), n_trials=9, time_budget=60)
    rows = model.leaderboard_["rows"]
    assert rows.nunique() > 1 and rows.max() <= spied().rows and rows.min() >= 500
    assert set(rows[model.leaderboard_.weight > 0]) == {rows.max()} and np.isclose(model.leaderboard_.weight.sum(), 1)
    assert rows.is_monotonic_decreasing


@pytest.mark.parametrize("kind", KINDS)
def test_weights_in_the_leaderboard_are_those_of_the_ensemble(kind, quick):
    for ensemble in ("selection", "stack", None):
        model, _ = fitted(X, Y if kind == "classification" else TARGET, kind, n_trials=6, ensemble=ensemble)
        weights = model.leaderboard_.weight
        assert sorted(weights[weights > 0]) == pytest.approx(sorted(w for w, _ in model.ensemble_))
        if ensemble is None: assert weights.tolist()[0] == 1
        parts = sum(w * (p.predict_proba(model.table_.transform(X)) if kind == "classification" else p.predict(model.table_.transform(X))) for w, p in model.ensemble_)
        assert np.allclose(parts if kind == "classification" else parts*model.scale_ + model.center_, model.predict_proba(X) if kind == "classification" else model.predict(X))


# ---------------------------------------------------------------------------------------------------------------------
# Losses, folds, the objective

@st.composite
def class_predictions(draw):
    k, n = draw(st.integers(2, 5)), draw(st.integers(2, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    y = np.concatenate([np.arange(k), rng.integers(0, k, n)])
    return y, rng.dirichlet(np.full(k, draw(st.sampled_from([0.2, 1, 5]))), len(y))


@given(class_predictions())
@examples(60)
def test_classification_losses_are_scikit_learns(drawn):
    y, proba = drawn
    losses = LOSSES["classification"]
    assert losses["error"](y, proba) == pytest.approx(1 - metrics.accuracy_score(y, proba.argmax(1)))
    assert losses["log_loss"](y, proba) == pytest.approx(metrics.log_loss(y, np.clip(proba, 1e-15, None)))
    prior = np.bincount(y) / len(y)
    assert losses["balanced_error"](y, proba) == pytest.approx(1 - metrics.balanced_accuracy_score(y, (proba / prior).argmax(1)))


@given(seeds, st.integers(2, 50))
@examples(40)
def test_regression_losses_are_scikit_learns(seed, n):
    y, predicted = np.random.default_rng(seed).normal(size=(2, n))
    assert LOSSES["regression"]["squared_error"](y, predicted) == pytest.approx(1 - metrics.r2_score(y, predicted))
    assert LOSSES["regression"]["absolute_error"](y, predicted) == pytest.approx(1 - metrics.d2_absolute_error_score(y, predicted))


@given(class_predictions(), st.integers(0, 3))
@examples(40)
def test_classes_that_have_no_share_are_never_the_balanced_choice(drawn, gone):
    y, proba = drawn
    prior = np.bincount(y, minlength=proba.shape[1]) / len(y)
    prior[gone % proba.shape[1]] = 0
    assert not (balanced_choice(proba, prior) == gone % proba.shape[1]).any()
    equal = np.full(proba.shape[1], 1 / proba.shape[1])
    assert np.array_equal(balanced_choice(proba, equal), proba.argmax(1))


@given(seeds, st.integers(2, 80), st.integers(1, 8), st.integers(1, 6))
@examples(60)
def test_folds_share_out_the_rows(seed, n, n_classes, n_folds):
    rng = np.random.default_rng(seed)
    for kind, y in (("classification", rng.integers(0, n_classes, n)), ("regression", rng.normal(size=n))):
        folds = fold_rows(y, kind, n_folds, seed=seed % 100)
        assert len(folds) == min(n_folds, n) if n_folds > 1 else len(folds) == 1
        for train, valid in folds: assert sorted([*train, *valid]) == list(range(n)) and len(valid)
        if n_folds > 1: assert sorted(np.concatenate([valid for _, valid in folds])) == list(range(n))
        assert all(np.array_equal(a, b) for one, two in zip(folds, fold_rows(y, kind, n_folds, seed=seed % 100)) for a, b in zip(one, two))
        if kind == "classification":
            for c, total in enumerate(np.bincount(y)):
                if np.bincount(y).min() >= max(n_folds, 5): assert all(abs((y[v] == c).sum() - total / (n_folds if n_folds > 1 else 5)) <= 1 for _, v in folds)


@pytest.mark.parametrize("kind", KINDS)
def test_the_objective_is_cross_validation_by_hand(kind, tmp_path):
    encoded = TableEncoder().fit(X)
    Z, y = encoded.transform(X), Y if kind == "classification" else TARGET
    objective = PipelineObjective(Z, y, kind, categorical=encoded.categorical_, other=Z[:7], folder=tmp_path, seed=2)
    space = pipeline_space()
    for config in quick_start(None, kind, space)[:3]:
        pipelines = [build_pipeline(config, kind, encoded.categorical_, 2).fit(Z[train], y[train]) for train, _ in objective.folds]
        predict = "predict_proba" if kind == "classification" else "predict"
        by_hand = np.concatenate([getattr(p, predict)(Z[valid]) for p, (_, valid) in zip(pipelines, objective.folds)])
        expected = 1 - (metrics.accuracy_score(objective.valid_y, by_hand.argmax(1)) if kind == "classification" else metrics.r2_score(objective.valid_y, by_hand))
        loss, info = objective(config)
        assert loss == pytest.approx(expected) and info["size"] == sum(not name.startswith("_") for name, _ in pipelines[0].steps) and 0 < info["refit"] < 60
        small, _ = objective(config, budget=20)
        few = [build_pipeline(config, kind, encoded.categorical_, 2).fit(Z[train[:20]], y[train[:20]]) for train, _ in objective.folds]
        by_hand = np.concatenate([getattr(p, predict)(Z[valid]) for p, (_, valid) in zip(few, objective.folds)])
        assert small == pytest.approx(1 - (metrics.accuracy_score(objective.valid_y, by_hand.argmax(1)) if kind == "classification" else metrics.r2_score(objective.valid_y, by_hand)))


# ---------------------------------------------------------------------------------------------------------------------
# Pipelines and their space

def one_at_a_time(model, kind):
    "A quick configuration of this model, and those that differ from it in one choice."
    space = pipeline_space([model])
    base, = quick_start(None, kind, space)
    return [base] + [c for c in space.neighbours(base) if any(c.get(name) != base.get(name) for name, p in space.params.items() if isinstance(p, Choice))]


STEPS = dict(onehot="OneHotEncoder", target="TargetEncoder", ordinal="OrdinalEncoder", standard="StandardScaler", quantile="QuantileTransformer", select="Select", pca="PCA", median="'median'", mean="'mean'")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", MODELS)
def test_every_option_makes_a_pipeline_that_works(model, kind):
    encoded = TableEncoder().fit(X)
    Z, y = encoded.transform(X), Y if kind == "classification" else TARGET
    new = Z.copy()
    new[0], new[1, 1], new[2, 2] = np.nan, np.nan, 99                   # all missing, one missing, a category that nobody has seen
    for config in one_at_a_time(model, kind):
        assert config in pipeline_space()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", message=".*(onverge|n_quantiles).*")
            pipeline, again = [build_pipeline(config, kind, encoded.categorical_, seed=1).fit(Z, y) for _ in range(2)]
        text = str(pipeline.get_params())
        for option in config.values():
            if option in STEPS: assert STEPS[option] in text, (option, text)
        predicted, same = [p.predict_proba(new) if kind == "classification" else p.predict(new) for p in (pipeline, again)]
        assert np.isfinite(predicted).all() and len(predicted) == N and np.array_equal(predicted, same)


def test_every_subset_of_models_has_a_space():
    rng = np.random.default_rng(0)
    for n, models in enumerate(m for k in range(1, len(MODELS) + 1) for m in combinations(MODELS, k)):
        for categories, missing, wide in product([True, False], repeat=3):
            space = pipeline_space(models, categories, missing, wide)
            assert set(space["model"].options) == set(models)
            for kind in KINDS: build_pipeline(config := space.sample(rng), kind, [0] if categories else [])
            assert config in space and ("impute" in config) == (missing and (wide or config["model"] != "boosting"))
            if not wide: assert {name: v for name, v in config.items()} in pipeline_space() or not (categories and missing)
    assert "'tree'" in sentence(ValueError, lambda: pipeline_space(["tree"]))
    sentence(ValueError, lambda: pipeline_space([]))


@given(spaces(most=0).flatmap(lambda _: configs(pipeline_space())), st.sampled_from(KINDS))
@examples(25)
def test_any_configuration_works_or_fails_like_a_pipeline(config, kind):
    "It is built and, if it can be fitted, what it predicts is finite."
    if config["model"] in ("forest", "extra_trees", "mlp"): assume(config.get("hidden", 1) < 100)
    config = {**config, **({"max_iter": 20} if "max_iter" in config else {})}
    encoded = TableEncoder().fit(X)
    Z, y = encoded.transform(X), Y if kind == "classification" else TARGET
    with automl._silence():
        pipeline = build_pipeline(config, kind, encoded.categorical_).fit(Z, y)
        assert np.isfinite(pipeline.predict_proba(Z) if kind == "classification" else pipeline.predict(Z)).all()


@given(st.lists(st.sampled_from(["a", "b", "1", "1.0", "", "é", "nan", None, np.nan, True, 1, 2.5, b"x"]), min_size=1, max_size=30), seeds)
@examples(60)
def test_codes_of_categories_are_one_to_one(values, seed):
    column = pd.DataFrame(dict(c=pd.Series([*values, "text", "more text"], dtype=object)))
    encoder = TableEncoder().fit(column)
    codes = encoder.transform(column)[:, 0]
    assert encoder.categorical_ == [0]
    assert np.array_equal(np.isnan(codes), column.c.isna())
    for i, j in combinations(range(len(codes)), 2):
        if not np.isnan(codes[[i, j]]).any() and str(column.c[i]) == str(column.c[j]): assert codes[i] == codes[j]
        if isinstance(column.c[i], str) and isinstance(column.c[j], str) and column.c[i] != column.c[j]: assert codes[i] != codes[j]
    order = np.random.default_rng(seed).permutation(len(column))
    assert np.array_equal(encoder.transform(column.iloc[order])[:, 0], codes[order], equal_nan=True)
    with pytest.warns(UserWarning, match="'c'"): assert np.isnan(encoder.transform(pd.DataFrame(dict(c=["never seen"])))).all()


def test_codes_are_few_enough_for_boosting():
    levels = pd.DataFrame(dict(d=[f"level {i % 1000}" for i in range(3000)]))
    for frame in (levels, levels.mask(np.arange(3000)[:, None] % 7 == 0), levels.astype("category")):
        codes = TableEncoder().fit(frame).transform(frame)
        known = codes[~np.isnan(codes)]
        assert known.min() == 0 and known.max() <= 254 and len(np.unique(known)) > 200


# ---------------------------------------------------------------------------------------------------------------------
# The portfolio

def worth(losses, weights, chosen): return weights @ losses[:, list(chosen)].min(1)


@given(seeds, st.integers(1, 6), st.integers(1, 7), st.integers(1, 8), st.booleans())
@examples(60)
def test_the_portfolio_is_greedy(seed, n_tasks, n_configs, n, weighted):
    rng = np.random.default_rng(seed)
    losses = rng.random((n_tasks, n_configs))
    losses[rng.random(losses.shape) < 0.2] = rng.choice([math.inf, math.nan])
    assume(np.isfinite(losses).any())
    weights = rng.random(n_tasks) + 0.01 if weighted else np.ones(n_tasks)
    chosen = portfolio(losses, n, weights if weighted else None)
    assert len(set(chosen)) == len(chosen) == min(n, n_configs)
    filled = np.where(np.isfinite(losses), losses, losses[np.isfinite(losses)].max())
    for k in range(len(chosen)):
        best = min(worth(filled, weights, [*chosen[:k], i]) for i in range(n_configs) if i not in chosen[:k])
        assert worth(filled, weights, chosen[:k + 1]) == pytest.approx(best)
    if n == 1: assert worth(filled, weights, chosen) == pytest.approx((weights @ filled).min())


def test_a_portfolio_of_failures():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert portfolio([[math.inf, math.inf, math.inf], [1, 0.5, 2]], 2)[0] == 1
        sentence(ValueError, lambda: portfolio([[math.inf, math.inf]]))
        assert portfolio([[0.1, 0.2], [0.3, 0.1]], 5) == [1, 0]


@pytest.fixture(scope="module")
def script():
    "benchmarks/portfolio.py as a module."
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        spec = util.spec_from_file_location("portfolio_script", ROOT / "benchmarks" / "portfolio.py")
        module = util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally: sys.path.remove(str(ROOT / "benchmarks"))


def shipped(): return json.loads((ROOT / "course_lib" / "assets" / "portfolio.json").read_text())


def test_what_ships_is_what_its_script_and_raw_results_give(script):
    made, there = json.loads(script.asset()), shipped()
    for kind in KINDS:
        assert made[kind].keys() == there[kind].keys()
        for name in made[kind]: assert made[kind][name] == there[kind][name], f"{kind}: {name} of course_lib/assets/portfolio.json isn't what benchmarks/portfolio.py gives"
    done = {(row["kind"], int(row["dataset"]), int(row["config"])) for row in script.ROWS.rows}
    assert done == set(product(KINDS, range(script.N_DATASETS), range(script.N_CONFIGS)))


def test_no_real_dataset_is_in_it():
    "By name, by size and by what the script can reach."
    text, entries = (ROOT / "course_lib" / "assets" / "portfolio.json").read_text(), [d for kind in KINDS for d in shipped()[kind]["datasets"]]
    assert all(d["name"].startswith("generated ") for d in entries) and len({d["sha256"] for d in entries}) == len(entries)
    from course_lib import data
    names = {name.removeprefix("load_") for name in dir(datasets) if name.startswith("load_")} | set(getattr(data, "TABULAR", ()))
    assert not [name for name in names if len(name) > 4 and f'"{name}' in text]
    bundled = [getattr(datasets, f"load_{name}")(return_X_y=True)[0] for name in ("breast_cancer", "diabetes", "digits", "iris", "wine")]
    assert not {(d["rows"], d["columns"]) for d in entries} & {X.shape for X in bundled}
    source = (ROOT / "benchmarks" / "portfolio.py").read_text()
    assert not any(word in source for word in ("sklearn.datasets", "load_", "fetch_", "read_csv", "course_lib.data", "automl_tasks"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_warm_start_fits_any_task(kind):
    there = portfolio_table(kind)
    assert all(config in pipeline_space() for config in there["configs"])
    rng = np.random.default_rng(0)
    for categories, missing, wide, models in product([True, False], [True, False], [True, False], [MODELS, [m for m in MODELS if m != "svm"], ["linear"], ["mlp", "knn"]]):
        space = pipeline_space(models, categories, missing, wide)
        for features in [*there["meta_features"][:2], rng.normal(size=6), np.array([6, 5, 1, 0.9, 3, 1])]:
            starts = warm_start(features, kind, space)
            assert all(config in space for config in starts) and len({json.dumps(c) for c in starts}) == len(starts) <= 8
            if models is MODELS or len(models) == 6: assert len(starts) >= 4
    for X, y in ((np.zeros((10, 3)), np.zeros(10, int)), (np.full((10, 3), np.nan), np.arange(10) % 2)):
        assert np.isfinite(meta_features(X, y, kind)).all()


# ---------------------------------------------------------------------------------------------------------------------
# Ensembles

def squared(y, p): return float(((y - p)**2).mean())


def counts_and_predictions(draw, classes):
    m, n = draw(st.integers(1, 5)), draw(st.integers(2, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    if classes: return rng.integers(0, 3, n), rng.dirichlet([1, 1, 1], (m, n)), LOSSES["classification"][draw(st.sampled_from(["error", "log_loss"]))]
    return (y := rng.normal(size=n)), y + rng.normal(size=(m, n)) * 10**rng.uniform(-2, 1, (m, 1)), squared


cases = st.composite(counts_and_predictions)


@given(cases(True) | cases(False), st.integers(1, 12))
@examples(80)
def test_ensemble_selection_is_greedy_and_never_worse_than_the_best(drawn, n):
    y, predictions, loss = drawn
    weights = ensemble_selection(predictions, y, loss, n)
    singles = [loss(y, p) for p in predictions]
    assert weights.shape == (len(predictions),) and weights.sum() == pytest.approx(1) and (weights >= 0).all()
    assert any(np.allclose(weights*k, np.round(weights*k), atol=1e-9) for k in range(1, n + 1))
    found = loss(y, np.tensordot(weights, predictions, 1))
    assert found <= min(singles) + 1e-12
    assert ensemble_selection(predictions, y, loss, 1).tolist() == np.eye(len(predictions))[int(np.argmin(singles))].tolist()
    chosen, losses = [], []                                             # by the book
    for _ in range(n):
        options = [loss(y, np.mean([predictions[i] for i in [*chosen, new]], axis=0)) for new in range(len(predictions))]
        chosen.append(int(np.argmin(options)))
        losses.append(min(options))
    assert found == pytest.approx(min(losses), abs=1e-9)
    if n <= 3:
        exhaustive = min(loss(y, np.mean([predictions[i] for i in team], axis=0)) for k in range(1, n + 1) for team in combinations_with_replacement(range(len(predictions)), k))
        assert exhaustive <= found + 1e-12
        if n == 1 or len(predictions) == 1: assert exhaustive == pytest.approx(found)


def test_ensemble_selection_comes_near_the_best_mixture():
    rng = np.random.default_rng(0)
    y = rng.normal(size=200)
    predictions = y + rng.normal(size=(4, 200)) * [[0.5], [0.6], [0.7], [2]]
    weights = ensemble_selection(predictions, y, squared, 400)
    grid = [np.array(w) / 40 for w in product(range(41), repeat=4) if sum(w) == 40]
    assert squared(y, weights @ predictions) <= min(squared(y, w @ predictions) for w in grid) * 1.001


@given(cases(True) | cases(False))
@examples(60)
def test_stack_is_the_best_average(drawn):
    y, predictions, _ = drawn
    A, b = (predictions.reshape(len(predictions), -1).T, y if predictions.ndim == 2 else np.eye(3)[y].ravel())
    weights, size = stack(predictions, y), len(predictions)
    assert weights.sum() == pytest.approx(1) and (weights >= 0).all()
    loss = lambda w: ((A @ w - b)**2).mean()
    best = minimize_scipy(loss, np.full(size, 1/size), method="SLSQP", bounds=[(0, 1)]*size, constraints=dict(type="eq", fun=lambda w: w.sum() - 1), options=dict(ftol=1e-12, maxiter=500)).fun
    assert loss(weights) <= best + 1e-6 * max(1, (b**2).mean())
    assert loss(weights) <= min(loss(w) for w in np.eye(size)) + 1e-9 * max(1, (b**2).mean())


def test_ensembles_of_nothing_and_of_nonsense():
    y = np.array([1.0, 3])
    sentence(ValueError, lambda: ensemble_selection([], y, squared))
    sentence(ValueError, lambda: ensemble_selection([y], y, squared, 0))
    sentence(ValueError, lambda: stack([], y))
    assert ensemble_selection([np.array([np.nan, 2]), np.array([1.0, 2])], y, squared).tolist() == [0, 1]
    assert stack([np.array([1.0, 2]), np.array([2.0, 1])], -y).sum() == pytest.approx(1)
    assert stack([np.zeros(2), np.zeros(2)], y).sum() == pytest.approx(1)


# ---------------------------------------------------------------------------------------------------------------------
# NSGA-II

def points_of(draw):
    n, m = draw(st.integers(1, 20)), draw(st.integers(1, 3))
    return np.array(draw(st.lists(st.lists(st.integers(0, 4) | st.integers(-5000, 5000).map(lambda i: i / 1000), min_size=m, max_size=m), min_size=n, max_size=n)), dtype=float)


def dominates(a, b): return np.all(a <= b) and np.any(a < b)


@given(st.composite(points_of)())
@examples(100)
def test_ranks_are_the_longest_chains_of_domination(points):
    rank = {}
    def chain(i):
        if i not in rank: rank[i] = max((1 + chain(j) for j in range(len(points)) if dominates(points[j], points[i])), default=0)
        return rank[i]
    assert nondominated_rank(points).tolist() == [chain(i) for i in range(len(points))]


def crowding_by_hand(points):
    found = np.zeros(len(points))
    for d in range(points.shape[1]):
        order = sorted(range(len(points)), key=lambda i: points[i, d])
        width = points[order[-1], d] - points[order[0], d]
        for place, i in enumerate(order):
            if place in (0, len(order) - 1): found[i] = math.inf
            elif width: found[i] += (points[order[place + 1], d] - points[order[place - 1], d]) / width
    return found


@given(st.composite(points_of)())
@examples(100)
def test_crowding_distance_is_the_papers(points):
    found = crowding_distance(points)
    assert np.allclose(found, crowding_by_hand(points))
    assert np.allclose(crowding_distance(points*4 + 32), found)


def test_fronts_of_nothing_and_of_one():
    assert nondominated_rank(np.zeros((0, 2))).shape == crowding_distance(np.zeros((0, 2))).shape == (0,)
    assert crowding_distance([[1, 2]]).tolist() == [math.inf]


def two(config, budget=None):
    "Two objectives that say nothing; one trial in four fails."
    u = objectives.erratic(config)
    return u, dict(size=objectives.luck(config, 1))


@given(spaces(), seeds, st.integers(2, 6))
@examples(40)
def test_nsga2_asks_for_what_is_in_the_space(space, seed, population):
    def loss(trial): trial.info["size"] = len(trial.config); return objectives.luck(trial.config)
    asked = []
    optimizer = NSGA2(space, seed, population=population)
    for trial in run(optimizer, np.random.default_rng(seed), 24, failing=0.25, loss=loss):
        trial.info["size"] = len(trial.config)
        asked.append(trial)
    assert all(t.config in space for t in asked) and [t.id for t in asked] == list(range(len(asked)))
    if space.size < math.inf:
        keys = [json.dumps(t.config) for t in asked]
        assert len(set(keys)) == len(keys)


@given(spaces(), seeds, st.floats(0, 1))
@examples(25)
def test_nsga2_goes_on_from_its_journal_as_if_nothing_had_happened(space, seed, share):
    with tempfile.TemporaryDirectory() as folder:
        journal = os.path.join(folder, "journal")
        go_on = lambda: what(minimize(two, NSGA2(space, seed, population=4), 18, journal=journal, progress=False))
        uncut = go_on()
        lines = open(journal, "rb").read().splitlines(keepends=True)
        with open(journal, "wb") as file: file.writelines(lines[:round(share*len(lines))])
        assert go_on() == uncut


def hypervolume(points, reference):
    "Area that the points dominate, up to the reference."
    area, lowest = 0, reference[1]
    for x, y in sorted(map(tuple, points)):
        if x < reference[0] and y < lowest: area, lowest = area + (reference[0] - x) * (lowest - y), y
    return area


def zdt1(config):
    x = list(config.values())
    g = 1 + 9*sum(x[1:]) / (len(x) - 1)
    if 0.4 < x[1] < 0.45: raise ArithmeticError("not here")
    return g*(1 - math.sqrt(x[0] / g)), dict(size=x[0])


def mixed(config):
    "Of two kinds, of which one reaches further; each has parameters of its own."
    if config["kind"] == "a": return 1 - config["x"] + sum((config[f"a{i}"] - 0.3)**2 for i in range(4)), dict(size=config["x"] + 0.2)
    return 1.2 - config["x"] + (config["k"] - 37)**2 / 300, dict(size=config["x"])


ZDT1 = Space({f"x{i}": Float(0, 1) for i in range(6)})
MIXED = Space(kind=Choice("a", "b"), x=Float(0, 1), **{f"a{i}": Float(0, 1, when=dict(kind="a")) for i in range(4)}, k=Int(1, 100, when=dict(kind="b")))


@pytest.mark.parametrize("objective, space, reference", [(zdt1, ZDT1, (6, 1.1)), (mixed, MIXED, (2, 1.3))], ids=["zdt1", "mixed"])
def test_nsga2_beats_random_search_at_equal_evaluations(objective, space, reference):
    def found(optimizer): return hypervolume([(t.loss, t.info["size"]) for t in minimize(objective, optimizer, 200, progress=False).trials if t.status == "done"], reference)
    ours = [found(NSGA2(space, seed)) for seed in range(4)]
    random = [found(RandomSearch(space, seed)) for seed in range(4)]
    assert np.mean(ours) > np.mean(random) and sum(a > b for a, b in zip(ours, random)) >= 3, (ours, random)


def test_nsga2_keeps_the_front():
    optimizer = NSGA2(ZDT1, 0, population=10)
    results = minimize(zdt1, optimizer, 100, progress=False)
    kept = optimizer.survivors(10**9)
    done = [t for t in results.trials if t.status == "done"]
    rank = dict(zip((t.id for t in done), nondominated_rank([(t.loss, t.info["size"]) for t in done])))
    assert len(kept) == 10 and max(rank[t.id] for t in kept) <= min((rank[t.id] for t in done if t not in kept), default=99)
    assert [t.id for t in optimizer.survivors(30)] == [t.id for t in optimizer.survivors(30)] and all(t.id < 30 for t in optimizer.survivors(30))


def test_nsga2_says_what_it_needs():
    space = Space(x=Float(0, 1))
    assert "'size'" in sentence(ValueError, lambda: minimize(lambda config: config["x"], NSGA2(space, population=4), 20, progress=False))
    for bad in (dict(population=1), dict(mutation=2), dict(objectives=()), dict(objectives="loss")): assert sentence(ValueError, lambda: NSGA2(space, **bad))
    for nothing in (None, "big"): assert "trial 0" in sentence(ValueError, lambda: minimize(lambda config: (config["x"], dict(size=nothing)), NSGA2(space), 3, progress=False))
    optimizer = NSGA2(space, population=4)                              # a measurement that failed isn't the end
    results = minimize(lambda config: (config["x"], dict(size=math.nan if config["x"] < 0.5 else 1.0)), optimizer, 30, progress=False)
    assert len(results) == 30 and all(math.isfinite(t.info["size"]) for t in optimizer.survivors(30))
    for empty in (Space(), Space(a=Choice(1))): assert len(minimize(two, NSGA2(empty), 5, progress=False)) == 1
