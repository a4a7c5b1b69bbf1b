from copy import deepcopy
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn, optim
from torch.optim import lr_scheduler

from lenet.errors import UserError
from lenet.models.optimization import (
    ReduceLROnPlateau,
    best_mode,
    carry_over,
    check_schedule,
    schedule,
)


def weights() -> list[nn.Parameter]:
    return [nn.Parameter(torch.ones(2))]


def test_one_cycle_is_told_its_peak_and_its_steps_and_steps_every_batch():
    config = schedule(
        lr_scheduler.OneCycleLR, optim.SGD(weights(), 0.5, 0.9), lr=0.5, steps=lambda: 40
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
    config = schedule(factory, optim.SGD(weights(), 0.5), lr=0.5, steps=lambda: 40)
    assert config["interval"] == "epoch"
    assert config["scheduler"].step_size == 3


@pytest.mark.parametrize(
    ("monitor", "mode"), [("val/loss", "min"), ("val/accuracy", "max"), ("my/error", "min")]
)
def test_whether_more_is_better_follows_from_the_figures_name(monitor, mode):
    assert best_mode(monitor) == mode
    factory = partial(ReduceLROnPlateau, monitor=monitor)
    config = schedule(factory, optim.SGD(weights(), 0.5), lr=0.5, steps=lambda: 1)
    assert config["monitor"] == monitor
    assert config["scheduler"].mode == mode


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
    with pytest.raises(UserError, match=f"--model.scheduler.{name} 5: the peak of OneCycleLR"):
        check_schedule(partial(lr_scheduler.OneCycleLR, **{name: 5}))
