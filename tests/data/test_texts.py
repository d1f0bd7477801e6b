"""Texts without labels are read from any file, held out without overlap, and cut into tokens that know their words."""

import logging
import re
from pathlib import Path

import pandas as pd
import pytest
from datasets import ClassLabel, Dataset, DatasetDict

from hfcls.data.formats.table import ReadOptions
from hfcls.data.splits import texts_sha256
from hfcls.data.texts import encode_texts, hold_out, load_texts, token_count
from hfcls.errors import HfclsError
from hfcls.models.tokenizers import train_tokenizer

TEXTS = ["정말 재미있다!", '따옴표 "안에" 있음, 쉼표도', "null", "줄 바꿈 없음 \u2028 그대로", "끝"]


def of(texts: list[str]) -> DatasetDict:
    return DatasetDict({"train": Dataset.from_dict({"text": texts})})


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".tsv", ".jsonl", ".json", ".parquet"])
def test_every_kind_of_file_gives_the_same_texts(tmp_path, suffix):
    path = tmp_path / f"texts{suffix}"
    frame = pd.DataFrame({"label": range(len(TEXTS)), "comment": TEXTS})
    if suffix == ".txt":
        path.write_bytes("\ufeff".encode() + "\n".join(TEXTS).encode())  # a byte order mark, and no newline at the end
    elif suffix in (".csv", ".tsv"):
        frame.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    elif suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_json(path, orient="records", lines=suffix == ".jsonl", force_ascii=False)
    assert list(load_texts(str(path), "comment")["text"]) == TEXTS


def test_lines_keep_what_is_in_them_and_empty_ones_are_left_out(tmp_path, caplog):
    path = tmp_path / "texts.txt"
    path.write_bytes('첫째\ttab\r\n\n  \n"둘째\n'.encode())
    with caplog.at_level(logging.INFO, "hfcls"):
        assert list(load_texts(str(path))["text"]) == ["첫째\ttab", '"둘째']
    assert "2 of 4 texts are empty and left out" in caplog.text


def test_a_folder_gives_the_texts_of_all_its_files_but_those_to_test_on(tmp_path, caplog):
    for name in ("b.txt", "a.txt", "test.txt", ".hidden.txt", "notes.md"):
        (tmp_path / name).write_text(f"{name} 글\n", encoding="utf-8")
    pd.DataFrame({"text": ["표의 글", None]}).to_parquet(tmp_path / "c.parquet")
    with caplog.at_level(logging.INFO, "hfcls"):
        assert list(load_texts(str(tmp_path))["text"]) == ["a.txt 글", "b.txt 글", "표의 글"]
    assert "test.txt" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.txt", None, "no file {path}: check the path"),
        ("empty.txt", b"", "{path} is empty: it needs a text on each line"),
        ("blank.txt", b"\n \n", "{path} holds no text"),
        ("texts.csv", "stars\n글\n".encode(), "{path} has no column 'text'; it has 'stars': set --text_column"),
        ("numbers.jsonl", b'{"text": 1}\n', "{path}: column 'text' is not text but int64"),
        ("texts.pdf", b"x", "{path}: cannot read .pdf; known are"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(HfclsError, match=re.escape(message.format(path=path))):
        load_texts(str(path))


def test_a_text_file_with_a_header_that_names_the_column_is_a_table(tmp_path, caplog):
    path = tmp_path / "ratings.txt"
    path.write_text("id\tdocument\tlabel\n1\t재미있다\t1\n2\t지루하다\t0\n", encoding="utf-8")
    assert load_texts(str(path))["text"][:] == ["재미있다", "지루하다"], "`document` is a usual name"
    assert load_texts(str(path), "document", "label")["label"][:] == ["1", "0"]
    with caplog.at_level(logging.INFO, "hfcls"):
        assert load_texts(str(path), "review")["text"][0] == "id\tdocument\tlabel"
    assert "each line is a text, since the first line names no column 'review'" in caplog.text


def test_what_train_takes_is_taken_here_too(tmp_path, caplog, monkeypatch):
    """Packed files, workbooks, patterns, shards, several columns, nested ones, folders of datasets, corpora by name."""
    rows = pd.DataFrame({"title": ["제목 하나", "제목 둘"], "comment": ["글 하나", "글 둘"]})
    rows.to_csv(tmp_path / "A.CSV", index=False)
    rows.to_csv(tmp_path / "b.csv.gz", index=False)
    rows.to_excel(tmp_path / "c.xlsx", index=False)
    rows.to_parquet(tmp_path / "test-00000-of-00001.parquet")
    (tmp_path / "notes.md").write_text("x", encoding="utf-8")
    (tmp_path / "d.jsonl").write_text('{"comment": "글 셋"}\n', encoding="utf-8")
    with caplog.at_level(logging.INFO, "hfcls"):
        texts = load_texts(str(tmp_path), "comment")["text"][:]
    assert texts == ["글 하나", "글 둘"] * 3 + ["글 셋"]
    assert "passed over notes.md" in caplog.text
    assert "test-00000-of-00001.parquet" in caplog.text
    assert load_texts(str(tmp_path / "[Ab]*.*"))["text"][:] == ["글 하나", "글 둘"] * 2, "`comment` is a usual name"
    assert load_texts(str(tmp_path / "c.xlsx"), "title,comment")["text"][0] == "제목 하나 [SEP] 글 하나"
    assert load_texts(str(tmp_path / "test-00000-of-00001.parquet"))["text"][:] == ["글 하나", "글 둘"], "asked for"
    Dataset.from_pandas(rows).save_to_disk(tmp_path / "saved")
    assert load_texts(str(tmp_path / "saved"))["text"][:] == ["글 하나", "글 둘"]
    (tmp_path / "deep.jsonl").write_text('{"a": {"b": "속의 글"}}\n', encoding="utf-8")
    assert load_texts(str(tmp_path / "deep.jsonl"), "a.b")["text"][:] == ["속의 글"]
    assert len(load_texts("demo")) == 1200
    with pytest.raises(HfclsError, match="nobody/nothing"):
        load_texts("nobody/nothing")


def test_a_file_without_rows_does_not_cost_the_others(tmp_path, caplog):
    (tmp_path / "a.csv").write_text("text\n", encoding="utf-8")
    (tmp_path / "b.txt").write_text("", encoding="utf-8")
    with pytest.raises(HfclsError, match=re.escape(f"{tmp_path} holds no text")):
        load_texts(str(tmp_path))
    (tmp_path / "c.jsonl").write_text('{"text": "글"}\n', encoding="utf-8")
    caplog.clear()
    assert load_texts(str(tmp_path))["text"][:] == ["글"]
    assert caplog.messages == [f"passed over {tmp_path}/a.csv: no rows", f"passed over {tmp_path}/b.txt: no rows"]


def test_files_are_read_as_the_options_say(tmp_path):
    (tmp_path / "rows.txt").write_bytes("1;좋다; 재미\n2;나쁘다\n".encode("cp949"))
    options = ReadOptions(delimiter=";", encoding="cp949", no_header=True)
    with pytest.raises(HfclsError, match=r"rows.txt, line 2: 2 fields, but the header has 3"):
        load_texts(str(tmp_path / "rows.txt"), "2", None, ReadOptions(delimiter=";", no_header=True))
    (tmp_path / "rows.txt").write_bytes("1;좋다, 재미\n2;나쁘다\n".encode("cp949"))
    assert load_texts(str(tmp_path / "rows.txt"), "2", None, options)["text"][:] == ["좋다, 재미", "나쁘다"]
    assert load_texts(str(tmp_path / "rows.txt"), "2", "1", options)["label"][:] == ["1", "2"]
    (tmp_path / "lines.txt").write_bytes("좋다\n".encode("utf-16-le"))
    assert load_texts(str(tmp_path / "lines.txt"), options=ReadOptions(encoding="utf-16-le"))["text"][:] == ["좋다"]
    with pd.ExcelWriter(tmp_path / "two.xlsx") as book:
        for sheet in ("하나", "둘"):
            pd.DataFrame({"text": [f"{sheet}째 글"]}).to_excel(book, sheet_name=sheet, index=False)
    assert load_texts(str(tmp_path / "two.xlsx"), options=ReadOptions(sheet="둘"))["text"][:] == ["둘째 글"]


def test_a_label_of_a_data_set_is_the_name_of_its_class(tmp_path):
    rows = Dataset.from_dict({"text": ["글", "말", "시"], "star": [1, 0, -1]}).cast_column(
        "star", ClassLabel(names=["하", "상"])
    )
    rows.save_to_disk(tmp_path / "saved")
    assert load_texts(str(tmp_path / "saved"), "text", "star")["label"][:] == ["상", "하", None]


def test_lines_in_another_encoding_are_read(tmp_path):
    path = tmp_path / "texts[1].txt"  # which is no pattern
    path.write_bytes("좋다\r\n나쁘다\r\n".encode("cp949"))
    assert load_texts(str(path))["text"][:] == ["좋다", "나쁘다"]
    path.write_bytes("다른 글\n".encode("utf-16"))
    assert load_texts(str(path))["text"][:] == ["다른 글"]


def test_a_folder_without_texts_is_named(tmp_path):
    Path(tmp_path, "test.csv").write_text("text\n글\n", encoding="utf-8")
    with pytest.raises(HfclsError, match="holds no file to learn from: those called test, validation"):
        load_texts(str(tmp_path))


def test_held_out_texts_are_seeded_and_stand_nowhere_in_train():
    texts = Dataset.from_dict({"text": [f"글 {i % 40}!{'!' * (i % 3)}" for i in range(100)]})
    first, again, other = hold_out(texts, 10, 7), hold_out(texts, 10, 7), hold_out(texts, 10, 8)
    assert len(first["validation"]) == 10
    assert list(first["validation"]["text"]) == list(again["validation"]["text"]) != list(other["validation"]["text"])
    unmarked = [{text.rstrip("!") for text in first[split]["text"]} for split in ("train", "validation")]
    assert not unmarked[0] & unmarked[1]  # the same but for repeated signs is the same
    assert len(hold_out(texts, 2_000, 7)["validation"]) == 10, "at most a tenth"
    assert list(hold_out(texts, 0, 7)) == ["train"]
    with pytest.raises(HfclsError, match="none is left to learn from"):
        hold_out(Dataset.from_dict({"text": ["같은 글"] * 30}), 3, 7)
    assert texts_sha256(first["train"]) == texts_sha256(again["train"]) != texts_sha256(other["train"])


def test_tokens_know_their_words_and_a_long_text_becomes_several():
    texts = ["재미있다! 정말정말 재미있다", "[MASK] 정말", "정말 " * 30]
    tokenizer = train_tokenizer(texts * 3, 60, mask_token="[MASK]")
    encoded = encode_texts(of(texts), tokenizer, 20)["train"]
    assert encoded.column_names == ["input_ids", "words"]
    first = encoded[0]
    assert first["words"][0] == first["words"][-1] == -1
    pieces: dict[int, str] = {}
    for token, word in zip(first["input_ids"], first["words"], strict=True):
        pieces[word] = pieces.get(word, "") + tokenizer.convert_ids_to_tokens(token).replace("\u2581", "")
    assert [pieces[word] for word in sorted(pieces) if word >= 0] == ["재미있다", "!", "정말정말", "재미있다"]
    special = tokenizer.mask_token_id
    assert encoded[1]["words"][encoded[1]["input_ids"].index(special)] == -1, "it is no word, though it was written"
    assert len(encoded) > 3
    assert max(map(len, encoded["input_ids"])) == 20
    read = [token for row in encoded["input_ids"][2:] for token in row[1:-1]]
    assert read == tokenizer(texts[2], add_special_tokens=False)["input_ids"]
    assert token_count(encoded) == sum(map(len, encoded["input_ids"]))


def test_labels_are_tokens_of_training_rows_only(tmp_path):
    path = tmp_path / "rated.parquet"
    frame = pd.DataFrame({"review": [f"정말 재미있다 {i} " * 12 for i in range(30)], "rating": [1, 10, None] * 10})
    frame.astype({"rating": "Int64"}).to_parquet(path)
    texts = load_texts(str(path), "review", "rating")
    assert texts["label"][:3] == ["1", "10", None]
    split = hold_out(texts, 3, 7)
    assert split["validation"].column_names == ["text"]
    tokenizer = train_tokenizer(["10 점"] * 9 + list(texts["text"]), 200, mask_token="[MASK]")
    tokenizer.add_tokens([label for label in ("1", "10") if label not in tokenizer.get_vocab()])
    encoded = encode_texts(split, tokenizer, 20)
    assert len(encoded["train"]) > 2 * len(split["train"]), "a long text becomes several rows, each with its label"
    assert "label_id" not in encoded["validation"].column_names
    ids = {tokenizer.convert_tokens_to_ids(label) for label in ("1", "10")}
    assert set(encoded["train"]["label_id"]) == {*ids, None}
    frame.assign(rating="아주 좋다").to_parquet(path)
    with pytest.raises(HfclsError, match="the tokenizer has no token for 1 of 1 labels, such as '아주 좋다'"):
        encode_texts(DatasetDict({"train": load_texts(str(path), "review", "rating")}), tokenizer, 20)
    with pytest.raises(HfclsError, match=r"no column 'stars'; it has 'review', 'rating': set --label_column"):
        load_texts(str(path), "review", "stars")


def test_a_text_file_has_no_labels(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("글\n", encoding="utf-8")
    with pytest.raises(HfclsError, match="has a text on each line and so no column 'rating': drop --label_column"):
        load_texts(str(path), "text", "rating")


def test_the_hash_knows_the_labels():
    one, two = (Dataset.from_dict({"text": ["가", "나"], "label": labels}) for labels in (["1", "2"], ["2", "1"]))
    assert texts_sha256(one) != texts_sha256(two) != texts_sha256(one.select_columns(["text"]))


def test_a_blank_cell_is_no_label_to_pretrain_with(tmp_path):
    path = tmp_path / "rated.csv"
    path.write_text("text,stars\n좋다,5\n나쁘다, \n글,\n", encoding="utf-8")
    assert load_texts(str(path), "text", "stars")["label"][:] == ["5", None, None]
