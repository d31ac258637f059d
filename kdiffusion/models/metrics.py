"""What training is watched by, beyond the loss."""

import keras
from keras import ops

QUARTILES = 4


@keras.saving.register_keras_serializable("kdiffusion")
class LossByTimestep(keras.metrics.Metric):
    """Mean loss within each quarter of the timesteps (as improved-diffusion logs it).

    The first quarter is nearly clean images, where detail is learnt; the last nearly pure noise,
    where layout and colour are.

    Args:
        num_timesteps: int. T.

    `result()` is a dictionary of four scalars: `loss_t0_249` and so on.
    """

    def __init__(self, num_timesteps, name="loss_by_timestep", **kwargs):
        super().__init__(name=name, **kwargs)
        self.num_timesteps = num_timesteps
        self.total = self.add_variable((QUARTILES,), "zeros", name="total")
        self.count = self.add_variable((QUARTILES,), "zeros", name="count")

    def update_state(self, losses, timesteps):
        """Adds per-example losses, float `[B]`, of timesteps, int `[B]`."""
        quartiles = ops.one_hot(
            timesteps * QUARTILES // self.num_timesteps, QUARTILES, dtype="float32"
        )  # [B, 4]
        self.total.assign_add(ops.sum(quartiles * losses[:, None], axis=0))
        self.count.assign_add(ops.sum(quartiles, axis=0))

    def result(self):
        means = ops.divide_no_nan(self.total.value, self.count.value)
        edges = [-(-quarter * self.num_timesteps // QUARTILES) for quarter in range(QUARTILES + 1)]
        return {
            f"loss_t{edges[quarter]}_{edges[quarter + 1] - 1}": means[quarter]
            for quarter in range(QUARTILES)
        }

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype, "num_timesteps": self.num_timesteps}
