"""What can be set: every option, its checks, and where its value comes from."""

from hfcls.config.commands import (
    CheckConfig,
    CleanConfig,
    DistillConfig,
    EvaluateConfig,
    ExportConfig,
    PredictConfig,
    PushConfig,
    ServeConfig,
)
from hfcls.config.pretraining import AdaptConfig
from hfcls.config.sources import load_recipe
from hfcls.config.train import TrainConfig

__all__ = [
    "AdaptConfig",
    "CheckConfig",
    "CleanConfig",
    "DistillConfig",
    "EvaluateConfig",
    "ExportConfig",
    "PredictConfig",
    "PushConfig",
    "ServeConfig",
    "TrainConfig",
    "load_recipe",
]
