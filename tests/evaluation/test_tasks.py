"""Tasks survive: kills, full disks, damage, deletion, company, workers that die; on processes, executors and Dask."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from sgi2v_lab.errors import InputError
from sgi2v_lab.evaluation.tasks import executors
from sgi2v_lab.evaluation.tasks import log as log_module
from sgi2v_lab.evaluation.tasks.executors import HOPELESS, Lost, dask_executor, in_processes, on_executor
from sgi2v_lab.evaluation.tasks.folder import State, TaskFolder
from sgi2v_lab.evaluation.tasks.log import TaskLog
from sgi2v_lab.evaluation.tasks.resumable import finish_tasks
from tests.helpers.quick_tasks import WEIGHTS, Deadly, Faulty, Quick, finish, model

ROOT = Path(__file__).parents[2]
PROGRAM = "from tests.helpers.quick_tasks import main; main()"


def start(folder, count, seconds, workers):
    """A run of quick tasks in a process group of its own."""
    arguments = [sys.executable, "-c", PROGRAM, str(folder), str(count), str(seconds), str(workers)]
    return subprocess.Popen(arguments, cwd=ROOT, start_new_session=True, stderr=subprocess.PIPE)


def begun(folder):
    """The numbers of the tasks that were begun, in their order."""
    log = Path(folder) / "log"
    return log.read_text().split() if log.exists() else []


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def wait_until(condition, seconds=600):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.005)


# --- kills -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_kill_9_at_20_random_moments_loses_only_what_is_in_flight(tmp_path):
    count, kills, rng = 150, 20, random.Random(5)
    whole = finish([Quick(n) for n in range(count)], tmp_path / "whole")
    folder = tmp_path / "killed"

    def present():
        return len(list((folder / "tasks").glob("[0-9a-f]*.json")))

    for kill in range(kills):
        before = present()
        run = start(folder, count, 0.05, workers=2)
        try:
            if more := rng.randrange(6):
                wait_until(lambda goal=before + more, run=run: present() >= goal or run.poll() is not None)
            time.sleep(rng.uniform(0, 0.04 if more else 0.3))
        finally:  # the whole group, or the one that waits, whose workers then have to end themselves
            (os.killpg if kill % 2 else os.kill)(run.pid, signal.SIGKILL)
            run.wait()
            run.stderr.close()
        if (folder / "tasks").exists():
            found = {TaskFolder(folder / "tasks").look(record["key"]).state for record in whole}
            assert found <= {State.FINISHED, State.ABSENT}, "something is half there"
    assert 20 < present() < count, "they were killed in the middle"
    last = start(folder, count, 0.02, workers=2)
    assert last.wait(timeout=600) == 0, last.stderr.read()
    last.stderr.close()

    assert finish([Quick(n) for n in range(count)], folder / "tasks") == whole, "bit by bit, apart from times"
    assert names(folder / "tasks") == names(tmp_path / "whole"), "nothing else is left behind"
    assert len(begun(folder)) <= count + 2 * kills, "only the two in flight were begun again"


def test_workers_do_not_outlive_a_killed_run(tmp_path):
    run = start(tmp_path, 4, 600, workers=2)
    wait_until(lambda: len(begun(tmp_path)) == 2)
    tasks = TaskFolder(tmp_path / "tasks")
    assert sum(tasks.claimed(Quick(n).key) for n in range(4)) == 2
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    run.stderr.close()
    wait_until(lambda: not any(tasks.claimed(Quick(n).key) for n in range(4)))


# --- what happens to files -------------------------------------------------------------------------------------------


def test_damaged_and_deleted_records_are_made_again_and_it_says_so(tmp_path):
    tasks, log = [Quick(n) for n in range(5)], TaskLog(tmp_path / "log.jsonl")
    first = finish(tasks, tmp_path / "tasks", log=log)
    cut, emptied, other, gone, kept = (tmp_path / "tasks" / f"{task.key}.json" for task in tasks)
    cut.write_bytes(cut.read_bytes()[:-20])
    emptied.write_bytes(b"\0" * 700)
    other.write_text('["no", "record"]')
    gone.unlink()
    untouched = kept.stat().st_mtime_ns
    again = finish(tasks, tmp_path / "tasks", log=log)
    why = [record.pop("replaces", None) for record in again]
    assert again == first and kept.stat().st_mtime_ns == untouched
    assert why[:3] == [f"{path.name} is cut off or is no record" for path in (cut, emptied, other)]
    assert why[3:] == [f"{gone.name} was deleted", None]
    assert finish(tasks, tmp_path / "tasks", log=log)[3]["replaces"], "and it is not forgotten"


def test_a_film_strip_that_is_cut_off_is_noticed(tmp_path):
    folder = TaskFolder.at(tmp_path)
    record = {"key": "0" * 20, "strip": f"{'0' * 20}.png", "strip_bytes": 8, "result": {}}
    (tmp_path / record["strip"]).write_bytes(b"12345678")
    folder.keep(record)
    assert folder.look(record["key"]).state is State.FINISHED
    (tmp_path / record["strip"]).write_bytes(b"1234567")
    assert folder.look(record["key"]).why == f"{record['strip']} has 7 bytes instead of 8"
    (tmp_path / record["strip"]).unlink()
    assert folder.look(record["key"]).why == f"{record['strip']} is gone"


def test_what_a_killed_process_left_behind_is_removed_and_others_files_are_not(tmp_path):
    key = Quick(1).key
    for name in (f".{key}.0123abcd.json", f".{key}.0123abcd.png", f"{key}.lock", "notes.txt", ".hidden.json"):
        (tmp_path / name).touch()
    assert not TaskFolder(tmp_path).claimed(key)
    finish([], tmp_path)
    assert names(tmp_path) == [".hidden.json", "notes.txt"]
    (tmp_path / f".{key}.0123abcd.json").touch()
    with TaskFolder(tmp_path).claim(key) as mine:
        assert mine
        finish([], tmp_path)
        assert f".{key}.0123abcd.json" in names(tmp_path), "somebody may be writing it"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path, workers):
    """On a real small disk, in a mount namespace of its own."""
    if not shutil.which("unshare"):
        pytest.skip("there is no unshare here")
    disk = tmp_path / "disk"
    disk.mkdir()
    script = f"""
import subprocess, sys
from tests.helpers.quick_tasks import Path, Quick, TaskFolder, finish
mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", {str(disk)!r}]).returncode
if mounted:
    sys.exit(77)
tasks = [Quick(n) for n in range(40)]
from sgi2v_lab.errors import InputError
folder = TaskFolder(Path({str(disk)!r}))
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
    assert f"{disk} cannot take another result (No space left on device; 0.0 MB are free there)" in sentence
    finished, absent, litter = counts.split(maxsplit=2)
    assert int(finished) >= 10 and int(finished) + int(absent) == 40 and litter == "[]"
    assert after == "40"


def test_a_write_that_fails_is_not_taken_for_the_tasks_failure(tmp_path, monkeypatch):
    def full(path, *_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(InputError, match=r"cannot take another result \(No space left on device; .* MB are free"):
            finish([Quick(1)], tmp_path)
    assert names(tmp_path) == []
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="Not a directory|File exists"):
        finish([Quick(1)], tmp_path / "file")


# --- company ---------------------------------------------------------------------------------------------------------


def test_two_runs_on_one_folder_share_the_work(tmp_path):
    runs = [start(tmp_path, 40, 0.05, workers=workers) for workers in (1, 2)]
    for run in runs:
        assert run.wait(timeout=600) == 0, run.stderr.read()
        run.stderr.close()
    assert sorted(map(int, begun(tmp_path))) == list(range(40)), "nothing is done twice"
    assert finish([Quick(n) for n in range(40)], tmp_path / "tasks") == finish(
        [Quick(n) for n in range(40)], tmp_path / "alone"
    )
    assert names(tmp_path / "tasks") == names(tmp_path / "alone")


def test_what_another_run_is_at_is_waited_for_and_taken_over_if_it_dies(tmp_path):
    other = start(tmp_path, 1, 600, workers=1)
    wait_until(lambda: begun(tmp_path) == ["0"])
    records = []
    ours = threading.Thread(target=lambda: records.extend(finish([Quick(1), Quick(0)], tmp_path / "tasks")))
    ours.start()
    wait_until(lambda: TaskFolder(tmp_path / "tasks").look(Quick(1).key).state is State.FINISHED)
    time.sleep(0.5)
    assert ours.is_alive(), "it waits for the other one"
    other.kill()
    other.wait()
    other.stderr.close()
    ours.join(600)
    assert [record["result"]["square"] for record in records] == [1001, 1000]


# --- failures and dead workers ---------------------------------------------------------------------------------------


def test_a_failing_task_is_recorded_and_tried_again(tmp_path):
    records = finish([Quick(1), Faulty(2), Quick(3)], tmp_path)
    assert [record.get("error") for record in records] == [None, "RuntimeError: the lamp went out", None]
    assert finish([Quick(2)], tmp_path)[0]["result"]["square"] == 1004


@pytest.mark.slow
def test_a_worker_that_dies_is_survived_and_what_kills_it_each_time_is_given_up(tmp_path):
    once = str(tmp_path / "once")
    tasks = [Quick(0, seconds=0.2), Deadly(1, once), Deadly(2), *(Quick(n) for n in range(3, 12))]
    records = finish(tasks, tmp_path / "tasks", workers=2)
    assert [n for n, record in enumerate(records) if "error" in record] == [2]
    assert records[2]["error"].startswith("its worker process was ended from outside 3 times")
    assert records[1]["result"]["square"] == 1001


@pytest.mark.slow
def test_where_every_worker_dies_it_stops(tmp_path, monkeypatch):
    monkeypatch.setattr(executors, "ATTEMPTS", 1)
    with pytest.raises(InputError, match="fewer workers"):
        finish([Deadly(n) for n in range(3 * HOPELESS)], tmp_path, workers=2)


def test_any_executor_will_do_and_one_that_is_closed_is_one_sentence(tmp_path):
    tasks = [Quick(n) for n in range(6)]
    with ThreadPoolExecutor(3) as pool:
        assert finish(tasks, tmp_path / "a", executor=pool) == finish(tasks, tmp_path / "b")
    with pytest.raises(InputError, match="executor broke or was closed"):
        finish([*tasks, Quick(7)], tmp_path / "a", executor=pool)


class Unlucky(ThreadPoolExecutor):
    """Loses what is submitted among others, and whatever is deadly; as a cluster does whose worker is ended."""

    def __init__(self, crowd: int):
        super().__init__(1)
        self.crowd = crowd

    def submit(self, work, job):
        self.crowd -= 1
        if self.crowd >= 0 or job < 0:
            return super().submit(os.getenv, None)  # a TypeError, from outside the work
        return super().submit(work, job)


def test_what_was_lost_beside_something_deadly_is_tried_again_alone():
    jobs = {"good": 3, "deadly": -1, "better": 4}
    with Unlucky(crowd=3) as pool:
        found = dict(on_executor(abs, jobs, pool))
    assert (found["good"], found["better"]) == (3, 4)
    assert isinstance(found["deadly"], Lost) and "TypeError" in found["deadly"].why


def test_a_model_that_cannot_be_loaded_stops_the_run_when_it_is_bad_input(tmp_path):
    def load():
        raise InputError("no such weights")

    with ThreadPoolExecutor(1) as pool, pytest.raises(InputError, match="no such weights"):
        finish_tasks([Quick(1)], TaskFolder.at(tmp_path), WEIGHTS, load, executor=pool)
    assert names(tmp_path) == []


def test_processes_hand_back_what_was_asked_in_any_order():
    assert dict(in_processes(abs, {"a": -1, "b": 2, "c": -3}, 2)) == {"a": 1, "b": 2, "c": 3}


# --- Dask ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    import dask

    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(**options) as local,
    ):
        yield local


@pytest.mark.slow
def test_a_dask_cluster_gives_what_processes_give(tmp_path, cluster):
    tasks = [Quick(n, str(tmp_path / "log"), 0.02) for n in range(30)] + [Faulty(99)]
    there = finish(tasks, tmp_path / "dask", executor=cluster.scheduler_address)
    assert there == finish(tasks, tmp_path / "processes", workers=2)
    again = finish(tasks[:-1], tmp_path / "dask", executor="tcp://127.0.0.1:1")
    assert again == there[:-1], "where all is finished, nobody is asked"


@pytest.mark.slow
def test_a_dask_worker_killed_midway_is_survived(tmp_path, cluster):
    log = tmp_path / "log"
    tasks = [Quick(n, str(log), 0.1) for n in range(30)]
    pids = [worker.pid for worker in cluster.workers.values()]

    def kill():
        wait_until(lambda: len(begun(tmp_path)) >= 6)
        os.kill(pids[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    records = finish([*tasks, Deadly(77)], tmp_path / "tasks", executor=cluster.scheduler_address)
    killer.join()
    assert [record["result"]["square"] for record in records[:-1]] == [n**2 + model() for n in range(30)]
    assert records[-1]["error"].startswith("KilledWorker"), "and what kills each worker is given up"


def test_a_cluster_that_is_not_there_is_one_sentence(tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(executors, "PATIENCE", 0.5)
    with pytest.raises(InputError, match="no Dask scheduler answers at 'tcp://127.0.0.1:1'"):
        finish([Quick(1)], tmp_path, executor="tcp://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"pip install 'sgi2v_lab\[cluster\]'"), dask_executor("tcp://127.0.0.1:1"):
        pass


# --- the log -----------------------------------------------------------------------------------------------------


def test_the_log_tells_the_pace_and_passes_over_what_is_cut_off(tmp_path, monkeypatch):
    log, clock = TaskLog(tmp_path / "log.jsonl"), iter(range(0, 1000, 10))
    # only the log's clock: a cluster's threads of the tests before may still ask for the time
    monkeypatch.setattr(log_module, "time", SimpleNamespace(time=lambda: next(clock)))
    assert log.finished() == set() and log.pace() is None
    log.begin()
    log.add("a", True)
    log.add("b", False)
    assert log.pace() == 10 and log.finished() == {"a"}
    with log.path.open("a") as file:
        file.write('\n{"at": 33, "key": "c", "fin')  # killed while it wrote
    log.begin(["d"])
    assert log.finished() == {"a", "d"} and log.pace() is None
    assert [json.loads(line)["at"] for line in log.path.read_text().splitlines()[1:4]] == [0, 10, 20]
