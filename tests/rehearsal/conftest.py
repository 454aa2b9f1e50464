"""Networks without weights on a device that is not there, and what the rehearsals covered, listed at their end."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from sgi2v_lab.bench.networks import network
from sgi2v_lab.bench.stages import on_meta
from sgi2v_lab.models.model import Model
from sgi2v_lab.models.svd import StableVideoDiffusion
from sgi2v_lab.pipeline import Run, generate
from sgi2v_lab.trajectories.boxes import Trajectories, Trajectory
from tests.helpers.tiny import TINIER, tinier_pipeline
from tests.rehearsal.device import Device


@pytest.fixture
def note(record_property) -> Callable[..., None]:
    """Takes names of what a test rehearsed; all are listed when the tests have ended."""
    return lambda *names: record_property("rehearsed on a device that is not there", ", ".join(names))


def boxes(width: int, height: int) -> Trajectories:
    """Two, of which one leaves the picture and one grows."""
    w, h = width / 8, height / 8
    leaving = Trajectory.move((4 * w, h, 7 * w, 4 * h), by=(3 * w, 0))
    growing = Trajectory.move((w, 4 * h, 3 * w, 6 * h), by=(w, h), scale=1.5)
    return Trajectories((width, height), (leaving, growing))


def parts(model: Model) -> list[torch.Tensor]:
    """Its weights."""
    return [tensor for part in model.networks.values() for tensor in (*part.parameters(), *part.buffers())]


def given(model: Model, frames: int, **changes) -> tuple:
    """What `generate` is given."""
    settings = model.settings.replace(num_frames=frames, **changes)
    picture = torch.zeros(3, settings.height, settings.width)
    return model, picture, boxes(settings.width, settings.height), settings


def on_device(model: Model, capacity: float = 1e15) -> Device:
    """A device that holds the model's weights."""
    device = Device(capacity)
    device.hold(*parts(model))
    return device


@pytest.fixture(scope="session")
def svd() -> Model:
    """Stable Video Diffusion at full size: 1.5 billion parameters, 1024 x 576 px, fp16."""
    model = network("svd", "meta", "fp16")
    settings = model.settings.replace(num_inference_steps=2, control_steps=(1, 1), iterations=1)
    return replace(model, settings=settings)


@pytest.fixture(scope="session")
def small() -> Model:
    """SVD's layers at three levels, 3 frames of 128 x 64 px, in fp16, with a VAE that needs fp32."""
    model = on_meta(StableVideoDiffusion.from_pipeline(tinier_pipeline(), "small", TINIER))
    model.vae.register_to_config(force_upcast=True)
    model.settings = TINIER.replace(num_inference_steps=3, control_steps=(1, 1), iterations=1)
    for part in model.networks.values():
        part.half()
    return model


@pytest.fixture
def device(small):
    """In use, with the small model on it; all of it is there again at the end."""
    with (device := on_device(small)).in_use():
        yield device
    assert {tensor.device.type for tensor in parts(small)} == {"meta"}


@pytest.fixture(scope="session")
def run(small) -> Run:
    """A controlled one that kept everything."""
    settings = small.settings
    with Device().in_use():
        picture = torch.rand(3, settings.height, settings.width)
        trajectories = boxes(settings.width, settings.height)
        return generate(small, picture, trajectories, trace=("latents", "denoised", "optimization"), progress=False)
