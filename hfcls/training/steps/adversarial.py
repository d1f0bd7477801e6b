"""FGM: each step learns from its texts a second time, with their embeddings moved against the model."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from transformers import Trainer

from hfcls.errors import HfclsError


class AdversarialTrainer(Trainer):
    """Trainer that with `fgm` above 0 learns from each batch twice (Miyato et al. 2017, arXiv:1605.07725).

    The second time, the embeddings of each text are moved in the direction in which its loss grows. The loss is the
    mean of both. A move depends on its own text alone, so that a step is the same however its texts are divided over
    rows, forward passes and processes. Miyato et al. normalize all embeddings and move them by a fixed length; here it
    is a share of the length of the text's embeddings, so that one number fits every encoder, which stays as it is.
    """

    args: Any
    _learns_twice = False

    def training_step(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        """Trainer's own, twice."""
        if not self.args.fgm:
            return super().training_step(model, inputs, *args, **kwargs)
        self._learns_twice = True
        try:
            with _embeddings_of(self.model) as embeddings:
                loss = super().training_step(model, dict(inputs), *args, **kwargs)
                embeddings.move_against(inputs, self.args.fgm)
                return loss + super().training_step(model, dict(inputs), *args, **kwargs)
        finally:
            self._learns_twice = False

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        """Trainer's own, of which each of the two passes of a step counts half."""
        loss: Any = super().compute_loss(*args, **kwargs)
        return loss / 2 if self._learns_twice else loss


def check_fgm(args: Any) -> None:
    """Raises HfclsError where the embeddings cannot be reached."""
    if args.fgm and args.torch_compile:
        raise HfclsError("fgm moves embeddings in the middle of the model, which torch_compile would not see: drop one")


class _Embeddings:
    """A forward hook of the token embeddings: what they gave, and from `move_against` on also by how much it moves."""

    def __init__(self) -> None:
        self.output = torch.empty(0)
        self.move: torch.Tensor | None = None

    def __call__(self, module: torch.nn.Module, args: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
        if self.move is not None:
            return output + self.move
        self.output = output if output.requires_grad else output.detach().requires_grad_()  # frozen, with LoRA
        self.output.retain_grad()
        return self.output

    def move_against(self, inputs: Mapping[str, torch.Tensor], share: float) -> None:
        assert self.output.grad is not None, "a forward and a backward pass come first"
        of_text = text_of_tokens(inputs).to(self.output.device)  # Trainer moves its inputs in a dict of its own
        wider = self.output.shape[1] - of_text.shape[1]  # Longformer pads to whole attention windows itself
        of_text = torch.nn.functional.pad(of_text, (0, wider))
        self.move = adversarial_move(self.output.detach(), self.output.grad, of_text, share)


@contextmanager
def _embeddings_of(model: Any) -> Iterator[_Embeddings]:
    embeddings = _Embeddings()
    hook = model.get_input_embeddings().register_forward_hook(embeddings)
    try:
        yield embeddings
    finally:
        hook.remove()


def text_of_tokens(inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Which text, from 1, each token of a batch belongs to, int64 [R, T]; 0 is filler."""
    if "segment_ids" in inputs:
        return inputs["segment_ids"]
    mask = inputs["attention_mask"] if "attention_mask" in inputs else torch.ones_like(inputs["input_ids"])
    return mask * torch.arange(1, len(mask) + 1, device=mask.device)[:, None]


def adversarial_move(
    embedded: torch.Tensor, gradient: torch.Tensor, of_text: torch.Tensor, share: float
) -> torch.Tensor:
    """By how much each embedding moves, [R, T, D]: along the gradient of its text, `share` of the text's length.

    Both lengths are Euclidean norms over all tokens and dimensions of a text. A text whose gradient is 0, or not
    finite, and filler stay where they are.

    Args:
        embedded: [R, T, D].
        gradient: of the loss, in any scale, [R, T, D].
        of_text: see `text_of_tokens`, int64 [R, T].
    """
    ratio = _lengths(embedded, of_text) / _lengths(gradient, of_text)
    ratio[0] = 0
    ratio = ratio.nan_to_num(0.0, posinf=0.0)
    move = share * gradient.float() * ratio[of_text].unsqueeze(-1)
    return move.nan_to_num(0.0, posinf=0.0, neginf=0.0).to(embedded.dtype)


def _lengths(vectors: torch.Tensor, of_text: torch.Tensor) -> torch.Tensor:
    """The norm of each text's vectors, float32 [R * T + 1]: as many texts as there may be, so that nothing waits."""
    squares = vectors.float().square().sum(dim=-1).flatten()
    return squares.new_zeros(len(squares) + 1).index_add(0, of_text.flatten(), squares).sqrt()
