"""What holds for every test: shapes are checked at run time, nothing reaches the network, examples are repeatable."""

import gc
import os
import sys
from collections import defaultdict
from itertools import groupby

# Before torch and the hub's client are imported; programs that a test starts inherit both.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", str(min(4, os.cpu_count() or 1)))  # tiny tensors drown in many threads
os.environ.setdefault("MPLBACKEND", "agg")

import socket
from ipaddress import ip_address

import pytest
from beartype import BeartypeConf, beartype
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

# From here on every function and dataclass of the package checks its annotations, shapes included, at each call.
assert not any(name.split(".")[0] == "sgi2v_lab" for name in sys.modules), "imported before its shapes could be checked"
typechecker = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int will do where a float is expected
install_import_hook("sgi2v_lab", f"{__name__}.typechecker")

# jsonschema does without this package, whose grammar takes seconds wherever nbformat is imported.
sys.modules.setdefault("rfc3987_syntax", None)

# `pytest --hypothesis-profile=thorough` looks further, with new examples each time.
settings.register_profile("quick", max_examples=25, derandomize=True, deadline=None)
settings.register_profile(
    "thorough", max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("quick")


# --- in which order, and where ----------------------------------------------------------------------------------------

LONG = ("notebook", "browser", "slow")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with long tests come first, so that all processes end at about the same time."""
    files = [list(tests) for _, tests in groupby(items, key=lambda item: item.path)]
    files.sort(key=lambda tests: not any(item.get_closest_marker(mark) for item in tests for mark in LONG))
    items[:] = [item for tests in files for item in tests]


def pytest_collection_finish() -> None:
    """Keep the garbage collector from what was imported: it would walk over a million objects again and again.

    That took a third of the tests' time.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log):
    """With `--dist loadfile` a file stays in one process, but each notebook is executed in the next that is free."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class OneNotebookAtATime(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return nodeid if "test_notebooks.py::test_runs" in nodeid else super()._split_scope(nodeid)

    config.option.loadscopereorder = False  # in the order above, not by the number of tests
    return OneNotebookAtATime(config, log)


# --- what tests tell beside their outcome -----------------------------------------------------------------------------


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests gave to `record_property(heading, line)`, whichever process they ran in."""
    sections = defaultdict(dict)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport) and report.when == "call":
                for heading, line in report.user_properties:
                    sections[heading][line] = None
    for heading, lines in sections.items():
        terminalreporter.section(heading)
        for line in lines:
            terminalreporter.write_line(line)


# --- the network -----------------------------------------------------------------------------------------------------


def _is_local(address) -> bool:
    if not isinstance(address, tuple):  # a Unix socket's path
        return True
    try:
        return ip_address(address[0].split("%")[0]).is_loopback
    except ValueError:
        return address[0] in ("", "localhost")


@pytest.fixture(scope="session", autouse=True)
def _no_network():
    """Connections to other machines fail at once, and say why."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def guarded(original):
        def call(self, address):
            if not _is_local(address):
                raise OSError(f"a test tried to reach {address}; tests must not use the network")
            return original(self, address)

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded(connect))
        patch.setattr(socket.socket, "connect_ex", guarded(connect_ex))
        yield


# --- Jupyter ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def kernels_path(tmp_path_factory):
    """A JUPYTER_PATH whose kernels need not import the libraries, one after the other; None where there is none."""
    from jupyter_client.connect import LocalPortCache

    from tests.helpers.forked_kernels import forked_kernels, ports_of_our_own

    ports = ports_of_our_own(int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")))
    with pytest.MonkeyPatch.context() as patch, forked_kernels(tmp_path_factory.mktemp("kernels")) as path:
        patch.setattr(LocalPortCache, "find_available_port", lambda *_: next(ports))
        yield path


# --- figures ---------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _figures_closed():
    """No test leaves a matplotlib figure open for the next one."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
