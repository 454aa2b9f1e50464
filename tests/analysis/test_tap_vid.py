import pickle
from pathlib import Path

import numpy as np
import pytest

from sgi2v_lab.analysis.tap_vid import read_tap_vid
from sgi2v_lab.errors import InputError


def film(frames: int = 5, tracks: int = 4) -> dict[str, np.ndarray]:
    dice = np.random.default_rng(0)
    return {
        "video": dice.integers(0, 256, (frames, 6, 8, 3), dtype=np.uint8),
        "points": dice.random((tracks, frames, 2), dtype=np.float32),
        "occluded": dice.random((tracks, frames)) < 0.3,
    }


def written(path: Path, content: object, protocol: int = pickle.DEFAULT_PROTOCOL) -> Path:
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def same(found, wanted) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(found, wanted.values(), strict=True))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_every_protocol(protocol, tmp_path):
    one, other = film(), film(6)
    other["points"] = np.asfortranarray(other["points"].astype(">f8"))
    other["quality"] = np.float32(0.5)
    found = read_tap_vid(written(tmp_path / "films.pkl", {"one": one, "other": other}, protocol))
    assert [*found] == ["one", "other"]
    assert same(found["one"], one)
    assert np.array_equal(found["other"][1], other["points"].astype(np.float32))
    listed = read_tap_vid(written(tmp_path / "films.pkl", [one], protocol))
    assert same(listed["films-0"], one)


def test_an_older_numpys_pickle(tmp_path):
    path = written(tmp_path / "films.pkl", {"one": film()}, 2)
    old = path.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    path.write_bytes(old)
    assert b"numpy.core" in old and same(read_tap_vid(path)["one"], film())


def test_an_npz(tmp_path):
    given = film()
    given["frames"] = given.pop("video")
    np.savez(tmp_path / "film.npz", **given)
    video, points, _ = read_tap_vid(tmp_path / "film.npz")["film"]
    assert np.array_equal(video, given["frames"]) and np.array_equal(points, given["points"])


class Trap:
    def __reduce__(self):
        return Path.touch, (Path("trapped"),)


class Eval:
    def __reduce__(self):
        return eval, ("__import__('pathlib').Path('trapped').touch()",)


class Memory:
    """numpy reads memory that is not there if it is asked for objects from bytes."""

    def __reduce__(self):
        return np.ndarray, ((1,), "O", b"12345678")


@pytest.mark.parametrize("trap", [Trap(), Eval(), film, np.array([{}]), np.random.default_rng(0)])
def test_a_pickle_with_anything_else_is_refused_before_it_is_made(trap, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path / "films.pkl", {"one": {**film(), "more": trap}})
    with pytest.raises(InputError, match="expected.* arrays"):
        read_tap_vid(path)
    assert not Path("trapped").exists()


def test_no_objects_from_bytes(tmp_path):
    with pytest.raises(InputError):
        read_tap_vid(written(tmp_path / "films.pkl", {"one": {**film(), "points": Memory()}}))
    np.savez(tmp_path / "film.npz", **{**film(), "points": np.array([{}], dtype=object)})
    with pytest.raises(InputError, match="cannot be read"):
        read_tap_vid(tmp_path / "film.npz")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"points": np.zeros((4, 5, 3), np.float32)}, r"points \(4, 5, 3\).*expected"),
        ({"points": np.zeros((4, 6, 2), np.float32)}, r"points \(4, 6, 2\).*expected"),
        ({"points": np.zeros((4, 5, 2), np.int64)}, "expected"),
        ({"occluded": np.zeros((5, 4), bool)}, r"occluded \(5, 4\).*expected"),
        ({"video": [b"jpeg"] * 5}, "JPEG"),
        ({"video": None}, "expected video"),
    ],
)
def test_another_layout_is_named(change, complaint, tmp_path):
    with pytest.raises(InputError, match=complaint):
        read_tap_vid(written(tmp_path / "films.pkl", {"one": {**film(), **change}}))


def test_files_that_are_no_films(tmp_path):
    lacking = film()
    del lacking["occluded"]
    for content, complaint in (({"one": lacking}, "no occluded"), ({"one": 3}, "is a int"), (3, "holds a int")):
        with pytest.raises(InputError, match=complaint):
            read_tap_vid(written(tmp_path / "films.pkl", content))
    whole = written(tmp_path / "films.pkl", [film()]).read_bytes()
    for length in (0, 1, 20, len(whole) // 2, len(whole) - 1):
        (tmp_path / "films.pkl").write_bytes(whole[:length])
        with pytest.raises(InputError, match="cannot be read"):
            read_tap_vid(tmp_path / "films.pkl")
    for name in ("nothing.pkl", "nothing.npz"):
        with pytest.raises(InputError, match=name):
            read_tap_vid(tmp_path / name)
