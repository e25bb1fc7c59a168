import json

from rarecot.sampling.vllm import support
from rarecot.training import doctor


def test_what_is_missing_is_named_with_its_remedy(monkeypatch, tmp_path):
    monkeypatch.setattr(
        doctor, "requires", lambda name: ["torch>=2", "numpy>=99", "no-such-package", 'x; extra == "dev"']
    )
    found = doctor.packages()
    assert found.state == "FAIL"
    assert "no-such-package is missing" in found.text
    assert "is not >=99" in found.text
    assert "pip install -e . -c constraints.txt" in str(found)
    monkeypatch.setattr(doctor, "LEAST_DISK", 10**9)
    assert doctor.disk(tmp_path / "not" / "there").state == "FAIL"
    monkeypatch.setattr(doctor, "LEAST_RAM", 10**9)
    assert doctor.memory().state == "FAIL"


def test_a_crash_is_a_finding(monkeypatch):
    monkeypatch.setattr(doctor, "LIMIT", 60)
    monkeypatch.setitem(doctor.TRIALS, "no-such-trial", (lambda: "", "none"))  # unknown to the process that tries it
    found = doctor._tried("no-such-trial")
    assert found.state == "FAIL"
    assert "KeyError" in found.text


def test_a_hang_is_a_finding(monkeypatch):
    monkeypatch.setitem(doctor.TRIALS, "device", (lambda: "", "buy one"))
    monkeypatch.setattr(doctor, "LIMIT", 0.01)
    hung = doctor._tried("device")
    assert (hung.state, hung.remedy) == ("FAIL", "buy one")
    assert "no answer after" in hung.text


def test_without_vllm_the_rest_is_still_examined(monkeypatch, tmp_path):
    device = json.dumps({"cuda": False, "names": [], "bf16": False, "torch": "2", "threads": 2})
    monkeypatch.setattr(doctor, "_tried", lambda name: doctor.Finding(name, "ok", device))
    monkeypatch.setattr(support, "installed", lambda: None)
    findings = doctor.examine(tmp_path)
    assert [f.name for f in findings] == ["packages", "disk", "memory", "device", "gloo", "vLLM"]
    assert findings[-1].state == "absent"
    assert "finds no GPU" in findings[3].text
