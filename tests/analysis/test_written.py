"""What a command may replace and remove in a folder of results."""

import json

import pytest

from rl_depth.analysis.written import folder, results
from rl_depth.runs import InputError


def write(out, *names, command="compare", text="new"):
    with results(out, command) as made:
        for name in names:
            (made / name).parent.mkdir(exist_ok=True)
            (made / name).write_text(text)


def there(out):
    return sorted(file.relative_to(out).as_posix() for file in out.rglob("*") if file.is_file() and file.name[0] != ".")


def test_results_of_an_earlier_call_are_replaced_and_removed(tmp_path):
    write(tmp_path, "a.png", "data/b.csv")
    write(tmp_path, "a.png", text="newer")
    assert there(tmp_path) == ["a.png"]
    assert (tmp_path / "a.png").read_text() == "newer"
    assert not [file for file in tmp_path.iterdir() if file.is_dir() and file.name.startswith(".")]


def test_what_is_not_on_the_list_stays_and_is_not_written_over(tmp_path):
    (tmp_path / "difficulty.png").write_text("mine")
    write(tmp_path, "a.png")
    assert there(tmp_path) == ["a.png", "difficulty.png"]
    with pytest.raises(InputError, match=r"difficulty.png: is there, and not as rl-depth compare wrote it; move it"):
        write(tmp_path, "a.png", "difficulty.png", text="newer")
    assert (tmp_path / "difficulty.png").read_text() == "mine"
    assert (tmp_path / "a.png").read_text() == "new"


def test_what_somebody_changed_stays(tmp_path):
    write(tmp_path, "a.csv", "b.csv")
    (tmp_path / "b.csv").write_text("edited")
    write(tmp_path, "a.csv")
    assert there(tmp_path) == ["a.csv", "b.csv"]
    with pytest.raises(InputError, match=r"b.csv"):
        write(tmp_path, "b.csv")


def test_commands_that_share_a_folder_leave_each_other_alone(tmp_path):
    write(tmp_path, "compare.csv")
    write(tmp_path, "thresholds.csv", command="thresholds")
    write(tmp_path, "thresholds.csv", command="thresholds")
    assert there(tmp_path) == ["compare.csv", "thresholds.csv"]


@pytest.mark.parametrize("content", ["", "[" * 100_000, "[]", '{"../victim": ["0"]}', '{"victim": 3}', "\x00"])
def test_a_list_that_was_tampered_with_removes_nothing(tmp_path, content):
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "victim").write_text("mine")
    (tmp_path / "out" / ".compare.json").write_text(content)
    write(tmp_path / "out", "a.png")
    assert there(tmp_path) == ["out/a.png", "out/victim", "victim"]
    assert list(json.loads((tmp_path / "out" / ".compare.json").read_text())) == ["a.png"]


def test_nothing_is_touched_if_making_fails(tmp_path):
    write(tmp_path, "a.png")
    with pytest.raises(RuntimeError), results(tmp_path, "compare") as made:
        (made / "a.png").write_text("half")
        raise RuntimeError
    assert (tmp_path / "a.png").read_text() == "new"


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write(tmp_path / "file", "a.png")


def test_the_folder_by_default_is_named_after_the_input(tmp_path):
    (tmp_path / "my table.csv").write_text("")
    assert folder("thresholds", [tmp_path / "my table.csv"]).as_posix() == "runs/thresholds/my_table"
    assert folder("compare", [tmp_path / "a", tmp_path / "b"]).as_posix() == "runs/compare/a+b"
    assert folder("compare", [tmp_path / name for name in "abcde"]).as_posix() == "runs/compare/a+b+c+2"
