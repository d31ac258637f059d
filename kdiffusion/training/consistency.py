"""ConsistencyModel: guided consistency tuning (ECT, Geng et al. 2024), for one or two steps.

A consistency function leads from any point of a path to the image at its end: f(x_t, t) = f(x_r, r)
for r < t, and f is x itself at the end. The network's prediction of x_0 is such a function already,
up to its values. Here x_r comes from x_t by one guided step of the frozen teacher, so guidance is
learnt too. r follows arXiv 2406.14548, section 3.3: at first it is the clean image, as in diffusion
training; in each stage it comes nearer to t.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from kdiffusion.diffusion.forward_process import NoiseSchedule, q_sample
from kdiffusion.training.batches import images_and_labels
from kdiffusion.training.distillation import VALUE_RANGE, StudentModel
from kdiffusion.training.metrics import results
from kdiffusion.training.step_seeds import DROPOUT, seed_dropout, step_seeds

STAGES = 8  # by then r is the timestep below t, wherever it matters
SHRINKING = 4.0  # q: how much nearer r is in each stage


def nearer_timesteps(schedule: NoiseSchedule, stage: int) -> np.ndarray:
    """r of each t in a stage: int32 `[T]`, -1 .. t - 1, where -1 is the clean image.

    sigma_r = sigma_t (1 - (1 + 8 / (1 + e^sigma_t)) / q^(stage + 1)), at least 0; r is the noisiest
    timestep that isn't above it.
    """
    sigma = np.minimum(schedule.noise_levels, 1e6)  # infinite under zero terminal SNR
    gap = (1.0 + 8.0 / (1.0 + np.exp(np.minimum(sigma, 50.0)))) / SHRINKING ** (stage + 1)
    nearest = np.searchsorted(sigma, sigma * (1.0 - gap), side="right") - 1
    return np.minimum(nearest, np.arange(len(sigma)) - 1).astype(np.int32)


@keras.saving.register_keras_serializable("kdiffusion")
class ConsistencyModel(StudentModel):
    """A network under training to give the image in one step, or better in two.

    The loss is |f(x_t, t) - f(x_r, r)| / (sigma_t - sigma_r), with t of `timestep_sampling`: ECT
    has `"log_normal"` with `log_sigma` (-1.1, 2.0). Validation is that of `StudentModel`, in one
    step. Two steps are those of `"ddpm"` at two timesteps: an image, noise again, a better image.

    Args:
        timesteps: ints, of which the first counts: where sampling begins.
        images_per_stage: int. Training images after which r moves nearer to t. After three stages
            the two predictions differ by no more than bfloat16 rounds.
        network, schedule, **options: as of `StudentModel`.
    """

    settings = (*StudentModel.settings, "images_per_stage")

    def __init__(
        self,
        network: keras.Model,
        schedule: NoiseSchedule | Sequence[float],
        *,
        timesteps: Sequence[int],
        images_per_stage: int = 800_000,
        **options: Any,
    ):
        # Validated at one step: what is sampled in two has fresh noise, and no teacher's path.
        super().__init__(network, schedule, timesteps=timesteps[:1], **options)
        self.images_per_stage = images_per_stage
        self.updates_per_step = 1
        stages = [nearer_timesteps(self.schedule, stage) for stage in range(STAGES)]
        self._nearer = np.stack(stages)  # [stages, T]
        # The last is the clean image: timestep -1.
        self._alphas_and_clean = np.append(self._alphas_cumprod, np.float32(1.0))
        self._sigmas_and_clean = np.append(self.schedule.noise_levels, 0.0).astype("float32")

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        images, labels = images_and_labels(data, self.network)
        timesteps, noise, _ = self._draw(images, self.step)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        seen = self.step * tf.cast(tf.shape(images)[0] * replicas, tf.int64)
        stage = tf.minimum(seen // self.images_per_stage, STAGES - 1)
        nearer = tf.gather(tf.gather(self._nearer, stage), timesteps)
        x = q_sample(images, noise, self._alpha_bar(timesteps))
        x_nearer = self._teacher_step(x, timesteps, nearer, labels)
        batch = (x, x_nearer, timesteps, nearer, labels)
        seed = step_seeds(self.seed, self.step)[DROPOUT]
        losses = self._learn(self._consistency_objective, seed, batch, self.step + 1)
        self.step.assign_add(1)
        self._loss_by_timestep.update_state(losses, timesteps)
        return results([self._loss_by_timestep, self._gradient_norm])

    def _alpha_bar(self, timesteps):
        """abar of timesteps `[B]` over a batch of images; 1 for -1."""
        return tf.gather(self._alphas_and_clean, self._places(timesteps))[:, None, None, None]

    def _places(self, timesteps):
        return tf.where(timesteps < 0, self.schedule.num_timesteps, timesteps)

    def _teacher_step(self, x, timesteps, nearer, labels):
        """x at r by one step of DDIM from t, guided where the teacher is."""
        predict = self.guided_clean_images if self.guides.any() else self.clean_images
        x0 = tf.clip_by_value(predict(self.teacher, x, timesteps, labels), *VALUE_RANGE)
        abar_t, abar_r = self._alpha_bar(timesteps), self._alpha_bar(nearer)
        towards_x = tf.sqrt((1.0 - abar_r) / (1.0 - abar_t))
        return towards_x * x + (tf.sqrt(abar_r) - towards_x * tf.sqrt(abar_t)) * x0

    def _consistency_objective(self, dropout_seed, x, x_nearer, timesteps, nearer, labels):
        """(What is minimised: a scalar, scaled as float16 needs it; the losses `[B]`)."""
        is_clean = (nearer < 0)[:, None, None, None]
        seed_dropout(self.network, dropout_seed)
        goal = self.clean_images(
            self.network, x_nearer, tf.maximum(nearer, 0), labels, training=True
        )
        goal = tf.stop_gradient(tf.where(is_clean, x_nearer, goal))
        seed_dropout(self.network, dropout_seed)  # the same units are dropped
        guess = self.clean_images(self.network, x, timesteps, labels, training=True)
        distance = tf.sqrt(ops.sum(ops.square(guess - goal), axis=(1, 2, 3)) + 1e-12)
        sigma_t, sigma_r = (
            tf.gather(self._sigmas_and_clean, self._places(each)) for each in (timesteps, nearer)
        )
        losses = distance / (sigma_t - sigma_r)
        return self.optimizer.scale_loss(ops.mean(losses)), losses
