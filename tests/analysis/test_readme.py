"""The code of the findings page runs, on a little of everything."""

import re
from pathlib import Path

import pyarrow.parquet
import pytest
from PIL import Image

import sgi2v_lab
from sgi2v_lab.analysis import probes
from sgi2v_lab.models.model import layer_name
from tests.helpers.planted import table_of

PAGE = Path(sgi2v_lab.__file__).parent / "analysis" / "README.md"
LESS = {
    "size, frames = (128, 128), 8": "size, frames = (64, 64), 4",
    "size=(128, 128), num_frames=8": "size=(64, 64), num_frames=4",
    "clips(model, 32)": "clips(model, 3)",
    '(["single"], 6)': '(["single"], 2)',
    '(["single"], 8)': '(["single"], 1)',
    "least_motion=2.0": "least_motion=-1.0",  # two steps make no motion that flow could follow
    "in blocks] for layer in model.all_layers}": "in blocks] for layer in [(1, 0)]}",
}


@pytest.mark.slow
def test_the_code_of_the_page_runs(tmp_path, monkeypatch, capsys):
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    for much, little in LESS.items():
        assert much in code
        code = code.replace(much, little)
    model = sgi2v_lab.load_model("toy", "cpu")
    small = {"width": 64, "height": 64, "num_frames": 4}
    model.settings = model.settings.replace(**small, num_inference_steps=2, control_steps=(0, 0), iterations=1)
    monkeypatch.setattr(sgi2v_lab, "load_model", lambda name: model)
    monkeypatch.setattr(probes, "TARGETS", {name: probes.TARGETS[name] for name in ("position", "speed")})
    monkeypatch.chdir(tmp_path)
    names = [layer_name(layer) for layer in model.all_layers]
    table = table_of(names, (8.0, 1.0), ("self-attention", "aligned", "query", "query-key"), (None, 0, 1, 2))
    (tmp_path / "out" / "features").mkdir(parents=True)
    pyarrow.parquet.write_table(table, tmp_path / "out" / "features" / "features.parquet")
    (tmp_path / "films" / "walk").mkdir(parents=True)
    scene = Image.effect_noise((140, 128), 60).convert("RGB")
    for k in range(8):
        scene.crop((k, 0, k + 128, 128)).save(tmp_path / "films" / "walk" / f"{k}.png")
    exec(code, {})
    said = capsys.readouterr().out
    for answer in ("noise level", "head 0", "(3, 0): [0, 1]", "noisy latents", "optical flow", "cycles"):
        assert answer in said
