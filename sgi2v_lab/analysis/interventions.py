"""What depends on a head, or on whose keys it sees? Attention changed while the network runs.

Everything that runs meanwhile sees the change: a pass that records features, `denoise`, `generate`. Compare matching
or the video with those of the untouched network.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from torch import nn

from sgi2v_lab.errors import InputError
from sgi2v_lab.features import attend
from sgi2v_lab.models.model import Layer, Model, Tokens

__all__ = ["intervene"]


@contextmanager
def intervene(
    model: Model,
    *,
    mute: Mapping[Layer, Sequence[int]] | None = None,
    swap: Mapping[Layer, int] | None = None,
    first_frame_bias: Mapping[Layer, float] | None = None,
) -> Iterator[None]:
    """While open, some layers attend otherwise. Layers that are not named compute to the bit what they always do.

    Features recorded in a changed layer itself ("self-attention", "query", ...) are computed from what it is given, and
    so do not show its own change; its "block" does, and so do all later layers.

    Args:
        model: from `load_model`; of an inspection, `inspection.model`.
        mute: heads of spatial self-attention, by layer, whose output is zero before the layer's output projection.
        swap: {layer: frame}: in spatial self-attention all frames see that frame's keys and values in place of their
            own. Frame 0 makes the paper's aligned attention (section 3.2) part of the network.
        first_frame_bias: {layer: b}: b, in nats, is added to the logits of frame 0's keys in temporal self-attention,
            or in that which spans space and time; -inf hides that frame.

    Raises:
        InputError: a layer, head or frame that the model does not have. A frame is checked in the pass.
    """
    swapped = {layer: {"frame": frame} for layer, frame in (swap or {}).items()}
    biased = {layer: {"bias": bias} for layer, bias in (first_frame_bias or {}).items()}
    if "temporal" not in model.feature_kinds:  # every layer's attention sees all frames
        swapped = {layer: {**swapped.get(layer, {}), **biased.get(layer, {})} for layer in {**swapped, **biased}}
        biased = {}
    with ExitStack() as changed:
        for where, muted, others in (("spatial", mute or {}, swapped), ("temporal", {}, biased)):
            for layer in {**muted, **others}:
                model.check_layers((layer,), model.all_layers)
                silent, heads = muted.get(layer, ()), range(model.heads(layer, where))
                if wrong := [head for head in silent if head not in heads]:
                    raise InputError(f"layer {layer} has no {where} head {wrong[0]}: expected 0..{len(heads) - 1}")
                function = partial(_changed, muted=silent, **others.get(layer, {}))
                changed.enter_context(model.attend_with(layer, function, where))
        yield


def _changed(
    attention: nn.Module,
    hidden: Tokens,
    grid: tuple[int, int, int],
    _usual: Callable[[], Tokens],
    *,
    muted: Sequence[int] = (),
    frame: int | None = None,
    bias: float = 0.0,
) -> Tokens:
    """The layer's output, its projection included."""
    source = hidden
    if frame is not None:
        if not 0 <= frame < grid[0]:
            raise InputError(f"there is no frame {frame} to take keys and values from: expected 0..{grid[0] - 1}")
        videos = hidden.reshape(-1, grid[0], grid[1] * grid[2], hidden.shape[-1])
        source = videos[:, frame : frame + 1].expand_as(videos).reshape(hidden.shape)
    first = None
    if bias:
        first = torch.zeros(1, source.shape[1], dtype=hidden.dtype, device=hidden.device)
        first[:, : source.shape[1] // grid[0]] = bias
    out = attend(attention.heads, attention.to_q(hidden), attention.to_k(source), attention.to_v(source), bias=first)
    silent = torch.tensor([[head in muted] for head in range(attention.heads)], device=out.device)
    out = out.unflatten(-1, (attention.heads, -1)).masked_fill(silent, 0.0).flatten(-2)
    return attention.to_out[0](out)
