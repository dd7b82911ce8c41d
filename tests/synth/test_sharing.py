from vsq.golden.contract.pe_config import configuration
from vsq.hw.emit.design import design
from vsq.synth.flow import sharing
from vsq.synth.flow.synthesis import Flow, synthesize
from vsq.synth.library.liberty import Library


def test_modules_of_two_designs_are_mapped_once(monkeypatch):
    flow, known, mapped = Flow(library=Library.load()), {}, []

    def counted(rtlil, top, flow):
        netlist = synthesize(rtlil, top, flow)
        mapped.append({*netlist.modules})
        return netlist

    monkeypatch.setattr(sharing, "synthesize", counted)
    texts = [design(configuration(name)).rtlil("x") for name in ("3/3/4/4:V=2,R=6", "3/3/4/4:V=2,R=5")]
    found = [sharing.synthesize_new(text, "x", flow, known) for text in texts]
    assert mapped[0] == {"x", "x_dot", "x_scale", "x_accumulator", "x_control"}
    assert mapped[1] == {"x", "x_scale", "x_accumulator"}
    assert len(known) == 6
    for text, netlist in zip(texts, found, strict=True):
        whole = synthesize(text, "x", flow).modules
        areas = [
            sum(flow.library.area({c: n for c, n in cells.items() if c not in whole}) for cells in each.values())
            for each in (whole, netlist.modules)
        ]
        assert abs(areas[1] / areas[0] - 1) < 1e-3  # ABC's noise
        assert {name: set(cells) & set(whole) for name, cells in netlist.modules.items()} == {
            name: set(cells) & set(whole) for name, cells in whole.items()
        }


def test_another_flow_shares_nothing():
    text, known = design(configuration("2/2/-/-:V=2")).rtlil("x"), {}
    for flow in (Flow(library=Library.load()), Flow(library=Library.load("gates"))):
        sharing.synthesize_new(text, "x", flow, known)
    assert len(known) == 6
