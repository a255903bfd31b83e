"""By which names the server may be called, and how much a client may send."""

import pytest

from marketsim.live.security import BURST, PER_SECOND, Allowance, Doorkeeper, is_loopback


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8642", "localhost:8642", "LOCALHOST:8642", "[::1]:8642"]
)
def test_its_own_machine_is_let_in(host):
    door = Doorkeeper("127.0.0.1", 8642)
    assert door.admits_host(host)
    assert door.admits_origin(f"http://{host}")


@pytest.mark.parametrize(
    "host",
    [
        *(None, "", ":", "127.0.0.1", "localhost", "127.0.0.1:80", "127.0.0.1:08642x"),
        *("evil.example", "evil.example:8642", "127.0.0.1.evil.example:8642", "10.0.0.1:8642"),
        *("localhost:8642@evil.example", "[::1]", "localhost:8642/"),
    ],
)
def test_other_names_are_not(host):
    door = Doorkeeper("127.0.0.1", 8642)
    assert not door.admits_host(host)
    assert not door.admits_origin(f"http://{host}")


@pytest.mark.parametrize("origin", [None, "", "null", "https://127.0.0.1:8642", "file://"])
def test_pages_from_elsewhere_are_not(origin):
    assert not Doorkeeper("127.0.0.1", 8642).admits_origin(origin)


def test_at_an_open_address_numbers_are_let_in_and_strangers_names_are_not():
    door = Doorkeeper("0.0.0.0", 9000)
    assert door.admits_host("192.168.0.7:9000")
    assert door.admits_host("[fe80::1]:9000")
    assert door.admits_host("localhost:9000")
    assert not door.admits_host("evil.example:9000")
    assert not door.admits_host("192.168.0.7:9001")


def test_port_80_may_be_left_out():
    assert Doorkeeper("127.0.0.1", 80).admits_host("localhost")


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        *(("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True)),
        *(("0.0.0.0", False), ("192.168.0.7", False), ("example.org", False)),
    ],
)
def test_loopback_is_known(host, alone):
    assert is_loopback(host) is alone


def test_an_allowance_is_used_up_and_comes_back():
    now = [100.0]
    allowance = Allowance(lambda: now[0])
    assert all(allowance.take() for _ in range(BURST))
    assert not allowance.take()
    now[0] += 1.5 / PER_SECOND
    assert allowance.take()
    assert not allowance.take()
    now[0] += 1e6
    assert sum(allowance.take() for _ in range(2 * BURST)) == BURST
