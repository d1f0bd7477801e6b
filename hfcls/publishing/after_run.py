"""What a finished run publishes of itself; nothing that goes wrong here can lose the model."""

import logging
import shlex
from pathlib import Path

from hfcls.errors import HfclsError, PushError
from hfcls.publishing.card import write_card
from hfcls.publishing.hub import push
from hfcls.runs.folder import CARD_FILE, REPORT_FILE
from hfcls.system.next_steps import INSTALL_EXTRA

logger = logging.getLogger(__name__)


def publish(
    folder: Path, *, report: bool, card_language: str, repo_id: str | None, hub_private: bool, again: bool = False
) -> None:
    """Report and card of a finished run, in its folder, and all that is for others on the Hub.

    Args:
        folder: of the run.
        report: whether there shall be one.
        card_language: en or ko.
        repo_id: to push to; None: nothing is pushed.
        hub_private: make a new repository private.
        again: for a run that had ended before: what is there stays as it is.

    Raises:
        PushError: the Hub did not take the model.
    """
    if report:
        try_report(folder, again=again)
    if not (again and (folder / CARD_FILE).exists()):
        try_card(folder, card_language)
    if repo_id:
        push_or_explain(folder, repo_id, hub_private=hub_private)


def try_report(folder: Path, *, again: bool = False) -> None:
    """Write the report of a finished run; whatever goes wrong is one line, since the model is worth more.

    Args:
        again: as in `publish`.
    """
    if again and (folder / REPORT_FILE).exists():
        return
    try:
        from hfcls.publishing.pages.report import write_report

        logger.info("report: %s", write_report(folder))
    except ImportError as error:
        logger.info(
            "no report, since %s is not installed: %s, then hfcls report %s",
            (error.name or "").partition(".")[0],
            INSTALL_EXTRA.format(extra="report"),
            shlex.quote(str(folder)),
        )
    except Exception as error:
        command = shlex.join(["hfcls", "report", str(folder)])
        logger.warning("the run is saved, its report failed (%s); %s tries again", error, command)


def try_card(folder: Path, language: str = "en") -> None:
    """Write the model card of a finished run; a failure is one line."""
    try:
        write_card(folder, language)
    except Exception as error:
        reason = getattr(error, "strerror", None) or error
        logger.warning("the run is saved, its model card could not be written (%s)", reason)


def push_or_explain(folder: Path, repo_id: str, *, hub_private: bool) -> None:
    """Push a finished run; raises PushError, with the command that tries again, if the Hub did not take the model."""
    try:
        logger.info("pushed to %s", push(folder, repo_id, hub_private=hub_private))
    except (HfclsError, KeyboardInterrupt) as error:
        why = str(error) or "the push was interrupted"
        private = ["--hub_private"] if hub_private else []
        again = shlex.join(["hfcls", "push", str(folder), "--hub_model_id", repo_id, *private])
        raise PushError(f"the model is safe in {folder}, but {why}; try again with: {again}") from error
