"""Listing the images of each part and class in a folder."""

import os
import unicodedata
from pathlib import Path

from lenet.errors import UserError

__all__ = ["SUFFIXES", "check_classes", "list_parts"]

SUFFIXES = (
    *(".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm"),
    *(".tif", ".tiff", ".webp"),
)
# Names of the folders of each part, in any case.
PARTS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
# The paths of a part's images by class, relative to the root.
Part = dict[str, list[str]]


def list_parts(root: Path) -> dict[str, Part]:
    """List the images of the folders ``train``, ``val`` and ``test`` that exist.

    Without ``train`` and ``test``, the folders of the root are classes and belong to ``train``.

    Raises:
        UserError: If there are no images.
    """
    if not root.is_dir():
        raise UserError(
            f"--data.root {root}: no such folder. Give a folder with one folder per class, or with "
            "folders train, val and test that have one folder per class."
        )
    parts = _find_parts(root)
    if any(_folders(parts[part]) for part in ("train", "test") if part in parts):
        listed = {part: _list_classes(root, folder) for part, folder in parts.items()}
    else:
        listed = {"train": _list_classes(root, root)}
        both = set(_folders(parts["val"])) & set(_folders(root)) if "val" in parts else None
        if both:
            raise UserError(
                f"--data.root {root}: has {_quoted(sorted(both))} both in the folder "
                f"{parts['val'].name} and next to it. Move those next to it into a folder train."
            )
    if not any(paths for part in listed.values() for paths in part.values()):
        raise UserError(
            f"--data.root {root}: no images found. Put them into one folder per class. Images are "
            f"files that end in {', '.join(SUFFIXES)}."
        )
    return listed


def _find_parts(root: Path) -> dict[str, Path]:
    """Find the folders that are named after a part."""
    parts: dict[str, Path] = {}
    for folder in sorted(_folders(root)):
        for part, names in PARTS.items():
            if folder.lower() in names:
                if part in parts and _folders(root / folder) and _folders(parts[part]):
                    raise UserError(
                        f"--data.root {root}: {parts[part].name} and {folder} both mean "
                        f"{part}. Merge them, or rename one."
                    )
                if part not in parts or not _folders(parts[part]):
                    parts[part] = root / folder
    return parts


def _list_classes(root: Path, folder: Path) -> Part:
    """List the images of each class, at any depth below its folder, in a fixed order."""
    part: Part = {}
    for name in _folders(folder):
        if os.fsencode(name).decode(errors="replace") != name:
            raise UserError(f"{folder}: the name of the folder {name!r} is not UTF-8. Rename it.")
        # An accented letter is one character on some systems and two on others.
        paths = part.setdefault(unicodedata.normalize("NFC", name), [])
        for place, _, files in os.walk(folder / name):
            for file in files:
                if file.lower().endswith(SUFFIXES) and not file.startswith("."):
                    paths.append(Path(place, file).relative_to(root).as_posix())
    return {name: sorted(part[name]) for name in sorted(part)}


def _folders(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return [e.name for e in os.scandir(folder) if e.is_dir() and not e.name.startswith((".", "__"))]


def check_classes(root: Path, parts: dict[str, Part], classes: tuple[str, ...]) -> None:
    """Refuse classes that cannot be trained, or were not.

    Raises:
        UserError: If there are fewer than two classes, a class has no training images, or a part
            has a class that was not trained on.
    """
    if "train" not in parts and not classes:
        raise UserError(
            f"--data.root {root}: has no folder train, so the classes are unknown. Give the "
            "--ckpt_path of a run that was trained on them, or --data.class_names."
        )
    if len(classes) < 2:
        classes_found = f"only one class, {classes[0]!r}," if classes else "no classes to train on,"
        way_out = _one_deeper(root, parts, classes[0]) if classes else ""
        raise UserError(
            f"--data.root {root}: has {classes_found} but at least two are needed. "
            f"{way_out or 'Each class is a folder.'}"
        )
    for part, by_class in parts.items():
        if not any(by_class.values()):
            raise UserError(
                f"--data.root {root}: the folder {part} has no images. Put some into one folder "
                "per class, or remove it."
            )
        strange = [name for name, paths in by_class.items() if paths and name not in classes]
        if strange:
            known = "--data.class_names or the checkpoint" if part == "train" else "training"
            raise UserError(
                f"{root}: {part} has {_quoted(strange)}, but {known} has {_quoted(classes)}."
            )
    empty = [name for name in classes if not parts["train"].get(name)] if "train" in parts else []
    if empty:
        raise UserError(
            f"{root}: no training images in {_quoted(empty)}. Add some, or remove the empty "
            "folders. To only test on these images, move all classes into a folder test."
        )


def _one_deeper(root: Path, parts: dict[str, Part], name: str) -> str:
    """Return what to do if the classes are one folder deeper, or an empty string."""
    paths = next((part[name] for part in parts.values() if part.get(name)), [])
    if not paths:
        return ""
    inside = Path(paths[0]).parts
    folder = root.joinpath(*inside[: inside.index(name) + 1]) if name in inside else root / name
    classes = sorted(_folders(folder))
    if len(classes) < 2 and not _find_parts(folder):
        return ""
    if folder.parent == root:
        return f"The classes are one folder deeper: use --data.root {folder}."
    return f"Move {_quoted(classes)} from {folder} to {folder.parent}."


def _quoted(names: list[str] | tuple[str, ...]) -> str:
    few = ", ".join(map(repr, names[:5]))
    what = "the class" if len(names) == 1 else f"the {len(names):,} classes"
    return f"{what} {few}" + (" and so on" if len(names) > 5 else "")
