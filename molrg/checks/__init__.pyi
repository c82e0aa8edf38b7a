from .scalars import (
    count as count,
    installed as installed,
    one_of as one_of,
    real as real,
    require as require,
)
from .tensors import (
    at_least_single as at_least_single,
    deviation_from_orthonormal as deviation_from_orthonormal,
    finite as finite,
    flat_events as flat_events,
    magnitude as magnitude,
    orthonormal as orthonormal,
    orthonormal_each as orthonormal_each,
    points as points,
    probabilities as probabilities,
    scaled as scaled,
)
