"""The recipe for Spark on the page about clusters, run as it stands."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pandas
import pytest
from conftest import ROOT, reviews
from test_docs import blocks

from hfcls.inference.classifier import Classifier


@pytest.mark.slow
@pytest.mark.skipif(find_spec("pyspark") is None, reason="needs pyspark 4, which is in no extra (it is 400 MB)")
@pytest.mark.skipif(shutil.which("java") is None, reason="needs Java, of version 17 or newer")
def test_spark_gives_each_row_the_label_of_the_classifier(classifier_folder, tmp_path):
    (code,) = [text for page, text in blocks("python") if page.name == "cluster.md" and "pyspark" in text]
    shutil.copytree(classifier_folder, tmp_path / "outputs/quickstart")
    texts = [text if i % 7 else None for i, (text, _) in enumerate(reviews(60))]
    pandas.DataFrame({"id": range(60), "comment": texts}).to_parquet(tmp_path / "comments.parquet")
    (tmp_path / "recipe.py").write_text(f"{code}\nspark.stop()\n", encoding="utf-8")
    local = {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    arguments = (
        "--master local[2] --conf spark.ui.enabled=false --conf spark.driver.bindAddress=127.0.0.1 pyspark-shell"
    )
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    done = subprocess.run(
        [sys.executable, "recipe.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, **local, "PYSPARK_SUBMIT_ARGS": arguments, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = pandas.read_parquet(Path(tmp_path / "labelled-by-spark")).sort_values("id").astype(object)
    rows = rows.where(rows.notna(), None)
    assert list(rows.columns) == ["id", "comment", "predicted_label", "predicted_score"]
    assert list(rows["comment"]) == texts
    known = [text for text in texts if text is not None]
    answers = iter(Classifier.from_pretrained(classifier_folder)(known))
    for text, label, score in zip(texts, rows["predicted_label"], rows["predicted_score"], strict=True):
        if text is None:
            assert label is None
            assert score is None
        else:
            answer = next(answers)
            assert label == answer["label"]
            assert score == pytest.approx(answer["score"], abs=1e-6)
