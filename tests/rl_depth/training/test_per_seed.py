"""Options that differ between the seeds of one program."""

import numpy as np
import pytest

from rl_depth import runs
from rl_depth.agents import Hyper
from rl_depth.config import Config, ConfigError
from rl_depth.config.checks import PER_SEED
from rl_depth.training import session

THREE = {"seeds": 3, "seed": 5}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("actor_lr=[1e-3, 1e-4]", ["actor_lr", "2 values", "--seeds 3"]),
        ("actor_rl=[1, 2, 3]", ["actor_rl", "did you mean actor_lr?"]),
        ("depth=[4, 8, 16]", ["depth", "There are actor_lr"]),
        ("gamma=[0.9, 1.0, 0.5]", ["gamma 1:", "strictly between 0 and 1"]),
        ("critic_lr=[1e-3, -1, 1e-3]", ["critic_lr -1:", "positive"]),
        ("target_entropy=[0, inf, 0]", ["target_entropy inf", "finite"]),
        ("gamma=0.9", ["NAME=[NUMBER, ...]"]),
        ("gamma=[true, 0.5, 0.5]", ["NAME=[NUMBER, ...]"]),
        ('gamma=["a", "b", "c"]', ["NAME=[NUMBER, ...]"]),
        ("gamma=[0.9", ["NAME=[NUMBER, ...]"]),
    ],
)
def test_bad_values_are_refused_by_name(text, words):
    with pytest.raises(ConfigError) as refusal:
        Config(**THREE, per_seed=text)
    assert all(word in str(refusal.value) for word in ["--per-seed", *words])


def test_an_option_is_given_for_all_seeds_or_for_each():
    with pytest.raises(ConfigError, match=r"--gamma 0.9: has no effect beside --per-seed gamma"):
        Config(**THREE, gamma=0.9, per_seed="gamma=[0.9, 0.99, 0.5]")


def test_each_seed_has_its_own_values():
    config = Config(**THREE, critic_lr=1e-2, per_seed="actor_lr=[1e-3, 3e-4, 1e-4], target_entropy=[0, -1, -2]")
    third = Hyper.of(config, 2)
    assert (third.actor_lr, third.target_entropy, third.critic_lr) == tuple(map(np.float32, (1e-4, -2, 1e-2)))
    alone = config.of_seed(6)
    assert (alone.actor_lr, alone.target_entropy, alone.per_seed) == (3e-4, -1.0, None)
    assert alone != config.of_seed(5)
    assert Config(**THREE).of_seed(5) == Config(**THREE).of_seed(7)


def test_every_traced_hyper_parameter_may_differ():
    assert PER_SEED.keys() == Hyper.__dataclass_fields__.keys()


@pytest.mark.slow
def test_a_seed_trains_as_it_would_with_its_value_alone(cli, tmp_path):
    mixed = Config(**cli.tiny, seeds=2, per_seed="actor_lr=[3e-4, 0.1], gamma=[0.99, 0.5]")
    alone = Config(**cli.tiny, seeds=2, actor_lr=0.1, gamma=0.5)
    for name, config in {"mixed": mixed, "alone": alone}.items():
        session.train(config, tmp_path / name)
    rows, wanted = (runs.Run(tmp_path / name).metrics() for name in ("mixed", "alone"))
    assert [row.pop("hyper") for row in rows[:2]] == [
        {"actor_lr": 3e-4, "gamma": 0.99},
        {"actor_lr": 0.1, "gamma": 0.5},
    ]
    assert rows[1] == wanted[1]
    assert rows[0]["actor_loss"] != wanted[0]["actor_loss"]
    assert "hyper" not in wanted[0]
