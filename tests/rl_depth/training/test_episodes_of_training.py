"""Length of episodes and the split that agents are evaluated on."""

import pytest

from rl_depth.config import Config, ConfigError
from rl_depth.training.trainer import eval_split, make_env

from ..conftest import TINY


def test_episodes_are_as_long_as_asked_and_else_as_long_as_the_environment_s():
    own = make_env(Config(**TINY)).episode_length
    assert make_env(Config(**TINY, episode_length=own // 2)).episode_length == own // 2
    assert make_env(Config(**TINY)).episode_length == own


def test_the_split_of_evaluations_is_the_evaluation_goals_unless_told():
    env = make_env(Config(**TINY))
    assert eval_split(env, Config(**TINY)) == eval_split(env) == "eval"
    assert eval_split(env, Config(**TINY, eval_split="train")) == "train"


@pytest.mark.parametrize("options", [{"episode_length": 0}, {"episode_length": 10**9}])
def test_impossible_lengths_are_refused(options):
    with pytest.raises(ConfigError, match="--episode-length"):
        Config(**TINY, **options)


def test_both_reach_training_and_a_wrong_split_leaves_nothing_behind(cli):
    flags = cli.flags(**cli.tiny | {"env_steps": 480, "evals": 1})
    cli("train", "--out", "run", "--quiet", "--episode-length", "30", "--eval-split", "train", *flags)
    text = cli("evaluate", "run", "--episodes", "2")
    assert "train goals" in text
    assert "--eval-split foo: PointMaze has train, eval" in cli.refuse(
        "train", "--eval-split", "foo", "--out", "b", *flags
    )
    assert "--eval-split" in cli.refuse("train", "--env-options", 'split="eval"', "--out", "b", *flags)
    assert not (cli.folder / "b").exists()
