from lightning_tasks.training.stage_table import Stage, curve, stages_table


def test_a_table_says_when_what_and_how_fast():
    stages = [
        Stage("first", "the head", range(4)),
        Stage("none", "nothing", range(4, 4)),
        Stage("then", "all", range(4, 9)),
    ]
    table = stages_table(stages, 3, ["body", "head"], lambda step: (step / 100, (9 - step) / 10))
    assert table.splitlines() == [
        "| stage | epochs | steps | trained | highest lr/body | highest lr/head | lr/head |",
        "|---|---|---|---|---|---|---|",
        "| first | 0–1 | 0–3 | the head | 3.00e-02 | 9.00e-01 | █▇▆▆ |",
        "| then | 1–2 | 4–8 | all | 8.00e-02 | 5.00e-01 | █▇▅▄▂ |",
    ]


def test_a_long_curve_is_shortened_from_end_to_end():
    bars = curve([0.0, *[1.0] * 98, 0.0])
    assert bars == "▁" + "█" * 10 + "▁"
    assert curve([5.0]) == "█"
