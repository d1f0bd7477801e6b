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

if TYPE_CHECKING:
    from hfcls.batching.collate import make_collator as make_collator
    from hfcls.config.train import CheckConfig as CheckConfig
    from hfcls.config.train import EvaluateConfig as EvaluateConfig
    from hfcls.config.train import TrainConfig as TrainConfig
    from hfcls.config.train import load_recipe as load_recipe
    from hfcls.data.corpora import carve_validation as carve_validation
    from hfcls.data.corpora import load_corpus as load_corpus
    from hfcls.checks.inspect import check as check
    from hfcls.data.encoding import encode as encode
    from hfcls.errors import HfclsError as HfclsError
    from hfcls.errors import PushError as PushError
    from hfcls.inference.evaluation import evaluate as evaluate
    from hfcls.finetune import fine_tune as fine_tune
    from hfcls.publishing.hub import push as push
    from hfcls.inference.classifier import Classifier as Classifier
    from hfcls.scoring.metrics import classification_metrics as classification_metrics
    from hfcls.models.loading import load_model as load_model
    from hfcls.models.loading import load_tokenizer as load_tokenizer
    from hfcls.runs.results import load_results as load_results
    from hfcls.serving.app import launch_demo as launch_demo
    from hfcls.training.trainer import ClassificationTrainer as ClassificationTrainer
    from hfcls.training.trainer import ClassificationTrainingArguments as ClassificationTrainingArguments

__version__ = "0.1.0"

# Imported on first use: torch and transformers take seconds, and `hfcls --help` needs neither.
_HOME = {
    "CheckConfig": "config.train",
    "Classifier": "inference.classifier",
    "ClassificationTrainer": "training.trainer",
    "ClassificationTrainingArguments": "training.trainer",
    "EvaluateConfig": "config.train",
    "HfclsError": "errors",
    "PushError": "errors",
    "TrainConfig": "config.train",
    "carve_validation": "data.corpora",
    "check": "checks.inspect",
    "classification_metrics": "scoring.metrics",
    "encode": "data.encoding",
    "evaluate": "inference.evaluation",
    "fine_tune": "finetune",
    "launch_demo": "serving.app",
    "load_corpus": "data.corpora",
    "load_model": "models.loading",
    "load_recipe": "config.train",
    "load_results": "runs.results",
    "load_tokenizer": "models.loading",
    "make_collator": "batching.collate",
    "push": "publishing.hub",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hfcls' has no attribute '{name}'; it has {', '.join(__all__)}")
    return getattr(import_module(f"hfcls.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
