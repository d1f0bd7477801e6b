"""The options of the commands other than `train`."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

from hfcls.config.options import MOST_ROWS, MOST_TOKENS, Config, check_at_least, check_range, option
from hfcls.config.reading import ReadingConfig
from hfcls.config.train import DataConfig, TrainConfig
from hfcls.errors import HfclsError

if TYPE_CHECKING:
    from typing_extensions import Self

PRECISION = "of the arithmetic: int8 on a CPU, bf16 where the processor has it; checked on the run's scored rows"


@dataclass(kw_only=True)
class CheckConfig(DataConfig):
    """All options of `hfcls check` and `hfcls.check`."""

    model: str | None = option(
        None, "Hub id or folder of an encoder: count its tokens, measure its training steps", path=True
    )
    max_length: int = option(128, "tokens per text, as in training")
    batch_size: int = option(16, "rows per optimizer step, as in training")
    trust_remote_code: bool = option(False, "run Python code that the model's repository holds")
    baseline: bool = option(True, "score character n-grams with logistic regression")
    seed: int = option(7, "seed of the random batches, and of a validation split where the data has none")
    output: str | None = option(None, "also write the findings to this JSON file", path=True)

    def check(self) -> None:
        check_at_least("max_length", self.max_length, 3, MOST_TOKENS)
        check_at_least("batch_size", self.batch_size, 1, MOST_ROWS)
        check_range("seed", self.seed, 0 <= self.seed < 2**32, "from 0 to 2**32 - 1")


@dataclass(kw_only=True)
class CleanConfig(DataConfig):
    """All options of `hfcls clean` and `hfcls.clean`."""

    split: Literal["train", "validation", "test", "all"] | None = option(
        None, "split to look at (default train, or the only one)"
    )
    model: str | None = option(
        None, "also judge by the features of this encoder, as it is: hfcls-small-ko, a folder or a Hub id", path=True
    )
    max_length: int = option(128, "tokens per text that the encoder reads")
    trust_remote_code: bool = option(False, "run Python code that the model's repository holds")
    seed: int = option(7, "seed of the folds")
    output: str = option("outputs/suspicious.csv", "csv file for the ranked rows", path=True)
    apply: str | None = option(
        None,
        "also write a copy of the data without the doubted rows: a csv, tsv, jsonl or parquet file, or a folder",
        path=True,
    )

    def check(self) -> None:
        check_at_least("max_length", self.max_length, 3, MOST_TOKENS)
        check_range("seed", self.seed, 0 <= self.seed < 2**32, "from 0 to 2**32 - 1")


@dataclass(kw_only=True)
class EvaluateConfig(DataConfig):
    """All options of `hfcls evaluate` and `hfcls.evaluate`."""

    text_column: str | None = option(None, "column with the text (default: that of training)")  # type: ignore[assignment]
    text_pair_column: str | None = option(None, "column with a second text (default: that of training)")
    label_column: str | None = option(None, "column with the class (default: that of training)")  # type: ignore[assignment]
    model: str = option("outputs/run", "folder or Hub id of a fine-tuned classifier", path=True)
    trust_remote_code: bool = option(False, "run Python code that the model's repository holds")
    compare: str | None = option(
        None,
        "other classifiers to score on the same rows, each with McNemar's paired test against the first",
        path=True,
        several=True,
    )
    split: Literal["train", "validation", "test"] | None = option(
        None, "split to score (default test, or the only one)"
    )
    label_names: str | None = option(
        None, "names of the model's classes in the order of their ids, such as 부정,긍정, where it has others or none"
    )
    max_samples: int | None = option(None, "score the first N rows only")
    batch_size: int = option(128, "rows per forward pass")
    batching: Literal["packed", "longest", "fixed"] | None = option(None, "how a batch is laid out, as in training")
    precision: Literal["float32", "int8", "bf16"] = option("float32", PRECISION)
    metrics: str | None = option(
        None, "further metrics of the library evaluate, by name or path, such as f1 ./mine", several=True
    )
    output: str | None = option(None, "also write the metrics to this JSON file", path=True)

    def check(self) -> None:
        check_at_least("max_samples", self.max_samples, 1)
        check_at_least("batch_size", self.batch_size, 1, MOST_ROWS)

    def compared(self) -> list[str]:
        """The models that `compare` names."""
        return [name for part in (self.compare or "").split(",") if (name := part.strip())]


@dataclass(kw_only=True)
class PredictConfig(ReadingConfig):
    """All options of `hfcls predict`."""

    model: str = option("outputs/run", "folder or Hub id of a fine-tuned classifier", path=True)
    trust_remote_code: bool = option(False, "run Python code that the model's repository holds")
    batch_size: int = option(128, "texts per forward pass")
    batching: Literal["packed", "longest", "fixed", "exact"] | None = option(
        None, "how a batch is laid out, as in training; exact: no text changes another's result, to the last bit"
    )
    precision: Literal["float32", "int8", "bf16"] = option("float32", PRECISION)
    all_scores: bool = option(False, "give the probability of every class")
    input: str | None = option(
        None,
        "csv, tsv, json, jsonl, parquet or Excel file, a folder of these, or a quoted pattern, to label",
        path=True,
        address=True,
    )
    output: str | None = option(None, "folder for the labelled shards of --input", path=True, address=True)
    engine: Literal["local", "ray"] = option(
        "local", "who labels --input: this process, or a Ray cluster, which also takes addresses such as s3://"
    )
    workers: int | None = option(None, "of the Ray cluster (default: one for each GPU, or else for each CPU core)")
    format: Literal["parquet", "csv", "jsonl"] = option("parquet", "of the labelled shards")
    bom: bool = option(False, "begin csv shards with a byte order mark, by which Excel knows that they are UTF-8")
    single_file: bool = option(False, "one labelled file for each file of --input, in place of shards")
    output_columns: str | None = option(
        None, "columns of --input to keep beside the labels, such as id,text (default: all)"
    )
    text_column: str | None = option(None, "column of --input with the text (default: that of training)")
    text_pair_column: str | None = option(None, "column of --input with a second text (default: that of training)")
    shard_size: int = option(50_000, "rows per shard; a run that was stopped continues after its last finished shard")

    def check(self) -> None:
        check_at_least("batch_size", self.batch_size, 1, MOST_ROWS)
        check_at_least("shard_size", self.shard_size, 1)
        check_at_least("workers", self.workers, 1)
        if (self.input is None) != (self.output is None):
            raise HfclsError("input and output go together: the file or folder to label, and the folder for the result")
        if self.bom and self.format != "csv":
            raise HfclsError("bom is for csv: add --format csv, or drop bom")
        writing = ("engine", "workers", "format", "bom", "single_file", "output_columns", "shard_size")
        reading = [f.name for f in fields(ReadingConfig)]
        for name in (*writing, "text_column", "text_pair_column", *reading):
            if self.input is None and getattr(self, name) != getattr(PredictConfig, name):
                raise HfclsError(f"{name} is about the files of input, and input is not given: add it, or drop {name}")


@dataclass(kw_only=True)
class ExportConfig(Config):
    """All options of `hfcls export` and `hfcls.export`."""

    model: str = option("outputs/run", "folder or Hub id of a fine-tuned classifier", path=True)
    format: Literal["onnx"] = option("onnx", "what to write")
    int8: bool = option(False, "weights in 8 bits: a quarter of the size, faster on a CPU")
    output: str | None = option(None, "folder to write (default: MODEL-onnx, MODEL-onnx-int8)", path=True)
    trust_remote_code: bool = option(False, "run Python code that the model's repository holds")


@dataclass(kw_only=True)
class DistillConfig(TrainConfig):
    """All options of `hfcls distill` and `hfcls.distill`."""

    teacher: str | None = option(
        None,
        "folder or Hub id of the classifier to learn from; without one, columns probability_CLASS of dataset are its "
        "answers",
        path=True,
        in_card="never",
    )
    dataset: str | None = option(  # type: ignore[assignment]
        None,
        "texts without labels: a csv, tsv, json, jsonl, parquet or Excel file, a folder of these, or a quoted pattern",
        path=True,
        in_card="never",
    )
    labelled: str | None = option(
        None,
        "texts with labels, to train on as well and to score on, as the dataset of train",
        path=True,
        in_card="never",
    )
    model: str = option(
        "hfcls-small-ko",
        "the student: Hub id or folder of a pretrained encoder; a shape such as 4x256: random weights",
        path=True,
        in_card="never",
        alias="student",
    )
    drop_overlap: bool = option(True, "drop training rows whose text (normalised) stands in validation or test")
    learning_rate: float | None = option(None, "the highest rate (default: 2e-4)", in_card="always")
    calibrate: bool | None = option(
        False, "fit a temperature on validation; where no labels are given, to how often the teacher is agreed with"
    )

    def check(self) -> None:
        for name in ("label_columns", "label_separator", "task"):
            if getattr(self, name) is not None:
                raise HfclsError(f"distill is for models that give a text one label: drop {name}")
        if self.seeds > 1:
            raise HfclsError("seeds is for train: give distill one --seed after another, each with an --output_dir")
        for name, default in (("class_weights", "none"), ("focal_gamma", 0.0)):
            if getattr(self, name) != default:
                raise HfclsError(f"{name} is for labels that are certain, and those of a teacher are not: drop it")

    def settled(self) -> "Self":
        return super().settled()._with(learning_rate=None if self.freeze_encoder else 2e-4)


@dataclass(kw_only=True)
class PushConfig(Config):
    """All options of `hfcls push`."""

    hub_model_id: str | None = option(
        None, "repository to push to, name or namespace/name (default: the name of the folder)"
    )
    hub_private: bool = option(False, "make a new repository private", alias="private")
    overwrite: bool = option(False, "replace an existing repository that holds something else", alias="yes")
    dry_run: bool = option(False, "list what would be uploaded, and send nothing")


@dataclass(kw_only=True)
class ServeConfig(Config):
    """All options of `hfcls serve`."""

    host: str = option("127.0.0.1", "address to listen on; 0.0.0.0 lets other machines in")
    port: int | None = option(None, "port to listen on (default: the first free one from 7860 on)")
    page: bool = option(True, "also the page for people, where Gradio is installed and no token is asked for")
    max_chars: int = option(2_000, "characters that a text may have")
    max_texts: int = option(1_000, "texts that may come at once")
    batch_size: int = option(64, "texts per forward pass, from requests of all clients")
    wait_ms: float = option(5.0, "milliseconds for which a text waits for others to share its batch")
    max_waiting: int = option(1_000, "texts that may wait for their answer; more are refused with status 503")
    workers: int = option(1, "threads that classify, each with as many cores as OMP_NUM_THREADS says")
    token_file: str | None = option(
        None, "file with a token that requests must bring (default: the variable HFCLS_TOKEN, if it is set)", path=True
    )
    cors_origin: str | None = option(None, "other origin whose pages may call it, such as https://example.org")
    trust_remote_code: bool = option(False, "run Python code that the model's repository holds")
    precision: Literal["float32", "int8", "bf16"] = option("float32", PRECISION)

    def check(self) -> None:
        check_range("port", self.port, self.port is None or 0 < self.port < 2**16, "from 1 to 65535")
        for name in ("max_chars", "max_texts", "max_waiting", "workers"):
            check_at_least(name, getattr(self, name), 1)
        check_at_least("batch_size", self.batch_size, 1, MOST_ROWS)
        check_range("wait_ms", self.wait_ms, 0 <= self.wait_ms <= 1_000, "from 0 to 1000")
        good = (self.cors_origin or "http://").startswith(("http://", "https://"))
        check_range("cors_origin", self.cors_origin, good, "an origin such as https://example.org")
