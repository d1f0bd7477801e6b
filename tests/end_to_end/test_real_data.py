"""A real pretrained encoder learns from real reviews."""

import pytest
import torch
from safetensors.torch import load_file

import hfcls

pytestmark = pytest.mark.slow


def test_a_multilingual_encoder_learns_nsmc_in_a_hundred_steps(shared, tmp_path):
    """The full run (16,000 reviews, 1,000 steps) reaches 84 %; this is its first tenth, for CI."""
    result = hfcls.fine_tune(
        dataset="nsmc",
        data_dir=str(shared),
        model=str(shared / "models/me5-small-ko"),
        max_train_samples=1600,
        max_test_samples=1000,
        validation_size=0,
        num_train_epochs=1,
        learning_rate=1e-4,
        output_dir=str(tmp_path),
    )
    assert (result.split, result.num_rows) == ("test", 1000)
    assert result.metrics["accuracy"] > 0.74
    # the weights are stored in float16; they must have been trained, and saved, in float32
    assert {tensor.dtype for tensor in load_file(tmp_path / "model.safetensors").values()} == {torch.float32}
