import os
from itertools import count

import pytest

from vsq.tb.simulation import objcache


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """A compiler that copies the source and counts its calls; it refuses sources that hold the word bad."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "cc"
    path.write_text(
        """#!/bin/sh
[ "$1" = --version ] && echo 1.0 && exit
echo call >> calls
for source; do :; done
grep -q bad "$source" && exit 3
while [ "$1" != -o ]; do shift; done
cp "$source" "$2"
"""
    )
    path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    return path


def calls(folder):
    path = folder / "calls"
    return len(path.read_text().splitlines()) if path.exists() else 0


def compile_source(compiler, source, *flags):
    output = compiler.parent / "object.o"
    output.unlink(missing_ok=True)
    return objcache.compile_once([str(compiler), *flags, "-c", "-o", str(output), str(source)]), output


def test_the_runtime_is_compiled_once_for_each_set_of_flags(compiler, tmp_path):
    source = tmp_path / "verilated.cpp"
    source.write_text("runtime")
    for flags, expected in (("-O1", 1), ("-O1", 1), ("-O2", 2), ("-O1", 2)):
        code, output = compile_source(compiler, source, flags)
        assert (code, output.read_text(), calls(tmp_path)) == (0, "runtime", expected)
    source.write_text("other runtime")
    assert compile_source(compiler, source, "-O1")[1].read_text() == "other runtime"
    assert not list(objcache.folder().glob("*.part"))


def test_a_design_is_compiled_every_time(compiler, tmp_path):
    source = tmp_path / "Vtop__ALL.cpp"
    source.write_text("design")
    for expected in (1, 2):
        assert compile_source(compiler, source)[0] == 0
        assert calls(tmp_path) == expected


def test_a_failure_is_not_kept(compiler, tmp_path):
    source = tmp_path / "verilated.cpp"
    source.write_text("bad")
    for expected in (1, 2):
        assert compile_source(compiler, source)[0] == 3
        assert calls(tmp_path) == expected


def test_without_a_cache_folder_it_only_compiles(compiler, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(compiler))  # a file, no folder
    source = tmp_path / "verilated.cpp"
    source.write_text("runtime")
    code, output = compile_source(compiler, source)
    assert (code, output.read_text()) == (0, "runtime")
    assert "built files are not kept" in capsys.readouterr().err
    assert os.path.isfile(compiler)


def test_a_file_is_made_once_and_the_oldest_go(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(objcache, "_KEPT", 2)
    output, made = tmp_path / "program", []

    clock = count(1)

    def ask(key):
        kept = objcache.path("program", "", key)
        objcache.make_once(output, kept, lambda: (made.append(key), output.write_text(key)))
        os.utime(kept, (now := next(clock), now))  # the file system's clock is too coarse
        assert output.read_text() == key

    for key in "ababcb":
        ask(key)
    assert made == ["a", "b", "c"]
    ask("a")
    assert made == ["a", "b", "c", "a"]
    assert len(list(objcache.folder().iterdir())) == 4  # two files and their locks
