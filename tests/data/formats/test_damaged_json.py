"""JSON of every format with something else in one place: it is read or told, and never crashes."""

import copy
import json
import random

import pytest

from lightning_tasks.data.tables.formats.reader import ReadOptions
from lightning_tasks.data.tables.formats.readers import READERS
from lightning_tasks.data.tables.formats.source import Source
from lightning_tasks.errors import TableError
from lightning_tasks.tasks.registry import TASKS
from tests.data.formats import test_coco, test_label_studio, test_labelme, test_via

WRITERS = {"coco": test_coco, "label-studio": test_label_studio, "labelme": test_labelme, "via": test_via}
ODD = [
    *(None, True, 0, -1, 1.5, float("nan"), float("inf"), 10**400, "", "x", "\ud800", "\0", "../../x.jpg"),
    *([], {}, [1], [[]], [{}], [None], [[1, 2]], {"a": 1}),
]


def places(value, above=()):
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inner:
        yield (*above, key)
        yield from places(child, (*above, key))


def damage(content, chance):
    """Return a copy in which one value is another, is twice there, or is missing."""
    content = copy.deepcopy(content)
    *above, key = chance.choice(list(places(content)))
    holder = content
    for step in above:
        holder = holder[step]
    way = chance.random()
    if way < 0.2:
        del holder[key]
    elif way < 0.3 and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
    else:
        holder[key] = chance.choice(ODD)
    return content


@pytest.mark.parametrize("name", WRITERS)
def test_damage_is_told_or_read(tmp_path, name):
    written = WRITERS[name].write_example(tmp_path)
    path = written if written.is_file() else next(written.rglob("*.json"))
    whole, chance = json.loads(path.read_text()), random.Random(0)
    reader = next(reader for reader in READERS if reader.name == name)
    told = 0
    for _ in range(200):
        path.write_text(json.dumps(damage(whole, chance)))
        for other in READERS:
            assert other.recognises(Source(path)) in (True, False)
        try:
            annotations = reader.read(Source(path), ReadOptions())
            for task in TASKS:
                if task.table_name and task.is_meant(annotations):
                    assert list(task.draft_table(annotations, "largest").rows)
        except TableError:
            told += 1
    assert 20 < told < 200


def test_a_byte_order_mark_is_no_damage(tmp_path):
    written = test_label_studio.write_example(tmp_path)
    for encoding in ("utf-8-sig", "utf-16"):
        written.write_text(json.dumps(json.loads(written.read_bytes())), encoding=encoding)
        (reader,) = (reader for reader in READERS if reader.recognises(Source(written)))
        assert len(reader.read(Source(written), ReadOptions()).images) == 4
