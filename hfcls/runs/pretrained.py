"""What a run of `hfcls adapt` measured: kept as JSON beside the model, shown as a short table."""

import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hfcls.errors import HfclsError
from hfcls.runs.folder import RESULTS_FILE
from hfcls.system.files import check_types, read_json, write_json
from hfcls.system.terminal import aligned

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class AdaptResult:
    """The outcome of `adapt`; all of it is plain JSON.

    Attributes:
        output_dir: folder of the encoder, with its masked-LM head.
        perplexity: of the hidden tokens of the held-out texts, at the end; None if there were none.
        loss: its logarithm, in nats a hidden token.
        accuracy: share of the hidden tokens that are guessed right.
        num_texts: held out.
        seed: of the run.
        tokens: that were learned from, special tokens included, over all epochs.
        tokens_per_second: of this part of the run, without evaluations and checkpoints.
        facts: what the run was made of: model, data and their hashes, options, hardware, versions.
    """

    output_dir: str
    perplexity: float | None
    loss: float | None
    accuracy: float | None
    num_texts: int
    seed: int
    tokens: int
    tokens_per_second: float
    facts: dict[str, Any]

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all."""
        write_json(path, asdict(self))

    def table(self) -> str:
        """The numbers a person wants first."""
        if self.perplexity is None:
            why = "chance hid no token of the held-out texts" if self.num_texts else "no text was held out"
            rows = [("perplexity", f"not measured: {why}")]
        else:
            rows = [
                ("perplexity", f"{self.perplexity:.2f}  of hidden tokens, {self.num_texts:,} held-out texts"),
                ("accuracy", f"{self.accuracy:.1%}  of them guessed right"),
            ]
        rows += [("tokens", f"{self.tokens:,}")]
        if self.tokens_per_second:  # what was stopped after its last step trains nothing when resumed
            rows += [("tokens/s", f"{self.tokens_per_second:,.0f}")]
        return "\n".join(aligned([*rows, ("seed", str(self.seed)), ("model", self.output_dir)]))


def load_adapted(folder: Path) -> AdaptResult | None:
    """The outcome of the run of `adapt` in a folder; None if none has ended there.

    Raises:
        HfclsError: its results.json is not what a run writes.
    """
    path = folder / RESULTS_FILE
    try:
        values = read_json(path)
        if values is None or "perplexity" not in values:
            return None
        check_types(result := AdaptResult(**values), AdaptResult)
        return result
    except (OSError, TypeError) as error:
        raise HfclsError(f"{path} is not the result of a run of this version of hfcls: {error}") from error


def finished_adapted(folder: Path) -> AdaptResult | None:
    """The outcome of the run to resume, if it has ended: whatever `check_output_dir` allows adds nothing to it."""
    result = load_adapted(folder)
    if result:
        logger.info("the run in %s is finished and is left as it is: its texts are not read again", folder)
    return result and replace(result, output_dir=str(folder))


def save_adapted(result: AdaptResult, folder: Path) -> None:
    """Write the results to the folder of a run.

    Raises:
        HfclsError: they could not be written; the message holds them.
    """
    try:
        result.save(folder / RESULTS_FILE)
    except OSError as error:
        raise HfclsError(
            f"the model is saved in {folder}, but not its results ({error.strerror or error}): "
            f"solve that, then continue with --resume. They are:\n{result.table()}"
        ) from error
