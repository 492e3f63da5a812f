"""What does a range test cost? Seconds and peak memory of a bare training loop, `lr_find`, fastai's `lr_find` and torch-lr-finder.

One run, the same model (ResNet-18 on 32×32 images, batches of 16) and data, 20 steps each, in turn, six repetitions on one core;
memory in a process of its own each. Takes about ten minutes; resumable.
"""
import contextlib, io, json, os, pathlib, subprocess, sys, tempfile, time, warnings
from functools import partial

import numpy as np

from common import HERE, Rows, conditions, main, markdown_table, write_conditions

NAME, STEPS, REPEATS, BATCH = "lr_finder", 20, 6, 16
CONTESTANTS = ["bare loop", "lr_find", "learn.lr_range_test", "fastai lr_find", "torch-lr-finder"]
START, END = 1e-6, 1e-3                           # too low to diverge: every contestant makes all its steps


def setup():
    warnings.simplefilter("ignore")
    import torch
    from torch.utils.data import DataLoader, TensorDataset
    from torchvision.models import resnet18
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = resnet18(num_classes=10)
    x, y = torch.randn(BATCH * 10, 3, 32, 32), torch.randint(10, (BATCH * 10,))
    return model, DataLoader(TensorDataset(x, y), BATCH, shuffle=True), torch.nn.CrossEntropyLoss()


def adam(model):
    import torch
    return torch.optim.Adam(model.parameters(), lr=START)


def learner(model, dl, loss_func):
    import torch
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner
    from fastai.optimizer import OptimWrapper
    return Learner(DataLoaders(dl, dl), model, loss_func, opt_func=partial(OptimWrapper, opt=torch.optim.Adam), path=tempfile.mkdtemp())


def prepare(name):
    "A function that runs the contestant once, with everything that isn't the test prepared outside."
    model, dl, loss_func = setup()
    if name == "bare loop":
        opt = adam(model)
        def bare():
            model.train()
            done = 0
            while done < STEPS:
                for x, y in dl:
                    loss = loss_func(model(x), y)
                    opt.zero_grad()
                    loss.backward()
                    opt.step()
                    loss.item()
                    done += 1
                    if done == STEPS: break
        return bare
    if name == "lr_find":
        from course_lib.lr_finder import lr_find
        opt = adam(model)
        return lambda: len(lr_find(model, loss_func, dl, opt, START, END, STEPS, progress=False).lrs) == STEPS or sys.exit("stopped early")
    if name == "learn.lr_range_test":
        import course_lib.lr_finder
        learn = learner(model, dl, loss_func)
        return lambda: len(learn.lr_range_test(START, END, STEPS).lrs) == STEPS or sys.exit("stopped early")
    if name == "fastai lr_find":
        from fastai.callback import schedule
        learn = learner(model, dl, loss_func)
        def fastai_find():
            with learn.no_bar(): learn.lr_find(START, END, STEPS, stop_div=False, show_plot=False)
        return fastai_find
    from torch_lr_finder import LRFinder
    def torch_lr_finder():
        finder = LRFinder(model, adam(model), loss_func)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            finder.range_test(dl, end_lr=END, num_iter=STEPS)
            finder.reset()
    return torch_lr_finder


def peak_memory(name):
    "MiB by which one test raises this process's peak, in a process of its own."
    code = f"import lr_finder as b; b.measure_memory({name!r})"
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=HERE, capture_output=True, text=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])


def measure_memory(name):
    "Linux only: writing 5 to clear_refs makes the peak (VmHWM) start again from what is used now (VmRSS)."
    test = prepare(name)
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    status = lambda key: int(pathlib.Path("/proc/self/status").read_text().split(key + ":")[1].split()[0])
    before = status("VmRSS")
    test()
    print()
    print(json.dumps((status("VmHWM") - before) / 1024))


rows = lambda: Rows(NAME, ["contestant", "repeat"], ["seconds", "memory_mib"])


def run():
    os.environ["MALLOC_ARENA_MAX"] = "1"
    found = rows()
    missing = [i for i in range(REPEATS) if any((name, i) not in found for name in CONTESTANTS)]
    if not missing: return
    tests = {name: prepare(name) for name in CONTESTANTS}
    for test in tests.values(): test()                        # warm up
    for i in missing:
        for name in CONTESTANTS[i % 5:] + CONTESTANTS[:i % 5]:
            if (name, i) in found: continue
            begun = time.perf_counter()
            tests[name]()
            seconds = time.perf_counter() - begun
            found.add(contestant=name, repeat=i, seconds=f"{seconds:.4f}", memory_mib=f"{peak_memory(name):.1f}" if i < 2 else "")
        print(f"{i + 1}/{REPEATS} repetitions", flush=True)
    write_conditions(NAME, "torch", "fastai", "torch-lr-finder")


def table():
    found = rows().rows
    seconds = {name: {r["repeat"]: float(r["seconds"]) for r in found if r["contestant"] == name} for name in CONTESTANTS}
    memory = {name: np.median([float(r["memory_mib"]) for r in found if r["contestant"] == name and r["memory_mib"]]) for name in CONTESTANTS}
    lines = []
    for name in CONTESTANTS:
        ratios = [s / seconds["bare loop"][i] for i, s in seconds[name].items()]
        lines.append([name, f"{np.median(list(seconds[name].values())):.2f}", f"{np.median(ratios):.3f}", f"{min(ratios):.3f} to {max(ratios):.3f}", f"{memory[name]:.0f}"])
    return f"""# What does a range test cost?

Made by `python benchmarks/{NAME}.py` from {NAME}.csv. {conditions(NAME)}

ResNet-18 on 32×32 images (11.2 million parameters, 43 MiB), batches of {BATCH}, Adam, {STEPS} steps, one core. The contestants take turns; the ratio is to the bare loop of the same round. The bare loop makes the same steps and restores nothing.
Memory: by how much one test raises the peak of a fresh process (activations, gradients and optimiser state are in all of them).
The aim for `lr_find`: at most 1.05 times the bare loop, and at most one extra copy of model and optimiser state.

## Seconds and memory

{markdown_table(["", "seconds, median", "ratio, median", "range of the ratio", "peak memory added, MiB"], lines)}"""


if __name__ == "__main__": main(NAME, run, table)
