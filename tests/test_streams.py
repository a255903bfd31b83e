import math
import statistics

import numpy as np
import pytest
from scipy import stats

from marketsim.streams import (
    Stream,
    asset_key,
    bits,
    exponential,
    fill_normal,
    normal,
    normal_quantile,
    philox,
    trader_key,
    trader_keys,
    uniform,
)
from tests.uncompiled import print_both_ways

# Random123, tests/kat_vectors: counter, key, output
KNOWN = [
    ("00000000 " * 4, "00000000 " * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff " * 4, "ffffffff " * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        "243f6a88 85a308d3 13198a2e 03707344",
        "a4093822 299f31d0",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


def words(text):
    return [np.uint64(int(word, 16)) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "output"), KNOWN)
def test_philox_gives_the_published_answers(counter, key, output):
    assert [int(word) for word in philox(*words(counter), *words(key))] == [
        int(word) for word in words(output)
    ]


@pytest.mark.parametrize("place", range(5))
def test_every_part_of_the_key_matters_in_every_bit(place):
    plain = (7, int(Stream.WAKE), 11, 13, 2)
    widths = (64, 8, 64, 32, 24)
    seen = {int(bits(*plain))}
    for bit in range(widths[place]):
        changed = list(plain)
        changed[place] ^= 1 << bit
        if changed[place] >= 2**63:
            changed[place] -= 2**64
        seen.add(int(bits(*changed)))
    assert len(seen) == 1 + widths[place]


def test_flipping_one_bit_of_the_step_flips_half_the_bits():
    flips = [
        (int(bits(1, Stream.WAKE, 5, t, 0)) ^ int(bits(1, Stream.WAKE, 5, t ^ 1, 0))).bit_count()
        for t in range(2000)
    ]
    assert abs(statistics.mean(flips) - 32) < 4 * 4 / math.sqrt(2000)


@pytest.mark.parametrize("axis", ["seed", "key", "step", "k"])
def test_draws_are_uniform_and_unrelated_along_every_axis(axis):
    n = 20_000
    make = {
        "seed": lambda i: uniform(i, 13, 3, 4, 0),
        "key": lambda i: uniform(1, 13, i, 4, 0),
        "step": lambda i: uniform(1, 13, 3, i, 0),
        "k": lambda i: uniform(1, 13, 3, 4, i),
    }[axis]
    draws = np.array([make(i) for i in range(n)])
    assert stats.kstest(draws, "uniform").pvalue > 1e-4
    centred = draws - 0.5
    for lag in (1, 2, 16):
        correlation = np.mean(centred[lag:] * centred[:-lag]) * 12
        assert abs(correlation) < 4 / math.sqrt(n)


def test_streams_are_independent_of_each_other():
    n = 10_000
    draws = np.array([[uniform(1, int(stream), 3, t, 0) for t in range(n)] for stream in Stream])
    correlation = np.corrcoef(draws)
    off = correlation[np.triu_indices(len(draws), 1)]
    assert np.abs(off).max() < 4.5 / math.sqrt(n)


def test_stream_numbers_fit_their_byte_and_differ():
    assert len({int(stream) for stream in Stream}) == len(Stream)
    assert all(0 < stream < 256 for stream in Stream)


def test_uniform_draws_lie_strictly_inside_the_unit_interval():
    largest = (float(2**52 - 1) + 0.5) * 2.0**-52
    assert 0.0 < 0.5 * 2.0**-52
    assert largest < 1.0
    draws = [uniform(2, Stream.SIZE, 0, t, 0) for t in range(1000)]
    assert all((draw * 2.0**53) % 2 == 1 for draw in draws)


def test_normal_and_exponential_draws_follow_their_laws():
    n = 50_000
    out = np.empty(n)
    fill_normal(3, Stream.BRIDGE, -9, 100, out)
    assert stats.kstest(out, "norm").pvalue > 1e-4
    assert out[5] == normal(3, Stream.BRIDGE, -9, 105, 0)
    draws = [exponential(3, 15, 1, t, 0) for t in range(n)]
    assert stats.kstest(draws, "expon").pvalue > 1e-4


def test_normal_quantile_equals_the_standard_library():
    law = statistics.NormalDist()
    for exponent in range(1, 53):
        for p in (2.0**-exponent, 1.0 - 2.0**-exponent, 0.3 * 2.0**-exponent):
            assert normal_quantile(p) == law.inv_cdf(p)


def test_a_traders_key_depends_on_its_population_and_place_alone():
    keys = trader_keys("herd", 1000)
    assert keys.dtype == np.int64
    assert [trader_key("herd", i) for i in (0, 1, 999)] == [keys[0], keys[1], keys[999]]
    assert (trader_keys("herd", 10) == keys[:10]).all()
    others = np.concatenate([keys, trader_keys("holder", 1000), [asset_key("herd")]])
    assert len(set(others.tolist())) == 2001


def test_keys_are_the_same_in_every_process():
    assert asset_key("BTC") == -176122648734710306
    assert trader_key("holder", 2) == -4482540100579371942


def test_draws_are_equal_with_and_without_the_compiler():
    code = (
        "from marketsim.streams import Stream, bits, exponential, normal\n"
        "for t in range(60):\n"
        "    key = (-5 + t, Stream.ORDER, 3**30 - t * 2**40, t, t % 3)\n"
        "    print(int(bits(*key)), normal(*key).hex(), exponential(*key).hex())\n"
    )
    runs = print_both_ways(code)
    assert runs[0] == runs[1]
    assert len(runs[0].splitlines()) == 60
