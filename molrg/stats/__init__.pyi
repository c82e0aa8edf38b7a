from .intervals import (
    bootstrap as bootstrap,
    positive as positive,
    wilson as wilson,
)
from .success_maps import (
    BoundaryLine as BoundaryLine,
    SuccessMap as SuccessMap,
    boundary_line as boundary_line,
    first_success as first_success,
    succeeded as succeeded,
    tolerance as tolerance,
)
from .summaries import (
    Summary as Summary,
    holm as holm,
)
from .transitions import (
    Transition as Transition,
    crossing as crossing,
    fit_transition as fit_transition,
)
