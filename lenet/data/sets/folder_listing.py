"""Which images lie in which class and part of a folder."""

import os
import unicodedata
from pathlib import Path

from lenet.errors import UserError

__all__ = ["SUFFIXES", "check_classes", "list_parts"]

SUFFIXES = (
    *(".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm"),
    *(".tif", ".tiff", ".webp"),
)
# Names of the folders of a part, in small or capital letters.
PARTS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
# The paths of a part's images by class, from the root on.
Part = dict[str, list[str]]


def list_parts(root: Path) -> dict[str, Part]:
    """List the images of ``train``, ``val`` and ``test``, as far as there are such folders.

    Without ``train`` and ``test`` the folders of the root are classes, and all are ``train``.

    Raises:
        UserError: If there is no image.
    """
    if not root.is_dir():
        raise UserError(
            f"--data.root {root}: no such folder. It is the one that has a folder for each class, "
            "or folders train, val and test that have."
        )
    parts = _find_parts(root)
    if any(_folders(parts[part]) for part in ("train", "test") if part in parts):
        listed = {part: _list_classes(root, folder) for part, folder in parts.items()}
    else:
        listed = {"train": _list_classes(root, root)}
        both = set(_folders(parts["val"])) & set(_folders(root)) if "val" in parts else None
        if both:
            raise UserError(
                f"--data.root {root}: has a folder {parts['val'].name} with "
                f"{_quoted(sorted(both))} in it, and the same beside it. Put those beside it into "
                "a folder train."
            )
    if not any(paths for part in listed.values() for paths in part.values()):
        raise UserError(
            f"--data.root {root}: no images in it, in a folder for each class. Images are files "
            f"that end with {', '.join(SUFFIXES)}."
        )
    return listed


def _find_parts(root: Path) -> dict[str, Path]:
    """Find the folders that are called as a part is."""
    parts: dict[str, Path] = {}
    for folder in sorted(_folders(root)):
        for part, names in PARTS.items():
            if folder.lower() in names:
                if part in parts and _folders(root / folder) and _folders(parts[part]):
                    raise UserError(
                        f"--data.root {root}: {parts[part].name} and {folder} both stand for "
                        f"{part}. Put their images together, or rename one."
                    )
                if part not in parts or not _folders(parts[part]):
                    parts[part] = root / folder
    return parts


def _list_classes(root: Path, folder: Path) -> Part:
    """List the images of each class, at any depth below its folder, in an order of their own."""
    part: Part = {}
    for name in _folders(folder):
        if os.fsencode(name).decode(errors="replace") != name:
            raise UserError(f"{folder}: the folder {name!r} has no name in UTF-8. Rename it.")
        # An accent is one character on one system and two on another.
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
    """Refuse classes that cannot be learned, or were not.

    Raises:
        UserError: If there are fewer than two, one has no image to train on, or a part has one
            that training has not.
    """
    if "train" not in parts and not classes:
        raise UserError(
            f"--data.root {root}: has no folder train, which says what classes there are. Give "
            "--ckpt_path of a training that knows them, or --data.class_names."
        )
    if len(classes) < 2:
        classes_found = f"one class only, {classes[0]!r}," if classes else "no classes to train on,"
        way_out = _one_deeper(root, parts, classes[0]) if classes else ""
        raise UserError(
            f"--data.root {root}: has {classes_found} where there must be two or more. "
            f"{way_out or 'Each is a folder.'}"
        )
    for part, by_class in parts.items():
        if not any(by_class.values()):
            raise UserError(
                f"--data.root {root}: {part} has no images in it, in a folder for each class. Add "
                "some, or remove the folder."
            )
        strange = [name for name, paths in by_class.items() if paths and name not in classes]
        if strange:
            known = "--data.class_names, or the checkpoint," if part == "train" else "training"
            raise UserError(
                f"{root}: {part} has {_quoted(strange)}, where {known} has {_quoted(classes)}."
            )
    empty = [name for name in classes if not parts["train"].get(name)] if "train" in parts else []
    if empty:
        raise UserError(
            f"{root}: no images to train on in {_quoted(empty)}. Add some, or remove it. To test "
            "on what is there, put the folders into one called test."
        )


def _one_deeper(root: Path, parts: dict[str, Part], name: str) -> str:
    """Say what to do if the classes lie in the only folder, or nothing."""
    paths = next((part[name] for part in parts.values() if part.get(name)), [])
    if not paths:
        return ""
    inside = Path(paths[0]).parts
    folder = root.joinpath(*inside[: inside.index(name) + 1]) if name in inside else root / name
    classes = sorted(_folders(folder))
    if len(classes) < 2 and not _find_parts(folder):
        return ""
    if folder.parent == root:
        return f"They are one folder deeper: give --data.root {folder}."
    return f"They are one folder deeper: move {_quoted(classes)} from {folder} to {folder.parent}."


def _quoted(names: list[str] | tuple[str, ...]) -> str:
    few = ", ".join(map(repr, names[:5]))
    what = "the class" if len(names) == 1 else f"the {len(names):,} classes"
    return f"{what} {few}" + (" and so on" if len(names) > 5 else "")
