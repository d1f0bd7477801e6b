"""clean: find labels that look wrong, so that a person can look at them."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from datasets import ClassLabel, Dataset, DatasetDict, concatenate_datasets
from numpy.typing import NDArray
from tqdm import tqdm

from hfcls.baseline.beside import out_of_fold, texts_of
from hfcls.baseline.model import BASELINE
from hfcls.batching.choice import check_batching, collator_for
from hfcls.checks.suspects import Suspect, Suspects, check_targets, write_cleaned
from hfcls.config.commands import CleanConfig
from hfcls.config.options import with_data
from hfcls.data.columns import wanted_columns
from hfcls.data.corpora import load_corpus
from hfcls.data.duplicates import text_keys
from hfcls.data.encoding import encode
from hfcls.data.formats.table import ReadOptions
from hfcls.data.labels import rows_with_label
from hfcls.data.origins.chosen import raw_splits, row_places
from hfcls.data.origins.files import has_header_line
from hfcls.data.origins.joined import with_joined_texts
from hfcls.data.origins.selection import prepared_columns
from hfcls.data.tasks import label_names, true_labels
from hfcls.errors import HfclsError
from hfcls.models.classes import class_names_of
from hfcls.models.heads import out_of_fold_probabilities
from hfcls.models.loading import model_and_tokenizer
from hfcls.models.pooling import probe_features
from hfcls.models.scratch import SCRATCH
from hfcls.models.sources import load_config
from hfcls.scoring.label_errors import FOLDS, find_label_errors, pooled, text_folds
from hfcls.scoring.tasks import SingleLabel
from hfcls.system.terminal import bars_are_seen, calm_libraries, only_warnings

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from hfcls.config.typed import CleanOptions

logger = logging.getLogger(__name__)


@calm_libraries()
def clean(config: CleanConfig | None = None, /, **options: "Unpack[CleanOptions]") -> Suspects:
    """The rows whose label looks wrong, the most suspicious first, in `output` as csv; the data stays as it is.

    Each row is judged by models that have not seen it nor a copy of it: character n-grams with logistic regression and,
    with `model`, a linear probe on the features of an encoder, which is not trained. See `find_label_errors`.

    Args:
        config: options; default `CleanConfig()`.
        **options: any field of `CleanConfig`, over those of `config`; `dataset` may also be a DataFrame, a list of
            dicts or another object that `load_corpus` takes.

    Raises:
        HfclsError: the corpus or the model cannot be read, its rows do not have one label each, or `output` or `apply`
            cannot be written.
    """
    config, data = with_data(CleanConfig() if config is None else config, options)
    raw, files = raw_splits(data, config.data_dir, config.dataset_config, _reading(config))
    check_targets(config.output, config.apply, raw)
    corpus = load_corpus(**config.corpus_options() | {"dataset": data})
    splits = _chosen_splits(corpus, config.split)
    if not isinstance(corpus[splits[0]].features["label"], ClassLabel):
        raise HfclsError(
            f"{config.dataset}: its rows have several labels or a number; hfcls clean is for rows with one class each"
        )
    rows = concatenate_datasets([corpus[split] for split in splits])
    labels, names = true_labels(rows), label_names(rows)
    folds, judged = text_folds(text_keys(rows), labels, config.seed)
    if not judged.any():
        raise HfclsError(f"{config.dataset}: no class has two different texts, so no row can be judged by the others")
    if not judged.all():
        alone = sorted({names[label] for label in labels[~judged]})
        logger.warning("not judged: %s, of which there is one text only", ", ".join(alone))
    probabilities, weights = _out_of_fold(config, rows, labels, folds, len(names))
    errors = find_label_errors(labels, probabilities, judged)
    places = [place for split in splits for place in _places(config, raw[split], files, split, len(corpus[split]))]
    suspects = [
        Suspect(
            **places[i],
            text=rows[i]["text"],
            text_pair=rows[i].get("text_pair"),
            label=names[labels[i]],
            suggested=names[errors.suggested[i]],
            probability_label=float(probabilities[i, labels[i]]),
            probability_suggested=float(probabilities[i, errors.suggested[i]]),
            doubted=bool(errors.doubted[i]),
        )
        for i in errors.order.tolist()
    ]
    found = Suspects(config.dataset, {split: len(corpus[split]) for split in splits}, weights, suspects, config.output)
    target = config.output
    try:
        found.save()
        if config.apply:
            target = config.apply
            write_cleaned(raw, found, Path(target), header=not config.no_header)
            doubted, total = len(found.doubted), sum(map(len, raw.values()))
            logger.info("%s: the copy, without %s of %s rows, which are doubted", target, f"{doubted:,}", f"{total:,}")
    except OSError as error:  # a full disk
        raise HfclsError(
            f"cannot write {target}: {error.strerror or error}; make room, or choose another place"
        ) from error
    return found


def _reading(config: CleanConfig) -> ReadOptions:
    return ReadOptions.of(config)


def _chosen_splits(corpus: DatasetDict, split: str | None) -> list[str]:
    if split == "all":
        return list(corpus)
    split = split or ("train" if "train" in corpus else next(iter(corpus)))
    if split not in corpus:
        raise HfclsError(f"no split {split}; the data has {', '.join(corpus)}: set --split")
    return [split]


def _places(
    config: CleanConfig, raw: Dataset, files: Mapping[str, Sequence[Path]] | None, split: str, count: int
) -> list[dict[str, Any]]:
    """Where each row of a split of the corpus stands: see `Suspect`.

    The rows are all that stand there, but for those without a label that were left out.
    """
    kept = np.arange(count)
    if len(raw) != count:
        wanted = wanted_columns(config.text_column, config.text_pair_column, config.label_column)
        where, headless = f"{config.dataset} ({split})", config.no_header if has_header_line(files) else None
        raw = with_joined_texts(raw, where, config.text_column)
        kept = rows_with_label(prepared_columns(raw, where, wanted, headless), where, config.label_column)
    known = row_places(config.dataset, files[split], _reading(config)) if files else [("", None)] * len(raw)
    return [{"split": split, "row": i + 1, "file": known[i][0], "line": known[i][1]} for i in kept.tolist()]


def _out_of_fold(
    config: CleanConfig, rows: Dataset, labels: NDArray[Any], folds: NDArray[np.int64], num_labels: int
) -> tuple[NDArray[np.float64], dict[str, float]]:
    """Probabilities [N, num_labels] by models that have not seen the row, and the weight of each model."""
    texts, probabilities = texts_of(rows), np.zeros((len(rows), num_labels))
    judged = out_of_fold(texts, labels, folds, num_labels, seed=config.seed)
    for unseen, found in tqdm(judged, "baseline", FOLDS, unit=" folds", disable=not bars_are_seen()):
        probabilities[unseen] = found
    if config.model in (None, BASELINE):
        return probabilities, {"baseline": 1.0}
    probe = _probe(config, rows, labels, folds)
    mixed, (of_baseline, of_probe) = pooled([probabilities, probe], labels)
    return mixed, {"baseline": float(of_baseline), str(config.model): float(of_probe)}


def _probe(config: CleanConfig, rows: Dataset, labels: NDArray[Any], folds: NDArray[np.int64]) -> NDArray[np.float64]:
    """Probabilities [N, C] by linear probes on the features of the encoder."""
    assert config.model is not None
    if config.model == SCRATCH:
        raise HfclsError("scratch has random weights, which tell nothing of labels: name a pretrained encoder")
    if class_names_of(load_config(config.model, trust_remote_code=config.trust_remote_code)) is not None:
        logger.warning("%s is a classifier: if it has learned from these labels, it repeats them", config.model)
    task = SingleLabel(label_names(rows))
    with only_warnings("hfcls.models"):  # else it tells of a head, which is not used
        model, tokenizer = model_and_tokenizer(
            config.model,
            task.names,
            max_length=config.max_length,
            texts=rows["text"],
            trust_remote_code=config.trust_remote_code,
        )
    check_batching(model, tokenizer, "longest", max_length=config.max_length)
    if device := torch.accelerator.current_accelerator():
        model.to(device)  # type: ignore[arg-type]
    encoded = encode(DatasetDict({"train": rows}), tokenizer, config.max_length, task)["train"].to_list()
    collator = collator_for(
        model, pad_token_id=tokenizer.pad_token_id, max_length=config.max_length, batching="longest"
    )
    targets = torch.from_numpy(labels.copy())  # those of a Dataset are not to be written to
    try:
        features = probe_features(model, encoded, targets, collator)
    except ValueError as error:
        raise HfclsError(f"cannot read the features of {config.model}: {error}; leave out --model") from error
    logger.info("%s: the features of %d texts are read", config.model, len(rows))
    probes = out_of_fold_probabilities(features, targets, torch.from_numpy(folds), len(task.names))
    return probes.double().numpy()
