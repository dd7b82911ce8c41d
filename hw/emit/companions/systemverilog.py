"""SystemVerilog package of a design's words, an interface of each stream, and the design behind these interfaces."""

from collections.abc import Iterator, Sequence

from vsq.hw.emit.companions.words import Manifest, Member, Word, words

_PACKAGE = """// {title}: what its streams carry
package {name}_pkg;
  /* verilator lint_off UNUSEDPARAM */ // for users
{numbers}
{structs}endpackage
"""
_INTERFACE = """// {title}: the stream {stream}
// {handshake}
interface {name}_{stream}_if;
  /* verilator lint_off UNDRIVEN */ // as the wrapper's ports, where that is the top module
  /* verilator lint_off UNUSEDSIGNAL */
  logic valid;
  logic ready;
  {name}_pkg::{stream}_t payload;
  /* verilator lint_on UNDRIVEN */
  /* verilator lint_on UNUSEDSIGNAL */

  modport source(output valid, payload, input ready);
  modport sink(input valid, payload, output ready);
endinterface
"""
_WRAPPER = """// {title}, behind interfaces
module {name}_wrapper (
{ports}
);
  {name} core(
{connections}
  );
endmodule
"""
_LONGEST = 127  # characters of a name that Verilator keeps
_SHORTENED = "/* verilator lint_off DECLFILENAME */ // linters may shorten a name as long as this one\n"


def systemverilog(manifest: Manifest, bench: Sequence[str]) -> dict[str, str]:
    """Return ``<name>_pkg.sv``, ``<name>_<stream>_if.sv``, ``<name>_wrapper.sv``, and ``<name>_wrapper.f``, their list.

    The package has a packed struct ``<stream>_t`` of each stream's word, with elements as signed as the ports', and the
    integers of the manifest as ``localparam``. The names of padding end in ``_padding``.
    """
    del bench
    name, title = manifest["name"], manifest["title"]
    about = {key: manifest[key] for key in ("name", "title", "handshake")}
    numbers = {**{f"{key}_bits": value for key, value in manifest["widths"].items()}, **_numbers(manifest)}
    package = _PACKAGE.format(
        name=name,
        title=title,
        numbers="".join(f"  localparam int {key.upper()} = {value};\n" for key, value in numbers.items()),
        structs="\n".join(map(_struct, words(manifest))),
    )
    streams = [word.stream["name"] for word in words(manifest)]
    files = {
        f"{name}_pkg.sv": package,
        **{f"{name}_{each}_if.sv": _INTERFACE.format(stream=each, **about) for each in streams},
        f"{name}_wrapper.sv": _wrapper(manifest),
    }
    files = {file: _SHORTENED * (len(file.removesuffix(".sv")) > _LONGEST) + text for file, text in files.items()}
    return {**files, f"{name}_wrapper.f": "".join(f"{file}\n" for file in [*files, f"{name}.v"])}


def _numbers(manifest: Manifest) -> dict[str, int]:
    """Return the whole numbers among the manifest's own entries, widths aside."""
    return {key: value for key, value in manifest.items() if isinstance(value, int)}


def _logic(member: Member) -> str:
    return f"logic{' signed' * member.signed}{f' [{member.width - 1}:0]' if member.width > 1 else ''}"


def _struct(word: Word) -> str:
    """Return the types of a word: one of each list's elements, since those of packed arrays are unsigned without."""
    stream, elements, lines = word.stream["name"], [], []
    for member in word.members:
        kind = _logic(member)
        if member.count > 1:
            elements.append(f"  typedef {kind} {stream}_{member.name}_t;\n")
            kind = f"{stream}_{member.name}_t [{member.count - 1}:0]"
        lines.append(f"    {kind} {member.name};\n")
        if member.padding:
            padding = Member(name=f"{member.name}_padding", bit=0, count=1, width=member.padding, signed=False)
            lines.append(f"    {_logic(padding)} {padding.name};\n")
    return "".join([*elements, "  typedef struct packed {\n", *reversed(lines), f"  }} {stream}_t;\n"])


def _wrapper(manifest: Manifest) -> str:
    name, streams = manifest["name"], {word.stream["name"]: word for word in words(manifest)}
    modports = {stream: _modport(word) for stream, word in streams.items()}
    plain = [*_plain(manifest)]
    ports = [f"  input logic {port}" for port in plain]
    ports += [f"  {name}_{stream}_if.{modport} {stream}" for stream, modport in modports.items()]
    connections = [f".{port}({port})" for port in plain]
    for stream, word in streams.items():
        connections += [f".{word.stream[signal]}({stream}.{signal})" for signal in ("valid", "ready")]
        low = 0
        for port in word.ports:
            connections.append(f".{port['name']}({stream}.payload[{low} +: {port['width']}])")
            low += port["width"]
    return _WRAPPER.format(
        name=name,
        title=manifest["title"],
        ports=",\n".join(ports),
        connections=",\n".join(f"    {connection}" for connection in connections),
    )


def _modport(word: Word) -> str:
    return "sink" if word.stream["direction"] == "input" else "source"


def _plain(manifest: Manifest) -> Iterator[str]:
    """Yield the ports of no stream, such as clock and reset."""
    taken = {port for stream in manifest["streams"] for port in (stream["valid"], stream["ready"], *stream["payload"])}
    yield from (port["name"] for port in manifest["ports"] if port["name"] not in taken)
