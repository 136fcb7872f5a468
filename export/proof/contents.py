"""What is inside an artefact, listed; and what must not be."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from ...trainers.runs.errors import UserError

_STORED = "/.ATTRIBUTES/VARIABLE_VALUE"
_JITTED = ("_XlaMustCompile", "_XlaCompile", "jit_compile")


@dataclass(frozen=True)
class Contents:
    """Names of an artefact's variables and nodes (tensors, in LiteRT), and what it computes with.

    Attributes:
        variables: as the trained model names them.
        nodes: of all functions.
        operations: type -> how often.
        jitted: nodes and functions that XLA has to compile.
        inputs, outputs: of a SavedModel: signature -> name -> tensor's name in the graph.
        types: of a LiteRT model: the tensors' types.
    """

    variables: tuple[str, ...]
    nodes: tuple[str, ...]
    operations: Counter
    jitted: tuple[str, ...] = ()
    inputs: dict = None
    outputs: dict = None
    types: frozenset = frozenset()

    @classmethod
    def of_saved_model(cls, path) -> "Contents":
        """Reads a SavedModel's files; nothing of it is run."""
        from tensorflow.core.protobuf import saved_model_pb2

        file = saved_model_pb2.SavedModel.FromString((Path(path) / "saved_model.pb").read_bytes())
        (meta,) = file.meta_graphs
        functions = meta.graph_def.library.function
        nodes = [*meta.graph_def.node, *(node for function in functions for node in function.node_def)]
        jitted = [node.name for node in nodes if node.op.startswith("Xla") or _must_compile(node.attr)]
        jitted += [function.signature.name for function in functions if _must_compile(function.attr)]
        stored = [name for name, _ in tf.train.list_variables(f"{path}/variables/variables")]
        signatures = {name: of for name, of in meta.signature_def.items() if not name.startswith("_")}
        return cls(
            tuple(_own_name(name) for name in stored if name.endswith(_STORED)),
            tuple(node.name for node in nodes),
            Counter(node.op for node in nodes),
            tuple(jitted),
            {name: {key: tensor.name for key, tensor in of.inputs.items()} for name, of in signatures.items()},
            {name: {key: tensor.name for key, tensor in of.outputs.items()} for name, of in signatures.items()},
        )

    @classmethod
    def of_lite(cls, path) -> "Contents":
        """Reads a .tflite file; nothing of it is run."""
        from ai_edge_litert import schema_py_generated as schema

        model = schema.ModelT.InitFromPackedBuf(Path(path).read_bytes(), 0)
        named = {
            kind: {value: name for name, value in vars(kind).items() if isinstance(value, int)}
            for kind in (schema.BuiltinOperator, schema.TensorType)
        }
        if custom := [code.customCode.decode() for code in model.operatorCodes if code.customCode]:
            raise UserError(f"{path} needs operations that LiteRT has not built in: {', '.join(custom)}.", status=1)
        # Codes up to 127 stand in an older field too, and in very old files there alone.
        codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
        names = [named[schema.BuiltinOperator][code] for code in codes]
        tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
        operations = Counter(names[operator.opcodeIndex] for graph in model.subgraphs for operator in graph.operators)
        return cls(
            (),
            tuple(tensor.name.decode() for tensor in tensors),
            operations,
            types=frozenset(named[schema.TensorType][tensor.type] for tensor in tensors),
        )

    def refuse(self, what, units):
        """Checks that no feedback unit and nothing jitted is left.

        Args:
            what: what to call the artefact.
            units: names of the trained model's feedback units.

        Raises:
            UserError: something is.
        """
        if units:
            unit = re.compile(rf"(^|[/;:.])({'|'.join(map(re.escape, units))})(_\d+)?($|[/;:.])")
            if left := [name for name in (*self.variables, *self.nodes) if unit.search(name)]:
                raise UserError(f"{what} still holds feedback units: {', '.join(left[:5])}.", status=1)
        if self.jitted:
            raise UserError(
                f"{what} holds functions that only XLA runs: {', '.join(self.jitted[:5])}. Keras makes one of each "
                "keras.layers.Conv2D with groups; encapnet_tf.layers.GroupedConv2D makes none.",
                status=1,
            )

    def to_json(self) -> dict:
        listed = {"operations": dict(sorted(self.operations.items()))}
        return {"variables": list(self.variables), **listed} if self.variables else listed


def _must_compile(attributes):
    return any(attributes[key].b or bool(attributes[key].s) for key in _JITTED if key in attributes)


def _own_name(stored):
    """weights/stem.Skernel/.ATTRIBUTES/VARIABLE_VALUE -> stem/kernel."""
    return stored.removeprefix("weights/").removesuffix(_STORED).replace(".S", "/").replace("..", ".")
