import numpy as np
import pytest

from rl_depth.analysis.runs import table

TEXT = """env,block,depth,seed,metric,value
maze,stacked,8,0,success,0.5
maze,stacked,4,1,success,0.25
maze,stacked,4,0,success,0.125
maze,looped,4,0,success,1
"""


def written(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text)
    return path


def test_reads_series_sorted_with_ragged_seeds(tmp_path):
    looped, stacked = table.read(written(tmp_path, TEXT))
    assert (looped.block, stacked.block) == ("looped", "stacked")
    assert stacked.depths.tolist() == [4, 8]
    assert [v.tolist() for v in stacked.values] == [[0.125, 0.25], [0.5]]
    assert stacked.seeds == (("0", "1"), ("0",))
    assert stacked.name == "maze, stacked, success"


def test_columns_may_come_in_any_order_with_others_beside(tmp_path):
    text = "note, value, metric, seed, depth, block, env\nx, 1e-1, dist, a, 16.0, stacked, maze\n"
    (one,) = table.read(written(tmp_path, text))
    assert (one.metric, one.depths.tolist(), one.values[0].tolist(), one.seeds) == ("dist", [16], [0.1], (("a",),))


def test_seeds_are_ordered_as_numbers():
    rows = [("e", "b", 4, seed, "m", float(seed)) for seed in ("10", "9", "2")]
    assert table.from_rows(rows)[0].seeds == (("2", "9", "10"),)


def test_writing_and_reading_gives_the_same_back(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        (env, block, depth, str(seed), metric, float(rng.standard_normal()))
        for env in ("a", 'with, comma and "quotes"')
        for block in ("looped", "stacked")
        for metric in ("dist", "success")
        for depth in (4, 8, 16)
        for seed in range(3)
    ]
    first = table.from_rows(rows)
    table.write(first, tmp_path / "copy.csv")
    again = table.read(tmp_path / "copy.csv")
    assert list(table.to_rows(again)) == list(table.to_rows(first))
    assert len(again) == 8


HEADER = "env,block,depth,seed,metric,value\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("env,block,depth,seed,value\n", "no column metric"),
        ("", "no column env, block"),
        (HEADER, "no rows"),
        (HEADER + "m,s,4,0,x,1\nm,s,4,1,x,high\n", "line 3: value 'high' is not a number"),
        (HEADER + "m,s,4,0,x,nan\nm,s,4,1,x,\n", "no row with a finite value"),
        (HEADER + "m,s,inf,0,x,1\n", "line 2: depth 'inf' is not a whole number"),
        (HEADER + "m,s,4.5,0,x,1\n", "line 2: depth '4.5' is not a whole number"),
        (HEADER + "m,s,0,0,x,1\n", "line 2: depth '0' is not a whole number"),
        (HEADER + "m,s,4,0,x\n", "line 2: fewer fields"),
        (HEADER + "m,s,4,0,x,1\nm,s,4,0,x,2\n", "line 3: the same .* as line 2"),
    ],
)
def test_bad_tables_are_refused_in_one_line(tmp_path, text, words):
    path = written(tmp_path, text)
    with pytest.raises(ValueError, match=words) as error:
        table.read(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_values_are_left_out_and_named(tmp_path):
    missing = "".join(f"m,s,8,{seed},x,{value}\n" for seed, value in enumerate(["nan", "", "inf", "NA"]))
    notes = []
    (one,) = table.read(written(tmp_path, HEADER + "m,s,4,0,x,1\n" + missing), notes)
    assert one.depths.tolist() == [4]
    (note,) = notes
    assert "line 3 (m, s, depth 8, seed 0, x)" in note and note.endswith("and 1 more")


def test_tables_are_merged_and_agree_about_each_place(tmp_path):
    first = table.read(written(tmp_path, HEADER + "m,s,4,0,x,1\n"))
    second = table.read(written(tmp_path, HEADER + "m,s,8,0,x,2\n"))
    (one,) = table.merge([first, second])
    assert one.depths.tolist() == [4, 8]
    with pytest.raises(ValueError, match="depth 4, seed 0, x: given twice"):
        table.merge([first, first])


def test_files_that_are_no_table_are_refused(tmp_path):
    with pytest.raises(ValueError, match="cannot be read"):
        table.read(tmp_path / "none.csv")
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ValueError, match="no CSV table"):
        table.read(binary)


def test_rows_given_twice_are_refused():
    rows = [("e", "b", 4, "0", "m", 1.0)] * 2
    with pytest.raises(ValueError, match="seed 0, m: given twice"):
        table.from_rows(rows)
