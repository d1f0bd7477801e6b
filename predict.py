"""Label files of any size: what `accelerate launch` starts. The same as `hfcls predict`.

accelerate launch --num_processes 4 predict.py --model outputs/nsmc --input comments.parquet --output labelled
"""

import sys

from hfcls import cli


def main(index: int | None = None) -> None:
    """Accelerate's TPU launcher, and nothing else, gives the number of the process."""
    if index is not None:
        sys.exit("hfcls: error: predict.py labels on a CPU or on GPUs, not on TPU cores: drop the TPU config")
    if status := cli.main(["predict", *sys.argv[1:]]):
        sys.exit(status)


if __name__ == "__main__":
    main()
