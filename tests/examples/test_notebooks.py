"""Notebooks run from their first cell to the last, in one process and an empty folder, as a reader runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.ipynb"))


def cells(notebook: Path) -> list[dict]:
    return json.loads(notebook.read_text())["cells"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.name)
def test_notebooks_hold_no_output(notebook):
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells(notebook))


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.name)
def test_notebooks_run(notebook, tmp_path):
    """Their code cells as a script: nbclient and a kernel would bring some forty packages for the same."""
    code = "\n\n".join("".join(cell["source"]) for cell in cells(notebook) if cell["cell_type"] == "code")
    (tmp_path / "notebook.py").write_text(code)
    command = [sys.executable, "notebook.py"]
    environment = os.environ | {"MPLBACKEND": "agg", "JAX_DISABLE_MOST_OPTIMIZATIONS": "0"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    (told,) = [line for line in done.stdout.splitlines() if "reached their goal" in line]
    assert int(told.split()[0]) >= 4, told
