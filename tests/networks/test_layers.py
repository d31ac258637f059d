import keras
import numpy as np
import pytest

from kdiffusion.networks import attention, blocks, embeddings, normalisation, pointwise, residual

MAP = (2, 4, 6, 16)
CONDITION = (2, 12)
NORM = {"groups": 8, "epsilon": 0.5, "min_group_channels": 1}

# Every layer at values that are not its defaults, and the shapes of its inputs.
CASES = {
    "TimestepEmbedding": (
        embeddings.TimestepEmbedding,
        {"channels": 6, "max_period": 50.0},
        [(2,)],
    ),
    "ConditionEmbedding": (
        embeddings.ConditionEmbedding,
        {"num_classes": 3, "time_channels": 4, "label_channels": 6, "channels": 8},
        [(2,), (2,)],
    ),
    "AddedConditionEmbedding": (
        embeddings.AddedConditionEmbedding,
        {
            "num_classes": 3,
            "time_channels": 4,
            "channels": 8,
            "cosine_first": True,
            "frequency_shift": 0,
        },
        [(2,), (2,)],
    ),
    "GroupNorm": (normalisation.GroupNorm, {"groups": 2, "epsilon": 0.5}, [MAP]),
    "GroupNorm narrow": (normalisation.GroupNorm, {"groups": 8, "min_group_channels": 2}, [MAP]),
    "GroupNorm shifted": (normalisation.GroupNorm, {"groups": 2}, [MAP, (2, 16)]),
    "GroupNorm modulated": (normalisation.GroupNorm, {"groups": 2}, [MAP, (2, 16), (2, 32)]),
    "PointwiseDense": (pointwise.PointwiseDense, {"units": 6}, [MAP]),
    "ResidualBlock": (residual.ResidualBlock, {"channels": 8, "dropout": 0.25}, [MAP, CONDITION]),
    "ResidualBlock scaled": (
        residual.ResidualBlock,
        {"channels": 8, "scale_shift": True},
        [MAP, CONDITION],
    ),
    "ResidualBlock with norms of its own": (
        residual.ResidualBlock,
        {"channels": 8, "norm": NORM},
        [MAP, CONDITION],
    ),
    "SelfAttention2D with a norm of its own": (
        attention.SelfAttention2D,
        {"heads": 2, "norm": NORM},
        [MAP],
    ),
    "SelfAttention2D without": (attention.SelfAttention2D, {"norm": False}, [MAP]),
    "SelfAttention2D": (attention.SelfAttention2D, {"heads": 4}, [MAP]),
    "SelfAttention2D one head": (attention.SelfAttention2D, {"heads": 1}, [MAP]),
    "DownBlock": (
        blocks.DownBlock,
        {"channels": 8, "attention_heads": 2, "dropout": 0.25, "scale_shift": True, "norm": NORM},
        [MAP, CONDITION],
    ),
    "UpBlock": (
        blocks.UpBlock,
        {"channels": 8, "attention_heads": 2, "dropout": 0.25, "scale_shift": True},
        [MAP, (2, 4, 6, 4), CONDITION],
    ),
    "Downsample": (blocks.Downsample, {"channels": 8}, [MAP]),
    "Downsample symmetric": (blocks.Downsample, {"channels": 8, "symmetric": True}, [MAP]),
    "Upsample": (blocks.Upsample, {"channels": 8}, [MAP]),
    "SpaceToDepth": (blocks.SpaceToDepth, {"patch_size": 2}, [MAP]),
    "DepthToSpace": (blocks.DepthToSpace, {"patch_size": 2}, [MAP]),
}


def _inputs(shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [
        rng.normal(size=shape).astype("float32")
        if len(shape) > 1
        else rng.integers(0, 3, size=shape).astype("int32")
        for shape in shapes
    ]


def _randomise(layer, seed=1):
    """Zero-initialised weights hide what a layer does."""
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.normal(size=w.shape, scale=0.3) for w in layer.get_weights()])


@pytest.mark.parametrize("case", CASES)
def test_the_config_returns_every_argument_that_was_passed(case):
    layer_class, arguments, _ = CASES[case]
    config = layer_class(**arguments, name="of_mine").get_config()
    assert {name: config[name] for name in arguments} == arguments
    assert config["name"] == "of_mine"


@pytest.mark.parametrize("case", CASES)
def test_a_layer_serialised_and_back_computes_the_same(case):
    layer_class, arguments, shapes = CASES[case]
    layer = layer_class(**arguments)
    inputs = _inputs(shapes)
    layer(*inputs)
    _randomise(layer)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    copy(*inputs)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copy(*inputs), layer(*inputs))


@pytest.mark.parametrize("case", CASES)
def test_shapes_are_what_compute_output_shape_says(case):
    layer_class, arguments, shapes = CASES[case]
    layer = layer_class(**arguments)
    assert layer(*_inputs(shapes)).shape == layer.compute_output_shape(*shapes)


@pytest.mark.parametrize("case", CASES)
def test_mixed_precision_computes_in_bfloat16_and_stays_close(case):
    layer_class, arguments, shapes = CASES[case]
    inputs = _inputs(shapes)
    exact, half = layer_class(**arguments), layer_class(**arguments, dtype="mixed_bfloat16")
    exact(*inputs), half(*inputs)
    _randomise(exact)
    half.set_weights(exact.get_weights())
    result = half(*inputs)
    assert keras.backend.standardize_dtype(result.dtype) == "bfloat16"
    assert all(variable.dtype == "float32" for variable in half.trainable_variables)
    want = np.asarray(exact(*inputs))
    error = np.abs(np.asarray(result, "float32") - want).max()
    assert error < 0.05 * np.abs(want).max() + 0.05


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


@pytest.mark.parametrize("channels", [0, 5])
def test_an_odd_or_empty_embedding_is_refused(channels):
    with pytest.raises(ValueError, match="`channels` must be even"):
        embeddings.TimestepEmbedding(channels)


@pytest.mark.parametrize(("channels", "groups"), [(16, 4), (128, 32), (192, 32), (3, 1), (64, 16)])
def test_group_norm_equals_keras_with_groups_of_four_channels_or_more(channels, groups):
    x = np.random.default_rng(0).normal(3.0, 2.0, (2, 4, 5, channels)).astype("float32")
    ours, theirs = normalisation.GroupNorm(), keras.layers.GroupNormalization(groups, epsilon=1e-6)
    np.testing.assert_allclose(ours(x), theirs(x), atol=2e-5)


def test_group_norm_adds_its_shift_to_the_map_first():
    rng = np.random.default_rng(0)
    x = rng.normal(3.0, 2.0, (2, 4, 5, 16)).astype("float32")
    shift = rng.normal(-1.0, 2.0, (2, 16)).astype("float32")
    norm = normalisation.GroupNorm()
    np.testing.assert_allclose(norm(x, shift), norm(x + shift[:, None, None, :]), atol=2e-5)


def test_group_norm_scales_and_shifts_its_result_by_the_modulation():
    x, _, modulation = _inputs([MAP, CONDITION, (2, 32)])
    norm = normalisation.GroupNorm()
    gain, bias = (half[:, None, None, :] for half in np.split(modulation, 2, axis=-1))
    expected = np.asarray(norm(x)) * (1 + gain) + bias
    np.testing.assert_allclose(norm(x, modulation=modulation), expected, atol=2e-5)


@pytest.mark.parametrize("arguments", [{}, {"use_bias": False, "activation": "relu"}])
def test_a_pointwise_dense_layer_equals_dense(arguments):
    x = _inputs([MAP])[0]
    ours, theirs = pointwise.PointwiseDense(6, **arguments), keras.layers.Dense(6, **arguments)
    ours(x), theirs(x)
    _randomise(theirs)
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-5)


def test_group_norm_survives_a_constant_map():
    assert np.all(np.isfinite(normalisation.GroupNorm()(np.full((1, 4, 4, 8), 1e3, "float32"))))


@pytest.mark.parametrize("channels", [8, 32, 64, 128])
def test_a_block_hears_its_condition_at_every_width(channels):
    """Normalising too few channels together would subtract what the condition has just added."""
    block = residual.ResidualBlock(channels)
    x = np.random.default_rng(0).normal(size=(1, 4, 4, channels)).astype("float32")
    conditions = np.random.default_rng(1).normal(size=(2, 1, 12)).astype("float32")
    block(x, conditions[0])
    _randomise(block)
    here, there = (np.asarray(block(x, condition)) for condition in conditions)
    assert np.std(here - there) > 0.1 * np.std(here)  # it was 2e-6 with one channel a group


@pytest.mark.parametrize("layer_class", [residual.ResidualBlock, attention.SelfAttention2D])
def test_residual_layers_start_as_the_identity(layer_class):
    x, condition = _inputs([MAP, CONDITION])
    if layer_class is residual.ResidualBlock:
        np.testing.assert_array_equal(layer_class(MAP[-1])(x, condition), x)
    else:
        np.testing.assert_array_equal(layer_class()(x), x)


def test_dropout_acts_in_training_only():
    x, condition = _inputs([MAP, CONDITION])
    block = residual.ResidualBlock(MAP[-1], dropout=0.5)
    block(x, condition)
    _randomise(block)
    still = [np.asarray(block(x, condition, training=False)) for _ in range(2)]
    moving = [np.asarray(block(x, condition, training=True)) for _ in range(2)]
    np.testing.assert_array_equal(*still)
    assert np.abs(moving[0] - moving[1]).max() > 0.1


@pytest.mark.parametrize("form", attention.SelfAttention2D.FORMS)
@pytest.mark.parametrize("heads", [1, 4])
def test_attention_equals_a_second_implementation(heads, form):
    x, size = _inputs([MAP])[0], MAP[-1] // heads
    layer = attention.SelfAttention2D(heads)
    layer.form = form
    layer(x)
    _randomise(layer)
    normed = np.asarray(layer.norm(x)).reshape(2, 24, 16)
    query, key, value = (
        np.asarray(dense(normed)).reshape(2, 24, heads, size)
        for dense in (layer.query, layer.key, layer.value)
    )
    attended = np.zeros((2, 24, heads, size))
    for image, place, head in np.ndindex(2, 24, heads):
        scores = key[image, :, head] @ query[image, place, head] / np.sqrt(size)
        weights = np.exp(scores - scores.max())
        attended[image, place, head] = weights / weights.sum() @ value[image, :, head]
    kernel, bias = layer.project.get_weights()
    want = x + (attended.reshape(2, 24, 16) @ kernel + bias).reshape(MAP)
    np.testing.assert_allclose(layer(x), want, atol=1e-5)


def test_heads_that_do_not_divide_the_channels_are_refused():
    with pytest.raises(ValueError, match="`heads` must divide"):
        attention.SelfAttention2D(heads=3).build(MAP)
