"""The figures that say where a half-trained toy stands."""

import json

import pytest
import torch
from typer.testing import CliRunner

from sgi2v_lab.toy.network.architecture import UNetShape
from sgi2v_lab.toy.training import compass
from sgi2v_lab.toy.training.attention import ShortAttention
from sgi2v_lab.toy.training.correspondence import moved_cells
from sgi2v_lab.toy.training.training import save_checkpoint
from sgi2v_lab.toy.training.unet_stage import Denoiser

SMALL = UNetShape((64, 32, 32, 32), (1, 1, 1, 1), (2, 1, 1, 1))


@pytest.fixture(scope="module")
def clips() -> list[compass.Example]:
    return compass.examples(2)


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    torch.manual_seed(0)
    denoiser = Denoiser(SMALL).eval()
    denoiser.unet.set_attn_processor(ShortAttention())
    return denoiser


def test_the_ceilings_are_in_order(clips):
    found = compass.ceilings(None, clips)
    assert 12 < found["fetched"] < found["coded"] < 40


def test_in_the_examples_something_moves(clips):
    for clip in clips:
        centres = (clip.box[:, :2] + clip.box[:, 2:]) / 2
        assert (centres[4:] - centres[0]).norm(dim=-1).min() >= compass.FAR - 1e-3
        assert moved_cells(clip.batch.origins[None])[0, 4:].any(dim=(1, 2)).all()


def test_one_step_is_worse_the_more_noise_there_is(clips, denoiser):
    little, much = (sum(compass.denoised(denoiser, None, clips, [sigma])) for sigma in (0.05, 18.0))
    assert little > much
    ceiling = compass.ceilings(None, clips)["coded"]
    assert compass.denoised(denoiser, None, clips, [1e-3]) == pytest.approx([ceiling] * 2, abs=6)


def test_several_steps_end_where_the_last_of_them_leads(clips, denoiser):
    """The answer does not depend on the noise of a level whose step goes nowhere."""
    once = compass.denoised(denoiser, None, clips, [2.8])
    assert compass.denoised(denoiser, None, clips, [2.8, 2.8]) == pytest.approx(once, abs=0.05)
    assert compass.denoised(denoiser, None, clips, [2.8, 1.0]) != pytest.approx(once, abs=0.05)


def test_matching_is_judged_within_one_cell(clips):
    origins = clips[0].batch.origins[None]
    position = (origins * 16 - 0.5).nan_to_num(0).round().clamp(0, 15).long()
    places = (position[..., 1] * 16 + position[..., 0]).flatten(2)
    right = torch.zeros(*places.shape, 256).scatter(-1, places[..., None], 1.0)[:, :, None]
    found, moved = compass._found(right, origins)
    assert found == moved > 0
    away = right.roll(5, dims=-1)
    assert compass._found(away, origins)[0] < 0.1 * moved


def test_the_command_writes_what_it_finds(denoiser, tmp_path):
    CliRunner().invoke(compass.app, [str(tmp_path), "--clips", "1"])
    weights = denoiser.state_dict()
    save_checkpoint(tmp_path / "unet.pt", average=weights, shape=SMALL.as_dict(), clips=7, step=1, elapsed=60.0)
    result = CliRunner().invoke(compass.app, [str(tmp_path), "--clips", "1", "--sigmas", "2.8"])
    assert result.exit_code == 0, result.output
    assert "7 clips; one step at sigma 2.8:" in result.output and "up 3 1:" in result.output
    only_code, everything = (json.loads(line) for line in (tmp_path / "compass.jsonl").read_text().splitlines())
    assert only_code.keys() == {"coded", "fetched"} and everything["clips"] == 7
    assert set(everything["matching at 2.8"]) >= {"down 0 0", "up 1 0", "up 3 1"}
