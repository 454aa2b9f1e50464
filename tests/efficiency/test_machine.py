import json

from sgi2v_lab.efficiency.machine import describe_machine, peak_memory, total_memory, versions


def test_the_machine_is_described():
    assert {"python", "torch", "diffusers", "sgi2v_lab", "numpy"} <= set(versions())
    assert "not installed" not in versions().values()
    assert versions()["sgi2v_lab"][0].isdigit()
    found = describe_machine("cpu")
    assert found["device"] == "cpu" and found["threads"] >= 1
    assert json.loads(json.dumps(found)) == found
    assert 10 < peak_memory()["host_mib"] * 2**20 < total_memory("cpu")["this computer"]
