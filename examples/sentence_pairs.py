"""Pairs of sentences: does the second answer what the first asks? The pairs are made here, from phrases.

python examples/sentence_pairs.py
python examples/sentence_pairs.py --model scratch # without a network: random weights, which do not learn to compare
"""

import argparse
import csv
import random
from pathlib import Path

import hfcls

KINDS = {  # what is asked -> (questions, answers)
    "때": (
        ["언제 열어요?", "몇 시에 시작하나요?", "며칠에 오시나요?"],
        ["아침 아홉 시예요.", "다음 주 월요일이요.", "저녁 일곱 시쯤이요."],
    ),
    "곳": (
        ["어디에 있어요?", "어느 역에서 내리나요?", "어디로 가면 되나요?"],
        ["시청 옆이에요.", "이 층 복도 끝이요.", "학교 앞 골목이요."],
    ),
    "값": (
        ["얼마예요?", "값이 어떻게 되나요?", "한 개에 얼마인가요?"],
        ["만 원이에요.", "오천 원만 주세요.", "모두 삼만 원입니다."],
    ),
}
PLACES = ["그 식당은", "도서관은", "이번 공연은", "빵집은", "전시회는", "동네 극장은"]


def write_pairs(path: Path, count: int, seed: int) -> None:
    """A csv with the columns question, answer and verdict; half of the answers fit."""
    rng = random.Random(seed)
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["question", "answer", "verdict"])
        for _ in range(count):
            asked = rng.choice(list(KINDS))
            fits = rng.random() < 0.5
            told = asked if fits else rng.choice([kind for kind in KINDS if kind != asked])
            question = f"{rng.choice(PLACES)} {rng.choice(KINDS[asked][0])}"
            rows.writerow([question, rng.choice(KINDS[told][1]), "맞음" if fits else "딴소리"])


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--model", default="beomi/kcbert-base", help="Hub id or folder of an encoder")
parser.add_argument("--output_dir", default="outputs/pairs")
args = parser.parse_args()

data = Path(args.output_dir) / "data"  # files named after their split: train, validation, test
data.mkdir(parents=True, exist_ok=True)
for seed, (split, count) in enumerate({"train": 600, "validation": 100, "test": 200}.items()):
    write_pairs(data / f"{split}.csv", count, seed)

result = hfcls.fine_tune(
    dataset=str(data),
    text_column="question",
    text_pair_column="answer",
    label_column="verdict",
    model=args.model,
    output_dir=args.output_dir,
    overwrite_output_dir=True,
    max_length=64,
)
print(result.table())

classifier = hfcls.Classifier.from_pretrained(args.output_dir)
for pair in [("빵집은 언제 열어요?", "아침 아홉 시예요."), ("빵집은 언제 열어요?", "시청 옆이에요.")]:
    answer = classifier(pair)
    print(f"{answer['label']} {answer['score']:.0%}  {' / '.join(pair)}")
