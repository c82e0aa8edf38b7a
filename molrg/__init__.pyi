from . import (
    checks as checks,
    claims as claims,
    companion as companion,
    denoisers as denoisers,
    dimension as dimension,
    draws as draws,
    editing as editing,
    files as files,
    hierarchy as hierarchy,
    images as images,
    interrupts as interrupts,
    jacobian as jacobian,
    memorization as memorization,
    mixture as mixture,
    plots as plots,
    provenance as provenance,
    sampling as sampling,
    schedules as schedules,
    stats as stats,
    studies as studies,
    subspaces as subspaces,
    sweeps as sweeps,
    training as training,
    zoo as zoo,
)
from .mixture import MoLRG as MoLRG

__version__: str
