"""The tests. Those beside each other fight for the cores where each takes all of them; and what is forked needs one."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported
