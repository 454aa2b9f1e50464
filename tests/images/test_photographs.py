"""Photographs that ship with libraries."""

import pytest
import torch

import sgi2v_lab.widgets.studio.pictures
from sgi2v_lab.cli import demo
from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.scenes import photographs as exam_photographs
from sgi2v_lab.images.photographs import LIBRARY_OF, read_photograph
from sgi2v_lab.toy.world import cutouts, scenes
from tests.helpers import known_motion


@pytest.mark.parametrize("name", LIBRARY_OF)
def test_every_photograph_is_a_picture(name):
    picture = read_photograph(name)
    assert picture.shape[0] == 3 and min(picture.shape[1:]) >= 300
    assert picture.dtype == torch.float32
    assert picture.min() >= 0 and 0.5 < picture.max() <= 1
    assert picture.std() > 0.02  # it shows something
    assert torch.equal((picture * 255).round() / 255, picture)  # 8 bits, unchanged


def test_grey_ones_have_three_equal_channels_and_coloured_ones_do_not():
    for name, grey in (("camera", True), ("coins", True), ("retina", False), ("grace_hopper", False)):
        red, green, blue = read_photograph(name)
        assert (torch.equal(red, green) and torch.equal(green, blue)) == grey


def test_a_photograph_is_read_once():
    assert read_photograph("china") is read_photograph("china")


def test_an_unknown_name_is_refused():
    with pytest.raises(InputError, match="no photograph 'lena'; there are astronaut, "):
        read_photograph("lena")


def test_whoever_uses_photographs_names_known_ones():
    used = {
        *(example.name for example in exam_photographs.PHOTOGRAPHS),
        *scenes.PHOTOGRAPHS,
        *cutouts.CUTOUTS.values(),
        *known_motion.PHOTOGRAPHS,
        *sgi2v_lab.widgets.studio.pictures.SAMPLES.values(),
        demo.PHOTOGRAPH,
    }
    assert used == set(LIBRARY_OF)


def test_the_toy_is_examined_on_photographs_that_it_was_not_trained_on():
    asked = {example.name for example in exam_photographs.PHOTOGRAPHS} | {demo.PHOTOGRAPH}
    assert not asked & {*scenes.PHOTOGRAPHS, *cutouts.CUTOUTS.values()}
