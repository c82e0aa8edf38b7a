from . import (
    checks as checks,
)
from . import (
    claims as claims,
)
from . import (
    companion as companion,
)
from . import (
    denoisers as denoisers,
)
from . import (
    dimension as dimension,
    draws as draws,
)
from . import (
    editing as editing,
)
from . import (
    hierarchy as hierarchy,
)
from . import (
    images as images,
)
from . import (
    jacobian as jacobian,
)
from . import (
    memorization as memorization,
)
from . import (
    mixture as mixture,
)
from . import (
    plots as plots,
)
from . import (
    provenance as provenance,
)
from . import (
    sampling as sampling,
)
from . import (
    schedules as schedules,
)
from . import (
    stats as stats,
)
from . import (
    studies as studies,
)
from . import (
    subspaces as subspaces,
)
from . import (
    sweeps as sweeps,
)
from . import (
    training as training,
)
from . import (
    zoo as zoo,
)
from .mixture import MoLRG as MoLRG

__version__: str
