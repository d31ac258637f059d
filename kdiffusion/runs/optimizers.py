"""How a run follows its gradient: the optimizers by name, and the learning rate's shape."""

import dataclasses
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from kdiffusion.runs.config import OptimizerConfig

LearningRate = float | keras.optimizers.schedules.LearningRateSchedule

# Of Newton-Schulz's quintic x (a + b x^2 + c x^4), steepest at 0 (Jordan et al. 2024).
QUINTIC = (3.4445, -4.7750, 2.0315)


@keras.saving.register_keras_serializable("kdiffusion")
class FusedAdamW(keras.optimizers.Adam):
    """AdamW (Loshchilov & Hutter 2019) in one pass over each weight, where Keras's makes twelve.

    Args: those of `keras.optimizers.Adam`, but for `amsgrad`. Its `weight_decay` is AdamW's, and
        None spares the pass over the weights that `keras.optimizers.AdamW` makes for 0.0.
    """

    def update_step(
        self, gradient: tf.Tensor, variable: keras.Variable, learning_rate: tf.Tensor
    ) -> None:
        index = self._get_variable_index(variable)
        moments = self._momentums[index], self._velocities[index]
        betas = self.beta_1, self.beta_2
        _adam(variable, gradient, moments, betas, self.iterations, learning_rate, self.epsilon)


def _adam(variable, gradient, moments, betas, iterations, learning_rate, epsilon):
    """One step of Adam (Kingma & Ba 2015, the form before section 2.1), by TensorFlow's kernel."""
    time = tf.cast(iterations + 1, tf.float32)
    first, second = moments
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=first.value.handle,
        v=second.value.handle,
        beta1_power=tf.pow(betas[0], time),
        beta2_power=tf.pow(betas[1], time),
        lr=tf.cast(learning_rate, tf.float32),
        beta1=betas[0],
        beta2=betas[1],
        epsilon=epsilon,
        grad=tf.cast(gradient, variable.dtype),
    )


@keras.saving.register_keras_serializable("kdiffusion")
class ConvolutionMuon(keras.optimizers.Muon):
    """Muon (Jordan et al. 2024) for the kernels of convolutions, AdamW for all other weights.

    A kernel `[kh, kw, cin, cout]` is updated as the matrix `[kh kw cin, cout]`: the gradient's
    momentum, made nearly orthogonal by Newton-Schulz iterations, at the root mean square that
    AdamW's steps have (Liu et al. 2025, section 2.2), so that both share one learning rate.
    `keras.optimizers.Muon` leaves whatever isn't 2-D to AdamW, and so all of a U-Net.

    Args: those of `keras.optimizers.Muon`, but for its `muon_a`, `muon_b` and `muon_c` and what it
        excludes, which are fixed here; `rms_rate` must be a number.
    """

    def _should_use_adamw(self, variable):
        return len(variable.shape) != 4

    def _adamw_update_step(self, gradient, variable, learning_rate, m, v):
        betas = self.adam_beta_1, self.adam_beta_2
        _adam(variable, gradient, (m, v), betas, self.iterations, learning_rate, self.epsilon)

    def zeropower_via_newtonschulz5(self, x: Any, steps: int) -> Any:
        """`[kh, kw, cin, cout]`, nearly U V' of its matrix U S V' (Jordan et al. 2024).

        Singular values come between 0.7 and 1.2, by x (a + b x'x + c (x'x)^2) in bfloat16.
        """
        a, b, c = QUINTIC
        matrix = ops.reshape(x, (-1, x.shape[-1]))
        rows, columns = matrix.shape
        y = matrix / (tf.norm(matrix) + 1e-12)  # no singular value above 1
        y = tf.cast(tf.transpose(y) if rows > columns else y, tf.bfloat16)
        identity = tf.eye(min(rows, columns))
        for _ in range(steps):
            square = tf.matmul(y, y, transpose_b=True)
            # One small polynomial and one product: sums over y itself would be the slower part.
            fourth = tf.cast(tf.matmul(square, square), tf.float32)
            polynomial = a * identity + b * tf.cast(square, tf.float32) + c * fourth
            y = tf.matmul(tf.cast(polynomial, tf.bfloat16), y)
        y = tf.cast(y, tf.float32)
        return ops.reshape(tf.transpose(y) if rows > columns else y, x.shape)

    def lr_adjust(self, x: Any) -> Any:
        """An update in the shape of its kernel, scaled as that of its matrix."""
        rows, columns = x.shape[0] * x.shape[1] * x.shape[2], x.shape[3]
        return x * self.rms_rate * max(rows, columns) ** 0.5


def adamw(config: OptimizerConfig, learning_rate: LearningRate) -> keras.optimizers.Optimizer:
    """AdamW for all weights: `FusedAdamW`."""
    return FusedAdamW(
        learning_rate,
        weight_decay=config.weight_decay or None,
        beta_1=config.beta_1,
        beta_2=config.beta_2,
        name="adamw",
    )


def muon(config: OptimizerConfig, learning_rate: LearningRate) -> keras.optimizers.Optimizer:
    """Muon on convolutions, AdamW beside it: `ConvolutionMuon`."""
    return ConvolutionMuon(
        learning_rate,
        weight_decay=config.weight_decay or None,
        adam_weight_decay=config.weight_decay or None,
        adam_beta_1=config.beta_1,
        adam_beta_2=config.beta_2,
        name="muon",
    )


@keras.saving.register_keras_serializable("kdiffusion")
@dataclasses.dataclass(eq=False)
class Trapezoid(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up, then the peak, then a straight line down (Hägele et al. 2024, "WSD").

    Up to the fall it doesn't depend on where the run ends, so a run can be prolonged until then.

    Args:
        peak: float. The learning rate after the warm-up.
        total_steps: int. Steps of the run.
        warmup_steps: int. Steps of the rise from 0.
        cooldown_steps: int. Steps of the fall, the last ones.
        final: float. The learning rate that the last step would reach. Defaults to `0.0`.
    """

    peak: float
    total_steps: int
    warmup_steps: int
    cooldown_steps: int
    final: float = 0.0

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32")
        rise = step / max(self.warmup_steps, 1) if self.warmup_steps else 1.0
        left = (self.total_steps - step) / max(self.cooldown_steps, 1)
        fall = self.final + (self.peak - self.final) * ops.clip(left, 0.0, 1.0)
        return ops.minimum(self.peak * ops.minimum(rise, 1.0), fall)

    def get_config(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def trapezoid(config: OptimizerConfig, total_steps: int) -> LearningRate:
    """`Trapezoid`, as an `OptimizerConfig` shapes it over the whole run."""
    return Trapezoid(
        config.learning_rate,
        total_steps,
        _warmup(config, total_steps),
        cooldown_steps=round(config.cooldown_fraction * total_steps),
        final=config.final_learning_rate_fraction * config.learning_rate,
    )


def cosine(config: OptimizerConfig, total_steps: int) -> LearningRate:
    """After the warm-up half a cosine, as an `OptimizerConfig` shapes it over the whole run."""
    warmup = _warmup(config, total_steps)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else config.learning_rate,
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
        decay_steps=total_steps - warmup,
        alpha=config.final_learning_rate_fraction,
    )


def _warmup(config, total_steps):
    return min(config.warmup_steps, total_steps - 1)
