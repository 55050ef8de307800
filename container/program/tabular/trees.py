"""Trees of scikit-learn's as one ONNX operator each ten thousand nodes, in float64 and equal to the bit.

The common converters write thresholds as float32, so that a row that stands on a split may go the other way. The
operator ``TreeEnsemble`` of ai.onnx.ml 5 takes float64, and then nothing is rounded: where scikit-learn itself rounds
the features to float32 first (all trees but histogram gradient boosting), so does the graph; then both compare the
same float64 numbers. Trees are summed in scikit-learn's own order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from tabular.graph import Graph

# The operator walks each row through all its trees; what fits a CPU's cache is walked twice as fast.
NODES_TOGETHER = 10_000
# Modes of nodes: go to the true branch where the feature is at most the split; where it is a member of a set.
AT_MOST, MEMBER = 0, 6
# What becomes of the numbers that the leaves found have for one output.
SUM = 1
# No category has this number; a set may not be empty.
NOBODY = -9.0


@dataclass(frozen=True)
class Tree:
    """One tree, an entry a node in each array.

    Attributes:
        feature: the position of the feature that is compared.
        threshold: rows with at most as much go left.
        left, right: the nodes' numbers.
        leaf: whether the node is one.
        missing_left: whether a missing value goes left.
        value: (nodes, outputs) what a leaf answers.
        members: by node, the categories that go left, where the feature is one.

    """

    feature: NDArray[Any]
    threshold: NDArray[np.float64]
    left: NDArray[Any]
    right: NDArray[Any]
    leaf: NDArray[np.bool_]
    missing_left: NDArray[Any]
    value: NDArray[np.float64]
    members: dict[int, list[float]] = field(default_factory=dict)


def constant(value: float) -> Tree:
    """Return a tree that answers the same for all rows."""
    alone = np.zeros(1, dtype=np.int64)
    return Tree(alone, np.zeros(1), alone, alone, np.array([True]), alone, np.array([[value]]))


def of_tree(tree: Any, factor: float = 1.0) -> Tree:
    """Return the tree in an estimator's ``tree_``, its answers times a factor."""
    return Tree(
        tree.feature,
        tree.threshold,
        tree.children_left,
        tree.children_right,
        tree.children_left == -1,
        tree.missing_go_to_left,
        factor * tree.value[:, 0, :],
    )


def of_predictor(predictor: Any) -> Tree:
    """Return the tree in one of histogram gradient boosting's predictors."""
    nodes = predictor.nodes
    members = {}
    for number in np.flatnonzero(nodes["is_categorical"]):
        words = predictor.raw_left_cat_bitsets[nodes[number]["bitset_idx"]]
        bits = np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little")
        members[int(number)] = np.flatnonzero(bits).astype(float).tolist() or [NOBODY]
    return Tree(
        nodes["feature_idx"],
        nodes["num_threshold"],
        nodes["left"],
        nodes["right"],
        nodes["is_leaf"].astype(bool),
        nodes["missing_go_to_left"],
        nodes["value"][:, None],
        members,
    )


def mean(graph: Graph, trees: Sequence[Tree], features: str) -> str:
    """Add the mean of the trees' answers; return the name of its (rows, outputs)."""
    count = graph.constant(np.array(float(len(trees))))
    if all(map(_is_a_vote, trees)):
        # Votes are counted without rounding, in any order, and those for the first class are what is left of them.
        second = [(tree, tree.value[:, 1]) for tree in trees]
        parts = [
            _ensemble(graph, second[group.start : group.stop], [0] * len(group), 1, features)
            for group in _groups(trees)
        ]
        votes = parts[0] if len(parts) == 1 else graph.add("Sum", parts)
        total = graph.add("Concat", [graph.add("Sub", [count, votes]), votes], axis=1)
    else:
        total = _total(graph, trees, features)
    return graph.add("Div", [total, count])


def _is_a_vote(tree: Tree) -> bool:
    """Tell whether each leaf answers one of two classes, for certain."""
    leaves = tree.value[tree.leaf]
    return leaves.shape[1] == 2 and bool(np.isin(leaves, (0.0, 1.0)).all())  # noqa: PLR2004


def _total(graph: Graph, trees: Sequence[Tree], features: str) -> str:
    """Add the sum of the trees' answers, in scikit-learn's order; return the name of its (rows, outputs).

    Each tree finds its leaf's number, and a table has the leaves' answers: an operator's leaf holds one number only.
    """
    first, found = 0, []
    for group in _groups(trees):
        numbered = []
        for tree in trees[group.start : group.stop]:
            values = np.zeros(len(tree.leaf))
            values[tree.leaf] = np.arange(first, first + tree.leaf.sum())
            first += int(tree.leaf.sum())
            numbered.append((tree, values))
        found.append(_ensemble(graph, numbered, range(len(group)), len(group), features))
    leaves = found[0] if len(found) == 1 else graph.add("Concat", found, axis=1)
    table = graph.constant(np.concatenate([tree.value[tree.leaf] for tree in trees]))
    answers = graph.add("Gather", [table, graph.add("Cast", [leaves], to=TensorProto.INT64)])
    return graph.add("ReduceSum", [answers, graph.constant(np.array([1]))], keepdims=0)


def sum_of(graph: Graph, trees: Sequence[Tree], outputs: int, features: str) -> str:
    """Add the sum of the trees' numbers, tree by tree to one output after the other; return its (rows, outputs)."""
    numbered = [(tree, tree.value[:, 0]) for tree in trees]
    return _ensemble(graph, numbered, [number % outputs for number in range(len(trees))], outputs, features)


def _groups(trees: Iterable[Tree]) -> list[range]:
    """Return the positions of trees that go into one operator together."""
    groups: list[range] = []
    room = 0
    for number, tree in enumerate(trees):
        if len(tree.leaf) > room:
            groups.append(range(number, number))
            room = NODES_TOGETHER
        groups[-1] = range(groups[-1].start, number + 1)
        room -= len(tree.leaf)
    return groups


def _ensemble(
    graph: Graph,
    trees: Sequence[tuple[Tree, NDArray[np.float64]]],
    targets: Sequence[int] | range,
    outputs: int,
    features: str,
) -> str:
    """Add an operator of these trees and their leaves' numbers, each tree adding to its target."""
    parts: dict[str, list[NDArray[Any]]] = {}
    roots, sets = [], []
    inner = leaves = 0
    for (tree, values), target in zip(trees, targets, strict=True):
        roots.append(inner)
        for name, part in _nodes(tree, inner, leaves).items():
            parts.setdefault(name, []).append(part)
        parts.setdefault("leaf_weights", []).append(values[tree.leaf])
        parts.setdefault("leaf_targetids", []).append(np.full(tree.leaf.sum(), target))
        sets += [number for members in tree.members.values() for number in (*members, np.nan)]
        inner += len(parts["nodes_modes"][-1])
        leaves += int(tree.leaf.sum())
    joined = {name: np.concatenate(part) for name, part in parts.items()}
    attributes: dict[str, Any] = {
        name: numpy_helper.from_array(array.astype(np.uint8 if name == "nodes_modes" else np.float64), name)
        if name in ("nodes_modes", "nodes_splits", "leaf_weights")
        else array.astype(np.int64).tolist()
        for name, array in joined.items()
    }
    if sets:
        attributes["membership_values"] = numpy_helper.from_array(np.array(sets), "membership_values")
    attributes |= {"n_targets": outputs, "aggregate_function": SUM, "tree_roots": roots}
    return graph.add("TreeEnsemble", [features], "ai.onnx.ml", **attributes)


def _nodes(tree: Tree, inner: int, leaves: int) -> dict[str, NDArray[Any]]:
    """Return the operator's arrays of one tree, behind so many inner nodes and leaves of the trees before it.

    Inner nodes and leaves are numbered apart. A tree that is a leaf becomes a node with that leaf on either side.
    """
    if len(tree.leaf) == 1:
        return {
            **dict.fromkeys(
                ("nodes_featureids", "nodes_splits", "nodes_modes", "nodes_missing_value_tracks_true"), np.zeros(1)
            ),
            **dict.fromkeys(("nodes_truenodeids", "nodes_falsenodeids"), np.array([leaves])),
            **dict.fromkeys(("nodes_trueleafs", "nodes_falseleafs"), np.ones(1)),
        }
    number = np.empty(len(tree.leaf), dtype=np.int64)
    number[tree.leaf] = leaves + np.arange(tree.leaf.sum())
    number[~tree.leaf] = inner + np.arange((~tree.leaf).sum())
    member = np.zeros(len(tree.leaf), dtype=bool)
    member[list(tree.members)] = True
    left, right = tree.left[~tree.leaf], tree.right[~tree.leaf]
    return {
        "nodes_featureids": tree.feature[~tree.leaf],
        "nodes_splits": np.where(member, 0.0, tree.threshold)[~tree.leaf],
        "nodes_modes": np.where(member, MEMBER, AT_MOST)[~tree.leaf],
        "nodes_missing_value_tracks_true": tree.missing_left[~tree.leaf],
        "nodes_truenodeids": number[left],
        "nodes_falsenodeids": number[right],
        "nodes_trueleafs": tree.leaf[left],
        "nodes_falseleafs": tree.leaf[right],
    }
