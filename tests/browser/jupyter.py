"""A Jupyter server, and notebooks in a real browser: opened, run, and asked what their kernel holds."""

import ast
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Locator, Page

ROOT = Path(__file__).parents[2]
PATIENCE = float(os.environ.get("SGI2V_BROWSER_PATIENCE", "150"))  # seconds, for what a busy machine takes long over
TOKEN = "browser-tests"
# JupyterLab, and Notebook 7, on the same server; in a workspace of its own JupyterLab opens nothing again
FRONT_ENDS = {"lab": "lab/workspaces/{stem}/tree/{name}", "notebook": "notebooks/{name}"}
# for what the two, made of the same parts, do alike: a test whose fixture `notebook` is of each front end
in_lab = pytest.mark.parametrize("notebook", ["lab"], indirect=True)

PANEL = ".jp-NotebookPanel:not(.lm-mod-hidden)"  # the notebook in front
NOTEBOOK = "(window.jupyterapp && window.jupyterapp.shell.currentWidget)"
ASK_KERNEL = """async (expression) => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const options = {code: "", store_history: false, user_expressions: {answer: expression}};
  const reply = await kernel.requestExecute(options).done;
  return reply.content.user_expressions.answer;
}"""


@dataclass
class Server:
    """A running server of JupyterLab and Notebook 7, with a folder of its own for notebooks and settings."""

    folder: Path
    port: int
    process: subprocess.Popen

    def write(self, name: str, cells: Sequence[str]) -> str:
        """A notebook of code cells in the server's folder; returns its name."""
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        )
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, self.folder / name)
        return name

    def address(self, name: str, front_end: str = "lab") -> str:
        path = FRONT_ENDS[front_end].format(name=name, stem=Path(name).stem)
        return f"http://127.0.0.1:{self.port}/{path}?token={TOKEN}"

    def ask(self, path: str, method: str = "GET") -> object:
        """What the server's REST interface answers, as `ask("api/sessions")`; None where it says nothing."""
        headers = {"Authorization": f"token {TOKEN}"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/{path}", method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or "null")

    def end_kernel(self, name: str) -> None:
        """End the kernel of a notebook, whatever has become of its page."""
        for session in self.ask("api/sessions"):
            if session["path"] == name:
                self.ask(f"api/sessions/{session['id']}", "DELETE")


def start_server(folder: Path, kernels: Path | None = None) -> Server:
    """Start a server that shares nothing with the user's own; it takes any free port, and kernels from a folder."""
    home, notebooks = folder / "home", folder / "notebooks"
    for path in (home, notebooks):
        path.mkdir(parents=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "JPY"))}
    environment |= {
        "HOME": str(home),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "IPYTHONDIR": str(home / "ipython"),
        "OMP_NUM_THREADS": "1",  # models as small as the tests' gain nothing by more, and the browser needs a core too
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
    }
    if kernels:
        environment["JUPYTER_PATH"] = str(kernels)
    settings = home / "config" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(
        json.dumps({"fetchNews": "false", "checkForUpdates": False})
    )
    log = (folder / "server.log").open("wb")
    options = [
        "--no-browser",
        "--allow-root",
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.port=0",
        f"--ServerApp.root_dir={notebooks}",
        f"--IdentityProvider.token={TOKEN}",
        "--LabApp.expose_app_in_browser=True",
        "--JupyterNotebookApp.expose_app_in_browser=True",
        "--ServerApp.open_browser=False",
        # should the tests be killed before they can stop it, it does not stay for ever
        "--MappingKernelManager.cull_idle_timeout=3600",
        "--ServerApp.shutdown_no_activity_timeout=3600",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *options], cwd=notebooks, env=environment, stdout=log, stderr=log
    )
    server = Server(notebooks, 0, process)
    try:
        _find_port(server, home / "runtime", folder / "server.log")
    except BaseException:
        stop_server(server)
        raise
    return server


def stop_server(server: Server) -> None:
    """Ask it to end, and its kernels with it."""
    server.process.terminate()
    try:
        server.process.wait(30)
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait()


def _find_port(server: Server, runtime: Path, log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and server.process.poll() is None:
        for file in runtime.glob("jpserver-*.json"):
            try:
                server.port = json.loads(file.read_text())["port"]
                server.ask("api/status")
                return
            except (ValueError, KeyError, urllib.error.URLError, OSError):
                pass
        time.sleep(0.2)
    raise RuntimeError(f"the Jupyter server did not start:\n{log.read_text(errors='replace')[-4000:]}")


class Notebook:
    """A notebook that is open in the browser, in JupyterLab or in Notebook 7."""

    def __init__(self, server: Server, page: Page, name: str, front_end: str = "lab") -> None:
        self.server, self.page, self.name, self.front_end = server, page, name, front_end

    def open(self) -> "Notebook":
        """Load the page and wait until its kernel answers; in the light theme, whatever was there before."""
        self.page.goto(self.server.address(self.name, self.front_end), wait_until="domcontentloaded")
        self.ready()
        if self.page.evaluate("() => document.body.dataset.jpThemeLight") != "true":
            self.theme("JupyterLab Light")
        return self

    def reload(self) -> "Notebook":
        """Save, load the page again, and find the same kernel."""
        self.command("docmanager:save")
        self.page.wait_for_function(f"() => !{NOTEBOOK}.context.model.dirty", timeout=PATIENCE * 1000)
        before = self.kernel_id()
        self.page.reload(wait_until="domcontentloaded")
        self.ready()
        assert self.kernel_id() == before, "the page came back with another kernel"
        return self

    def ready(self) -> "Notebook":
        self._wait(f"() => {NOTEBOOK} && {NOTEBOOK}.sessionContext && {NOTEBOOK}.content?.widgets?.length")
        return self.idle()

    def idle(self) -> "Notebook":
        """Wait until the kernel has nothing left to do."""
        self._wait(f"() => {NOTEBOOK}.sessionContext.session?.kernel?.status === 'idle'")
        return self

    def run(self) -> "Notebook":
        """Run all cells, wait for the last, and fail with the error if one has failed."""
        self.command("notebook:run-all-cells")
        self.idle()
        errors = self.page.evaluate(
            f"""() => {NOTEBOOK}.content.widgets.flatMap((cell) => (cell.model.toJSON().outputs || []))
            .filter((output) => output.output_type === "error").map((output) => output.ename + ": " + output.evalue)"""
        )
        assert not errors, errors
        return self

    def command(self, name: str, **arguments: object) -> None:
        """Do one of the front end's commands; what it returns, as a whole document, stays there."""
        execute = "async ([name, args]) => { await window.jupyterapp.commands.execute(name, args); }"
        self.page.evaluate(execute, [name, arguments])

    def evaluate(self, expression: str) -> object:
        """A Python expression's value in the kernel, through JSON; "setattr(editor, 'frame', 3)" is one too."""
        answer = self.page.evaluate(ASK_KERNEL, f"__import__('json').dumps({expression})")
        if answer["status"] != "ok":
            raise RuntimeError(f"{answer['ename']}: {answer['evalue']}")
        return json.loads(ast.literal_eval(answer["data"]["text/plain"]))

    def wait_for(self, expression: str, expected: object = True) -> object:
        """Ask the kernel until a Python expression has a value; what the browser sends takes a moment to arrive."""
        begin, pause = time.monotonic(), 20  # milliseconds
        while (value := self.evaluate(expression)) != expected and time.monotonic() < begin + PATIENCE:
            self.page.wait_for_timeout(pause)
            pause = min(1.5 * pause, 300)  # what takes long is not made longer by asking
        assert value == expected, f"{expression} is {value!r}, expected {expected!r}"
        return value

    def start_over(self) -> None:
        """Call the kernel's `restart()` until nothing is drawn in the browser: what was done last may come late."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            self.evaluate("restart()")
            self.page.wait_for_timeout(150)
            if not self.page.locator(f"{PANEL} .sg-object").count():
                return
        raise AssertionError("the drawing does not become empty")

    def kernel_id(self) -> str:
        return self.page.evaluate(f"() => {NOTEBOOK}.sessionContext.session.kernel.id")

    def theme(self, name: str) -> None:
        """ "JupyterLab Light" or "JupyterLab Dark"."""
        self.command("apputils:change-theme", theme=name)
        light = str(name.endswith("Light")).lower()
        self._wait(f"() => document.body.dataset.jpThemeLight === '{light}'")
        self.page.wait_for_timeout(600)  # style sheets are exchanged after the attribute

    def find(self, test_id: str) -> Locator:
        """An element of this notebook by its data-testid; what other open documents show is none of it."""
        return self.page.locator(PANEL).get_by_test_id(test_id)

    def widget(self, test_id: str) -> Locator:
        """A widget by its data-testid, as soon as it says that it is ready."""
        found = self.page.locator(f"{PANEL} [data-testid={test_id}][data-ready]")
        found.wait_for()
        return found

    def close(self) -> None:
        """Leave the page, and end the kernel, which would live on."""
        self.page.close()
        self.server.end_kernel(self.name)

    def _wait(self, condition: str) -> None:
        self.page.wait_for_function(condition, timeout=PATIENCE * 1000)
