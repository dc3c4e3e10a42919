"""The package as a wheel has it, beside a project of the user's that has folders of the same names."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from this checkout without fetching anything."""
    pytest.importorskip("hatchling")
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (file,) = out.glob("*.whl")
    return file


def test_a_wheel_has_one_name_at_its_top(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"rl_depth"}
    for part in (
        "envs/ant.py",
        "analysis/report/page.js",
        "configs/smoke.toml",
        "configs/sweeps/demo.toml",
        "py.typed",
    ):
        assert f"rl_depth/{part}" in names
    assert len(names) == len(set(names))


@pytest.mark.slow
def test_it_works_outside_the_checkout_beside_foreign_folders(wheel, tmp_path):
    site, project = tmp_path / "site", tmp_path / "project"
    zipfile.ZipFile(wheel).extractall(site)
    for name in ("envs", "analysis", "configs"):
        (project / name).mkdir(parents=True)
        (project / name / "__init__.py").write_text("raise ImportError('of the user')")
    environment = os.environ | {"PYTHONPATH": f"{site}{os.pathsep}{project}"}

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "rl_depth", *arguments]
        done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    where = "import rl_depth, rl_depth.envs; print(rl_depth.__file__, rl_depth.envs.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", where], cwd=project, env=environment, capture_output=True, text=True, check=True
    ).stdout.split()
    assert all(Path(file).is_relative_to(site) for file in found)
    run("train", "--preset", "smoke", "--out", "run", "--quiet")
    run("render", "run", "--episodes", "1")
    assert list((project / "run" / "videos").glob("*.mp4"))
    run("report", "run", "--out", "page")
    assert (project / "page" / "index.html").is_file()
