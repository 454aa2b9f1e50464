"""Reports: figures against ones counted by hand, sentences that turn with them, a page that needs nothing else."""

import csv
import html.parser
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import wilcoxon

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.experiments.plan import TRUTH, PlannedClaim
from sgi2v_lab.evaluation.metrics.frechet import frechet_distance
from sgi2v_lab.evaluation.metrics.intervals import Interval
from sgi2v_lab.evaluation.report import write_report
from sgi2v_lab.evaluation.report.charts import curves, intervals
from sgi2v_lab.evaluation.report.claims import Claim, claims_of
from sgi2v_lab.evaluation.report.sections import SUMMARY, definitions, summary_table
from sgi2v_lab.evaluation.report.sets import set_figures
from sgi2v_lab.evaluation.report.statistics import compare, compare_all, holm, mean, ratio_to_plain
from sgi2v_lab.evaluation.report.strips import chosen_strips, ranked
from sgi2v_lab.evaluation.report.study import read_study
from sgi2v_lab.evaluation.report.tables import Summary
from sgi2v_lab.evaluation.report.targets import targets
from sgi2v_lab.evaluation.report.verdict import MECHANISMS, verdict
from sgi2v_lab.evaluation.report.wording import p_value, plain_number, within
from sgi2v_lab.evaluation.scenes.scenes import benchmark_scenes
from tests.helpers import studies
from tests.helpers.studies import FRAMES, SIZE, methods, question, study, variant

NONE = [30.0, 40.0, 20.0, 50.0, 25.0, 35.0, 45.0, 55.0]
OURS = [10.0, 12.0, 9.0, 20.0, 11.0, 13.0, 14.0, 15.0]


def study_of(folder, theirs, ours=OURS):
    """No control, Time-to-Move and SG-I2V on as many samples."""
    return read_study(methods(folder, {"none": NONE, "time_to_move": theirs, "sgi2v": ours}))


def claim(text, better, worse, measure="objmc"):
    return PlannedClaim(text=text, measure=measure, better=better, worse=worse)


# --- figures ---------------------------------------------------------------------------------------------------------


def test_means_ratios_and_paired_tests_are_those_counted_by_hand(tmp_path):
    theirs = [value + shift for value, shift in zip(OURS, (1, 2, -3, 4, 5, 6, 7, 8), strict=True)]
    found = study_of(tmp_path, theirs)
    ours = mean(found, "SG-I2V", "objmc")
    assert ours.value == pytest.approx(sum(OURS) / 8) and ours.low < ours.value < ours.high and ours.scenes == 8
    assert ratio_to_plain(found, "SG-I2V").value == pytest.approx(sum(OURS) / sum(NONE))
    assert ratio_to_plain(found, "No control") is None

    one = compare(found, "Time-to-Move", "SG-I2V", "objmc")
    assert one.difference.value == pytest.approx(30 / 8) and one.better == 1 and not one.ahead
    # ranks of the differences are 1 to 8, and all count against it but that of -3, the third
    assert one.effect == pytest.approx((3 - 33) / 36)
    # of the 256 signs, those whose smaller sum of ranks is at most 3: {}, {1}, {2}, {3}, {1, 2}; and as many mirrored
    assert one.p == pytest.approx(2 * 5 / 256) == wilcoxon(np.subtract(theirs, OURS)).pvalue
    both = compare_all(found, "objmc")
    assert both["No control"].p == pytest.approx(2 / 256) and both["No control"].p_holm == pytest.approx(4 / 256)
    assert both["Time-to-Move"].p_holm == pytest.approx(10 / 256) and both["Time-to-Move"].sure


def test_seeds_are_averaged_and_only_common_samples_are_compared(tmp_path):
    found = read_study(methods(tmp_path, {"none": [[10, 30], 20, "it failed"], "sgi2v": [1, 3, 5]}))
    assert mean(found, "No control", "objmc").value == 20.0  # of the first sample (10 + 30) / 2
    one = compare(found, "No control", "SG-I2V", "objmc")
    assert one.samples == 2 and one.difference.value == pytest.approx((19 + 17) / 2)
    assert ratio_to_plain(found, "SG-I2V").value == pytest.approx(4 / 40)
    assert mean(found, "SG-I2V", "objmc").scenes == 3


def test_holm_is_that_of_the_textbook():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0] and holm([]) == []


def test_the_best_is_marked_only_where_all_were_measured_in_equally_many_samples(tmp_path):
    def best(figures):
        table = summary_table(read_study(methods(tmp_path / str(len(figures["none"])), figures)), SUMMARY, {})
        return [[cell.text for cell in row if cell.best] for row in table[1:]]

    assert best({TRUTH: [0.5, 0.5], "none": [8, 8], "sgi2v": [2, 2]}) == [[], [], ["2.0"]]
    assert best({"none": [8, 8, 8], "sgi2v": [2, 2, "failed"]}) == [[], []]
    assert best({"none": [8] * 4, "sgi2v": [8] * 4}) == [[], []], "nobody is the best of equals"


@pytest.mark.slow
def test_a_distance_of_sets_is_to_the_true_videos(tmp_path):
    scenes = benchmark_scenes(["single"], 32)
    clips = [scene.clip(SIZE, FRAMES) for scene in scenes]
    figures = {TRUTH: [0.1] * 32, "none": [1.0] * 32, "sgi2v": [1.0] * 32}
    noisy = [(clip + 0.1 * torch.randn(clip.shape)).clamp(0, 1) for clip in clips]
    folder = methods(tmp_path, figures, videos={"True video": clips, "SG-I2V": noisy})
    found = read_study(folder)
    toy = set_figures(found)["toy_frechet"]
    assert toy.clips == 32 and toy.distances["SG-I2V"] == pytest.approx(frechet_distance(clips, noisy), rel=1e-3)
    assert 0 < toy.ratios["SG-I2V"].low < toy.ratios["SG-I2V"].value < 0.5
    assert set_figures(found)["motion_distance"].distances["No control"] > 0
    few = replace(found, rows=[row for row in found.rows if row.task.sample != "single-0"])
    assert "31 samples" in set_figures(few)["toy_frechet"].missing
    other = replace(found, plan=found.plan.model_copy(update={"data": "davis"}))
    assert list(set_figures(other)) == ["motion_distance"], "the toy's own distance is for its benchmark alone"
    row = found.of("SG-I2V")[0]
    old = replace(row, result=row.result.model_copy(update={"features": {}}))
    older = replace(found, rows=[old if each is row else each for each in found.rows])
    assert "single-0, seed 1, SG-I2V has no features for it" in set_figures(older)["toy_frechet"].missing


# --- claims and targets ----------------------------------------------------------------------------------------------


def test_claims_are_judged_by_the_interval_of_the_paired_difference(tmp_path):
    arms = [variant("base", "base"), variant("a", "features"), variant("b", "features")]
    figures = {
        "base": [{"objmc": x, "fidelity": 30.0} for x in OURS],
        "a": [{"objmc": x + 4 + 0.1 * k, "fidelity": 20.0} for k, x in enumerate(OURS)],
        "b": [{"objmc": x + (-1) ** k, "fidelity": 30.0} for k, x in enumerate(OURS)],
    }
    claims = [
        claim("Lower is better.", ["base"], ["a"]),
        claim("Higher is better.", ["base"], ["a"], "fidelity"),
        claim("The other way round.", ["a"], ["base"]),
        claim("No difference.", ["base"], ["b"]),
        claim("A mean of two.", ["base"], ["a", "b"]),
        claim("Nobody took it.", ["base"], ["a"], "epe"),
    ]
    found = claims_of(read_study(study(tmp_path, arms, figures, questions=[question("", arms, claims)])))
    assert [each.holds for each in found] == ["yes", "yes", "no", "undecided", "yes", "not measured"]
    assert found[0].gain.value == pytest.approx(4.35) and found[4].gain.value == pytest.approx(4.35 / 2)
    assert found[1].gain.value == 10 and "fidelity is 10.0 dB better on average over 8 samples" in found[1].finding
    assert re.search(r"ObjMC is 4\.\d px worse .*95% CI 4\.\d to 4\.\d\)", found[2].finding)
    assert "which contains 0" in found[3].finding
    only = Claim(text="One.", measure="objmc", better=["a"], worse=["b"], gain=Interval(3.0, None, None, 1))
    assert only.holds == "undecided" and "none for one sample" in only.finding


def test_targets_are_those_of_the_benchmark(tmp_path):
    categories = ["single"] * 2 + ["two"] * 2 + ["photo"] * 2
    figures = {
        "none": [10.0, 20, 10, 10, 10, 10],
        "sgi2v": [{"objmc": x, "first_frame_psnr": 25.0} for x in (3, 6, 6, 6, 7, 7)],
    }
    found = read_study(methods(tmp_path, figures, categories=categories))
    met = {each.name: (each.cells[2], each.met) for each in targets(found)}
    assert met["ObjMC ratio: single"] == ("0.300", True) and met["ObjMC ratio: two"] == ("0.600", False)
    assert met["ObjMC ratio: photo"] == ("0.700", True) and met["ObjMC ratio: pan"] == ("—", None)
    assert met["First-frame PSNR, dB"] == ("25.0", True) and met["Toy Frechet ratio"] == ("—", None)
    assert targets(replace(found, plan=found.plan.model_copy(update={"data": "davis"}))) == []


# --- who wins --------------------------------------------------------------------------------------------------------


def test_the_verdict_turns_when_the_figures_turn(tmp_path):
    said = verdict(study_of(tmp_path / "a", [value + 5 for value in OURS]))
    assert said.sentence.startswith("SG-I2V wins on ObjMC: 13.0 px") and "of Time-to-Move (8 samples" in said.sentence
    assert said.reasons == {} and said.caution is None
    said = verdict(study_of(tmp_path / "b", [value / 2 for value in OURS]))
    assert said.sentence.startswith("SG-I2V does not win on ObjMC; significantly better: Time-to-Move.")
    assert "13.0 px from the path on average, against 6.5 px of Time-to-Move" in said.sentence
    reason = said.reasons["Time-to-Move"]
    assert MECHANISMS["time_to_move"] in reason and "better in 8 of 8 samples" in reason
    assert "significantly worse: nothing" in reason
    said = verdict(study_of(tmp_path / "c", OURS))
    assert said.sentence == "Nothing beats SG-I2V on ObjMC; exactly equal to it: Time-to-Move."


def test_a_lead_that_may_be_chance_is_not_called_a_win(tmp_path):
    mixed = [value - 3 if place % 2 else value + 1 for place, value in enumerate(OURS)]
    said = verdict(study_of(tmp_path / "a", mixed))
    assert "better on average, but not significantly: Time-to-Move" in said.sentence
    assert "not significantly" in said.reasons["Time-to-Move"]
    said = verdict(read_study(methods(tmp_path / "b", {"none": [30, 40], "sgi2v": [10, 12]})))
    assert said.sentence.startswith("SG-I2V has the best mean on ObjMC") and "with 2 no difference" in said.caution


def test_what_a_winner_pays_is_told_from_the_figures(tmp_path):
    ours = [{"objmc": value, "first_frame_psnr": 30.0 + value / 10, "seconds": 9.0} for value in OURS]
    theirs = [{"objmc": value / 2, "first_frame_psnr": 20.0 + value / 10, "seconds": 3.0} for value in OURS]
    reason = verdict(study_of(tmp_path, theirs, ours)).reasons["Time-to-Move"]
    assert "significantly worse: first-frame PSNR 21.3 dB against 31.3 dB" in reason
    assert "significantly better, too: time 3.0 s against 9.0 s" in reason


# --- pictures --------------------------------------------------------------------------------------------------------


def test_best_median_and_worst_are_of_different_samples(tmp_path):
    found = read_study(methods(tmp_path, {TRUTH: [0.1] * 8, "none": NONE, "sgi2v": OURS}))
    names = [row.task.sample for row in found.of("SG-I2V")]
    # 9 10 11 12 13 14 15 20: the lower of the two in the middle
    chosen = ranked(found.of("SG-I2V"))
    assert {rank: names.index(row.task.sample) for rank, row in chosen.items()} == {"best": 2, "median": 1, "worst": 3}
    assert list(ranked(found.of("SG-I2V")[:2])) == ["best", "worst"] and ranked([]) == {}
    best, same = chosen_strips(found)
    assert [strip.title.split(":")[0] for strip in best] == ["Best", "Median", "Worst"]
    assert [strip.title.split(", ")[2] for strip in same] == ["True video", "No control", "SG-I2V"]
    assert "ObjMC 40.0 px" in same[1].caption and same[1].result.boxes == studies.BOXES
    chosen["median"].strip.write_bytes(b"no picture")
    assert [strip.title.split(", ")[2] for strip in chosen_strips(found)[1]] == ["True video", "No control"]


def test_curves_go_along_numbers_that_alone_were_changed(tmp_path):
    arms = [
        studies.method("none"),
        variant("base", "base"),
        variant("cutoff 0", "cutoff", cutoff=0.0),
        variant("cutoff 1", "cutoff", cutoff=1.0),
        variant("two at once", "setting", cutoff=0.25, learning_rate=2.0),
        variant("control_steps 0-9", "control_steps", control_steps=[0, 9]),
        variant("features self-attention", "features", features="self-attention"),
    ]
    figures = {arm.label: [10.0 * k + x for x in (0, 2, 4)] for k, arm in enumerate(arms)}
    found = read_study(study(tmp_path, arms, figures, reference="base"))
    assert [chart.caption.split(";")[0] for chart in curves(found, ["objmc", "epe"])] == [
        *("ObjMC along cutoff", "ObjMC along middle of the control steps")
    ]
    (chart,) = intervals(found, ["objmc", "epe"])
    assert chart.uri.startswith("data:image/svg+xml") and "32 × 32 px, 3 frames, tracker ncc" in chart.caption


# --- what is read ----------------------------------------------------------------------------------------------------


def test_what_is_missing_and_what_failed_is_said_plainly(tmp_path):
    figures = {"none": [30, 40, 50], "sgi2v": [10, "RuntimeError: the lamp <went> out", 30]}
    methods(tmp_path, figures, missing=[("No control", 2)])
    found = read_study(tmp_path)
    assert len(found.done) == 4 and found.unfinished == ["single-2, seed 1, No control: not made yet"]
    path, summary = write_report(tmp_path)
    page = path.read_text()
    assert (summary.videos, summary.failed, summary.unfinished) == (4, 1, 1)
    assert "1 of 6 videos are missing" in page and "1 of 6 videos failed" in page
    assert "the lamp &lt;went&gt; out" in page and "A &lt;small&gt; study &amp; its figures" in page
    assert summary_table(found, SUMMARY, {})[2][1].below == "1 failed"
    strip = found.done[0].strip
    strip.write_bytes(strip.read_bytes()[:-1])
    assert "bytes instead of" in read_study(tmp_path).unfinished[0]


def test_each_folder_that_cannot_be_reported_has_its_own_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    methods(tmp_path / "failed", {"none": ["E: one"], "sgi2v": ["E: two"]})
    methods(tmp_path / "new", {"none": [1]}, missing=[("No control", 0)])
    for name, sentence in {
        "gone": "is no folder of an evaluation .*No such file",
        "empty": "is no folder of an evaluation",
        "failed": "all 2 videos failed; the first, .* E: one",
        "new": "none of the 1 videos .* is finished; go on",
    }.items():
        with pytest.raises(InputError, match=sentence) as caught:
            write_report(tmp_path / name)
        assert "\n" not in str(caught.value) and not (tmp_path / name / "report.html").exists()


# --- what is written -------------------------------------------------------------------------------------------------


class Page(html.parser.HTMLParser):
    """What a page refers to, its ids, and whether its elements close in order."""

    VOID = ("meta", "image", "rect", "img")

    def __init__(self, text):
        super().__init__()
        self.links, self.ids, self.open, self.tags = [], [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.open += [] if tag in self.VOID else [tag]
        self.links += [value for name, value in attributes if name.split(":")[-1] in ("src", "href", "srcset", "data")]
        self.ids += [value for name, value in attributes if name == "id"]

    def handle_startendtag(self, tag, attributes):
        assert tag in self.VOID
        self.handle_starttag(tag, attributes)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_beside_it(tmp_path):
    folder = methods(tmp_path, {TRUTH: [0.25] * 8, "none": NONE, "copy_paste": OURS, "sgi2v": OURS})
    text = write_report(folder, tmp_path / "elsewhere")[0].read_text()
    page = Page(text)
    assert page.open == [] and "<!doctype html>" in text[:20]
    assert all(link.startswith(("data:image/", "#")) for link in page.links) and len(page.links) > 10
    assert not re.search(r"url\((?!#)", text) and "@import" not in text and "script" not in page.tags
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids) == {*page.ids}
    assert len(page.ids) == len(set(page.ids))
    assert "prefers-color-scheme: dark" in text and 'name="viewport"' in text
    assert (
        "sgi2v evaluate --out there" in text and "the tracker itself errs by 0.25 px on average over 8 samples" in text
    )
    assert "published" in text and "measured here" in text and "do not compare one to one" in text
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == [
        *("report.html", "results.csv", "summary.json")
    ]
    again, _ = write_report(folder, tmp_path / "elsewhere")
    assert again.read_text() == text, "the same results, the same page"


@pytest.mark.slow
def test_questions_make_a_page_of_answers(tmp_path):
    arms = [studies.method("none"), variant("base", "base"), variant("cutoff 1", "cutoff", cutoff=1.0)]
    figures = {arm.label: [{"objmc": x + 9 * k, "fidelity": 20.0} for x in OURS] for k, arm in enumerate(arms)}
    asked = [
        question("Does the cut-off matter?", arms, [claim("It does.", ["base"], ["cutoff 1"])], "A <note>.", ["two"]),
        question("Which one?", arms, measures=["objmc", "colour"], categories=["single", "two"]),
    ]
    folder = study(tmp_path, arms, figures, ["single", "two"] * 4, questions=asked, reference="base")
    path, summary = write_report(folder)
    text = path.read_text()
    assert Page(text).open == [] and summary.verdict.sentence.startswith("Do the claims hold? 1 yes. ")
    places = [
        text.index(part) for part in ("<h2>Does the cut-off matter?", "It does.", "A &lt;note&gt;.", "<h2>Which one?")
    ]
    assert places == sorted(places) and "over 4 samples (95% CI 9.0 to 9.0)" in text, "the samples of its category"
    assert "Not measured: colour." in text and "<small>single px ↓</small>" in text and "two px ↓" in text
    asked = [question("", arms, [claim("It does not.", ["cutoff 1"], ["base"])])]
    text = write_report(study(tmp_path, arms, figures, questions=asked, reference="base"))[0].read_text()
    assert "<h2>Claims</h2>" in text and '<b class="tag no">no</b> It does not.' in text


def test_csv_and_summary_hold_what_the_records_hold(tmp_path):
    figures = {"none": [30, 40], "sgi2v": [{"objmc": 1 / 3, "first_frame_psnr": 20.0}, 'Error: a, "b"\nc']}
    _, said = write_report(methods(tmp_path, figures))
    found = read_study(tmp_path)
    with (tmp_path / "results.csv").open(encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file)]
    assert [(row["method"], row["seed"], row["frames"]) for row in rows[:2]] == [("none", "1", "3")] * 2
    assert float(rows[2]["objmc"]) == 1 / 3 and float(rows[2]["objmc_uncontrolled"]) == 30 and len(rows) == 4
    assert (rows[3]["objmc"], rows[3]["error"], rows[0]["first_frame_psnr"]) == ("", 'Error: a, "b"\nc', "")

    summary = Summary.model_validate_json((tmp_path / "summary.json").read_text())
    assert summary == said
    ours = summary.arms["SG-I2V"]
    assert ours.figures["objmc"] == mean(found, "SG-I2V", "objmc") and summary.reference == "SG-I2V"
    assert ours.by_category["single"]["ratio"] == ratio_to_plain(found, "SG-I2V")
    assert summary.targets == targets(found) and summary.conditions == "32 × 32 px, 3 frames, tracker ncc"
    assert (summary.videos, summary.failed, summary.unfinished) == (3, 1, 0)


def test_every_measure_says_how_it_was_taken(tmp_path):
    said = definitions(study_of(tmp_path, NONE), {})
    assert list(said) == ["ObjMC, px", "ObjMC ratio"] and said["ObjMC, px"].startswith("lower is better. Mean distance")
    assert "Tracker: ncc (MIT, part of this package). Source: MotionCtrl" in said["ObjMC, px"]
    figures = [{"objmc": 1.0, "background_drift": 2.0}, 1.0]
    said = definitions(read_study(methods(tmp_path, {"none": figures})), {})
    assert "Not taken of 1 videos; most often: the background is too plain." in said["Background drift, px"]


def test_numbers_are_written_as_people_write_them():
    assert plain_number(-0.04, 1, signed=True) == "0.0" and plain_number(-1.25, 1) == "−1.2"
    assert p_value(0.00001) == "< 0.0001" and p_value(0.0312) == "0.031"
    assert [within(name) for name in ("objmc", "first_frame_psnr", "bg_obj_ctd", "copies_left")] == [
        *("ObjMC", "first-frame PSNR", "BG-Obj CTD", "copies left behind")
    ]
