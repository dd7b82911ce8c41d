"""Components that are alike, described once in emitted RTLIL and instantiated as often as needed."""

from collections.abc import Callable
from dataclasses import dataclass, field

from amaranth.hdl import ClockSignal, Instance, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In


@dataclass
class SharedModules:
    """The platform of emission: collects one component of each kind, by the name of its module.

    The components have a clock and no reset; emission converts them apart from the design that instantiates them.
    """

    components: dict[str, wiring.Component] = field(default_factory=dict)


def instantiate(
    m: Module, platform: object, name: str, kind: str, make: Callable[[], wiring.Component]
) -> wiring.PureInterface:
    """Add a submodule and return its members' signals.

    Args:
        m, platform: As in the ``elaborate`` that calls this.
        name, kind: Of the submodule, and of the module that all of its kind share on a :class:`SharedModules` platform.
        make: Returns the component; all of a kind are alike.
    """
    shared = platform.components if isinstance(platform, SharedModules) else {}
    component = shared.get(kind) or make()
    pins = wiring.PureInterface(component.signature)
    members = component.signature.members
    if isinstance(platform, SharedModules):
        shared[kind] = component
        ports = {f"{'i' if about.flow == In else 'o'}_{port}": getattr(pins, port) for port, about in members.items()}
        m.submodules[name] = Instance(kind, i_clk=ClockSignal(), **ports)
        return pins
    m.submodules[name] = component
    wiring.connect(m, component, wiring.flipped(pins))
    return pins
