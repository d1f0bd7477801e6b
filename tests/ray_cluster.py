"""A process that holds a Ray cluster of two machines with two cores each, all on 127.0.0.1, until its input ends.

It prints the address of the cluster and the folder of its logs, in one line of JSON. It runs outside of the process of
the tests, in which a warning is an error.
"""

import json
import sys
import tempfile

import ray.cluster_utils


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        common = {"node_ip_address": "127.0.0.1", "temp_dir": folder, "object_store_memory": 100 << 20}
        head = {"num_cpus": 0, "include_dashboard": False, **common}  # it hands out the work and does none
        cluster = ray.cluster_utils.Cluster(initialize_head=True, head_node_args=head)
        for _ in range(2):
            cluster.add_node(num_cpus=2, **common)
        print(json.dumps({"address": cluster.address, "logs": folder}), flush=True)
        sys.stdin.read()
        cluster.shutdown()


if __name__ == "__main__":
    main()
