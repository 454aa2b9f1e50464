import dataclasses
import warnings
from itertools import pairwise

import numpy as np
import PIL.Image
import pytest
import torch
from jaxtyping import config as jaxtyping_config

from sgi2v_lab.baselines.registry import METHODS
from sgi2v_lab.errors import InputError
from sgi2v_lab.explore import inspect_run
from sgi2v_lab.models.load import TOY, load_model
from sgi2v_lab.models.svd import StableVideoDiffusion
from sgi2v_lab.pipeline import Run, generate
from sgi2v_lab.sampling import denoise
from sgi2v_lab.settings import CONTROL_FIELDS, Settings
from sgi2v_lab.trajectories.boxes import Trajectories, Trajectory
from tests.helpers.tiny import FRAMES, HEIGHT, WIDTH, picture, tinier_model, tinier_pipeline, tiny_model, tiny_pipeline
from tests.helpers.tiny import SETTINGS as TINY
from tests.helpers.tiny import TINIER as SETTINGS

MOVING = Trajectories(
    (WIDTH, HEIGHT), (Trajectory.move((16, 8, 48, 40), by=(48, 8)), Trajectory.pin((80, 32, 128, 64)))
)
QUICK = SETTINGS.replace(num_inference_steps=2, control_steps=(0, 0), iterations=1)
SMALL = {"width": WIDTH // 2, "height": HEIGHT // 2}  # where a picture and boxes are made smaller alike
ONE_STEP = SETTINGS.replace(num_inference_steps=1, control_steps=(0, 0), iterations=1)
LONGER = SETTINGS.replace(num_inference_steps=3, control_steps=(1, 2), iterations=1)


def as_pil(tensor: torch.Tensor) -> PIL.Image.Image:
    return PIL.Image.fromarray((tensor.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))


def run(trajectories=None, settings=SETTINGS, image=None, model=None, **options) -> Run:
    image = picture() if image is None else image
    return generate(model or tinier_model(), image, trajectories, settings, progress=False, **options)


@pytest.fixture(scope="module")
def plain():
    return run(trace=("latents", "denoised"))


@pytest.fixture(scope="module")
def controlled():
    return run(MOVING, trace=("latents", "denoised", "optimization"))


def diffusers_own(pipeline, image: PIL.Image.Image, settings, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The last latents and the video."""
    latents = []

    def look(_pipeline, _step, _timestep, tensors):
        latents.append(tensors["latents"][0])
        return tensors

    frames = pipeline(
        image,
        height=settings.height,
        width=settings.width,
        num_frames=settings.num_frames,
        num_inference_steps=settings.num_inference_steps,
        min_guidance_scale=settings.min_guidance_scale,
        max_guidance_scale=settings.max_guidance_scale,
        fps=settings.fps,
        motion_bucket_id=settings.motion_bucket_id,
        noise_aug_strength=settings.noise_aug_strength,
        decode_chunk_size=settings.decode_chunk_size,
        generator=torch.Generator().manual_seed(seed),
        callback_on_step_end=look,
        output_type="pt",
    ).frames
    return latents[-1], frames[0]


def frozen(pipeline):
    """Torch chooses the order of some products by whether a weight requires gradients, so theirs must not either."""
    for part in (pipeline.vae, pipeline.unet, pipeline.image_encoder):
        part.requires_grad_(False)
    return pipeline


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"max_guidance_scale": 1.0},
        {"min_guidance_scale": 2.0, "fps": 12, "motion_bucket_id": 30, "noise_aug_strength": 0.3},
        {"num_frames": 5, "decode_chunk_size": 2, "width": 64, "height": 128},
    ],
)
def test_without_control_it_is_diffusers_pipeline_to_the_bit(changes):
    settings = TINY.replace(num_inference_steps=2, control_steps=(0, 0), **changes)
    tensor = picture(3, settings.width, settings.height)
    latents, video = diffusers_own(frozen(tiny_pipeline()), as_pil(tensor), settings, 42)
    for image in (tensor,) if changes else (as_pil(tensor), tensor):
        mine = run(None, settings, image, tiny_model(), seed=42)
        assert torch.equal(mine.latents, latents)
        assert torch.equal(mine.video, video)
        assert torch.equal(mine.image, tensor)


def test_it_is_diffusers_pipeline_but_for_rounding_where_that_could_be_trained(plain):
    latents, _ = diffusers_own(tinier_pipeline(), as_pil(picture()), SETTINGS, 817)
    assert torch.allclose(plain.latents, latents, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_in_half_precision_too():
    settings = SETTINGS.replace(num_inference_steps=2, control_steps=(0, 0), iterations=1)
    model = StableVideoDiffusion.from_pipeline(tinier_pipeline().to(torch.bfloat16), "half", settings)
    mine = generate(model, picture(), seed=1, progress=False)
    latents, video = diffusers_own(frozen(tinier_pipeline()).to(torch.bfloat16), as_pil(picture()), settings, 1)
    assert torch.equal(mine.latents, latents.float())
    assert torch.allclose(mine.video, video.float(), atol=0.01)
    guided = generate(model, picture(), MOVING, seed=1, progress=False)
    assert guided.video.isfinite().all()
    assert not torch.equal(guided.latents, mine.latents)
    whole = run(MOVING, settings, seed=1)
    assert (guided.latents - whole.latents).norm() < 0.1 * whole.latents.norm()
    assert guided.losses[0] == pytest.approx(whole.losses[0], rel=0.1)


@pytest.mark.slow
def test_the_precision_is_a_setting():
    """A model loaded in full precision makes what the same one loaded in half makes, and stays as it is."""
    settings = ONE_STEP.replace(**SMALL)
    half = StableVideoDiffusion.from_pipeline(tinier_pipeline().to(torch.bfloat16), "half", settings)
    full = StableVideoDiffusion.from_pipeline(frozen(tinier_pipeline()), "full", settings)
    asked = settings.replace(precision="bf16")
    for path in (MOVING, None):
        expected = generate(half, picture(), path, settings, seed=1, progress=False)
        made = generate(full, picture(), path, asked, seed=1, progress=False)
        assert torch.equal(made.latents, expected.latents)
        assert torch.equal(made.video, expected.video)
    method = generate(full, picture(), MOVING, asked, method="none", seed=1, progress=False)
    assert torch.equal(method.video, expected.video)
    assert full.dtype == torch.float32
    assert full.in_precision("bf16") is full.in_precision("bf16"), "the copy is made once"
    assert full.in_precision("own") is full.in_precision("fp32") is full
    assert half.in_precision("fp32").dtype == torch.float32


@pytest.mark.slow
@pytest.mark.skipif(not TOY.is_dir(), reason="the toy's trained checkpoint is not in this folder")
def test_the_toy_is_diffusers_pipeline_to_the_bit():
    from diffusers import StableVideoDiffusionPipeline

    toy = load_model("toy", device="cpu")
    settings = toy.settings.replace(num_inference_steps=2, control_steps=(0, 0), num_frames=4, width=64, height=64)
    tensor = picture(0, settings.width, settings.height)
    mine = generate(toy, tensor, None, settings, seed=7, progress=False)
    pipeline = frozen(StableVideoDiffusionPipeline.from_pretrained(TOY, dtype=torch.float32))
    pipeline.set_progress_bar_config(disable=True)
    latents, video = diffusers_own(pipeline, as_pil(tensor), settings, 7)
    assert torch.equal(mine.latents, latents)
    assert torch.equal(mine.video, video)


def test_what_a_run_holds(plain, controlled):
    for each in (plain, controlled):
        assert each.video.shape == (FRAMES, 3, HEIGHT, WIDTH)
        assert each.video.dtype == torch.float32
        assert 0 <= each.video.min() <= each.video.max() <= 1
        assert each.latents.shape == (FRAMES, 4, HEIGHT // 8, WIDTH // 8)
        assert torch.equal(each.image, picture())
        assert (each.settings, each.model, each.seed) == (SETTINGS, "tiny", 817)
        assert len(each.sigmas) == 4
        assert each.sigmas == sorted(each.sigmas, reverse=True)
        assert set(each.seconds) == {"encode", "denoise", "decode"}
        assert min(each.seconds.values()) > 0
    assert plain.boxes is None
    assert plain.losses == {}
    assert torch.equal(controlled.boxes, MOVING.boxes(FRAMES))
    assert {step: len(losses) for step, losses in controlled.losses.items()} == {1: 2, 2: 2}


@pytest.mark.slow
def test_the_losses_fall_within_each_guided_step():
    settings = SETTINGS.replace(num_inference_steps=3, iterations=4, learning_rate=0.02, scale_lr_by_sigma=True)
    guided = run(MOVING, settings)
    for losses in guided.losses.values():
        assert losses[-1] < losses[0]


@pytest.mark.slow
def test_a_seed_is_a_video_to_the_bit(plain, controlled):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    again = run(MOVING)
    assert torch.equal(torch.rand(2), expected)  # the global generator was neither used nor changed
    assert torch.equal(again.video, controlled.video)
    assert torch.equal(again.latents, controlled.latents)
    assert again.losses == controlled.losses
    assert not torch.equal(run(seed=818).video, plain.video)


def test_control_changes_nothing_before_the_first_guided_step(plain, controlled):
    assert torch.equal(plain.trace[0].latents, controlled.trace[0].latents)
    assert torch.equal(plain.trace[0].denoised, controlled.trace[0].denoised)
    assert torch.equal(plain.trace[1].before, controlled.trace[1].before)
    for k in (1, 2, 3):
        assert not torch.equal(plain.trace[k].latents, controlled.trace[k].latents)
    assert not torch.equal(plain.video, controlled.video)


def test_without_iterations_control_is_none_but_the_boxes_are_kept(plain):
    idle = run(MOVING, SETTINGS.replace(iterations=0))
    assert torch.equal(idle.video, plain.video)
    assert torch.equal(idle.boxes, MOVING.boxes(FRAMES))
    assert idle.losses == {}


def test_without_control_the_fields_of_control_play_no_part(plain):
    other = Settings(
        width=WIDTH, height=HEIGHT, num_inference_steps=SETTINGS.num_inference_steps, control_steps=(0, 3), iterations=7
    )
    other = other.replace(
        learning_rate=0.5, scale_lr_by_sigma=True, optimizer="sgd", weight_decay=0.5, features="query"
    )
    other = other.replace(layers=((1, 0),), gaussian_sigma=None, cutoff=0.1, butterworth_order=2)
    other = other.replace(early_stop=0.5)
    changed = {name for name, value in other.as_dict().items() if value != SETTINGS.as_dict()[name]}
    assert changed == set(CONTROL_FIELDS)
    assert torch.equal(run(settings=other).video, plain.video)


def test_nothing_is_traced_unless_asked_for():
    guided = run(MOVING, QUICK)
    assert guided.trace == []
    assert set(guided.losses) == {0}


@pytest.mark.slow
def test_each_trace_keeps_what_it_says():
    settings = QUICK.replace(**SMALL)
    everything = run(MOVING, settings, trace=("latents", "denoised", "optimization")).trace
    for kind in ("latents", "denoised", "optimization"):
        trace = run(MOVING, settings, trace=[kind]).trace
        assert [step.index for step in trace] == [0, 1]
        for step, full in zip(trace, everything, strict=True):
            guided = step.index == 0
            assert step.sigma == full.sigma
            for name in ("before", "mixed", "latents"):
                kept = getattr(step, name)
                assert torch.equal(kept, getattr(full, name)) if kind == "latents" else kept is None
            if kind == "latents" and guided:
                assert torch.equal(step.optimized, full.optimized)
            else:
                assert step.optimized is None
            assert torch.equal(step.denoised, full.denoised) if kind == "denoised" else step.denoised is None
            assert len(step.iterations) == (kind == "optimization" and guided)
            for mine, theirs in zip(step.iterations, full.iterations, strict=False):
                assert torch.equal(mine.gradient, theirs.gradient)
                assert torch.equal(mine.latents, theirs.latents)
                assert mine.mean_errors.shape == (2, FRAMES)


def test_the_trace_hangs_together(controlled):
    for step, after in pairwise(controlled.trace):
        assert torch.equal(step.latents, after.before)
    assert torch.equal(controlled.trace[-1].latents, controlled.latents)
    for step in controlled.trace:
        if step.iterations:
            assert torch.equal(step.optimized, step.iterations[-1].latents)
            assert step.losses == controlled.losses[step.index]


@pytest.mark.parametrize(
    ("fit", "expected"),
    [
        ("stretch", (48.0, 24.0, 80.0, 40.0)),  # 160 x 160 to 128 x 64: by 0.8 and 0.4
        ("crop", (48.0, 16.0, 80.0, 48.0)),  # by 0.8, then 32 px off at the top
        ("pad", (56.0, 24.0, 72.0, 40.0)),  # by 0.4, then 32 px of bar at the left
    ],
)
def test_boxes_are_carried_to_the_size_of_the_video(fit, expected):
    image = as_pil(picture(0, 160, 160))
    pin = Trajectories((160, 160), (Trajectory.pin((60, 60, 100, 100)),))
    carried = run(pin, ONE_STEP, image, fit=fit)
    assert carried.boxes.tolist() == [[list(expected)] * FRAMES]
    assert carried.image.shape == (3, HEIGHT, WIDTH)
    assert (carried.image[:, :, :32] == 0).all() == (fit == "pad")
    # what is carried by hand gives the same video
    there = PIL.Image.fromarray((carried.image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))
    by_hand = run(Trajectories((WIDTH, HEIGHT), (Trajectory.pin(expected),)), ONE_STEP, there)
    assert torch.equal(by_hand.video, carried.video)


def test_a_picture_may_be_a_file_or_a_tensor_of_another_size(tmp_path):
    image = as_pil(picture(4, 100, 80))
    image.save(tmp_path / "picture.png")
    videos = [run(None, ONE_STEP, given).video for given in (str(tmp_path / "picture.png"), image, picture(4, 100, 80))]
    assert torch.equal(videos[0], videos[1])
    assert torch.equal(videos[0], videos[2])


@pytest.mark.slow
def test_whatever_holds_a_picture_and_boxes_is_taken(tmp_path):
    image, one = as_pil(picture()), Trajectories(MOVING.image_size, MOVING.trajectories[:1])
    settings = ONE_STEP.replace(iterations=0, **SMALL)  # control is of the boxes, which are compared
    known, boxes = run(one, settings, image), one.boxes(FRAMES)
    assert not torch.equal(known.video, run(one, settings, image, seed=818).video)
    array = np.array(image)
    with open(tmp_path / "file.png", "w+b") as file:
        image.save(file, "PNG")
        file.seek(0)
        pictures = (array, array / 255, array.astype(np.float32), array[None], torch.from_numpy(array), file)
        for held, asked in zip(pictures, (one, one[0], [one[0]], boxes, boxes.numpy(), boxes[0]), strict=True):
            made = run(asked, settings, held, seed=np.int64(817), trace="latents")
            assert torch.equal(made.video, known.video), type(held)
            assert torch.equal(made.boxes, known.boxes), type(asked)


def test_a_model_may_be_named(monkeypatch):
    monkeypatch.setattr("sgi2v_lab.models.load.load_model", lambda name: {"tiny": tinier_model()}[name])
    video = generate("tiny", picture(), None, ONE_STEP, progress=False).video
    assert torch.equal(video, run(None, ONE_STEP).video)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"model": 5}, "the model is a int"),
        ({"settings": {"cutoff": 0.4}}, "settings is a dict.*replace"),
        ({"seed": 1.5}, "seed is 1.5: expected a whole number"),
        ({"seed": None}, "seed is None"),
        ({"trajectories": 5}, "the trajectories are a int"),
        ({"image": None}, "None is a NoneType"),
        ({"trace": "everything"}, "trace 'everything'"),
        ({"frames": 4.5}, "is 4.5: expected a whole number"),
        ({"frames": "7"}, "is '7': expected a whole number"),
    ],
)
def test_what_is_no_such_thing_is_named(monkeypatch, options, complaint):
    monkeypatch.setattr(jaxtyping_config, "jaxtyping_disable", True)  # users have no run-time checker
    given = {"model": tinier_model(), "image": picture(), "trajectories": None, "settings": QUICK, **options}
    with pytest.raises(InputError, match=complaint):
        generate(**given, progress=False)


@pytest.mark.slow
def test_a_stretch_is_told():
    with pytest.warns(UserWarning, match="40 x 80 px is stretched to 128 x 64, which distorts its shape by 300%.*crop"):
        run(None, ONE_STEP, as_pil(picture(0, 40, 80)))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for fit, size in (("crop", (40, 80)), ("pad", (40, 80)), ("stretch", (130, 65))):
            run(None, ONE_STEP, as_pil(picture(0, *size)), fit=fit)


def test_the_models_own_settings_are_the_default():
    own = dataclasses.replace(tinier_model(), settings=ONE_STEP)
    assert generate(own, picture(), progress=False).settings == ONE_STEP


@pytest.fixture(scope="module")
def longer():
    """Three segments of three frames, of which the last frame of all is cut off: 3 + 2 + 2 - 1."""
    return run(MOVING, LONGER, frames=6, trace=("latents",))


@pytest.mark.slow
def test_a_video_of_the_models_own_length_is_the_plain_one_to_the_bit(controlled):
    again = run(MOVING, frames=np.int64(FRAMES))
    assert torch.equal(again.video, controlled.video)
    assert torch.equal(again.latents, controlled.latents)
    assert (again.losses, again.segments) == (controlled.losses, ())


@pytest.mark.slow
def test_a_longer_video_goes_on_from_its_last_frame(longer):
    assert longer.video.shape == (6, 3, HEIGHT, WIDTH)
    assert longer.latents.shape == (6, 4, HEIGHT // 8, WIDTH // 8)
    assert torch.equal(longer.image, picture())
    assert [part.seed for part in longer.segments] == [817, 818, 819]
    for before, after in pairwise(longer.segments):
        assert torch.equal(after.image, before.video[-1])
    for n, part in enumerate(longer.segments):
        shown = longer.video[2 * n : 2 * n + 3]
        assert torch.equal(part.video[1 : len(shown)], shown[1:])
    # each segment is what a plain call makes of the picture, the path's piece and the seed
    second = longer.segments[1]
    by_hand = run(second.boxes, LONGER, second.image, seed=818)
    assert torch.equal(by_hand.video, second.video)
    assert by_hand.losses == second.losses


def test_a_path_over_a_longer_video_is_continuous(longer):
    assert torch.equal(longer.boxes, MOVING.boxes(6))
    for n, part in enumerate(longer.segments):
        asked = longer.boxes[:, 2 * n : 2 * n + 3]
        assert torch.equal(part.boxes[:, : asked.shape[1]], asked)
        assert torch.equal(part.boxes[:, asked.shape[1] :], asked[:, -1:].expand(-1, 3 - asked.shape[1], -1))


def test_the_record_of_a_longer_video_counts_all_steps(longer):
    steps = LONGER.num_inference_steps
    assert list(longer.losses) == [1, 2, 1 + steps, 2 + steps, 1 + 2 * steps, 2 + 2 * steps] == longer.working_steps
    for n, part in enumerate(longer.segments):
        assert longer.sigmas[n * steps : (n + 1) * steps] == part.sigmas
        assert {step + n * steps: losses for step, losses in part.losses.items()}.items() <= longer.losses.items()
        assert len(part.trace) == steps
    for stage, seconds in longer.seconds.items():
        assert seconds == pytest.approx(sum(part.seconds[stage] for part in longer.segments))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_goes_on(method):
    made = run(MOVING, QUICK.replace(**SMALL), frames=4, method=method)
    first, second = made.segments
    assert len(made.video) == 4 and torch.equal(second.image, first.video[-1])
    assert torch.equal(made.video, torch.cat([first.video, second.video[1:2]]))


def test_explorers_ask_for_a_part(longer):
    with pytest.raises(InputError, match="3 parts, run.segments"):
        inspect_run(tinier_model(), longer)
    assert torch.equal(inspect_run(tinier_model(), longer.segments[1]).video, longer.segments[1].video)


def test_working_steps_are_those_of_each_segment():
    settings = SETTINGS.replace(early_stop=0.5, num_inference_steps=4)
    losses = {1: [4.0], 2: [1.0], 5: [1.0], 6: [0.9]}
    found = dataclasses.replace(run(None, ONE_STEP), settings=settings, losses=losses)
    assert found.working_steps == [1, 5, 6]


def test_a_box_that_left_the_picture_is_left_out_of_the_segments_after():
    """The first box is gone from the third frame on, the second one stays."""
    gone = Trajectory.move((16, 8, 48, 40), by=(600, 0))
    parts = run(Trajectories((WIDTH, HEIGHT), (gone, MOVING[1])), ONE_STEP, frames=5).segments
    assert [len(part.boxes) for part in parts] == [2, 1]
    assert torch.equal(parts[1].boxes[0], MOVING[1].boxes(3))


@pytest.mark.slow
def test_memory_that_runs_out_in_a_segment_leaves_the_next_ones_lean(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "sgi2v_lab.pipeline.method_of", lambda *_: lambda model, given, noise, last: failing(model, given, noise, last)
    )

    def failing(model, given, noise, last):
        asked.append(last)
        if len(asked) == 1:
            raise torch.OutOfMemoryError("out of memory")
        yield from denoise(model, given, noise, ONE_STEP, resume_from=last)

    with pytest.warns(RuntimeWarning, match="memory mode 'selective'") as told:
        run(None, ONE_STEP, frames=5, memory="fast")
    assert len(asked) == 3 and len([one for one in told if "memory mode" in str(one.message)]) == 1


def outside_later() -> Trajectories:
    return Trajectories(
        (WIDTH, HEIGHT), (Trajectory.from_boxes(torch.tensor([[0.0, 0, 32, 32]] + [[900.0, 0, 932, 32]] * 2)),)
    )


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"trace": ("losses",)}, "trace 'losses'.*optimization"),
        ({"fit": "squeeze"}, "squeeze.*stretch"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**64}, "seed"),
        ({"settings": SETTINGS.replace(width=120)}, "width is 120.*32"),
        ({"settings": SETTINGS.replace(layers=((0, 1),))}, r"\(0, 1\).*\(1, 0\)"),
        ({"image": "no/such/file.png"}, "file.png"),
        ({"image": torch.full((3, HEIGHT, WIDTH), torch.nan)}, "0..1"),
        ({"image": 1.5 * torch.ones(3, HEIGHT, WIDTH)}, "0..1.*255"),
        ({"image": -torch.ones(3, 50, 50)}, "0..1"),
        ({"trajectories": Trajectories((WIDTH, HEIGHT))}, "no trajectories"),
        ({"trajectories": Trajectories((WIDTH + 1, HEIGHT), MOVING.trajectories)}, "129 x 64.*128 x 64"),
        ({"trajectories": Trajectories((WIDTH, HEIGHT), (Trajectory.pin((200, 0, 240, 40)),))}, "outside"),
        # in sight by less than a cell, so that no cell of the latents' is in it
        ({"trajectories": Trajectories((WIDTH, HEIGHT), (Trajectory.pin((-16, 0, 3, 40)),))}, "no cell"),
        ({"trajectories": outside_later()}, "nothing to follow"),
        ({"frames": 2}, "frames .*at once, is 3.* is 2: expected a whole number, from 3"),
        ({"frames": True}, "is True"),
        ({"frames": 10**6}, "to 1000"),
        ({"frames": 5, "trajectories": MOVING.boxes(3)}, "given for 3 frames but 5.*resample"),
        (
            {"frames": 5, "trajectories": Trajectory.move((16, 8, 48, 40), by=(300, 0))},
            "in segment 2, from frame 2 on, no box.*fewer frames",
        ),
        (
            {
                "trajectories": Trajectories(
                    (WIDTH, HEIGHT), (Trajectory.from_boxes(torch.tensor([[0.0, 0, 32, 32]] * 5)),)
                )
            },
            "5 frames",
        ),
        # in a bar, so not in the picture; in the picture, but not in what is left of it
        (
            {
                "image": as_pil(picture(0, 64, 64)),
                "fit": "pad",
                "trajectories": Trajectories((64, 64), (Trajectory.pin((-30, 10, -5, 40)),)),
            },
            "outside",
        ),
        (
            {
                "image": as_pil(picture(0, 64, 64)),
                "fit": "crop",
                "trajectories": Trajectories((64, 64), (Trajectory.pin((10, 0, 40, 10)),)),
            },
            "outside",
        ),
    ],
)
def test_bad_input_is_refused_before_anything_is_computed(monkeypatch, options, complaint):
    def computed(*_args, **_kwargs):
        raise AssertionError("something was computed")

    for part in ("vae", "unet", "image_encoder"):
        monkeypatch.setattr(getattr(tinier_model(), part), "forward", computed)
    monkeypatch.setattr("sgi2v_lab.pipeline.encode_image", computed)
    monkeypatch.setattr("sgi2v_lab.pipeline.draw_noise", computed)
    with pytest.raises(InputError, match=complaint):
        run(**options)


def test_the_progress_bar_may_be_silent(capfd):
    run(None, ONE_STEP)
    assert capfd.readouterr() == ("", "")
    generate(tinier_model(), picture(), None, ONE_STEP)
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "uncontrolled" in shown.err
