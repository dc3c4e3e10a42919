import numpy as np
import pytest

from rl_depth.analysis import meaning
from rl_depth.analysis.runs import table
from rl_depth.analysis.thresholds import mirage
from rl_depth.analysis.thresholds.detect import Jump, Verdict
from rl_depth.analysis.thresholds.mirage import Finding, guard, judge

DEPTHS = 2 ** np.arange(2, 11)


def finding(metric, depth=None, effect=0.5, block="stacked"):
    jumps = () if depth is None else (Jump(depth, depth, depth, effect, 0.01),)
    verdict = Verdict("jump" if jumps else "gradual", jumps, "found")
    return Finding("maze", block, metric, DEPTHS, verdict, ("",) * len(jumps))


@pytest.mark.parametrize(
    ("others", "label"),
    [
        ([finding("dist_final", 64, -0.5)], mirage.CONFIRMED),
        ([finding("dist_final", 32, -0.5)], mirage.CONFIRMED),
        ([finding("dist_final", 256, -0.5)], mirage.METRIC_INDUCED),
        ([finding("dist_final", 64, 0.5)], mirage.METRIC_INDUCED),
        ([finding("infonce", 128, -0.2), finding("dist_min")], mirage.CONFIRMED),
        ([finding("time_at_goal", 64, 30.0)], mirage.CONFIRMED),
        ([finding("dist_final")], mirage.METRIC_INDUCED),
        ([finding("dist_final", 64, -0.5, block="looped")], mirage.UNCONFIRMED),
        ([finding("success_final", 64)], mirage.UNCONFIRMED),
    ],
)
def test_jumps_of_success_are_labelled_by_continuous_metrics(others, label):
    first = guard([finding("success_any", 64), *others])[0]
    assert first.labels == (label,)
    assert first.text == f"found [64: {label}]"
    assert first.to_json()["jumps"][0]["label"] == label


def test_continuous_metrics_need_no_confirmation():
    (one,) = guard([finding("dist_final", 64)])
    assert one.labels == ("",)
    assert one.text == "found"
    assert "label" not in one.to_json()["jumps"][0]


def rows(values, metric):
    return [
        ("maze", "stacked", int(depth), str(seed), metric, float(value))
        for depth, row in zip(DEPTHS, values, strict=True)
        for seed, value in enumerate(row)
    ]


def test_success_over_steady_skill_is_a_mirage(noisy):
    # Every goal asks for the same skill, which depth moves steadily.
    skill = noisy(np.arange(9) / 8, seeds=10, deviation=0.02)
    success = 1 / (1 + np.exp(-200 * (skill - 0.5625)))
    found = judge(table.from_rows(rows(success, "success_any") + rows(1 - skill, "dist_final")))
    by_metric = {one.metric: one for one in found}
    assert by_metric["dist_final"].verdict.verdict == "gradual"
    assert by_metric["success_any"].verdict.verdict == "jump"
    assert set(by_metric["success_any"].labels) == {mirage.METRIC_INDUCED}


def test_a_true_jump_is_confirmed(noisy, stepped):
    found = judge(
        table.from_rows(
            rows(noisy(stepped(), seed=1), "success_any") + rows(5 - 4 * noisy(stepped(), seed=2), "dist_final")
        )
    )
    assert [one.metric for one in found] == ["dist_final", "success_any"]
    assert found[1].labels == (mirage.CONFIRMED,)
    assert found[0].verdict.jumps[0].effect < 0


def test_many_metrics_ask_for_more_than_one(noisy, stepped):
    alone = table.from_rows(rows(noisy(stepped(0.35), seed=9), "dist_final"))
    assert judge(alone)[0].verdict.verdict == "jump"
    others = [one for i in range(14) for one in table.from_rows(rows(noisy(np.ones(9), seed=20 + i), f"other_{i}"))]
    corrected = next(one for one in judge(alone + others) if one.metric == "dist_final").verdict
    assert (corrected.verdict, corrected.jumps) == ("undecided", ())
    assert corrected.p_jump > 0.05 / 15


def test_which_way_is_better():
    assert meaning.improves("dist_final", -1.0)
    assert meaning.improves("infonce", -1.0)
    assert meaning.improves("success_any", 1.0)
    assert not meaning.improves("time_at_goal", -1.0)


@pytest.mark.parametrize(
    ("draws", "acting"),
    [(64, mirage.BOTH), (32, mirage.BOTH), (None, mirage.MODE_ALONE), (256, mirage.MODE_ALONE)],
)
def test_a_jump_says_which_way_of_acting_shows_it(draws, acting):
    mode, other = guard([finding("success_any", 64), finding("drawn_success_any", draws)])
    assert mode.acting == (acting,)
    assert mode.to_json()["jumps"][0]["acting"] == acting
    assert f"by {acting}" in mode.text
    if draws == 256:
        assert other.acting == (mirage.DRAWS_ALONE,)


def test_success_is_confirmed_by_a_continuous_metric_of_the_same_way_of_acting():
    found = guard([finding("success_any", 64), finding("drawn_dist_final", 64, -0.5)])
    assert found[0].labels == (mirage.UNCONFIRMED,)
    found = guard([finding("drawn_success_any", 64), finding("drawn_dist_final", 64, -0.5)])
    assert found[0].labels == (mirage.CONFIRMED,)


def test_disagreement_between_mode_and_draws_is_said_in_words():
    found = guard([finding("success_any", 64), finding("drawn_success_any")])
    (line,) = mirage.disagreements(found)
    assert "jump at 64 by the mode, gradual by draws" in line
    assert line.endswith("is induced by how the policy acts")
    assert mirage.disagreements(guard([finding("success_any", 64), finding("drawn_success_any", 64)])) == []
    assert mirage.disagreements(guard([finding("success_any", 64)])) == []
