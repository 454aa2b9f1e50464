"""Wan at full size, 480 x 832, in whole runs; and a small one, of which every mode and call can be afforded."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from transformers import UMT5Config, UMT5EncoderModel

import sgi2v_lab as sg
from sgi2v_lab.bench.networks import network
from sgi2v_lab.bench.stages import count_memory, on_meta
from sgi2v_lab.efficiency.memory import MEMORY_MODES
from sgi2v_lab.explore import inspect_run
from sgi2v_lab.models.wan import Wan
from tests.helpers.remembered_shapes import RememberedShapes
from tests.helpers.tiny_wan import FRAMES, SETTINGS, WAYS, text_parts, tiny_wan_pipeline
from tests.rehearsal.conftest import given, on_device, parts

pytestmark = pytest.mark.slow

GB = 1e9
SHORT = {"num_inference_steps": 2, "control_steps": (1, 1), "iterations": 1}


@pytest.fixture(params=[*WAYS, "two transformers"])
def small(request):
    two = {"way": "channels", "experts": True, "picture": True}
    pipeline = tiny_wan_pipeline(**(two if request.param == "two transformers" else {"way": request.param}))
    model = on_meta(Wan.from_pipeline(pipeline, "small", SETTINGS))
    for name, part in model.networks.items():
        if name != "vae":
            nn.Module.to(part, torch.bfloat16)  # without diffusers' remark about precision
    return replace(model, settings=SETTINGS.replace(**SHORT))


@pytest.mark.parametrize("mode", MEMORY_MODES)
def test_a_small_one_runs_in_every_mode(mode, small, note):
    device = on_device(small)
    with device.in_use():
        run = sg.generate(*given(small, FRAMES), memory=mode, trace=("latents", "optimization"), progress=False)
        assert len(run.losses[1]) == 1 and run.video.shape[0] == FRAMES
        if mode == "fast":  # it plays no part here
            inspection = inspect_run(small, run)
            for kind in small.feature_kinds:
                sg.extract_features(small, inspection.latents[1].to("meta"), 0.8, inspection.conditioning, (1,), kind)
    assert {tensor.device.type for tensor in parts(small)} == {"meta"}
    assert not any(place.startswith(("features", "optimize", "loss")) for place in device.waits), device.waits
    note(f"generate, a small Wan, {mode}")


def with_text_encoder(model: Wan) -> Wan:
    """UMT5-XXL's shapes, 5.7 billion parameters, with a tokenizer that knows a few words."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(model.dtype)
    try:
        with torch.device("meta"):
            sizes = {"d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64}
            encoder = UMT5EncoderModel(UMT5Config(vocab_size=256384, **sizes)).eval().requires_grad_(False)
    finally:
        torch.set_default_dtype(before)
    settings = model.settings.replace(text="a ball moves", **SHORT)
    return replace(model, text_encoder=encoder, tokenizer=text_parts()["tokenizer"], settings=settings)


@pytest.mark.parametrize("name", ["wan-fun-1.3b", "wan-ti2v-5b"])
def test_a_controlled_video_at_full_size(name, note):
    """Of nine frames, from text to pixels; what a control step takes is what is counted, to 3%."""
    model = with_text_encoder(network(name, "meta", "bf16"))
    with RememberedShapes():
        counts = count_memory(model, model.settings.replace(num_frames=9), boxes=2)
    weights = {part: sum(t.nbytes for t in module.parameters()) for part, module in model.networks.items()}
    note(f"{name} at 480 x 832 with 9 frames; weights {', '.join(f'{k} {v / GB:.2f} GB' for k, v in weights.items())}")
    for mode in ("fast", "offload"):  # which recomputes as "full" does
        device = on_device(model)
        with device.in_use():
            steps = sg.generate_steps(*given(model, 9), memory=mode)
            peaks = {}
            for stage in ("encoding and a plain step", "control step", "decoding"):
                device.forget()
                next(steps, None)
                peaks[stage] = device.peak
        held = weights["transformer"] if mode == "offload" else sum(weights.values())
        counted = held + counts[f"control step, {'full' if mode == 'offload' else mode}"]
        note(f"{name} {mode:8} " + ", ".join(f"{stage} {peak / GB:.2f} GB" for stage, peak in peaks.items()))
        assert peaks["control step"] == pytest.approx(counted, rel=0.03)
