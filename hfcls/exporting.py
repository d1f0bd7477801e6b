"""`hfcls export` and `hfcls.export`: a folder that runs without torch, held to the model it was made from."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hfcls.config.commands import ExportConfig
from hfcls.config.options import with_options
from hfcls.data.corpora import load_corpus
from hfcls.errors import HfclsError
from hfcls.inference.agreement import CHECKED_ROWS, Agreement, check_agreement, compared, decided_labels, held_out
from hfcls.inference.classifier import Classifier
from hfcls.inference.onnx_classifier import OnnxClassifier
from hfcls.inference.texts import Text
from hfcls.models.classes import task_of_config
from hfcls.models.compact.exported import EXPORT_FILE, ONNX_FILE
from hfcls.models.compact.to_onnx import write_facts, write_onnx
from hfcls.models.loading import load_classifier
from hfcls.scoring.tasks import Regression, Task
from hfcls.system.files import beside, check_writable, remove_leftovers

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from hfcls.config.typed import ExportOptions

MOST_DIFFERENCE = 1e-4  # of a logit, in float32
PAIRS = 100  # that are checked beside the texts


@dataclass(frozen=True)
class Exported:
    """The outcome of `export`.

    Attributes:
        folder: where the model lies.
        precision: float32 or int8.
        size: bytes of `model.onnx`.
        largest_difference: of a logit, or of the number of a regression, to the model in torch.
        agreement: labels that changed and accuracy that was lost; None of a regression, which gives no labels.
        texts: what the check was made with.
    """

    folder: Path
    precision: str
    size: int
    largest_difference: float
    agreement: Agreement | None
    texts: str

    def text(self) -> str:
        """What the command prints."""
        what = "logit" if self.agreement else "number"
        return (
            f"{self.folder / ONNX_FILE}: {self.precision}, {self.size / 1e6:,.1f} MB\n"
            f"checked against the model in torch on {self.texts}: largest difference of a {what} "
            f"{self.largest_difference:.1e}{f', {self.agreement}' if self.agreement else ''}"
        )


def export(config: ExportConfig | None = None, /, **options: "Unpack[ExportOptions]") -> Exported:
    """Write a classifier as ONNX and hold it to the model in torch; what does not agree is not left there.

    `Classifier.from_pretrained`, `predict`, `evaluate` and `serve` take the folder; `OnnxClassifier` runs it without
    torch. 1,000 texts, those the run was scored on or else demonstration reviews, and 100 pairs go through both. In
    float32 no logit may differ by more than 1e-4 (of a regression, whose numbers have a unit: 1e-4 of their range); in
    int8 at most 0.5 % of the labels may change and 0.3 points of accuracy be lost.

    Args:
        config: options; default `ExportConfig()`.
        **options: any field of `ExportConfig`, over those of `config`.

    Raises:
        HfclsError: no classifier there, the output holds something else or cannot be written, `hfcls[onnx]` is not
            installed, torch cannot export this architecture, or the two do not agree.
    """
    config = with_options(ExportConfig() if config is None else config, options)
    folder = Path(config.output or f"{_model_folder(config.model)}{'-onnx-int8' if config.int8 else '-onnx'}")
    if folder.name in ("", ".."):
        raise HfclsError(f"{folder} has no name of its own: give --output a folder that has one")
    _check_free(folder)
    if (Path(config.model) / ONNX_FILE).is_file():
        raise HfclsError(f"{config.model} is an exported model already: give the folder of the run it was made from")
    model, tokenizer = load_classifier(config.model, trust_remote_code=config.trust_remote_code)
    if config.int8 and isinstance(task_of_config(model.config), Regression):
        raise HfclsError(f"int8 is held to labels, and {config.model} gives numbers: leave out --int8")
    aside, replaced = beside(folder), beside(folder)
    try:
        remove_leftovers(folder)
        aside.mkdir(parents=True)
        write_onnx(model, tokenizer, aside, int8=config.int8)
        found = _held_to(Classifier(model, tokenizer), aside, config)
        if folder.is_dir():  # moved first: a kill half-way leaves no folder that seems to be another's
            folder.replace(replaced)
        aside.replace(folder)
        shutil.rmtree(replaced, ignore_errors=True)
    except OSError as error:
        raise HfclsError(f"cannot write {folder}: {error.strerror or error}; choose another --output") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return Exported(folder, "int8" if config.int8 else "float32", (folder / ONNX_FILE).stat().st_size, *found)


def _model_folder(model: str) -> Path:
    """The folder beside which the export lies: with a name, which `.` has not; a Hub id is here, under its own name."""
    if not Path(model).is_dir():
        return Path(Path(model).name)
    return Path(model) if Path(model).name not in ("", "..") else Path(model).resolve()


def _check_free(folder: Path) -> None:
    if folder.exists() and not (folder / EXPORT_FILE).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise HfclsError(f"{folder} holds something else than an exported model: choose another --output")
    check_writable(folder.with_name(f"{folder.name}.probe"), "output")


def _held_to(original: Classifier, folder: Path, config: ExportConfig) -> tuple[float, Agreement | None, str]:
    """The largest difference of a logit, the labels, and what the texts were; raises HfclsError if it is too much."""
    texts, true, name = _texts(config.model, original.takes_pairs)
    exported = OnnxClassifier.from_pretrained(folder)
    before, after = original.logits(texts).numpy(), exported.logits(texts)
    difference, most = float(np.abs(before - after).max()), MOST_DIFFERENCE
    tells_pairs = exported.model.takes_token_types or "token_type_ids" not in original.tokenizer.model_input_names
    if tells_pairs and not original.columns.get("text_columns"):  # whose texts are joined
        pairs = _pairs(texts[:PAIRS])
        difference = max(difference, float(np.abs(original.logits(pairs).numpy() - exported.logits(pairs)).max()))
    agreement = None
    if isinstance(original.task, Regression):  # its numbers are of any unit, and may be large beside their range
        most = float(MOST_DIFFERENCE * np.ptp(before) + 1e-6 * np.abs(before).max())
    else:
        agreement = _agreement(original.task, before, after, true)
    if config.int8 and agreement:
        check_agreement(agreement, "int8", config.model)
    elif not difference <= most:  # NaN too
        what, found = ("logit", f" ({agreement})") if agreement else ("number", "")
        raise HfclsError(
            f"the exported model is not that of {config.model}: a {what} differs by {difference:.1e} on {name}, at "
            f"most {most:.0e} is rounding{found}: use it in torch"
        )
    check = {"texts": name, "largest_logit_difference": difference, **(asdict(agreement) if agreement else {})}
    write_facts(folder, {"source": config.model, "check": check})
    return difference, agreement, name


def _agreement(
    task: Task, before: NDArray[np.float32], after: NDArray[np.float32], true: NDArray[Any] | None
) -> Agreement:
    """Of the labels that two models' logits [N, C] make; `true` are those of the first texts, if they are known."""
    labels_before, labels_after = (decided_labels(task, logits) for logits in (before, after))
    agreement = compared(labels_before, labels_after, None)
    if true is None:
        return agreement
    # the last texts were made up for the check: their true labels are not known
    lost = compared(labels_before[: len(true)], labels_after[: len(true)], true)
    return Agreement(agreement.rows, agreement.changed, lost.accuracy_lost)


def _texts(model: str, takes_pairs: bool) -> tuple[list[Text], NDArray[Any] | None, str]:
    """Texts to check with, the true labels of the first of them if they are known, and what they are."""
    rows = held_out(Path(model))
    texts, true = (rows[0], rows[1]) if rows else ([], None)
    pairs = takes_pairs or (bool(texts) and isinstance(texts[0], tuple))
    demo = load_corpus("demo")["train"]["text"][: CHECKED_ROWS - len(texts)]
    name = " and ".join(
        f"{count:,} {what}"
        for count, what in ((len(texts), "rows that the run was scored on"), (len(demo), "demonstration reviews"))
        if count
    )
    texts = [*texts, *(_pairs(demo) if pairs else demo)]
    return [*texts, *_extremes(texts)], true, name


def _extremes(texts: Sequence[Text]) -> list[Text]:
    """An empty text and one that is cut, of the kind of `texts`."""
    long = " ".join(_firsts(texts[:200])) + " 길다" * 600
    return ["", long] if isinstance(texts[0], str) else [("", ""), (long, long)]


def _pairs(texts: Sequence[Text]) -> list[Text]:
    firsts = _firsts(texts)
    return list(zip(firsts, [*firsts[1:], *firsts[:1]], strict=True))


def _firsts(texts: Sequence[Text]) -> list[str]:
    return [text if isinstance(text, str) else text[0] for text in texts]
