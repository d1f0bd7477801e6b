"""Names of classes: what looks wrong about them, in English and in Korean, and the tokens that spell them."""

import logging
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping

from datasets import ClassLabel, Dataset
from transformers import PreTrainedTokenizerBase

from hfcls.data.labels import LIST, cut_labels
from hfcls.data.tasks import label_counts
from hfcls.errors import HfclsError
from hfcls.system.quoting import quoted, shown

logger = logging.getLogger(__name__)

Said = tuple[str, str]  # English, Korean

MANY_CLASSES = 10
MISSING = {"nan", "none", "null", "na", "n/a", "<na>", "nat", "#n/a"}  # what programs write for nothing
SEPARATORS = (",", "|", ";")  # that people write between several labels


def name_warnings(classes: Mapping[str, int]) -> Iterator[Said]:
    """What looks wrong about the classes, by their names and rows."""
    present = [name for name, count in classes.items() if count]
    spellings: dict[str, list[str]] = {}
    for name in present:
        spellings.setdefault(_sound(name), []).append(name)
    if twins := [same for same in spellings.values() if len(same) > 1]:
        names = quoted([" / ".join(same) for same in twins])
        yield (
            f"these classes differ in capital letters, blanks or full-width characters only: {names}",
            f"대소문자, 빈칸, 전각 문자만 다른 클래스가 있습니다: {names}",
        )
    for name in present:
        if name.casefold() in MISSING:
            yield (
                f"{classes[name]:,} rows are of the class {name!r}: is it a label that is missing? then empty it",
                f"{classes[name]:,}행의 클래스가 {name!r}입니다. 레이블이 없다는 뜻이면 비워 두세요",
            )
    if joined := next(filter(None, (_joined(classes, separator) for separator in SEPARATORS)), None):
        yield joined
    rows = sum(classes.values())
    if len(present) > max(MANY_CLASSES, rows / 2):
        yield (
            f"{len(present):,} classes in {rows:,} rows: is it the right --label_column?",
            f"{rows:,}행에 클래스가 {len(present):,}개입니다. --label_column이 맞는지 확인하세요",
        )


def _sound(name: str) -> str:
    """What is left of a name read aloud: no case, no white space, no characters that cannot be seen."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(char for char in folded if not (char.isspace() or unicodedata.category(char) == "Cf"))


def _joined(classes: Mapping[str, int], separator: str) -> Said | None:
    """A warning of classes that are several labels in one text: a list, or names each of which stands in others too."""
    parts = {name: [part.strip() for part in cut_labels(name, separator)] for name, rows in classes.items() if rows}
    seen = Counter(part for found in parts.values() for part in set(found))
    several = [
        name
        for name, found in parts.items()
        if len(found) > 1 and (LIST.fullmatch(name) or all(seen[part] > 1 for part in found))
    ]
    if not several or (rows := sum(classes[name] for name in several)) < 2:
        return None
    return (
        f"{rows:,} rows have labels such as {several[0]!r}: are these several labels of one text? then add "
        f"--label_separator '{separator}'",
        f"{rows:,}행의 레이블이 {several[0]!r}처럼 생겼습니다. 글 하나에 레이블이 여럿이면 "
        f"--label_separator '{separator}'를 더하세요",
    )


def warn_of_labels(train: Dataset) -> None:
    """A log line for classes without a training row, and for each of `name_warnings`."""
    counts = label_counts(train)
    if missing := [name for name, count in counts.items() if not count]:
        logger.warning(
            "train holds no row of %s, so the model cannot learn it (max_train_samples takes the first rows)",
            shown(missing),
        )
    for line, _ in name_warnings(counts):
        logger.warning("train: %s", line)


def with_class_names(rows: Dataset, column: str) -> Dataset:
    """The rows with the names of classes in place of their ids, where the column has names, as on the Hub."""
    feature = rows.features[column]
    if not isinstance(feature, ClassLabel):
        return rows
    names = [None if label is None or label < 0 else feature.int2str(label) for label in rows[column]]
    return rows.remove_columns(column).add_column(column, names)


def label_tokens(rows: Dataset, tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """The token of the vocabulary that spells each label.

    Raises:
        HfclsError: there is none for a label.
    """
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    labels = [label for label in rows.unique("label") if label is not None]
    if unknown := sorted(set(labels) - set(vocabulary)):
        raise HfclsError(
            f"the tokenizer has no token for {len(unknown)} of {len(labels)} labels, such as {unknown[0]!r:.60}: a "
            "label to pretrain with is one token, such as the numbers 1 to 5; rename them, or drop --label_column"
        )
    return {label: vocabulary[label] for label in labels}
