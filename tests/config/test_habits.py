"""What people type from habit is answered with what was meant."""

import pytest

from hfcls.cli import _parser, main
from hfcls.config.command_line.help import other_spelling


@pytest.fixture
def here(tmp_path, monkeypatch):
    for i in range(3):
        (tmp_path / f"part-{i}.csv").write_text("text,label\n가,1\n나,0\n", encoding="utf-8")
    (tmp_path / "reviews.csv").write_text("text,label\n가,1\n나,0\n", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train --dataset part-0.csv part-1.csv part-2.csv", "did you mean --dataset 'part-*.csv', in quotes"),
        ("check --dataset part-0.csv part-1.csv", "did you mean --dataset 'part-*.csv', in quotes"),
        ("predict --input part-0.csv part-1.csv --output out", "did you mean --input 'part-*.csv', in quotes"),
        ("check part-0.csv --dataset part-1.csv", "dataset is given twice (part-0.csv, part-1.csv): keep one"),
        ("train --dataset part-0.csv --dataset part-1.csv", "dataset is given twice (part-0.csv, part-1.csv): keep"),
        ("export --model model folder", "model is given twice (model, folder): keep one"),
        ("distill --model hfcls-small-ko --student 4x256", "model is given twice (hfcls-small-ko, 4x256): keep one"),
        ("evaluate reviews.csv", "did you mean --dataset reviews.csv?"),
        ("evaluate model", "did you mean --model model?"),
        ("train --drop_duplicates True", "--drop_duplicates takes no value: write --drop_duplicates, or --no-drop_dup"),
        ("train --no-drop_duplicates false", "takes no value"),
        ("train --drop_duplicates=True", "--drop_duplicates takes no value"),
        ("train --epochs 3", "did you mean --num_train_epochs?"),
        ("train --lr 1e-3", "did you mean --learning_rate?"),
        ("train --model_name_or_path klue/bert-base", "did you mean --model?"),
        ("adapt --fp16", "accelerate launch --mixed_precision fp16"),
        ("train --lr_scheduler_type linear", "did you mean --lr_scheduler?"),
        ("train --output-dirs x", "did you mean --output_dir?"),
        ("train --batchsize 3", "did you mean --batch_size?"),
        ("serve --model model", "--model; the model stands without an option: hfcls serve MODEL"),
        ("push --output_dir model", "the folder stands without an option: hfcls push FOLDER"),
        ("report --model model", "the folder stands without an option: hfcls report FOLDER"),
        ("train --qqq", "unrecognized arguments: --qqq; --help lists all options"),
        ("trian", "no command 'trian'; did you mean train?"),
        ("frobnicate", "no command 'frobnicate'; known are train, adapt, distill, check,"),
    ],
)
def test_a_slip_of_usage_is_met_with_what_was_meant(here, capsys, line, message):
    with pytest.raises(SystemExit) as end:
        main(line.split())
    assert end.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train reviews.csv", "reviews.csv is data, and no recipe in YAML: did you mean --dataset reviews.csv?"),
        ("train folder", "did you mean --dataset folder?"),
        ("train demo", "did you mean --dataset demo?"),
        ("predict model 좋아요", "model is a folder with a model: did you mean --model model?"),
        ("predict reviews.csv", "reviews.csv is a file: did you mean --input reviews.csv --output FOLDER?"),
    ],
)
def test_data_where_something_else_is_wanted_is_told_its_option(here, capsys, line, message):
    assert main(line.split()) == 1
    assert message in capsys.readouterr().err


def test_a_recipe_after_the_data_is_no_unquoted_pattern(here, tmp_path, capsys):
    (tmp_path / "run.yaml").write_text("seed: [", encoding="utf-8")
    assert main(["train", "--dataset", "reviews.csv", "run.yaml"]) == 1
    assert "run.yaml is not valid YAML" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("--dry-run", "--dry_run"),
        ("--output-dir=a-b", "--output_dir=a-b"),
        ("--no-drop-duplicates", "--no-drop_duplicates"),
        ("--no_drop_duplicates", "--no-drop_duplicates"),
        ("--drop-duplicates", "--drop_duplicates"),
        ("--of-no-kind", "--of-no-kind"),
        ("a-b", "a-b"),
        ("--", "--"),
        ("-x", "-x"),
        ("--no-", "--no-"),
    ],
)
def test_a_hyphen_is_an_underscore_in_the_name_of_an_option(word, meant):
    known = {"--dry_run", "--output_dir", "--drop_duplicates", "--no-drop_duplicates"}
    assert other_spelling(word, known) == meant


def test_texts_after_the_end_of_options_stay_as_they_are():
    args = _parser().parse_args(["predict", "--all-scores", "--", "--dry-run", "--all-scores"])
    assert (args.all_scores, args.texts) == (True, ["--dry-run", "--all-scores"])
