"""Whether a model in fewer bits still answers as the one it was made from: on the run's own scored rows."""

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from hfcls.errors import HfclsError
from hfcls.inference.texts import Text
from hfcls.runs.folder import PRECISION_FILE, PREDICTIONS_FILE
from hfcls.runs.predictions import scored_rows
from hfcls.scoring.tasks import Regression, Task, shown
from hfcls.system.files import write_json

if TYPE_CHECKING:
    from hfcls.inference.classifier import Classifier

logger = logging.getLogger(__name__)

CHECKED_ROWS = 1_000
ENOUGH_ROWS = 200  # of which one that changes is 0.5 %
MOST_CHANGED, MOST_LOST = 0.005, 0.003  # of the labels; of the accuracy: 0.3 points


@dataclass(frozen=True)
class Agreement:
    """How one model's labels compare with another's on the same texts.

    Attributes:
        rows: texts that were compared.
        changed: texts that are given another label.
        accuracy_lost: in [-1, 1]; None where the true labels are not known.
    """

    rows: int
    changed: int
    accuracy_lost: float | None

    def __str__(self) -> str:
        lost = "" if self.accuracy_lost is None else f", accuracy {0 - 100 * self.accuracy_lost:+.2f} points"
        return f"{self.changed} of {self.rows:,} labels changed ({self.changed / self.rows:.2%}){lost}"


def check_agreement(agreement: Agreement, precision: str, model: str) -> None:
    """Raises HfclsError, with the figures, if more is lost than fewer bits may cost."""
    lost = agreement.accuracy_lost or 0.0
    if agreement.changed > MOST_CHANGED * agreement.rows or lost > MOST_LOST + 1e-9:
        raise HfclsError(
            f"{precision} changes too much of {model}: {agreement}; at most {MOST_CHANGED:.1%} of the labels and "
            f"{100 * MOST_LOST:.1f} points may go: use it in float32"
        )


def compared(before: NDArray[Any], after: NDArray[Any], true: NDArray[Any] | None) -> Agreement:
    """The agreement of two models' labels [N]; `true` are the right ones, if they are known."""
    lost = None if true is None else float(np.mean(before == true) - np.mean(after == true))
    return Agreement(len(before), int(np.sum(before != after)), lost)


def decided_labels(task: Task, logits: NDArray[Any]) -> NDArray[Any]:
    """The label of each row [N], several of them as one text; numbers are shown to four digits."""
    return np.array([shown(decided) for decided in task.decided(task.outputs(logits))])


def held_out(folder: Path) -> tuple[list[Text], NDArray[Any], NDArray[Any]] | None:
    """Up to `CHECKED_ROWS` texts that a run was scored on, their labels, and those it gave them; None of no run."""
    table = scored_rows(folder, CHECKED_ROWS)
    if table is None:
        return None
    texts = [text or "" for text in table["text"].to_pylist()]
    if "text_pair" in table.column_names:
        texts = list(zip(texts, [text or "" for text in table["text_pair"].to_pylist()], strict=True))
    true, given = (np.array([shown(label) for label in table[name].to_pylist()]) for name in ("label", "predicted"))
    return texts, true, given


def verify_precision(classifier: "Classifier", name: str, precision: str) -> None:
    """Hold a classifier in fewer bits to what the run wrote down in float32; one log line says what was found.

    The finding is kept beside the run, so that the next start need not find it again.

    Raises:
        HfclsError: more labels changed, or more accuracy was lost, than `check_agreement` allows.
    """
    if isinstance(classifier.task, Regression):
        raise HfclsError(f"{precision} is held to labels, and {name} gives numbers: use it in float32")
    folder = Path(name).expanduser()
    rows = held_out(folder)
    if rows is None:
        logger.warning(
            "%s is not verified: %s holds no %s to hold it to; `hfcls evaluate --precision %s` scores it",
            precision, name, PREDICTIONS_FILE, precision,
        )  # fmt: skip
        return
    circumstances = _circumstances(folder, classifier)
    path = folder / PRECISION_FILE
    agreement = _known(path, precision, circumstances)
    if agreement is None:
        texts, true, before = rows
        agreement = compared(before, decided_labels(classifier.task, classifier.logits(texts).numpy()), true)
        _remember(path, precision, circumstances, agreement)
    logger.info("%s: %s", precision, agreement)
    if agreement.rows < ENOUGH_ROWS:
        logger.warning(
            "%s is verified on %d rows, and fewer than %d show little: `hfcls evaluate --precision %s` shows more",
            precision, agreement.rows, ENOUGH_ROWS, precision,
        )  # fmt: skip
    check_agreement(agreement, precision, name)


def _circumstances(folder: Path, classifier: "Classifier") -> dict[str, Any]:
    """All that a finding depends on."""
    files = [*sorted(folder.glob("model*.safetensors")), folder / PREDICTIONS_FILE]
    return {
        "files": {file.name: [file.stat().st_size, file.stat().st_mtime_ns] for file in files},
        "torch": torch.__version__,
        "processor": f"{torch.backends.cpu.get_cpu_capability()} {classifier.model.device.type}",
        "max_length": classifier.max_length,
    }


def _known(path: Path, precision: str, circumstances: dict[str, Any]) -> Agreement | None:
    try:
        found = _findings(path)[precision]
        return Agreement(**found["agreement"]) if found["circumstances"] == circumstances else None
    except (KeyError, TypeError):  # not there, or not ours: find it again
        return None


def _remember(path: Path, precision: str, circumstances: dict[str, Any], agreement: Agreement) -> None:
    found = {precision: {"circumstances": circumstances, "agreement": asdict(agreement)}}
    try:
        write_json(path, {**_findings(path), **found})
    except OSError as error:
        logger.info("what was found is not kept (%s): the next start finds it again", error.strerror or error)


def _findings(path: Path) -> dict[str, Any]:
    """What stands in precision.json; nothing where it is not what we wrote."""
    try:
        findings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return findings if isinstance(findings, dict) else {}
