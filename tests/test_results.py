"""What results are of: the checkpoint, the data and the images; those of other data go beside."""

import json
import shutil
from pathlib import Path

import pytest

from lenet import EMNIST, ImageFolder
from lenet.__main__ import main
from lenet.data.selection import describe, folder_name, is_same
from tests.conftest import DIGITS, QUIET, SILENT, TINY
from tests.small import write_folder

RUN = Path("runs/LeNet-Digits-1")


def found(folder: Path, name: str = "test.json") -> dict:
    return json.loads((folder / name).read_text(encoding="utf-8"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Make a run that has all results on its own data."""
    root = tmp_path_factory.mktemp("runs")
    pictures = ["--pictures.filters", "false", "--pictures.features", "false", *SILENT]
    short = ["--trainer.limit_train_batches", "2", "--trainer.default_root_dir", str(root)]
    main(["run", *DIGITS, *pictures, *short])
    return root / RUN.name


@pytest.fixture
def run(made) -> Path:
    return shutil.copytree(made, RUN)


def test_results_on_other_data_go_beside_the_runs(lenet, run, small):
    small("MNIST")
    before = contents(run)
    images = {"validate": 10, "test": 30, "predict": 30}
    for verb in images:
        done = lenet(verb, "--data", "MNIST", *SILENT)
        assert done.code == 0, done.err
        assert str(run / "MNIST") in done.err
    assert {path: content for path, content in contents(run).items() if path in before} == before
    beside = {path.name for path in (run / "MNIST").iterdir()}
    names = {path.name for path in run.iterdir()} - {"checkpoints", "MNIST"}
    assert beside == {name for name in names if name.startswith(("validate", "test", "predict"))}
    for verb, count in images.items():
        said = found(run / "MNIST", "predictions.json" if verb == "predict" else f"{verb}.json")
        assert (said["data"], said["images"]) == ("MNIST", count)
        assert Path(said["checkpoint"]) == (run / "checkpoints" / "best.ckpt").absolute()


def test_results_on_the_runs_own_data_keep_their_place(lenet, run):
    before = {**found(run), "checkpoint": str((run / "checkpoints" / "best.ckpt").absolute())}
    (run / "test.json").unlink()
    done = lenet("test", "--data", "Digits", "--data.batch_size", "7", *SILENT)
    assert done.code == 0, done.err
    assert found(run) == pytest.approx(before)
    assert (before["data"], before["images"]) == ("Digits", 360)


def test_results_on_some_of_the_images_say_how_many(lenet, run):
    limit = ["--data.batch_size", "5", "--trainer.limit_test_batches", "2"]
    assert lenet("test", *limit, *QUIET).code == 0
    assert found(run)["images"] == 40  # four times the batch size, twice


def test_another_split_of_the_images_is_validated_beside(lenet, trained):
    assert lenet("validate", *QUIET).code == 0
    before = contents(RUN)
    assert lenet("validate", "--data.split_seed", "1", *QUIET).code == 0
    assert contents(RUN).items() > before.items()
    assert found(RUN / "Digits-split_seed-1", "validate.json")["data"] == "Digits(split_seed=1)"


def test_folders_of_images_are_told_apart_by_where_they_are(lenet, tmp_path):
    roots = [tmp_path / name / "photos" for name in ("own", "a", "b")]
    for root in roots:
        write_folder(root)
    own = ["--data", "ImageFolder", "--data.root"]
    assert lenet("fit", *TINY, *own, roots[0]).code == 0
    run = Path("runs/LeNet-ImageFolder-1")
    for root in roots:
        done = lenet("test", *own, root, *QUIET)
        assert done.code == 0, done.err
    said = [found(file.parent)["data"] for file in run.rglob("test.json")]
    assert sorted(said) == sorted(f"ImageFolder(root={str(root)!r})" for root in roots)
    assert found(run)["data"] == f"ImageFolder(root={str(roots[0])!r})"


def test_nothing_is_left_where_an_evaluation_on_other_data_fails(lenet, trained, tmp_path):
    before = contents(RUN)
    (tmp_path / "file").touch()
    done = lenet("test", "--data", "MNIST", "--data.root", tmp_path / "file", *QUIET)
    assert done.code == 2
    assert contents(RUN) == before
    assert not (RUN / "MNIST").exists()


def test_data_is_named_by_what_selects_its_images(tmp_path):
    assert describe(EMNIST()) == folder_name(EMNIST()) == "EMNIST"
    letters = EMNIST(split="letters", batch_size=3, root=str(tmp_path), rotation=5)
    assert describe(letters) == "EMNIST(split='letters')"
    assert folder_name(letters) == "EMNIST-letters"
    assert describe(letters, validates=True) == "EMNIST(split='letters')"
    saved = {"_class_path": "lenet.EMNIST", **EMNIST().hparams}
    assert is_same(EMNIST(batch_size=3, root="elsewhere"), saved)
    assert not is_same(letters, saved)
    assert is_same(EMNIST(val_size=5), saved)
    assert not is_same(EMNIST(val_size=5), saved, validates=True)
    assert is_same(EMNIST(val_size=EMNIST().usual_val_size), saved, validates=True)
    write_folder(tmp_path / "mine")
    mine = ImageFolder(root=str(tmp_path / "mine"), in_memory=False)
    assert folder_name(mine).startswith("ImageFolder-mine-")
