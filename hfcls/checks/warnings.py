"""What deserves a look before training, and which option mends it: each warning in English and in Korean."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hfcls.data.targets.names import Said, name_warnings
from hfcls.system.quoting import shown

if TYPE_CHECKING:
    from hfcls.checks.findings import Findings, SplitFindings
    from hfcls.checks.giveaways import Giveaway

# Above these shares a finding is a warning. KcBERT's tokenizer leaves 0.4 % of NSMC's tokens unknown; lower-casing by
# mistake, 74 %.
MANY_UNKNOWN, MANY_TRUNCATED, FEW_OF_A_CLASS = 0.05, 0.05, 0.1
SPLITS = {"train": "학습", "validation": "검증", "test": "테스트"}
FORMS = {
    "white space at an end": "앞이나 끝에 공백이",
    "several spaces in a row": "이어진 공백이",
    "a line break": "줄바꿈이",
    "quotation marks around all of it": "전체를 감싼 따옴표가",
    "HTML": "HTML이",
}


def warnings_of(findings: "Findings") -> Iterator[Said]:
    """The warnings of all splits, each with the name of its split."""
    for split, found in findings.splits.items():
        for english, korean in _of_split(findings, split, found):
            yield f"{split}: {english}", f"{SPLITS.get(split, split)} 데이터: {korean}"


def _of_split(findings: "Findings", split: str, found: "SplitFindings") -> Iterator[Said]:
    yield from _of_tokens(findings, found)
    if missing := [name for name, count in found.classes.items() if count == 0]:
        yield f"no row of {shown(missing)}", f"{shown(missing)} 클래스의 글이 없습니다"
    yield from name_warnings(found.classes)
    yield from map(_of_giveaway, found.giveaways)
    present = {name: count for name, count in found.classes.items() if count}
    few = min(present, key=present.__getitem__, default="")
    if present and (count := present[few]) < FEW_OF_A_CLASS * max(present.values()):
        yield (
            f"only {count:,} of {found.rows:,} rows are {few}: read macro F1, not accuracy",
            f"{found.rows:,}행 가운데 {few} 클래스는 {count:,}행뿐이니, 정확도가 아니라 매크로 F1을 보세요",
        )
    yield from _of_copies(findings, split, found)
    if found.empty or found.near_empty:
        yield (
            f"{found.empty:,} texts are empty, {found.near_empty:,} nearly so",
            f"빈 글이 {found.empty:,}건, 거의 빈 글이 {found.near_empty:,}건 있습니다",
        )
    if found.invalid:
        yield (
            f"{found.invalid:,} texts hold invalid or control characters: were they decoded rightly?",
            f"글 {found.invalid:,}건에 깨진 문자나 제어 문자가 있으니, 인코딩이 맞는지 확인하세요",
        )
    if found.decomposed:
        yield (
            f"{found.decomposed:,} texts are not in Unicode NFC: a tokenizer may not know all of it",
            f"글 {found.decomposed:,}건이 유니코드 NFC가 아니어서, 토크나이저가 모르는 글자로 읽을 수 있습니다",
        )


def _of_tokens(findings: "Findings", found: "SplitFindings") -> Iterator[Said]:
    if (unknown := found.unknown or 0) > MANY_UNKNOWN:
        yield (
            f"the tokenizer of {findings.model} does not know {unknown:.1%} of the tokens: it is probably not one for "
            "this language, or lower-cases what its vocabulary holds otherwise",
            f"{findings.model}의 토크나이저가 토큰의 {unknown:.1%}를 모릅니다. 이 언어의 토크나이저가 아니거나, "
            "어휘와 달리 소문자로 바꾸는 토크나이저일 수 있습니다",
        )
    if (truncated := found.truncated or 0) > MANY_TRUNCATED:
        yield (
            f"{truncated:.1%} of the texts are cut at max_length {findings.max_length}: raise it, or read single texts "
            "whole with --long_texts windows",
            f"글의 {truncated:.1%}가 max_length {findings.max_length}에서 잘립니다. 값을 올리거나, 글 하나씩이면 "
            "--long_texts windows로 끝까지 읽으세요",
        )


def _of_giveaway(found: "Giveaway") -> Said:
    form = FORMS.get(found.form, f"{found.form}이(가)")
    return (
        str(found),
        f"{found.label} 클래스의 글은 {found.share:.0%}에, 나머지는 {found.elsewhere:.0%}에 {form} 있습니다. "
        "모델이 낱말 대신 이것을 배울 수 있으니 모든 글의 표기를 맞추세요",
    )


def _of_copies(findings: "Findings", split: str, found: "SplitFindings") -> Iterator[Said]:
    copies = findings.duplicates["normalized"]
    if count := copies.repeated[split]:
        option = (
            ("; --drop_duplicates drops them", ". --drop_duplicates로 뺄 수 있습니다") if split == "train" else ("", "")
        )
        yield (
            f"{count:,} texts repeat an earlier one (normalised){option[0]}",
            f"글 {count:,}건이 앞의 글과 같습니다(정규화 기준){option[1]}",
        )
    if count := copies.several_labels[split]:
        yield f"{count:,} texts (normalised) carry several labels", f"글 {count:,}건에 레이블이 여럿입니다(정규화 기준)"
    if seen := copies.in_train.get(split):
        share = f"{seen / found.rows:.1%}"
        yield (
            f"{share} of the texts also stand in train (normalised): what the model scores there is no proof of "
            "learning; --drop_overlap drops them from train",
            f"글의 {share}가 학습 데이터에도 있습니다(정규화 기준). 그 점수는 학습했다는 증거가 아니며, "
            "--drop_overlap으로 학습 데이터에서 뺄 수 있습니다",
        )
