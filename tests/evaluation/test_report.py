"""Reports: figures against ones counted by hand, sentences that turn with them, a page that needs nothing else."""

import csv
import html.parser
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from scipy.stats import wilcoxon
from typer.testing import CliRunner

from sgi2v_lab.baselines import METHODS
from sgi2v_lab.cli.main import app
from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.metrics.frechet import frechet_distance
from sgi2v_lab.evaluation.metrics.intervals import Interval
from sgi2v_lab.evaluation.metrics.published import PUBLISHED, ratio
from sgi2v_lab.evaluation.report import sections, write_report
from sgi2v_lab.evaluation.report.charts import curves, intervals, trade_offs
from sgi2v_lab.evaluation.report.folder import read_study
from sgi2v_lab.evaluation.report.sections import facts, paired_table, published_table, summary_table
from sgi2v_lab.evaluation.report.sets import set_figures
from sgi2v_lab.evaluation.report.statistics import compare, compare_all, holm, means, ratio_to_plain, smallest_p
from sgi2v_lab.evaluation.report.strips import one_scene, ranked
from sgi2v_lab.evaluation.report.tables import results_table
from sgi2v_lab.evaluation.report.verdict import MECHANISMS, verdict
from sgi2v_lab.evaluation.report.wording import p_value, plain_number
from sgi2v_lab.evaluation.tasks.folder import VERSION
from sgi2v_lab.evaluation.tasks.status import sweep_status
from sgi2v_lab.evaluation.tasks.strips import read_strip
from tests.helpers import studies
from tests.helpers.studies import FRAMES, SIZE, ablation, benchmark, methods

NONE = [30.0, 40.0, 20.0, 50.0, 25.0, 35.0, 45.0, 55.0]
OURS = [10.0, 12.0, 9.0, 20.0, 11.0, 13.0, 14.0, 15.0]


def study_of(folder, theirs, ours=OURS, **options):
    """No control, Time-to-Move and SG-I2V on as many scenes."""
    return read_study(methods(folder, {"none": NONE, "time_to_move": theirs, "sgi2v": ours}), **options)


# --- figures ---------------------------------------------------------------------------------------------------------


def test_means_ratios_and_paired_tests_are_those_counted_by_hand(tmp_path):
    theirs = [value + shift for value, shift in zip(OURS, (1, 2, -3, 4, 5, 6, 7, 8), strict=True)]
    study = study_of(tmp_path, theirs)
    ours = means(study, "SG-I2V")["objmc"]
    assert ours.value == pytest.approx(sum(OURS) / 8) and ours.low < ours.value < ours.high and ours.scenes == 8
    assert ratio_to_plain(study, "SG-I2V").value == pytest.approx(sum(OURS) / sum(NONE))
    assert ratio_to_plain(study, "No control") is None

    one = compare(study, "Time-to-Move", "SG-I2V", "objmc")
    assert one.difference.value == pytest.approx(30 / 8) and (one.better, one.worse) == (1, 7)
    # ranks of the differences are 1 to 8, and all count against it but that of -3, the third
    assert one.effect == pytest.approx((3 - 33) / 36)
    # of the 256 signs, those whose smaller sum of ranks is at most 3: {}, {1}, {2}, {3}, {1, 2}; and as many mirrored
    assert one.p == pytest.approx(2 * 5 / 256) == wilcoxon(np.subtract(theirs, OURS)).pvalue
    both = compare_all(study, "objmc")
    assert both["No control"].p == pytest.approx(2 / 256) and both["No control"].p_holm == pytest.approx(4 / 256)
    assert both["Time-to-Move"].p_holm == pytest.approx(10 / 256) and both["Time-to-Move"].sure
    assert not both["Time-to-Move"].ahead


def test_seeds_are_averaged_and_only_common_scenes_are_compared(tmp_path):
    study = read_study(methods(tmp_path, {"none": [10, 20, "it failed"], "sgi2v": [1, 3, 5]}))
    study = replace(study, rows=[*study.rows, replace(study.rows[0], seed=2, values={"objmc": 30.0})])
    assert means(study, "No control")["objmc"].value == 20.0  # of the first scene (10 + 30) / 2
    one = compare(study, "No control", "SG-I2V", "objmc")
    assert one.scenes == 2 and one.difference.value == pytest.approx((19 + 17) / 2)
    assert ratio_to_plain(study, "SG-I2V").value == pytest.approx(4 / 40)
    assert means(study, "SG-I2V")["objmc"].scenes == 3


def test_holm_is_that_of_the_textbook():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0] and holm([]) == []
    assert smallest_p(5, 1) == pytest.approx(0.0625) and smallest_p(3, 9) == 1.0


def test_no_difference_at_all_is_no_significance(tmp_path):
    one = compare(study_of(tmp_path, OURS), "Time-to-Move", "SG-I2V", "objmc")
    assert (one.p, one.effect, one.better, one.worse) == (1.0, 0.0, 0, 0)
    assert "Nothing beats SG-I2V on ObjMC; Time-to-Move is exactly equal" in verdict(study_of(tmp_path, OURS)).sentence


def test_the_frechet_distance_is_of_the_whole_set(tmp_path):
    chosen = studies.scenes(most=32)
    figures = {"none": [1.0] * 32, "sgi2v": [1.0] * 32}
    methods(tmp_path, figures, chosen)
    study = read_study(tmp_path)
    truth = [scene.clip(SIZE, FRAMES) for scene in chosen]
    for row, clip in zip(study.of("SG-I2V"), truth, strict=True):
        studies.replace_strip(row.strip, clip)
    sets = set_figures(study)
    assert sets.clips == 32 and sets.missing is None
    videos = [read_strip(row.strip, FRAMES) for row in study.of("SG-I2V")]
    assert (
        sets.distances["SG-I2V"] == pytest.approx(frechet_distance(truth, videos)) and sets.distances["SG-I2V"] < 0.05
    )
    assert sets.distances["No control"] > 10 and sets.ratios["SG-I2V"].value < 0.01
    table = summary_table(study, sets=sets)
    assert table.head[-1].text == "Toy Fréchet" and [row[-1].best for row in table.rows] == [False, True]
    few = replace(study, rows=[row for row in study.rows if row.scene != chosen[0].name])
    assert "31 drawn scenes" in set_figures(few).missing


# --- who wins --------------------------------------------------------------------------------------------------------


def test_the_verdict_turns_when_the_figures_turn(tmp_path):
    worse, better = [value + 5 for value in OURS], [value / 2 for value in OURS]
    said = verdict(study_of(tmp_path / "a", worse))
    assert said.sentence.startswith("SG-I2V wins on ObjMC: 13.0 px") and "the next best, Time-to-Move" in said.sentence
    assert said.reasons == [] and said.caution is None
    said = verdict(study_of(tmp_path / "b", better))
    assert said.sentence.startswith("SG-I2V does not win on ObjMC: Time-to-Move beats it.")
    assert "6.5 px from the path on average against 13.0 px of SG-I2V" in said.sentence
    (reason,) = said.reasons
    assert reason.setting == "Time-to-Move" and MECHANISMS["time_to_move"] in reason.text
    assert "better in 8 of 8 scenes" in reason.text and "these figures show no cost" in reason.text
    assert "not significantly" not in said.sentence + reason.text


def test_a_lead_that_may_be_chance_is_not_called_a_win(tmp_path):
    mixed = [value - 3 if place % 2 else value + 1 for place, value in enumerate(OURS)]
    said = verdict(study_of(tmp_path, mixed))
    assert "Time-to-Move has the better mean, but not significantly" in said.sentence and "beat" not in said.sentence
    assert "not significantly" in said.reasons[0].text
    table = paired_table(read_study(tmp_path), read_study(tmp_path).measures[0])
    assert table.rows[1][-1].text.startswith("Undecided: Time-to-Move has the better mean")


def test_what_a_winner_pays_is_told_from_the_figures(tmp_path):
    ours = [{"objmc": value, "psnr": 30.0 + value / 10, "ssim": 0.5, "seconds": 9.0} for value in OURS]
    theirs = [{"objmc": value / 2, "psnr": 20.0 + value / 10, "ssim": 0.6, "seconds": 3.0} for value in OURS]
    (reason,) = verdict(study_of(tmp_path / "a", theirs, ours)).reasons
    assert "Significantly worse: first-frame PSNR 21.3 dB against 31.3 dB." in reason.text
    assert "Better on average as well: first-frame SSIM." in reason.text and "no cost" not in reason.text
    assert "One video takes 3.0 s, against 9.0 s for SG-I2V." in reason.text
    (reason,) = verdict(study_of(tmp_path / "b", [one | {"psnr": 40.0} for one in theirs], ours)).reasons
    assert "Significantly worse" not in reason.text and "no cost" in reason.text


def test_too_few_scenes_are_said_to_be_too_few(tmp_path):
    study = read_study(methods(tmp_path, {"none": [30, 40], "sgi2v": [10, 12]}))
    said = verdict(study)
    assert "With 2 scenes no difference can be significant" in said.caution and "not significant" in said.sentence


def test_another_reference_may_be_asked_for(tmp_path):
    study = study_of(tmp_path, [value / 2 for value in OURS], reference="time_to_move")
    assert study.reference == "Time-to-Move" and verdict(study).sentence.startswith("Time-to-Move wins on ObjMC")
    with pytest.raises(InputError, match="no setting 'best'.*No control, Time-to-Move, SG-I2V"):
        read_study(tmp_path, reference="best")


# --- pictures --------------------------------------------------------------------------------------------------------


def test_the_best_is_marked_only_where_all_were_measured_in_the_same_scenes():
    one, other = Interval(1.0, 0.5, 1.5, 4), Interval(2.0, 1.5, 2.5, 4)
    marked = lambda *given: [cell.best for cell in sections._column(*given).values()]  # noqa: E731
    assert marked({"a": one, "b": other}, 1, "lower") == [True, False]
    assert marked({"a": one, "b": other}, 1, "higher") == [False, True]
    assert marked({"a": one, "b": replace(other, scenes=3)}, 1, "lower") == [False, False]
    assert marked({"a": one, "b": other}, 1, "lower", False) == [False, False], "somebody is missing"


def test_best_median_and_worst_are_of_different_scenes(tmp_path):
    study = study_of(tmp_path, NONE)
    names = [row.scene for row in study.of("SG-I2V")]
    chosen = ranked(study.of("SG-I2V"))
    # 9 10 11 12 13 14 15 20: the lower of the two in the middle
    assert {rank: names.index(row.scene) for rank, row in chosen.items()} == {"best": 2, "median": 1, "worst": 3}
    assert list(ranked(study.of("SG-I2V")[:2])) == ["best", "worst"] and ranked([]) == {}
    row, same = one_scene(study)
    assert row.scene == names[1] and [strip.title for strip in same] == ["No control", "Time-to-Move", "SG-I2V"]
    first = same[0]
    assert (first.width, first.height, first.frames) == (FRAMES * SIZE[0], SIZE[1], FRAMES)
    assert len(first.boxes) == FRAMES and all(0 <= box.x < first.width for box in first.boxes)
    assert "ObjMC 40.0 px" in first.caption


def test_a_damaged_film_strip_is_left_out(tmp_path):
    study = study_of(tmp_path, NONE)
    row = ranked(study.of("SG-I2V"))["median"]
    row.strip.write_bytes(b"no picture")
    assert [strip.title for strip in one_scene(study)[1]] == ["No control", "Time-to-Move"]


def test_curves_go_along_numbers_that_alone_were_changed(tmp_path):
    figures = {
        "base": ({}, [10, 12, 14]),
        "cutoff 0": ({"cutoff": 0.0}, [30, 32, 34]),
        "cutoff 1": ({"cutoff": 1.0}, [11, 12, 15]),
        "learning rate 2": ({"learning_rate": 2.0}, [9, 9, 9]),
        "two at once": ({"cutoff": 0.25, "learning_rate": 2.0}, [9, 9, 9]),
        "control_steps 0-9": ({"control_steps": [0, 9]}, [20, 20, 20]),
        "features self-attention": ({"features": "self-attention"}, [25, 25, 25]),
    }
    study = read_study(ablation(tmp_path, figures, [40, 40, 40]))
    assert study.reference == "base" and study.arms["cutoff 0"].plain == "without control"
    drawn = [chart.caption for chart in curves(study)]
    titles = ("cutoff", "learning rate", "middle of the control steps")
    assert [caption.split(";")[0] for caption in drawn] == [
        f"{name} along {title}" for title in titles for name in ("ObjMC", "First-frame PSNR")
    ]
    svg = str(curves(study)[0].svg)
    assert "cutoff" in svg and "<text" in svg and "var(--ink)" in svg and "#222222" not in svg
    assert len(intervals(study)) == 2 and len(trade_offs(study, set_figures(study))) == 1
    assert ratio_to_plain(study, "cutoff 1").value == pytest.approx(38 / 120)
    assert verdict(study).sentence.startswith("base does not win on ObjMC")


# --- what is read ----------------------------------------------------------------------------------------------------


def test_a_benchmark_is_read_without_what_else_lies_in_its_folder(tmp_path):
    study = read_study(benchmark(tmp_path, [(30, 10), (40, 20), (50, 30)]))
    assert [row.values["objmc"] for row in study.rows] == [30, 40, 50, 10, 20, 30]
    assert ratio_to_plain(study, "with control").value == pytest.approx(0.5) and study.kind == "benchmark"
    assert verdict(study).sentence.startswith("with control wins on ObjMC")
    page = write_report(tmp_path).html.read_text()
    assert "the tracker itself errs by 0.25 px in the mean over 3 scenes" in page and "99.0" not in page


def test_a_benchmark_of_an_earlier_version_is_read(tmp_path):
    new = read_study(benchmark(tmp_path, [(30, 10), (40, 20), (50, 30)]))
    (tmp_path / "benchmark.json").rename(tmp_path / "exam.json")
    today = {"strip": "film", "strip_bytes": "film_bytes", "control_steps": "guided_steps", "early_stop": "enough"}
    for path in tmp_path.rglob("*.json"):
        text = path.read_text()
        for name, before in today.items():
            text = text.replace(f'"{name}":', f'"{before}":')
        path.write_text(text)
    old = read_study(tmp_path)
    assert old.rows == new.rows and old.base == new.base and all(row.strip.is_file() for row in old.rows)


def test_what_is_missing_and_what_failed_is_said_plainly(tmp_path):
    figures = {"none": [30, 40, 50], "sgi2v": [10, "RuntimeError: the lamp <went> out", 30]}
    methods(tmp_path, figures, missing=[("none", 2)])
    study = read_study(tmp_path)
    assert len(study.done) == 4 and study.planned == 6
    assert [name.split(", ", 1)[1] for name in study.unfinished] == ["seed 1, No control: not made yet"]
    assert sweep_status(tmp_path).left == 1
    page = write_report(tmp_path).html.read_text()
    assert "1 of 6 videos are missing" in page and "1 of 6 videos failed" in page
    assert "the lamp &lt;went&gt; out" in page and "A &lt;small&gt; study &amp; its figures" in page
    row = summary_table(study).rows[1]
    assert row[1].below == "1 failed"


def test_the_head_says_what_was_measured_on_what(tmp_path):
    found = facts(study_of(tmp_path, NONE))
    assert found["Model"] == f"toy, weights {studies.WEIGHTS}" and found["Scenes"] == "8 (8 single)"
    assert found["Resolution"] == "32 × 32 px, 3 frames" and found["Tracker"] == "ncc"
    assert found["Videos"] == "24" and "python 3.11.9" in found["Versions"] and "UTC" in found["Made"]


def test_each_folder_that_cannot_be_reported_has_its_own_sentence(tmp_path):
    told = set()

    def refused(folder, sentence):
        with pytest.raises(InputError, match=sentence) as caught:
            write_report(folder)
        assert "\n" not in str(caught.value)
        told.add(str(caught.value))
        assert not (Path(folder) / "report.html").exists()

    refused(tmp_path / "gone", "there is no folder")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "is empty; make results first")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").touch()
    refused(tmp_path / "other", "holds neither sweep.json nor benchmark.json")
    refused(methods(tmp_path / "failed", {"none": ["E: one"], "sgi2v": ["E: two"]}), "all 2 videos .* E: one")
    refused(
        methods(tmp_path / "new", {"none": [1]}, missing=[("none", 0)]), "none of the 1 tasks .* is finished; go on"
    )
    two = methods(tmp_path / "two", {"none": [1, 2], "sgi2v": [1, 2]})
    path = next((two / "tasks").glob("*.json"))
    text = path.read_text()
    path.write_text(text.replace(studies.WEIGHTS, "f" * 20))
    refused(two, "results of 2 models")
    path.write_text(text.replace(f'"version": {VERSION}', '"version": 0'))
    refused(two, "results of 2 versions")
    old = methods(tmp_path / "old", {"none": [1]})
    document = json.loads((old / "sweep.json").read_text())
    (old / "sweep.json").write_text(json.dumps({name: document[name] for name in document if name != "machine"}))
    refused(old, "does not say 'machine'")
    assert len(told) == 8


# --- what is written -------------------------------------------------------------------------------------------------


class Page(html.parser.HTMLParser):
    """What a page refers to, its ids, and whether its elements close in order."""

    VOID = ("meta", "image", "rect", "path", "use", "line")

    def __init__(self, text):
        super().__init__()
        self.links, self.ids, self.open, self.tags = [], [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.open += [] if tag in self.VOID else [tag]
        for name, value in attributes:
            if name.split(":")[-1] in ("src", "href", "srcset", "data", "action"):
                self.links.append(value)
            if name == "id":
                self.ids.append(value)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_beside_it(tmp_path):
    methods(tmp_path, {"none": NONE, "copy_paste": OURS, "sgi2v": OURS})
    report = write_report(tmp_path, tmp_path / "elsewhere")
    text = report.html.read_text()
    page = Page(text)
    assert page.open == [] and text.startswith("<!doctype html>")
    assert all(link.startswith(("data:image/", "#")) for link in page.links) and len(page.links) > 10
    assert not re.search(r"url\((?!#)", text) and "@import" not in text and "script" not in page.tags
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    named = [one for one in page.ids if not re.match(r"[mpc][0-9a-f]+", one)]
    assert len(named) == len(set(named)), "no id twice, but for equal marks of charts"
    assert "prefers-color-scheme: dark" in text and "@media print" in text and 'name="viewport"' in text
    assert "published" in text and "measured here" in text and "do not compare one to one" in text
    assert "sgi2v evaluate --out there" in text and "Copy and paste" in text
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == [
        "report.html",
        "results.csv",
        "results.parquet",
    ]
    again = write_report(tmp_path, tmp_path / "elsewhere").html.read_text()
    assert again == text, "the same results make the same page"


def test_csv_and_parquet_hold_the_same_rows_as_the_records(tmp_path):
    figures = {"none": [30, 40], "sgi2v": [{"objmc": 1 / 3, "psnr": 20.0}, 'Error: a, "b"\nc']}
    report = write_report(methods(tmp_path, figures))
    study = read_study(tmp_path)
    table = pyarrow.parquet.read_table(report.parquet)
    assert table.equals(results_table(study)) and table.num_rows == 4
    assert table.schema.field("objmc").metadata == {b"unit": b"px"}
    rows = table.to_pylist()
    assert rows[2]["objmc"] == 1 / 3 and rows[2]["objmc_uncontrolled"] == 30.0 and rows[2]["method"] == "sgi2v"
    assert rows[3]["objmc"] is None and rows[3]["error"] == 'Error: a, "b"\nc' and rows[0]["psnr"] is None
    options = pyarrow.csv.ConvertOptions(
        column_types={field.name: field.type for field in table.schema}, strings_can_be_null=True
    )
    parsing = pyarrow.csv.ParseOptions(newlines_in_values=True)
    read = pyarrow.csv.read_csv(report.csv, convert_options=options, parse_options=parsing)
    assert read.to_pylist() == rows
    with report.csv.open(newline="") as file:
        assert [row["scene"] for row in csv.DictReader(file)] == [row["scene"] for row in rows]


def test_published_rows_stand_beside_ours_each_marked(tmp_path):
    study = study_of(tmp_path, NONE)
    table = published_table(study, set_figures(study))
    origin = [row[1].text for row in table.rows]
    assert origin == ["published"] * len(PUBLISHED) + ["measured here"] * 3
    assert table.rows[-1][3].text == f"{sum(OURS) / sum(NONE):.2f}"
    paper = next(row for row in PUBLISHED if row.baseline == "sgi2v")
    assert ratio(paper) == pytest.approx(14.43 / 39.59) and ratio(PUBLISHED[0]) is None
    assert {row.baseline for row in PUBLISHED} - {None} <= set(METHODS)


def test_numbers_are_written_as_people_write_them():
    assert plain_number(-0.04, 1, signed=True) == "0.0" and plain_number(-1.25, 1) == "−1.2"
    assert p_value(0.00001) == "< 0.0001" and p_value(0.0312) == "0.031"


# --- from the command line -------------------------------------------------------------------------------------------


def test_the_command_tells_who_wins_and_where_the_page_is(tmp_path):
    methods(tmp_path, {"none": NONE, "sgi2v": OURS}, missing=[("none", 0)])
    told = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert told.exit_code == 0, told.output
    assert "SG-I2V wins on ObjMC" in told.output and str(tmp_path / "report.html") in told.output
    assert "1 videos are not finished" in told.output
    shutil.rmtree(tmp_path / "tasks")
    told = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert told.exit_code == 2 and "none of the 16 tasks" in told.output
