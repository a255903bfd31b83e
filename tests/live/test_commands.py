"""What a client may say, and what is said to one that says something else."""

import json

import pytest

from marketsim.live.commands import FIELDS, RefusedError, read_command
from marketsim.live.security import MAX_MESSAGE
from marketsim.live.session import _VERBS


def test_every_command_has_its_verb():
    assert set(_VERBS) == set(FIELDS)


@pytest.mark.parametrize(
    ("text", "do", "fields"),
    [
        ('{"do": "play"}', "play", {}),
        ('{"do": "step"}', "step", {"n": 1}),
        ('{"do": "rewind", "step": 0}', "rewind", {"step": 0}),
        ('{"do": "set", "path": "a.b", "value": 0.5}', "set", {"path": "a.b", "value": 0.5}),
        (
            '{"do": "shock", "market": "BTC", "size": -0.2}',
            "shock",
            {
                "kind": "crash",
                "market": "BTC",
                "venue": None,
                "size": -0.2,
                "share": None,
                "minutes": 10.0,
            },
        ),
        (
            '{"do": "branch", "step": 3, "change": {"path": "x", "value": 1}}',
            "branch",
            {"step": 3, "change": {"path": "x", "value": 1}},
        ),
        ('{"do": "twins"}', "twins", {"mode": None}),
    ],
)
def test_what_is_well_said_is_understood(text, do, fields):
    command = read_command(text)
    assert (command.do, command.fields) == (do, fields)
    assert read_command(text.encode()) == command


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "JSON object"),
        ("nonsense", "JSON object"),
        ("[1, 2]", "JSON object"),
        ("[" * 4_000, "JSON object"),
        (b"\xff\xfe", "JSON object"),
        ('{"do": "step", "n": NaN}', "JSON object"),
        ('{"do": "step", "n": 1e999}', "whole number from 1"),
        ("{}", "must be one of play"),
        ('{"do": "__class__"}', "must be one of play"),
        ('{"do": ["play"]}', "must be one of play"),
        ('{"do": "play", "file": "/etc/passwd"}', "no field 'file'"),
        ('{"do": "step", "n": 0}', "n: must be a whole number from 1"),
        ('{"do": "step", "n": true}', "n: must be a whole number"),
        ('{"do": "step", "n": 1.5}', "n: must be a whole number"),
        ('{"do": "rewind"}', "step: must be a whole number"),
        ('{"do": "seed", "seed": 9223372036854775808}', "seed: must be a whole number"),
        ('{"do": "speed", "steps_per_second": -1}', "steps_per_second: must be a number"),
        ('{"do": "shock", "kind": "rule"}', "kind: must be one of crash"),
        ('{"do": "shock", "size": -1}', "size: must be a number from -0.99"),
        ('{"do": "set", "path": "a", "value": {"kind": "x"}}', "value: must be a number"),
        ('{"do": "set", "path": "a", "value": [1]}', "value: must be a number"),
        ('{"do": "set", "path": "", "value": 1}', "path: must be a text"),
        ('{"do": "branch", "step": 1, "change": {"path": "a"}}', "change: must be an object"),
        ('{"do": "export", "what": "../../etc/passwd"}', "what: must be one of csv"),
        ('{"do": "scenario", "scenario": 7}', "scenario: must be a text"),
    ],
)
def test_what_is_not_is_refused_in_words(text, words):
    with pytest.raises(RefusedError) as error:
        read_command(text)
    assert words in str(error.value)


def test_what_is_too_long_is_not_read():
    text = json.dumps({"do": "set", "path": "a", "value": "x"})
    padded = text + " " * (MAX_MESSAGE - len(text))
    with pytest.raises(RefusedError, match=f"at most {MAX_MESSAGE} bytes"):
        read_command(padded + " ")
    assert read_command(padded).do == "set"
