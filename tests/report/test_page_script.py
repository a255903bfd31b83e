"""The page's script without a browser: what it reads from bytes, and how it finds moments."""

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import marketsim
from tests.browser import invented

FILES = Path(marketsim.__file__).parent / "report" / "page"
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="no Node.js to run the page's script")

#: Runs the given files as a page would, then an expression; `messages` are those of the input.
RUNNER = """
const fs = require("fs");
const vm = require("vm");
const input = JSON.parse(fs.readFileSync(0, "utf-8"));
const style = { setProperty() {} };
const document = { documentElement: { style, dataset: {} } };
const scope = vm.createContext({ TextDecoder, atob, DataView, document });
scope.window = scope;
for (const file of input.files) vm.runInContext(fs.readFileSync(file, "utf-8"), scope);
scope.packets = input.messages.map((text) => {
  const bytes = Buffer.from(text, "base64");
  const own = vm.runInContext(`new ArrayBuffer(${bytes.length})`, scope);
  vm.runInContext("(to, from) => new Uint8Array(to).set(from)", scope)(own, bytes);
  return own;
});
console.log(JSON.stringify(vm.runInContext(input.expression, scope)));
"""


def run_script(
    expression: str, *messages: bytes, files: tuple[str, ...] = ("wire", "store")
) -> Any:
    """Return what an expression gives where `packets` are the messages."""
    assert NODE is not None
    asked = {
        "files": [str(FILES / f"{name}.js") for name in files],
        "messages": [base64.b64encode(each).decode() for each in messages],
        "expression": expression,
    }
    command = [NODE, "-e", RUNNER]
    return json.loads(subprocess.check_output(command, input=json.dumps(asked), text=True))


STORE = """
(() => {
  const [start, ...rest] = packets.map((each) => page.wire.decode(each));
  const lane = new page.Store(start);
  for (const message of rest) lane.append(message);
  return %s;
})()
"""


WHOLE = [
    np.array([1, -2, 3], np.int32),
    np.array([-(2**53) + 1, -1, 0, 2**53 - 1], np.int64),
    np.array([[1, 2], [255, 0]], np.uint8),
    np.array([65535], np.uint16),
    np.zeros((0, 3), np.int32),
]
BROKEN = [np.array([0.5, -1.25], np.float32), np.array([1e300], np.float64)]


@needs_node
def test_arrays_arrive_as_they_were_sent() -> None:
    before = np.ones(3, np.uint8)  # does not end on a boundary of 8 bytes
    sent = [({"before": before, "x": each}, ()) for each in [*WHOLE, *BROKEN]]
    sent += [({"before": before, "x": each}, ("x",)) for each in WHOLE]
    messages = [invented.message({"kind": "x"}, arrays, delta) for arrays, delta in sent]
    found = run_script("packets.map((each) => [...page.wire.decode(each).columns.x])", *messages)
    assert found == [arrays["x"].ravel().tolist() for arrays, _ in sent]


@needs_node
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda sent: b"XXXX" + sent[4:], "not a message"),
        (lambda sent: sent[:-8], "cut off"),
        (lambda sent: sent[:4], "not a message"),
    ],
)
def test_damaged_messages_are_refused(damage: Any, words: str) -> None:
    sent = damage(invented.message({"kind": "x"}, {"x": np.arange(4, dtype=np.float64)}))
    attempt = "try { page.wire.decode(packets[0]); } catch (error) { return error.message; }"
    said = run_script(f"(() => {{ {attempt} }})()", sent)
    assert words in said


@needs_node
def test_frames_in_pieces_hold_what_frames_at_once_do() -> None:
    facts = (
        "[lane.rows, [...lane.frames.mark.slice(0, lane.rows * lane.M)], lane.liqs.count,"
        " lane.heat.length, lane.accounts.count, lane.ties(20), lane.children(3)]"
    )
    whole = run_script(STORE % facts, invented.start(), invented.frames(1, 800))
    pieces = [invented.frames(n, n + 99) for n in range(1, 800, 100)]
    assert run_script(STORE % facts, invented.start(), *pieces) == whole
    assert whole[0] == 800
    assert whole[2] == 40
    assert whole[5] == [{"parent": 12, "weight": 1, "via": 0}]
    assert whole[6] == [11]


@needs_node
def test_frames_of_the_past_replace_what_followed() -> None:
    facts = "[lane.rows, lane.lastStep, lane.liqs.count, lane.liqRow(39), lane.ties(39).length]"
    messages = invented.start(), invented.frames(1, 700), invented.frames(605, 606)
    # Two liquidations a step from 601 on: ten are kept, or written anew by 606.
    assert run_script(STORE % facts, *messages) == [606, 606, 12, -1, 0]


@needs_node
def test_a_branch_holds_the_past_up_to_its_step() -> None:
    facts = (
        "(() => { const branch = new page.Store(start); branch.adopt(lane, 610); return"
        " [branch.lastStep, branch.liqs.count, branch.ties(19).length, branch.liqRow(20)]; })()"
    )
    assert run_script(STORE % facts, invented.start(), invented.frames(1, 700)) == [610, 20, 1, -1]


@needs_node
def test_the_far_past_is_thinned_out_and_found_all_the_same() -> None:
    facts = (
        "(() => { lane.accounts.thin(); const { count, step, worth } = lane.accounts;"
        " return [count, [...step.slice(0, 5)], [...step.slice(count - 3, count)],"
        " worth[2 * lane.A + 1], lane.accountRow(55)]; })()"
    )
    found = run_script(STORE % facts, invented.start(), invented.frames(1, 205))
    # 20 frames, each 10 steps: of the first ten every second is gone.
    assert found == [15, [10, 30, 50, 70, 90], [180, 190, 200], 2010, 2]


@needs_node
def test_moments_are_found_at_or_before() -> None:
    facts = (
        "[lane.row(0), lane.row(1), lane.row(300.9), lane.row(1e9), lane.accountRow(25),"
        " lane.heatAt(19), lane.heatAt(45).step, lane.liqRange(601, 602), lane.nextEvent(0),"
        " lane.nextEvent(480)]"
    )
    found = run_script(STORE % facts, invented.start(), invented.frames(1, 700))
    assert found == [0, 0, 299, 699, 1, None, 40, [0, 4], 480, 601]
    assert run_script(STORE % "lane.row(5)", invented.start()) == -1


SAID = {
    "usd(1234567)": "$1.23M",
    "usd(-999600)": "−$1.00M",
    "usd(9994)": "$9,994",
    "usd(-0.2)": "$0",
    "usd(NaN)": "–",
    "bp(-0.00012)": "−1.2 bp",
    "bp(0)": "+0.0 bp",
    "price(98765.4)": "$98,765",
    "price(0.12345)": "$0.1235",
    "clock(1445, 1)": "day 2, 00:05",
    "clock(3, 0.5)": "day 1, 00:01",
    "percent(-0.0314)": "−3.1 %",
}


@needs_node
def test_numbers_are_written_the_way_they_are_said() -> None:
    expression = ", ".join(f"page.theme.{each}" for each in SAID)
    assert run_script(f"[{expression}]", files=("theme",)) == list(SAID.values())


@needs_node
def test_funding_colours_have_the_edges_of_the_figures() -> None:
    expression = (
        "[page.theme.setScheme('light'), page.theme.fundingSteps().map((each) => each.from),"
        " page.theme.funding(0) === page.theme.neutral,"
        " page.theme.funding(-1),"
        " page.theme.funding(0.0001) === page.theme.fundingSteps()[6].colour]"
    )
    found = run_script(expression, files=("theme",))
    assert found[1][1:] == [-100, -30, -10, -3, -0.5, 0.5, 3, 10, 30, 100]
    assert found[2:] == [True, "#6f2a02", True]


def test_page_names_each_of_its_files_once() -> None:
    html = (FILES / "page.html").read_text(encoding="utf-8")
    scripts = {path.name for path in FILES.glob("*.js")} - {"uplot.min.js"}
    for name in [*scripts, "uplot.min.js"]:
        assert html.count(f'<script src="{name}"></script>') == 1, name
    assert "style=" not in html
    assert " on" not in html.replace(" one", "")


@needs_node
def test_a_distance_of_prices_has_no_more_digits_than_are_read() -> None:
    said = run_script("[1234.4, 9, 0.25].map(page.theme.apart)", files=("theme",))
    assert said == ["$1,234", "$9.00", "$0.2500"]
