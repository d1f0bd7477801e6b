"""hfcls: fine-tune a pretrained encoder for Korean text classification.

In one call::

    import hfcls

    result = hfcls.fine_tune(dataset="nsmc", model="beomi/kcbert-base", output_dir="outputs/nsmc")
    classifier = hfcls.Classifier.from_pretrained(result.output_dir)
    classifier("시간 가는 줄 몰랐어요")  # {'label': '긍정', 'score': 0.99}

Or step by step, in the order of the book: `load_corpus`, `load_tokenizer`, `encode`, `make_collator`,
`load_model`, `ClassificationTrainer`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hfcls.version import __version__ as __version__

if TYPE_CHECKING:
    from hfcls.batching.collate import make_collator as make_collator
    from hfcls.checks.cleaning import clean as clean
    from hfcls.checks.findings import Findings as Findings
    from hfcls.checks.inspect import check as check
    from hfcls.checks.suspects import Suspect as Suspect
    from hfcls.checks.suspects import Suspects as Suspects
    from hfcls.config.commands import CheckConfig as CheckConfig
    from hfcls.config.commands import CleanConfig as CleanConfig
    from hfcls.config.commands import DistillConfig as DistillConfig
    from hfcls.config.commands import EvaluateConfig as EvaluateConfig
    from hfcls.config.commands import ExportConfig as ExportConfig
    from hfcls.config.commands import PredictConfig as PredictConfig
    from hfcls.config.pretraining import AdaptConfig as AdaptConfig
    from hfcls.config.sources import load_recipe as load_recipe
    from hfcls.config.train import TrainConfig as TrainConfig
    from hfcls.data.corpora import load_corpus as load_corpus
    from hfcls.data.encoding import encode as encode
    from hfcls.data.splits import carve_validation as carve_validation
    from hfcls.distilling import distill as distill
    from hfcls.errors import HfclsError as HfclsError
    from hfcls.errors import PushError as PushError
    from hfcls.exporting import Exported as Exported
    from hfcls.exporting import export as export
    from hfcls.finetune import fine_tune as fine_tune
    from hfcls.inference.classifier import Classifier as Classifier
    from hfcls.inference.evaluation import Evaluation as Evaluation
    from hfcls.inference.evaluation import evaluate as evaluate
    from hfcls.inference.onnx_classifier import OnnxClassifier as OnnxClassifier
    from hfcls.inference.shards import predict_files as predict_files
    from hfcls.models.loading import load_model as load_model
    from hfcls.models.scratch import scratch_model as scratch_model
    from hfcls.models.tokenizers import load_tokenizer as load_tokenizer
    from hfcls.models.tokenizers import train_tokenizer as train_tokenizer
    from hfcls.pretraining import adapt as adapt
    from hfcls.publishing.hub import push as push
    from hfcls.publishing.pages.report import write_report as write_report
    from hfcls.runs.checkpoints import newest_whole_checkpoint as newest_whole_checkpoint
    from hfcls.runs.pretrained import AdaptResult as AdaptResult
    from hfcls.runs.record import RunFacts as RunFacts
    from hfcls.runs.results import Result as Result
    from hfcls.runs.results import load_results as load_results
    from hfcls.scoring.analysis import Analysis as Analysis
    from hfcls.scoring.analysis import analyse as analyse
    from hfcls.scoring.intervals import Estimate as Estimate
    from hfcls.scoring.intervals import McNemar as McNemar
    from hfcls.scoring.intervals import mcnemar as mcnemar
    from hfcls.scoring.metrics import classification_metrics as classification_metrics
    from hfcls.serving.app import launch_demo as launch_demo
    from hfcls.training.arguments import ClassificationTrainingArguments as ClassificationTrainingArguments
    from hfcls.training.optim import EpochExponentialLR as EpochExponentialLR
    from hfcls.training.optim import adam as adam
    from hfcls.training.preemption import Interrupted as Interrupted
    from hfcls.training.trainer import ClassificationTrainer as ClassificationTrainer

# Imported on first use: torch and transformers take seconds, and `hfcls --help` needs neither.
_HOME = {
    "AdaptConfig": "config.pretraining",
    "AdaptResult": "runs.pretrained",
    "Analysis": "scoring.analysis",
    "CheckConfig": "config.commands",
    "ClassificationTrainer": "training.trainer",
    "ClassificationTrainingArguments": "training.arguments",
    "CleanConfig": "config.commands",
    "Classifier": "inference.classifier",
    "DistillConfig": "config.commands",
    "EpochExponentialLR": "training.optim",
    "Estimate": "scoring.intervals",
    "EvaluateConfig": "config.commands",
    "Evaluation": "inference.evaluation",
    "ExportConfig": "config.commands",
    "Exported": "exporting",
    "Findings": "checks.findings",
    "HfclsError": "errors",
    "Interrupted": "training.preemption",
    "McNemar": "scoring.intervals",
    "OnnxClassifier": "inference.onnx_classifier",
    "PredictConfig": "config.commands",
    "PushError": "errors",
    "Result": "runs.results",
    "RunFacts": "runs.record",
    "Suspect": "checks.suspects",
    "Suspects": "checks.suspects",
    "TrainConfig": "config.train",
    "adam": "training.optim",
    "adapt": "pretraining",
    "analyse": "scoring.analysis",
    "carve_validation": "data.splits",
    "check": "checks.inspect",
    "classification_metrics": "scoring.metrics",
    "clean": "checks.cleaning",
    "distill": "distilling",
    "encode": "data.encoding",
    "evaluate": "inference.evaluation",
    "export": "exporting",
    "fine_tune": "finetune",
    "launch_demo": "serving.app",
    "load_corpus": "data.corpora",
    "load_model": "models.loading",
    "load_recipe": "config.sources",
    "load_results": "runs.results",
    "load_tokenizer": "models.tokenizers",
    "make_collator": "batching.collate",
    "mcnemar": "scoring.intervals",
    "newest_whole_checkpoint": "runs.checkpoints",
    "predict_files": "inference.shards",
    "push": "publishing.hub",
    "scratch_model": "models.scratch",
    "train_tokenizer": "models.tokenizers",
    "write_report": "publishing.pages.report",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hfcls' has no attribute '{name}'; it has {', '.join(__all__)}")
    return getattr(import_module(f"hfcls.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
