"""The training loop: Keras on tf.data, early stopping, checkpoints, the same result for the same
seed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf

from inference.synthetic.corpus import FOREIGN, Corpus, shown
from inference.training.augment import augment
from inference.training.losses import cost_sensitive
from inference.training.network import SIDE, build


@dataclass(frozen=True, slots=True, kw_only=True)
class FitSettings:
    """How the network is trained.

    `cost_weight`: share of the cost of confusions in the loss (see `losses`). `patience`: epochs without a better
    validation loss before training stops. `widths`: channels of the four stages. `threads`: of TensorFlow, set once
    a process.
    """

    epochs: int = 16
    batch: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 2e-3
    cost_weight: float = 0.3
    patience: int = 5
    widths: tuple[int, int, int, int] = (24, 40, 80, 128)
    seed: int = 1100
    threads: int = 2


#: A network and a schedule that learn something within a minute on two cores: for tests, and to try a data set out.
SMALL: Final = FitSettings(epochs=3, batch=32, learning_rate=4e-3, patience=3, widths=(8, 16, 24, 32))

EpochReport = Callable[[int, int, Mapping[str, float], float], None]


def set_threads(threads: int) -> None:
    """Bound TensorFlow's threads; without effect (and without error) once TensorFlow runs in this process."""
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        pass


def fit(
    train: Corpus,
    validation: Corpus,
    settings: FitSettings,
    *,
    start: Path | None = None,
    workdir: Path | None = None,
    report: EpochReport | None = None,
) -> Any:
    """Train on `train`, stop by `validation`, and return the Keras model with the best weights.

    `start`: a `model.keras` to fine-tune. `workdir`: where checkpoints go; a run that was interrupted continues from
    there. `report` is called after each epoch with its number, their count, Keras's metrics, and seconds.
    """
    set_threads(settings.threads)
    keras.utils.set_random_seed(settings.seed)
    model = keras.models.load_model(start, compile=False) if start else build(settings.widths)
    trained = keras.Model(model.input, {name: model.output[name] for name in ("logits", "foreign")})
    steps = max(1, len(train) // settings.batch)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=settings.learning_rate / 20,
        decay_steps=max(1, steps * settings.epochs - steps // 2),
        alpha=0.01,
        warmup_target=settings.learning_rate,
        warmup_steps=max(1, steps // 2),
    )
    trained.compile(
        optimizer=keras.optimizers.AdamW(settings.learning_rate / 20, weight_decay=settings.weight_decay, clipnorm=5.0),
        loss={
            "logits": cost_sensitive(settings.cost_weight),
            "foreign": keras.losses.BinaryCrossentropy(from_logits=True),
        },
        loss_weights={"logits": 1.0, "foreign": 0.5},
        weighted_metrics={"logits": [keras.metrics.SparseCategoricalAccuracy(name="accuracy")], "foreign": []},
        jit_compile=False,
    )
    _build_variables(trained)
    callbacks: list[Any] = [_Pace(schedule), _Report(settings.epochs, report)]
    if workdir is not None:
        workdir.mkdir(parents=True, exist_ok=True)
        callbacks.append(keras.callbacks.BackupAndRestore(str(workdir / "resume"), delete_checkpoint=True))
    callbacks.append(
        keras.callbacks.EarlyStopping(
            "val_logits_loss", mode="min", patience=settings.patience, restore_best_weights=True
        )
    )
    trained.fit(
        batches(train, settings, training=True),
        validation_data=batches(validation, settings, training=False),
        epochs=settings.epochs,
        steps_per_epoch=steps,
        callbacks=callbacks,
        verbose=0,
        shuffle=False,  # tf.data has shuffled; Keras would only warn
    )
    return model


def _build_variables(trained: Any) -> None:
    """Make the variables of a compiled model's optimizer and of its losses' means.

    Left to the first step, they make TensorFlow trace that step twice: four seconds of every training.
    """
    trained.optimizer.build(trained.trainable_variables)
    scores = trained(np.zeros((1, SIDE, SIDE, 3), np.uint8), training=False)
    targets = {"logits": np.zeros(1, np.int64), "foreign": np.zeros((1, 1), np.float32)}
    trained.compute_loss(y=targets, y_pred=scores, sample_weight=dict.fromkeys(targets, np.ones(1, np.float32)))
    trained.reset_metrics()


class _Pace(keras.callbacks.Callback):  # type: ignore[misc]
    """Give each step its learning rate.

    A schedule that is handed to the optimizer is computed once per variable, forty times per step, and TensorFlow
    takes several seconds to trace and optimise all of that.
    """

    def __init__(self, schedule: Any) -> None:
        super().__init__()
        self._schedule = schedule

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        optimizer = self.model.optimizer
        optimizer.learning_rate.assign(self._schedule(optimizer.iterations))


class _Report(keras.callbacks.Callback):  # type: ignore[misc]
    """Tell the caller how an epoch went."""

    def __init__(self, epochs: int, report: EpochReport | None) -> None:
        super().__init__()
        self._epochs = epochs
        self._report = report
        self._began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        if self._report is not None:
            values = {name: float(value) for name, value in (logs or {}).items()}
            self._report(epoch + 1, self._epochs, values, time.monotonic() - self._began)


def batches(corpus: Corpus, settings: FitSettings, *, training: bool) -> Any:
    """Return a tf.data pipeline of (pixels, targets, weights) batches; shuffled and varied when `training`."""
    stored = corpus.pixels if training else shown(corpus.pixels, SIDE)
    labels = corpus.labels
    count = len(corpus)
    weights = _balance(labels)

    def gather(rows: Any) -> tuple[Any, Any, Any, Any]:
        return stored[rows], labels[rows], (labels[rows] == FOREIGN).astype(np.float32), weights[rows]

    def load(rows: Any) -> tuple[Any, Any, Any, Any]:
        kinds = (tf.uint8, tf.int64, tf.float32, tf.float32)
        pixels, label, foreign, weight = tf.numpy_function(gather, [rows], kinds, stateful=False)
        pixels.set_shape((None, *stored.shape[1:]))
        for each in (label, foreign, weight):
            each.set_shape((None,))
        return pixels, label, foreign, weight

    def prepare(number: Any, rows: Any) -> tuple[Any, Any, Any]:
        pixels, label, foreign, weight = load(rows)
        if training:
            pixels = augment(pixels, tf.stack([tf.cast(settings.seed, tf.int64), number]), SIDE)
        targets = {"logits": label, "foreign": foreign[:, None]}
        return pixels, targets, {"logits": weight, "foreign": tf.ones_like(weight)}

    rows = tf.data.Dataset.range(count)
    if training:
        rows = rows.shuffle(count, seed=settings.seed, reshuffle_each_iteration=True).repeat()
    numbered = rows.batch(settings.batch).enumerate()
    data = numbered.map(prepare, num_parallel_calls=1, deterministic=True).prefetch(2)
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    return data.with_options(options)


def _balance(labels: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Weight each class alike however many pictures it has; foreign pictures do not count for the classes."""
    weights = np.zeros(len(labels), dtype=np.float32)
    present = [label for label in np.unique(labels) if label != FOREIGN]
    for label in present:
        chosen = labels == label
        weights[chosen] = (labels != FOREIGN).sum() / (len(present) * chosen.sum())
    return weights
