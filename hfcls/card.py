"""The model card of a run: README.md with what a stranger needs to know before using the model."""

import json
import logging
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, HfApi, ModelCard, ModelCardData
from huggingface_hub.errors import HTTPError

from hfcls.analysis import Estimate
from hfcls.checkpoints import RESULTS_FILE
from hfcls.config import TrainConfig
from hfcls.results import Result, RunFacts, load_results

logger = logging.getLogger(__name__)

CARD_FILE = "README.md"
TAG = "hfcls"  # in the metadata of every card: it tells repositories of hfcls from others
# Figures of the report, where the extra is installed: file, section and what it shows.
FIGURES = {
    "report/confusion.png": ("Scores", "confusion matrix"),
    "report/reliability.png": ("Scores", "accuracy by confidence"),
    "report/lengths.png": ("Scores", "accuracy by length"),
    "report/loss.png": ("Course of training", "loss"),
    "report/accuracy.png": ("Course of training", "accuracy"),
    "report/learning_rate.png": ("Course of training", "learning rate"),
}
REPO_NAME = re.compile(r'(?<=model=)"[^"]*"|(?<=from_pretrained\()"[^"]*"')  # in the examples of a card
# Settings that are shown even at their defaults.
CORE = ("num_train_epochs", "batch_size", "learning_rate", "lr_gamma", "max_length", "seed")
# Options that say nothing about the model, or name places on this machine.
UNTOLD = {
    *("dataset", "model", "output_dir", "data_dir", "resume", "overwrite_output_dir"),
    *("push_to_hub", "hub_model_id", "hub_private", "report_to"),
}
MANY = 12  # classes; more of them do not fit a table of class against class
SCRATCH = "Small BERT with random weights"
CORPORA = {
    "nsmc": (
        "NSMC, Naver movie reviews",
        "NSMC's labels come from the stars that reviewers gave: 1 to 4 are 부정, 9 and 10 are 긍정, the rest was left "
        "out. So the model knows no neutral texts, and a label may contradict its text. Some texts occur more than "
        "once, also in both train and test.",
    ),
    "demo": (
        "the demonstration corpus of hfcls",
        "The demonstration corpus is small, and was written to try hfcls out: the model is not for real use.",
    ),
}


def write_card(folder: Path) -> None:
    """Write README.md of the finished run in `folder`, whole or not at all; asks the Hub for the base model's licence.

    A README.md that is no card of hfcls is left as it is.

    Raises:
        HfclsError: no finished run there.
    """
    present = folder / CARD_FILE
    if present.exists() and f"\n- {TAG}\n" not in present.read_text(encoding="utf-8", errors="replace"):
        logger.warning("%s is not a model card of hfcls and is left as it is: this run has no card", present)
        return
    result = load_results(folder)
    licence = base_licence(result.facts.model) if result.facts else None
    aside = folder / f"{CARD_FILE}.part"
    aside.write_text(model_card(result, folder, licence), encoding="utf-8")
    os.replace(aside, folder / CARD_FILE)


def model_card(result: Result, folder: Path, licence: str | None) -> str:
    """The card of a run.

    Args:
        result: of `fine_tune`, with its facts.
        folder: of the run, with `trainer_state.json` and maybe figures.
        licence: of the base model, as the Hub names licences.
    """
    facts = result.facts
    assert facts is not None, "a run of fine_tune has facts"
    title = f"{_base(facts)} fine-tuned on {_corpus(facts)}"
    sections = {
        "Use": _use(folder.resolve().name, facts),
        "Scores": _scores(result),
        "Data": _data(facts),
        "Training": _training(facts),
        "Course of training": _course(folder / "trainer_state.json"),
        "Limits": _limits(result, facts),
        "Licence": _licence(facts, licence),
    }
    for file, (section, what) in FIGURES.items():
        if _is_newer(folder / file, folder / RESULTS_FILE):  # drawn for this run, not for an earlier one
            sections[section] += f"\n\n![{what}]({file})"
    body = "".join(f"\n## {name}\n\n{text.strip()}\n" for name, text in sections.items() if text)
    metadata = _metadata(title, result, facts, licence).to_yaml()
    return f"---\n{metadata}\n---\n\n# {title}\n\n{_summary(result, facts)}\n{body}"


def for_repository(card: str, repo_id: str) -> str:
    """The card with examples that load `repo_id`."""
    return REPO_NAME.sub(f'"{repo_id}"', card)


def base_licence(model: str) -> str | None:
    """The licence in the card of the base model; None if there is none, or no Hub to ask."""
    readme = Path(model).expanduser() / CARD_FILE
    try:
        if readme.is_file():
            licence = ModelCard.load(readme, ignore_metadata_errors=True).data.license
        elif _on_hub(model):
            card = HfApi().model_info(model, timeout=10).card_data
            licence = card.license if card else None
        else:
            return None
    except (HTTPError, OSError, ValueError):  # a card without its licence is better than a run that ends here
        return None
    return licence if isinstance(licence, str) else None


def _metadata(title: str, result: Result, facts: RunFacts, licence: str | None) -> ModelCardData:
    hub_dataset = "e9t/nsmc" if facts.dataset == "nsmc" else facts.dataset if _on_hub(facts.dataset) else None
    scores = []
    if result.analysis:
        held_out = "" if result.note == "scored once" else f" ({result.note})"
        for kind, name, score in [
            ("accuracy", "Accuracy", result.analysis.accuracy),
            ("f1", "Macro F1", result.analysis.macro_f1),
        ]:
            scores.append(
                EvalResult(
                    task_type="text-classification",
                    task_name="Text Classification",
                    dataset_type=hub_dataset or "custom",
                    dataset_name=_corpus(facts),
                    dataset_split=result.split,
                    metric_type=kind,
                    metric_name=f"{name}{held_out}",
                    metric_value=round(score.value, 4),
                )
            )
    return ModelCardData(
        language="ko",
        license=None if licence == "other" else licence,  # its name and text are in the card of the base model
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=[TAG],
        base_model=facts.model if _on_hub(facts.model) else None,
        datasets=[hub_dataset] if hub_dataset else None,
        metrics=["accuracy", "f1"],
        model_name=title,
        eval_results=scores or None,
    )


def _summary(result: Result, facts: RunFacts) -> str:
    names = list(facts.splits["train"].classes)
    text = f"Labels Korean text with one of {len(names)} classes: {', '.join(map(_plain, names))}."
    if result.analysis:
        accuracy = result.analysis.accuracy
        text += (
            f" It labels {accuracy.value:.2%} of {result.num_rows:,} {result.split} texts right "
            f"(95 % interval {accuracy.low:.2%} to {accuracy.high:.2%}; {result.note})."
        )
    return f"{text}\n\n한국어 글을 {len(names)}개 범주로 분류하는 모델입니다."


def _use(name: str, facts: RunFacts) -> str:
    pair = facts.options.get("text_pair_column") is not None
    text = '{"text": "영화가 재미있다", "text_pair": "볼 만한 영화다"}' if pair else '"시간 가는 줄 몰랐어요"'
    ours = '("영화가 재미있다", "볼 만한 영화다")' if pair else text
    return (
        "```python\n"
        "from transformers import pipeline\n\n"
        f'classifier = pipeline("text-classification", model="{name}", truncation=True)\n'
        f"classifier({text})\n"
        "```\n\n"
        "Or with hfcls, which computes no padding:\n\n"
        "```python\n"
        "from hfcls import Classifier\n\n"
        f'classifier = Classifier.from_pretrained("{name}")\n'
        f"classifier({ours})\n"
        "```"
    )


def _scores(result: Result) -> str:
    analysis, unseen = result.analysis, result.unseen
    if analysis is None:
        return "No rows were held out, so nothing was measured."
    rows: list[Iterable[object]] = [
        ("accuracy", *_cells(analysis.accuracy)),
        ("macro F1", *_cells(analysis.macro_f1)),
        ("mean cross-entropy (nats)", f"{analysis.loss:.4f}", ""),
        ("expected calibration error", f"{analysis.ece:.4f}", ""),
    ]
    if unseen and unseen.num_rows < result.num_rows:
        rows.insert(1, (f"accuracy on the {unseen.num_rows:,} texts that are not in train", *_cells(unseen.accuracy)))
    classes = [(_plain(row.label), row.precision, row.recall, row.f1, f"{row.support:,}") for row in analysis.classes]
    text = [
        _table(("", "score", "95 % interval"), rows),
        _table(("class", "precision", "recall", "F1", "texts"), classes),
        "Intervals are Wilson's for accuracy, precision and recall, and bootstrapped for F1.",
    ]
    if len(analysis.classes) <= MANY:
        names = [_plain(name) for name in analysis.label_names]
        confusion = [(name, *map("{:,}".format, row)) for name, row in zip(names, analysis.confusion, strict=True)]
        text.append(_table(("true, down; predicted, across", *names), confusion))
    return "\n\n".join(text)


def _data(facts: RunFacts) -> str:
    rows = []
    for name, split in facts.splits.items():
        counts = [f"{_plain(label)} {count:,}" for label, count in split.classes.items()]
        shown = ", ".join(counts) if len(counts) <= MANY else f"{len(counts)} classes"
        rows.append((name, f"{split.rows:,}", shown, f"`{split.sha256}`"))
    return (
        f"Fine-tuned on {_corpus(facts)}. {facts.protocol}\n\n"
        f"{_table(('split', 'texts', 'of each class', 'SHA-256'), rows)}\n\n"
        'The hash is over the texts in their order, a line of JSON `["text", "label"]` each, in UTF-8.'
    )


def _training(facts: RunFacts) -> str:
    defaults = {field.name: field.default for field in fields(TrainConfig) if field.name in CORE}
    settings = {name: value for name, value in (defaults | facts.options).items() if name not in UNTOLD}
    padding = facts.padding[facts.batching]
    rows = [
        ("base model", _base(facts)),
        ("parameters", f"{facts.num_parameters:,} ({facts.architecture})"),
        ("optimizer", "Adam without weight decay; the rate is multiplied by `lr_gamma` after each epoch"),
        *((f"`{name}`", _plain(value)) for name, value in settings.items()),
        ("steps", f"{facts.steps:,}"),
        ("batches", f"{facts.batching}; {padding:.1%} of the tokens are padding"),
        ("tokens per text", f"{facts.tokens_per_text:.1f} on average"),
        ("hardware", f"{_plain(facts.hardware)}, {'float32' if facts.precision == 'no' else facts.precision}"),
        ("time", f"{_duration(facts.training_seconds)}, {facts.texts_per_second:,.0f} texts/s"),
        ("finished", facts.finished),
        ("versions", ", ".join(f"{name} {number}" for name, number in facts.versions.items())),
    ]
    return (
        f"{_table(('', ''), rows)}\n\nEvery option that is not listed was at its default of hfcls "
        f"{facts.versions['hfcls']}."
    )


def _course(state_file: Path) -> str:
    if not state_file.is_file():
        return ""
    state = json.loads(state_file.read_text(encoding="utf-8"))
    rows, losses = [], []
    for entry in state["log_history"]:
        if "loss" in entry:
            losses.append(entry["loss"])
        elif "eval_loss" in entry:
            loss = f"{sum(losses) / len(losses):.4f}" if losses else ""
            scores = (f"{entry[f'eval_{name}']:.4f}" for name in ("loss", "accuracy", "macro_f1"))
            kept = "kept" if entry["step"] == state["best_global_step"] else ""
            rows.append((f"{entry['epoch']:.2f}", loss, *scores, kept))
            losses = []
    heads = ("epoch", "loss in training", "loss in evaluation", "accuracy", "macro F1", "")
    return _table(heads, rows) if rows else ""


def _limits(result: Result, facts: RunFacts) -> str:
    max_length = facts.options.get("max_length", TrainConfig.max_length)
    limits = [
        f"It has learned from {facts.splits['train'].rows:,} texts of one source. How it does on other kinds of text, "
        "other times or other writers was not measured.",
        "It always answers with one of its classes, also where none fits.",
        f"It reads the first {max_length} tokens of a text and cuts off the rest.",
    ]
    if result.note != "scored once":
        limits.append("The scores are not held-out ones: " + (result.note or "nothing was scored") + ".")
    if result.unseen and (seen := result.num_rows - result.unseen.num_rows):
        limits.append(
            f"{seen:,} of the {result.num_rows:,} {result.split} texts stand in train as well; the score without them "
            "is given above."
        )
    if facts.dataset in CORPORA:
        limits.append(CORPORA[facts.dataset][1])
    return "\n".join(f"- {limit}" for limit in limits)


def _licence(facts: RunFacts, licence: str | None) -> str:
    if facts.model == "scratch":
        return "The weights were trained from scratch; who publishes them chooses their licence."
    if licence:
        return f"`{licence}`, as the base model {_base(facts)}. The data may have terms of its own."
    return (
        f"None is stated here, because none was found for the base model {_base(facts)}. Ask for its terms, and those "
        "of the data, before you use or pass on these weights."
    )


def _base(facts: RunFacts) -> str:
    return SCRATCH if facts.model == "scratch" else _plain(facts.model if _on_hub(facts.model) else _last(facts.model))


def _corpus(facts: RunFacts) -> str:
    if facts.dataset in CORPORA:
        return CORPORA[facts.dataset][0]
    return _plain(facts.dataset if _on_hub(facts.dataset) else _last(facts.dataset))


def _on_hub(name: str) -> bool:
    """Whether this names a repository rather than a place on this machine or something of ours."""
    return (
        name not in ("scratch", *CORPORA)
        and bool(re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", name))
        and not (Path(name).exists())
    )


def _last(path: str) -> str:
    return Path(path).expanduser().resolve().name


def _is_newer(path: Path, than: Path) -> bool:
    return path.is_file() and than.is_file() and path.stat().st_mtime >= than.stat().st_mtime


def _cells(score: Estimate) -> tuple[str, str]:
    return f"{score.value:.4f}", f"{score.low:.4f} to {score.high:.4f}"


def _table(heads: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    lines: list[Iterable[object]] = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _plain(value: Any) -> str:
    """A value as it may stand in a table of Markdown."""
    return " ".join(str(value).replace("|", "\\|").split())


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min {rest} s" if minutes >= 60 else f"{minutes} min {rest} s"
