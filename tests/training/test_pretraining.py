"""The loss of pretraining is exact over parts of a step, and tokens a second are those of training alone."""

import math
import time
from typing import Any

import numpy as np
import pytest
import torch
from transformers import EvalPrediction, TrainerControl, TrainerState

from hfcls.errors import HfclsError
from hfcls.training.masked_lm import (
    TokenClockCallback,
    masked_lm_loss,
    perplexity_metrics,
    pretraining_arguments,
    token_losses,
)


def test_parts_of_a_step_add_up_to_its_mean():
    torch.manual_seed(0)
    logits, labels = torch.randn(12, 1, 9), torch.randint(9, (12,))
    labels[[2, 7, 8]] = -100
    whole = masked_lm_loss({"logits": logits}, labels)
    kept = labels != -100
    assert whole == pytest.approx(torch.nn.functional.cross_entropy(logits[kept, 0], labels[kept]).item())
    parts = [masked_lm_loss({"logits": logits[p]}, labels[p], torch.tensor(9)) for p in (slice(0, 3), slice(3, 12))]
    assert sum(parts).item() == pytest.approx(whole.item())
    padded = masked_lm_loss({"logits": logits.view(3, 4, 9)}, labels.view(3, 4))
    assert padded.item() == pytest.approx(whole.item())
    nothing = masked_lm_loss({"logits": logits}, torch.full_like(labels, -100), torch.tensor(0))
    assert nothing.item() == 0


def test_half_precision_logits_are_summed_in_float32():
    assert token_losses(torch.zeros(4, 1, 50, dtype=torch.bfloat16), torch.arange(4)).tolist() == pytest.approx(
        [math.log(50)] * 4, rel=1e-6
    )


def test_perplexity_is_over_tokens_not_over_batches():
    found = perplexity_metrics(EvalPrediction(np.float32([[30.0, 2, 10], [1.0, 1, 1], [0, 0, 0]]), np.zeros(3)))
    assert found == pytest.approx({"loss": 31 / 11, "perplexity": math.exp(31 / 11), "accuracy": 3 / 11})
    assert perplexity_metrics(EvalPrediction(np.zeros((2, 3)), np.zeros(2))) == {}, "not 1.00, the best there is"
    assert math.isfinite(perplexity_metrics(EvalPrediction(np.array([[9e9, 0, 1]]), np.zeros(1)))["perplexity"])


def test_tokens_a_second_leave_out_evaluations_and_checkpoints(monkeypatch):
    clock, now = TokenClockCallback(tokens=1_000), [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    state: Any = TrainerState(epoch=0.0, global_step=0)
    control = TrainerControl()

    def steps(count: int, seconds: float) -> None:
        for _ in range(count):
            clock.on_step_begin(None, state, control)
            now[0] += seconds
            state.global_step, state.epoch = state.global_step + 1, (state.global_step + 1) / 10
            clock.on_step_end(None, state, control)

    steps(4, 2.0)
    assert clock.rate(state) == 50  # 100 tokens a step
    assert clock.rate(state) == 0
    clock.on_evaluate(None, state, control)
    now[0] += 1_000
    steps(2, 4.0)
    clock.on_save(None, state, control)
    now[0] += 1_000
    steps(2, 4.0)
    assert clock.rate(state) == 25
    assert clock.mean_rate(state) == pytest.approx(800 / 24, abs=0.1)


def test_a_batch_that_does_not_divide_is_refused(tmp_path):
    options = {
        "batch_size": 6,
        "eval_batch_size": 4,
        "gradient_accumulation_steps": 4,
        "max_steps": None,
        "warmup": 0.1,
        "eval_steps": None,
        "report_to": "none",
        "output_dir": str(tmp_path),
    }
    with pytest.raises(HfclsError, match="batch_size 6 does not divide by 1 processes x 4 accumulation steps"):
        pretraining_arguments(**options)
    args = pretraining_arguments(**{**options, "batch_size": 8})
    assert (args.per_device_train_batch_size, args.get_warmup_steps(200), args.eval_steps) == (2, 20, 0.1)
