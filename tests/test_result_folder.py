import json
import os

import pytest

from sgi2v_lab import files
from sgi2v_lab.errors import InputError
from sgi2v_lab.files import result_folder, write_record


def make(out, text):
    with result_folder(out) as folder:
        (folder / "figures").mkdir()
        (folder / "figures" / "a.txt").write_text(text)
        write_record(folder, {"command": "test"})


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


def test_a_result_is_there_whole_with_its_record(tmp_path):
    make(tmp_path / "deep" / "result", "first")
    assert names(tmp_path / "deep") == ["result", "result/figures", "result/figures/a.txt", "result/run.json"]
    record = json.loads((tmp_path / "deep" / "result" / "run.json").read_text())
    assert record == {"program": "sgi2v", "command": "test", "files": ["figures/a.txt", "run.json"]}


def test_nothing_is_seen_before_the_end_and_an_earlier_result_goes_as_a_whole(tmp_path):
    out = tmp_path / "result"
    make(out, "first")
    with result_folder(out) as folder:
        assert (out / "figures" / "a.txt").read_text() == "first"
        write_record(folder, {})
    assert names(tmp_path) == ["result", "result/run.json"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_a_failure_leaves_what_was_there(tmp_path, error):
    make(tmp_path / "result", "first")
    before = names(tmp_path)
    for out in (tmp_path / "result", tmp_path / "new" / "deep" / "result"):
        with pytest.raises(error), result_folder(out) as folder:
            (folder / "half.txt").write_text("half")
            raise error
    assert names(tmp_path) == before
    assert (tmp_path / "result" / "figures" / "a.txt").read_text() == "first"


def test_an_earlier_result_comes_back_if_the_new_one_cannot_be_put_there(tmp_path, monkeypatch):
    make(tmp_path / "result", "first")
    replace = os.replace

    def fails_for_the_new_one(source, target):
        if str(source).endswith(".part"):
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", fails_for_the_new_one)
    with pytest.raises(InputError, match="No space left"):
        make(tmp_path / "result", "second")
    assert names(tmp_path) == ["result", "result/figures", "result/figures/a.txt", "result/run.json"]


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "result").mkdir()
    make(tmp_path / "result", "first")
    assert (tmp_path / "result" / "run.json").is_file()


@pytest.mark.parametrize(
    "content",
    [
        {"thesis.txt": "years"},
        {"run.json": "{}"},
        {"run.json": "no json"},
        {"run.json": '{"program": "another", "files": ["run.json"]}'},
        {"run.json": '{"program": "sgi2v", "files": ["run.json"]}', "notes/thesis.txt": "years"},
    ],
)
def test_a_folder_of_somebody_else_is_refused(tmp_path, content):
    for name, text in content.items():
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / name).write_text(text)
    before = names(tmp_path)
    with pytest.raises(InputError, match="did not write"):
        make(tmp_path / "mine", "first")
    assert names(tmp_path) == before


def test_a_link_within_an_earlier_result_is_not_followed(tmp_path):
    make(tmp_path / "result", "first")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    (tmp_path / "result" / "link").symlink_to(tmp_path / "mine", target_is_directory=True)
    with pytest.raises(InputError, match="'link'"):
        make(tmp_path / "result", "second")


def test_litter_of_file_managers_does_not_matter(tmp_path):
    make(tmp_path / "result", "first")
    (tmp_path / "result" / ".DS_Store").write_bytes(b"")
    (tmp_path / "result" / "._video.mp4").write_bytes(b"")
    (tmp_path / "result" / ".ipynb_checkpoints").mkdir()  # JupyterLab's, from a look at run.json
    (tmp_path / "result" / ".ipynb_checkpoints" / "run-checkpoint.json").write_text("{}")
    make(tmp_path / "result", "second")
    assert (tmp_path / "result" / "figures" / "a.txt").read_text() == "second"


def test_places_that_cannot_be_written_or_replaced(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    for out in ("file", "file/a", "file/a/b", "/proc/result", "/proc/a/b", ".", "..", "/", "x\0y"):
        with pytest.raises(InputError):
            make(out, "first")
    assert names(tmp_path) == ["file"]
