"""Fine-tune a classifier: what `accelerate launch` starts. The same as `hfcls train`.

accelerate launch --config_file accelerate_configs/cpu.yaml train.py recipes/quickstart.yaml
accelerate launch --config_file accelerate_configs/single_gpu.yaml train.py recipes/nsmc_kcbert.yaml
"""

import sys

from hfcls import cli


def main(index: int = 0) -> None:
    """Accelerate's TPU launcher calls this in each process; `index` is the number of the process."""
    if status := cli.main(["train", *sys.argv[1:]]):
        sys.exit(status)


if __name__ == "__main__":
    main()
