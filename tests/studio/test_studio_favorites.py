"""Favorites: names that are never paths, files of others that stay, and folders that studios share."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from styleganv.errors import StyleganvError
from styleganv.studio.favorites import MARK, MAX_NAME_BYTES, Favorites, check_name

PROJECT = "model: faces-64\nkeyframes:\n- content: 3\n"


def frames(count: int = 3) -> list[np.ndarray]:
    return [np.full((16, 16, 3), 40 * t, np.uint8) for t in range(count)]


@pytest.fixture
def favorites(tmp_path: Path) -> Favorites:
    return Favorites(tmp_path / "favorites")


def names(favorites: Favorites) -> list[str]:
    return [each["name"] for each in favorites.list()]


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_favorites_are_saved_listed_renamed_and_deleted(favorites: Favorites) -> None:
    assert favorites.list() == [] and not favorites.folder.exists()
    assert favorites.save(" Grüner Kopf 😀 ", PROJECT, frames(), 8) == "Grüner Kopf 😀"
    favorites.save("b", PROJECT, frames(), 8)
    assert [each["project"] for each in favorites.list()] == [PROJECT] * 2
    with Image.open(favorites.thumbnail("Grüner Kopf 😀")) as image:
        assert image.n_frames == 3
    assert favorites.rename("b", "B") == "B"  # only upper case
    assert favorites.rename("Grüner Kopf 😀", "a") == "a"
    assert names(Favorites(favorites.folder)) == ["a", "B"]
    favorites.delete("a")
    favorites.delete("b")  # however it is spelled
    assert names(favorites) == [] and visible(favorites.folder) == []


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", ".", "..", "../x", "a/b", "a\\b", ".hidden", "a.", "CON", "nul.x", "lpt1", "a\nb", "a\0", "a:b"),
        *("é" * 61, "\ud800", "a\u202eb", None, 7),
    ],
)
def test_bad_names_are_refused(favorites: Favorites, name: object) -> None:
    for act in (lambda: favorites.save(name, PROJECT, frames(), 8), lambda: favorites.delete(name)):
        with pytest.raises(StyleganvError, match=r": (change it|choose another name)"):
            act()
    assert not favorites.folder.exists() or visible(favorites.folder) == []


def test_names_are_composed_and_bounded() -> None:
    assert check_name("e\u0301") == "\u00e9" and check_name("a" * MAX_NAME_BYTES)


@pytest.mark.parametrize("other", ["KOPF", "kopf", "Kopf "])
def test_names_that_some_file_system_takes_for_one_are_refused(favorites: Favorites, other: str) -> None:
    favorites.save("Kopf", PROJECT, frames(), 8)
    favorites.save("x", PROJECT, frames(), 8)
    with pytest.raises(StyleganvError, match=r"Kopf already exists in favorites: choose another name"):
        favorites.save(other, PROJECT, frames(), 8)
    with pytest.raises(StyleganvError, match="Kopf already exists"):
        favorites.rename("x", other)
    assert names(favorites) == ["Kopf", "x"]


def test_files_of_others_are_neither_shown_nor_touched(favorites: Favorites, tmp_path: Path) -> None:
    favorites.save("mine", PROJECT, frames(), 8)
    folder, outside = favorites.folder, tmp_path / "outside.yaml"
    outside.write_text(f"{MARK}\n{PROJECT}")
    (folder / "project.yaml").write_text(PROJECT)  # a project without the mark
    (folder / "project.webp").write_bytes(b"x")
    (folder / "alone.yaml").write_text(f"{MARK}\n{PROJECT}")  # without a thumbnail
    (folder / "link.yaml").symlink_to(outside)
    (folder / "link.webp").symlink_to(outside)
    (folder / "dir.yaml").mkdir()
    before = visible(folder)
    assert names(favorites) == ["mine"]
    for name in ("project", "alone", "link", "dir"):
        for act in (favorites.delete, favorites.thumbnail, lambda name: favorites.rename(name, "new")):
            with pytest.raises(StyleganvError, match=f"No favorite is called {name}"):
                act(name)
        with pytest.raises(StyleganvError, match="already exists"):
            favorites.save(name, PROJECT, frames(), 8)
    assert visible(folder) == before and outside.exists()


def test_a_favorite_is_written_whole_or_not_at_all(favorites: Favorites, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StyleganvError, match="names a file in another folder"):
        favorites.save("a", "keyframes: [{content: ../x.safetensors}]", frames(), 8)
    with pytest.raises(StyleganvError, match="without frames"):
        favorites.save("a", PROJECT, [], 8)

    def fail(*_: object, **__: object) -> None:
        raise StyleganvError("disk full")

    monkeypatch.setattr("styleganv.studio.favorites.atomic_write", fail)
    with pytest.raises(StyleganvError, match="disk full"):
        favorites.save("a", PROJECT, frames(), 8)
    assert visible(favorites.folder) == []
