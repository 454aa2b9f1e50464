import json
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from sgi2v_lab.bench import check_gpu as module
from sgi2v_lab.bench.check_gpu import check_gpu
from sgi2v_lab.cli.main import app
from sgi2v_lab.errors import InputError
from sgi2v_lab.models.load import load_model


@pytest.fixture(scope="module")
def checks():
    """Of the toy, with a smaller and shorter video than it makes."""

    def smaller(*given):
        toy = load_model(*given)
        return replace(toy, settings=toy.settings.replace(width=64, height=64, num_frames=4))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_model", smaller)
        return list(check_gpu("cpu"))


@pytest.mark.slow
def test_on_a_cpu_it_says_what_it_skips(checks):
    assert [check.state for check in checks] == ["passed"] * 4 + ["skipped"] * 2
    assert checks[2].found.startswith("losses differ by 0.0e+00")
    assert checks[3].found == "the same to the bit"


@pytest.mark.slow
def test_the_command_writes_a_report(checks, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "check_gpu", lambda *_: iter(checks))
    told = CliRunner().invoke(app, ["check-gpu", "--device", "cpu", "--out", str(tmp_path / "report.json")])
    assert told.exit_code == 0, told.output
    assert "the same to the bit" in told.output
    report = json.loads((tmp_path / "report.json").read_text())
    assert [each["name"] for each in report] == [check.name for check in checks]


def test_failures_name_the_remedy(monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    for name in ("_toy", "_diffusers"):
        monkeypatch.setattr(module, name, full)
    monkeypatch.setattr(module, "matmul_rate", lambda *_: 1e12)
    failed = [check for check in check_gpu("cpu") if check.state == "failed"]
    assert len(failed) == 2 and all("nvidia-smi" in check.remedy for check in failed)
    with pytest.raises(InputError, match="device"):
        list(check_gpu("cuda:7"))
