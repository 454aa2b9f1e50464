"""Files that are there whole or not at all."""

from pathlib import Path

import pytest

from sgi2v_lab.errors import InputError
from sgi2v_lab.files import as_path, in_order, is_litter, whole_file, write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "folder" / "a.json"
    with whole_file(path) as temporary:
        assert temporary.suffix == ".json" and temporary.parent == path.parent
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert names(path.parent) == ["a.json"]


@pytest.mark.parametrize("stop", [ValueError, KeyboardInterrupt])
def test_what_is_interrupted_leaves_the_old_file_and_nothing_else(tmp_path, stop):
    path = write_text(tmp_path / "a.txt", "old")
    with pytest.raises(stop), whole_file(path) as temporary:
        temporary.write_text("ha")
        raise stop
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_folder_that_is_not_finished_is_removed_with_all_in_it(tmp_path):
    with pytest.raises(ValueError), whole_file(tmp_path / "frames") as temporary:
        temporary.mkdir()
        (temporary / "0.png").write_bytes(b"")
        raise ValueError
    assert names(tmp_path) == []


def test_home_is_found_and_addresses_are_no_paths(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert write_text("~/a.txt", "text") == tmp_path / "a.txt"
    assert names(tmp_path) == ["a.txt"]
    assert as_path(r"C:\a.txt").name and as_path(b"a.txt").name == "a.txt"
    for bad in ("https://example.org/a.png", "s3://a/b", "", "a\0b", "~nobody-has-this-name/a"):
        with pytest.raises(InputError, match="expected the path of a thing|write the path of a thing"):
            as_path(bad, "a thing")


def test_litter_is_known_and_numbers_count():
    listed = ["f10.png", "f2.png", "._f1.png", "f1.png", ".DS_Store", "Thumbs.db", "f02.png", "F3.png"]
    found = [path.name for path in in_order(map(Path, listed))]
    assert found == ["F3.png", "f1.png", "f02.png", "f2.png", "f10.png"]
    assert is_litter(Path("a/.ipynb_checkpoints/run-checkpoint.json")) and not is_litter(Path("a/run.json"))


def test_text_is_utf8_and_replaces_what_was_there(tmp_path):
    for text in ("Größe ≤ 3 px\n", "short"):
        assert write_text(str(tmp_path / "a.txt"), text) == tmp_path / "a.txt"
        assert (tmp_path / "a.txt").read_bytes() == text.encode()
    assert names(tmp_path) == ["a.txt"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*a.txt.*choose a writable place"):
        write_text(tmp_path / "file" / "a.txt", "text")
    (tmp_path / "folder" / "within").mkdir(parents=True)
    with pytest.raises(InputError, match="cannot write .*folder"):
        write_text(tmp_path / "folder", "text")
    assert names(tmp_path) == ["file", "folder"]
