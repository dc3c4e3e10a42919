"""docs/environments.md is what the registry says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_up_to_date(compiled):
    spec = importlib.util.spec_from_file_location("generate_environments", DOCS / "generate_environments.py")
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    page = generator.page(lambda name: compiled(name).env)
    assert generator.PAGE.read_text() == page, "run: python docs/generate_environments.py"
