"""What a YOLO-pose data set's data.yaml says of its points."""

from collections.abc import Sequence

from lightning_tasks.data.tables.formats.yolo.layout import Layout
from lightning_tasks.errors import TableError


def point_layout(layout: Layout) -> tuple[int, int] | None:
    """Return how many points an object has and how many numbers each, as kpt_shape says; None: it does not."""
    shape = layout.settings.get("kpt_shape")
    if shape is None:
        return None
    try:
        n, dims = (int(part) for part in (shape if isinstance(shape, list) else ()))
    except (ValueError, TypeError):
        n, dims = 0, 0
    if n < 1 or dims not in (2, 3):
        raise TableError(f"{layout.path}: kpt_shape is {shape}. Write [number of points, 2 or 3].")
    return n, dims


def point_names(layout: Layout, n: int) -> tuple[tuple[str, ...], str]:
    """Return the points' names, and a note where they are none of the file's: p0, p1, ...

    Raises:
        TableError: kpt_names are not as many as the points, or some are alike.
    """
    given = layout.settings.get("kpt_names")
    lists = list(given.values()) if isinstance(given, dict) else given if isinstance(given, list) else []
    if lists and all(isinstance(name, str) for name in lists):
        lists = [lists]
    if not lists or any(names != lists[0] for names in lists):
        called = tuple(f"p{i:0{len(str(n - 1))}}" for i in range(n))
        why = "are not the same for all classes" if lists else "may say other names"
        return called, f"the points are called {called[0]} to {called[-1]}: kpt_names in {layout.path} {why}"
    names = lists[0]
    if not isinstance(names, list) or len(names) != n or len(set(map(str, names))) != n:
        raise TableError(f"{layout.path}: kpt_names is {names}, and kpt_shape says {n} points. Name each once.")
    return tuple(map(str, names)), ""


def swap_pairs(layout: Layout, names: Sequence[str]) -> list[list[str]] | None:
    """Return the points that change places in a mirrored image, as flip_idx says; None: it does not."""
    given = layout.settings.get("flip_idx")
    if not given:
        return None
    try:
        flip = [int(i) for i in (given if isinstance(given, list) else ())]
    except (ValueError, TypeError):
        flip = []
    n = len(names)
    if sorted(flip) != list(range(n)) or any(flip[flip[i]] != i for i in range(n)):
        raise TableError(f"{layout.path}: flip_idx is {given}. Write for each of the {n} points its mirror image.")
    return [[names[i], names[flip[i]]] for i in range(n) if i < flip[i]]
