"""SystemVerilog assertions of a design's rules, in a module that is bound to it.

They are immediate assertions at clock edges, with registers for what came before, so that simulators and the proofs of
``python -m vsq.tb.formal.prove`` read the same text.
"""

from collections.abc import Iterator, Sequence

from vsq.hw.emit.companions.words import Manifest, Word, words

_LOW = "1'b0"

_RESULTS = """
  // Results are those of vectors marked last, in order. Of each that is due, the next one first: whether its
  // accumulation started since the result before, and whether it has one vector alone.
  logic [7:0] due = 0;
  logic [PLACES:0] starts = 0, single = 0;
  logic fresh = 0, begun = 0, overflowed = 0, were_taken = 0;
  wire accepted = valid_i & ready_i, taken = valid_o & ready_o, first = first_i | fresh;
  wire [7:0] left = due - {7'd0, taken};
  wire [PLACES:0] slot = {{PLACES{1'b0}}, accepted & last_i} << left;
  always @(posedge clock) begin
    due <= reset ? 0 : left + {7'd0, accepted & last_i};
    starts <= starts >> taken & ~slot | slot & {PLACES + 1{begun | first}};
    single <= single >> taken & ~slot | slot & {PLACES + 1{first}};
    fresh <= reset | (accepted ? refreshed : fresh);
    begun <= ~reset & (accepted ? ~last_i & (begun | first) : begun);
    overflowed <= ~reset & (taken ? overflow_o : overflowed);
    were_taken <= ~reset & ready_o;
    if (active & ~reset) begin
      no_result_without_its_vector: assert (~valid_o | due != 0);
      none_survives_a_reset: assert (~was_reset | ~valid_o);
      places_hold_all_that_are_due: assert ({24'd0, due} <= PLACES);
      vectors_are_accepted_while_results_are: assert (~due_to_accept | ready_i);
      overflow_is_sticky: assert (~valid_o | starts[0] | ~overflowed | overflow_o);
      overflow_saturates: assert (~valid_o | ~single[0] | ~overflow_o | at_limit);
    end
  end
"""
_COMMANDS = """
  // Each command has one last beat. Lanes go on beside what is no accumulator, whose fields are then 0.
  logic [15:0] due = 0;
  always @(posedge clock) begin
    due <= reset ? 0 : due + {15'd0, valid_i & ready_i} - {15'd0, valid_o & ready_o & last_o};
    if (active & ~reset) begin
      no_result_without_its_command: assert (~valid_o | due != 0);
      none_survives_a_reset: assert (~was_reset | ~valid_o);
      an_illegal_command_has_one_beat: assert (~valid_o | ~illegal_o | last_o);
      no_accumulator_beside: assert (~valid_o | raw_o | acc_o == 0);
    end
  end
"""


def assertions(manifest: Manifest, bench: Sequence[str]) -> dict[str, str]:
    """Return ``<name>_sva.sv``, rules of streams and overflow, and ``<name>_sva.f``, which lists it and the design.

    Rules are asserted, and what the environment offers is assumed.

    A result waits unchanged, none is made up, lost or survives a reset; of a vector MAC, vectors are accepted while
    results are taken, overflow is sticky until a vector that starts from 0, and a vector that overflows alone leaves
    the accumulator at a limit; of a processing element, each command has one last beat.
    """
    del bench
    name, reset = manifest["name"], manifest["reset"]
    ports = [f"  input wire {_range(port['width'])}{port['name']}" for port in manifest["ports"]]
    lines = [
        f"// Rules of {name}: {manifest['title']}",
        "// For simulation with assertions, and for formal tools; what the environment must keep is assumed.",
        "/* verilator lint_off DECLFILENAME */ // it is called as its file begins",
        "/* verilator lint_off PROCASSINIT */ // rules are checked after a reset alone",
        "/* verilator lint_off SYNCASYNCNET */ // rules see an asynchronous reset at the clock's edges",
        "/* verilator lint_off UNUSEDSIGNAL */ // not every port has a rule",
        f"module {name}_sva (",
        ",\n".join(ports),
        ");",
        f"  wire clock = {manifest['clock']['port']}, reset = {_reset(manifest)};",
        f"  logic active = {int('port' not in reset)}, was_reset = 0; // after the first reset; in the cycle after one",
        "  always @(posedge clock) begin",
        "    active <= active | reset;",
        "    was_reset <= reset;",
        "  end",
    ]
    for word in words(manifest):
        lines += ["", *_stream(word)]
    rules = _RESULTS if isinstance(manifest["latency_cycles"], int) else _COMMANDS
    enable = manifest["clock"].get("enable")
    if enable:
        lines += [f"  wire moves = {enable} | reset;"]
    lines += ["", *(_mac(manifest) if rules is _RESULTS else _element(manifest)), rules.rstrip("\n"), "endmodule", ""]
    text = "\n".join([*lines, f"bind {name} {name}_sva rules (.*);", ""])
    if enable:
        text = text.replace("always @(posedge clock) begin", "always @(posedge clock) if (moves) begin")
    return {f"{name}_sva.sv": text, f"{name}_sva.f": f"{name}.v\n{name}_sva.sv\n"}


def _reset(manifest: Manifest) -> str:
    reset = manifest["reset"]
    return f"{'~' * (reset['active'] == 'low')}{reset['port']}" if "port" in reset else _LOW


def _range(width: int) -> str:
    return f"[{width - 1}:0] " if width > 1 else ""


def _stream(word: Word) -> Iterator[str]:
    """Yield the rules of one stream: what waits stays."""
    name, (valid, ready) = word.stream["name"], (word.stream[signal] for signal in ("valid", "ready"))
    verb = "assume" if word.stream["direction"] == "input" else "assert"
    yield f"  logic {name}_waits = 0;"
    yield f"  logic [{word.bits - 1}:0] {name}_held;"
    yield f"  wire [{word.bits - 1}:0] {name}_word = {{{', '.join(reversed(word.stream['payload']))}}};"
    yield "  always @(posedge clock) begin"
    yield f"    {name}_waits <= ~reset & {valid} & ~{ready};"
    yield f"    {name}_held <= {name}_word;"
    yield "    if (active & ~reset) begin"
    yield f"      {name}_waits_on: {verb} (~{name}_waits | {valid});"
    yield f"      {name}_is_stable: {verb} (~{name}_waits | {name}_word == {name}_held);"
    yield f"      {name}_is_defined: assert (^{{{valid}, {ready}}} !== 1'bx);"
    yield "    end"
    yield "  end"


def _field(word: Word, name: str) -> str:
    """Return the bits of a field in its stream's word, or 0 if it has no such field."""
    found = [member for member in word.members if member.name == name]
    return f"{word.stream['name']}_word[{found[0].end - 1}:{found[0].bit}]" if found else _LOW


def _handshakes(taken: Word, given: Word) -> Iterator[str]:
    for word, suffix in ((taken, "i"), (given, "o")):
        yield f"  wire valid_{suffix} = {word.stream['valid']}, ready_{suffix} = {word.stream['ready']};"


def _mac(manifest: Manifest) -> Iterator[str]:
    """Yield what the rules of a vector MAC read; without a mark ``first``, a vector starts from 0 after a last one."""
    taken, given = words(manifest)
    marked = any(member.name == "first" for member in taken.members)
    acc, width = _field(given, "acc"), manifest["widths"]["acc"]
    registered = taken.stream.get("registered_ready", False)
    yield f"  localparam PLACES = {manifest['latency_cycles'] + registered}; // of vectors"
    yield from _handshakes(taken, given)
    yield f"  wire first_i = {_field(taken, 'first')}, last_i = {_field(taken, 'last')};"
    yield f"  wire refreshed = {_LOW if marked else 'last_i'}, overflow_o = {_field(given, 'overflow')};"
    yield f"  wire signed [{width - 1}:0] acc_o = {acc};"
    yield f"  wire due_to_accept = {'were_taken' if registered else 'ready_o'};"
    yield f"  wire at_limit = &(acc_o[{width - 2}:0] ^ {{{width - 1}{{acc_o[{width - 1}]}}}});"


def _element(manifest: Manifest) -> Iterator[str]:
    """Yield what the rules of a processing element read."""
    by_name = {word.stream["name"]: word for word in words(manifest)}
    result, width = by_name["result"], manifest["widths"]["acc"]
    has_raw = any(member.name == "raw" for member in result.members)
    yield from _handshakes(by_name["command"], result)
    yield f"  wire last_o = {_field(result, 'last')}, illegal_o = {_field(result, 'illegal')};"
    yield f"  wire raw_o = {_field(result, 'raw') if has_raw else '~illegal_o'};"
    yield f"  wire [{width - 1}:0] acc_o = {_field(result, 'acc')};"
