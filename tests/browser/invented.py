"""A market invented for tests of the page: messages as a recording has them, made without a run.

Its numbers are no market's, but they hang together: prices fall at a shock, liquidations follow in
generations, the fund pays, funding turns. So a test knows what the page has to show.
"""

import base64
import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC = 0x4D53494D
TYPES = {
    "int32": "i4",
    "int64": "i8",
    "uint8": "u1",
    "uint16": "u2",
    "float32": "f4",
    "float64": "f8",
}
MARKETS = ["BTC", "ETH", "SOL"]
TICKS = [1.0, 0.1, 0.01]
PRICES = [100_000.0, 4_000.0, 200.0]
ACCOUNTS = 60

Arrays = Mapping[str, NDArray[Any]]


def message(
    header: Mapping[str, Any], arrays: Arrays | None = None, delta: tuple[str, ...] = ()
) -> bytes:
    """Write a message: a header that lists the arrays, then the arrays."""
    listed, parts, at = [], [], 0
    for name, values in (arrays or {}).items():
        sent = values
        if name in delta and len(values):
            sent = np.concatenate([values[:1], np.diff(values, axis=0)])
        raw = np.ascontiguousarray(sent).tobytes()
        raw += bytes(-len(raw) % 8)
        entry = {
            "name": name,
            "type": TYPES[values.dtype.name],
            "shape": list(values.shape),
            "at": at,
        }
        listed.append(entry | ({"delta": True} if name in delta else {}))
        parts.append(raw)
        at += len(raw)
    text = json.dumps({**header, "arrays": listed}).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<II", MAGIC, len(text)) + text + b"".join(parts)


def packed(messages: list[bytes]) -> str:
    """Put messages the way a replay embeds them: each behind its length, deflated, base64."""
    plain = b"".join(struct.pack("<I", len(each)) + each for each in messages)
    squeezed = zlib.compressobj(9, zlib.DEFLATED, -15)
    return base64.b64encode(squeezed.compress(plain) + squeezed.flush()).decode()


def start(
    lane: int = 0, lanes: int = 1, *, mode: str = "cross", source: str = "replay", **more: Any
) -> bytes:
    """Write the header of a lane."""
    controls = [
        {
            "path": "herd.leverage",
            "label": "Leverage of the herd",
            "unit": "x",
            "min": 1,
            "max": 25,
            "step": 0.5,
            "value": 8,
            "log": False,
            "acts": "reset",
            "group": "Crowd",
        },
        {
            "path": "herd.funding_sensitivity",
            "label": "Funding sensitivity",
            "unit": "",
            "min": 0,
            "max": 50,
            "step": 1,
            "value": 10,
            "log": False,
            "acts": "now",
            "group": "Crowd",
        },
        {
            "path": "venue.funding_cap",
            "label": "Funding cap",
            "unit": "bp",
            "min": 1,
            "max": 300,
            "step": 1,
            "value": 75,
            "log": True,
            "acts": "now",
            "group": "Venue",
        },
    ]
    return message(
        {
            "kind": "start",
            "lane": lane,
            "lanes": lanes,
            "scenario": "invented",
            "seed": 7,
            "label": mode,
            "mode": mode,
            "step_minutes": 1.0,
            "days": 1,
            "markets": MARKETS,
            "tick_size": TICKS,
            "lot_size": [0.001, 0.01, 0.1],
            "populations": ["herd", "carry", "holder"],
            "accounts": {
                "drawn": list(range(ACCOUNTS)),
                "population": [i % 3 for i in range(ACCOUNTS)],
                "total": 100_000,
            },
            "sampled": True,
            "every": 10,
            "heat_every": 20,
            "version": "0.1.0",
            "theme": {},
            "health_base": 2**0.02,
            "lean_base": 101 ** (1 / 127),
            "worth_base": 1.005,
            "source": source,
            "funding": {"interval_hours": 8, "cap": [0.0075] * 3, "band": 0.0005},
            "maintenance": [0.005] * 3,
            "command": "marketsim run invented --seed 7",
            "controls": controls,
            "scenarios": ["calm", "mark-spiral", "october-10"],
            "venues": ["dydx", "binance", "bitmex", "hyperliquid"],
            "modes": ["cross", "isolated", "partial"],
            "limits": ["Prices are invented.", "Accounts are a sample."],
        }
        | more
    )


def frames(first: int, last: int, *, lane: int = 0, shock: int = 600, depth: float = 0.12) -> bytes:
    """Write the frames of steps first..last, with a cascade at `shock` that takes `depth` off."""
    step = np.arange(first, last + 1, dtype=np.int32)
    t = step[:, None].astype(float)
    m = np.arange(3)[None, :]
    # The index falls at the shock, the mark further in the cascade, and comes back by half.
    wave = 0.012 * np.sin(t / 90 + m) + 0.004 * np.sin(t / 11 + 2 * m)
    age = np.clip(t - shock - 4 * m, 0, None)
    fall = 0.05 * (age > 0)
    overshoot = depth * np.where(age < 30, age / 30, np.exp(-(age - 30) / 150))
    ticks = np.array(PRICES) / np.array(TICKS)
    index = ticks * (1 + wave - fall)
    mark = index * (1 + 0.002 * np.sin(t / 60) - overshoot * (age > 0))
    whole = {
        "index": index,
        "mark": mark,
        "last": mark * 1.0002,
        "bid": mark * 0.9998,
        "ask": mark * 1.0003,
    }
    premium = (mark / index - 1).astype(np.float32)
    rate = np.clip(premium / 4 + 0.0001, -0.0075, 0.0075).astype(np.float32)
    spread = np.float32(1)
    ids, liqs, ties = _cascade(first, last, shock, mark, first)
    liquidated = np.zeros((len(step), 3))
    for i in range(len(ids)):
        liquidated[liqs["liq_step"][i] - first :, liqs["liq_market"][i]] += liqs["liq_usd"][i]
    arrays: dict[str, NDArray[Any]] = {
        "step": step,
        **{name: np.round(values).astype(np.int32) for name, values in whole.items()},
        "premium": premium,
        "rate": (rate // 0.0002 * 0.0002).astype(np.float32),
        "next": rate,
        "interest": (5e7 * (1 - 4 * overshoot) * spread).astype(np.float32),
        "long_share": np.float32(0.5) + np.float32(0.2) * np.sin(t / 200 + m).astype(np.float32),
        "herd": np.sin(t / 150 + m).astype(np.float32),
        "depth": np.full((len(step), 3, 2), 2e6, np.float32),
        "fund": 5e6 - 2e6 * overshoot[:, 0] / depth,
        "liquidated": liquidated,
        "adl": np.where(age[:, 0] > 25, 3e5, 0.0),
        "socialised": np.zeros(len(step)),
        "reproduction": np.repeat(
            (0.4 + 1.1 * np.exp(-(((step - shock) / 80.0) ** 2)))[:, None], 2, axis=1
        ).astype(np.float32),
    }
    arrays |= (
        _accounts(step[step % 10 == 0], shock)
        | _heat(step[step % 20 == 0], mark, first)
        | liqs
        | ties
    )
    settled = step[step % 480 == 0]
    arrays |= {
        "set_step": np.repeat(settled, 3).astype(np.int32),
        "set_market": np.tile(np.arange(3, dtype=np.uint8), len(settled)),
        "set_rate": np.full(3 * len(settled), 1e-4, np.float32),
        "set_usd": np.full(3 * len(settled), 5e3, np.float32),
        "adl_step": np.zeros(0, np.int32),
        "adl_account": np.zeros(0, np.int32),
        "adl_market": np.zeros(0, np.uint8),
        "adl_usd": np.zeros(0, np.float32),
    }
    return message(
        {"kind": "frames", "lane": lane}, arrays, ("step", "index", "mark", "last", "bid", "ask")
    )


def _cascade(
    first: int, last: int, shock: int, mark: NDArray[Any], base: int
) -> tuple[Any, Any, Any]:
    """Write those of 40 liquidations in five generations that fall in first..last."""
    number = np.arange(40)
    when = shock + 1 + number // 2
    inside = (when >= first) & (when <= last)
    ids, when = number[inside].astype(np.int32), when[inside].astype(np.int32)
    market = (ids // 3 % 3).astype(np.uint8)
    usd = (1e5 * (1 + ids % 5)).astype(np.float32)
    ticks = np.round(mark[when - base, market]).astype(np.int32) if len(ids) else ids
    liqs = {
        "liq_step": when,
        "liq_id": ids,
        "liq_account": (ids % ACCOUNTS).astype(np.int32),
        "liq_market": market,
        "liq_side": np.zeros(len(ids), np.uint8),
        "liq_usd": usd,
        "liq_book": usd * np.float32(0.8),
        "liq_fund": usd * np.float32(0.2),
        "liq_adl": np.zeros(len(ids), np.float32),
        "liq_price": ticks,
        "liq_mark": ticks,
        "liq_cascade": np.zeros(len(ids), np.int32),
        "liq_generation": (ids // 8).astype(np.int32),
        "liq_round": np.zeros(len(ids), np.uint8),
    }
    ties = {
        "tie_child": ids,
        "tie_parent": np.where(ids < 8, -1, ids - 8).astype(np.int32),
        "tie_weight": np.ones(len(ids), np.float32),
        "tie_via": market,
    }
    return ids, liqs, ties


def _accounts(step: NDArray[np.int32], shock: int) -> dict[str, NDArray[Any]]:
    a = np.arange(ACCOUNTS)[None, :, None]
    late = (step > shock)[:, None, None]
    health = np.clip(30 + 3 * a + 20 * np.sin(step / 70)[:, None, None] - 60 * late, 0, 250)
    pools = np.full((len(step), ACCOUNTS, 4), 255)
    pools[:, :, :1] = health
    lean = 128 + 100 * np.sin(np.arange(ACCOUNTS)[None, :, None] + np.arange(3)) * np.ones(
        (len(step), 1, 1)
    )
    worth = np.full((len(step), ACCOUNTS), 2_000) + 10 * np.arange(ACCOUNTS)
    return {
        "account_step": step.astype(np.int32),
        "health": pools.astype(np.uint8),
        "lean": lean.astype(np.uint8),
        "worth": worth.astype(np.uint16),
    }


def _heat(step: NDArray[np.int32], mark: NDArray[Any], first: int) -> dict[str, NDArray[Any]]:
    cells = 30
    market, side, low, high, usd = [], [], [], [], []
    for t in step:
        for m in range(3):
            for i in range(cells):
                down = i < cells * 2 // 3
                centre = mark[t - first, m] * (
                    1 - 0.005 * (i + 2) if down else 1 + 0.006 * (i - 18)
                )
                market.append(m)
                side.append(0 if down else 1)
                low.append(int(centre * 0.9975))
                high.append(int(centre * 1.0025))
                usd.append(2e5 * (1 + (7 * i + m) % 9))
    rows = np.arange(len(step) + 1) * cells * 3
    return {
        "heat_step": step.astype(np.int32),
        "heat_row": rows.astype(np.int32),
        "heat_market": np.array(market, np.uint8),
        "heat_side": np.array(side, np.uint8),
        "heat_low": np.array(low, np.int32),
        "heat_high": np.array(high, np.int32),
        "heat_usd": np.array(usd, np.float32),
    }


def chapters() -> bytes:
    """Write the chapters of the invented story."""
    told = [
        {
            "step": 1,
            "title": "Build-up",
            "sentence": "A crowd leans long on borrowed money.",
            "notes": "Point at the dial: it is below 1.",
        },
        {
            "step": 600,
            "title": "Shock",
            "sentence": "The index falls by 5 %.",
            "notes": "Ask the audience how far it goes.",
        },
        {
            "step": 601,
            "title": "First liquidation",
            "sentence": "The first pool is sold.",
            "notes": "Follow the sparks.",
        },
        {
            "step": 625,
            "title": "Peak of R",
            "sentence": "Each dollar sold forces another 1.5.",
            "notes": "",
        },
        {
            "step": 640,
            "title": "End of the cascade",
            "sentence": "40 liquidations, $11.4M.",
            "notes": "Compare the guess.",
        },
    ]
    return message({"kind": "chapters", "chapters": told})


def recording(steps: int = 1200, lanes: int = 1) -> list[bytes]:
    """Write a whole replay: headers, frames, chapters and the digest of each lane."""
    modes = ["cross", "isolated", "cross", "partial"]
    messages = [start(k, lanes, mode=modes[k]) for k in range(lanes)]
    messages += [
        frames(1, steps, lane=k, depth=0.12 if k == 0 else 0.05 + 0.01 * k) for k in range(lanes)
    ]
    messages.append(chapters())
    for k in range(lanes):
        messages.append(
            message(
                {
                    "kind": "digest",
                    "lane": k,
                    "step": steps,
                    "digest": "ab12cd34" * 8,
                    "command": "marketsim run invented --seed 7",
                    "scenario_toml": 'name = "invented"\n',
                }
            )
        )
    return messages
