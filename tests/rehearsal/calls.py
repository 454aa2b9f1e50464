"""Every public call, given tensors of a device: functions of a model in half precision and, for some, of a run."""

import json
from tempfile import TemporaryDirectory

import torch

import sgi2v_lab as sg
from sgi2v_lab import explore
from sgi2v_lab.analysis.attention import (
    attention_at,
    attention_flow,
    attention_to,
    entropy,
    first_frame_share,
    place_attention,
)
from sgi2v_lab.analysis.clips import toy_clips
from sgi2v_lab.analysis.interventions import intervene
from sgi2v_lab.analysis.massive import massive_channels
from sgi2v_lab.analysis.matching import attention_strength, cycle_distance, matching_accuracy
from sgi2v_lab.analysis.passes import features_at
from sgi2v_lab.analysis.store import record
from sgi2v_lab.analysis.sweep import feature_sweep
from sgi2v_lab.baselines import METHODS
from sgi2v_lab.efficiency.memory import MEMORY_MODES
from sgi2v_lab.evaluation.diagnosis import Diagnosis, diagnose
from sgi2v_lab.evaluation.experiments.evaluate import evaluate
from sgi2v_lab.evaluation.metrics import measure
from sgi2v_lab.features import assemble, features_with_graph, record_features
from sgi2v_lab.images.read import to_pil
from sgi2v_lab.optimize import OPTIMIZERS, optimize_latents
from sgi2v_lab.pca import fit_pca, similarity_maps
from sgi2v_lab.sampling import draw_noise
from sgi2v_lab.widgets import AtlasExplorer, FeatureExplorer, FrequencyExplorer, LossExplorer
from sgi2v_lab.widgets.studio.job import Job
from tests.helpers.tiny import tinier_pipeline, tiny_pipeline
from tests.rehearsal.conftest import boxes, parts

# public names that see no tensor of a device: files, drawings, settings, what works on the CPU's own
ON_THE_CPU = (
    "InputError",
    "Settings",
    "Trajectory",
    "Trajectories",
    "latent_cells",
    "load_trajectories",
    "save_trajectories",
    "prompt_boxes",
    "reference_image",
    "read_image",
    "gaussian_weight",
    "butterworth_mask",
    "Model",
    "Run",
    "read_video",
    "write_video",
    "show_video",
    "evaluation",
    "widgets",
    "__version__",
)
CALLS = {}
NEEDS_RUN = ("explorers", "widgets", "metrics", "diagnosis")
SMALL_ONLY = ("load", "widgets", "studio_job", "generate", "metrics", "diagnosis", "evaluate", "analysis")


def covers(*names: str):
    def note(call):
        CALLS[call.__name__.removeprefix("call_")] = names, call
        return call

    return note


class Given:
    """What a control step needs, on the device."""

    def __init__(self, model):
        self.model, self.settings = model, model.settings
        self.picture = torch.rand(3, self.settings.height, self.settings.width)
        self.trajectories = boxes(self.settings.width, self.settings.height)
        generator = torch.Generator().manual_seed(0)
        self.conditioning = sg.encode_image(model, self.picture, self.settings, generator)
        self.noise = draw_noise(model, self.settings, generator)
        self.latents = 30.0 * self.noise.float()
        frames, _, h, w = self.noise.shape
        self.cells = sg.latent_cells(self.trajectories.boxes(frames), model.vae_factor, h, w)
        self.at = (self.latents, 30.0, self.conditioning)


def on_device(*tensors: torch.Tensor, dtype: torch.dtype | None = None) -> None:
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    if dtype is not None:
        assert {tensor.dtype for tensor in tensors if tensor.is_floating_point()} == {dtype}


def on_cpu(*tensors: torch.Tensor) -> None:
    assert {(tensor.device.type, tensor.dtype) for tensor in tensors} == {("cpu", torch.float32)}


@covers("load_model")
def call_load(model, folder):
    tiny_pipeline().save_pretrained(folder)
    loaded = sg.load_model(str(folder), "meta")
    on_device(*parts(loaded), dtype=torch.float16)  # the default where there is a device
    assert loaded.in_precision("bf16").dtype == torch.bfloat16
    toy = sg.load_model("toy", "meta")
    given = Given(toy)
    on_cpu(sg.decode_latents(toy, given.noise))


@covers("encode_image", "draw_noise")
def call_encode(model, _):
    given = Given(model)
    told = given.conditioning
    on_device(given.noise, told.embedding, told.image_latents, told.time_ids, dtype=torch.float16)


@covers("encode_video")
def call_encode_video(model, _):
    given = Given(model)
    video = given.picture.expand(model.num_frames(given.settings), -1, -1, -1)
    for where in ("cpu", "meta"):
        on_device(sg.encode_video(model, video.to(where), 3), dtype=torch.float16)


@covers("decode_latents")
def call_decode(model, _):
    given = Given(model)
    for chunk in (None, 2):
        on_cpu(video := sg.decode_latents(model, given.latents, chunk))
    assert video.shape == (len(given.noise), 3, given.settings.height, given.settings.width)


@covers("extract_features", "record_features", "aligned_attention", "assemble", "features of every kind and layer")
def call_features(model, _):
    given = Given(model)
    for kind in model.feature_kinds:
        maps = sg.extract_features(model, *given.at, model.layers, kind)
        assert set(maps) == set(model.layers)
        on_device(*maps.values(), dtype=torch.float16)
    on_device(assemble(maps, tuple(given.noise.shape[-2:])), dtype=torch.float32)
    with record_features(model, model.layers[-1:]) as recorded, torch.no_grad():
        sg.predict_clean_latents(model, given.conditioning, given.latents, given.settings, 0)
    on_device(*recorded.values(), dtype=torch.float16)


@covers("matching_accuracy", "intervene", "feature_sweep", "attention of every layer")
def call_analysis(model, _):
    (clip,) = toy_clips(model, 1)
    inspection, layers = clip.inspect(model, (1.0,)), model.all_layers
    found = features_at(inspection, 0, layers, ("query", "key", "block"))
    for layer in layers:
        query, key, heads = found["query"][layer], found["key"][layer], model.heads(layer)
        on_device(query, key, dtype=torch.float16)
        on_cpu(matching_accuracy(found["block"][layer], clip.pairs).error)
        on_cpu(matching_accuracy(query, clip.pairs, keys=key, heads=heads).error)
        on_cpu(cycle_distance(query, keys=key, heads=heads))
        assert massive_channels(found["block"][layer]).device.type == "cpu"
        assert isinstance(attention_strength(query, key, clip.pairs, heads=heads).score, float)
    for layer, attention in attention_at(inspection, 0, layers).items():
        on_cpu(attention_flow(attention), entropy(attention), place_attention(attention, 1, (0.5, 0.5)))
        on_cpu(attention_to(attention, (0.5, 0.5)))
        changes = {"mute": {layer: (0,)}, "swap": {layer: 1}, "first_frame_bias": {layer: 2.0}}
        with intervene(model, **changes):
            on_device(*features_at(inspection, 0, layers[-1:], ("block",))["block"].values(), dtype=torch.float16)
    on_cpu(*map(first_frame_share, attention_at(inspection, 0, layers, "temporal").values()))
    with TemporaryDirectory() as folder:
        table = feature_sweep(
            model, [clip], layers=layers[-1:], sigmas=(1.0,), heads=True, segmentation=True, out=folder
        )
        AtlasExplorer(model, clip, table).kind = "temporal"
        record(inspection, layers[-1:], to=f"{folder}/store", name="clip")


@covers("gradients through features of every kind")
def call_gradients(model, _):
    given = Given(model)
    for kind in model.feature_kinds:
        x = given.latents.clone().requires_grad_(True)
        with features_with_graph(model, x, 30.0, given.conditioning, given.settings.layers, kind) as maps:
            loss = sg.trajectory_loss(assemble(maps, tuple(x.shape[-2:])), given.cells).total
            (gradient,) = torch.autograd.grad(loss, x)
        on_device(gradient, dtype=torch.float32)


@covers("fit_pca", "similarity_maps")
def call_looking_at_features(model, _):
    features = torch.rand(3, 32, 8, 16).to("meta")
    on_cpu(fit_pca(features).rgb(features))
    on_cpu(similarity_maps(features, point=(30.0, 20.0), picture_size=(128, 64)))
    on_cpu(similarity_maps(features, box=(1.0, 1.0, 4.0, 4.0), frame=2))


@covers("trajectory_loss")
def call_loss(model, _):
    given = Given(model)
    frames, _, h, w = given.noise.shape
    features = torch.rand(frames, 32, h, w).to("meta").requires_grad_(True)
    for sigma in (0.4, None):
        found = sg.trajectory_loss(features, given.cells, sigma)
        on_device(found.total, found.terms, found.weights, found.mean_errors)
        on_device(*torch.autograd.grad(found.total, features))


@covers("optimize_latents", "control_step", *(f"optimiser {name}" for name in OPTIMIZERS))
def call_optimise(model, _):
    given = Given(model)
    for optimizer in OPTIMIZERS.values():
        (step,) = optimize_latents(
            model, *given.at, given.cells, layers=model.layers[-2:], iterations=1, make_optimizer=optimizer
        )
        on_device(step.latents, step.gradient, dtype=torch.float32)
        on_cpu(step.mean_errors)
    for changes in ({"early_stop": 0.5}, {"optimizer": "normalized", "scale_lr_by_sigma": True}):
        steps = list(sg.control_step(model, *given.at, given.cells, given.settings.replace(**changes)))
        on_device(*(step.latents for step in steps))
        assert {type(step.loss) for step in steps} == {float}


@covers("mix_frequencies", "radial_spectrum")
def call_filter(model, _):
    given = Given(model)
    mask = sg.butterworth_mask(*given.noise.shape[-2:])
    on_device(sg.mix_frequencies(given.latents, 2 * given.latents, mask), dtype=torch.float32)
    on_device(sg.mix_frequencies(given.noise, given.noise, mask), dtype=torch.float16)
    on_cpu(*sg.radial_spectrum(given.latents))


@covers("make_schedule", "denoise", "predict_clean_latents")
def call_denoise(model, _):
    given = Given(model)
    assert len(sg.make_schedule(model, given.settings).timesteps) == given.settings.num_inference_steps
    for cells, dtype in ((None, torch.float16), (given.cells, torch.float32)):
        steps = list(sg.denoise(model, given.conditioning, given.noise, given.settings, cells))
        on_device(*(step.latents for step in steps), dtype=dtype)
    on_device(sg.predict_clean_latents(model, given.conditioning, given.latents, given.settings, 1))


@covers("generate", "generate_steps", *(f"memory mode {mode}" for mode in MEMORY_MODES))
def call_generate(model, _):
    given = Given(model)
    on_the_device = given.picture.to("meta")
    for mode in MEMORY_MODES:
        made = sg.generate(model, on_the_device, given.trajectories, memory=mode, progress=False)
        on_cpu(made.video, made.latents)
        on_device(*parts(model), dtype=torch.float16)
    plain = sg.generate(model, given.picture, progress=False)
    on_cpu(plain.video)


@covers("to_pil")
def call_to_pil(model, _):
    assert to_pil(torch.rand(3, 8, 8).to("meta")).size == (8, 8)


@covers(*(f"method {name}" for name in METHODS))
def call_methods(model, _):
    given = Given(model)
    for name in set(METHODS) - {"sgi2v", "none"}:  # which `generate` rehearses
        made = sg.generate(model, given.picture, given.trajectories, method=name, progress=False)
        on_cpu(made.video)
        on_device(*parts(model))


@covers("explorers' computations: features, loss, frequencies")
def call_explorers(model, run):
    inspection = explore.inspect_run(model, run)
    assert not inspection.made_noisy
    noisy = explore.inspect_latents(model, run.image, run.latents, run.settings)
    for looked_at in (inspection, noisy):
        on_cpu(explore.feature_maps(looked_at, 1, model.layers[-2], "aligned"))
    first = explore.iterations_of(run, 1)[0]
    on_cpu(first.latents, first.gradient, first.mean_errors)
    step = explore.steps_with_latents(run)[1]
    on_cpu(explore.filter_latents(step.before, step.optimized, 0.5).latents["mixed"])


@covers("FeatureExplorer", "LossExplorer", "FrequencyExplorer")
def call_widgets(model, run):
    for widget in (FeatureExplorer(model, run), LossExplorer(run), FrequencyExplorer(run, model=model)):
        assert widget.error == "", widget.error
    widget.step, widget.cutoff = 1, 0.3
    assert widget.error == "" and widget.decoded_mixed_png


@covers("Studio jobs")
def call_studio_job(model, _):
    given, told = Given(model), []
    job = Job(model, to_pil(given.picture), given.trajectories, model.settings, tell=told.append)
    controlled, plain = job.run()
    on_cpu(controlled.video, plain.video)
    assert told[-1].fraction == 1.0 and list(controlled.losses) == [1]


# --- evaluation, which works on videos on the CPU: what comes from a device is brought there


@covers("objmc", "trackers lk, dis and ncc", "measure", "metrics of a video")
def call_metrics(model, run):
    video = run.video.to("meta")
    for tracker in ("lk", "dis", "ncc"):
        assert sg.objmc(video, run.boxes, tracker).value >= 0
    measure(video, image=run.image.to("meta"), boxes=run.boxes, reference=video)


@covers("diagnose")
def call_diagnosis(model, run):
    assert isinstance(diagnose(run, model=model), Diagnosis)


@covers("evaluate, with a device")
def call_evaluate(model, folder):
    tinier_pipeline().save_pretrained(folder / "model")
    (folder / "model" / "settings.json").write_text(json.dumps(model.settings.model_dump(mode="json")))
    evaluate(folder / "out", model=str(folder / "model"), methods=("none", "sgi2v"), samples=1, device="meta")
    records = [json.loads(path.read_text()) for path in (folder / "out").rglob("*.json")]
    assert records and not any(isinstance(record, dict) and record.get("error") for record in records), records
