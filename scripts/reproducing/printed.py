"""What the walk-through, the book and a reader of it printed: theirs, not ours."""

WALKTHROUGH, BOOK, READER = "walk-through", "book", "a reader"

# Validation loss and accuracy at .2 after each epoch: four frozen, three not. resnet50, rate 3e-3, PASCAL's halves.
PASCAL_LOSS = (0.7017, 0.5624, 0.2009, 0.1249, 0.1152, 0.1072, 0.1050)
PASCAL_ACCURACY = (0.2292, 0.2877, 0.8271, 0.9416, 0.9470, 0.9495, 0.9505)
PASCAL_LAST_LOSS = {WALKTHROUGH: 0.1050, BOOK: 0.1048}
PASCAL_THRESHOLDS = {
    0.1: {WALKTHROUGH: 0.9279, BOOK: 0.9315},
    0.2: {WALKTHROUGH: 0.9505, BOOK: 0.9516, READER: 0.95088},
    0.9: {WALKTHROUGH: 0.9566, BOOK: 0.9567},
    0.99: {WALKTHROUGH: 0.9424, BOOK: 0.9429},
}
PASCAL_BEST = {READER: (0.5, 0.9643)}  # threshold, accuracy

# Validation MSE after each epoch: one frozen, three not. resnet18, rate 1e-2, BIWI's person 13.
BIWI_LOSS = {
    WALKTHROUGH: (0.006918, 0.003447, 0.000542, 0.000084),
    BOOK: (0.00760, 0.00429, 0.000715, 0.000036),
}
BIWI_VALLEY = {WALKTHROUGH: 0.00145}
