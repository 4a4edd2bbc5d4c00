"""Which column of somebody's table says what: by what the user says, by its name, and by its cells."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from lightning_tasks.data.tables.cells import as_bool
from lightning_tasks.data.tables.csv_table import near_column, plain_name, quote
from lightning_tasks.data.tables.formats.csv.column_guesses import (
    LABELS,
    LONGEST_NAME,
    CountImages,
    fname_column,
    is_number_column,
    is_one_hot,
    labels_column,
    only_words,
)
from lightning_tasks.data.tables.formats.csv.text_table import TextTable
from lightning_tasks.data.tables.formats.image_names import split_of_folder
from lightning_tasks.data.tables.point_columns import VISIBILITY_SUFFIXES, coordinate_column
from lightning_tasks.errors import ConfigError, TableError

# As others call our columns, by `plain_name`; the first ones go first.
_GROUP = (
    *("group", "groupid", "patient", "patientid", "subject", "subjectid", "person", "personid", "identity"),
    *("participant", "participantid", "video", "videoid"),
)
_SPLIT = ("split", "subset", "partition", "set", "phase", "usage", "datasplit")
_IS_VALID = ("isvalid", "valid", "isval", "validation", "isvalidation")
_POINT = (
    *("point", "pointname", "pointid", "keypoint", "keypointname", "landmark", "landmarkname", "part", "partname"),
    *("bodypart", "joint", "jointname"),
)
_POINT_BY_ROWS = (*LABELS, "name")  # only where an image has several rows
_VISIBILITY = ("v", "visible", "visibility")
_CORNERS = (
    *(("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"), ("x0", "y0", "x1", "y1")),
    *(("left", "top", "right", "bottom"), ("bboxxmin", "bboxymin", "bboxxmax", "bboxymax")),
)
_SIZES = (
    *(("bboxx", "bboxy", "bboxwidth", "bboxheight"), ("bboxx", "bboxy", "bboxw", "bboxh"), ("x", "y", "w", "h")),
    *(("x1", "y1", "width", "height"), ("xmin", "ymin", "width", "height"), ("left", "top", "width", "height")),
    ("x", "y", "width", "height"),
)
_OF_ROWS = (
    *("", "id", "index", "idx", "row", "width", "height", "imagewidth", "imageheight", "imgwidth", "imgheight"),
    *("depth", "channels", "filesize", "classid", "labelid", "categoryid", "fold", "kfold"),
)
OURS = ("fname", "labels", "group", "split", "is_valid", "difficult", "point", "x", "y", "visibility")


@dataclass
class Roles:
    """Columns by what they say; each is in one place."""

    fname: str
    labels: str | None = None
    difficult: str | None = None
    confidence: str | None = None  # 1: the label is there; 0: it is not; between: not known
    group: str | None = None
    split: str | None = None
    is_valid: str | None = None
    box: tuple[str, ...] = ()  # four columns
    box_has_size: bool = False  # the last two are its width and height, and not a corner
    point: str | None = None  # points' names: one row a point
    points: dict[str, tuple[str, str, str | None]] = field(default_factory=dict)  # x, y, visibility; "": of `point`
    one_hot: list[str] = field(default_factory=list)  # a column a label
    numbers: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def renamed(self) -> dict[str, str]:
        """Return the columns that are not called as ours, by our names, as --columns would say them."""
        names = ("fname", "labels", "group", "split", "is_valid", "point")
        return {name: theirs for name in names if (theirs := getattr(self, name)) and theirs != name}


def find_roles(table: TextTable, said: Mapping[str, str], count_images: CountImages) -> Roles:
    """Return what the columns say.

    Args:
        table: the table.
        said: the table's own names for ours, by the user.
        count_images: of names, how many are those of images that are there.

    Raises:
        ConfigError: the user names a column that is not there, or one of ours that there is not.
        TableError: no column names images, or several would do; several may be the labels; a point has half a position.
    """
    _check_said(table, said)
    free = _Free(table, said)
    roles = Roles(said.get("fname") or free.drop(_fname_of(table, free.names, count_images)))
    roles.split = free.take("split", _SPLIT, lambda name: name == "split" or _all_say(table, name, split_of_folder))
    roles.is_valid = free.take(
        "is_valid",
        _IS_VALID,
        lambda name: name == "is_valid" or _all_say(table, name, lambda c: as_bool(c) is not None),
    )
    roles.group = free.take(
        "group",
        _GROUP,
        lambda name: name == "group" or (_all_say(table, name, str.strip) and not is_one_hot(table, name)),
    )
    roles.difficult = free.take("difficult", ("difficult",), lambda _: "labels" in table.header)
    _take_positions(table, roles, said, free)
    if "labels" in said or not roles.point:
        roles.labels = said.get("labels") or labels_column(table, free.names, bool(roles.box))
        free.drop(roles.labels)
    if roles.labels and not roles.box:
        roles.confidence = free.take("confidence", ("confidence",), lambda name: is_number_column(table, name))
    if not (roles.labels or roles.box or roles.point):
        roles.one_hot = [name for name in free.names if not _is_of_rows(name) and is_one_hot(table, name)]
    rest = [name for name in free.names if name and name not in roles.one_hot]
    roles.numbers = [name for name in rest if _may_be_number(name) and is_number_column(table, name)]
    if len(roles.one_hot) == 1 and roles.numbers and is_number_column(table, roles.one_hot[0]):
        mixed = (*roles.one_hot, *roles.numbers)  # one column of 0 and 1 beside other numbers is a number, too
        roles.one_hot, roles.numbers = [], [name for name in table.header if name in mixed]
    if not (roles.labels or roles.one_hot or roles.points or roles.numbers):
        roles.labels = only_words(table, rest)
    roles.unread = [name for name in rest if name not in (*roles.numbers, roles.labels)]
    return roles


class _Free:
    """The columns that nobody has taken yet."""

    def __init__(self, table: TextTable, said: Mapping[str, str]) -> None:
        self.names = [name for name in table.header if name not in said.values()]
        self._said = said

    def drop(self, *names: str | None) -> str:
        """Take columns; return the first one."""
        self.names = [name for name in self.names if name not in names]
        return names[0] or ""

    def take(self, ours: str, theirs: Sequence[str], fits: Callable[[str], bool]) -> str | None:
        """Take the column that the user says, or the first one that is called so and fits; None: there is none."""
        for wanted in () if ours in self._said else theirs:
            for name in self.names:
                if plain_name(name) == wanted and fits(name):
                    return self.drop(name)
        return self._said.get(ours)


def _check_said(table: TextTable, said: Mapping[str, str]) -> None:
    for ours, theirs in said.items():
        if ours not in OURS:
            raise ConfigError(f"--columns: {ours!r} is none of ours, which are {', '.join(OURS)}.")
        if theirs not in table.header:
            near = near_column(theirs, table.header)
            way_out = f"Is it {near!r}?" if near else f"It has {quote(table.header)}."
            raise ConfigError(f"{table.path}: --columns names {theirs!r}, which is no column of it. {way_out}")


def _fname_of(table: TextTable, free: Sequence[str], count_images: CountImages) -> str:
    try:
        found = fname_column(free, table.column, count_images)
    except TableError as error:
        raise TableError(f"{table.path}: {error}") from None
    if found is None:
        if pixels := next((name for name in free if _holds_pixels(table, name)), None):
            what = f"{table.path}: no column names image files; {pixels!r} holds the pixels, which are not read"
            raise TableError(f"{what}. Write each row's image to a file, and the file's name in a column fname.")
        raise TableError(
            f"{table.path}: no column names image files; it has {quote(table.header)}. Say which does, as in "
            f"--columns 'fname={next(iter(free), 'NAME')}', and with --images where these are."
        )
    return found


def _take_positions(table: TextTable, roles: Roles, said: Mapping[str, str], free: _Free) -> None:
    """Take the columns of boxes, of one row a point, or of points side by side."""
    plain = {plain_name(name): name for name in reversed(free.names)}
    named = "point" in said or ({"x", "y"} <= set(plain) and not plain.keys().isdisjoint(_POINT))
    marks = [name for name in free.names if is_one_hot(table, name)]  # such as labels that are called left and right
    for columns in () if named else (*_CORNERS, *_SIZES):
        if set(columns) <= set(plain) and not {plain[column] for column in columns} <= set(marks):
            roles.box, roles.box_has_size = tuple(plain[column] for column in columns), columns in _SIZES
            free.drop(*roles.box)
            return
    x, y = said.get("x") or plain.get("x"), said.get("y") or plain.get("y")
    if x and y and not ({x, y} <= set(marks) and len(marks) > len((x, y))):
        free.drop(x, y)
        names = table.column(roles.fname)
        by_rows = _POINT_BY_ROWS if len(set(names)) < len(names) else ()
        roles.point = free.take("point", (*_POINT, *by_rows), lambda name: True)
        roles.points = {"" if roles.point else "point": (x, y, free.take("visibility", _VISIBILITY, lambda name: True))}
        return
    axes: dict[str, str] = {}
    for name in free.names:
        if (coordinate := coordinate_column(name)) is not None:
            axes.setdefault(coordinate, name)
    for point in dict.fromkeys(coordinate[:-2] for coordinate in axes):
        if f"{point}_x" in axes and f"{point}_y" in axes:
            endings = tuple(f"{point}{suffix}" for suffix in VISIBILITY_SUFFIXES)
            v = free.take("", tuple(map(plain_name, endings)), lambda name: True)
            roles.points[point] = (free.drop(axes[f"{point}_x"]), free.drop(axes[f"{point}_y"]), v)
    for name in free.names:
        if name.endswith(("_x", "_y")) and name in axes.values():
            other = f"{name[:-1]}{'y' if name.endswith('x') else 'x'}"
            raise TableError(
                f"{table.path}: the point {name[:-2]!r} has no column {other!r}. Add it, or drop {name!r}."
            )


def _may_be_number(name: str) -> bool:
    return not _is_of_rows(name) and not coordinate_column(name)


def _holds_pixels(table: TextTable, name: str) -> bool:
    cell = table.column(name)[0]
    return len(cell) > LONGEST_NAME and all(map(str.isdigit, cell.replace(",", " ").split()))


def _is_of_rows(name: str) -> bool:
    """Return whether a column seems to count rows, or to say how large images are."""
    return plain_name(name) in _OF_ROWS or plain_name(name).startswith("unnamed")


def _all_say(table: TextTable, name: str, read: Callable[[str], object]) -> bool:
    return all(map(read, {cell.strip() for cell in table.column(name)}))
