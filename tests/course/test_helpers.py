import pytest

from sgi2v_lab.course import in_fewer_steps, known_motion, model_card, paper_recipe, world_video
from sgi2v_lab.models.load import load_model
from sgi2v_lab.settings import Settings


@pytest.fixture(scope="module")
def toy_model():
    return load_model("toy", "cpu")


def test_fewer_steps_control_the_same_stretch():
    settings = Settings(num_inference_steps=50, control_steps=(5, 20))
    fewer = in_fewer_steps(settings, 12)
    assert (fewer.num_inference_steps, fewer.control_steps) == (12, (1, 5))
    assert in_fewer_steps(settings, None) == settings


def test_the_recipe_is_the_papers(toy_model):
    recipe = paper_recipe(toy_model, 12)
    assert (recipe.optimizer, recipe.iterations, recipe.cutoff, recipe.early_stop) == ("adamw", 5, 0.5, None)
    assert (recipe.num_inference_steps, recipe.learning_rate) == (12, 0.04)
    assert recipe.replace(learning_rate=0.06) == paper_recipe(toy_model, 12, learning_rate=0.06)


def test_the_boxes_say_how_it_moved(toy_model):
    video, boxes = known_motion(toy_model, "a large red plain circle at the left on blue clouds", (0.5, 0.125))
    settings = toy_model.settings
    assert video.shape == (toy_model.num_frames(settings), 3, settings.height, settings.width)
    way = boxes[0, -1] - boxes[0, 0]
    assert (way - (way.new_tensor([0.5, 0.125] * 2) * settings.width)).abs().max() < 1
    x0, y0, x1, y1 = boxes[0, -1].int().tolist()
    inside = video[-1, :, y0:y1, x0:x1].mean(dim=(1, 2))
    assert inside[0] > 2 * inside[2]  # the red disc is where the last box is


def test_a_seed_is_a_video():
    (video, boxes), (again, _), (other, _) = world_video(3), world_video(3), world_video(4)
    assert (video == again).all() and video.shape == other.shape and not (video == other).all()
    assert boxes.shape[1:] == (len(video), 4) and (boxes[..., 2:] > boxes[..., :2]).all()


def test_a_card_fits_into_a_chapter():
    headings = [line for line in model_card("toy").data.splitlines() if line.startswith("#")]
    assert headings[0].startswith("### Model card") and all(line.startswith("###") for line in headings)
