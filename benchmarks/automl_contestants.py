"""One contestant of benchmarks/automl.py, run in the Python that has it: `python automl_contestants.py TOOL FOLDER`.

FOLDER holds rows.npz and job.json (kind, categories, seconds, seed); predictions.npy and done.json are written there. No scores: the test target never comes here.
Every contestant gets a DataFrame with pandas categories and NaN, and is told to optimise balanced accuracy or R² as far as its interface goes:

- ours: `loss="balanced_error"`; everything else is its own affair.
- FLAML: a custom metric (balanced error) and, as its documentation advises for classes of unequal size, balanced sample weights. It takes categories and missing values itself.
- TPOT: `scorers=["balanced_accuracy"]` or `["r2"]`; `preprocessing=True` imputes and makes columns of 0 and 1 from categories, which go in as objects, as it wants them. A pipeline may take a third of the budget.
  Its defaults are for hours: half a minute is enough for two or three pipelines of its default space in ten folds, and often for none. So it has its space of fast models (`"linear-light"`) and five folds.
- H2O: its leaderboard is sorted by mean error per class or squared error; for two classes, the threshold is the one that H2O itself reports as best for the mean accuracy per class (by cross-validation; where it does none, on its validation rows).
- random forest: scikit-learn's defaults on medians and category codes (a missing category is a category). boosting: scikit-learn's histogram boosting, which takes categories and missing values itself.
- a guess: a random pipeline of `course_lib.automl.pipeline_space`, without support vector machines beyond 3,000 rows, fitted once.

A budget covers all that `fit` does, encoding included; imports don't count, nor does the start of H2O's server, which is noted apart. A search that reaches three times its budget is broken off. The baselines have no budget.
"""
import json, os, pathlib, sys, threading, time
from importlib.metadata import version

PACKAGES = {"ours": ["scikit-learn"], "FLAML": ["flaml", "lightgbm", "xgboost", "scikit-learn"], "TPOT": ["tpot", "lightgbm", "xgboost", "scikit-learn"],
            "H2O": ["h2o"], "random forest": ["scikit-learn"], "boosting": ["scikit-learn"], "boosting, weighted": ["scikit-learn"], "a guess": ["scikit-learn"]}
UNHURRIED = ["random forest", "boosting", "boosting, weighted", "a guess"]                             # they have no budget
STOPPED, PATIENCE = 124, 3                                           # exit status of a fit that was broken off, after so many budgets


def use_two_cores():
    "Whatever this process starts stays on two cores, where the system can (Linux)."
    if hasattr(os, "sched_setaffinity"): os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])


def read_rows(folder, categories):
    "Training rows, training target and test rows."
    import numpy as np, pandas as pd
    with np.load(folder / "rows.npz") as data:
        names = json.loads(str(data["names"]))
        def frame(part):
            columns = {c: data[f"{part} {c}"] for c in names}
            return pd.DataFrame({c: pd.Categorical.from_codes(v, categories[c]) if c in categories else v for c, v in columns.items()})
        return frame("train"), data["y"], frame("test")


# ---- a contestant: (kind, seconds, seed) -> (fit, predict, what it has to say afterwards) ----

def ours(kind, seconds, seed):
    sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
    from course_lib.automl import AutoMLClassifier, AutoMLRegressor
    settings = dict(time_budget=seconds, seed=seed, n_jobs=2, progress=False)
    model = AutoMLRegressor(**settings) if kind == "regression" else AutoMLClassifier(loss="balanced_error", **settings)
    return model.fit, model.predict, lambda: ""


def flaml(kind, seconds, seed):
    from flaml import AutoML
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.utils.class_weight import compute_sample_weight

    def balanced_error(X_val, y_val, estimator, labels, X_train, y_train, weight_val=None, weight_train=None, *_):
        error = 1 - balanced_accuracy_score(y_val, estimator.predict(X_val))
        return error, {"balanced_error": error}

    model = AutoML()
    def fit(X, y):
        weights = dict(sample_weight=compute_sample_weight("balanced", y)) if kind == "classification" else {}
        model.fit(X, y, task=kind, metric="r2" if kind == "regression" else balanced_error, time_budget=seconds, n_jobs=2, seed=seed, verbose=0, **weights)
    return fit, model.predict, lambda: f"chose {model.best_estimator}"


def tpot(kind, seconds, seed):
    import numpy as np
    from tpot import TPOTClassifier, TPOTRegressor

    def plain(X): return X.astype({c: object for c in X.select_dtypes("category")}).replace({None: np.nan})

    made = {}
    def fit(X, y):
        categories = list(X.select_dtypes("category"))
        model = made["model"] = (TPOTRegressor if kind == "regression" else TPOTClassifier)(
            search_space="linear-light", cv=5, scorers=["r2" if kind == "regression" else "balanced_accuracy"], preprocessing=True, categorical_features=categories or None,
            max_time_mins=seconds / 60, max_eval_time_mins=seconds / 180, n_jobs=2, random_state=seed, verbose=0)
        model.fit(plain(X), y)
    def said():
        scored = made["model"].evaluated_individuals.iloc[:, 0]      # NaN: failed, too slow, or never begun
        return f"{scored.notna().sum()} pipelines of {len(scored)} have a score"
    return fit, lambda X: made["model"].predict(plain(X)), said


def h2o(kind, seconds, seed):
    import h2o, pandas as pd
    from h2o.automl import H2OAutoML
    begun = time.perf_counter()
    h2o.init(nthreads=2, verbose=False)
    h2o.no_progress()
    started = time.perf_counter() - begun
    sort_metric = "rmse" if kind == "regression" else "mean_per_class_error"
    model = H2OAutoML(max_runtime_secs=round(seconds), seed=seed, sort_metric=sort_metric)

    def upload(X, y=None):
        X, types = X.copy(), {c: "enum" if X[c].dtype == "category" else "real" for c in X}
        for c in X.select_dtypes("category"): X[c] = X[c].astype(object)
        if y is not None: X["target"], types["target"] = y, "real" if kind == "regression" else "enum"
        return h2o.H2OFrame(X, column_types=types)

    def fit(X, y):
        frame = upload(X, y)
        model.train(x=list(X), y="target", training_frame=frame)

    def predict(X):
        found = model.leader.predict(upload(X)).as_data_frame()
        if kind == "regression": return found["predict"].to_numpy()
        if "p1" in found and found.shape[1] == 3:                     # two classes: label, probability of 0, probability of 1
            thresholds = (model.leader.find_threshold_by_max_metric("mean_per_class_accuracy", **{where: True}) for where in ("xval", "valid", "train"))
            threshold = next(t for t in thresholds if t is not None)  # on many rows H2O doesn't cross-validate
            return (found["p1"] >= threshold).to_numpy().astype(int)
        return found["predict"].to_numpy().astype(int)

    return fit, predict, lambda: f"chose {model.leader.model_id.split('_AutoML')[0].split('_1_')[0]}; the server took {started:.1f} s to start"


def random_forest(kind, seconds, seed):
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder
    encode = make_column_transformer((SimpleImputer(strategy="median"), make_column_selector(dtype_include="number")),
                                     (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-2, encoded_missing_value=-1), make_column_selector(dtype_include="category")))
    forest = RandomForestRegressor if kind == "regression" else RandomForestClassifier
    model = make_pipeline(encode, forest(n_jobs=2, random_state=seed))
    return model.fit, model.predict, lambda: ""


def boosting(kind, seconds, seed, **own):
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    model = (HistGradientBoostingRegressor if kind == "regression" else HistGradientBoostingClassifier)(categorical_features="from_dtype", random_state=seed, **own)
    return model.fit, model.predict, lambda: ""


def guess(kind, seconds, seed):
    import numpy as np
    sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
    from course_lib.automl import MODELS, TableEncoder, build_pipeline, pipeline_space
    encoder, made = TableEncoder(), {}
    def fit(X, y):
        config = pipeline_space([m for m in MODELS if m != "svm" or len(X) <= 3000]).sample(np.random.default_rng([seed, len(X), X.shape[1]]))
        made["pipeline"] = build_pipeline(config, kind, encoder.fit(X).categorical_, seed).fit(encoder.transform(X), y)
        made["model"] = config["model"]
    return fit, lambda X: made["pipeline"].predict(encoder.transform(X)), lambda: made["model"]


CONTESTANTS = {"ours": ours, "FLAML": flaml, "TPOT": tpot, "H2O": h2o, "random forest": random_forest, "boosting": boosting,
               "boosting, weighted": lambda *job: boosting(*job, class_weight="balanced"), "a guess": guess}


def clean_up(tool):
    "H2O's server would go on without its client."
    if tool != "H2O": return
    import h2o
    try: h2o.cluster().shutdown()
    except Exception: pass                                           # it was never up, or is gone


def main(tool, folder):
    import numpy as np
    folder = pathlib.Path(folder)
    job = json.loads((folder / "job.json").read_text())
    X, y, X_test = read_rows(folder, job["categories"])
    fit, predict, said = CONTESTANTS[tool](job["kind"], job["seconds"], job["seed"])
    def break_off():
        clean_up(tool)
        os._exit(STOPPED)
    alarm = threading.Timer(PATIENCE * job["seconds"], break_off)
    alarm.daemon = True
    if tool not in UNHURRIED: alarm.start()
    begun = time.perf_counter()
    fit(X, y)
    fitted = time.perf_counter()
    alarm.cancel()
    np.save(folder / "predictions.npy", np.asarray(predict(X_test)).ravel())
    ended = time.perf_counter()
    used = f"Python {sys.version.split()[0]} " + " ".join(f"{p} {version(p)}" for p in PACKAGES[tool])
    (folder / "done.json").write_text(json.dumps(dict(fit_seconds=fitted - begun, predict_seconds=ended - fitted, versions=used, note=said())))


if __name__ == "__main__":
    use_two_cores()
    try: main(*sys.argv[1:])
    finally: clean_up(sys.argv[1])
