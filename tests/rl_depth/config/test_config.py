"""Options: defaults, inheritance, presets, refusals."""

import dataclasses
import inspect
from pathlib import Path

import pytest

from rl_depth.config import PRESETS, Config, ConfigError, find_preset, load, read_toml
from rl_depth.config.options import Options
from rl_depth.sweeps import sweep


def write(folder: Path, text: str) -> Path:
    file = folder / "preset.toml"
    file.write_text(text)
    return file


def is_sweep(file: Path) -> bool:
    return "grid" in read_toml(file)


@pytest.mark.parametrize("file", sorted(PRESETS.rglob("*.toml")), ids=lambda file: file.stem)
def test_every_preset_and_every_sweep_is_valid(file, tmp_path):
    if is_sweep(file):
        cells = sweep.read(file, tmp_path)
        assert len({cell.path for cell in cells}) == len(cells) > 1
        with pytest.raises(ConfigError, match=r"is a sweep.*rl-depth sweep"):
            load(file)
    else:
        assert load(file) != Config()


def test_the_extrapolation_experiment_compares_laws_of_one_mean_on_both_mazes(tmp_path):
    cells = sweep.read(PRESETS / "extrapolation.toml", tmp_path)
    configs = [cell.config for cell in cells]
    laws = {"fixed:4", "uniform:1:8", "lognormal-poisson:4"}
    for env in ("random_point_maze", "point_maze"):
        assert {config.train_recurrence for config in configs if config.env == env} == laws
    assert all(config.depth == 16 and config.seeds >= 3 for config in configs)


def test_flags_go_on_top_of_presets_and_presets_on_top_of_defaults(tmp_path):
    config = load(write(tmp_path, 'block = "looped"\nwidth = 48\n'), ["--width", "40"])
    assert (config.block, config.width, config.depth) == ("looped", 40, Config().depth)


def test_what_is_written_reads_back(tmp_path):
    import tomli_w

    config = Config(depth=16, critic_depth=4, gamma=0.9, remat=True, env="ant")
    assert load(write(tmp_path, tomli_w.dumps(config.to_dict()))) == config


def test_networks_inherit():
    config = Config(depth=8, critic_depth=16, psi_depth=4, actor_block="looped", critic_width=24)
    actor, phi, psi = (config.trunk(name) for name in ("actor", "phi", "psi"))
    assert (actor.depth, phi.depth, psi.depth) == (8, 16, 4)
    assert (actor.block, phi.block, psi.block) == ("looped", "stacked", "stacked")
    assert (actor.width, phi.width, psi.width) == (Config().width, 24, 24)


def test_evaluations_are_spread_and_end_with_the_run():
    config = Config(env_steps=3200 * 10, evals=4)
    assert config.epochs == 10
    assert config.eval_epochs() == (3, 5, 8, 10)
    assert Config(env_steps=3200 * 6, evals=1000).eval_epochs() == (1, 2, 3, 4, 5, 6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"depth": 6}, ["--depth 6", "multiple", "4 or 8"]),
        ({"depth": 0}, ["--depth 0", "nearest: 4"]),
        ({"depth": -4}, ["--depth -4"]),
        ({"actor_depth": 10}, ["--actor-depth 10", "8 or 12"]),
        ({"depth": 9, "block_layers": 3, "psi_depth": 8}, ["--psi-depth 8", "6 or 9"]),
        ({"env": "ant_umaze"}, ["ant_umaze", "ant_u_maze"]),
        ({"batch_size": 100_000}, ["--batch-size 100000", "12736"]),
        ({"batch_size": 1}, ["--batch-size 1"]),
        ({"injection": "none"}, ["--injection none", "looped"]),
        ({"critic_depth": 8, "phi_depth": 4, "psi_depth": 4}, ["--critic-depth 8", "--phi-depth"]),
        ({"min_replay_steps": 5000}, ["--min-replay-steps 5000", "--replay-steps"]),
        ({"unroll": 5000}, ["--unroll 5000", "--replay-steps"]),
        ({"env_steps": 3200}, ["--env-steps 3200", "gradient step", "12800"]),
        ({"gamma": 1.0}, ["--gamma 1.0"]),
        ({"gamma": float("nan")}, ["--gamma nan"]),
        ({"actor_lr": 0.0}, ["--actor-lr 0.0"]),
        ({"critic_lr": float("inf")}, ["--critic-lr inf"]),
        ({"seeds": 0}, ["--seeds 0"]),
        ({"seed": -1}, ["--seed -1"]),
        ({"width": 0}, ["--width 0"]),
        ({"random_goals": 1.5}, ["--random-goals 1.5"]),
        ({"logsumexp_penalty": -1.0}, ["--logsumexp-penalty -1.0"]),
        ({"logit_scale": "learned"}, ["--logit-scale learned", "--energy cosine"]),
        ({"energy": "cosine", "logit_scale": 0.0}, ["--logit-scale 0.0", "positive", "learned"]),
        ({"squash_epsilon": 0.0}, ["--squash-epsilon 0.0", "above 0"]),
        ({"batch_size": 12_801, "final_goals": True}, ["--batch-size 12801", "12800"]),
    ],
    ids=str,
)
def test_bad_options_are_refused_by_name_value_and_what_is_allowed(options, words):
    with pytest.raises(ConfigError) as error:
        Config(**options)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dept = 8", ["unknown key 'dept'", "depth"]),
        ('depth = "deep"', ["depth", "deep"]),
        ("depth = 8.5", ["depth", "8.5"]),
        ('block = "looopd"', ["looopd", "looped"]),
        ("depth = [", ["not TOML"]),
        ("[task]\nenv = 'ant'", ["unknown key 'task'"]),
    ],
)
def test_bad_presets_are_refused_by_file_and_key(tmp_path, text, words):
    file = write(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        load(file)
    assert "\n" not in str(error.value)
    for word in [str(file), *words]:
        assert word in str(error.value)


def test_unreadable_presets_are_refused(tmp_path):
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(binary)
    with pytest.raises(ConfigError, match="no such file"):
        find_preset(str(tmp_path / "absent.toml"))
    with pytest.raises(ConfigError, match="no such preset"):
        find_preset("papr")


def test_every_option_is_documented_and_has_a_default():
    source = inspect.getsource(Options)
    for field in dataclasses.fields(Config):
        assert field.default is not dataclasses.MISSING
        assert f"    {field.name}: " in source


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"block": "iru", "norm": "post"}, "--norm post: an iru trunk has no residual block"),
        ({"block": "iru", "injection": "concat"}, "--injection concat: only a looped trunk has this"),
        ({"block": "iru", "latent": "gaussian"}, "--latent gaussian: only a looped trunk has this"),
    ],
)
def test_options_that_an_iru_lacks_are_refused(options, problem):
    with pytest.raises(ConfigError, match=problem):
        Config(**options)


def test_an_iru_takes_drawn_counts_and_truncated_gradients():
    trunk = Config(block="iru", train_recurrence="uniform:1:8", backprop_steps=2).trunk("actor")
    assert (trunk.tied, trunk.window, trunk.latent, trunk.injection) == (True, 2, "zero", "none")
