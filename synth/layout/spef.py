"""Wires as a file in the Standard Parasitic Exchange Format (SPEF)."""

from collections.abc import Collection, Mapping

from vsq.synth.layout.def_file import PORT
from vsq.synth.layout.parasitics import Wires

_JOINED = 0.001  # ohms between two pins that touch


def spef(top: str, wires: Mapping[str, Wires], inputs: Collection[str]) -> str:
    """Return wires by net in the Standard Parasitic Exchange Format."""
    lines = [
        '*SPEF "IEEE 1481-1998"',
        f'*DESIGN "{top}"',
        '*DATE ""',
        '*VENDOR "vsq"',
        '*PROGRAM "vsq layout"',
        '*VERSION ""',
        '*DESIGN_FLOW "PIN_CAP NONE"',
        "*DIVIDER /",
        "*DELIMITER :",
        "*BUS_DELIMITER [ ]",
        *("*T_UNIT 1 NS", "*C_UNIT 1 FF", "*R_UNIT 1 OHM", "*L_UNIT 1 HENRY"),
    ]
    for name, net in wires.items():
        driver = next(pin for pin, place in net.pins.items() if place == 0)
        spelled: dict[int, str] = {}
        lines += [f"*D_NET {name} {net.capacitance * 1e15:.5g}", "*CONN"]
        joined = []
        for pin, place in net.pins.items():
            instance, at = pin
            word = at if instance == PORT else f"{instance}:{at}"
            if instance == PORT:
                lines.append(f"*P {word} {'I' if at in inputs else 'O'}")
            else:
                lines.append(f"*I {word} {'O' if pin == driver else 'I'}")
            if place in spelled:
                joined.append((spelled[place], word))
            spelled.setdefault(place, word)
        words = [spelled.get(place, f"{name}:{place}") for place in range(len(net.capacitances))]
        farads = [(word, value) for word, value in zip(words, net.capacitances, strict=True) if value]
        lines += ["*CAP", *(f"{number} {word} {value * 1e15:.5g}" for number, (word, value) in enumerate(farads, 1))]
        ohms = [(words[one], words[other], value) for one, other, value in net.resistors]
        ohms += [(one, other, _JOINED) for one, other in joined]
        lines += ["*RES", *(f"{number} {a} {b} {value:.5g}" for number, (a, b, value) in enumerate(ohms, 1)), "*END"]
    return "\n".join(lines) + "\n"
