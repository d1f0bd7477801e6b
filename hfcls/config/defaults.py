"""What follows where an option of the training is left open: from other options, or from rows and encoder."""

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from hfcls.config.options import Config, with_options
from hfcls.errors import HfclsError

if TYPE_CHECKING:
    from typing_extensions import Self

RANDOM = re.compile(r"scratch|\d+x\d+")  # models that start from random weights
EPOCHS = ((1_500, 6), (10_000, 4))  # up to so many training rows, so many passes; docs/accuracy.md
EPOCHS_OF_MORE = 3
FGM, FGM_ROWS = 0.03, 500  # how far it moves, and up to how many rows; docs/accuracy.md
OF_STEPS = (  # what decides nothing where the encoder is frozen: the head is fitted at once
    *("num_train_epochs", "max_steps", "learning_rate", "lr_scheduler", "lr_gamma", "warmup_ratio"),
    *("layerwise_lr_decay", "max_grad_norm", "eval_steps", "early_stopping_patience", "metric_for_best_model"),
)
WIDE = 768  # of BERT-base; from there on rates above 5e-5 are not safe (Devlin et al. 2019, appendix A.3)
FITTED = ("num_train_epochs", "learning_rate", "fgm")  # which wait for rows and encoder


@dataclass(kw_only=True)
class LeftOpen(Config):
    """Fills in the options of `TrainConfig` that are None, since they follow from others, or from rows and encoder."""

    def settled(self) -> "Self":
        """The same, with what follows from other options.

        Raises:
            HfclsError: an option of the steps is given, of which the run takes none.
        """
        own: Any = self
        left_open = "eval_loss" if own.select_on_test else "last"  # the metric, where it is settled
        steps = {f.name: (None, left_open, f.default) for f in fields(self) if f.name in OF_STEPS}
        given = [name for name, usual in steps.items() if getattr(self, name) not in usual]
        if own.freeze_encoder and given:
            raise HfclsError(f"{given[0]} is for training by steps, of which freeze_encoder takes none: drop one")
        pretrained = own.warm_head and not RANDOM.fullmatch(own.model)  # else no layer serves better than another
        chooses = own.early_stopping_patience is not None or own.select_on_test
        return self._with(
            pooling="mean" if pretrained else "first",
            layers="auto" if pretrained else "all",
            weight_decay=0.01 if own.optimizer == "adamw" else 0.0,
            metric_for_best_model="eval_loss" if chooses else "last",
            fgm=None if pretrained and not own.freeze_encoder else 0.0,
        )

    def fitted(self, rows: int, hidden_size: int | None) -> "Self":
        """The same, with what follows from so many training rows and the width of the encoder."""
        return self._with(
            num_train_epochs=epochs_for(rows),
            learning_rate=1e-4 if (hidden_size or WIDE) < WIDE else 5e-5,
            fgm=fgm_for(rows),
        )

    def fitted_options(self) -> dict[str, Any]:
        """What `fitted` has filled in, or was given."""
        return {name: getattr(self, name) for name in FITTED}

    def _with(self, **values: Any) -> "Self":
        return with_options(self, {name: value for name, value in values.items() if getattr(self, name) is None})


def epochs_for(rows: int) -> int:
    """Passes over so many training rows, where `num_train_epochs` does not say: few rows need more to make steps."""
    return next((epochs for most, epochs in EPOCHS if rows <= most), EPOCHS_OF_MORE)


def fgm_for(rows: int) -> float:
    """How far FGM moves the embeddings in a run on so many training rows, where `fgm` does not say; 0: not at all."""
    return FGM if rows <= FGM_ROWS else 0.0
