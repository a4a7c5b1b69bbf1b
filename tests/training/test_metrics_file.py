import csv

import numpy as np
import pytest
from lightning.fabric.utilities.rank_zero import rank_zero_only

from lenet.errors import UserError
from lenet.training import MetricsFile
from lenet.training.results import print_metrics


def rows(path):
    with (path / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def log(path, *epochs):
    logger = MetricsFile(path)
    for epoch in epochs:
        logger.log_metrics({"val/loss": 1 / (epoch + 1), "epoch": epoch}, step=10 * epoch + 9)
        logger.log_metrics({"lr": 0.001, "epoch": epoch}, step=10 * epoch + 9)
        logger.save()
    return logger


def test_the_figures_of_an_epoch_are_one_row(tmp_path):
    log(tmp_path, 0, 1)
    found = rows(tmp_path)
    assert [row["epoch"] for row in found] == ["0", "1"]
    assert found[1] == {"epoch": "1", "step": "19", "lr": "0.001", "val/loss": "0.5"}


def test_a_figure_is_written_to_its_last_bit(tmp_path):
    value = float(np.float32(0.1) * np.float32(3))
    logger = MetricsFile(tmp_path)
    logger.log_metrics({"train/loss": value, "epoch": 0}, step=1)
    logger.save()
    assert np.float32(rows(tmp_path)[0]["train/loss"]) == np.float32(value)


def test_a_resumed_training_goes_on_and_drops_what_it_trains_again(tmp_path):
    log(tmp_path, 0, 1, 2)
    log(tmp_path, 1)
    assert [row["epoch"] for row in rows(tmp_path)] == ["0", "1"]
    log(tmp_path, 2)
    assert [row["epoch"] for row in rows(tmp_path)] == ["0", "1", "2"]


def test_nothing_is_written_after_the_training_is_over(tmp_path):
    logger = log(tmp_path, 0)
    logger.finalize("success")
    logger.log_metrics({"val/loss": 9.0, "epoch": 1}, step=20)
    logger.save()
    assert len(rows(tmp_path)) == 1


@pytest.mark.parametrize(
    "text",
    [
        b"epoch,\xff\n0,1\n",
        "epoch,a\n²,1\n".encode(),
        b"epoch,a\n0,1,2\n",
        b"epoch,a\n0\n",
        b"a\n1\n",
    ],
)
def test_a_table_that_is_none_is_refused_before_a_training(tmp_path, text):
    (tmp_path / "metrics.csv").write_bytes(text)
    with pytest.raises(UserError, match=r"metrics\.csv: not a valid table of epochs .*Repair"):
        MetricsFile(tmp_path)


def test_an_evaluation_shows_four_digits_once_and_only_when_asked(capsys, monkeypatch):
    found = [{"test/loss": 0.0321965590119, "test/accuracy": 0.9929999709}]
    assert print_metrics(found) is found
    assert capsys.readouterr().out == "test/loss: 0.0322\ntest/accuracy: 0.9930\n"
    print_metrics(found, verbose=False)
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    print_metrics(found)
    assert capsys.readouterr().out == ""
