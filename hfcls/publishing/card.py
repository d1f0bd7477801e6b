"""The model card of a run: README.md with what a stranger needs to know before using the model."""

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

from hfcls.config.commands import DistillConfig
from hfcls.config.optimization import idle
from hfcls.config.train import TrainConfig
from hfcls.data.splits import carved_share
from hfcls.data.tasks import TAUGHT
from hfcls.models.sources import BASELINE, SHIPPED, local_folder
from hfcls.publishing.names import (
    CORPORA,
    LOSSES,
    SCORES,
    SPLITS,
    decimals,
    durations,
    found_on_validation,
    on_hub,
    own_name,
    without_place,
)
from hfcls.publishing.pages.verdict import how_good
from hfcls.runs.folder import CARD_FILE, REPORT_FOLDER, RESULTS_FILE
from hfcls.runs.predictions import sample_texts
from hfcls.runs.record import RunFacts
from hfcls.runs.results import Result, load_results
from hfcls.runs.weights import MARKER, TAG, is_our_card
from hfcls.scoring.intervals import Estimate
from hfcls.system.files import write_whole
from hfcls.system.quoting import markdown, markdown_code, python_string

logger = logging.getLogger(__name__)

SCATTER, CONFUSION = f"{REPORT_FOLDER}/scatter.png", f"{REPORT_FOLDER}/confusion.png"
FIGURES = (SCATTER, CONFUSION)  # of the report, where the extra is installed
# In the lines of a card's examples, which begin so; no name out of the data begins a line. A name with a slash is that
# of another model, which somebody added: a run writes that of its folder.
REPO_NAME = re.compile(
    r'^((?:\w+ = )?(?:pipeline\(.*?\bmodel=|Classifier\.from_pretrained\())"(?:[^"\\/]|\\.)*"', re.MULTILINE
)
EXAMPLE_CHARS = 60
METRICS = {  # as the Hub names them -> as an analysis does, and a title
    "single_label_classification": {"accuracy": ("accuracy", "Accuracy"), "f1": ("macro_f1", "Macro F1")},
    "multi_label_classification": {"f1": ("micro_f1", "Micro F1"), "accuracy": ("subset_accuracy", "Subset accuracy")},
    "regression": {"pearsonr": ("pearson", "Pearson"), "spearmanr": ("spearman", "Spearman")},
}
FEW_CLASSES = 12  # more of them do not fit a table of class against class


def write_card(folder: Path, language: str = "en") -> None:
    """Write README.md of the finished run in `folder`, whole or not at all; asks the Hub for the base model's licence.

    A README.md that is no card of hfcls is left as it is.

    Args:
        language: en or ko.

    Raises:
        HfclsError: no finished run there.
    """
    present = folder / CARD_FILE
    if present.exists() and not is_our_card(present):
        logger.warning("%s is not a model card of hfcls and is left as it is: this run has no card", present)
        return
    result = load_results(folder)
    licence = base_licence(result.facts.model) if result.facts else None
    write_whole(present, model_card(result, folder, licence, language))


def model_card(result: Result, folder: Path, licence: str | None, language: str = "en") -> str:
    """The card of a run.

    Args:
        result: of `fine_tune`, with its facts.
        folder: of the run, maybe with figures.
        licence: of the base model, as the Hub names licences.
        language: en or ko.
    """
    facts = result.facts
    assert facts is not None, "a run of fine_tune has facts"
    place = 0 if language == "ko" else 1  # of a text in pairs of Korean and English
    own = own_name(facts.model)
    base = own[place] if own else without_place(facts.model)
    corpus = CORPORA[facts.dataset][place] if facts.dataset in CORPORA else without_place(facts.dataset)
    trained = ("학습", "trained") if own else ("파인튜닝", "fine-tuned")
    title = (f"{base} {trained[0]}: {corpus}", f"{base} {trained[1]} on {corpus}")[place]
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
        own=own is not None,
        corpus=corpus,
        licence=licence,
        labels=labels,
        few_classes=len(labels) <= FEW_CLASSES,
        problem_type=facts.problem_type,
        score_names=SCORES,
        loss_name=LOSSES[facts.problem_type][place],
        split_names=SPLITS,
        split_name=SPLITS.get(result.split or "", result.split) if language == "ko" else result.split,
        digits=decimals(result.num_rows),
        how_good=how_good(result)[place] if result.analysis else "",
        is_unseen=_is_unseen(result),
        taught=TAUGHT in result.note,
        chosen_by=_chosen_by(facts),
        carved=carved_share(facts.protocol),
        tuned=found_on_validation(facts.protocol),
        **_example(result, folder, pair=facts.options.get("text_pair_column") is not None),
        ko=language == "ko",
        result=result,
        analysis=result.analysis,
        seen=result.num_rows - result.unseen.num_rows if result.unseen else 0,
        facts=facts,
        settings=_settings(facts.options),
        duration=durations(facts.training_seconds)[place],
        scatter=SCATTER,
        confusion=CONFUSION,
        figures=[name for name in FIGURES if _is_newer(folder / name, folder / RESULTS_FILE)],
    )
    return re.sub(r"\n{3,}", "\n\n", card)


def _is_unseen(result: Result) -> bool:
    """Whether the scored rows chose nothing of the model."""
    return result.note.startswith(("scored once", "held out"))


def _chosen_by(facts: RunFacts) -> str | None:
    """The score that chose the checkpoint; None where the last one was kept."""
    metric = str(facts.options.get("metric_for_best_model", "eval_loss")).removeprefix("eval_")
    return None if facts.selected_on is None or metric == "last" else metric


def _in_markdown(value: Any) -> Markup:
    """What the template puts in: as text, unless the template says that it is Markdown or code."""
    return value if isinstance(value, Markup) else Markup(markdown(value))


def _example(result: Result, folder: Path, *, pair: bool) -> dict[str, Any]:
    """The argument of the two calls that the card shows."""
    texts = [python_string(text) for text in sample_texts(result.examples, folder, pair=pair, width=EXAMPLE_CHARS)]
    return {
        "example_for_pipeline": Markup('{{"text": {}, "text_pair": {}}}'.format(*texts) if pair else texts[0]),
        "example": Markup("({}, {})".format(*texts) if pair else texts[0]),
        "is_held_out": any(example.text.strip() for example in result.examples),
    }


def _settings(changed: dict[str, Any]) -> dict[str, Any]:
    """The options that the card lists: some always, others where they are not at their defaults; none that is idle."""
    always = {option.name: option.default for option in fields(TrainConfig) if option.metadata["in_card"] == "always"}
    never = {option.name for option in fields(DistillConfig) if option.metadata["in_card"] == "never"}
    listed = {name: value for name, value in (always | changed).items() if name not in never and value is not None}
    return {name: value for name, value in listed.items() if name not in idle(listed)}


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
    beside = "" if result.note == "scored once" else f" ({result.note})"  # of whose labels, and what it chose
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
        library_name=None if facts.model == BASELINE else "transformers",
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
                metric_name=f"{name}{beside}",
                metric_value=round(score.value, 4),
            )
            for kind, (name, score) in scores.items()
        ]
        or None,
    )


def _is_newer(path: Path, than: Path) -> bool:
    """Whether a figure was drawn for the run with these results, not for an earlier one in the same folder."""
    return path.is_file() and than.is_file() and path.stat().st_mtime >= than.stat().st_mtime
