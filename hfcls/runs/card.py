"""Whether the README.md in a folder is a model card of ours, which the next run there may write anew."""

from pathlib import Path

import yaml
from huggingface_hub.repocard import metadata_load

TAG = "hfcls"  # in the metadata of every card: it tells repositories of hfcls from others
MARKER = "<!-- A model card of hfcls: the next run in this folder writes it anew. Delete this line to keep it. -->"


def is_our_card(path: Path) -> bool:
    """Whether the file has both signs of ours, the tag in its metadata and the marker in a line of its own."""
    try:
        metadata = metadata_load(path) or {}
        marked = MARKER in path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError, yaml.YAMLError):
        return False
    tags = metadata.get("tags")
    return marked and isinstance(tags, list) and TAG in tags
