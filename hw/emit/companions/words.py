"""The word that a stream carries: the members of its payload, from the manifest."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

Manifest = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Member:
    """A field of a word: ``count`` elements of ``width`` bits from bit ``bit`` on, and padding above them."""

    name: str
    bit: int
    count: int
    width: int
    signed: bool
    padding: int = 0
    extended: bool = False  # whether the padding repeats the sign

    @property
    def end(self) -> int:
        """The bit above the last element."""
        return self.bit + self.count * self.width


@dataclass(frozen=True)
class Word:
    """The word of a stream: its payload's ports, the first one in the least significant bits.

    Args:
        manifest: Of the design.
        stream: An entry of the manifest's ``streams``.
    """

    manifest: Manifest
    stream: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The stream's name after the design's."""
        return f"{self.manifest['name']}_{self.stream['name']}"

    @cached_property
    def ports(self) -> list[Mapping[str, Any]]:
        """The manifest's entries of the payload's ports."""
        return [port for port in self.manifest["ports"] if port["name"] in self.stream["payload"]]

    @property
    def bits(self) -> int:
        """The word's width."""
        return sum(port["width"] for port in self.ports)

    @cached_property
    def members(self) -> list[Member]:
        """The word's fields, from the least significant bit."""
        members, low = [], 0
        prefix = self.stream["valid"].removesuffix("valid")
        for port in self.ports:
            for field in port["fields"]:
                padding = field.get("padding", {"width": 0, "value": 0})
                about = {key: field[key] for key in ("count", "width", "signed")}
                name, extended = field["name"].removeprefix(prefix), padding["value"] == "sign"
                members.append(
                    Member(name=name, bit=low + field["bit"], padding=padding["width"], extended=extended, **about)
                )
            low += port["width"]
        return members


def words(manifest: Manifest) -> list[Word]:
    """Return the words of all streams."""
    return [Word(manifest, stream) for stream in manifest["streams"]]
