"""What `clean` found: a csv file for people, a few lines for the terminal, and a copy of the data without them."""

import csv
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict, Json, Value

from hfcls.data.targets.names import with_class_names
from hfcls.errors import HfclsError
from hfcls.system.files import check_writable, whole, whole_folder
from hfcls.system.quoting import shortened, spreadsheet_cell

COLUMNS = ("split", "row", "file", "line", "text", "label", "suggested")
NUMBERS = ("probability_label", "probability_suggested", "doubted")
SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
SHOWN, WIDTH = 5, 60


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A row whose label is not its most probable class.

    Attributes:
        split, row: where it stands; rows are numbered from 1.
        file, line: the name of its file and its first line there, header and blank lines counted, or its number in a
            workbook; None where the file has no lines.
        label, suggested: the class that is given, and the most probable one.
        probability_label, probability_suggested: of these, by models that have not seen the row.
        doubted: whether confident learning takes the label for wrong.
    """

    split: str
    row: int
    file: str
    line: int | None
    text: str
    text_pair: str | None
    label: str
    suggested: str
    probability_label: float
    probability_suggested: float
    doubted: bool


@dataclass(frozen=True)
class Suspects:
    """The outcome of `clean`.

    Attributes:
        rows: that were looked at, of each split.
        weights: of each model in the probabilities.
        suspects: the most suspicious first.
        output: the csv file with all of them.
    """

    dataset: str
    rows: dict[str, int]
    weights: dict[str, float]
    suspects: list[Suspect]
    output: str

    @property
    def doubted(self) -> list[Suspect]:
        """Those whose label confident learning takes for wrong."""
        return [suspect for suspect in self.suspects if suspect.doubted]

    def save(self) -> None:
        """Write `output`: UTF-8 with a mark by which Excel knows it."""
        pair = any(suspect.text_pair is not None for suspect in self.suspects)
        columns = [
            name for column in COLUMNS for name in ([column, "text_pair"] if pair and column == "text" else [column])
        ]
        with whole(Path(self.output)) as aside, aside.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*columns, *NUMBERS])
            for suspect in self.suspects:
                values = [getattr(suspect, name) for name in columns]
                cells = [spreadsheet_cell(value) if isinstance(value, str) else value for value in values]
                scores = [f"{suspect.probability_label:.4f}", f"{suspect.probability_suggested:.4f}"]
                writer.writerow([*cells, *scores, "yes" if suspect.doubted else "no"])

    def text(self) -> str:
        """What the command prints."""
        total = sum(self.rows.values())
        lines = [
            f"{self.dataset}: {', '.join(f'{split} {count:,}' for split, count in self.rows.items())} rows",
            f"judged by: {', '.join(f'{name} (weight {weight:.2f})' for name, weight in self.weights.items())}",
            f"{len(self.suspects):,} rows have a label that is not their most probable class; of {len(self.doubted):,} "
            f"({len(self.doubted) / total:.1%}) confident learning takes the label for wrong:",
        ]
        moves = Counter((suspect.label, suspect.suggested) for suspect in self.doubted)
        lines += [f"  {label} -> {suggested}: {count:,}" for (label, suggested), count in moves.most_common(SHOWN)]
        for suspect in self.suspects[:SHOWN]:
            place = f"line {suspect.line}" if suspect.line else f"row {suspect.row}"
            text = shortened(" / ".join(filter(None, (suspect.text, suspect.text_pair))), WIDTH)
            lines.append(
                f"{suspect.file or suspect.split}, {place}: {suspect.label} {suspect.probability_label:.2f}, "
                f"{suspect.suggested} {suspect.probability_suggested:.2f}: {text}"
            )
        return "\n".join([*lines, f"all of them, ranked: {self.output}. Look at them: many are right, and hard."])


def check_targets(output: str, apply: str | None, raw: DatasetDict) -> None:
    """Raises HfclsError unless the csv file and the copy can be written, and take the place of nothing else."""
    path, copy = Path(output).resolve(), Path(apply).resolve() if apply else None
    if copy and (path == copy or path in copy.parents or copy in path.parents):
        raise HfclsError(
            "output is the list of rows and apply the copy of the data: give each a name of its own, neither within "
            "the other"
        )
    path = Path(output)
    if path.is_file() and not path.read_bytes().removeprefix(b"\xef\xbb\xbf").startswith(b"split,row,file,line,text"):
        raise HfclsError(f"{path} is there, and no list of hfcls clean: choose another --output")
    check_writable(path, "output")
    if apply is None:
        return
    target = Path(apply)
    if target.exists():
        raise HfclsError(f"{target} is there already, and nothing is replaced: choose another --apply")
    if target.suffix and target.suffix not in SUFFIXES:
        raise HfclsError(f"apply must be a folder or end in one of {' '.join(SUFFIXES)}, found {target}")
    if target.suffix and len(raw) > 1:
        raise HfclsError(
            f"the data has the splits {', '.join(raw)}, so the copy is a folder: give --apply a name without suffix"
        )
    kinds = {name: kind for rows in raw.values() for name, kind in rows.features.items()}
    odd = [name for name, kind in kinds.items() if not (_fits_a_cell(kind) or isinstance(kind, Json))]
    if odd and target.suffix in (".csv", ".tsv"):
        raise HfclsError(
            f"{target.suffix[1:]} has no form for the lists, objects or bytes in column {odd[0]!r}: let the name of "
            "--apply end in .parquet, or in .jsonl, which has none for bytes"
        )
    check_writable(target, "apply")


def _fits_a_cell(kind: Any) -> bool:
    return isinstance(kind, ClassLabel) or (isinstance(kind, Value) and "binary" not in kind.dtype)


def write_cleaned(raw: DatasetDict, found: Suspects, target: Path, *, header: bool) -> None:
    """All splits with all columns, but without the rows whose label is taken for wrong: a file, or a folder of csv.

    Args:
        target: a file of one of `SUFFIXES`, or a folder; it is written whole or not at all.
        header: whether the columns of csv and tsv get a line of their names.
    """
    with whole(target) if target.suffix else whole_folder(target) as aside:
        for split, rows in raw.items():
            dropped = [suspect.row - 1 for suspect in found.doubted if suspect.split == split]
            kept = rows.select(np.setdiff1d(np.arange(len(rows)), dropped))
            suffix = target.suffix or (".csv" if all(map(_fits_a_cell, rows.features.values())) else ".jsonl")
            _write(kept, aside if target.suffix else aside / f"{split}{suffix}", suffix, header=header)


def _write(rows: Dataset, path: Path, suffix: str, *, header: bool) -> None:
    if suffix != ".parquet":  # which alone can declare classes
        for name, kind in rows.features.items():
            if isinstance(kind, ClassLabel):
                rows = with_class_names(rows, name).select_columns(rows.column_names)
    if suffix == ".parquet":
        rows.to_parquet(str(path))
    elif suffix == ".jsonl":
        with path.open("w", encoding="utf-8") as file:  # pandas would round floats, and make numbers of dates
            file.writelines(
                json.dumps({k: None if v != v else v for k, v in row.items()}, ensure_ascii=False, default=_as_text)
                + "\n"
                for row in rows
            )
    else:
        rows.to_csv(str(path), index=False, header=header, sep="\t" if suffix == ".tsv" else ",", lineterminator="\r\n")


def _as_text(value: object) -> str:
    """A date, time or number that JSON has no form for; raises HfclsError for bytes."""
    if isinstance(value, bytes):
        raise HfclsError("jsonl has no form for bytes: let the name of --apply end in .parquet")
    return str(value)
