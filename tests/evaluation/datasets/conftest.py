"""Miniature copies of all data sets: written once, and copied for every test that damages one."""

import shutil

import pytest

from tests.helpers.real_clips import miniatures


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("miniatures")
    miniatures(root)
    return root


def _copied(kind):
    return pytest.fixture(lambda folders, tmp_path: shutil.copytree(folders / kind, tmp_path / kind), name=kind)


davis, vipseg, examples, kinetics, ava, videos = map(
    _copied, ("davis", "vipseg", "examples", "kinetics", "ava", "videos")
)
