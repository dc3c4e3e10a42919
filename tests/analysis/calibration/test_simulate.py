import json

import numpy as np
import pytest

from rl_depth.analysis import outputs
from rl_depth.analysis.calibration import simulate, summary, truths
from rl_depth.analysis.calibration.simulate import Case, measure
from rl_depth.runs import InputError

U = np.arange(9.0)


def case(name, noise="gaussian", seeds=5):
    truth = next(truth for truth in truths.TRUTHS if truth.name == name)
    return Case("tuning", truth, noise, (truths.NOISES | truths.HELD_OUT_NOISES)[noise], 9, 1.0, seeds)


@pytest.mark.parametrize("truth", truths.TRUTHS, ids=lambda truth: truth.name)
def test_truths_stay_within_the_range_of_a_metric(truth):
    rng = np.random.default_rng(0)
    for _ in range(20):
        curve, places = truth.draw(U, rng)
        assert curve.shape == (9,)
        assert curve.min() > -0.15
        assert curve.max() < 1.15
        assert bool(places) == (truth.kind == "jump")
        for place in places:
            rise = np.diff(curve)
            assert rise[place - 1] == pytest.approx(rise.max())


@pytest.mark.parametrize("name", [*truths.NOISES, *truths.HELD_OUT_NOISES])
def test_noises_keep_the_mean_away_from_the_bounds(name):
    draw = (truths.NOISES | truths.HELD_OUT_NOISES)[name]
    values = draw(np.full(9, 0.5), 20000, np.random.default_rng(0))
    expected = 0.5 * (0.96 if name == "failing seeds" else 1.0)
    assert values.mean(axis=1) == pytest.approx(np.full(9, expected), abs=0.005)


def test_smooth_curves_are_rarely_called_jumps():
    """60 data sets: with a true rate of 2% more than 8 would come up once in 10^5 such tests."""
    names = ["log-linear", "saturating 1 - 1/depth", "logistic, 2 doublings", "rise and fall"]
    rows = [measure(case(name, "clipped"), 15) for name in names]
    assert summary.pooled(rows, "jump") <= 8 / 60


def test_steps_are_mostly_found():
    """40 data sets, 94% found in the full table: fewer than 30 would come up once in 10^4 such tests."""
    rows = [measure(case("step 0.4"), 20), measure(case("step 0.6", "skewed"), 20)]
    assert summary.pooled(rows, "found") >= 30 / 40


def test_flat_is_mostly_flat():
    row = measure(case("flat"), 30)
    assert row["jump"] <= 0.1
    assert row["flat"] >= 0.7


def test_power_grows_with_seeds():
    few, many = (measure(case("step 0.3", seeds=seeds), 15)["found"] for seeds in (3, 16))
    assert many > few


def test_a_row_depends_on_its_case_and_seed_alone():
    assert measure(case("step 0.4"), 4, seed=2) == measure(case("step 0.4"), 4, seed=2)
    row = measure(case("step 0.4"), 4)
    assert sum(row[name] for name in ("jump", "gradual", "flat", "undecided")) == pytest.approx(1)
    assert row["exact"] <= row["found"] <= row["jump"]


def test_no_case_comes_twice():
    labels = [(one.part, one.label) for one in simulate.cases()]
    assert len(set(labels)) == len(labels)


def test_run_writes_json_tables_and_a_figure(tmp_path, monkeypatch):
    every = simulate.cases()
    chosen = [next(one for one in every if one.part == part) for part in ("tuning", "held out", "designs", "power")]
    chosen.append(next(one for one in every if one.truth.name == "step 0.4"))
    monkeypatch.setattr(simulate, "cases", lambda seeds: chosen)
    seen = []
    rows = simulate.run(2, progress=lambda done, of: seen.append((done, of)))
    outputs.write_calibration(rows, tmp_path / "new")
    assert seen == [(i, 5) for i in range(1, 6)]
    assert json.loads((tmp_path / "new" / "threshold-calibration.json").read_text()) == rows
    text = (tmp_path / "new" / "threshold-calibration-tables.md").read_text()
    assert "| step 0.4 | gaussian |" in text
    assert "## Power against seeds" in text
    assert (tmp_path / "new" / "threshold-calibration.png").stat().st_size > 10000
    with pytest.raises(InputError, match="cannot be written"):
        outputs.write_calibration(rows, tmp_path / "new" / "threshold-calibration.json")
    with pytest.raises(ValueError, match="at least 1"):
        simulate.run(0)


@pytest.mark.slow
def test_error_rates_over_all_tuning_cases():
    rows = [measure(one, 4, seed=5) for one in simulate.cases() if one.part == "tuning"]
    (found,) = summary.summary(rows)
    assert found["false"] <= 0.05
    assert found["found"] >= 0.9
