"""An ONNX graph while it is put together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

# Versions of ONNX's own operators, of those for machine learning, and of the file format that goes with them.
OPSET, ML_OPSET, IR = 21, 5, 10


@dataclass
class Graph:
    """Nodes and constants under names that are made here; (rows, features) float64 come in as ``rows``."""

    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def add(self, operator: str, inputs: Sequence[str], domain: str = "", **attributes: Any) -> str:
        """Add an operator; return the name of its output."""
        # No converter's name begins like this, so that the nodes of other models can be taken over as they are.
        name = f"byoc.{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name, domain=domain, **attributes))
        return name

    def constant(self, value: NDArray[Any]) -> str:
        """Add a constant; return its name."""
        name = f"byoc.constant.{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def absorb(self, model: Any, features: str) -> None:
        """Add the nodes of another model, which these features go into, under their own names."""
        (source,) = model.graph.input
        self.nodes.append(helper.make_node("Identity", [features], [source.name]))
        self.nodes.extend(model.graph.node)
        self.constants.extend(model.graph.initializer)

    def model(self, features: int, outputs: Mapping[str, str], types: Mapping[str, int]) -> Any:
        """Return the finished model.

        Args:
            features: the number of columns.
            outputs: by the name it is to have, the name of what becomes an output.
            types: the element types of outputs that are not float64.

        """
        renamed = [helper.make_node("Identity", [inner], [name]) for name, inner in outputs.items() if inner != name]
        told = [helper.make_tensor_value_info(name, types.get(name, TensorProto.DOUBLE), None) for name in outputs]
        rows = helper.make_tensor_value_info("rows", TensorProto.DOUBLE, [None, features])
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
        graph = helper.make_graph([*self.nodes, *renamed], "model", [rows], told, self.constants)
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR)
