"""Addresses that are no scheduler's."""

import asyncio
import socket
from threading import Thread

import pytest

pytest.importorskip("distributed")

from vsq.explore import cluster as dask
from vsq.explore.cluster import cluster
from vsq.golden.contract.errors import InputError


@pytest.mark.parametrize("address", ["nowhere", "tcp://nowhere", "tcp://nowhere:port", "odd://nowhere:1"])
def test_addresses_are_checked_before_connecting(address, monkeypatch):
    monkeypatch.setattr("distributed.Client", None)
    monkeypatch.setattr("distributed.comm.connect", None)
    with pytest.raises(InputError, match=f"^scheduler '{address}': an address is tcp://HOST:PORT; give the one"):
        cluster(address)


def test_no_scheduler_is_one_line_inside_a_running_loop(monkeypatch):
    monkeypatch.setattr(dask, "_PATIENCE", 0.2)

    async def notebook():
        cluster("tcp://127.0.0.1:1")

    with pytest.raises(InputError, match=r"scheduler 'tcp://127.0.0.1:1': .*; start one by 'dask scheduler'"):
        asyncio.run(notebook())


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_what_answers_may_be_no_scheduler(answer, monkeypatch):
    monkeypatch.setattr(dask, "_PATIENCE", 5 if answer else 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections = []

        def serve():
            connections.append(server.accept()[0])
            connections[0].sendall(answer)

        Thread(target=serve, daemon=True).start()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(InputError, match=f"^scheduler '{address}': what answers is no scheduler; give the address"):
            cluster(address)
        connections[0].close()
