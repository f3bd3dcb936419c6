"""What pictures cost an inference worker: time and processor of each way to decode, memory of the worst that can be
made.

    python -m ops.bench.pictures [--pictures N]

Prints two tables. The memory is that of the stage's own objects (store, model, decoder processes) in a process of its
own: proportional set size of it and of its decoders, the highest seen while 32 pictures of one kind, or all kinds
mixed, go through one batch of the routine lane.
"""

from __future__ import annotations
