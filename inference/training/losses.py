"""What a mistake costs: calling an injury milder than it is costs more than calling it worse."""

from __future__ import annotations

from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

from inference.findings import CLASSES, SEVERITY

#: How many times worse a step towards a milder class is than the same step towards a worse one.
UNDERSTAGING: Final = 3.0
#: Added where an injury is called none: nobody would look at it again.
MISSED: Final = 1.0


def cost_matrix() -> NDArray[np.float32]:
    """Return the cost (7, 7) of calling the true class (row) the predicted one (column); 0 on the diagonal, 1 a
    worst overcall."""
    severity = np.array([SEVERITY[name] for name in CLASSES], dtype=np.float32)
    step = (severity[None, :] - severity[:, None]) / severity.max()
    cost = np.where(step < 0, -UNDERSTAGING * step, step)
    cost[1:, 0] += MISSED
    return np.asarray(cost, dtype=np.float32)


def cost_sensitive(weight: float) -> Any:
    """Return a loss (labels (n,), logits (n, 7)) → (n,): cross-entropy plus `weight` times the expected cost.

    The cross-entropy keeps the probabilities honest; the cost moves what is left in doubt towards the worse class.
    """
    costs = keras.ops.convert_to_tensor(cost_matrix())

    def loss(labels: Any, logits: Any) -> Any:
        labels = keras.ops.cast(keras.ops.reshape(labels, (-1,)), "int32")
        known = keras.ops.maximum(labels, 0)  # a foreign picture (-1) has weight 0; any row will do
        entropy = keras.ops.sparse_categorical_crossentropy(known, logits, from_logits=True)
        expected = keras.ops.sum(keras.ops.softmax(logits) * keras.ops.take(costs, known, axis=0), axis=-1)
        return entropy + weight * expected

    return loss
