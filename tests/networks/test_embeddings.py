import numpy as np

from kdiffusion.networks import embeddings


def test_timesteps_are_embedded_as_sines_and_cosines_of_a_geometric_range():
    embedding = np.asarray(embeddings.TimestepEmbedding(6)(np.array([0, 7], "int32")))
    angles = 7 * np.array([1.0, 10_000**-0.5, 1e-4])
    np.testing.assert_allclose(embedding[0], [0, 0, 0, 1, 1, 1], atol=1e-6)
    np.testing.assert_allclose(embedding[1], [*np.sin(angles), *np.cos(angles)], atol=1e-6)


def test_every_timestep_has_its_own_embedding_in_half_precision():
    embedding = embeddings.TimestepEmbedding(64, dtype="mixed_bfloat16")(
        np.arange(1000, dtype="int32")
    )
    assert len(np.unique(np.asarray(embedding, "float32"), axis=0)) == 1000


def test_a_label_starts_as_strong_as_the_time():
    condition = embeddings.ConditionEmbedding(999, 64, 64, 32)
    condition.build((None,), (None,))
    sines = np.asarray(condition.embed_time(np.arange(1000, dtype="int32")))
    label = np.asarray(condition.embed_label(np.arange(1000, dtype="int32")))
    np.testing.assert_allclose(np.std(label), np.sqrt(np.mean(sines**2)), rtol=0.02)
