"""What lies in a model's folder runs nothing: chat templates end and stay in the sandbox, other weights are refused."""

import json
import pickle
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from jinja2 import TemplateError

from app.exports.ollama import turns_of
from tests.training.base_model import make_base
from tests.training.bundles import bundle, job, values_of
from workers.training.failures import Failure
from workers.training.template_limit import limited

ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
# How a rendering may end that the sandbox stops, or that comes to nothing.
ENDS = (Failure, TemplateError, StopIteration)
ESCAPES = (
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ cycler.__init__.__globals__.os.popen('touch {canary}').read() }}",
    "{{ messages.append({'role': 'user', 'content': 'x'}) }}",
    "{{ ('%s' | attr('format')).__globals__ }}",
    "{% set f = '{0.__class__.__init__.__globals__}'.format %}{{ f(raise_exception) }}",
    "{{ lipsum.__globals__['os'].system('touch {canary}') }}",
    "{{ self._TemplateReference__context.eval_ctx.environment.filters }}",
)


def test_an_endless_template_is_ended() -> None:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    began = time.monotonic()
    with pytest.raises(Failure, match=r"did not end within 0\.2 seconds"), limited(0.2):
        ImmutableSandboxedEnvironment().from_string(ENDLESS).render()
    assert time.monotonic() - began < 1.5
    with limited(0.05):
        pass
    time.sleep(0.1)  # the timer of a block that is left does not ring later


def test_an_endless_template_does_not_hold_up_an_export(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.exports.ollama.SECONDS", 0.2)
    began = time.monotonic()
    assert turns_of(ENDLESS, {}) is None
    assert time.monotonic() - began < 1.5


@pytest.mark.parametrize("template", ESCAPES)
def test_no_template_leaves_the_sandbox_of_an_export(template: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    assert turns_of(template.replace("{canary}", str(canary)), {}) is None
    assert not canary.exists()


def test_a_template_writes_no_instruction_into_the_modelfile() -> None:
    joined = "{% for m in messages %}[{{ m.role }}{{ m.content }}]{% endfor %}{% if add_generation_prompt %}[assistant{% endif %}"
    assert turns_of(joined, {}) is not None
    assert turns_of(joined.replace("[", '"""\nSYSTEM x\n'), {}) is None


class _Canary:
    """Unpickling it makes the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return open, (str(self.path), "w")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("models") / "small-llama")


def _job(folder: Path, base: Path) -> Any:
    from workers.training.job import read_job

    values = values_of("hf/small-llama", max_seq_len=64)
    return read_job(bundle(folder, job("hf/small-llama", values, model_path=str(base)), 8, 2, 2))


def _poison(base: Path, canary: Path) -> None:
    """Every file of a model folder that some loader would run."""
    data = pickle.dumps(_Canary(canary))
    for name in (
        *("pytorch_model.bin", "model.pt", "training_args.bin", "rng_state.pth", "optimizer.pt"),
        *("scheduler.pt", "adapter_model.bin", "tokenizer.pkl"),
    ):
        (base / name).write_bytes(data)
    (base / "canary.py").write_text(f"open({str(canary)!r}, 'w')\nclass A: pass\n")
    mapped = {f"Auto{kind}": "canary.A" for kind in ("Config", "Model", "ModelForCausalLM", "Tokenizer")}
    for name in ("config.json", "tokenizer_config.json"):
        said = json.loads((base / name).read_text())
        said |= {"auto_map": mapped, "attn_implementation": "some/remote-kernel"}
        (base / name).write_text(json.dumps(said))


@pytest.mark.train
def test_no_file_of_a_model_folder_runs(base: Path, tmp_path: Path) -> None:
    """The weights are safetensors, so the model loads; what lies beside them is not even opened."""
    import torch

    from workers.training.hub_model import load_base, load_tokenizer

    folder, canary = tmp_path / "model", tmp_path / "canary"
    shutil.copytree(base, folder)
    _poison(folder, canary)
    pickle.loads((folder / "model.pt").read_bytes())
    assert canary.exists(), "the canary is one"
    canary.unlink()
    made = _job(tmp_path / "run", folder)
    for load in (lambda: load_tokenizer(made), lambda: load_base(made, torch.float32)):
        with suppress(Failure):
            load()
    assert not canary.exists()
    (folder / "model.safetensors").unlink()
    with pytest.raises(Failure, match=r"holds no \.safetensors"):
        load_tokenizer(made)
    assert not canary.exists()


@pytest.mark.train
@pytest.mark.parametrize("template", [ENDLESS, *ESCAPES])
def test_templates_of_models_are_held(
    template: str, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workers.training.hub_chat import ChatEncoder
    from workers.training.hub_model import load_tokenizer

    folder, canary = tmp_path / "model", tmp_path / "canary"
    shutil.copytree(base, folder)
    said = json.loads((folder / "tokenizer_config.json").read_text())
    said["chat_template"] = template.replace("{canary}", str(canary))
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    made = _job(tmp_path / "run", folder)
    monkeypatch.setattr("workers.training.template_limit.limited.__wrapped__.__defaults__", (0.3,))
    began = time.monotonic()
    with pytest.raises(Failure, match="did not end") if template == ENDLESS else suppress(*ENDS):
        ChatEncoder(load_tokenizer(made), 64, made.train[0])
    assert time.monotonic() - began < 5
    assert not canary.exists()
