import copy
import ctypes
import dataclasses
import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from types import SimpleNamespace

import psutil
import pytest
import torch
from torch import nn

import sgi2v_lab.efficiency.memory
from sgi2v_lab.efficiency.memory import (
    MEMORY_MODES,
    SPARE,
    Memory,
    choose_mode,
    estimate_bytes,
    estimate_decoded_bytes,
    free_bytes,
)
from sgi2v_lab.errors import InputError
from sgi2v_lab.models.svd import StableVideoDiffusion
from sgi2v_lab.pipeline import generate
from sgi2v_lab.sampling import denoise, draw_noise
from sgi2v_lab.settings import Settings
from sgi2v_lab.trajectories.boxes import Trajectories, Trajectory
from tests.helpers.tiny import FRAMES, TINIER, conditioning, picture, tinier_model

CELLS = torch.tensor([[[2, 1, 6, 5], [4, 1, 8, 5], [7, 2, 11, 6]]])
QUICK = TINIER.replace(num_inference_steps=3, control_steps=(1, 1), iterations=2)


FULL_GPU = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB\nand much more")
FULL_MAC = RuntimeError("MPS backend out of memory (MPS allocated: 17 GiB, max allowed: 18 GiB)")
FULL_COMPUTER = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")


@contextmanager
def cramped(calls: set[int], error: Exception = FULL_GPU) -> Iterator[list[int]]:
    """The tinier model's UNet runs out of memory at some of its calls, counted from 1; yields the calls so far."""
    made = []

    def fail(*_):
        made.append(len(made) + 1)
        if made[-1] in calls:
            raise error

    handle = tinier_model().unet.register_forward_pre_hook(fail)
    try:
        yield made
    finally:
        handle.remove()


def run(mode: str = "fast"):
    noise = draw_noise(tinier_model(), QUICK, torch.Generator().manual_seed(5))
    memory = Memory(tinier_model(), QUICK, mode)
    start = lambda last: denoise(tinier_model(), conditioning(), noise, QUICK, CELLS, resume_from=last)  # noqa: E731
    return list(memory.run(start)), memory.mode


@pytest.fixture(scope="module")
def undisturbed():
    return run()[0]


# the UNet is called once in step 0, twice and once in step 1, and once in step 2
@pytest.mark.parametrize(
    ("calls", "error"),
    [
        *(({call}, FULL_GPU) for call in (1, 2, 3, 4)),
        *(({2}, error) for error in (FULL_MAC, FULL_COMPUTER, MemoryError("no more"))),
    ],
    ids=["step 0", "first iteration", "second iteration", "after control", "mac", "computer", "python"],
)
def test_out_of_memory_goes_on_from_the_same_step_in_the_next_mode(calls, error, undisturbed):
    said = re.escape(str(error).splitlines()[0][:30])
    with cramped(calls, error) as made, pytest.warns(RuntimeWarning, match=f"{said}.*same step.*'selective'"):
        steps, mode = run()
    assert mode == "selective"
    lost = {1: 0, 2: 0, 3: 1, 4: 2}[min(calls)]  # calls of the same step, which is made again
    assert len(made) == 6 + lost
    for step, wanted in zip(steps, undisturbed, strict=True):
        assert step.index == wanted.index
        assert step.losses == pytest.approx(wanted.losses, rel=1e-4)
        assert torch.allclose(step.latents, wanted.latents, rtol=1e-3, atol=1e-3 * wanted.latents.abs().max())


@pytest.mark.slow
def test_it_falls_as_far_as_it_must_and_no_further():
    with cramped({2, 3}), pytest.warns(RuntimeWarning) as said:
        _, mode = run()
    assert mode == "full"
    assert [name for name in MEMORY_MODES if repr(name) in "".join(str(w.message) for w in said)] == [
        "selective",
        "full",
    ]
    with cramped({2, 3, 4, 5}), pytest.raises(torch.OutOfMemoryError), pytest.warns(RuntimeWarning):
        run()
    with cramped({1}), pytest.raises(torch.OutOfMemoryError):
        run("offload")


def test_other_failures_are_not_taken_for_it():
    with cramped({1}, RuntimeError("shapes do not match")), pytest.raises(RuntimeError, match="shapes"):
        run()


@pytest.mark.parametrize("mode", MEMORY_MODES)
def test_all_modes_make_the_same_steps(mode, undisturbed):
    steps, after = run(mode)
    assert after == mode
    for step, wanted in zip(steps, undisturbed, strict=True):
        assert torch.allclose(step.latents, wanted.latents, rtol=1e-3, atol=1e-3 * wanted.latents.abs().max())


def test_decoding_takes_fewer_frames_at_a_time_where_it_must(monkeypatch):
    asked = []

    def decode(_model, latents, chunk):
        asked.append(chunk)
        if (chunk or len(latents)) > 1:
            raise FULL_GPU
        return torch.zeros(len(latents), 3, 8, 8)

    monkeypatch.setattr(sgi2v_lab.efficiency.memory, "decode_latents", decode)
    latents = torch.zeros(8, 4, 1, 1)
    with pytest.warns(RuntimeWarning, match="decoding [421] frames at a time"):
        assert len(Memory(tinier_model(), QUICK, "fast").decode(latents)) == 8
    assert asked == [8, 4, 2, 1]
    asked.clear()
    with pytest.warns(RuntimeWarning, match="decoding 1 frames"):
        Memory(tinier_model(), QUICK, "offload").decode(latents)
    assert asked == [2, 1]


@pytest.mark.parametrize(("fit", "chunk", "expected"), [(0, None, 1), (3, None, 3), (5, 4, 4), (20, None, 8)])
def test_decoding_takes_as_many_frames_at_a_time_as_fit(fit, chunk, expected, monkeypatch, recwarn):
    model, latents, asked = tinier_model(), torch.zeros(8, 4, 2, 4), []
    free = estimate_decoded_bytes(model, 2, 4) * (fit + 0.5) / SPARE
    monkeypatch.setattr(sgi2v_lab.efficiency.memory, "free_bytes", lambda _: int(free))

    def decode(_model, latents, chunk):
        asked.append(chunk)
        return torch.zeros(len(latents), 3, 16, 32)

    monkeypatch.setattr(sgi2v_lab.efficiency.memory, "decode_latents", decode)
    Memory(model, QUICK.replace(decode_chunk_size=chunk), "fast").decode(latents)
    assert asked == [expected]
    said = [str(warning.message) for warning in recwarn if "frames at a time" in str(warning.message)]
    assert bool(said) == (expected not in (chunk, len(latents)))
    assert all(f"decoding {expected} of 8 frames" in text and f"decode_chunk_size={expected}" in text for text in said)


def test_the_vae_of_svd_in_half_precision_is_estimated_in_single():
    half = dataclasses.replace(tinier_model(), vae=copy.deepcopy(tinier_model().vae).half())
    assert not half.vae.config.force_upcast
    least = estimate_decoded_bytes(half, 8, 16)
    assert estimate_decoded_bytes(tinier_model(), 8, 16) == 2 * least
    half.vae.register_to_config(force_upcast=True)
    assert estimate_decoded_bytes(half, 8, 16) == 2 * least


def test_parts_not_in_use_leave_the_gpu_and_come_back(monkeypatch):
    """With parts that only say where they are sent, since this test must run without a GPU."""
    sent = []

    class Part(nn.Module):
        device = torch.device("meta")

        config = SimpleNamespace(block_out_channels=(1, 1))
        dtype = torch.float32

        def __init__(self, name):
            super().__init__()
            self.name = name

        def to(self, device):
            sent.append((self.name, torch.device(device).type))

    model = object.__new__(StableVideoDiffusion)
    vars(model).update({name: Part(name) for name in ("vae", "unet", "image_encoder")})
    monkeypatch.setattr(sgi2v_lab.efficiency.memory, "decode_latents", lambda *_: torch.zeros(1, 3, 8, 8))
    monkeypatch.setattr(sgi2v_lab.efficiency.memory, "recomputing", lambda *_: nullcontext())
    monkeypatch.setattr(sgi2v_lab.efficiency.memory, "free_bytes", lambda _: 2**40)

    def run_in(mode):
        memory = Memory(model, QUICK, mode)
        list(memory.run(lambda _: iter([1])))
        denoised = sent.copy()
        memory.decode(torch.zeros(1, 4, 1, 1))
        decoded = sent[len(denoised) :]
        memory.restore()
        return denoised, decoded

    assert run_in("fast") == ([], [])
    sent.clear()
    denoised, decoded = run_in("offload")
    assert denoised == [("vae", "cpu"), ("image_encoder", "cpu")]
    assert decoded == [("unet", "cpu"), ("vae", "meta")]
    assert set(sent[4:]) == {("unet", "meta"), ("vae", "meta"), ("image_encoder", "meta")}


def test_the_mode_is_the_first_that_fits(monkeypatch):
    model = tinier_model()
    needs = [estimate_bytes(model, TINIER, mode) for mode in MEMORY_MODES]
    assert needs[0] > needs[1] > needs[2] >= needs[3] > 0
    for free, expected in ((needs[0] * 2, "fast"), (needs[1] * 1.2, "selective"), (needs[2] * 1.2, "full"), (0, None)):
        monkeypatch.setattr(sgi2v_lab.efficiency.memory, "free_bytes", lambda _device, free=free: int(free))
        assert choose_mode(model, TINIER) == (expected or "offload")
        assert choose_mode(model, TINIER, "selective") == "selective"
    monkeypatch.setattr(sgi2v_lab.efficiency.memory, "free_bytes", lambda _device: 10**15)
    assert choose_mode(model, TINIER) == "fast"


def test_the_estimate_grows_with_the_work():
    model, larger = tinier_model(), TINIER.replace(width=256, height=128)
    half = dataclasses.replace(model, unet=copy.deepcopy(model.unet).bfloat16())
    for mode in MEMORY_MODES:
        least = estimate_bytes(model, TINIER, mode)
        assert estimate_bytes(model, larger, mode) == pytest.approx(4 * least, rel=0.01)
        assert estimate_bytes(model, TINIER.replace(num_frames=2 * FRAMES), mode) == pytest.approx(2 * least, rel=0.01)
        assert estimate_bytes(model, TINIER.replace(layers=((1, 0),)), mode) < least
        assert estimate_bytes(half, TINIER, mode) < 0.7 * least


def test_what_is_free_is_some_of_what_there_is():
    assert 2**20 < free_bytes(torch.device("cpu")) < 2**50


def test_generate_takes_the_mode_and_refuses_others():
    model = tinier_model()
    with pytest.raises(InputError, match="'most'.*auto, fast, selective, full, offload"):
        generate(model, picture(), settings=QUICK, memory="most", progress=False)
    with pytest.raises(InputError, match="'most'"):
        Memory(model, QUICK, "most")
    small = Settings.replace(
        QUICK, num_inference_steps=2, control_steps=(1, 1), decode_chunk_size=2
    )  # as offload decodes
    videos = [generate(model, picture(), settings=small, memory=m, progress=False).video for m in ("auto", "offload")]
    assert torch.equal(*videos)


def own_bytes() -> int:
    """Resident memory that this process alone has, less what the C library keeps for later."""
    gc.collect()
    with suppress(OSError, AttributeError, TypeError):  # only the GNU C library can be asked for it
        ctypes.CDLL(None).malloc_trim(0)
    held = psutil.Process().memory_info()
    return held.rss - getattr(held, "shared", 0)  # pages of files come and go as the system likes


@pytest.mark.slow
def test_twelve_runs_in_one_process_take_no_more_memory_than_four():
    """Neither tensors that somebody still holds, nor memory that nobody gives back."""
    boxes = Trajectories((128, 64), (Trajectory.move((16, 8, 48, 40), by=(40, 8)),))
    short = QUICK.replace(num_inference_steps=2, iterations=1)
    seen = []
    for number in range(1, 13):
        result = generate(tinier_model(), picture(), boxes, short, seed=number, trace=("latents",), progress=False)
        assert len(result.trace) == short.num_inference_steps
        del result
        if number in (4, 12):
            memory = own_bytes()
            seen.append((sum(isinstance(each, torch.Tensor) for each in gc.get_objects()), memory))
    (few, early), (many, late) = seen
    assert many == few
    assert late - early < 12 * 2**20  # one run takes more than that while it goes on
