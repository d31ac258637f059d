"""How a run follows its gradient: the optimizers by name, and the learning rate's shape."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("kdiffusion")
class ConvolutionMuon(keras.optimizers.Muon):
    """Muon (Jordan et al. 2024) for the kernels of convolutions, AdamW for all other weights.

    A kernel `[kh, kw, cin, cout]` is updated as the matrix `[kh kw cin, cout]`: the gradient's
    momentum, made nearly orthogonal by Newton-Schulz iterations, at the root mean square that
    AdamW's steps have (Liu et al. 2025, section 2.2), so that both share one learning rate.
    `keras.optimizers.Muon` leaves whatever isn't 2-D to AdamW, and so all of a U-Net.

    Args: those of `keras.optimizers.Muon`.
    """

    def _should_use_adamw(self, variable):
        return len(variable.shape) != 4

    def zeropower_via_newtonschulz5(self, x, steps):
        """`[kh, kw, cin, cout]`, nearly orthogonal as a matrix; iterated in bfloat16."""
        matrix = ops.reshape(x, (-1, x.shape[-1]))
        # Before the cast: bfloat16 squares of small gradients would still do, but not their sum.
        matrix = ops.cast(matrix / (ops.norm(matrix) + 1e-12), "bfloat16")
        matrix = super().zeropower_via_newtonschulz5(matrix, steps)
        return ops.reshape(ops.cast(matrix, x.dtype), x.shape)

    def lr_adjust(self, x):
        """An update in the shape of its kernel, scaled as that of its matrix."""
        rows, columns = x.shape[0] * x.shape[1] * x.shape[2], x.shape[3]
        return x * self.rms_rate * max(rows, columns) ** 0.5


def adamw(config, learning_rate):
    """AdamW (Loshchilov & Hutter 2019)."""
    return keras.optimizers.AdamW(
        learning_rate,
        weight_decay=config.weight_decay,
        beta_1=config.beta_1,
        beta_2=config.beta_2,
    )


def muon(config, learning_rate):
    """Muon on convolutions, AdamW beside it: `ConvolutionMuon`."""
    return ConvolutionMuon(
        learning_rate,
        weight_decay=config.weight_decay,
        adam_weight_decay=config.weight_decay,
        adam_beta_1=config.beta_1,
        adam_beta_2=config.beta_2,
    )


# Each takes an `OptimizerConfig` and a learning-rate schedule.
OPTIMIZERS = {"adamw": adamw, "muon": muon}


@keras.saving.register_keras_serializable("kdiffusion")
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

    def __init__(self, peak, total_steps, warmup_steps, cooldown_steps, final=0.0):
        self.peak = peak
        self.total_steps = total_steps
        self.warmup_steps = warmup_steps
        self.cooldown_steps = cooldown_steps
        self.final = final

    def __call__(self, step):
        step = ops.cast(step, "float32")
        rise = step / max(self.warmup_steps, 1) if self.warmup_steps else 1.0
        left = (self.total_steps - step) / max(self.cooldown_steps, 1)
        fall = self.final + (self.peak - self.final) * ops.clip(left, 0.0, 1.0)
        return ops.minimum(self.peak * ops.minimum(rise, 1.0), fall)

    def get_config(self):
        return {
            "peak": self.peak,
            "total_steps": self.total_steps,
            "warmup_steps": self.warmup_steps,
            "cooldown_steps": self.cooldown_steps,
            "final": self.final,
        }


def learning_rate(config, total_steps):
    """The learning rate of each step, as an `OptimizerConfig` shapes it over the whole run."""
    warmup = min(config.warmup_steps, total_steps - 1)
    if config.learning_rate_shape == "trapezoid":
        return Trapezoid(
            config.learning_rate,
            total_steps,
            warmup,
            cooldown_steps=round(config.cooldown_fraction * total_steps),
            final=config.final_learning_rate_fraction * config.learning_rate,
        )
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else config.learning_rate,
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
        decay_steps=total_steps - warmup,
        alpha=config.final_learning_rate_fraction,
    )
