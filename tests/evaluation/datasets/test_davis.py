import numpy as np
import PIL.Image
import pytest

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.datasets import open_dataset
from tests.helpers.real_clips import pasted, write_pictures

PALETTE = [value for index in range(256) for value in (index, 255 - index, 37 * index % 256)]
BALL, DOG = (1, (10, 8, 30, 24), (3, 1)), (2, (60, 30, 80, 50), (-1, 0), range(5))


def write_masks(folder, masks):
    folder.mkdir(parents=True)
    for f, mask in enumerate(masks):
        picture = PIL.Image.fromarray(mask.astype(np.uint8)).convert("P")
        picture.putpalette(PALETTE)
        picture.save(folder / f"{f:05d}.png")


@pytest.fixture
def folder(tmp_path):
    """DAVIS 2017's layout: one video with two objects, the second hidden from frame 5 on, and one with one object."""
    root = tmp_path / "DAVIS"
    for name, things in (("park", (BALL, DOG)), ("beach", (BALL,))):
        frames, masks = pasted(10, *things)
        for mask in masks:
            mask[0, :3] = 255  # void
        write_pictures(root / "JPEGImages" / "480p" / name, frames)
        write_masks(root / "Annotations" / "480p" / name, masks)
    (root / "ImageSets" / "2017").mkdir(parents=True)
    (root / "ImageSets" / "2017" / "val.txt").write_text("beach\npark\n")
    (root / "ImageSets" / "2017" / "train.txt").write_text("park\n")
    return root


@pytest.fixture
def folder_2016(tmp_path):
    """The layout of 2016: a line for each frame in its lists, masks of 0 and 255, a few with an alpha channel."""
    root = tmp_path / "DAVIS2016"
    frames, masks = pasted(6, (255, (10, 8, 30, 24), (3, 1)))
    write_pictures(root / "JPEGImages" / "480p" / "bear", frames)
    write_pictures(root / "Annotations" / "480p" / "bear", [mask.astype(np.uint8) for mask in masks], "{:05d}.png")
    last = root / "Annotations" / "480p" / "bear" / "00005.png"
    PIL.Image.open(last).convert("LA").save(last)
    (root / "ImageSets" / "480p").mkdir(parents=True)
    lines = [f"/JPEGImages/480p/bear/{f:05d}.jpg /Annotations/480p/bear/{f:05d}.png \n" for f in range(6)]
    (root / "ImageSets" / "480p" / "val.txt").write_text("".join(lines))
    return root


def opened(folder, **options):
    return open_dataset("davis", folder, **{"size": (96, 64), "num_frames": 4, **options})


def test_boxes_are_the_masks_tight_boxes(folder):
    dataset = opened(folder)
    assert dataset.names == ("beach", "park")
    sample = dataset["park"]
    assert sample.meta["frames"] == [0, 3, 6, 9]
    ball, dog = sample.trajectories.boxes(4).tolist()
    assert ball == [[10, 8, 30, 24], [19, 11, 39, 27], [28, 14, 48, 30], [37, 17, 57, 33]]
    assert dog == [[60, 30, 80, 50], [57, 30, 77, 50], [57, 30, 77, 50], [57, 30, 77, 50]]
    assert sample.visible.tolist() == [[True] * 4, [True, True, False, False]]
    assert [trajectory.name for trajectory in sample.trajectories] == ["object 1", "object 2"]


def test_an_object_that_comes_later_is_left_out(folder):
    frames, masks = pasted(10, BALL, (2, (60, 30, 80, 50), (-1, 0), range(3, 10)))
    write_pictures(folder / "JPEGImages" / "480p" / "late", frames)
    write_masks(folder / "Annotations" / "480p" / "late", masks)
    (folder / "ImageSets" / "2017" / "val.txt").write_text("late")
    sample = opened(folder)["late"]
    assert sample.meta["objects"] == ["object 1"] and sample.meta["dropped"] == {"absent at first": 1}


def test_a_crop_takes_boxes_along_and_leaves_out_what_it_cuts_off(folder):
    # 96 x 64 to 32 x 32: the middle, x from 16 to 80, at half the size
    sample = opened(folder, size=(32, 32), how="crop", num_frames=2, stride=9)["park"]
    assert sample.clip.shape == (2, 3, 32, 32)
    assert sample.trajectories.boxes(2)[0].tolist() == [[-3, 4, 7, 12], [10.5, 8.5, 20.5, 16.5]]
    # 16 x 32 shows x from 32 to 64: the ball's centre, 20, and the dog's, 70, are cut off
    with pytest.raises(InputError, match="park has no object to follow .2 outside."):
        opened(folder, size=(16, 32), how="crop", num_frames=2, stride=9)["park"]


def test_2016_is_one_object(folder_2016):
    sample = opened(folder_2016, stride=1, num_frames=6)["bear"]
    assert len(sample.trajectories) == 1
    assert sample.trajectories.boxes(6)[0, 5].tolist() == [25, 13, 45, 29]


def test_other_split(folder):
    assert opened(folder, split="train").names == ("park",)


def _only_first_mask(folder):
    for path in (folder / "Annotations" / "480p" / "beach").iterdir():
        if path.name != "00000.png":
            path.unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "JPEGImages").rename(f / "JPEGs"), "has no JPEGImages/480p/: expected the videos' frames"),
        (lambda f: (f / "Annotations").rename(f / "A"), "has no Annotations/480p/: expected the masks"),
        (lambda f: (f / "ImageSets").rename(f / "I"), "has no ImageSets/2017/ or ImageSets/480p/"),
        (lambda f: (f / "ImageSets/2017/val.txt").unlink(), "there is no list .*val.txt"),
        (lambda f: (f / "ImageSets/2017/val.txt").write_text(""), "val.txt is empty"),
        (lambda f: (f / "ImageSets/2017/val.txt").write_text("beach\nmoon"), "names 'moon'"),
        (_only_first_mask, "holds 1 masks for 10 pictures"),
    ],
)
def test_damage_has_its_own_message(folder, damage, message):
    damage(folder)
    with pytest.raises(InputError, match=message):
        opened(folder)["beach"]


def test_bad_options(folder):
    with pytest.raises(InputError, match="has no JPEGImages/1080p/"):
        opened(folder, resolution="1080p")
    with pytest.raises(InputError, match="has 10 frames: expected at least 13 for 5 at a stride of 3"):
        opened(folder, num_frames=5)["park"]
