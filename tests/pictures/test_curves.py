import csv
from pathlib import Path

import pytest

from lenet.pictures import curves
from lenet.pictures.curves import draw_curves, read_curves
from tests.conftest import TINY

RUN = Path("runs/LeNet-Digits-1")
BRIEF = [*TINY, "--pictures.curves", "true", "--trainer.limit_train_batches", "2"]


@pytest.fixture
def drawn(monkeypatch) -> list:
    """Keep the lines of what is drawn: by the title of its axes and its label."""
    kept, draw = [], curves.draw

    def keep(path, size, picture):
        def both(figure):
            picture(figure)
            lines = {
                (axis.get_title().split()[0].lower(), line.get_label()): line.get_xydata().tolist()
                for axis in figure.axes
                for line in axis.get_lines()
            }
            kept.append((figure, lines))

        return draw(path, size, both)

    monkeypatch.setattr(curves, "draw", keep)
    return kept


def rows() -> list[dict[str, str]]:
    with (RUN / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_curves_are_the_figures_of_metrics_csv_also_after_going_on(lenet, drawn):
    assert lenet("fit", *BRIEF, "--trainer.max_epochs", "2").code == 0
    done = lenet("fit", "--ckpt_path", "last", "--trainer.max_epochs", "4")
    assert done.code == 0, done.err
    found = rows()
    assert [row["epoch"] for row in found] == ["0", "1", "2", "3"]
    lines = drawn[-1][1]
    for label, stage in (("training", "train"), ("validation", "val")):
        for figure in ("loss", "accuracy"):
            expected = [[int(row["epoch"]), float(row[f"{stage}/{figure}"])] for row in found]
            assert lines[figure, label] == expected
    best = min(found, key=lambda row: float(row["val/loss"]))["epoch"]
    assert [x for x, _ in lines["loss", f"best weights (epoch {best})"]] == [int(best)] * 2


def test_a_training_without_validation_has_its_own_curves(lenet, drawn):
    assert lenet("fit", *BRIEF, "--trainer.limit_val_batches", "0").code == 0
    assert set(drawn[-1][1]) == {("loss", "training"), ("accuracy", "training")}


def test_half_empty_rows_and_other_figures_are_left_out(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,lr,train/loss,val/loss\n0,9,0.1,0.5,\n1,19,0.1,0.25,0.75\n")
    assert read_curves(path) == {"train/loss": [(0, 0.5), (1, 0.25)], "val/loss": [(1, 0.75)]}


@pytest.mark.parametrize(
    ("values", "scale"), [([1.0, 0.01], "log"), ([1.0, 0.5], "linear"), ([1.0, -5.0], "linear")]
)
def test_only_a_loss_that_falls_far_is_drawn_by_its_logarithm(tmp_path, drawn, values, scale):
    draw_curves(tmp_path / "c.png", {"train/loss": list(enumerate(values))}, "title", None)
    assert drawn[0][0].axes[0].get_yscale() == scale
