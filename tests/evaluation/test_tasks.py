"""Tasks survive: kills, full disks, damage, deletion, company, workers that die."""

import errno
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.experiments.plan import Status
from sgi2v_lab.evaluation.tasks import run as run_module
from sgi2v_lab.evaluation.tasks.records import Record, RecordFolder, State
from sgi2v_lab.evaluation.tasks.run import HOPELESS, run_tasks
from tests.helpers.quick_tasks import WEIGHTS, Deadly, Faulty, Quick, finish, no_model, work

ROOT = Path(__file__).parents[2]
PROGRAM = "from tests.helpers.quick_tasks import main; main()"


def start(folder, count, seconds, workers):
    """A run of quick tasks in a process group of its own."""
    arguments = [sys.executable, "-c", PROGRAM, str(folder), str(count), str(seconds), str(workers)]
    return subprocess.Popen(arguments, cwd=ROOT, start_new_session=True, stderr=subprocess.PIPE)


def fork(folder, count, seconds):
    """Likewise, in a copy of this process, which has imported everything, and without workers."""
    run = multiprocessing.get_context("fork").Process(target=work, args=(Path(folder), count, seconds, 1))
    run.start()
    return run


def begun(folder):
    """The numbers of the tasks that were begun, in their order."""
    log = Path(folder) / "log"
    return log.read_text().split() if log.exists() else []


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def is_alive(run):
    return run.poll() is None if isinstance(run, subprocess.Popen) else run.is_alive()


def end(run, kill=os.kill):
    """Kill -9 a run, or all its group."""
    kill(run.pid, signal.SIGKILL)
    if isinstance(run, subprocess.Popen):
        run.wait()
        run.stderr.close()
    else:
        run.join()


def wait_until(condition, seconds=600):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.005)


# --- kills -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_kill_9_at_20_random_moments_loses_only_what_is_in_flight(tmp_path):
    count, kills, rng = 100, 20, random.Random(5)
    whole = finish([Quick(n) for n in range(count)], tmp_path / "whole")
    folder = tmp_path / "killed"

    def present():
        return len(list((folder / "tasks").glob("[0-9a-f]*.json")))

    for kill in range(kills):
        goal = present() + (more := rng.randrange(6))
        alone = kill % 5  # else with two workers
        run = fork(folder, count, 0.02) if alone else start(folder, count, 0.02, workers=2)
        try:
            if more:
                wait_until(lambda goal=goal, run=run: present() >= goal or not is_alive(run))
            time.sleep(rng.uniform(0, 0.04 if more else 0.3))
        finally:  # the whole group, or the one that waits, whose workers then have to end themselves
            end(run, os.kill if alone or kill % 2 else os.killpg)
        if (folder / "tasks").exists():
            found = {RecordFolder(folder / "tasks").look(record.key).state for record in whole}
            assert found <= {State.FINISHED, State.ABSENT}, "something is half there"
    assert 20 < present() < count, "they were killed in the middle"
    assert finish([Quick(n) for n in range(count)], folder / "tasks") == whole, "bit by bit, apart from times"
    assert names(folder / "tasks") == names(tmp_path / "whole"), "nothing else is left behind"
    assert len(begun(folder)) <= count + 2 * kills, "only the two in flight were begun again"


def test_workers_do_not_outlive_a_killed_run(tmp_path):
    run = start(tmp_path, 4, 600, workers=2)
    wait_until(lambda: len(begun(tmp_path)) == 2)
    tasks = RecordFolder(tmp_path / "tasks")
    assert sum(tasks.claimed(Quick(n).key) for n in range(4)) == 2
    end(run)
    wait_until(lambda: not any(tasks.claimed(Quick(n).key) for n in range(4)))


# --- what happens to files -------------------------------------------------------------------------------------------


def test_damaged_and_deleted_records_are_made_again_and_damage_is_reported(tmp_path):
    tasks = [Quick(n) for n in range(5)]
    first = finish(tasks, tmp_path / "tasks")
    cut, emptied, other, gone, kept = (tmp_path / "tasks" / f"{task.key}.json" for task in tasks)
    cut.write_bytes(cut.read_bytes()[:-20])
    emptied.write_bytes(b"\0" * 700)
    other.write_text('["no", "record"]')
    gone.unlink()
    untouched = kept.stat().st_mtime_ns
    status = Status.of(tmp_path / "tasks", {task.key: f"number {task.number}" for task in tasks})
    assert (status.finished, status.damaged, status.left) == (1, 3, 1)
    assert status.damages[0] == f"number 0: {cut.name} is cut off or is no record"
    again = finish(tasks, tmp_path / "tasks")
    assert [r.result for r in again] == [r.result for r in first] and kept.stat().st_mtime_ns == untouched


def test_a_film_strip_that_is_cut_off_is_noticed(tmp_path):
    folder = RecordFolder.at(tmp_path)
    strip = tmp_path / f"{'0' * 20}.png"
    record = Record(key="0" * 20, task={}, weights=WEIGHTS, strip=strip.name, strip_bytes=8, result={})
    strip.write_bytes(b"12345678")
    folder.keep(record)
    assert folder.look(record.key).state is State.FINISHED
    strip.write_bytes(b"1234567")
    assert folder.look(record.key).why == f"{strip.name} has 7 bytes instead of 8"
    strip.unlink()
    assert folder.look(record.key).why == f"{strip.name} is gone"


def test_what_a_killed_process_left_behind_is_removed_and_others_files_are_not(tmp_path):
    key = Quick(1).key
    for name in (f".{key}.0123abcd.json", f".{key}.0123abcd.png", f"{key}.lock", "notes.txt", ".hidden.json"):
        (tmp_path / name).touch()
    assert not RecordFolder(tmp_path).claimed(key)
    finish([], tmp_path)
    assert names(tmp_path) == [".hidden.json", "notes.txt"]
    with RecordFolder(tmp_path).claim(key) as mine:
        assert mine
        (tmp_path / f".{key}.0123abcd.json").touch()
        finish([], tmp_path)
        assert f".{key}.0123abcd.json" in names(tmp_path), "somebody may be writing it"


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path, workers):
    """On a real small disk, in a mount namespace of its own."""
    if not shutil.which("unshare"):
        pytest.skip("there is no unshare here")
    disk = tmp_path / "disk"
    disk.mkdir()
    script = f"""
import subprocess, sys
from tests.helpers.quick_tasks import Path, Quick, RecordFolder, finish
mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", {str(disk)!r}]).returncode
if mounted:
    sys.exit(77)
tasks = [Quick(n) for n in range(40)]
from sgi2v_lab.errors import InputError
folder = RecordFolder(Path({str(disk)!r}))
try:
    finish(tasks, folder.path, workers={workers})
except InputError as error:
    print(error)
states = [folder.look(task.key).state for task in tasks]
print(states.count("finished"), states.count("absent"), sorted(p.name for p in folder.path.glob(".*")))
subprocess.run(["mount", "-o", "remount,size=1m", {str(disk)!r}], check=True)
print(len(finish(tasks, folder.path, workers={workers})))
"""
    root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    done = subprocess.run(
        ["unshare", *root, "--mount", sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode in (1, 77) and "Error" not in done.stderr:
        pytest.skip(f"no disk can be mounted here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    sentence, counts, after = done.stdout.splitlines()
    assert f"cannot write '{disk}/" in sentence and "(No space left on device)" in sentence
    finished, absent, litter = counts.split(maxsplit=2)
    assert int(finished) >= 10 and int(finished) + int(absent) == 40 and litter == "[]"
    assert after == "40"


def test_a_write_that_fails_is_not_taken_for_the_tasks_failure(tmp_path, monkeypatch):
    def full(path, *_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(InputError, match=r"cannot write .*\(No space left on device\)"):
            finish([Quick(1)], tmp_path)
    assert names(tmp_path) == []
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="Not a directory|File exists"):
        finish([Quick(1)], tmp_path / "file")


# --- company ---------------------------------------------------------------------------------------------------------


def test_two_runs_on_one_folder_share_the_work(tmp_path):
    runs = [fork(tmp_path, 40, 0.02) for _ in range(2)]
    for run in runs:
        run.join(600)
        assert run.exitcode == 0
    assert sorted(map(int, begun(tmp_path))) == list(range(40)), "nothing is done twice"
    assert finish([Quick(n) for n in range(40)], tmp_path / "tasks") == finish(
        [Quick(n) for n in range(40)], tmp_path / "alone"
    )
    assert names(tmp_path / "tasks") == names(tmp_path / "alone")


def test_what_another_run_is_at_is_waited_for_and_taken_over_if_it_dies(tmp_path):
    other = fork(tmp_path, 1, 600)
    wait_until(lambda: begun(tmp_path) == ["0"])
    records = []
    ours = threading.Thread(target=lambda: records.extend(finish([Quick(1), Quick(0)], tmp_path / "tasks")))
    ours.start()
    wait_until(lambda: RecordFolder(tmp_path / "tasks").look(Quick(1).key).state is State.FINISHED)
    time.sleep(0.5)
    assert ours.is_alive(), "it waits for the other one"
    other.kill()
    other.join()
    ours.join(600)
    assert [record.result["square"] for record in records] == [1001, 1000]


# --- failures and dead workers ---------------------------------------------------------------------------------------


def test_a_failing_task_is_recorded_and_tried_again(tmp_path):
    records = finish([Quick(1), Faulty(2), Quick(3)], tmp_path)
    assert [record.error for record in records] == [None, "RuntimeError: the lamp went out", None]
    assert finish([Quick(2)], tmp_path)[0].result["square"] == 1004


@pytest.mark.slow
def test_a_worker_that_dies_is_survived_and_what_kills_it_each_time_is_named_when_all_else_is_done(tmp_path):
    once = str(tmp_path / "once")
    tasks = [Quick(0, seconds=0.2), Deadly(1, once), Deadly(2), *(Quick(n) for n in range(3, 12))]
    with pytest.raises(InputError, match=r"killed, .* at \(quick, 2\); run the same again with fewer workers"):
        finish(tasks, tmp_path / "tasks", workers=2)
    folder = RecordFolder(tmp_path / "tasks")
    assert [task.number for task in tasks if folder.look(task.key).state is not State.FINISHED] == [2]
    assert folder.look(Quick(1).key).record.result["square"] == 1001


def test_where_every_worker_dies_it_stops(tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "HOPELESS", 2)
    with pytest.raises(InputError, match="fewer workers"):
        finish([Deadly(n) for n in range(3 * HOPELESS)], tmp_path, workers=2)


def test_a_model_that_cannot_be_loaded_stops_the_run(tmp_path):
    with pytest.raises(InputError, match="no such weights"):
        run_tasks([Quick(1), Quick(2)], RecordFolder.at(tmp_path), WEIGHTS, no_model, workers=2)
    assert names(tmp_path) == []


class Eraser(Quick):
    """Removes all results."""

    def run(self, model):
        for path in Path(self.log).glob("*.json"):
            path.unlink()
        return super().run(model)


def test_a_result_that_is_removed_during_the_run_is_one_sentence(tmp_path):
    (tmp_path / "tasks").mkdir()
    with pytest.raises(InputError, match=f"the result of {Quick(1).key} was removed"):
        finish([Quick(1), Eraser(2, str(tmp_path / "tasks"))], tmp_path / "tasks")
