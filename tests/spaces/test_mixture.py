"""What a search says of its edges, as it is kept for people."""

import json

import numpy as np
import pytest

from moonas.spaces.mixture import mixture_from_json, mixture_to_json
from moonas.spaces.space import make_space

SPACE = make_space({"name": "darts-cnn", "nodes": 1, "operations": ["none", "skip_connect", "sep_conv_3x3"]})
EVEN = np.full((2, 3), 1 / 3)


def test_probabilities_are_kept_with_three_decimals_and_dropped_operations_as_null():
    probabilities = {"normal": EVEN, "reduce": np.array([[0.0, 0.12345, 0.87655], [0.25, 0.25, 0.5]])}
    scores = {"normal": np.zeros((2, 3)), "reduce": np.array([[-np.inf, -2.0, -0.1], [-1.4, -1.4, -0.7]])}
    data = mixture_to_json(probabilities, scores, {"normal": np.array([0.5, 0.5]), "reduce": np.array([0.3004, 0.6996])})
    assert json.loads(json.dumps(data, allow_nan=False))["reduce"] == {
        "operations": [[None, 0.123, 0.877], [0.25, 0.25, 0.5]],
        "edges": [0.3, 0.7],
    }
    read = mixture_from_json(SPACE, data)
    assert np.isnan(read["reduce"].operations).tolist() == [[True, False, False], [False] * 3]
    assert read["reduce"].edges.tolist() == [0.3, 0.7]


def test_where_no_edge_weights_are_learned_none_are_kept():
    data = mixture_to_json({"normal": EVEN, "reduce": EVEN}, {"normal": EVEN, "reduce": EVEN}, None)
    assert data["normal"] == {"operations": [[0.333] * 3] * 2}
    assert mixture_from_json(SPACE, data)["normal"].edges is None


@pytest.mark.parametrize(
    "data",
    [
        {"normal": {"operations": [[0.5, 0.5, 0.0]] * 2}},
        {"normal": {"operations": [[1.0]]}, "reduce": {"operations": [[1.0]]}},
        {"normal": {"operations": EVEN.tolist()}, "reduce": {"operations": EVEN.tolist(), "edges": [1.0]}},
        {"normal": {"operations": EVEN.tolist()}, "reduce": {"operations": [["a", 0.5, 0.5]] * 2}},
    ],
    ids=["a group is missing", "another shape", "other edges", "no numbers"],
)
def test_what_is_no_mixture_of_the_space_is_refused(data):
    with pytest.raises(ValueError):
        mixture_from_json(SPACE, data)
