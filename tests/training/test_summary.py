import pytest

from tests.conftest import DIGITS, QUIET

# Of what is quiet, all but the last: the summary.
SHORT = (*DIGITS, *QUIET[:-2], "--trainer.limit_train_batches", "1")


@pytest.mark.parametrize(
    ("model", "rows", "sums"),
    [
        (
            "LeNet",
            {"c1": "Conv2d 156 235 K 1x32x32 6x28x28", "c5": "Linear 48.1 K 96.0 K 400 120"},
            "Parameters: 61.7 K (0.247 MB), 61.7 K of them trainable. FLOPs: 833 K.",
        ),
        (
            "LeNet5",
            {"c3": "TableConvolution 1.5 K 480 K 6x14x14 16x10x10", "output": "RBF 0 0 84 10"},
            "Parameters: 60.0 K (0.240 MB), 60.0 K of them trainable. FLOPs: 831 K.",
        ),
    ],
)
def test_a_layer_is_a_line_of_80_characters(lenet, monkeypatch, model, rows, sums):
    monkeypatch.setenv("COLUMNS", "80")
    lines = [line.rstrip() for line in lenet("fit", *SHORT, "--model", model).out.splitlines()]
    table = {cells[1]: cells for line in lines if (cells := line.split("│"))[1:]}
    found = {name.strip(): " ".join(map(str.strip, cells[2:-1])) for name, cells in table.items()}
    assert rows.items() <= found.items()
    assert sums in lines


def test_a_summary_of_ones_own_and_none_are_heeded(lenet):
    summary = "lightning.pytorch.callbacks.ModelSummary"
    for other in (f"--trainer.callbacks+={summary}", "--trainer.enable_model_summary=false"):
        done = lenet("fit", *SHORT, other)
        assert done.code == 0, done.err
        assert "Parameters: " not in done.out
