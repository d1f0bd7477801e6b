"""Started by test_processes.py in each of several processes: evaluates odd numbers of rows, resumes in mid-epoch.

probe_processes.py MODEL REVIEWS OUTPUT_DIR: writes what every process saw to OUTPUT_DIR/RANK.json.
"""

import json
import os
import sys
from pathlib import Path

from transformers import set_seed

from hfcls.batching.collate import make_collator
from hfcls.data.corpora import load_corpus
from hfcls.data.encoding import encode
from hfcls.models.loading import load_model
from hfcls.models.tokenizers import load_tokenizer
from hfcls.system.launch import leave_process_group
from hfcls.training.arguments import ClassificationTrainingArguments
from hfcls.training.trainer import ClassificationTrainer

SIZES = (1, 7, 8, 31, 33, 70)


def trainer(model: str, reviews: str, output_dir: str) -> ClassificationTrainer:
    """Batches of 8 rows over all processes, dropout off; a checkpoint after step 13, in the second epoch of 9 steps."""
    tokenizer = load_tokenizer(model)
    args = ClassificationTrainingArguments(
        output_dir=output_dir,
        per_device_train_batch_size=8 // int(os.environ.get("WORLD_SIZE", "1")),
        per_device_eval_batch_size=8,
        num_train_epochs=2,
        learning_rate=1e-3,
        logging_steps=1,
        eval_strategy="no",
        save_strategy="steps",
        save_steps=13,
        save_total_limit=None,
        load_best_model_at_end=False,
        report_to="none",
        use_cpu=True,
    )
    with args.main_process_first():
        rows = encode(load_corpus(reviews), tokenizer, 64)["train"]
    set_seed(7)  # the head starts from random weights
    return ClassificationTrainer(
        load_model(model, ["부정", "긍정"]),
        args,
        train_dataset=rows,
        data_collator=make_collator("packed", pad_token_id=tokenizer.pad_token_id, max_length=64),
    )


def losses(trainer: ClassificationTrainer) -> list[float]:
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def evaluations(trainer: ClassificationTrainer) -> dict[str, object]:
    """By the number of rows: logits, labels and metrics."""
    found = {}
    for size in SIZES:
        output = trainer.predict(trainer.train_dataset.select(range(size)), metric_key_prefix="n")
        names = ("n_accuracy", "n_macro_f1", "n_loss")
        metrics = [output.metrics[name] for name in names]
        found[str(size)] = [output.predictions.tolist(), output.label_ids.tolist(), metrics]
    return found


def main(model: str, reviews: str, output_dir: str) -> None:
    whole, resumed = trainer(model, reviews, output_dir), trainer(model, reviews, output_dir)
    report = {"evaluations": evaluations(whole)}
    whole.train()
    resumed.train(resume_from_checkpoint=f"{output_dir}/checkpoint-13")
    report |= {"losses": losses(whole), "resumed": losses(resumed)}
    Path(output_dir, f"{os.environ.get('RANK', 0)}.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
    leave_process_group()  # as `hfcls` does at its end
