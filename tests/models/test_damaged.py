"""A model folder of which a file was cut, emptied or exchanged is refused in one line that names the file."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hfcls import cli

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda whole: b"",
    "cut": lambda whole: whole[: len(whole) // 2],
    "a list": lambda whole: b"[]",
    "a string": lambda whole: b'"x"',
    "null": lambda whole: b"null",
    "bytes": lambda whole: b"\xff\xfe\x00\x81" * 20,
}


@pytest.fixture
def copied(classifier_folder, tmp_path) -> Path:
    return Path(shutil.copytree(classifier_folder, tmp_path / "copied"))


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"])
def test_a_damaged_file_is_named_by_each_command(copied, table, capsys, file, damage):
    path, data = copied / file, str(table(count=8))
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    model = ["--model", str(copied)]
    for command in (
        ["predict", *model, "좋다"],
        ["evaluate", *model, "--dataset", data],
        ["train", *model, "--dataset", data, "--output_dir", str(copied / "next"), "--max_length", "32"],
    ):
        assert cli.main(command) == 1
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("hfcls: error: ")]
        assert len(lines) == 1
        named = f"{path} is damaged: " if file.endswith(".json") else str(copied)
        assert named in lines[0], lines
        assert "Traceback" not in lines[0]


def test_a_tokenizer_that_is_whole_json_but_no_tokenizer_is_named(copied, capsys):
    (copied / "tokenizer.json").write_text("{}", encoding="utf-8")
    assert cli.main(["predict", "--model", str(copied), "좋다"]) == 1
    assert f"{copied / 'tokenizer.json'} is damaged: " in capsys.readouterr().err
