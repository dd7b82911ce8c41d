"""First stage of a command: its legality, and the loads of the buffers."""

from collections.abc import Iterable
from functools import reduce
from operator import and_

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.pe.streams import command_layout, loaded_layout


class LoadControl(wiring.Component):
    """Takes a command, lets the buffers load what it says, and hands it on when that is done.

    The loads of a command fill the banks that the command before it does not read. An illegal command loads nothing and
    is handed on at once, marked. See :mod:`vsq.golden.model.pe` for what is illegal.

    Throughput: loads of n beats take n cycles, the taking of the command included.

    Members:
        command: In(stream of command_layout)
        loaded: Out(stream of loaded_layout), the command with its loads done
        load_weights, load_activations, load_params: Out(1), the buffer may take beats
        weights_complete, activations_complete, params_complete: In(1), it has taken all of them
        vectors, entries: Out, entries to load; stable while a load goes on
        restart: Out(1), the command is handed on
        params_taken: In(1), the parameters loaded last are in use, so that the other bank is free

    The members of parameters are absent without post-processing.
    """

    def __init__(self, config: PeConfig):
        self.config = config
        members = {
            "command": In(stream.Signature(command_layout(config))),
            "loaded": Out(stream.Signature(loaded_layout(config))),
            "vectors": Out(config.vectors_bits),
            "entries": Out(config.rows_bits),
            "restart": Out(1),
            "load_weights": Out(1),
            "weights_complete": In(1),
            "load_activations": Out(1),
            "activations_complete": In(1),
        }
        if config.ppu:
            members |= {"load_params": Out(1), "params_complete": In(1), "params_taken": In(1)}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Describe the hardware."""
        m = Module()
        config = self.config
        valid, legal, complete = Signal(), Signal(), Signal()
        command = Signal(command_layout(config), reset_less=True)
        buffers = {
            "weights": (self.load_weights, self.weights_complete),
            "activations": (self.load_activations, self.activations_complete),
        }
        if config.ppu:
            buffers["params"] = (self.load_params, self.params_complete)
        flags = {name: Signal(name=f"loads_{name}") for name in buffers}
        m.d.comb += [
            *(flag.eq(command[f"load_{name}"] & legal) for name, flag in flags.items()),
            *(load.eq(valid & flags[name]) for name, (load, _) in buffers.items()),
            complete.eq(all_of(~flags[name] | taken for name, (_, taken) in buffers.items())),
            self.loaded.valid.eq(valid & complete),
            self.restart.eq(self.loaded.valid & self.loaded.ready),
            self.command.ready.eq(~valid | self.restart),
            *(self.loaded.payload[name].eq(command[name]) for name in command_layout(config).members),
            *(self.loaded.payload[f"load_{name}"].eq(flag) for name, flag in flags.items()),
            self.loaded.payload.illegal.eq(~legal),
        ]
        with m.If(self.command.ready):
            m.d.sync += valid.eq(self.command.valid)
            with m.If(self.command.valid):
                m.d.sync += command.eq(self.command.payload)
        self._check(m, command, legal, flags)
        if config.ppu:
            # The banks of parameters: one is in use, and the other one free unless a handed-on command has loaded it.
            waiting = Signal()
            with m.If(self.params_taken):
                m.d.sync += waiting.eq(0)
            with m.If(self.restart & flags["params"]):
                m.d.sync += waiting.eq(1)
            m.d.comb += self.load_params.eq(valid & flags["params"] & ~waiting)
        return m

    def _check(self, m: Module, command: Signal, legal: Signal, flags: dict[str, Signal]) -> None:
        """Describe legality. Counts of what was loaded last are 0 after reset."""
        config = self.config
        vectors, entries = Signal(config.vectors_bits), Signal(config.rows_bits)
        # rows * vectors: below 2^rows_bits * 2^vectors_bits.
        product = Signal(config.rows_bits + config.vectors_bits)
        most_vectors, most_entries = Signal.like(vectors), Signal.like(entries)
        m.d.comb += [
            product.eq(command.rows * command.vectors),
            most_vectors.eq(Mux(command.load_weights, config.weight_depth, vectors)),
            most_entries.eq(Mux(command.load_activations, config.activation_depth, entries)),
            self.vectors.eq(command.vectors),
            self.entries.eq(product[: len(entries)]),
        ]
        rules = [product.any(), command.vectors <= most_vectors, product <= most_entries]
        with m.If(self.restart & flags["weights"]):
            m.d.sync += vectors.eq(self.vectors)
        with m.If(self.restart & flags["activations"]):
            m.d.sync += entries.eq(self.entries)
        if config.ppu:
            loaded = Signal()
            with m.If(self.restart & flags["params"]):
                m.d.sync += loaded.eq(1)
            rules.append(~command.requantize | command.load_params | loaded)
        m.d.comb += legal.eq(all_of(rules))


def all_of(conditions: Iterable[Value]) -> Value:
    """Return the conjunction of single bits."""
    return reduce(and_, conditions)
