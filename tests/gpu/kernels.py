"""Comparison of TensorFlow graphs with the kernels that the installed TensorFlow has for GPUs; no device is needed.

TensorFlow's builds for CUDA register their GPU kernels where the library is loaded, whether or not there is a GPU.
"""

import functools
from collections import defaultdict

import tensorflow as tf
from tensorflow.python.framework import function_def_to_graph, kernels

GPU = ("GPU", "DEFAULT")  # a kernel for the device type DEFAULT runs on every device
XLA_GPU = ("XLA_GPU_JIT",)  # XLA's compilations of operations; registered once a function has been compiled
_MUST_COMPILE = "_XlaMustCompile"
_ARGUMENTS = {"Placeholder"}  # of the traced function, computed by no kernel


def has_gpu_kernels() -> bool:
    """Return whether the installed TensorFlow was built with GPU kernels."""
    return tf.test.is_built_with_cuda()


@functools.cache
def registered_kernels(device_types):
    """Return a dictionary from operation to the attribute constraints of each of its kernels.

    A kernel's constraints are {name of a type attribute: allowed types}.
    """
    if device_types == XLA_GPU:
        tf.function(lambda: tf.constant(1.0) + 1, jit_compile=True)()
    by_operation = defaultdict(list)
    for kernel in kernels.get_all_registered_kernels().kernel:
        if kernel.device_type in device_types and not kernel.label:
            by_operation[kernel.op].append({c.name: set(c.allowed_values.list.type) for c in kernel.constraint})
    return dict(by_operation)


def without_gpu_kernel(graph_def, compiled=False):
    """Return a description of each operation in a graph and its functions that has no GPU kernel for its types.

    Operations of functions that XLA compiles are looked up among those that XLA compiles for GPUs.

    Args:
        graph_def: of the training step, with its library of functions, which hold the gradients too.
        compiled: whether XLA compiles the whole graph, too.
    """
    functions = {function.signature.name: function for function in graph_def.library.function}
    by_xla = set(functions) if compiled else _compiled_functions(graph_def, functions)
    missing = {_lack(node, XLA_GPU if compiled else GPU, functions) for node in graph_def.node}
    for name, function in functions.items():
        missing |= {_lack(node, XLA_GPU if name in by_xla else GPU, functions) for node in function.node_def}
    return sorted(missing - {None})


def operations(graph_def):
    """Return the names of all operations in a graph and in its functions."""
    nodes = [*graph_def.node, *(node for function in graph_def.library.function for node in function.node_def)]
    return {node.op for node in nodes}


def kernel_shapes(graph_def):
    """Return the shapes of the kernels of all convolutions in a graph and its functions, where they are known."""
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(graph_def, name="")
    library = [function_def_to_graph.function_def_to_graph(f) for f in graph_def.library.function]
    convolutions = [op for g in (graph, *library) for op in g.get_operations() if op.type == "Conv2D"]
    return [op.inputs[1].shape.as_list() for op in convolutions if op.inputs[1].shape.rank is not None]


def _compiled_functions(graph_def, functions):
    """Return the names of the functions that XLA compiles, and of those that these call."""
    nodes = [*graph_def.node, *(node for function in functions.values() for node in function.node_def)]
    compiled = {name for name, function in functions.items() if function.attr[_MUST_COMPILE].b}
    compiled |= {name for node in nodes if node.attr[_MUST_COMPILE].b for name in _called(node, functions)}
    waiting = list(compiled)
    while waiting:
        for node in functions[waiting.pop()].node_def:
            new = _called(node, functions) - compiled
            compiled |= new
            waiting += new
    return compiled


def _called(node, functions):
    names = {node.op}
    for attribute in node.attr.values():
        names |= {attribute.func.name, *(function.name for function in attribute.list.func)}
    return names & set(functions)


def _lack(node, device_types, functions):
    """Describe an operation that has no kernel on a device for its types; return None if it has one."""
    if node.op in functions or node.op in _ARGUMENTS:
        return None
    choices = registered_kernels(device_types).get(node.op, [])
    types = {name: tf.dtypes.as_dtype(a.type).name for name, a in node.attr.items() if a.WhichOneof("value") == "type"}
    if any(_fits(constraints, node) for constraints in choices):
        return None
    place = "in a function that XLA compiles" if device_types == XLA_GPU else "on a GPU"
    return f"{node.op} {types}: {'no kernel for these types' if choices else 'no kernel'} {place}"


def _fits(constraints, node):
    for name, allowed in constraints.items():
        value = node.attr[name]
        types = set(value.list.type) if value.WhichOneof("value") == "list" else {value.type}
        if not types <= allowed:
            return False
    return True
