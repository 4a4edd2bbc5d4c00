"""The labels in somebody's table: in the cells of one column, or in a column for each."""

from collections import Counter
from collections.abc import Sequence

from lightning_tasks.data.tables.cells import as_number, normalize, stands_for_nothing
from lightning_tasks.data.tables.csv_table import shorten
from lightning_tasks.data.tables.formats.annotations import Annotations
from lightning_tasks.data.tables.formats.csv.column_guesses import ONE_HOT, filled, is_number_column
from lightning_tasks.data.tables.formats.csv.column_roles import Roles
from lightning_tasks.data.tables.formats.csv.text_table import TextTable
from lightning_tasks.data.tables.formats.reader import ReadOptions
from lightning_tasks.data.tables.label_cells import AUTO, WHOLE, looks_like_a_list, split_cell
from lightning_tasks.data.tables.label_separators import separator_note, separator_of_cells
from lightning_tasks.errors import TableError

_SEVERAL = 0.05  # of the images have several rows, where a row is a label

Labels = tuple[Sequence[str], Sequence[str]]  # that are there, and that are not known


class LabelCells:
    """A column whose cells hold labels, or one label each."""

    def __init__(
        self, table: TextTable, roles: Roles, names: Sequence[str], options: ReadOptions, annotations: Annotations
    ) -> None:
        """`names`: each row's image. Raises as `separator_of_cells`; TableError: a cell cannot be used."""
        assert roles.labels is not None
        self._table, self._annotations = table, annotations
        self._none = {normalize(word) for word in options.none}
        self.separator = WHOLE if roles.box else options.label_separator
        if self.separator == AUTO:
            self.separator = _separator(table, roles, names)
            if (note := separator_note(filled(table.column(roles.labels)), self.separator)) is not None:
                annotations.notes.append(note)
        self._labels = self._read(roles.labels)
        self._difficult = self._read(roles.difficult) if roles.difficult and not roles.box else None
        self._confidence = roles.confidence
        self._note_confidence(annotations)

    def _note_confidence(self, annotations: Annotations) -> None:
        name = self._confidence
        cells = filled(self._table.column(name)) if name else []
        unsure = sum(0 < (as_number(cell, self._table.decimal_comma) or 0) < 1 for cell in cells)
        if unsure:
            told = f"column {name!r}: {unsure:,} labels have a number between 0 and 1, and count as not known"
            annotations.notes.append(told)
        if unsure and unsure == len(self._labels):
            raise TableError(f"{self._table.path}: {told}: none is left. Write 1 or 0 instead, or drop the column.")

    def of_row(self, row: int) -> Sequence[str]:
        """Return the labels of a row."""
        return self._labels[row]

    def of_rows(self, rows: Sequence[int]) -> Labels:
        """Return the labels of an image's rows."""
        present: dict[str, None] = {}
        unknown: dict[str, None] = {}
        for row in rows:
            sure = 1.0
            if self._confidence:
                cell = self._table.rows[row][self._table.header.index(self._confidence)]
                sure = self._table.number(row, self._confidence, cell) if filled([cell]) else 1.0
            if sure > 0:
                (present if sure >= 1 else unknown).update(dict.fromkeys(self._labels[row]))
            else:
                self._annotations.left_out["labels that are said to be absent"] += len(self._labels[row])
            if self._difficult is not None:
                unknown.update(dict.fromkeys(self._difficult[row]))
        return tuple(present), tuple(label for label in unknown if label not in present)

    def _read(self, column: str) -> list[Sequence[str]]:
        cells = self._table.column(column)
        read: dict[str, Sequence[str]] = {}
        for row, cell in enumerate(cells):
            if cell not in read:
                try:
                    read[cell] = split_cell(cell, self.separator)
                except ValueError as error:
                    what = (
                        f"{self._table.where(row, column)}: {shorten(cell)!r} starts like a list and is none: {error}"
                    )
                    raise TableError(f'{what}. Write it as ["a", "b"].') from error
                self._check(read[cell], self._table.where(row, column))
        if is_number_column(self._table, column):  # pandas writes 1.0 where other cells are empty
            read = {cell: [label.removesuffix(".0") for label in labels] for cell, labels in read.items()}
        return [read[cell] for cell in cells]

    def _check(self, labels: Sequence[str], where: str) -> None:
        for label in labels:
            if stands_for_nothing(label) and label not in self._none:
                way_out = f"Where it says that the image has no label, say --none '{label}'."
                raise TableError(f"{where}: {label!r} stands for nothing. {way_out}")
        if (twice := next((label for label, n in Counter(labels).items() if n > 1), None)) is not None:
            raise TableError(f"{where}: the label {twice!r} stands twice. Keep one of them.")


def _separator(table: TextTable, roles: Roles, names: Sequence[str]) -> str:
    """Return what stands between labels: nothing where a row is a label; else as the cells tell."""
    assert roles.labels is not None
    rows_of = Counter(names)
    if sum(n > 1 for n in rows_of.values()) > _SEVERAL * len(rows_of):
        return WHOLE
    cells = Counter(cell.strip() for cell in filled(table.column(roles.labels)))
    plain = {cell: n for cell, n in cells.items() if not looks_like_a_list(cell)}
    return separator_of_cells(plain, f"{table.path}: column {roles.labels!r}")


class OneHotCells:
    """A column for each label: 1, 0, -1 or nothing."""

    def __init__(self, table: TextTable, roles: Roles, options: ReadOptions, annotations: Annotations) -> None:
        """Note in `annotations` what -1 and empty cells were taken for."""
        self._columns = [(table.header.index(name), name) for name in roles.one_hot]
        self._rows = table.rows
        cells = {cell for name in roles.one_hot for cell in set(table.column(name))}
        said = {ONE_HOT.get(cell.strip().lower()) for cell in cells}
        meaning = {1: 1, 0: 0, -1: -1, None: -1}
        n = f"{len(roles.one_hot):,} columns" if len(roles.one_hot) > 1 else f"the column {roles.one_hot[0]!r}"
        if options.minus_one == "absent" or (options.minus_one == "auto" and said == {1, -1}):
            meaning[-1] = 0
        if -1 in said:
            other = "absent" if meaning[-1] else "unknown"
            means = "unknown" if meaning[-1] else "absent"
            annotations.notes.append(f"-1 in {n} is taken for {means}; --minus_one {other} takes it for {other}")
        if None in said and not said & {0, -1}:
            meaning[None] = 0
            annotations.notes.append(f"an empty cell in {n} is taken for absent, as no cell says 0")
        elif None in said:
            annotations.notes.append(f"an empty cell in {n} is taken for unknown, as others say 0 or -1")
        annotations.vocab = tuple(roles.one_hot)
        self._of_cell = {cell: meaning[ONE_HOT.get(cell.strip().lower())] for cell in cells}

    def of_row(self, row: int) -> Labels:
        """Return the labels that a row says are there, and those of which it does not know."""
        cells = self._rows[row]
        found = [(name, self._of_cell[cells[position]]) for position, name in self._columns]
        return [name for name, says in found if says == 1], [name for name, says in found if says == -1]
