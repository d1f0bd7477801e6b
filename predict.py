"""Label files of any size: what `accelerate launch` starts. The same as `hfcls predict`.

accelerate launch --num_processes 4 predict.py --model outputs/nsmc --input comments.parquet --output labelled
"""

import sys

from hfcls import cli


def main(index: int = 0) -> None:
    """Accelerate's TPU launcher calls this in each process; `index` is the number of the process."""
    if status := cli.main(["predict", *sys.argv[1:]]):
        sys.exit(status)


if __name__ == "__main__":
    main()
