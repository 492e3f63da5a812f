"Run where the wheel is installed: import every module of course_lib, and check every public name. Prints what was found."

import importlib
import importlib.metadata
import inspect
import pkgutil
import sys
from pathlib import Path

import course_lib

where = Path(course_lib.__file__)
assert where.is_relative_to(sys.prefix), f"course_lib was imported from {where}, not from the installed wheel"

faults, count = [], 0
modules = [m.name for m in pkgutil.walk_packages(course_lib.__path__, "course_lib.") if not m.name.endswith("._modidx")]
for name in modules:
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", []):
        count += 1
        if not hasattr(module, public): faults.append(f"{name}.__all__ names {public}, which doesn't exist")
        elif callable(thing := getattr(module, public)) and not inspect.getdoc(thing): faults.append(f"{name}.{public} has no docstring")

versions = ", ".join(f"{p} {importlib.metadata.version(p)}" for p in ("torch", "torchvision", "fastai", "fastcore"))
print(f"{count} public names in {len(modules)} modules; Python {sys.version.split()[0]}, {versions}")
if faults: sys.exit("\n".join(faults))
if not count: sys.exit("no module has a public name: was course_lib exported?")
