from copy import deepcopy
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn, optim
from torch.optim import lr_scheduler

from lenet.errors import UserError
from lenet.models.optimization import ReduceLROnPlateau, best_mode, check_schedule, schedule
from lenet.training.resuming import carry_over


def weights() -> list[nn.Parameter]:
    return [nn.Parameter(torch.ones(2))]


def test_one_cycle_is_told_its_peak_and_its_steps_and_steps_every_batch():
    config = schedule(
        lr_scheduler.OneCycleLR, optim.SGD(weights(), 0.5, 0.9), lr=0.5, total_steps=lambda: 40
    )
    assert config["interval"] == "step"
    scheduler = config["scheduler"]
    rates = []
    for _ in range(39):
        scheduler.optimizer.step()
        scheduler.step()
        rates.append(scheduler.get_last_lr()[0])
    assert max(rates) == pytest.approx(0.5, rel=0.01)
    assert rates[-1] == pytest.approx(0.5 / 25 / 1e4)


def test_other_schedules_step_every_epoch_and_keep_their_options():
    factory = partial(lr_scheduler.StepLR, step_size=3)
    config = schedule(factory, optim.SGD(weights(), 0.5), lr=0.5, total_steps=lambda: 40)
    assert config["interval"] == "epoch"
    assert config["scheduler"].step_size == 3


@pytest.mark.parametrize(
    ("monitor", "mode"),
    [
        *(("val/loss", "min"), ("val/accuracy", "max"), ("my/error", "min")),
        *(("val/f1", "max"), ("val/auroc", "max"), ("val/iou", "max"), ("kappa", "max")),
        *(("val/MulticlassF1Score", "max"), ("val_BinaryAUROC", "max"), ("val/mAP", "max")),
        *(("val/top5_error", "min"), ("val/ECE", "min"), ("accuracy/loss", "min")),
        ("val/lossless_accuracy", "max"),
    ],
)
def test_whether_more_is_better_follows_from_the_figures_name(monitor, mode):
    assert best_mode(monitor, "checkpoint") == mode
    factory = partial(ReduceLROnPlateau, monitor=monitor)
    config = schedule(factory, optim.SGD(weights(), 0.5), lr=0.5, total_steps=lambda: 1)
    assert config["monitor"] == monitor
    assert config["scheduler"].mode == mode


@pytest.mark.parametrize("monitor", ["val/size", "lr", "f1_loss", "val/glossy", "inaccuracy"])
def test_a_figure_whose_name_does_not_say_which_is_better_needs_a_mode(monitor):
    message = (
        f"--checkpoint.monitor {monitor}: .*Add --checkpoint.mode min or --checkpoint.mode max"
    )
    with pytest.raises(UserError, match=message):
        best_mode(monitor, "checkpoint")
    with pytest.raises(UserError, match=r"--model.scheduler.mode max"):
        check_schedule(partial(ReduceLROnPlateau, monitor=monitor))
    check_schedule(partial(ReduceLROnPlateau, monitor=monitor, mode="max"))
    check_schedule(ReduceLROnPlateau)


def saved(optimizer, scheduler=None, **extra: Any) -> dict:
    schedulers = [scheduler.state_dict()] if scheduler else []
    progress = {"current": {"processed": extra.pop("epochs")}}
    return {
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": schedulers,
        "loops": {"fit_loop": {"epoch_progress": progress}},
        **extra,
    }


def stepped(optimizer, scheduler=None, times=4):
    for _ in range(times):
        optimizer.param_groups[0]["params"][0].grad = torch.ones(2)
        optimizer.step()
        if scheduler:
            scheduler.step()


def test_nothing_is_touched_where_nothing_was_changed():
    optimizer = optim.Adam(weights(), 0.1)
    stepped(optimizer)
    checkpoint = saved(optimizer, global_step=4, epochs=3)
    before = checkpoint["optimizer_states"][0]
    carry_over(checkpoint, optim.Adam(weights(), 0.1), None, (), True)
    assert checkpoint["optimizer_states"][0] is before


@pytest.mark.parametrize(("before", "now"), [(None, True), (True, False)])
def test_which_kernels_step_is_this_trainings_and_not_the_checkpoints(before, now):
    optimizer = optim.Adam(weights(), 0.1, fused=before)
    stepped(optimizer)
    checkpoint = saved(optimizer, global_step=4, epochs=3)
    fresh = optim.Adam(weights(), 0.1, fused=now)
    carry_over(checkpoint, fresh, None, (), True)
    fresh.load_state_dict(deepcopy(checkpoint["optimizer_states"][0]))
    stepped(fresh, times=1)
    stepped(optimizer, times=1)
    assert fresh.param_groups[0]["fused"] is now
    [state], [as_before] = fresh.state.values(), optimizer.state.values()
    assert state["step"] == as_before["step"] == 5
    torch.testing.assert_close(state["exp_avg"], as_before["exp_avg"])


def test_a_changed_rate_holds_and_the_moments_are_kept():
    optimizer = optim.Adam(weights(), 0.1)
    stepped(optimizer)
    checkpoint = saved(optimizer, global_step=4, epochs=3)
    carry_over(checkpoint, optim.Adam(weights(), 1e-4, betas=(0.8, 0.9)), None, {"lr"}, True)
    [state] = checkpoint["optimizer_states"]
    assert state["param_groups"][0]["lr"] == 1e-4
    assert state["param_groups"][0]["betas"] == (0.8, 0.9)
    assert state["state"][0]["step"] == 4
    assert state["state"][0]["exp_avg"].abs().sum() > 0


def test_another_optimizer_starts_without_moments():
    optimizer = optim.Adam(weights(), 0.1)
    stepped(optimizer)
    checkpoint = saved(optimizer, global_step=4, epochs=3)
    carry_over(checkpoint, optim.SGD(weights(), 0.1, 0.9), None, {"optimizer"}, False)
    [state] = checkpoint["optimizer_states"]
    assert state["state"] == {}
    assert state["param_groups"][0]["momentum"] == 0.9


def test_a_changed_schedule_is_taken_to_where_it_would_be():
    optimizer = optim.SGD(weights(), 1.0, 0.9)
    scheduler = lr_scheduler.StepLR(optimizer, 2, gamma=0.5)
    stepped(optimizer, scheduler, times=4)
    checkpoint = saved(optimizer, scheduler, global_step=40, epochs=4)
    fresh = optim.SGD(weights(), 0.2, 0.9)
    carry_over(
        checkpoint, fresh, lr_scheduler.StepLR(fresh, 2, gamma=0.1), {"lr", "scheduler"}, True
    )
    [state], [plan] = checkpoint["optimizer_states"], checkpoint["lr_schedulers"]
    assert state["param_groups"][0]["lr"] == pytest.approx(0.2 * 0.1**2)
    assert plan["last_epoch"] == 4


def test_a_longer_one_cycle_goes_on_where_the_longer_one_would_be():
    def one_cycle(steps):
        optimizer = optim.SGD(weights(), 0.5, 0.9)
        return optimizer, lr_scheduler.OneCycleLR(optimizer, 0.5, steps)

    optimizer, scheduler = one_cycle(10)
    stepped(optimizer, scheduler, times=10 - 1)
    checkpoint = saved(optimizer, scheduler, global_step=9, epochs=0)
    fresh = one_cycle(20)
    carry_over(checkpoint, *fresh, changed=(), same_optimizer=True)
    straight = one_cycle(20)
    stepped(*straight, times=9)
    assert checkpoint["lr_schedulers"][0]["total_steps"] == 20
    [state] = checkpoint["optimizer_states"]
    assert state["param_groups"][0]["lr"] == pytest.approx(straight[0].param_groups[0]["lr"])


@pytest.mark.parametrize(("before", "now"), [(20, 20), (20, 80), (80, 20)])
def test_one_cycle_is_placed_by_what_is_left_and_ends_with_the_training(before, now):
    def one_cycle(steps):
        optimizer = optim.SGD(weights(), 0.5, 0.9)
        return optimizer, lr_scheduler.OneCycleLR(optimizer, 0.5, steps)

    half = one_cycle(before)
    stepped(*half, times=before // 2)
    checkpoint = saved(*half, global_step=before // 2, epochs=1)
    fresh = one_cycle(now)
    carry_over(checkpoint, *fresh, changed=(), same_optimizer=True, remaining=now // 2)
    [group] = checkpoint["optimizer_states"][0]["param_groups"]
    straight = one_cycle(now)
    stepped(*straight, times=now // 2)
    assert group["lr"] == pytest.approx(straight[0].param_groups[0]["lr"])
    fresh[1].load_state_dict(checkpoint["lr_schedulers"][0])
    stepped(*fresh, times=now // 2)
    assert fresh[1].last_epoch == now


def test_a_cycle_that_was_not_changed_goes_on_counting_its_own_steps():
    def cyclic():
        optimizer = optim.SGD(weights(), 0.1, 0.9)
        return optimizer, lr_scheduler.CyclicLR(optimizer, 0.1, 1.0, step_size_up=7)

    before = cyclic()
    stepped(*before, times=5)
    checkpoint = saved(*before, global_step=5, epochs=1)
    carry_over(checkpoint, *cyclic(), changed=(), same_optimizer=True, remaining=90)
    assert checkpoint["lr_schedulers"][0]["last_epoch"] == 5


def test_a_plateau_keeps_what_it_has_seen_and_takes_the_new_rate():
    optimizer = optim.SGD(weights(), 0.1, 0.9)
    scheduler = ReduceLROnPlateau(optimizer, patience=3)
    for loss in (1.0, 0.5, 0.6, 0.6):
        scheduler.step(loss)
    checkpoint = saved(optimizer, scheduler, global_step=40, epochs=3)
    fresh = optim.SGD(weights(), 1e-3, 0.9)
    carry_over(checkpoint, fresh, ReduceLROnPlateau(fresh, patience=7), {"lr", "scheduler"}, True)
    [plan] = checkpoint["lr_schedulers"]
    assert (plan["best"], plan["num_bad_epochs"], plan["patience"]) == (0.5, 2, 7)
    assert checkpoint["optimizer_states"][0]["param_groups"][0]["lr"] == 1e-3


def test_a_plateau_keeps_the_rate_that_it_came_to_where_no_other_is_asked_for():
    optimizer = optim.SGD(weights(), 0.1, 0.9)
    scheduler = ReduceLROnPlateau(optimizer, patience=0)
    for loss in (1.0, 2.0):
        scheduler.step(loss)
    checkpoint = saved(optimizer, scheduler, global_step=40, epochs=2)
    fresh = optim.SGD(weights(), 0.1, 0.9)
    carry_over(checkpoint, fresh, ReduceLROnPlateau(fresh, patience=7), {"scheduler"}, True)
    assert checkpoint["optimizer_states"][0]["param_groups"][0]["lr"] == pytest.approx(0.01)


def test_moments_that_lack_what_new_options_need_are_left_behind():
    optimizer = optim.Adam(weights(), 0.1)
    stepped(optimizer)
    checkpoint = saved(optimizer, global_step=4, epochs=3)
    fresh = optim.Adam(weights(), 0.1, amsgrad=True)
    carry_over(checkpoint, fresh, None, {"optimizer"}, True)
    assert checkpoint["optimizer_states"][0]["state"] == {}


@pytest.mark.parametrize("name", ["max_lr", "total_steps", "epochs"])
def test_one_cycle_is_not_told_what_the_training_tells_it(name):
    with pytest.raises(UserError, match=f"--model.scheduler.{name} 5: cannot be set. OneCycleLR"):
        check_schedule(partial(lr_scheduler.OneCycleLR, **{name: 5}))
