"""Generated wrong input of six kinds, from a seed: an error for people, no traceback, no hang, no success.

A few hundred cases are in the `ci` set, thousands under `slow`. A failure names the case, which the seed makes again.
"""

import pytest

from tests.fuzz.kinds import KINDS


@pytest.mark.ci
@pytest.mark.parametrize("kind", KINDS)
def test_a_few_cases(kind):
    assert KINDS[kind].problems(0, KINDS[kind].few) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_many_cases(kind, seed):
    assert KINDS[kind].problems(seed, KINDS[kind].many) == []
