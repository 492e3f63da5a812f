"""Both distributions: what is in them, and that they work where nothing else is installed, with the newest libraries they allow.

`make test` looks into both. With ALL=1 (or ONLY=wheel) each is installed and tried, too; the environments are kept in .cache/ and made again when the requirements change; `make clean` removes them."""

import pytest

import release
from release import elsewhere, environment

KINDS = ["sdist", "wheel"]


@pytest.fixture(scope="module")
def dists(tmp_path_factory): return dict(zip(KINDS, release.build(tmp_path_factory.mktemp("dist"))))


@pytest.fixture(scope="module")
def pythons(dists):
    "The python of a clean environment with the distribution of a kind, made when it's first asked for."
    made = {}
    def python(kind):
        if kind not in made: made[kind] = environment(kind, dists[kind])
        return made[kind]
    return python


def without(faults): assert not faults, "\n".join(faults)


@pytest.mark.parametrize("kind", KINDS)
def test_contents(kind, dists): without(release.misplaced(dists[kind]))


@pytest.mark.parametrize("kind", KINDS)
def test_metadata_are_those_of_settings(kind, dists): without(release.misstated(dists[kind]))


@pytest.mark.parametrize("kind", KINDS)
def test_metadata_are_what_a_registry_takes(kind, dists): release.twine(dists[kind])


@pytest.mark.full(only=True)
@pytest.mark.parametrize("kind", KINDS)
def test_public_names(kind, pythons): print(elsewhere(pythons(kind), "public_names.py"))


@pytest.mark.full(only=True)
@pytest.mark.parametrize("kind", KINDS)
def test_smoke(kind, pythons): print(elsewhere(pythons(kind), "smoke.py"))
