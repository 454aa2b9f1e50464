"""The paper's claims: matching on made-up features, claims on made-up figures, and one run of all on a tiny model."""

import json

import pytest
import torch

import sgi2v_lab.evaluation.experiments.paper_claims as claims
from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.experiments.paper_claims import check_claims, variants
from sgi2v_lab.evaluation.metrics.matching import MatchingTask, matching_accuracy
from sgi2v_lab.evaluation.scenes.scenes import benchmark_scenes
from sgi2v_lab.models.load import load_model
from sgi2v_lab.settings import Settings
from tests.helpers.tiny import FRAMES, HEIGHT, SETTINGS, WIDTH, tiny_model, tiny_pipeline


def moving_square(frames=3, h=6, w=8):
    """Features 1 inside a 2 x 2 square that moves right by a cell per frame, and its cells; everything is distinct."""
    features = torch.zeros(frames, h * w + 4, h, w)
    cells = torch.tensor([[[f, 1, f + 2, 3] for f in range(frames)]])
    for f, (x0, y0, x1, y1) in enumerate(cells[0].tolist()):
        features[f, : h * w] = torch.eye(h * w).view(h * w, h, w)
        features[f, :, y0:y1, x0:x1] = 0
        features[f, h * w :, y0:y1, x0:x1] = torch.eye(4).view(4, 2, 2)
    return features, cells


def test_features_that_move_with_the_box_all_match():
    features, cells = moving_square()
    right, chance = matching_accuracy(features, cells)
    assert right == 1 and chance == pytest.approx(4 / 48)


def test_features_that_stay_match_only_where_the_boxes_overlap():
    still = torch.eye(48).view(1, 48, 6, 8).expand(3, -1, -1, -1)
    _, cells = moving_square()
    right, _ = matching_accuracy(still, cells)
    assert right == pytest.approx(
        (0.5 + 0.0) / 2
    )  # two of four cells are in the box of frame 1, none in that of frame 2


def test_length_of_features_does_not_matter_but_direction_does():
    features, cells = moving_square()
    assert matching_accuracy(features * torch.rand(3, 1, 6, 8).add(0.1), cells)[0] == 1
    assert matching_accuracy(features.flip(0), cells)[0] < 1


def test_boxes_that_do_not_fit_are_refused():
    features, cells = moving_square()
    with pytest.raises(InputError, match="2 frames"):
        matching_accuracy(features, cells[:, :2])
    with pytest.raises(InputError, match="nothing to match"):
        matching_accuracy(features, cells + 100)


def test_a_matching_task_measures_a_part():
    task = MatchingTask(benchmark_scenes(["single"], 1)[0], 1, "aligned", SETTINGS, FRAMES)
    result, video = task.run(tiny_model())
    assert 0 <= result["accuracy"] <= 1 and 0 < result["chance"] < 1 and result["sigma"] > 0 and video is None
    assert task.run(tiny_model()) == (result, None)


def test_variants_differ_in_one_thing_and_are_valid():
    base = SETTINGS.replace(num_inference_steps=20, control_steps=(1, 9))
    for rows in variants(tiny_model(), base).values():
        made = [base.replace(**change) for change in rows.values()]
        assert len({json.dumps(each.as_dict()) for each in made}) == len(made)
        for each in made:
            changed = {name for name, value in each.as_dict().items() if value != base.as_dict()[name]}
            assert len(changed) <= 1
            assert each.control_steps[1] - each.control_steps[0] == 8
        assert base in made or rows.keys() >= {"Gaussian"}
    assert variants(tiny_model(), Settings())["steps"]["5 to 20"] == {"control_steps": (5, 20)}


@pytest.mark.parametrize(
    ("more", "less", "holds"),
    [
        ([5, 6, 7, 8], [1, 2, 2, 3], "yes"),
        ([1, 2, 2, 3], [5, 6, 7, 8], "no"),
        ([1, 9, 1, 9], [9, 1, 8, 2], "undecided"),
    ],
)
def test_a_claim_holds_where_its_interval_lies_on_its_side(more, less, holds):
    named = lambda values: {f"scene-{k}": float(v) for k, v in enumerate(values)}  # noqa: E731
    found = claims._claim("It is so.", "px", named(more), named(less) | {"elsewhere": 100.0})
    assert found["holds"] == holds
    assert found["difference"]["value"] == pytest.approx((sum(more) - sum(less)) / 4)
    assert claims._claim("It is so.", "px", named(more), {})["holds"] == "not measured"


def test_check_claims_writes_tables_and_figures_and_goes_on_where_it_was(tmp_path, monkeypatch):
    folder, out = tmp_path / "tiny", tmp_path / "out"
    tiny_pipeline().save_pretrained(folder)
    settings = {"width": WIDTH, "height": HEIGHT, "num_inference_steps": 2, "control_steps": [0, 0], "iterations": 1}
    (folder / "settings.json").write_text(json.dumps(settings))

    def few(*of):
        return {
            name: dict(list(rows.items())[: 2 if name == "features" else 1]) for name, rows in variants(*of).items()
        }

    monkeypatch.setattr(claims, "variants", few)
    report = check_claims(out, str(folder), scenes=1, device="cpu")
    assert set(report["tables"]) == {"features", "layers", "steps", "cutoff", "gaussian"}
    assert [row["label"] for row in report["tables"]["features"]] == ["aligned", "self-attention"]
    assert all(row["scenes"] == 1 for rows in report["tables"].values() for row in rows)
    assert report["claims"][1]["holds"] == "undecided", "one scene decides nothing"
    assert {row["features"] for row in report["matching"]} == {"aligned", "self-attention", "temporal", "block"}
    assert json.loads((out / "claims.json").read_text())["claims"][0]["claim"].startswith("Aligned features match")
    text = (out / "claims.md").read_text()
    assert "| aligned |" in text and "Aligned features give better control" in text
    assert (out / "claims.png").stat().st_size > 1000 and (out / "matching.png").stat().st_size > 1000

    before = {path.name: path.stat().st_mtime_ns for path in (out / "tasks").iterdir()}
    assert check_claims(out, str(folder), scenes=1, device="cpu")["tables"] == report["tables"]
    assert {path.name: path.stat().st_mtime_ns for path in (out / "tasks").iterdir()} == before
    assert load_model(str(folder), "cpu").settings.num_inference_steps == 2
