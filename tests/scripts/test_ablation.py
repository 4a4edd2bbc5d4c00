"""An ablation: its steps trained and scored as processes, its table, and more steps added to it."""

import contextlib
import csv
import json
import sys
from pathlib import Path

import pytest
import timm
import torch
import yaml

from tests.fakes import draw_pascal
from tests.scripts import run_script, verbs_in_this_process

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from ablation import read_plan  # noqa: E402 - found by the path above

STEPS = [
    {"name": "the book's head, 64 px", "seeds": 2},
    {"name": "mirrored", "over": "the book's head, 64 px", "args": "--model.flip_tta true", "evaluate": True},
]


@pytest.fixture(
    params=["in_this_process", pytest.param("as_processes", marks=[pytest.mark.slow, pytest.mark.processes])]
)
def folder(request, tmp_path):
    """A folder with images; the script's verbs run in this process, or as it starts them."""
    draw_pascal(tmp_path / "pascal", n=100)
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "weights.pth")
    with verbs_in_this_process() if request.param == "in_this_process" else contextlib.nullcontext():
        yield tmp_path


def ablate(folder, steps, code=0, **more):
    args = (
        "--model.backbone test_resnet --data.size 64 --data.num_workers 0 --data.batch_size 32 "
        "--trainer.accelerator cpu --trainer.max_epochs 1"
    )
    plan = {"config": "pascal.yaml", "score": "val/mAP", "args": args, "steps": steps, **more}
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan))
    given = ["--folder", "out", "--root", "pascal", "--weights", "weights.pth"]
    return run_script("ablation.py", "plan.yaml", *given, folder=folder, code=code)


def test_steps_are_trained_scored_and_added_to(folder):
    ablate(folder, STEPS[:1])
    done = ablate(folder, STEPS)
    assert "== the_book_s_head_64_px" not in done.stdout  # they are there
    assert "== mirrored_42" in done.stdout
    results = json.loads((folder / "out" / "results.json").read_text())
    plain, mirrored = results["steps"]
    assert len(plain["scores"]) == 2
    assert plain["scores"][0] != plain["scores"][1]
    assert mirrored["scores"][0] != plain["scores"][0]
    assert mirrored["scores"][0] == pytest.approx(plain["scores"][0], abs=0.2)
    changed = [{**STEPS[0], "args": "--model.lr 1"}, STEPS[1]]
    assert "was run with other arguments" in ablate(folder, changed, code=1).stderr
    table = (folder / "out" / "table.md").read_text().splitlines()
    assert table[2].startswith(f"| the book's head, 64 px |  | {plain['median']:.4f} ({min(plain['scores']):.4f}–")
    assert f"| {mirrored['scores'][0] - plain['scores'][0]:+.4f} | 1 | 0 |" in table[3]


def test_labels_have_figures_of_their_own(folder):
    ablate(folder, [{"name": "plain"}, {"name": "weighed", "over": "plain", "args": "--model.pos_weight balanced"}],
           per_label=True)  # fmt: skip
    results = json.loads((folder / "out" / "results.json").read_text())
    with (folder / "out" / "plain_42.csv").open() as file:
        rows = list(csv.DictReader(file))
    for step in results["steps"]:
        (figures,) = step["per_label"]
        assert figures["mAP"] == pytest.approx(step["scores"][0], abs=1e-3)
        positives = {label: of_label["positives"] for label, of_label in figures["labels"].items()}
        assert positives == {label: sum(label in row["labels"].split() for row in rows) for label in positives}
        rarest = sorted(n for n in positives.values() if n)[: len(figures["rarest"])]
        assert [positives[label] for label in figures["rarest"]] == rarest
    plain, weighed = (step["per_label"][0] for step in results["steps"])
    assert weighed["labels"] != plain["labels"]
    table = (folder / "out" / "table.md").read_text()
    assert f"| weighed | {weighed['macro_f1']:.4f} |" in table


@pytest.mark.parametrize(
    ("steps", "what"),
    [
        ([{"name": "a", "over": "b"}], "'a' builds on 'b', which is no step before it"),
        ([{"name": "a"}, {"name": "b", "over": "a", "evaluate": True, "seeds": 2}], "'b' scores 2 trainings of 'a'"),
        ([{"name": "a", "evaluate": True}], "'a' scores 1 trainings of None"),
        ([{"name": "128 px"}, {"name": "128-px"}], "'128-px' and one before it would share"),
    ],
)
def test_steps_that_cannot_be_are_refused(steps, what, tmp_path):
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump({"config": "c", "score": "s", "args": "", "steps": steps}))
    with pytest.raises(SystemExit, match=what):
        read_plan(tmp_path / "plan.yaml")


@pytest.mark.parametrize("path", sorted((ROOT / "scripts" / "ablations").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_projects_own_plans_are_read_and_their_overlays_are_there(path):
    plan = read_plan(path)
    named = [plan.config, *(a.removeprefix("conf/") for step in plan.steps for a in step.args if a.startswith("conf/"))]
    assert all((ROOT / "conf" / name).is_file() for name in named)
    assert plan.steps[0].seeds == (1 if plan.per_label else 3)
