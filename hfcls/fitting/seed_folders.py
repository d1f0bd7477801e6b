"""The folders of several runs that differ in their seed: `seed-N` of each, in that of the run as a whole."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from hfcls.config.train import TrainConfig
from hfcls.errors import HfclsError
from hfcls.runs.output_dir import finished_result, prepare_output_dir
from hfcls.runs.results import Result

AVERAGE = "average"


def seeds_of(config: TrainConfig) -> range:
    return range(config.seed, config.seed + config.seeds)


def name_of(seed: int) -> str:
    """Of the folder."""
    return f"seed-{seed}"


def of_one_seed(config: TrainConfig, folder: Path, **changes: object) -> TrainConfig:
    """The options of one of the runs."""
    alone = {"seeds": 1, "ensemble": False, "split_seed": config.cut_seed, "output_dir": str(folder)}
    unpublished = {"push_to_hub": False, "hub_model_id": None, "hub_private": False}
    return replace(config, **{**alone, **unpublished, **changes})  # type: ignore[arg-type]


def forget_earlier(config: TrainConfig, folder: Path) -> None:
    """What is said of the runs to replace goes before the first of them: `resume` would take it for that of the new."""
    runs = [config, *(of_one_seed(config, folder / name_of(seed), seed=seed) for seed in seeds_of(config))]
    for one in runs:
        if (place := Path(one.output_dir)).is_dir():
            prepare_output_dir(place, asdict(one.settled()), {}, write=True, resume=False, overwrite=True)


def finished_seeds(config: TrainConfig, folder: Path) -> Result | None:
    """The result of the runs to resume, if they have ended and these options add nothing."""
    result = finished_result(folder, asdict(config))
    if not (result and result.facts and result.facts.seeds):
        return None
    present, wanted = {run.name for run in result.facts.seeds.runs}, {name_of(seed) for seed in seeds_of(config)}
    has_none = AVERAGE not in present and result.facts.options.get("ensemble")  # it was asked for, and cannot be had
    if config.ensemble and not has_none:
        wanted.add(AVERAGE)
    return result if present == wanted else None


def check_same_rows(folder: Path, results: Mapping[str, Result]) -> None:
    """Raises HfclsError if the newest run had other rows than the first, which had ended before the data changed."""
    hashes = {
        name: {split: facts.sha256 for split, facts in result.facts.splits.items()}
        for name, result in results.items()
        if result.facts
    }
    first, newest = next(iter(hashes)), list(hashes)[-1]
    if hashes[first] != hashes[newest]:
        raise HfclsError(
            f"{folder / newest} has other rows than {folder / first}, so their scores do not compare: bring the rows "
            f"back, delete {folder / newest} and continue with --resume, or start again with --overwrite_output_dir"
        )
