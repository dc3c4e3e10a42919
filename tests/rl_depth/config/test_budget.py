"""Budgets as text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_depth.config import Budget

some = st.integers(1, 4096)
budgets = st.fixed_dictionaries(
    {},
    optional={
        "depth": some,
        "samples": st.integers(3, 4096),
        "noise": st.floats(1e-6, 1e6),
        "subgoals": some,
    },
)


@settings(max_examples=100, deadline=None)
@given(budgets, some, st.sampled_from(["energy", "medoid"]), st.sampled_from(["min", "sum", "graph"]))
def test_what_is_printed_reads_back(parts, steps, rank, score):
    if "samples" in parts:
        parts |= {"hold": steps, "rank": rank}
    if "subgoals" in parts:
        parts |= {"replan": steps, "score": score, "source": "replay"}
    budget = Budget(**parts)
    assert Budget.parse(str(budget)) == budget


def test_the_forms_of_the_issue():
    budget = Budget.parse("depth=16,samples=8,subgoals=16,replan=5,noise=0.1")
    assert (budget.depth, budget.samples, budget.subgoals, budget.replan, budget.noise) == (16, 8, 16, 5, 0.1)
    assert budget.way == "latents and free subgoals by min"
    own = Budget.parse("samples=4,noise=own")
    assert (own.way, str(own), own.dials["noise"]) == ("own latents", "samples=4,noise=own", 0.0)
    assert Budget.parse("mode") == Budget() and str(Budget()) == "mode" and Budget().way == "depth"
    assert Budget(depth=4).way == "depth" and Budget(samples=4).dials["samples"] == 4


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "must be mode, or some of depth=LAYERS"),
        ("samples", "must be mode"),
        ("width=4", "must be mode"),
        ("samples=4,samples=4", "samples is given twice"),
        ("samples=0", "whole number in 1 to 4096"),
        ("samples=2.5", "whole number in 1 to 4096"),
        ("samples=²", "whole number"),
        ("noise=0", "must be positive and finite"),
        ("noise=nan", "must be positive and finite"),
        ("noise=loud", "is not a number"),
        ("noise=-1", "must be positive and finite, or own"),
        ("samples=4,rank=vote", "must be energy or medoid"),
        ("samples=2,rank=medoid", "needs at least 3 samples"),
        ("hold=3", "has no effect without samples or noise"),
        ("replan=3,samples=2", "has no effect without subgoals or oracle"),
        ("source=replay", "has no effect without subgoals"),
        ("pick=bound", "has no effect without subgoals"),
        ("subgoals=8,score=graph,pick=draw", "needs score=min or score=sum, not graph"),
        ("subgoals=7,pick=bound", "needs at least 8 subgoals"),
        ("subgoals=4,oracle=1", "takes the place of subgoals"),
    ],
)
def test_a_bad_budget_says_what_is_allowed(text, why):
    with pytest.raises(ValueError, match=why):
        Budget.parse(text)


def test_numbers_given_in_python_are_checked_alike():
    with pytest.raises(ValueError, match="samples=5000: must lie in 1 to 4096"):
        Budget(samples=5000)
