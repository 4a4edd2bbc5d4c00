"""Units of rows dealt out such that each side of a split gets its share of every class: iterative stratification.

Source: Sechidis, Tsoumakas, Vlahavas, "On the Stratification of Multi-Label Data", ECML PKDD 2011, algorithm 1: the
rarest class first, each of its units to the side that needs it most. Four things are added to it. No side gets more
rows than it wants. The last unit of a class goes where it is missed: training has each class, and validation each that
two units have, where there is room. Units so large that few of them make a side come first, each judged by all of its
classes at once, as the rarest one alone would decide for all. And at the end units change places that differ in one
class alone: the commonest one, whose turn comes last, has to take the room that is left.
"""

import math
from collections.abc import Sequence
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

Strata = NDArray[np.int64]  # (K, 2): a row, and a class that it has; each pair stands once
Units = NDArray[np.int64]

TRAINING = 0  # the side that validates in no run
_UNPLACED = -1
_NOWHERE, _SEVERAL = -1, -2  # in place of the one side that has a class
_FEW = 50  # a unit of which fewer would fill a side is large


def stratify(sizes: Units, strata: Strata, wanted: Sequence[int], seed: int) -> Units:
    """Return the side of each unit (U,): `TRAINING`, or 1 and more, each of which validates in a run of its own.

    Each class is on the training side of every run: one that a single unit has lies in `TRAINING`.

    Args:
        sizes: (U,) rows of each unit.
        strata: (K, 2), a unit and a class that one of its rows has.
        wanted: (S,) rows that each side is to have; `TRAINING`'s come first.
        seed: of the order of units and sides, which decides where nothing else does.
    """
    deal = _Deal(sizes, strata, wanted, np.random.default_rng(seed))
    deal.place_large()
    while deal.left.any():
        deal.place_rarest()
    deal.place_rest()
    deal.exchange()
    return deal.side


def find_alone(strata: Strata) -> Units:
    """Return the units that are alone with one of their classes; `strata` as of `stratify`."""
    pairs = np.unique(strata, axis=0)
    _, position, n = np.unique(pairs[:, 1], return_inverse=True, return_counts=True)
    return np.unique(pairs[n[position.reshape(-1)] == 1, 0])


class _Deal:
    """U units, C classes and S sides: what is placed, and what the sides still need."""

    def __init__(self, sizes: Units, strata: Strata, wanted: Sequence[int], rng: np.random.Generator) -> None:
        shuffled = rng.permutation(len(sizes))  # position → unit; all else here counts positions
        position = np.empty_like(shuffled)
        position[shuffled] = np.arange(len(shuffled))
        self._shuffled, self._rng = shuffled, rng
        self.sizes = sizes[shuffled]
        classes = np.unique(strata[:, 1], return_inverse=True)[1].reshape(-1)
        n_classes = int(classes.max(initial=-1)) + 1
        by_lot = rng.permutation(n_classes)[classes] if n_classes else classes
        pairs, counts = np.unique(position[strata[:, 0]] * max(n_classes, 1) + by_lot, return_counts=True)
        self._classes, self._counts = pairs % max(n_classes, 1), counts  # (P,), by unit
        self._units = pairs // max(n_classes, 1)
        self._starts = np.searchsorted(self._units, np.arange(len(sizes) + 1))
        self._by_class = np.argsort(self._classes, kind="stable")
        self._class_starts = np.searchsorted(self._classes[self._by_class], np.arange(n_classes + 1))
        self.left = np.bincount(self._classes, minlength=n_classes)  # (C,) units that are not placed
        self._rows = np.bincount(self._classes, self._counts, minlength=n_classes).astype(np.int64)
        self._wanted = list(wanted)
        self._room = list(wanted)
        # Whole numbers and exact sums: no rounding of another machine's decides where a unit goes.
        self._one = max(sum(wanted), 1)  # a row, in what is needed
        self._need = np.outer(np.array(wanted), self._rows)  # (S, C)
        self._only = np.full(n_classes, _NOWHERE)  # (C,) the one side that has a class
        self._side = np.full(len(sizes), _UNPLACED)

    @property
    def side(self) -> Units:
        """Each unit's side, in the units' own order."""
        side = np.empty_like(self._side)
        side[self._shuffled] = self._side
        return side

    def place_large(self) -> None:
        """Place the units of which few make a side: each where most of its rows' classes are needed."""
        smallest = min((rows for rows in self._wanted if rows), default=0)
        large = np.flatnonzero((self.sizes > 1) & (self.sizes * _FEW > smallest))
        for unit in large[np.argsort(-self.sizes[large], kind="stable")].tolist():
            own = slice(self._starts[unit], self._starts[unit + 1])
            share = [*(self._counts[own] / self._rows[self._classes[own]]), self.sizes[unit] / self.sizes.sum()]
            needs = np.column_stack([self._need[:, self._classes[own]], np.array(self._room) * self._one])
            self._place(np.array([unit]), [0], [math.fsum(need) for need in needs * share])

    def place_rarest(self) -> None:
        """Place all units of the class that the fewest units have."""
        rarest = int(np.where(self.left > 0, self.left, len(self.sizes) + 1).argmin())
        pairs = self._by_class[self._class_starts[rarest] : self._class_starts[rarest + 1]]
        pairs = pairs[self._side[self._units[pairs]] == _UNPLACED]
        pairs = pairs[np.argsort(-self._counts[pairs], kind="stable")]
        self._place(self._units[pairs], self._counts[pairs].tolist(), self._need[:, rarest].tolist())

    def place_rest(self) -> None:
        """Place the units that have no class, the largest first, where there is most room."""
        units = np.flatnonzero(self._side == _UNPLACED)
        units = units[np.argsort(-self.sizes[units], kind="stable")]
        self._place(units, [0] * len(units), [0] * len(self._room))

    def exchange(self) -> None:
        """Exchange units that differ in a row of one class alone, between sides with too much and too little of it."""
        code = self._rng.integers(0, 2**64, len(self.left) + 1, dtype=np.uint64)  # a sum of them stands for its parts
        content = self.sizes.astype(np.uint64) * code[-1]
        np.add.at(content, self._units, code[self._classes] * self._counts.astype(np.uint64))
        alike = _Alike(content)
        sides = [side for side, rows in enumerate(self._wanted) if rows]
        for name in np.argsort(-self._rows, kind="stable").tolist():
            for giving, taking in permutations(sides, 2):
                n = int(min(-self._need[giving, name], self._need[taking, name])) // self._one
                if n < 1:
                    continue
                units = self._units[self._by_class[self._class_starts[name] : self._class_starts[name + 1]]]
                units = units[self._side[units] == giving]
                there, here = alike.pairs(units, content[units] - code[name], self._side == taking)
                self._side[here[:n]], self._side[there[:n]] = giving, taking
                self._need[giving, name] += len(here[:n]) * self._one
                self._need[taking, name] -= len(here[:n]) * self._one

    def _place(self, units: Units, counts: list[int], need: Sequence[float]) -> None:
        """Place units one by one where they are needed most, which each with its count of rows lessens."""
        need = list(need)
        order = self._rng.permutation(len(need)).tolist()  # of equals, the first is taken
        unsettled, left = self._unsettled(units), dict[int, int]()
        for unit, count, size in zip(units.tolist(), counts, self.sizes[units].tolist(), strict=True):
            sides = [side for side in order if size <= 2 * self._room[side]]
            if unit in unsettled:
                sides = self._sides_for_last(unsettled[unit], order, sides, left)
            elif not sides:
                sides = [side for side in order if self._wanted[side]]
            side = max(sides, key=lambda side: (need[side], self._room[side]))
            need[side] -= count * self._one
            self._room[side] -= size
            self._side[unit] = side
            for name in unsettled.get(unit, ()):
                left[name] -= 1
                self._only[name] = side if self._only[name] in (_NOWHERE, side) else _SEVERAL
        pairs = _ranges(self._starts[units], self._starts[units + 1])
        sides_of_pairs = self._side[self._units[pairs]]
        np.subtract.at(self._need, (sides_of_pairs, self._classes[pairs]), self._counts[pairs] * self._one)
        self.left -= np.bincount(self._classes[pairs], minlength=len(self.left))

    def _sides_for_last(self, classes: list[int], order: list[int], open: list[int], left: dict[int, int]) -> list[int]:
        """Return which sides a unit may go to, so that no run's training, and no validation, lacks one of its classes.

        `open` have room; `left`: how many units of a class are not placed, which is looked up where it is not there.
        """
        barred, better_not = set[int](), set[int]()
        for name in classes:
            if left.setdefault(name, int(self.left[name])) > 1:
                continue
            only = int(self._only[name])
            if only == _NOWHERE:
                barred.update(side for side in order if side != TRAINING)
            elif only == TRAINING:
                better_not.add(only)
            elif only > TRAINING:
                barred.add(only)
        allowed = [side for side in open if side not in barred]
        wished = [side for side in allowed if side not in better_not]
        without_room = [side for side in order if side not in barred and self._wanted[side]]
        return wished or allowed or without_room or [TRAINING]

    def _unsettled(self, units: Units) -> dict[int, list[int]]:
        """Return the classes of units that not yet several sides have; units without any are left out."""
        pairs = _ranges(self._starts[units], self._starts[units + 1])
        pairs = pairs[self._only[self._classes[pairs]] != _SEVERAL]
        found: dict[int, list[int]] = {}
        for unit, name in zip(self._units[pairs].tolist(), self._classes[pairs].tolist(), strict=True):
            found.setdefault(unit, []).append(name)
        return found


class _Alike:
    """Units found by their content."""

    def __init__(self, content: NDArray[np.uint64]) -> None:
        self._order = np.argsort(content, kind="stable")
        self._contents, self._starts = np.unique(content[self._order], return_index=True)
        self._ends = np.append(self._starts[1:], len(content))

    def pairs(self, units: Units, wanted: NDArray[np.uint64], usable: NDArray[np.bool_]) -> tuple[Units, Units]:
        """Return which units can be paired with a usable one of the content that each wants, and those; none twice."""
        kind = np.searchsorted(self._contents, wanted)
        is_there = kind < len(self._contents)
        is_there[is_there] = self._contents[kind[is_there]] == wanted[is_there]
        order = np.argsort(kind[is_there], kind="stable")
        units, kind = units[is_there][order], kind[is_there][order]
        kinds = np.unique(kind)
        others = self._order[_ranges(self._starts[kinds], self._ends[kinds])]
        kind_of_others = np.repeat(kinds, self._ends[kinds] - self._starts[kinds])[usable[others]]
        others = others[usable[others]]
        n = len(self._order)
        key, key_of_others = (kinds * n + _ranks(kinds) for kinds in (kind, kind_of_others))
        _, first, second = np.intersect1d(key, key_of_others, assume_unique=True, return_indices=True)
        return units[first], others[second]


def _ranks(values: Units) -> Units:
    """Return the number of each of sorted values among its equals."""
    return np.arange(len(values)) - np.searchsorted(values, values)


def _ranges(starts: Units, ends: Units) -> Units:
    """Return the whole numbers from each start to before its end, one range after the other."""
    lengths = ends - starts
    total = np.cumsum(lengths)
    return np.asarray(np.arange(lengths.sum()) + np.repeat(starts - (total - lengths), lengths))
