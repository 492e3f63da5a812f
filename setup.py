"""Hand what settings.ini says to setuptools. There is nothing to edit here: change settings.ini."""

import re
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

root = Path(__file__).parent
config = ConfigParser(delimiters=["="])
config.read(root / "settings.ini", encoding="utf-8")
cfg = config["DEFAULT"]

lib = cfg["lib_path"]
first, last = (int(cfg[key].removeprefix("3.")) for key in ("min_python", "max_python"))
statuses = {"3": "3 - Alpha", "4": "4 - Beta", "5": "5 - Production/Stable"}

# `requirements` is what the package needs; every `NAME_requirements` becomes the extra NAME
extras = {key.removesuffix("_requirements"): cfg[key].split() for key in cfg if key.endswith("_requirements")}

# Outside the repository README's links need its address, and its pictures the address of the file itself
links = {"": f"{cfg['git_url']}/blob/{cfg['branch']}/", "!": f"{cfg['git_url']}/raw/{cfg['branch']}/"}
readme = re.sub(r"(!?)(\[[^]]*\])\((?!\w+:|#)([^)]*)\)", lambda m: f"{m[1]}{m[2]}({links[m[1]]}{m[3]})", (root / "README.md").read_text(encoding="utf-8"))

setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    long_description=readme,
    long_description_content_type="text/markdown",
    keywords=cfg["keywords"].split(),
    author=cfg["author"],
    author_email=cfg["author_email"],
    license_expression={"apache2": "Apache-2.0"}[cfg["license"]],
    license_files=["LICENSE"],
    project_urls={"Homepage": cfg["git_url"], "Issues": f"{cfg['git_url']}/issues", "Changelog": f"{links['']}CHANGELOG.md"},
    classifiers=[
        f"Development Status :: {statuses[cfg['status']]}",
        f"Intended Audience :: {cfg['audience']}",
        f"Natural Language :: {cfg['language']}",
        "Programming Language :: Python :: 3",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in range(first, last + 1)),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    python_requires=f">=3.{first},<3.{last + 1}",
    install_requires=cfg["requirements"].split(),
    extras_require=extras,
    packages=find_packages(include=[lib, f"{lib}.*"]),
    include_package_data=True,
    entry_points={"nbdev": [f"{lib}={lib}._modidx:d"]},
    zip_safe=False,
)
