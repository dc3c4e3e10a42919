import numpy as np
import pytest
from scipy import stats

from rl_depth.analysis.runs import table
from rl_depth.analysis.thresholds.detect import detect

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
MEANS = "env,block,depth,metric,mean,n,se\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("env,block,depth,seed,value\n", "no column metric"),
        ("", "no column env, block.*found are none"),
        ("env,Width,value\n", "no column block, depth, metric, seed; found are env, width, value; needed are env"),
        (HEADER + "m,s,4,0,x,1_000\n", "line 2: value '1_000' is not a number"),
        ("#a\n\n" + HEADER + "m,s,4,0,x,high\n", "line 4: value 'high'"),
        (MEANS.replace(",se", ""), "no column se"),
        (MEANS + "m,s,4,x,1,2.5,0.1\n", "line 2: n '2.5' is not a whole number"),
        (MEANS + "m,s,4,x,1,5,-0.1\n", "line 2: mean '1', se '-0.1' are no mean with its error"),
        (MEANS + "m,s,4,x,1,5,.1\nm,s,4,x,2,5,.1\n", "line 3: the same env, block, depth and metric as line 2"),
        ("env,env,block,depth,metric,seed,value\n", "column env is there twice"),
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


@pytest.mark.parametrize("apart", [",", ";", "\t"])
def test_headers_in_any_case_with_blanks_comments_and_other_separators(tmp_path, apart):
    header = apart.join(["Env", " Block ", "DEPTH", "seed ", "Metric", "Value"])
    rows = [apart.join(["maze", "stacked", str(depth), "0", "dist", " 1.5"]) for depth in (4, 8)]
    text = "\n".join(["# from a paper", "", header, *rows]) + "\n"
    (one,) = table.read(written(tmp_path, text))
    assert (one.env, one.block, one.metric, one.depths.tolist()) == ("maze", "stacked", "dist", [4, 8])
    assert [v.tolist() for v in one.values] == [[1.5], [1.5]]


@pytest.mark.parametrize(
    ("names", "errors"),
    [
        ("se", "2"),
        ("sd", f"{2 * np.sqrt(5)}"),
        ("low,high", f"{10 - 2 * stats.t.ppf(0.975, 4)},{10 + 2 * stats.t.ppf(0.975, 4)}"),
    ],
)
def test_means_with_an_error_become_seeds_of_that_mean_and_spread(tmp_path, names, errors):
    notes = []
    text = f"env,block,depth,metric,mean,n,{names}\nm,s,4,x,10,5,{errors}\n"
    (one,) = table.read(written(tmp_path, text), notes)
    (values,) = one.values
    assert len(values) == 5 and values.mean() == pytest.approx(10)
    assert values.std(ddof=1) / np.sqrt(5) == pytest.approx(2)
    assert "normal seeds of that mean and spread stand in" in notes[0]


def test_means_of_one_seed_need_no_error_and_others_are_missing_without(tmp_path):
    notes = []
    (one,) = table.read(written(tmp_path, MEANS + "m,s,4,x,10,1,\nm,s,8,x,11,5,\n"), notes)
    assert [v.tolist() for v in one.values] == [[10.0]]
    assert any("line 3 (m, s, depth 8, x)" in note for note in notes)


def test_the_means_of_a_paper_are_judged_as_its_seeds_would_be(tmp_path):
    means = zip((4, 8, 16, 32, 64), (61, 66, 324, 413, 441), strict=True)
    lines = [f"ant big maze; stacked; {depth}; time at goal; {mean}; 5; 6.7" for depth, mean in means]
    path = written(tmp_path, "Env; Block; Depth; Metric; Mean; N; SE\n" + "\n".join(lines) + "\n")
    (one,) = table.read(path)
    (jump,) = detect(one.depths, one.values).jumps
    assert jump.depth == 16
