import pytest

from rl_depth.analysis import meaning
from rl_depth.analysis.plots import metric_label


@pytest.mark.parametrize(
    ("metric", "lower", "thresholded", "continuous"),
    [
        ("success_any", False, True, False),
        ("time_at_goal", False, False, True),
        ("dist_final", True, False, True),
        ("steps_to_success", True, False, False),
        ("infonce", True, False, True),
    ],
)
@pytest.mark.parametrize("who", ["", "drawn_", "collector_", "collector_drawn_"])
def test_what_a_metric_means_does_not_hang_on_who_acts(metric, lower, thresholded, continuous, who):
    name = who + metric
    found = meaning.lower_is_better(name), meaning.thresholded(name), meaning.continuous(name)
    assert found == (lower, thresholded, continuous)
    assert meaning.improves(name, 1.0) != lower
    assert meaning.bare(name) == metric and meaning.drawn(name) == ("drawn" in who)


def test_the_other_way_of_acting_and_back():
    assert meaning.other_way("success_any") == "drawn_success_any"
    assert meaning.other_way("drawn_success_any") == "success_any"
    assert meaning.other_way("collector_dist_min") == "collector_drawn_dist_min"


def test_labels_say_who_acts():
    assert metric_label("drawn_success_any") == "success (reached at least once), drawn actions"
    assert metric_label("success_any") == "success (reached at least once)"
