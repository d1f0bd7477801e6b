"""The model card of a run: README.md with what a stranger needs to know before using the model."""

import json
import logging
import os
import re
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, HfApi, ModelCard, ModelCardData
from huggingface_hub.errors import HTTPError
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from hfcls.config.train import TrainConfig
from hfcls.models.sources import SHIPPED, local_folder
from hfcls.publishing.names import CORPORA, OWN, SCORES, on_hub, without_place
from hfcls.runs.folder import CARD_FILE, REPORT_FOLDER, RESULTS_FILE, STATE_FILE
from hfcls.runs.predictions import sample_texts
from hfcls.runs.record import RunFacts
from hfcls.runs.results import Result, load_results
from hfcls.runs.weights import MARKER, TAG, is_our_card
from hfcls.scoring.intervals import Estimate
from hfcls.system.files import write_whole
from hfcls.system.quoting import markdown, markdown_code, python_string
from hfcls.system.terminal import duration

logger = logging.getLogger(__name__)

FIGURES = {  # of the report, where the extra is installed
    f"{REPORT_FOLDER}/confusion.png": "confusion matrix",
    f"{REPORT_FOLDER}/reliability.png": "accuracy by confidence",
    f"{REPORT_FOLDER}/lengths.png": "accuracy by length",
    f"{REPORT_FOLDER}/scatter.png": "targets and answers",
    f"{REPORT_FOLDER}/coverage.png": "accuracy by share of texts answered",
    f"{REPORT_FOLDER}/loss.png": "loss",
    f"{REPORT_FOLDER}/accuracy.png": "accuracy",
    f"{REPORT_FOLDER}/learning_rate.png": "learning rate",
}
# In the lines of a card's examples, which begin so; no name out of the data begins a line.
REPO_NAME = re.compile(
    r'^((?:\w+ = )?(?:pipeline\(.*?\bmodel=|Classifier\.from_pretrained\())"(?:[^"\\]|\\.)*"', re.MULTILINE
)
EXAMPLE_CHARS = 60
METRICS = {  # as the Hub names them -> as an analysis does, and a title
    "single_label_classification": {"accuracy": ("accuracy", "Accuracy"), "f1": ("macro_f1", "Macro F1")},
    "multi_label_classification": {"f1": ("micro_f1", "Micro F1"), "accuracy": ("subset_accuracy", "Subset accuracy")},
    "regression": {"pearsonr": ("pearson", "Pearson"), "spearmanr": ("spearman", "Spearman")},
}
COURSE = {  # the scores of each evaluation in training
    "single_label_classification": ("accuracy", "macro_f1"),
    "multi_label_classification": ("micro_f1", "macro_f1"),
    "regression": ("pearson", "spearman"),
}
LOSS_NAMES = {
    "single_label_classification": "cross-entropy (nats)",
    "multi_label_classification": "binary cross-entropy (nats)",
    "regression": "squared error",
}
FEW_CLASSES = 12  # more of them do not fit a table of class against class


def write_card(folder: Path) -> None:
    """Write README.md of the finished run in `folder`, whole or not at all; asks the Hub for the base model's licence.

    A README.md that is no card of hfcls is left as it is.

    Raises:
        HfclsError: no finished run there.
    """
    present = folder / CARD_FILE
    if present.exists() and not is_our_card(present):
        logger.warning("%s is not a model card of hfcls and is left as it is: this run has no card", present)
        return
    result = load_results(folder)
    licence = base_licence(result.facts.model) if result.facts else None
    write_whole(present, model_card(result, folder, licence))


def model_card(result: Result, folder: Path, licence: str | None) -> str:
    """The card of a run.

    Args:
        result: of `fine_tune`, with its facts.
        folder: of the run, with `trainer_state.json` and maybe figures.
        licence: of the base model, as the Hub names licences.
    """
    facts = result.facts
    assert facts is not None, "a run of fine_tune has facts"
    base = OWN.get(facts.model) or without_place(facts.model)
    corpus = CORPORA.get(facts.dataset) or without_place(facts.dataset)
    title = f"{base} fine-tuned on {corpus}"
    labels = list(facts.splits["train"].classes) or [facts.options.get("label_column", "label")]
    environment = Environment(
        autoescape=True,
        finalize=_in_markdown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["code"] = lambda value: Markup(markdown_code(value))
    template = (files("hfcls.publishing") / "card.md.jinja").read_text(encoding="utf-8")
    card = environment.from_string(template).render(
        metadata=Markup(_metadata(title, corpus, result, facts, licence).to_yaml()),
        marker=Markup(MARKER),
        title=title,
        name=Markup(python_string(folder.resolve().name)),
        base=base,
        corpus=corpus,
        licence=licence,
        labels=labels,
        few_classes=len(labels) <= FEW_CLASSES,
        problem_type=facts.problem_type,
        score_names=SCORES | {"macro_f1": ("", "macro F1"), "micro_f1": ("", "micro F1")},
        loss_name=LOSS_NAMES[facts.problem_type],
        course_scores=COURSE[facts.problem_type],
        **_example(result, pair=facts.options.get("text_pair_column") is not None),
        result=result,
        analysis=result.analysis,
        seen=result.num_rows - result.unseen.num_rows if result.unseen else 0,
        facts=facts,
        settings=_settings(facts.options),
        duration=duration(facts.training_seconds),
        course=_course(folder / STATE_FILE),
        figures={name: what for name, what in FIGURES.items() if _is_newer(folder / name, folder / RESULTS_FILE)},
    )
    return re.sub(r"\n{3,}", "\n\n", card)


def _in_markdown(value: Any) -> Markup:
    """What the template puts in: as text, unless the template says that it is Markdown or code."""
    return value if isinstance(value, Markup) else Markup(markdown(value))


def _example(result: Result, *, pair: bool) -> dict[str, Any]:
    """The argument of the two calls that the card shows."""
    texts = [python_string(text) for text in sample_texts(result.examples, pair=pair, width=EXAMPLE_CHARS)]
    return {
        "example_for_pipeline": Markup('{{"text": {}, "text_pair": {}}}'.format(*texts) if pair else texts[0]),
        "example": Markup("({}, {})".format(*texts) if pair else texts[0]),
        "is_held_out": any(example.text.strip() for example in result.examples),
    }


def _settings(changed: dict[str, Any]) -> dict[str, Any]:
    """The options that the card lists: some always, others where they are not at their defaults."""
    options = fields(TrainConfig)
    always = {option.name: option.default for option in options if option.metadata["in_card"] == "always"}
    never = {option.name for option in options if option.metadata["in_card"] == "never"}
    return {name: value for name, value in (always | changed).items() if name not in never and value is not None}


def for_repository(card: str, repo_id: str) -> str:
    """The card with examples that load `repo_id`."""
    return REPO_NAME.sub(rf'\1"{repo_id}"', card)


def base_licence(model: str) -> str | None:
    """The licence in the card of the base model; None if there is none, or no Hub to ask."""
    shipped = local_folder(model) if model in SHIPPED else None
    readme = (shipped or Path(os.path.expanduser(model))) / CARD_FILE
    try:
        if readme.is_file():
            licence = ModelCard.load(readme, ignore_metadata_errors=True).data.license
        elif on_hub(model):
            card = HfApi().model_info(model, timeout=10).card_data
            licence = card.license if card else None
        else:
            return None
    except (HTTPError, OSError, ValueError):  # a card without its licence is better than a run that ends here
        return None
    return licence if isinstance(licence, str) else None


def _metadata(title: str, corpus: str, result: Result, facts: RunFacts, licence: str | None) -> ModelCardData:
    dataset = None
    if facts.dataset == "nsmc":
        dataset = "e9t/nsmc"
    elif on_hub(facts.dataset):
        dataset = facts.dataset
    held_out = "" if result.note.startswith(("scored once", "held out")) else f" ({result.note})"
    analysis = result.analysis
    found = dict(analysis.headline()) if analysis else {}
    scores = {
        kind: (title, score)
        for kind, (name, title) in METRICS[facts.problem_type].items()
        if isinstance(score := found.get(name), Estimate)
    }
    return ModelCardData(
        language="ko",
        license=None if licence == "other" else licence,  # its name and text are in the card of the base model
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=[TAG],
        base_model=facts.model if on_hub(facts.model) else None,
        datasets=[dataset] if dataset else None,
        metrics=list(METRICS[facts.problem_type]),
        model_name=title,
        eval_results=[
            EvalResult(
                task_type="text-classification",
                task_name="Text Classification",
                dataset_type=dataset or "custom",
                dataset_name=corpus,
                dataset_split=result.split,
                metric_type=kind,
                metric_name=f"{name}{held_out}",
                metric_value=round(score.value, 4),
            )
            for kind, (name, score) in scores.items()
        ]
        or None,
    )


def _course(state_file: Path) -> list[dict[str, Any]]:
    """For each evaluation its scores, the mean loss of training since the last one, and whether that model was kept."""
    if not state_file.is_file():
        return []
    state = json.loads(state_file.read_text(encoding="utf-8"))
    rows, losses = [], []
    for entry in state["log_history"]:
        if "loss" in entry:
            losses.append(entry["loss"])
        elif "eval_loss" in entry:
            loss = sum(losses) / len(losses) if losses else None
            rows.append({**entry, "loss": loss, "kept": entry["step"] == state.get("best_global_step")})
            losses = []
    return rows


def _is_newer(path: Path, than: Path) -> bool:
    """Whether a figure was drawn for the run with these results, not for an earlier one in the same folder."""
    return path.is_file() and than.is_file() and path.stat().st_mtime >= than.stat().st_mtime
