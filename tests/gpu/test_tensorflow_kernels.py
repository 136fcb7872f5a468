"""Training steps that TensorFlow builds where it sees a GPU: every operation has a GPU kernel for its types.

The graphs are traced, not run, so these tests need no GPU, only a TensorFlow that was built with GPU kernels.
"""

import keras
import pytest
import tensorflow as tf

import encapnet_tf as en
from encapnet_tf.ops.acceleration import on_tensorflow
from tests.core.conformance.rows import LAYERS, MODELS, joined_layers, named
from tests.core.conformance.test_precision import first_of_each_class
from tests.gpu.kernels import has_gpu_kernels, kernel_shapes, operations, without_gpu_kernel

pytestmark = pytest.mark.skipif(not has_gpu_kernels(), reason="this TensorFlow was built without GPU kernels")


@pytest.fixture(autouse=True)
def _gpu_is_visible(monkeypatch):
    """Have the library build its graphs as it does where TensorFlow sees a GPU."""
    monkeypatch.setattr(on_tensorflow, "has_gpu", lambda: True)


def training_graph(model, loss, optimizer="adam"):
    """Return the graph of a model's training step as `fit` traces it without XLA, gradients and update included."""
    model.compile(optimizer, loss, jit_compile=False)
    images = [tf.TensorSpec((4, *x.shape[1:])) for x in model.inputs]
    x = images[0] if len(images) == 1 else tuple(images)
    y = tf.TensorSpec((4, *model.output_shape[1:])) if loss == "mse" else tf.TensorSpec((4,), tf.int32)
    model.optimizer.build(model.trainable_variables)
    step = tf.function(lambda x, y: model.train_step((x, y)), autograph=False)
    return step.get_concrete_function(x, y).graph.as_graph_def()


def small_network(**options):
    options = {"routing": ("master", "master_aide"), "strides": (1, 2), "num_capsules": 2, **options}
    return en.models.EncapNet((8, 6, 3), 3, depths=(0, 1), capsule_dims=(2, 4), **options)


def assert_runs_on_gpus(graph_def):
    assert without_gpu_kernel(graph_def) == []
    # With jit_compile="auto", Keras's default, XLA compiles the whole step where there is a GPU.
    assert without_gpu_kernel(graph_def, compiled=True) == []


def test_both_routings_with_a_unit():
    graph_def = training_graph(small_network(feedback="half"), en.losses.MarginLoss())
    assert_runs_on_gpus(graph_def)
    gradients = {"Conv2DBackpropFilter", "Conv2DBackpropInput", "SqrtGrad"}
    assert operations(graph_def) >= {*gradients, "StatelessWhile", "ResourceApplyAdam"}


def test_grouped_convolutions_are_not_those_for_cpus(monkeypatch):
    """Those of small groups are dense, with zeros between groups, and those of large groups are TensorFlow's own."""
    layers = [en.layers.GroupedConv2D(filters=filters, kernel_size=3, groups=3) for filters in (48, 51)]
    model = keras.Sequential([keras.Input((6, 5, 6)), *layers])
    on_gpu = kernel_shapes(training_graph(model, "mse"))
    assert [3, 3, 6, 48] in on_gpu
    assert [3, 3, 16, 51] in on_gpu
    monkeypatch.setattr(on_tensorflow, "has_gpu", lambda: False)
    on_cpu = kernel_shapes(training_graph(model, "mse"))
    assert [3, 3, 6, 48] not in on_cpu
    assert [3, 3, 16, 51] not in on_cpu


def test_costs_are_computed_in_full_precision():
    """TensorFlow rounds factors in float32 to TF32 on a GPU, which the Sinkhorn kernel would amplify."""
    points = tf.TensorSpec((5, 3))
    (product,) = [n for n in graph_of(en.ops.pairwise_cost, points, points).node if "MatMul" in n.op]
    assert product.attr["T"].type == tf.float64.as_datatype_enum
    assert en.ops.pairwise_cost([[3.0, 4.0]], [[3.0, 4.0], [-4.0, 3.0]]).numpy().tolist() == [[0.0, 1.0]]


def graph_of(function, *specifications):
    return tf.function(function).get_concrete_function(*specifications).graph.as_graph_def()


def test_what_has_no_kernel_is_found():
    whole, real = tf.TensorSpec((2, 2), tf.int32), tf.TensorSpec((2, 2))
    assert without_gpu_kernel(graph_of(tf.matmul, real, real)) == []
    lack_of_whole_numbers = "MatMul {'T': 'int32'}: no kernel for these types on a GPU"
    assert without_gpu_kernel(graph_of(tf.matmul, whole, whole)) == [lack_of_whole_numbers]
    (lack,) = without_gpu_kernel(graph_of(tf.strings.as_string, real))
    assert lack.startswith("AsString")
    assert lack.endswith("no kernel on a GPU")
    branch = graph_of(lambda x: tf.cond(x[0, 0] > 0, lambda: tf.matmul(x, x), lambda: x), whole)
    assert without_gpu_kernel(branch) == [lack_of_whole_numbers]  # in a function of the library
    compiled = tf.function(lambda x: tf.strings.as_string(x), jit_compile=True)
    lacks = without_gpu_kernel(graph_of(lambda x: compiled(x), real))
    assert lacks[0].startswith("AsString")
    assert lacks[0].endswith("no kernel in a function that XLA compiles")


@pytest.mark.ci
@pytest.mark.parametrize(("routing", "feedback"), [("master", None), ("master_aide", "two")])
def test_encapnet18(routing, feedback):
    network = en.models.EncapNet18(routing=routing, feedback=feedback)
    assert_runs_on_gpus(training_graph(network, en.losses.MarginLoss()))


@pytest.mark.ci
@pytest.mark.parametrize("routing", ["dynamic", "em"])
def test_capnet(routing):
    network = en.models.CapNet((16, 14, 3), 3, routing=routing, num_capsules=2)
    assert_runs_on_gpus(training_graph(network, en.losses.SpreadLoss(0.2)))


@pytest.mark.ci
@pytest.mark.parametrize(("policy", "feedback"), [("mixed_float16", None), ("mixed_bfloat16", "half")])
def test_half_precision(policy, feedback):
    keras.config.set_dtype_policy(policy)
    assert_runs_on_gpus(training_graph(small_network(feedback=feedback), en.losses.MarginLoss()))


@pytest.mark.ci
@pytest.mark.parametrize("optimizer", [en.optimizers.AdamL2, en.optimizers.SGDL2])
def test_optimizers(optimizer):
    network = small_network(routing="master")
    assert_runs_on_gpus(training_graph(network, en.losses.MarginLoss(), optimizer(1e-3)))


@pytest.mark.ci
def test_every_layer():
    assert_runs_on_gpus(training_graph(joined_layers(first_of_each_class(LAYERS)), "mse"))


@pytest.mark.ci
@pytest.mark.parametrize("row", [row for row in first_of_each_class(MODELS) if "_capsnet" in row.name], ids=named)
def test_networks_of_other_papers(row):
    assert_runs_on_gpus(training_graph(row.model(), en.losses.MarginLoss()))
