"""Resistance and capacitance of wires: estimated from a placement, or extracted from a routed layout."""

import heapq
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from vsq.synth.layout.conductors import Conductor, Contact, placement
from vsq.synth.layout.def_file import PORT, Def
from vsq.synth.layout.lef import Lef

# Ohms of a cut, which libraries often do not state; some 20 of them in a path are the resistance of 400 um of wire.
VIA_RESISTANCE = 5.0

PinName = tuple[str, str]  # an instance, or ``PIN``, and its pin
Node = tuple[int, ...]  # of a piece of metal: its number, and where on it


@dataclass(frozen=True, kw_only=True)
class Wires:
    """The wires of a net as a tree of resistors: node 0 is the driver.

    Attributes:
        capacitances: Farads at each node.
        resistors: Two nodes and ohms each.
        pins: The node of each pin.
    """

    capacitances: tuple[float, ...]
    resistors: tuple[tuple[int, int, float], ...]
    pins: dict[PinName, int]

    @property
    def capacitance(self) -> float:
        """Farads of all of them."""
        return sum(self.capacitances)


def drivers(layout: Def, inputs: Mapping[str, Collection[str]], ports: Collection[str]) -> dict[str, PinName]:
    """Return the pin that drives each net: an input of the design, or an output of a cell.

    Args:
        layout: The layout.
        inputs: The input pins of each cell.
        ports: The ports that are inputs.

    Raises:
        KeyError: If a net has no driver.
    """
    found = {
        name: (instance, pin)
        for name, net in layout.nets.items()
        for instance, pin in net.pins
        if (pin in ports if instance == PORT else pin not in inputs[layout.components[instance].cell])
    }
    return {name: found[name] for name in layout.nets}


def pin_places(layout: Def, lef: Lef) -> dict[PinName, tuple[float, float]]:
    """Return the middle of every pin in um, relative to that of the box around its shapes."""
    places = {
        (PORT, name): (port.at[0] / layout.scale, port.at[1] / layout.scale) for name, port in layout.ports.items()
    }
    for net in layout.nets.values():
        for instance, pin in net.pins:
            if instance != PORT:
                place = placement(layout, lef, instance)
                boxes = [place(box) for _, box in lef.macros[layout.components[instance].cell].pins[pin].shapes]
                x = min(box[0] for box in boxes) + max(box[2] for box in boxes)
                y = min(box[1] for box in boxes) + max(box[3] for box in boxes)
                places[instance, pin] = (x / 2 / layout.scale, y / 2 / layout.scale)
    return places


def half_perimeters(layout: Def, places: Mapping[PinName, tuple[float, float]]) -> dict[str, float]:
    """Return half of the perimeter of the box around the pins of each net, in um."""
    found = {}
    for name, net in layout.nets.items():
        across, up = zip(*(places[pin] for pin in net.pins), strict=True)
        found[name] = max(across) - min(across) + max(up) - min(up)
    return found


def estimate(layout: Def, lef: Lef, driver: Mapping[str, PinName]) -> dict[str, Wires]:
    """Return wires of half the perimeter each, of the mean layer between the lowest and the fifth.

    Half of a net's capacitance is at its driver and the other half at its loads, each as far as both are apart.
    """
    layers = lef.layers[1:4]
    farads, ohms = (
        sum(getattr(layer, what) for layer in layers) / len(layers) for what in ("capacitance", "resistance")
    )
    places = pin_places(layout, lef)
    found = {}
    for name, length in half_perimeters(layout, places).items():
        start = driver[name]
        loads = [pin for pin in layout.nets[name].pins if pin != start]
        half, (x, y) = length * farads / 2, places[start]
        distances = [abs(places[pin][0] - x) + abs(places[pin][1] - y) for pin in loads]
        found[name] = Wires(
            capacitances=(half, *([half / len(loads)] * len(loads))),
            resistors=tuple((0, number, distance * ohms) for number, distance in enumerate(distances, start=1)),
            pins={start: 0, **{pin: number for number, pin in enumerate(loads, start=1)}},
        )
    return found


def extract(
    layout: Def, lef: Lef, found: Sequence[Conductor], touching: Iterable[Contact], driver: Mapping[str, PinName]
) -> dict[str, Wires]:
    """Return the wires of a routed layout that :func:`vsq.synth.layout.connectivity.check_wires` accepts.

    A wire has the capacitance and resistance of its layer in LEF: over its area, and along both edges; pads of vias
    have none. What would close a loop of resistors is left out.
    """
    layers = {layer.name: layer for layer in lef.layers}
    levels = {name: level for level, name in enumerate(layers)}
    graphs = {name: _Graph() for name in driver}
    stops: defaultdict[int, set[int]] = defaultdict(set)  # along each wire

    def node(number: int, contact: Contact) -> Node:
        conductor = found[number]
        if conductor.segment is None:
            return (number,) if conductor.pin else (number, levels[contact.layer])
        (x0, y0), (x1, y1) = sorted((conductor.segment.start, conductor.segment.end))
        stop = min(max(contact.at[0], x0), x1) - x0 + min(max(contact.at[1], y0), y1) - y0
        stops[number].add(stop)
        return number, stop

    for contact in touching:
        if graph := graphs.get(found[contact.one].net):
            graph.join(node(contact.one, contact), node(contact.other, contact), 0.0)
    pins: dict[PinName, Node] = {}
    for number, conductor in enumerate(found):
        if conductor.pin:
            pins[conductor.pin] = (number,)
        if conductor.fixed or not (graph := graphs.get(conductor.net)):
            continue
        if conductor.segment:
            layer = layers[conductor.segment.layer]
            places = sorted({0, conductor.segment.length} | stops[number])
            for a, b in pairwise(places):
                um = (b - a) / layout.scale
                graph.join((number, a), (number, b), um * layer.resistance)
                graph.farads[number, a] += um * layer.capacitance / 2
                graph.farads[number, b] += um * layer.capacitance / 2
        else:
            ends = sorted(levels[layer] for layer, _ in conductor.boxes)
            graph.join((number, ends[0]), (number, ends[-1]), VIA_RESISTANCE)
    return {name: graphs[name].tree(start, layout.nets[name].pins, pins) for name, start in driver.items()}


class _Graph:
    """The metal of a net: ohms between nodes, and farads at them."""

    def __init__(self) -> None:
        self.farads: defaultdict[Node, float] = defaultdict(float)
        self._edges: defaultdict[Node, list[tuple[Node, float]]] = defaultdict(list)

    def join(self, one: Node, other: Node, ohms: float) -> None:
        self._edges[one].append((other, ohms))
        self._edges[other].append((one, ohms))

    def tree(self, start: PinName, pins: Iterable[PinName], nodes: Mapping[PinName, Node]) -> Wires:
        """Return the tree of least resistance from the driver; nodes without ohms between them are one."""
        index: dict[Node, int] = {}
        farads: list[float] = []
        resistors: list[tuple[int, int, float]] = []
        heap: list[tuple[float, Node, int, float]] = [(0.0, nodes[start], -1, 0.0)]
        while heap:
            distance, node, before, ohms = heapq.heappop(heap)
            if node in index:
                continue
            if ohms or before < 0:
                farads.append(0.0)
                if ohms:
                    resistors.append((before, len(farads) - 1, ohms))
            index[node] = place = len(farads) - 1 if ohms or before < 0 else before
            farads[place] += self.farads[node]
            for other, more in self._edges[node]:
                heapq.heappush(heap, (distance + more, other, place, more))
        return Wires(
            capacitances=tuple(farads), resistors=tuple(resistors), pins={pin: index[nodes[pin]] for pin in pins}
        )
