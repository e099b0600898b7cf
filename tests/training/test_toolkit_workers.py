"""What the files of toolkits do without their toolkits: progress lines, steps from tokens, filled batches, refusals."""

import json
from pathlib import Path

import pytest

from tests.trainers.toolkits import stated_job, toolkit_folder, toolkits
from workers.training.failures import Failure
from workers.training.job import Job, read_job
from workers.training.reporting import Reporter
from workers.training.toolkits import kerashub, mistral_finetune, mlx
from workers.training.toolkits._mistral_engine import split
from workers.training.toolkits._progress import only_a_bar
from workers.training.toolkits._resolved import tell
from workers.training.toolkits._softmax import softmax


def job_in(folder: Path, name: str) -> Job:
    """The job of a written bundle of that toolkit."""
    return read_job(toolkit_folder(folder, stated_job(toolkits()[name])))


def test_reports_of_mlx_are_steps_of_training_and_of_validation():
    step = mlx.read('{"iters": 10, "iteration": 5, "train_loss": 1.5, "learning_rate": 0.1}')
    assert step is not None
    assert (step.step, step.fraction, step.loss, step.learning_rate) == (5, 0.5, 1.5, 0.1)
    step = mlx.read('{"iters": 10, "iteration": 9, "val_loss": 2.5}')
    assert step is not None
    assert (step.loss, step.validation_loss) == (None, 2.5)


def test_rows_of_mlx_fill_whole_batches_and_none_is_lost():
    rows = [{"n": number} for number in range(10)]
    full = mlx.filled(rows, 4, seed=1)
    assert len(full) == 12
    assert full[:10] == rows
    assert all(row in rows for row in full)
    assert mlx.filled(rows[:8], 4, seed=1) == rows[:8]


def test_lines_of_keras_and_of_mistral_are_steps():
    step = kerashub.read('{"step": 3, "of": 12, "loss": 1.25, "learning_rate": 0.5}')
    assert step is not None
    assert (step.step, step.fraction, step.loss) == (3, 0.25, 1.25)
    line = json.dumps({"step": 2, "loss": 0.5, "lr": 1e-4, "percent_done": 40.0, "wps": 10})
    step = mistral_finetune.read(line)
    assert step is not None
    assert (step.step, step.fraction, step.loss, step.learning_rate) == (2, 0.4, 0.5, 1e-4)


def test_steps_of_mistral_see_the_tokens_epochs_times(tmp_path: Path):
    job = job_in(tmp_path / "bundle", "mistral-finetune")
    # 1 epoch, rows of 64 tokens in batches of 4: 256 tokens a step and GPU.
    assert mistral_finetune.steps(job, 2560, 1) == 10
    assert mistral_finetune.steps(job, 2561, 1) == 11
    assert mistral_finetune.steps(job, 2560, 2) == 5
    assert mistral_finetune.steps(job, 1, 8) == 1


def test_mistral_refuses_a_model_in_another_form_and_an_environment_without_its_code(tmp_path: Path):
    with pytest.raises(Failure, match=r"no params\.json"):
        mistral_finetune.model_folder(str(tmp_path))
    with pytest.raises(Failure, match="comes from git"):
        mistral_finetune.checkout()


def test_the_last_answer_is_what_carries_the_loss_at_the_end():
    trained = [False, True, True, False, True, True]
    assert split([1, 2, 3, 4, 5, 6], trained) == ([1, 2, 3, 4], [5, 6])


def test_probabilities_of_labels_add_up_and_keep_their_ratio():
    assert softmax([-1000.0, -1000.0]) == [0.5, 0.5]
    assert softmax([0.0, -float("inf")]) == [1.0, 0.0]


@pytest.mark.parametrize(
    ("name", "values", "word"),
    [
        ("mlx", {"lora_targets": "attention"}, "self_attn.attention"),
        ("mlx", {"num_layers": 0}, "0 layers"),
        ("kerashub", {"lora_targets": "lm_head"}, "lm_head"),
        ("kerashub", {"model_parallel": 2}, "JAX"),
        ("mistral-finetune", {"warmup_ratio": 0.0}, "rises"),
    ],
)
def test_what_a_toolkit_cannot_do_is_a_sentence(name: str, values: dict[str, object], word: str):
    kind = toolkits()[name]
    problems = kind.problems(stated_job(kind, **values).hyperparameters)
    assert len(problems) == 1
    assert word in problems[0]


def test_mlx_trains_every_row_as_often_as_there_are_epochs():
    config = toolkits()["mlx"].config(stated_job(toolkits()["mlx"], epochs=3, gradient_accumulation=2))
    # 60 rows are 15 batches, 3 times: 45, and one more for a whole last step.
    assert "\niters: 46\n" in config["mlx.yaml"]
    assert "  scale: 2.0\n" in config["mlx.yaml"]


def test_bars_stay_out_of_the_log_and_words_do_not():
    bars = (
        " 85%|████████▌ | 214/251 [00:31<00:05,  7.13it/s]",
        "Writing: 100%|█| 1/1 [00:00<00:00, 9.5it/s]",
        "  ",
    )
    assert all(only_a_bar(line) for line in bars)
    said = (
        "{'loss': 1.5}",
        "100% of rows are too long",
        "85%|██| 2/3 [00:01<00:02] CUDA out of memory",
        "a|b [c]",
    )
    assert not any(only_a_bar(line) for line in said)


def test_noise_that_is_off_is_told_as_none(tmp_path: Path):
    (tmp_path / "base").mkdir()
    for read_back, told in (({}, 0.0), ({"neftune_noise_alpha": None}, 0.0), ({"neftune_noise_alpha": 5}, 5)):
        job = job_in(tmp_path / "bundle", "axolotl")
        tell(job, Reporter(job.folder), read_back, str(tmp_path / "base"))
        written = json.loads((job.out / "resolved.json").read_text())
        assert written["hyperparameters"]["neftune_noise_alpha"] == told
