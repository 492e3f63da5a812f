"Pipelines that fail, hang, die and lie, for worker processes, which import them from here."

import json
import os
import signal
import sys
import time
import warnings
from pathlib import Path

from course_lib import automl
from course_lib.automl import AutoMLClassifier, PipelineObjective


class Hostile(PipelineObjective):
    "What happens is what the environment says of the model: it raises, hangs, exits, dies or talks nonsense."
    def __call__(self, config, budget=None):
        match json.loads(os.environ.get("HOSTILE", "{}")).get(config["model"]):
            case "raises": raise RuntimeError("this pipeline doesn't work")
            case "hangs": time.sleep(600)
            case "dies": os.kill(os.getpid(), signal.SIGKILL)
            case "is bad": return float("nan"), {}
        return super().__call__(config, budget)


def quick_start(features, kind, space, n=8, table=None):
    "In place of `warm_start`: one quick configuration per model, linear first, the costly ones last."
    models = [m for m in ("linear", "boosting", "knn", "extra_trees", "svm", "mlp", "forest") if m in space["model"]]
    at = dict(max_iter=0.1, min_samples_leaf=0.3, C=0.5)
    return [space.decode([p.encode(model) if name == "model" else at.get(name, 0.25) for name, p in space.params.items()]) for model in models]


def script(folder):
    "Two processes, as from a script of the user's."
    import numpy as np
    automl.warm_start = quick_start
    X = np.random.default_rng(0).normal(size=(80, 3))
    with warnings.catch_warnings(record=True):
        model = AutoMLClassifier(time_budget=100, n_jobs=2, n_trials=3, progress=False).fit(X, X[:, 0] > 0)
    Path(folder, "done").write_text(f"{len(model.results_)} {model.score(X, X[:, 0] > 0)}")


if __name__ == "__main__": script(sys.argv[1])
