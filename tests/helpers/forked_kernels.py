"""Jupyter kernels that are there at once: copies of a process that has imported the libraries, which takes seconds.

Nothing of the project is imported before the copy is made. `python forked_kernels.py SOCKET` is that process, the
origin; `python forked_kernels.py SOCKET -f FILE` is what Jupyter starts in the place of a kernel, and lives as long.
It imports as little as it can, since it is started for every kernel.
"""

import json
import os
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path

LIBRARIES = (
    "anywidget",
    "av",
    "cv2",
    "diffusers.pipelines.stable_video_diffusion.pipeline_stable_video_diffusion",
    "ipykernel.kernelapp",
    "ipywidgets",
    "lark",
    "matplotlib.pyplot",
    "pydantic",
    "sklearn.decomposition",
    "torch",
    "transformers.models.clip.modeling_clip",
)

# Freed memory is kept: to get it anew from the system, page by page, takes 40% of decoding a video of the toy's.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**32)}


def ports_of_our_own(process: int) -> Iterator[int]:
    """Free ports for the kernels of one process of the tests, each a kernel's once.

    Jupyter lets the system choose a port, which may lend it to a connection before the kernel has taken it: of 180
    kernels started beside others, one died of that. Systems lend ports from 32768 on (Linux) or 49152 (others).
    """
    first = 10_000 + 2_000 * (process % 10)
    return filter(_is_free, cycle(range(first, first + 2_000)))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@contextmanager
def forked_kernels(folder: Path) -> Iterator[Path | None]:
    """While open, "python3" is such a kernel where JUPYTER_PATH is what this lends. The folder's path is to be short.

    None where a process cannot be copied (Windows) or its libraries do not survive it (macOS).
    """
    if sys.platform != "linux":
        yield None
        return
    address, spec = str(folder / "socket"), folder / "jupyter" / "kernels" / "python3"
    argv = [sys.executable, "-I", __file__, address, "-f", "{connection_file}"]
    named = {"display_name": "Python 3", "language": "python", "interrupt_mode": "message"}
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, **named}))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    origin = subprocess.Popen([sys.executable, __file__, address], env=os.environ | KEEP_MEMORY, **pipes)
    try:
        assert origin.stdout.readline() == b"ready\n", "the libraries could not be imported"
        yield folder / "jupyter"
    finally:
        origin.communicate()  # it ends with its input


def be_the_origin(address: str) -> None:
    """Import the libraries; make a copy for each that asks, until the standard input ends."""
    import gc
    import importlib
    import select

    for library in LIBRARIES:
        importlib.import_module(library)
    gc.collect()
    gc.freeze()  # as in tests/conftest.py
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        os.write(1, b"ready\n")
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            asking, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                be_a_kernel(asking)
            asking.close()
            with suppress(ChildProcessError):  # there is none; those that have ended are let go
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def be_a_kernel(asking: socket.socket) -> None:
    """In the folder and with the variables of the process that asks, and no longer than it."""
    from threading import Thread

    from ipykernel.kernelapp import launch_new_instance

    asked = json.loads(asking.makefile().readline())
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:1] = [folder for folder in path if folder]  # in the place of this file's folder
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a kernel says goes to Jupyter
    Thread(target=lambda: (asking.recv(1), os._exit(1)), daemon=True).start()
    try:
        # nor longer than the origin, which ends when the tests do, however that happens
        launch_new_instance(argv=[*asked["arguments"], f"--IPKernelApp.parent_handle={os.getppid()}"])
    except Exception:
        traceback.print_exc()  # or nobody would know why a kernel died
    finally:
        os._exit(0)


def stand_for_a_kernel(address: str, *arguments: str) -> None:
    """Ask for one, and wait for its end."""
    with socket.socket(socket.AF_UNIX) as kernel:
        kernel.connect(address)
        environment = {name: value for name, value in os.environ.items() if name != "JPY_PARENT_PID"}
        asked = {"folder": os.getcwd(), "environment": environment, "arguments": arguments}
        kernel.sendall(json.dumps(asked).encode() + b"\n")
        kernel.recv(1)


if __name__ == "__main__":
    be_the_origin(*sys.argv[1:]) if len(sys.argv) == 2 else stand_for_a_kernel(*sys.argv[1:])
