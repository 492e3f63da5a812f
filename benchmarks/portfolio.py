"""Which pipelines to try first: many pipelines on many generated datasets.

Every dataset is generated, from a recipe that its number draws, so no real table and no task of another benchmark can be among them. The table
that comes out ships with the package (course_lib/assets/portfolio.json), and `course_lib.automl.warm_start` chooses from it. Three-fold cross-validation, error or
relative squared error; a pipeline that takes more than 10 seconds fails. `python benchmarks/portfolio.py` takes about half an hour on one core and goes on where it stopped.
"""
import hashlib, json, math, time

import numpy as np
from common import HERE, Rows, conditions, main, markdown_table, write_conditions

from course_lib.automl import MODELS, PipelineObjective, TableEncoder, meta_features, pipeline_space, portfolio, regrets

NAME, N_DATASETS, N_CONFIGS, SECONDS = "portfolio", 12, 90, 10
KINDS = ("classification", "regression")
ASSET = HERE.parent / "course_lib" / "assets" / "portfolio.json"
ROWS = Rows(NAME, ["kind", "dataset", "config"], ["loss", "seconds"])


def surface(X, rng):
    "A random function of the columns, of one of five shapes, standardised."
    d = X.shape[1]
    used = rng.choice(d, size=min(d, int(rng.integers(2, 11))), replace=False)
    Z, shape = X[:, used], rng.choice(["linear", "network", "trees", "radial", "products"])
    if shape == "linear": f = Z @ rng.normal(size=len(used))
    elif shape == "network": f = np.tanh(Z @ rng.normal(size=(len(used), 12)) + rng.normal(size=12)) @ rng.normal(size=12)
    elif shape == "trees":
        f = np.zeros(len(Z))
        for _ in range(15):
            cells = sum((Z[:, rng.integers(len(used))] > rng.normal()) * 2**k for k in range(3))
            f += rng.normal(size=8)[cells]
    elif shape == "radial": f = np.sqrt((((Z - rng.normal(size=len(used))) * rng.uniform(0.3, 1.5, len(used)))**2).sum(1))
    else: f = sum(rng.normal() * Z[:, rng.integers(len(used))] * Z[:, rng.integers(len(used))] for _ in range(4)) + 0.5 * Z @ rng.normal(size=len(used))
    return (f - f.mean()) / max(f.std(), 1e-9)


def dataset(kind, number):
    "A generated table: a DataFrame, and class numbers or numbers."
    import pandas as pd
    rng = np.random.default_rng([number, KINDS.index(kind), 2024])
    n, d = int(10**rng.uniform(math.log10(200), math.log10(3000))), int(10**rng.uniform(math.log10(4), math.log10(60)))
    X = rng.normal(size=(n, d)) @ (np.eye(d) + rng.choice([0, 0.3]) * rng.normal(size=(d, d)) / math.sqrt(d))
    noise = 10**rng.uniform(-2, 0)
    if kind == "regression": y = surface(X, rng) + noise * rng.standard_t(4, size=n)
    else:
        n_classes = int(rng.choice([2, 2, 2, 3, 5, 8]))
        scores = np.stack([surface(X, rng) for _ in range(n_classes)], 1) / noise + rng.gumbel(size=(n, n_classes))
        y = np.unique((scores + np.linspace(0, rng.choice([0, 1.5]) / noise, n_classes)).argmax(1), return_inverse=True)[1]
    X = np.where(rng.random(d) < rng.choice([0, 0.4]), np.exp(X), X)                            # skewed columns
    table = pd.DataFrame(X, columns=[f"x{i}" for i in range(d)])
    for i in np.flatnonzero(rng.random(d) < rng.choice([0, 0, 0.4])):                           # categories, in no order
        levels = int(10**rng.uniform(math.log10(2), math.log10(30)))
        names = rng.permutation([f"c{k}" for k in range(levels)])
        table[f"x{i}"] = names[np.searchsorted(np.quantile(X[:, i], np.linspace(0, 1, levels + 1)[1:-1]), X[:, i])]
    return table.mask(rng.random(X.shape) < rng.choice([0, 0, 0.1])), y                         # missing values


def configs():
    "Every model's usual setting, then random ones, of the full space."
    space, rng = pipeline_space(), np.random.default_rng(2024)
    usual = dict(impute="median", encode="onehot", scale="standard", reduce="none", keep=0.5, C=1.0, gamma=0.05, n_neighbors=5, weights="uniform", max_features=0.5, min_samples_leaf=1,
                 learning_rate=0.1, max_iter=100, max_leaf_nodes=31, l2_regularization=1e-6, hidden=100, layers=1, alpha=1e-4, learning_rate_init=1e-3)
    first = [space.decode([p.encode(m if name == "model" else usual[name]) for name, p in space.params.items()]) for m in MODELS]
    return first + [space.sample(rng) for _ in range(N_CONFIGS - len(first))]


def task(kind, number):
    "The table as numbers, and which columns are categories."
    table, y = dataset(kind, number)
    encoder = TableEncoder().fit(table)
    X = encoder.transform(table)
    return X, (y - y.mean()) / y.std() if kind == "regression" else y, encoder.categorical_


def run():
    for number in range(N_DATASETS):
        for kind in KINDS:
            X, y, categorical = task(kind, number)
            objective = PipelineObjective(X, y, kind, categorical=categorical, n_folds=3)
            for i, config in enumerate(configs()):
                if (kind, number, i) in ROWS: continue
                begun, objective.deadline = time.perf_counter(), time.time() + SECONDS
                try: loss = objective(config)[0]
                except Exception: loss = math.inf
                ROWS.add(kind=kind, dataset=number, config=i, loss=f"{loss:.5g}", seconds=f"{time.perf_counter() - begun:.3f}")
            print(kind, number, X.shape, len(categorical), flush=True)
    write_conditions(NAME, "scikit-learn", "numpy")


def asset():
    "What ships: configurations, losses, meta-features, and each dataset's digest."
    found = {}
    for kind in KINDS:
        losses = np.full((N_DATASETS, N_CONFIGS), math.inf)
        for row in ROWS.rows:
            if row["kind"] == kind: losses[int(row["dataset"]), int(row["config"])] = float(row["loss"])
        tasks = [task(kind, i) for i in range(N_DATASETS)]
        found[kind] = dict(
            script="benchmarks/portfolio.py",
            datasets=[dict(name=f"generated {kind} {i}", rows=X.shape[0], columns=X.shape[1], sha256=hashlib.sha256(X.astype("<f4").tobytes()).hexdigest()) for i, (X, _, _) in enumerate(tasks)],
            configs=[{name: float(f"{v:.4g}") if isinstance(v, float) else v for name, v in c.items()} for c in configs()],
            losses=[[float(v) if math.isfinite(v) else None for v in row] for row in losses],
            meta_features=[[round(float(v), 4) for v in meta_features(X, y, kind, categorical)] for X, y, categorical in tasks])
    return json.dumps(found).replace('}, {"model"', '},\n{"model"').replace("], [", "],\n[") + "\n"


def table():
    text = asset()
    lines = ["# Which pipelines to try first\n", conditions(NAME) + "\n",
             f"{N_CONFIGS} pipelines on {N_DATASETS} generated datasets for classification and {N_DATASETS} for regression; {sum(float(r['loss']) == math.inf for r in ROWS.rows)} of the {len(ROWS.rows):,} runs failed or took more than {SECONDS} seconds."
             f" The shipped table has the SHA-256 {hashlib.sha256(text.encode()).hexdigest()[:16]}….\n"]
    for kind in KINDS:
        found = json.loads(text)[kind]
        losses = np.array(found["losses"], dtype=float)
        scaled = regrets(losses)
        rows, best = [], np.full(N_DATASETS, np.inf)
        for i in portfolio(scaled, 8):
            best = np.minimum(best, scaled[:, i])
            own = {name: v for name, v in found["configs"][i].items() if name != "model"}
            rows.append([found["configs"][i]["model"], f"{scaled[:, i].mean():.3f}", f"{best.mean():.3f}", ", ".join(f"{name} {v}" for name, v in own.items())])
        lines += [f"\n## {kind.capitalize()}: the first eight of the portfolio\n", "Regret: 0 is a dataset's best pipeline, 1 its median one.\n",
                  markdown_table(["model", "regret alone", "regret of the best so far", "settings"], rows)]
    return "\n".join(lines)


if __name__ == "__main__": main(NAME, run, table, pictures=lambda: ASSET.write_text(asset()))
