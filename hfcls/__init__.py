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
    from hfcls.collate import make_collator as make_collator
    from hfcls.config import CheckConfig as CheckConfig
    from hfcls.config import EvaluateConfig as EvaluateConfig
    from hfcls.config import TrainConfig as TrainConfig
    from hfcls.config import load_recipe as load_recipe
    from hfcls.corpora import carve_validation as carve_validation
    from hfcls.corpora import load_corpus as load_corpus
    from hfcls.datacheck import check as check
    from hfcls.encoding import encode as encode
    from hfcls.errors import HfclsError as HfclsError
    from hfcls.errors import PushError as PushError
    from hfcls.evaluation import evaluate as evaluate
    from hfcls.finetune import fine_tune as fine_tune
    from hfcls.hub import push as push
    from hfcls.inference import Classifier as Classifier
    from hfcls.metrics import classification_metrics as classification_metrics
    from hfcls.modeling import load_model as load_model
    from hfcls.modeling import load_tokenizer as load_tokenizer
    from hfcls.results import load_results as load_results
    from hfcls.serve import launch_demo as launch_demo
    from hfcls.trainer import ClassificationTrainer as ClassificationTrainer
    from hfcls.trainer import ClassificationTrainingArguments as ClassificationTrainingArguments

__version__ = "0.1.0"

# Imported on first use: torch and transformers take seconds, and `hfcls --help` needs neither.
_HOME = {
    "CheckConfig": "config",
    "Classifier": "inference",
    "ClassificationTrainer": "trainer",
    "ClassificationTrainingArguments": "trainer",
    "EvaluateConfig": "config",
    "HfclsError": "errors",
    "PushError": "errors",
    "TrainConfig": "config",
    "carve_validation": "corpora",
    "check": "datacheck",
    "classification_metrics": "metrics",
    "encode": "encoding",
    "evaluate": "evaluation",
    "fine_tune": "finetune",
    "launch_demo": "serve",
    "load_corpus": "corpora",
    "load_model": "modeling",
    "load_recipe": "config",
    "load_results": "results",
    "load_tokenizer": "modeling",
    "make_collator": "collate",
    "push": "hub",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hfcls' has no attribute '{name}'; it has {', '.join(__all__)}")
    return getattr(import_module(f"hfcls.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
