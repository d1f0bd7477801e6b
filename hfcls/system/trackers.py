"""Which trackers follow a run: TensorBoard, Weights & Biases, MLflow and the others that Trainer knows."""

from hfcls.errors import HfclsError


def trackers(report_to: str) -> list[str]:
    """The trackers that `report_to` names, in Trainer's own names.

    Args:
        report_to: `auto` (tensorboard if it is installed), `none`, `all` (that are installed), or names that Trainer
            knows, with commas between them.

    Raises:
        HfclsError: a tracker that Trainer does not know, or that is not installed.
    """
    from transformers.integrations import INTEGRATION_TO_CALLBACK, get_available_reporting_integrations
    from transformers.integrations.integration_utils import is_tensorboard_available

    if report_to == "none":
        return []
    if report_to == "auto":
        return ["tensorboard"] if is_tensorboard_available() else []
    installed = get_available_reporting_integrations()
    if report_to == "all":
        return installed
    names = [name.strip() for name in report_to.split(",")]
    if unknown := [name for name in names if name not in INTEGRATION_TO_CALLBACK]:
        raise HfclsError(
            f"report_to knows no tracker {', '.join(unknown)}; known are auto, none, all, "
            f"{', '.join(sorted(INTEGRATION_TO_CALLBACK))}"
        )
    if missing := [name for name in names if name not in installed]:
        raise HfclsError(
            f"report_to {', '.join(missing)}: the tracker is not installed; install its package, or --report_to none"
        )
    return names
