import math
import sys

import matplotlib
import numpy as np
import pytest
import torch
from IPython.core.formatters import DisplayFormatter
from jaxtyping import config as jaxtyping_config
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from PIL import Image

from sgi2v_lab import plots
from sgi2v_lab.errors import InputError
from sgi2v_lab.plots.intervals import Point
from sgi2v_lab.toy.world.random_scenes import sample_scene
from sgi2v_lab.toy.world.scenes import render, true_boxes
from sgi2v_lab.video import PALETTE


@pytest.fixture(scope="module")
def video():
    return render(sample_scene(3), 128)


@pytest.fixture(scope="module")
def boxes():
    return true_boxes(sample_scene(3), 128)  # two: one moves, one stands still


@pytest.fixture
def as_a_user(monkeypatch):
    """Users have no run-time checker of shapes in front of the package's own checks."""
    monkeypatch.setattr(jaxtyping_config, "jaxtyping_disable", True)


def rectangles(axes, color=None):
    """The boxes on axes as (x0, y0, x1, y1), without their pale casings."""
    found = [p for p in axes.patches if isinstance(p, Rectangle) and to_hex(p.get_edgecolor()) != "#ffffff"]
    found = [p for p in found if color is None or to_hex(p.get_edgecolor()) == color.lower()]
    return [(*p.get_xy(), p.get_x() + p.get_width(), p.get_y() + p.get_height()) for p in found]


def pictures(figure):
    """Axes that show a picture, in reading order."""
    return [a for a in figure.axes if a.images]


def labels(figure):
    return [t.get_text() for t in figure.legends[0].get_texts()]


def pixels(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


# --- all figures -----------------------------------------------------------------------------------------------------


def every_figure(video, boxes):
    points = (boxes[..., :2] + boxes[..., 2:]) / 2
    maps = torch.rand(8, 16, 16)
    return {
        "plot_trajectories": plots.plot_trajectories(video[0], boxes),
        "plot_film_strip": plots.plot_film_strip(video, boxes, title="title"),
        "plot_comparison": plots.plot_comparison(video, video.flip(0), boxes),
        "plot_pca_strip": plots.plot_pca_strip({"aligned": video}, video, boxes),
        "plot_similarity": plots.plot_similarity(video, {"aligned": maps}, point=(64.0, 32.0)),
        "plot_losses": plots.plot_losses([[3.0, 2.0], [2.0, 1.0]]),
        "plot_loss_terms": plots.plot_loss_terms(torch.rand(2, 8)),
        "plot_spectra": plots.plot_spectra(torch.linspace(0, 1, 9), {"before": torch.rand(9) + 0.1}, cutoff=0.5),
        "plot_mask": plots.plot_mask(torch.rand(16, 16), 0.5),
        "plot_gaussian": plots.plot_gaussian(torch.rand(4, 6)),
        "plot_tracks": plots.plot_tracks(video, points, {"controlled": points + 2}),
        "plot_latents": plots.plot_latents(torch.randn(8, 4, 16, 16)),
        "plot_gallery": plots.plot_gallery({"before": video[0], "after": video[-1]}),
        "plot_series": plots.plot_series([1, 2, 3], {"error": [3.0, 2.0, 2.5]}, "step", "px", {"here": 2}),
        "plot_magnitudes": plots.plot_magnitudes(video, {"gradient": maps}, boxes),
        "plot_landscape": plots.plot_landscape({"aligned": torch.rand(3, 4)}, [0, 8, 16, 24], [-8, 0, 8], (8, 0)),
        "plot_cost": plots.plot_cost(
            [{"axis": "frames", "x": n, "unit": "", "seconds": n / 2, "peak_bytes": n * 2**20} for n in (4, 8)],
            {"frames": {"seconds": {"at": 0.0, "slope": 0.5, "r2": 1.0}}},
            "toy, here",
        ),
        "plot_atlas": plots.plot_atlas({"query": torch.rand(2, 3)}, ["1,0", "1,1"], [80.0, 2.0, 0.1], "matches", 0.02),
        "plot_intervals": plots.plot_intervals({"a": Point(2.0, 1.0, 3.0), "b": Point(5.0)}, "ObjMC, px", "lower"),
        "plot_along": plots.plot_along({"query": [(80.0, Point(0.1)), (2.0, Point(0.5))]}, "noise level", "matches"),
    }


@pytest.mark.slow
def test_figures_are_whole_and_leave_no_trace(video, boxes):
    before = dict(matplotlib.rcParams)
    figures = every_figure(video, boxes)
    assert set(figures) == {name for name in plots.__all__ if name.startswith("plot_")}
    for name, figure in figures.items():
        assert isinstance(figure, Figure), name
        assert figure.get_figwidth() <= 9.01, name  # 900 px at the style's 100 dots per inch
        assert figure.dpi == 100, name
        drawn = pixels(figure)
        assert drawn[0, 0].tolist() == [255, 255, 255, 255] and drawn.std() > 10, name
    assert dict(matplotlib.rcParams) == before
    if "matplotlib.pyplot" in sys.modules:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == []


def test_style_is_in_the_package_and_agrees_with_the_palette():
    assert plots.STYLE.is_file() and plots.STYLE.parent.name == "plots"
    with plots.styled():
        cycle = matplotlib.rcParams["axes.prop_cycle"].by_key()["color"]
    assert tuple("#" + c.removeprefix("#").upper() for c in cycle) == PALETTE


def test_notebooks_show_a_figure_by_itself(video):
    data, _ = DisplayFormatter().format(plots.plot_film_strip(video[:2]))
    assert data["image/png"][:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_saving_is_whole_and_repeatable(tmp_path, video, boxes, suffix):
    first, second = (
        plots.save_figure(plots.plot_trajectories(video[0], boxes), tmp_path / "new" / f"{n}{suffix}") for n in "ab"
    )
    assert first.read_bytes() == second.read_bytes()
    assert sorted(p.name for p in first.parent.iterdir()) == [f"a{suffix}", f"b{suffix}"]


def test_saving_at_a_resolution(tmp_path):
    figure = plots.plot_losses([[1.0, 0.5]])
    small, large = (Image.open(plots.save_figure(figure, tmp_path / f"{dpi}.png", dpi)).width for dpi in (50, 100))
    assert large == pytest.approx(2 * small, rel=0.02)


def test_saving_badly(tmp_path, monkeypatch):
    figure = plots.plot_losses([[1.0, 0.5]])
    with pytest.raises(InputError, match=r"\.png, \.pdf, \.svg"):
        plots.save_figure(figure, tmp_path / "figure.jpg")
    with pytest.raises(InputError, match="dpi is 0"):
        plots.save_figure(figure, tmp_path / "figure.png", dpi=0)

    def full(path, **_):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(figure, "savefig", full)
    with pytest.raises(InputError, match="No space left"):
        plots.save_figure(figure, tmp_path / "figure.png")
    assert list(tmp_path.iterdir()) == []


# --- boxes and paths -------------------------------------------------------------------------------------------------


def test_trajectories_are_at_their_places(video, boxes):
    figure = plots.plot_trajectories(video[0], boxes, names=["eye", "pill"])
    (axes,) = figure.axes
    assert np.allclose(axes.images[0].get_array(), video[0].permute(1, 2, 0), atol=1e-6)
    assert axes.images[0].get_extent() == [0, 128, 128, 0]  # pixel (0, 0) covers 0..1
    moved, still = rectangles(axes, PALETTE[0]), rectangles(axes, PALETTE[1])
    assert np.allclose(moved, boxes[0, [-1, 0]], atol=1e-3)  # the last, then the first on top of it
    assert np.allclose(still, boxes[1, :1], atol=1e-3)  # drawn once
    dashes = [p.get_linestyle() for p in axes.patches if to_hex(p.get_edgecolor()) == PALETTE[0].lower()]
    assert dashes[0] != "-" and dashes[1] == "-"
    centers = (boxes[0, :, :2] + boxes[0, :, 2:]) / 2
    assert np.allclose(axes.lines[0].get_xydata(), centers, atol=1e-3)
    dots = np.concatenate([c.get_offsets() for c in axes.collections])
    assert len(dots) == (8 - 1) + 1  # one per frame up to the arrow's head, one for the box that stands still
    assert [t.get_text() for t in axes.texts] == ["eye", "pill"]
    assert labels(figure) == ["first frame", "last frame", "centre, frame by frame"]


@pytest.mark.parametrize("step, up", [((5, 0), -90), ((0, 5), 180), ((0, -5), 0), ((-5, 0), 90)])
def test_arrow_head_points_where_the_path_goes(video, step, up):
    start = torch.tensor([50.0, 50, 60, 60])
    path = start + torch.arange(8)[:, None] * torch.tensor([*step, *step])
    (axes,) = plots.plot_trajectories(video[0], path[None]).axes
    head = axes.lines[-1]
    assert np.allclose(head.get_xydata(), [(path[-1, 0] + 5, path[-1, 1] + 5)])
    assert math.cos(math.radians(head.get_marker()[2] - up)) == pytest.approx(1)  # degrees from pointing up


def test_trajectories_input(video, boxes, as_a_user):
    assert rectangles(plots.plot_trajectories(video[0], torch.zeros(0, 8, 4)).axes[0]) == []
    with pytest.raises(InputError, match="1 names for 2 boxes"):
        plots.plot_trajectories(video[0], boxes, names=["eye"])
    with pytest.raises(InputError, match=r"the image is .* expected \(3, height, width\)"):
        plots.plot_trajectories(video, boxes)
    with pytest.raises(InputError, match="shape of the boxes"):
        plots.plot_trajectories(video[0], boxes[0])


def test_film_strip_shows_each_frame_with_its_boxes(video, boxes):
    shown = pictures(plots.plot_film_strip(video, boxes, every=3, title="title"))
    assert [a.get_title() for a in shown] == ["frame 0", "3", "6"]
    for axes, frame in zip(shown, (0, 3, 6), strict=True):
        assert np.allclose(axes.images[0].get_array(), video[frame].permute(1, 2, 0), atol=1e-6)
        assert np.allclose(rectangles(axes), boxes[:, frame], atol=1e-3)
        assert axes.get_xlim() == (0, 128) and axes.get_ylim() == (128, 0)


@pytest.mark.parametrize("frames, rows, columns", [(1, 1, 1), (8, 1, 8), (14, 2, 7), (25, 5, 5), (11, 2, 6)])
def test_film_strip_wraps(frames, rows, columns):
    figure = plots.plot_film_strip(torch.rand(frames, 3, 9, 16))
    assert len(pictures(figure)) == frames
    grid = pictures(figure)[0].get_subplotspec().get_gridspec()
    assert (grid.nrows, grid.ncols) == (rows, columns)


def test_film_strip_input(video, boxes, as_a_user):
    with pytest.raises(InputError, match="every is 0"):
        plots.plot_film_strip(video, every=0)
    with pytest.raises(InputError, match=r"the boxes is .*\(boxes, 8, 4\)"):
        plots.plot_film_strip(video, boxes[:, :5])


def test_comparison_aligns_two_rows(as_a_user):
    a, b = torch.zeros(25, 3, 8, 8), torch.ones(25, 3, 8, 8)
    path = torch.arange(25.0)[None, :, None] / 10 + torch.tensor([1.0, 1, 4, 4])
    figure = plots.plot_comparison(a, b, path)
    shown = pictures(figure)
    assert len(shown) == 16
    assert shown[0].get_ylabel() == "uncontrolled" and shown[8].get_ylabel() == "controlled"
    assert [x.get_title() for x in shown[:8]][0::7] == ["frame 0", "24"]
    for above, below in zip(shown[:8], shown[8:], strict=True):
        assert above.images[0].get_array().max() == 0 and below.images[0].get_array().min() == 1
        assert rectangles(above) == rectangles(below) != []
    pixels(figure)
    assert shown[3].get_position().x0 == pytest.approx(shown[11].get_position().x0)
    with pytest.raises(InputError, match="shapes"):
        plots.plot_comparison(a, b[:8])


def test_tracks_show_asked_and_found(video, boxes, as_a_user):
    asked = (boxes[..., :2] + boxes[..., 2:]) / 2
    found = {"uncontrolled": asked[:, :1].expand_as(asked) + 1, "controlled": asked + 3}
    visible = torch.ones(2, 8, dtype=torch.bool)
    visible[0, 6:] = False
    figure = plots.plot_tracks(video, asked, found, visible)
    first, last = figure.axes
    assert [first.get_title(), last.get_title()] == ["frame 0", "frame 7"]
    lines = [np.asarray(line.get_xydata()) for line in last.lines]
    for path in (asked[0], *found["uncontrolled"], *found["controlled"]):
        assert any(line.shape == (8, 2) and np.allclose(line, path, atol=1e-4) for line in lines)
    hollow = [c for c in last.collections if len(c.get_facecolors()) == 8]
    assert [[to_hex(f) == "#ffffff" for f in c.get_facecolors()].count(True) for c in hollow] == [2, 0, 2, 0]
    assert labels(figure) == ["asked", "uncontrolled", "controlled", "out of the tracker's sight"]
    assert labels(plots.plot_tracks(video, asked, found)) == ["asked", "uncontrolled", "controlled"]
    with pytest.raises(InputError, match="'controlled'"):
        plots.plot_tracks(video, asked, {"controlled": asked[:, :5]})
    with pytest.raises(InputError, match="no found paths"):
        plots.plot_tracks(video, asked, {})


# --- features --------------------------------------------------------------------------------------------------------


def test_pca_strip_rows(video, boxes, as_a_user):
    small = torch.rand(8, 3, 16, 16)
    shown = pictures(plots.plot_pca_strip({"self-attention": small, "aligned": small / 2}, video, boxes))
    assert [shown[i].get_ylabel() for i in (0, 8, 16)] == ["video", "self-attention", "aligned"]
    cell = shown[8 + 5].images[0]
    assert np.allclose(cell.get_array(), small[5].permute(1, 2, 0), atol=1e-6)
    assert cell.get_extent() == [0, 128, 128, 0]  # in the video's pixels, so the boxes fit
    assert cell.get_interpolation() == "nearest"
    assert np.allclose(rectangles(shown[8 + 5]), boxes[:, 5], atol=1e-3)
    assert len(pictures(plots.plot_pca_strip({"one": small}))) == 8
    with pytest.raises(InputError, match="the row 'aligned'"):
        plots.plot_pca_strip({"self-attention": small, "aligned": small[:4]})
    with pytest.raises(InputError, match="no feature maps"):
        plots.plot_pca_strip({})


def test_similarity_marks_the_point_and_scales_its_bar(video, as_a_user):
    maps = torch.rand(8, 16, 16)
    figure = plots.plot_similarity(video, {"self-attention": maps, "aligned": maps - 0.5}, point=(20.0, 90.0), frame=2)
    shown = [a for a in pictures(figure) if len(a.images) == 2]
    assert len(shown) == 16
    marked = [i for i, a in enumerate(shown) if a.lines]
    assert marked == [2, 10]
    assert shown[2].lines[0].get_xydata().tolist() == [[20, 90]]
    heat = shown[5].images[1]
    assert np.allclose(heat.get_array(), maps[5]) and heat.get_clim() == (-1, 1)
    assert [a.get_ylabel() for a in figure.axes if a.get_label() == "<colorbar>"] == ["cosine similarity"]
    positive = plots.plot_similarity(video, {"aligned": maps})
    assert pictures(positive)[0].images[1].get_clim() == (0, 1)
    long, heat = video.repeat(5, 1, 1, 1), maps.repeat(5, 1, 1)
    sparse = plots.plot_similarity(long, {"aligned": heat}, point=(1.0, 1.0), frame=3)
    assert [a.get_title() for a in pictures(sparse) if len(a.images) == 2][:3] == ["frame 0", "3", "6"]
    named = plots.plot_similarity(video, {"aligned": maps}, column="latent")
    assert [a.get_title() for a in pictures(named) if len(a.images) == 2][:3] == ["latent 0", "1", "2"]
    for bad in (-1, 8):
        with pytest.raises(InputError, match="frame is"):
            plots.plot_similarity(video, {"aligned": maps}, frame=bad)
    with pytest.raises(InputError, match="map 'aligned'"):
        plots.plot_similarity(video, {"aligned": maps[:3]})


def test_latents_share_a_symmetric_scale():
    latents = torch.randn(8, 4, 16, 16)
    shown = [a for a in pictures(plots.plot_latents(latents)) if a.get_label() != "<colorbar>"]
    assert len(shown) == 32
    limit = latents.abs().max().item()
    assert all(a.images[0].get_clim() == pytest.approx((-limit, limit)) for a in shown)
    assert np.allclose(shown[8 * 2 + 3].images[0].get_array(), latents[3, 2])
    assert shown[16].get_ylabel() == "channel 2"
    plots.plot_latents(torch.zeros(1, 4, 8, 8))  # no scale of zero width


# --- curves ----------------------------------------------------------------------------------------------------------


def test_losses_one_line_per_step():
    losses = [[4.0, 3.0, 2.0], [3.0, 1.0], [1.0]]
    axes, bar = plots.plot_losses(losses, sigmas=[700.0, 35.25, 0.5]).axes
    assert [line.get_ydata().tolist() for line in axes.lines] == losses
    assert axes.lines[0].get_xdata().tolist() == [1, 2, 3]
    assert len({to_hex(line.get_color()) for line in axes.lines}) == 3
    assert [t.get_text() for t in bar.get_yticklabels()] == ["700", "35.2", "0.5"]
    assert plots.plot_losses(losses).axes[1].get_ylabel() == "control step"


def test_losses_input():
    for bad in ([], [[1.0], []]):
        with pytest.raises(InputError, match="no losses"):
            plots.plot_losses(bad)
    with pytest.raises(InputError, match="1 sigmas for 2"):
        plots.plot_losses([[1.0], [1.0]], sigmas=[3.0])


def test_loss_terms_table(as_a_user):
    terms = torch.tensor([[0.0, 0.5, 1.0], [0.25, float("nan"), 0.125]])
    axes = plots.plot_loss_terms(terms, names=["eye", "pill"]).axes[0]
    assert [t.get_text() for t in axes.texts] == ["0", "0.5", "1", "0.25", "-", "0.12"]
    assert axes.images[0].get_clim() == (0, 1)
    assert [t.get_text() for t in axes.get_yticklabels()] == ["eye", "pill"]
    with pytest.raises(InputError, match="shape of the terms"):
        plots.plot_loss_terms(terms[0])
    skipped = plots.plot_loss_terms(torch.full((1, 2), float("nan")))
    assert [t.get_text() for t in skipped.axes[0].texts] == ["-", "-"]


def test_spectra_and_cutoff(as_a_user):
    radii = torch.linspace(0, 1.4, 12)
    before, after = 1 / (0.1 + radii), 2 / (0.1 + radii)
    (axes,) = plots.plot_spectra(radii, {"before": before, "after": after}, cutoff=0.5).axes
    assert axes.get_yscale() == "log"
    assert np.allclose(axes.lines[1].get_xydata(), torch.stack([radii, after], dim=1))
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["before", "after"]
    assert set(axes.lines[2].get_xdata()) == {0.5} and axes.texts[0].get_text() == "cut-off r = 0.5"
    assert len(plots.plot_spectra(radii, {"before": before}).axes[0].lines) == 1
    with pytest.raises(InputError, match="'after'"):
        plots.plot_spectra(radii, {"after": after[:4]})


def test_mask_profile_runs_over_the_true_distance():
    y, x = 2 * torch.arange(8) / 8 - 1, 2 * torch.arange(16) / 16 - 1
    distance = (y[:, None] ** 2 + x**2).sqrt()
    mask = 1 / (1 + (distance / 0.5) ** 8)
    figure = plots.plot_mask(mask, 0.5)
    left, right = [a for a in figure.axes if a.images or a.lines][:2]
    assert np.allclose(left.images[0].get_array(), mask)
    x0, x1, y1, y0 = left.images[0].get_extent()
    assert x0 + (8 + 0.5) * (x1 - x0) / 16 == pytest.approx(0)  # the zero frequency's cell is centred on 0, 0
    assert y0 + (4 + 0.5) * (y1 - y0) / 8 == pytest.approx(0)
    assert [p.radius for p in left.patches if isinstance(p, Circle)] == [0.5]
    d, weight = right.lines[0].get_xydata().T
    assert np.allclose(weight, 1 / (1 + (d / 0.5) ** 8), atol=1e-6) and (np.diff(d) >= 0).all()


def test_gaussian_profiles():
    y, x = ((torch.arange(n) + 0.5) / n * 2 - 1 for n in (5, 9))
    weight = torch.exp(-(y[:, None] ** 2 + x**2) / (2 * 0.4**2))
    figure = plots.plot_gaussian(weight)
    left, right = [a for a in figure.axes if a.images or a.lines][:2]
    assert left.images[0].get_extent() == [0, 9, 5, 0]
    across, down = right.lines
    assert np.allclose(across.get_xydata(), torch.stack([x, weight[2]], dim=1), atol=1e-6)
    assert np.allclose(down.get_xydata(), torch.stack([y, weight[:, 4]], dim=1), atol=1e-6)


def test_tensors_with_a_graph_are_fine(video):
    grown = video.clone().requires_grad_()
    plots.plot_film_strip(grown)
    plots.plot_latents(torch.randn(2, 4, 8, 8, requires_grad=True))
    plots.plot_loss_terms(torch.rand(1, 3, requires_grad=True))
