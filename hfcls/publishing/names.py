"""What scores, models and files are called where people read of them, and how exact a score is told."""

import math
import os
import re
from pathlib import Path
from typing import Any

from hfcls.config.defaults import RANDOM
from hfcls.models.sources import SHIPPED
from hfcls.system.quoting import one_line
from hfcls.system.terminal import duration

# Korean, English
OWN = {
    "scratch": ("임의의 가중치로 시작한 작은 BERT", "Small BERT with random weights"),
    "baseline": ("글자 n-gram 로지스틱 회귀", "Logistic regression on character n-grams"),
}
RANDOM_SHAPE = ("임의의 가중치로 시작한 {} 크기의 작은 BERT", "Small BERT ({}) with random weights")
CORPORA = {
    "nsmc": ("NSMC, 네이버 영화 리뷰", "NSMC, Naver movie reviews"),
    "demo": ("hfcls의 시연용 리뷰", "the demonstration corpus of hfcls"),
}
SCORES = {
    "accuracy": ("정확도", "Accuracy"),
    "micro_f1": ("마이크로 F1", "Micro F1"),
    "macro_f1": ("매크로 F1", "Macro F1"),
    "subset_accuracy": ("레이블이 모두 맞은 비율", "Subset accuracy"),
    "pearson": ("피어슨 상관", "Pearson"),
    "spearman": ("스피어만 상관", "Spearman"),
    "mae": ("평균 절대 오차", "Mean absolute error"),
    "r2": ("결정 계수 R²", "R²"),
    "loss": ("손실", "Loss"),
}
SPLITS = {"train": "학습", "validation": "검증", "test": "테스트"}
TUNED = {  # what a run finds on its validation split, in the words of the protocol
    "the thresholds": "문턱값",
    "the temperature": "온도",
    "the lowest confidence": "최저 확신도",
    "the seed": "시드",
}
LOSSES = {  # by problem_type; Korean, English
    "single_label_classification": ("교차 엔트로피, nat", "cross-entropy, nats"),
    "multi_label_classification": ("이진 교차 엔트로피, nat", "binary cross-entropy, nats"),
    "regression": ("평균 제곱 오차", "mean squared error"),
}


def decimals(rows: int) -> int:
    """How many decimals of a share so many rows can carry: 2 of up to 100 rows, 3 of up to 1,000, else 4."""
    return min(4, max(2, math.ceil(math.log10(max(rows, 1)))))


def durations(seconds: float) -> tuple[str, str]:
    """In Korean and in English, such as `3분 20초` and `3 min 20 s`."""
    english = duration(seconds)
    units = {"h": "시간", "min": "분", "s": "초"}
    return re.sub(r" (h|min|s)\b", lambda found: units[found[1]], english), english


def found_on_validation(protocol: str) -> list[str]:
    """In Korean, what the validation split chose beside the checkpoint, out of the sentences of a run's protocol."""
    found = re.search(r" chose ([a-z ]+)\.", protocol)
    return [TUNED[what] for what in found[1].split(" and ") if what in TUNED] if found else []


def own_name(model: str) -> tuple[str, str] | None:
    """In Korean and in English, what is no pretrained model: random weights, maybe of a shape, or the baseline."""
    if model in OWN or not RANDOM.fullmatch(model):
        return OWN.get(model)
    return RANDOM_SHAPE[0].format(model), RANDOM_SHAPE[1].format(model)


def on_hub(name: str) -> bool:
    """Whether this names a repository rather than a place on this machine or something of ours."""
    looks_like_one = re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", name) is not None
    return looks_like_one and name not in (*SHIPPED, *CORPORA) and not own_name(name) and not Path(name).exists()


def without_place(name: str) -> str:
    """A Hub id as it is; of a path on this machine its last part."""
    return one_line(name if on_hub(name) else Path(os.path.expanduser(name)).resolve().name)


def option_without_place(value: Any) -> Any:
    """The value of an option; of a path on this machine its last part."""
    is_path = isinstance(value, str) and (os.path.isabs(os.path.expanduser(value)) or Path(value).exists())
    return without_place(value) if is_path else value
