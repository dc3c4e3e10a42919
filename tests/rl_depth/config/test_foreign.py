"""Options of JaxGCRL and scaling-crl: each is answered with ours, and the page says the same."""

import importlib.util
import re
from pathlib import Path

import pytest

from rl_depth.cli.train import train
from rl_depth.config import Config, ConfigError, find_preset, load
from rl_depth.config.foreign import TABLE, advice

DOCS = Path(__file__).parents[3] / "docs"


def own_flags() -> set[str]:
    import inspect

    names = [*Config.__dataclass_fields__, *inspect.signature(train).parameters]
    return {"--" + name.replace("_", "-") for name in names}


@pytest.mark.parametrize("one", TABLE, ids=lambda one: one.name)
def test_every_option_of_theirs_leads_to_one_that_exists_or_says_why_there_is_none(one):
    assert f"--{one.name}" not in own_flags(), "the same name here needs no advice"
    if one.ours is None:
        assert one.note
    else:
        assert one.ours.split()[0] in own_flags()
    for flag in re.findall(r"--[a-z-]+", re.sub("`.*?`", "", one.note)):
        assert flag in own_flags()


def test_names_are_given_once():
    assert len({one.name for one in TABLE}) == len(TABLE)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("--policy-lr", "--actor-lr"),
        ("--alpha-lr", "--temperature-lr"),
        ("--alpha_lr", "--temperature-lr"),
        ("--num-evals", "--evals"),
        ("--max-replay-size", "--replay-steps"),
        ("--discounting", "--gamma"),
        ("--repr-dim", "--representation"),
        ("--n-hidden", "--depth"),
        ("--h-dim", "--width"),
        ("--unroll-length", "--unroll"),
        ("--skip-connections", "--block-layers"),
        ("--total-env-steps", "--env-steps"),
        ("--contrastive-loss-fn", "--loss"),
        ("--energy-fn", "--energy"),
        ("--env_id", "--env"),
        ("--agent.policy-lr", "--actor-lr"),
        ("--no-track", "--wandb PROJECT"),
        ("policy_lr", "--actor-lr"),
    ],
)
def test_the_option_that_people_look_for_is_named(theirs, ours):
    assert f"here it is {ours}" in advice(theirs)


def test_other_words_get_no_advice():
    assert advice("--dept") is None and advice("") is None


def test_the_command_line_and_files_say_it(cli):
    assert "here it is --actor-lr" in cli.refuse("train", "--policy-lr", "3e-4")
    assert "here it is --gamma" in cli.refuse("cost", "--discounting", "0.99")
    assert "LayerNorm is always on" in cli.refuse("train", "--use-ln")
    (cli.folder / "own.toml").write_text("discounting = 0.99\n")
    with pytest.raises(ConfigError, match="here it is --gamma"):
        load(cli.folder / "own.toml")


def test_the_page_is_up_to_date():
    spec = importlib.util.spec_from_file_location("generate_coming_from", DOCS / "generate_coming_from.py")
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    assert generator.PAGE.read_text() == generator.page(), "run: python docs/generate_coming_from.py"


def test_the_preset_has_the_defaults_of_jaxgcrl():
    config = load(find_preset("jaxgcrl"))
    assert (config.env_steps, config.num_envs, config.unroll, config.evals) == (50_000_000, 256, 62, 200)
    assert (config.actor_lr, config.critic_lr, config.temperature_lr, config.gamma) == (3e-4, 3e-4, 3e-4, 0.99)
    # All transitions of an episode of each environment, once.
    assert config.updates == config.num_envs * (config.episode_length - 1) // config.batch_size
