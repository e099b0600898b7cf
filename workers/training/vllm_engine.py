"""Asks vLLM instead of Transformers, where it is installed beside an NVIDIA GPU. Made by hub_predict.py.

Written against vLLM's documented interface (LLM.generate with token prompts, SamplingParams.logprob_token_ids,
StructuredOutputsParams, LoRARequest); not run on a GPU.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .constrained import WHITE_SPACE, schema_of
from .failures import Failure
from .files import read_json
from .job import Job
from .label_scores import ROOT, Step, make_tree
from .predict import Reply

PACKAGE = "vllm"
# vLLM makes its own batches; so many prompts are handed over at once, that a restart loses little.
PROMPTS_AT_ONCE = 1024
# The ranks that vLLM's LoRA takes, and how many tokens one question may name.
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
TOKENS_A_QUESTION = 128


def what_hinders(job: Job, values: dict[str, Any], saved: Path) -> str:
    """Why vLLM cannot predict this run here; "" where it can."""
    import torch

    if not torch.cuda.is_available():
        return "there is no NVIDIA GPU"
    if find_spec(PACKAGE) is None:
        return "the package vllm is not installed"
    adapter = read_json(saved / "adapter_config.json")
    if values.get("quantization", "none") != "none":
        return "the base model is quantized"
    if adapter.get("use_dora") or adapter.get("modules_to_save") or adapter.get("r", 1) > RANKS[-1]:
        return "it does not take this kind of adapter"
    if job.labels and not _names_tokens():
        return "this version of vLLM does not give the probabilities of named tokens"
    return ""


def chosen(job: Job, values: dict[str, Any], saved: Path) -> bool:
    """Whether the run is predicted with vLLM. Raises Failure where it must be and cannot."""
    wanted = values.get("predictor", "auto")
    hindrance = "" if wanted == "transformers" else what_hinders(job, values, saved)
    if wanted == "vllm" and hindrance:
        raise Failure(
            f"This run shall be predicted with vLLM, and {hindrance}.",
            "Install vllm on a machine with an NVIDIA GPU, or set the predictor to auto or transformers.",
        )
    return wanted != "transformers" and not hindrance


def vllm_version() -> str:
    """The version that is installed, "" for none."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return ""


def _names_tokens() -> bool:
    from vllm import SamplingParams

    return hasattr(SamplingParams, "logprob_token_ids")


@dataclass
class VllmEngine:
    """A loaded model with what it takes to ask it; predict.py says what its two functions do."""

    llm: Any
    lora: Any
    ends: set[int]
    decode: Callable[[list[int]], str]
    labels: dict[str, list[int]]
    most: int
    choose: bool = False
    structure: dict[str, Any] = field(default_factory=dict)

    def prepare(self, prompts: list[list[int]], say: Callable[[str], None]) -> list[list[int]]:
        """Parts of the prompts in their order: vLLM shares beginnings and sorts by itself."""
        say(f"predicts with vLLM {vllm_version()}")
        rows = list(range(len(prompts)))
        return [rows[at : at + PROMPTS_AT_ONCE] for at in range(0, len(rows), PROMPTS_AT_ONCE)]

    def ask(self, prompts: list[list[int]]) -> list[Reply]:
        """The answers to these prompts."""
        chances = self._scores(prompts) if self.labels else None
        if self.choose and chances:
            return [self._chosen(row) for row in chances]
        given: dict[str, Any] = {"max_tokens": self.most, "logprobs": 0}
        if self.structure:
            from vllm.sampling_params import StructuredOutputsParams

            given["structured_outputs"] = StructuredOutputsParams(**self.structure)
        made = self._generate(prompts, [self._sampling(**given)] * len(prompts))
        return [
            self._reply(answer.outputs[0], chances[row] if chances else None)
            for row, answer in enumerate(made)
        ]

    def _sampling(self, **given: Any) -> Any:
        from vllm import SamplingParams

        return SamplingParams(temperature=0.0, stop_token_ids=sorted(self.ends), detokenize=False, **given)

    def _generate(self, prompts: list[list[int]], sampling: list[Any]) -> list[Any]:
        tokens = [{"prompt_token_ids": prompt} for prompt in prompts]
        answers: list[Any] = self.llm.generate(tokens, sampling, lora_request=self.lora, use_tqdm=False)
        return answers

    def _scores(self, prompts: list[list[int]]) -> list[list[float]]:
        """Log-probabilities of the labels after each prompt: one question for each beginning of a label, which vLLM
        answers from what it has read already."""
        tree = make_tree(list(self.labels.values()))
        asked = questions([step for steps in tree.steps for step in steps])
        paths: dict[int, list[int]] = {ROOT: []}
        for node, token in enumerate(tree.tokens):
            paths[node] = [*paths[tree.parents[node]], token]
        made = self._generate(
            [prompt + paths[node] for prompt in prompts for node, _ in asked],
            [self._sampling(max_tokens=1, logprob_token_ids=tokens) for _ in prompts for _, tokens in asked],
        )
        scores = []
        for row in range(len(prompts)):
            known: dict[Step, float] = {}
            for place, (node, tokens) in enumerate(asked):
                told = made[row * len(asked) + place].outputs[0].logprobs[0]
                known |= {(node, token): told[token].logprob for token in tokens}
            scores.append([sum(known[step] for step in steps) for steps in tree.steps])
        return scores

    def _reply(self, output: Any, scores: list[float] | None) -> Reply:
        tokens = list(output.token_ids)
        if tokens and tokens[-1] in self.ends:
            tokens.pop()
        return Reply(self.decode(tokens), self._chances(scores), output.cumulative_logprob, len(tokens))

    def _chosen(self, scores: list[float]) -> Reply:
        label = list(self.labels)[scores.index(max(scores))]
        return Reply(label, self._chances(scores), max(scores), len(self.labels[label]) - 1)

    def _chances(self, scores: list[float] | None) -> dict[str, float] | None:
        if scores is None:
            return None
        import torch

        chances = torch.tensor(scores, dtype=torch.float64).softmax(-1).tolist()
        return dict(zip(self.labels, chances, strict=True))


def questions(steps: list[Step]) -> list[tuple[int, list[int]]]:
    """[(node, tokens whose probabilities after it are wanted)], each with at most TOKENS_A_QUESTION tokens."""
    wanted: dict[int, list[int]] = {}
    for node, token in sorted(set(steps)):
        wanted.setdefault(node, []).append(token)
    return [
        (node, tokens[at : at + TOKENS_A_QUESTION])
        for node, tokens in wanted.items()
        for at in range(0, len(tokens), TOKENS_A_QUESTION)
    ]


def load(job: Job, values: dict[str, Any], saved: Path) -> tuple[Any, Any]:
    """(the model, the adapter as vLLM wants it or None)."""
    from vllm import LLM

    adapter = read_json(saved / "adapter_config.json")
    options: dict[str, Any] = {
        "dtype": {"bf16": "bfloat16", "fp32": "float32"}[values["precision"]],
        "max_model_len": values["max_seq_len"],
        "enable_prefix_caching": True,
        "seed": job.seed,
        "trust_remote_code": False,
        # Nothing of the model's own sampling defaults.
        "generation_config": "vllm",
    }
    if not adapter:
        return LLM(model=str(saved), tokenizer=job.model_path, **options), None
    from vllm.lora.request import LoRARequest

    rank = next(rank for rank in RANKS if rank >= adapter["r"])
    llm = LLM(model=job.model_path, enable_lora=True, max_lora_rank=rank, **options)
    return llm, LoRARequest("trained", 1, str(saved))


def structure(job: Job) -> dict[str, Any]:
    """The answers' form as StructuredOutputsParams takes it; {} for free answers."""
    if job.values.get("decoding", "free") != "json_schema":
        return {}
    return {"json": schema_of(job), "whitespace_pattern": WHITE_SPACE}
