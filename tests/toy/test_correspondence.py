"""The teacher for attention: right when attention finds things again, and it teaches that."""

import math

import pytest
import torch
from diffusers.models.attention_processor import Attention

from sgi2v_lab.toy.training.attention import MatchingAttention, ShortAttention
from sgi2v_lab.toy.training.correspondence import (
    CELLS,
    MATCHED,
    Correspondence,
    correspondence_loss,
    displacement_loss,
    moved_cells,
)
from sgi2v_lab.toy.training.unet_stage import Denoiser, denoising_loss, held_out_batch
from sgi2v_lab.toy.world.origins import true_origins
from sgi2v_lab.toy.world.random_scenes import sample_scene


def here(frames: int = 3) -> torch.Tensor:
    middles = (torch.arange(CELLS) + 0.5) / CELLS
    return torch.stack(torch.meshgrid(middles, middles, indexing="xy"), dim=-1).repeat(1, frames, 1, 1, 1)


def pointing(places: torch.Tensor, n: int) -> torch.Tensor:
    """Attention of one head that is all at `places` (clips, frames, n)."""
    return torch.zeros(*places.shape, n).scatter(-1, places[..., None], 1.0)[:, :, None]


@pytest.mark.parametrize("side", [4, 8, 16])
def test_attention_that_knows_nothing_costs_the_logarithm_of_the_places(side):
    blind = torch.full((1, 3, 2, side**2, side**2), 1 / side**2)
    assert correspondence_loss(blind, here()).item() == pytest.approx(math.log(side**2), rel=1e-4)


def test_attention_that_is_right_costs_nothing():
    n, origins = CELLS**2, here()
    origins[:, 1:, :, 4:] = origins[:, 1:, :, :-4].clone()  # all of it came four cells from the left
    places = torch.arange(n).view(CELLS, CELLS).repeat(1, 3, 1, 1)
    places[:, 1:, :, 4:] = places[:, 1:, :, :-4].clone()
    assert correspondence_loss(pointing(places.flatten(2), n), origins) < 1e-3
    still = torch.arange(n).repeat(1, 3, 1)
    assert correspondence_loss(pointing(still, n), origins) > 10


def test_an_origin_between_places_belongs_to_its_neighbours():
    origins = here(1)
    origins[..., 0] = (origins[..., 0] + 0.5 / CELLS).clamp(max=1 - 0.5 / CELLS)
    n = CELLS**2
    shared = torch.zeros(n, n)
    for place in range(n):
        right = min(place % CELLS + 1, CELLS - 1) + place // CELLS * CELLS
        shared[place, place] = shared[place, right] = 0.5 if right != place else 1.0
    loss = correspondence_loss(shared[None, None, None], origins).item()
    assert loss == pytest.approx(math.log(2) * 15 / 16, rel=0.02)  # the last column has only one neighbour


def test_what_has_no_origin_does_not_count():
    origins = here()
    places = torch.arange(CELLS**2).repeat(1, 3, 1)
    wrong = places.clone()
    wrong[:, 2] = 0
    assert correspondence_loss(pointing(wrong, CELLS**2), origins) > 1
    origins[:, 2] = torch.nan
    assert correspondence_loss(pointing(wrong, CELLS**2), origins) < 1e-3
    assert correspondence_loss(pointing(wrong, CELLS**2), torch.full_like(origins, torch.nan)) == 0


def test_what_moved_counts_more():
    origins = true_origins(sample_scene(1), CELLS)[None]
    moved = ((origins - here(8)).norm(dim=-1) > 0.5 / CELLS).flatten(2)
    still = torch.arange(CELLS**2).repeat(1, 8, 1)
    asleep = correspondence_loss(pointing(still, CELLS**2), origins).item()
    share = moved.float().sum() / (moved + 0.1 * ~moved).sum()
    assert asleep > 20 * share.item() > 0  # of a sprite alone, most of the picture stands still


def test_corners_are_told_apart():
    """The four cells around an origin belong to one head each, each by its share."""
    n, origins = CELLS**2, here(1)
    origins = origins + 0.25 / CELLS  # a quarter of a cell to the right, and down
    column, row = torch.arange(n) % CELLS, torch.arange(n) // CELLS
    heads = [(row + down).clamp(max=15) * CELLS + (column + right).clamp(max=15) for down in (0, 1) for right in (0, 1)]
    apart = torch.cat([pointing(places[None, None], n) for places in heads], dim=2)
    middle = (torch.arange(n)[None, None] % CELLS < 15) & (torch.arange(n) < n - CELLS)  # the rest has fewer neighbours
    origins = torch.where(middle.view(1, 1, CELLS, CELLS, 1), origins, torch.nan)
    assert correspondence_loss(apart, origins, corners=True) < 1e-3
    assert correspondence_loss(apart[:, :, [1, 0, 2, 3]], origins, corners=True) > 5
    mixed = correspondence_loss(apart, origins).item()
    assert mixed == pytest.approx(math.log(4), rel=1e-3)  # as likely as if it were one head that shares evenly
    assert correspondence_loss(apart[:, :, :2], origins, corners=True) == correspondence_loss(apart[:, :, :2], origins)


def test_moved_cells_are_seen_elsewhere():
    origins = here(2)
    origins[:, 1, :3] += 1 / CELLS
    origins[:, 1, 5] = torch.nan
    assert moved_cells(origins).sum() == 3 * CELLS
    assert moved_cells(origins)[0, 1, :3].all()


@pytest.mark.parametrize("side", [8, 16])
def test_the_way_is_read_in_cells(side):
    origins = here(2)
    assert displacement_loss(torch.zeros(1, 2, side, side, 2), origins) == 0
    origins[:, 1, ..., 0] -= 2 / CELLS
    told = torch.zeros(1, 2, side, side, 2)
    wrong = displacement_loss(told, origins).item()
    told[:, 1, ..., 0] = -2
    assert displacement_loss(told, origins) < 1e-6 < wrong
    assert displacement_loss(told, torch.full_like(origins, torch.nan)) == 0


def test_matching_attention_changes_nothing_and_looks_at_the_first_frame():
    torch.manual_seed(0)
    attention = Attention(query_dim=32, heads=2, dim_head=16)
    x = torch.randn(2 * 3, 9, 32)  # two clips of three frames
    processor = MatchingAttention(3)
    attention.set_processor(processor)
    mine = attention(x)
    attention.set_processor(ShortAttention())
    assert torch.equal(mine, attention(x))
    found = processor.attention
    assert found.shape == (2, 3, 2, 9, 9)
    q, k = (f(x).view(2, 3, 9, 2, 16) for f in (attention.to_q, attention.to_k))
    expected = torch.einsum("cfphd,cqhd->cfhpq", q, k[:, 0]).mul(0.25).softmax(-1)
    assert torch.allclose(found, expected, atol=1e-5)
    own = MatchingAttention(3, aligned=False)
    attention.set_processor(own)
    assert torch.equal(mine, attention(x))
    expected = torch.einsum("cfphd,cfqhd->cfhpq", q, k).mul(0.25).softmax(-1)
    assert torch.allclose(own.attention, expected, atol=1e-5)


@pytest.mark.slow
def test_a_few_steps_teach_attention_where_things_came_from():
    torch.manual_seed(0)
    denoiser = Denoiser()
    denoiser.unet.set_attn_processor(ShortAttention())
    teacher = Correspondence(denoiser.unet, 8, denoiser.displacement)
    assert len(teacher.processors) == len(MATCHED)
    batch = held_out_batch(1)
    optimizer = torch.optim.AdamW(denoiser.parameters(), 1e-3)
    losses = []
    for _ in range(6):
        denoising_loss(denoiser, batch, torch.tensor([0.3]), torch.randn_like(batch.latents), torch.ones(1))
        loss = teacher.loss(batch.origins)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    teacher.stop()
    with torch.no_grad():
        denoising_loss(denoiser, batch, torch.tensor([0.3]), torch.randn_like(batch.latents), torch.ones(1))
    assert teacher.hidden is None and all(p.attention is None for p in teacher.processors)
