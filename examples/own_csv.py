"""Three classes from a csv file: messages to a shop, about 배송 (delivery), 환불 (refund) or 칭찬 (praise).

python examples/own_csv.py
python examples/own_csv.py --model scratch # without a network: random weights, which learn little from 54 messages
"""

import argparse
from pathlib import Path

import hfcls

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--model", default="beomi/kcbert-base", help="Hub id or folder of an encoder")
parser.add_argument("--output_dir", default="outputs/inquiries")
args = parser.parse_args()

result = hfcls.fine_tune(
    dataset=str(Path(__file__).with_name("inquiries.csv")),
    text_column="message",
    label_column="topic",
    validation_size=0.25,  # the file has one split: a quarter of its rows is held out to score on
    model=args.model,
    output_dir=args.output_dir,
    overwrite_output_dir=True,
    max_length=64,
    batch_size=8,  # 54 training rows: smaller batches, more steps
    num_train_epochs=8,
)
print(result.table())

classifier = hfcls.Classifier.from_pretrained(args.output_dir)
for text in ["택배가 아직도 안 왔어요", "반품하고 환불받고 싶어요", "친절하고 포장도 꼼꼼해서 좋아요"]:
    answer = classifier(text)
    print(f"{answer['label']} {answer['score']:.0%}  {text}")
