"""The book's optimizer and schedule, to the last bit."""

import torch

from hfcls.training.optim import EpochExponentialLR, adam


def test_the_decay_equals_exponential_lr_stepped_per_epoch_to_the_last_bit():
    ours, reference = (torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=5e-5) for _ in range(2))
    per_step = EpochExponentialLR(ours, gamma=0.9, steps_per_epoch=7)
    per_epoch = torch.optim.lr_scheduler.ExponentialLR(reference, gamma=0.9)
    assert isinstance(per_step, torch.optim.lr_scheduler.ExponentialLR)
    for _ in range(12):
        for _ in range(7):
            assert ours.param_groups[0]["lr"] == reference.param_groups[0]["lr"]
            ours.step()
            per_step.step()
        reference.step()
        per_epoch.step()


def test_a_schedule_that_was_saved_as_steplr_goes_on():
    """Checkpoints of version 0.1.0 were written with `StepLR`."""
    old, new = (torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=5e-5) for _ in range(2))
    before = torch.optim.lr_scheduler.StepLR(old, step_size=7, gamma=0.9)
    for _ in range(10):
        old.step()
        before.step()
    after = EpochExponentialLR(new, gamma=0.9, steps_per_epoch=7)
    new.load_state_dict(old.state_dict())
    after.load_state_dict(before.state_dict())
    for _ in range(20):
        assert new.param_groups[0]["lr"] == old.param_groups[0]["lr"]
        for optimizer, scheduler in ((old, before), (new, after)):
            optimizer.step()
            scheduler.step()


def test_adam_is_plain_and_leaves_frozen_parameters_out():
    trained, frozen = (
        torch.nn.Parameter(torch.ones(2)),
        torch.nn.Parameter(torch.ones(2), requires_grad=False),
    )
    optimizer = adam([trained, frozen], 1e-3)
    (group,) = optimizer.param_groups
    assert group["params"] == [trained]
    assert (group["lr"], group["weight_decay"], group["betas"], group["eps"]) == (1e-3, 0, (0.9, 0.999), 1e-8)
    assert group["fused"]


def test_adam_is_not_fused_where_torch_has_no_such_kernel():
    (group,) = adam([torch.nn.Parameter(torch.ones(2, device="meta"))], 1e-3).param_groups
    assert not group["fused"]
