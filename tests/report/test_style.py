"""Colours keep apart, text can be read, and the page gets the same language as the figures."""

import json
from itertools import combinations

import numpy as np
import pytest

from marketsim.report.style import FUNDING_STEPS_BP, THEMES, shortened, theme

#: Linear RGB as eyes without one kind of cone see it (Machado, Oliveira and Fernandes 2009).
EYES = {
    "all cones": np.eye(3),
    "no red": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no green": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no blue": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def linear(color: str) -> np.ndarray:
    value = np.array([int(color[n : n + 2], 16) / 255 for n in (1, 3, 5)])
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """As the Web Content Accessibility Guidelines define it."""
    light = [float(linear(color) @ [0.2126, 0.7152, 0.0722]) for color in (one, other)]
    return (max(light) + 0.05) / (min(light) + 0.05)


def oklab(color: str, eyes: str) -> np.ndarray:
    """B. Ottosson, "A perceptual color space for image processing" (2020)."""
    seen = np.clip(np.asarray(EYES[eyes]) @ linear(color), 0.0, 1.0)
    cones = np.cbrt(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
        @ seen
    )
    return np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
        @ cones
    )


def apart(one: str, other: str) -> float:
    return min(float(np.linalg.norm(oklab(one, eyes) - oklab(other, eyes))) for eyes in EYES)


@pytest.mark.parametrize("page", THEMES.values(), ids=THEMES)
def test_text_has_the_contrast_that_wcag_aa_asks_for(page):
    for color in (page.ink, page.muted, page.long, page.short, page.fund):
        assert contrast(color, page.paper) >= 4.5
    for color in page.categories:  # marks, not text
        assert contrast(color, page.paper) >= 2.9


@pytest.mark.parametrize("page", THEMES.values(), ids=THEMES)
def test_ten_markets_and_both_sides_differ_for_every_eye(page):
    assert len(page.categories) == 10
    for one, other in combinations(page.categories, 2):
        assert apart(one, other) > 0.05, (one, other)
    assert apart(page.long, page.short) > 0.1


@pytest.mark.parametrize("page", THEMES.values(), ids=THEMES)
def test_the_funding_scale_is_absolute_and_neutral_at_zero(page):
    assert len(page.funding) == len(FUNDING_STEPS_BP) + 1
    assert list(FUNDING_STEPS_BP) == [-step for step in FUNDING_STEPS_BP[::-1]]
    assert page.funding_color(0.0) == page.funding[len(page.funding) // 2]
    assert page.funding_color(1.0) == page.funding[-1]
    assert page.funding_color(-1.0) == page.funding[0]
    # Away from zero every step stands out more from the paper, on both sides.
    from_paper = [contrast(color, page.paper) for color in page.funding]
    middle = len(from_paper) // 2
    assert from_paper[middle:] == sorted(from_paper[middle:])
    assert from_paper[: middle + 1] == sorted(from_paper[: middle + 1], reverse=True)


@pytest.mark.parametrize("page", THEMES.values(), ids=THEMES)
def test_a_hotter_fire_stands_out_more(page):
    from_paper = [contrast(color, page.paper) for color in page.fire]
    assert from_paper == sorted(from_paper)


def test_the_page_gets_what_the_figures_use():
    sent = json.loads(json.dumps(theme()))
    for name, page in THEMES.items():
        assert sent[name]["markets"][1] == page.market(1) == page.market(11)
        assert sent[name]["populations"][0] == page.population(0)
        assert sent[name]["ink"] == page.ink
    assert sent["funding_limits_bp"] == list(FUNDING_STEPS_BP)


def test_names_are_cut_in_their_middle_only_if_they_must():
    assert shortened("BTC") == "BTC"
    name = "the-beginning" + "x" * 200 + "the-end"
    assert len(shortened(name)) == 28
    assert shortened(name).startswith("the-begin")
    assert shortened(name).endswith("the-end")
