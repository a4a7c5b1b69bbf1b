"""What a run leaves to look at, and when it does not."""

import csv
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader, TensorDataset

import lenet as package
from lenet.errors import UserError
from lenet.pictures import Pictures
from lenet.pictures.album import Album, best_weights
from tests.conftest import DIGITS, QUIET, SILENT

RUN = Path("runs/LeNet-Digits-1")
OF_FIT = {"curves.png", "filters.png", "features.png"}
OF_TEST = {"test_confusion.png", "test_mistakes.png", "test_classes.csv"}
OF_VALIDATE = {name.replace("test", "validate") for name in OF_TEST}
BRIEF = [*DIGITS, *SILENT, "--trainer.limit_train_batches", "2"]


def pictures(run: Path = RUN) -> set[str]:
    names = {path.name for path in run.iterdir() if path.suffix in (".png", ".csv")}
    assert not list(run.glob("*.part"))
    return names - {"predictions.png", "predictions.csv", "metrics.csv"}


def images_in_tensorboard(run: Path = RUN) -> set[str]:
    board = EventAccumulator(str(run), size_guidance={"images": 0}).Reload()
    return {tag.removeprefix("pictures/") + ".png" for tag in board.Tags()["images"]}


def assert_whole(run: Path) -> None:
    """Read every picture, each of which is in TensorBoard too."""
    for name in pictures(run):
        if name.endswith(".png"):
            with Image.open(run / name) as image:
                image.load()
                assert min(image.size) > 150
    assert images_in_tensorboard(run) == {name for name in pictures(run) if name.endswith("png")}


def test_a_run_leaves_every_picture_also_in_tensorboard(lenet):
    done = lenet("run", *BRIEF)
    assert done.code == 0, done.err
    assert pictures() == OF_FIT | OF_TEST | OF_VALIDATE
    assert_whole(RUN)
    assert f"Pictures in {RUN}:\n  curves.png, filters.png, features.png\n" in done.out
    assert "  test_confusion.png, test_mistakes.png, test_classes.csv\n" in done.out


@pytest.mark.parametrize("model", ["LeNet5", "MLP", "ConvNet", "TorchvisionModel"])
def test_of_any_model_filters_features_and_mistakes_are_drawn(lenet, model):
    few = ["--pictures.curves", "false", "--pictures.confusion", "false"]
    if model == "TorchvisionModel":
        few += ["--model.name", "shufflenet_v2_x0_5"]  # whose checkpoints are not 130 MB each
    for verb in ("fit", "test"):
        done = lenet(verb, *BRIEF, "--model", model, *few)
        assert done.code == 0, done.err
    run = Path(f"runs/{model}-Digits-1")
    assert pictures(run) == (OF_FIT | OF_TEST) - {"curves.png", "test_confusion.png"}
    assert_whole(run)


@pytest.mark.parametrize("data", ["CIFAR100", "EMNIST", "ImageFolder"])
def test_colors_many_classes_and_files_on_disk_are_drawn(lenet, small, data):
    root = small(data)
    args = ["--data.root", str(root), "--data.in_memory", "false", "--data.num_workers", "0"]
    args = [*("--data", data), *(args if data == "ImageFolder" else [])]
    for verb in ("fit", "test", "predict"):
        done = lenet(verb, *BRIEF, *args, "--pictures.curves", "false")
        assert done.code == 0, done.err
    run = Path(f"runs/LeNet-{data}-1")
    assert pictures(run) == (OF_FIT | OF_TEST) - {"curves.png"}
    assert (run / "predictions.png").is_file()


def test_a_later_test_adds_to_the_runs_tensorboard(lenet):
    assert lenet("fit", *BRIEF).code == 0
    assert images_in_tensorboard() == OF_FIT
    assert pictures() == OF_FIT
    assert lenet("test", *SILENT).code == 0
    assert pictures() == OF_FIT | OF_TEST
    assert images_in_tensorboard() == OF_FIT | {"test_confusion.png", "test_mistakes.png"}


def test_the_classes_of_a_test_are_those_of_its_predictions(lenet):
    assert lenet("run", *BRIEF, *QUIET, "--pictures.classes", "true").code == 0
    with (RUN / "predictions.csv").open(newline="") as file:
        predictions = [(row["label"], row["prediction"]) for row in csv.DictReader(file)]
    with (RUN / "test_classes.csv").open(newline="") as file:
        rows = {row["class"]: row for row in csv.DictReader(file)}
    assert list(rows) == list("0123456789")
    for name, row in rows.items():
        labelled = [guess for label, guess in predictions if label == name]
        predicted = [label for label, guess in predictions if guess == name]
        assert int(row["support"]) == len(labelled)
        assert float(row["recall"]) == pytest.approx(labelled.count(name) / len(labelled), abs=1e-6)
        if predicted:
            precision = predicted.count(name) / len(predicted)
            assert float(row["precision"]) == pytest.approx(precision, abs=1e-6)
        else:
            assert row["precision"] == ""


def test_the_mistakes_are_the_most_confident_ones_of_the_table(lenet, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "lenet.pictures.callback.draw_mistakes", lambda path, _, found, *rest: drawn.append(found)
    )
    assert lenet("run", *BRIEF, *QUIET, "--pictures.num_mistakes", "7").code == 0
    with (RUN / "predictions.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["label"] != row["prediction"]]
    rows.sort(key=lambda row: -float(row["confidence"]))
    _, of_test = drawn
    assert len(of_test) == 7
    for (confidence, index, label, guess), row in zip(of_test, rows, strict=False):
        assert confidence == pytest.approx(float(row["confidence"]), abs=2e-6)
        assert [str(index), str(label), str(guess)] == [
            row[name] for name in ("index", "label", "prediction")
        ]


def test_each_picture_can_be_switched_off(lenet):
    for run, name in enumerate(("curves", "filters", "features"), start=1):
        assert lenet("fit", *BRIEF, f"--pictures.{name}", "false").code == 0
        assert pictures(Path(f"runs/LeNet-Digits-{run}")) == OF_FIT - {f"{name}.png"}
    Path("no-table.yaml").write_text("pictures: {classes: false}")
    before = pictures(Path("runs/LeNet-Digits-3"))
    for option, name in (
        ("--pictures.confusion=false", "test_confusion.png"),
        ("--pictures.num_mistakes=0", "test_mistakes.png"),
        ("--config=no-table.yaml", "test_classes.csv"),
    ):
        assert lenet("test", *SILENT, option).code == 0
        assert pictures(Path("runs/LeNet-Digits-3")) - before == OF_TEST - {name}
        for made in OF_TEST - {name}:
            Path("runs/LeNet-Digits-3", made).unlink()


@pytest.mark.parametrize(
    ("args", "left"),
    [
        (["--trainer.logger", "false"], OF_FIT - {"curves.png"}),
        (["--trainer.limit_val_batches", "0"], OF_FIT),
        (["--trainer.enable_checkpointing", "false"], OF_FIT),
        (["--trainer.limit_val_batches", "1"], OF_FIT),
        (["--trainer.max_steps", "1"], OF_FIT),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_a_training_lacks_its_pictures_do_without(lenet, args, left):
    done = lenet("fit", *BRIEF, *args)
    assert done.code == 0, done.err
    assert pictures() == left
    assert images_in_tensorboard() == (set() if "logger" in args[0] else left)


def test_barebones_leaves_no_picture(lenet):
    assert lenet("fit", *DIGITS, "--trainer.barebones", "true").code == 0
    assert pictures() == set()


def test_a_training_that_is_stopped_by_hand_has_its_pictures(lenet, monkeypatch):
    def stop(model):
        if model.current_epoch == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr("lenet.LeNet.on_validation_epoch_start", stop)
    assert lenet("fit", *BRIEF, "--trainer.max_epochs", "9").code == 130
    assert pictures() == OF_FIT


def test_where_there_is_nothing_to_see_no_older_picture_is_left(tmp_path):
    (tmp_path / "a.png").touch()
    Album(str(tmp_path)).add("a.png", lambda path: None)
    assert not (tmp_path / "a.png").exists()


MINE = """
from lenet import LeNet


class Mine(LeNet):
    '''A model whose steps give nothing.'''

    def test_step(self, batch, batch_idx):
        super().test_step(batch, batch_idx)
"""


def test_a_step_of_ones_own_that_gives_no_logits_is_no_error(lenet):
    Path("mine.py").write_text(MINE)
    done = lenet("run", *BRIEF, "--model", "mine.Mine")
    assert done.code == 0, done.err
    assert pictures(Path("runs/Mine-Digits-1")) == OF_FIT | OF_VALIDATE


class PlainDigits(package.Digits):
    """Digits whose batches have no indices."""

    def test_dataloader(self) -> DataLoader:
        test = self.sets["test"]
        return DataLoader(TensorDataset(test.images, test.labels), batch_size=100)


def test_batches_without_indices_have_a_confusion_matrix_and_no_mistakes(tmp_path):
    trainer = package.Trainer(
        logger=False,
        accelerator="cpu",
        enable_progress_bar=False,
        callbacks=[Pictures()],
        default_root_dir=tmp_path,
    )
    trainer.test(package.LeNet(), datamodule=PlainDigits())
    assert pictures(tmp_path) == {"test_confusion.png", "test_classes.csv"}


def test_best_weights_are_lent_and_taken_back(trained):
    model, trainer = package.LeNet(), package.Trainer(logger=False, accelerator="cpu")
    before = model.network.c1.weight.detach().clone()
    with best_weights(trainer, model) as said:
        assert said == ("weights of the last epoch", None)
    best = package.load(RUN)
    kept = SimpleNamespace(best_model_path=str(RUN / "checkpoints" / "best.ckpt"))
    with best_weights(SimpleNamespace(best=kept), model) as said:
        assert said == ("best weights (epoch 0)", 0)
        assert model.network.c1.weight.equal(best.network.c1.weight)
    assert model.network.c1.weight.equal(before)


def test_a_picture_that_cannot_be_drawn_is_named_and_left_out(tmp_path):
    def fail(path):
        raise RuntimeError("no paint")

    (tmp_path / "a.png").touch()
    album = Album(str(tmp_path))
    with pytest.warns(UserWarning, match="a.png could not be drawn: RuntimeError: no paint"):
        album.add("a.png", fail)
    assert not album.paths
    assert not (tmp_path / "a.png").exists()


def test_less_than_no_mistakes_is_refused():
    with pytest.raises(UserError, match=r"num_mistakes -1: must be at least 0"):
        Pictures(num_mistakes=-1)
