"""A stage by its declaration: what `vigia worker` starts.

Each stage has a function `build(settings, serde, declared)`: in `build.py` of its folder here, or, where the stage is
one module, in that. Nothing else is registered.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from schemas.events import Lane
from schemas.serde import Serde
from streams.pipeline import STAGES, StageDeclaration
from streams.runtime.stage import AnyStage
from streams.settings import Settings


def declaration(package: str, lane: Lane | None = None) -> StageDeclaration:
    """The declared stage of that package and lane. Raises ValueError where the pipeline has none."""
    for declared in STAGES:
        if (declared.package, declared.lane) == (package, lane):
            return declared
    raise ValueError(f"no stage {package}" + (f" of lane {lane.value}" if lane else " without a lane"))


def builder(package: str) -> ModuleType:
    """The module that builds the stages of a package."""
    module = import_module(f"{__package__}.{package}")
    return import_module(f"{module.__name__}.build") if hasattr(module, "__path__") else module


def build_stage(declared: StageDeclaration, settings: Settings, serde: Serde) -> AnyStage:
    """The stage, made by its folder. Raises PolicyError, SettingsError, or what else keeps it from being made."""
    stage: AnyStage = builder(declared.package).build(settings, serde, declared)
    if (stage.name, stage.inputs) != (declared.name, declared.reads):
        raise RuntimeError(f"stage {stage.name} reads {stage.inputs}, and streams/pipeline.py says {declared.reads}")
    return stage
