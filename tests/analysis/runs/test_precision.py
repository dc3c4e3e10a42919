import numpy as np
import pytest

from rl_depth.analysis.runs.groups import gather
from rl_depth.analysis.runs.precision import precision


def test_the_evaluations_error_is_binomial_and_compared_with_the_spread(tmp_path, fabricate):
    fabricate(tmp_path / "a", 0.5, seeds=6, noise=0.2)
    (group,) = gather([tmp_path]).groups
    found = precision([group], "success_any")
    share = group.final("success_any")
    assert found.episodes == 3 * 3 * 40  # three evaluations of three distances
    assert found.error == pytest.approx(np.sqrt(share.mean() * (1 - share.mean()) / 360))
    assert found.spread == pytest.approx(share.std(ddof=1))
    assert found.enough and "below a third" in found.text


def test_too_few_episodes_are_told_with_how_many_would_do(tmp_path, fabricate):
    fabricate(tmp_path / "a", 0.5, seeds=6, noise=0.05)
    found = precision(gather([tmp_path]).groups, "success_any")
    assert not found.enough
    left = found.spread**2 - found.error**2
    share = gather([tmp_path]).groups[0].final("success_any").mean()
    assert share * (1 - share) / (3 * found.needed) == pytest.approx(left / 9, rel=0.01)
    assert f"--eval-episodes {found.needed} would do" in found.text


def test_nothing_is_said_where_nothing_can_be_known(tmp_path, fabricate):
    fabricate(tmp_path / "one", 0.5, seeds=1)
    groups = gather([tmp_path]).groups
    assert precision(groups, "success_any") is None
    assert precision(groups, "no_such_metric") is None
