"""How long a step takes on several processes, on paper: the table of docs/devices.md.

python benchmarks/scaling.py
python benchmarks/scaling.py --reviews_per_second 1000 --fixed_seconds 0.005 --gigabytes_per_second 10 50 200
"""

import argparse

BATCH = 32
GRADIENT_BYTES = 4 * 109e6  # float32, KcBERT-base
PROCESSES = (1, 2, 4, 8)


def step_seconds(
    processes: int, reviews_per_second: float, fixed_seconds: float, bytes_per_second: float
) -> tuple[float, float]:
    """Seconds of an optimizer step of 32 reviews: gradients sent while the backward pass runs, and after it.

    A ring all-reduce sends and receives 2 (p - 1) / p of the gradients in each process (Patarasuk and Yuan, 2009).

    Args:
        reviews_per_second: of one process alone, with everything that a step needs.
        fixed_seconds: part of a step that does not divide, since each process updates all parameters.
    """
    divided = (BATCH / reviews_per_second - fixed_seconds) / processes
    send = 2 * (processes - 1) / processes * GRADIENT_BYTES / bytes_per_second
    backward = 2 / 3 * divided
    return fixed_seconds + divided + max(0.0, send - backward), fixed_seconds + divided + send


def table(reviews_per_second: float, fixed_seconds: float, gigabytes_per_second: list[float]) -> str:
    """Markdown: how many times as fast as one process, from no overlap at all to a perfect one."""
    head = "| network, GB/s | " + " | ".join(f"{p} processes" for p in PROCESSES[1:]) + " |"
    lines = [head, "| ---: |" + " ---: |" * len(PROCESSES[1:])]
    alone = BATCH / reviews_per_second
    for speed in gigabytes_per_second:
        cells = []
        for processes in PROCESSES[1:]:
            best, worst = step_seconds(processes, reviews_per_second, fixed_seconds, 1e9 * speed)
            cells.append(f"{alone / worst:.1f}-{alone / best:.1f} x")
        lines.append(f"| {speed:g} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reviews_per_second", type=float, default=10.8, help="training, one process alone")
    parser.add_argument("--fixed_seconds", type=float, default=0.3, help="of a step, however many processes")
    parser.add_argument("--gigabytes_per_second", type=float, nargs="+", default=[0.125, 1.25, 12.5])
    args = parser.parse_args()
    print(table(args.reviews_per_second, args.fixed_seconds, args.gigabytes_per_second))
