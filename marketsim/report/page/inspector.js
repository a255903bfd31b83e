/* One account: how near it is to its line, which way it leans, what it is worth; and the margin sum. */
(function (page) {
  "use strict";

  const C = page.canvas;
  const R = page.readings;
  /* Steps of the past that the charts show. */
  const WINDOW = 240;
  /* Top of the health chart: equity over maintenance, a power of two. */
  const MOST_HEALTH = 16;

  /* The account looked at, by its place among the drawn: the chosen one, -1 if it is not drawn; the
     most endangered one where none is chosen. */
  function accountOf(area) {
    const { lane, selected } = area;
    if (!selected || !(selected.account >= 0)) return R.endangered(lane)[0];
    const a = R.drawnIndex(lane).get(selected.account);
    return a === undefined ? -1 : a;
  }

  function layout(area) {
    const px = C.size(area);
    const isWide = area.width >= 560;
    const top = px * 1.9;
    const left = px * 4.3;
    const charts = { x: left, y: top + px * 1.3 };
    charts.width = (isWide ? area.width * 0.52 : area.width - px) - left;
    const height = (isWide ? area.height : area.height * 0.56) - top - px * 1.8;
    charts.each = height / 3;
    const words = isWide
      ? { x: charts.x + charts.width + px * 1.4, y: top }
      : { x: px * 0.5, y: area.height * 0.56 + px * 1.1 };
    words.width = area.width - words.x - px * 0.5;
    words.height = area.height - words.y - px * 0.3;
    return { px, small: px * 0.9, isWide, charts, words };
  }

  const chartBox = (place, k) => ({
    x: place.charts.x,
    y: place.charts.y + k * place.charts.each,
    width: place.charts.width,
    height: place.charts.each - place.px * 1.7,
  });

  /* Rows of the account frames in sight: [first, end). */
  function rowsInSight(area) {
    const end = area.lane.accountRow(area.time) + 1;
    return [Math.max(0, area.lane.accountRow(area.time - WINDOW)), end];
  }

  /* A line through the account's frames, held to the present; `y` may be NaN where there is nothing. */
  function drawSeries(area, box, y, colour, thick) {
    const { context, lane, time } = area;
    const [first, end] = rowsInSight(area);
    let isOpen = false;
    context.strokeStyle = colour;
    context.lineWidth = thick;
    context.beginPath();
    for (let row = first; row < end; row++) {
      const value = y(row);
      if (Number.isNaN(value)) {
        isOpen = false;
        continue;
      }
      const x = xOf(area, box, lane.accounts.step[row]);
      if (isOpen) context.lineTo(x, value);
      else context.moveTo(x, value);
      isOpen = true;
    }
    if (isOpen) context.lineTo(xOf(area, box, time), y(end - 1));
    context.stroke();
  }

  const xOf = (area, box, step) => box.x + box.width * C.clamp(1 - (area.time - step) / WINDOW, 0, 1);

  function drawBox(area, place, box, title, ticks) {
    const { theme } = area;
    const { px, small } = place;
    let written = Infinity;
    for (const { y, words, isStrong } of ticks) {
      C.line(
        area,
        box.x,
        y,
        box.x + box.width,
        y,
        isStrong ? theme.ink : theme.grid,
        isStrong ? px * 0.13 : 1,
      );
      const how = { px: small, colour: theme.soft, align: "right", baseline: "middle" };
      if (Math.abs(y - written) < small) continue; // a low chart has no room for all of them
      C.write(area, words, box.x - px * 0.3, y, how);
      written = y;
    }
    const head = { px: small, weight: 600, baseline: "bottom", room: box.width };
    C.write(area, title, box.x, box.y - px * 0.2, head);
  }

  /* When the account was liquidated: a mark across the chart. */
  function drawStrikes(area, box, a) {
    const { lane, theme, time } = area;
    const who = R.struck(lane);
    const times = R.ignitions(lane);
    const { first, end } = R.recent(lane, time, WINDOW);
    for (let i = first; i < end; i++) {
      if (who[i] !== a) continue;
      const x = xOf(area, box, times[i]);
      C.line(area, x, box.y, x, box.y + box.height, theme.fire(0.75), C.size(area) * 0.14);
    }
  }

  /* Whether nothing that the account holds leans on a pool. */
  function isUnused(lane, row, a, pool) {
    if (pool) return !R.lean(lane, row, a, pool - 1);
    for (let m = 0; m < lane.M; m++) {
      if (R.health(lane, row, a, 1 + m) === R.NO_POOL && R.lean(lane, row, a, m)) return false;
    }
    return true;
  }

  function drawHealth(area, place, a) {
    const { lane, theme } = area;
    const box = chartBox(place, 0);
    const top = Math.log2(MOST_HEALTH);
    // Half a doubling below the line is in sight.
    const share = (ratio) => (Math.log2(Math.max(ratio, 0.5)) + 0.5) / (top + 0.5);
    const yOf = (ratio) => box.y + box.height * (1 - C.clamp(share(ratio), 0, 1));
    const marks = box.height > place.px * 5 ? [1, 2, 4, 8, 16] : [1, 4, 16];
    const ticks = marks.map((value) => ({ y: yOf(value), words: `${value}×`, isStrong: value === 1 }));
    drawBox(area, place, box, "equity / maintenance margin", ticks);
    drawStrikes(area, box, a);
    for (let pool = lane.M; pool >= 0; pool--) {
      const y = (row) => {
        return isUnused(lane, row, a, pool) ? NaN : yOf(R.ratio(lane, R.health(lane, row, a, pool)));
      };
      drawSeries(area, box, y, pool ? theme.market(pool - 1) : theme.ink, place.px * 0.17);
    }
  }

  /* The least power of two times a unit that holds all values of a series in sight. */
  function holding(area, value, unit) {
    const [first, end] = rowsInSight(area);
    let most = unit;
    for (let row = first; row < end; row++) most = Math.max(most, value(row));
    return unit * 2 ** Math.ceil(Math.log2(most / unit) - 1e-9);
  }

  function drawLean(area, place, a) {
    const { lane, theme } = area;
    const box = chartBox(place, 1);
    const largest = (row) => {
      let most = 0;
      for (let m = 0; m < lane.M; m++) most = Math.max(most, Math.abs(R.lean(lane, row, a, m)));
      return most;
    };
    const most = holding(area, largest, 1);
    const yOf = (lean) => box.y + (box.height / 2) * (1 - lean / most);
    const ticks = [
      { y: yOf(most), words: `+${most}×` },
      { y: yOf(0), words: "0", isStrong: true },
      { y: yOf(-most), words: `−${most}×` },
    ];
    drawBox(area, place, box, "position / equity, long up", ticks);
    drawStrikes(area, box, a);
    for (let m = 0; m < lane.M; m++) {
      drawSeries(area, box, (row) => yOf(R.lean(lane, row, a, m)), theme.market(m), place.px * 0.17);
    }
  }

  function drawWorth(area, place, a) {
    const { lane, theme, time } = area;
    const box = chartBox(place, 2);
    const most = holding(area, (row) => R.worth(lane, row, a), 100);
    const yOf = (usd) => box.y + box.height * (1 - usd / most);
    const short = (usd) => theme.usd(usd).replace(/\.0+(?=[kM])/, "");
    const ticks = [0, most / 2, most].map((usd) => ({ y: yOf(usd), words: short(usd) }));
    drawBox(area, place, box, "equity, USD", ticks);
    drawStrikes(area, box, a);
    drawSeries(area, box, (row) => yOf(R.worth(lane, row, a)), theme.ink, place.px * 0.17);
    C.timeAxis(area, box, time - WINDOW, time, place.small);
  }

  /* The lines beside the charts: {label, value, isSum, colour} or {note}; as many words as `most`
     lines have room for. */
  function linesOf(area, a, most) {
    const { lane } = area;
    const { statement } = lane;
    const id = a < 0 ? area.selected.account : lane.header.accounts.drawn[a];
    if (!statement || statement.account !== id)
      return a < 0 ? undrawnLines(area, id) : recordedLines(area, a);
    const whole = statedLines(area, statement, spelledOut);
    return whole.length <= most ? whole : statedLines(area, statement, inShort);
  }

  /* Of an account that is not drawn only its liquidations are recorded. */
  function undrawnLines(area, id) {
    const { lane, theme, time } = area;
    let usd = 0;
    let count = 0;
    for (let i = 0, end = R.burnt(lane, time); i < end; i++) {
      if (lane.liqs.account[i] !== id) continue;
      usd += lane.liqs.usd[i];
      count += 1;
    }
    return [
      { label: `liquidated, ${count} times`, value: theme.usd(usd) },
      { note: "It is not among the drawn accounts: what it holds is not recorded." },
    ];
  }

  /* What the market itself answered: every pool's sum, then how far each price may go. */
  function statedLines(area, statement, poolLines) {
    const { lane } = area;
    const { pools, distance } = statement;
    const sums = pools.flatMap((pool) => poolLines(area, pool, pools.length > 1));
    const distances = [...lane.header.markets.keys()]
      .filter((m) => Number.isFinite(distance[lane.header.markets[m]]))
      .map((m) => distanceLine(area, m, distance[lane.header.markets[m]]));
    return [...sums, ...distances, { note: `Stated by the market, ${R.clock(lane, statement.step)}.` }];
  }

  /* A pool's margin sum, term by term. */
  function spelledOut({ theme }, pool, isOneOfSeveral) {
    const head = isOneOfSeveral ? [{ label: `pool ${pool.name}`, value: "", isSum: true }] : [];
    return head.concat(
      pool.lines.map(({ label, usd, sign }) => ({
        label,
        value: theme.usd(sign === "-" ? -usd : usd),
        isSum: sign === "=",
      })),
    );
  }

  const inShort = ({ theme }, pool) => [
    {
      label: `${pool.name}: equity − maintenance`,
      value: `${theme.usd(pool.equity)} − ${theme.usd(pool.maintenance)}`,
    },
    { label: "left above it", value: theme.usd(pool.buffer), isSum: true },
  ];

  const distanceLine = (area, m, share) => ({
    label: `${R.market(area.lane, m)} to liquidation`,
    value: (share > 0 ? "+" : "") + area.theme.percent(share),
    colour: area.theme.market(m),
  });

  /* Without the market at hand: what follows from the recorded levels. */
  function recordedLines(area, a) {
    const { lane, theme } = area;
    const row = lane.accountRow(area.time);
    const equity = R.worth(lane, row, a);
    const held = [...lane.header.markets.keys()].filter((m) => R.lean(lane, row, a, m));
    const lines = held.map((m) => {
      const lean = R.lean(lane, row, a, m);
      return {
        label: `${lean > 0 ? "long" : "short"} ${R.market(lane, m)}`,
        value: theme.usd(Math.abs(lean) * equity),
        colour: theme.market(m),
      };
    });
    lines.push({ label: "equity", value: theme.usd(equity), isSum: true });
    const isOut = R.isOut(lane, row, a, R.lastStruck(lane, area.time));
    if (isOut) return lines.concat({ note: "Liquidated: it holds nothing any more." });
    if (!held.length) return lines.concat({ note: "It holds no position." });
    const isShared = held.every((m) => R.health(lane, row, a, 1 + m) === R.NO_POOL);
    if (isShared) return lines.concat(sharedLines(area, row, a, held, equity));
    const own = held.filter((m) => R.health(lane, row, a, 1 + m) !== R.NO_POOL);
    for (const m of own) {
      const ratio = R.ratio(lane, R.health(lane, row, a, 1 + m));
      const value = ratio < 1 ? "short" : `${ratio.toFixed(2)}×`;
      lines.push({ label: `${R.market(lane, m)} pool / maintenance`, value, colour: theme.market(m) });
    }
    return lines.concat({ note: recordedNote(area) });
  }

  /* One pool for all: the sum, and how far each market may go alone. */
  function sharedLines(area, row, a, held, equity) {
    const { lane, theme } = area;
    const ratio = R.ratio(lane, R.health(lane, row, a, 0));
    if (ratio < 1) return [{ label: "maintenance margin", value: "not covered" }];
    const maintenance = equity / ratio;
    const lines = [
      { label: "maintenance margin", value: `− ${theme.usd(maintenance)}` },
      { label: "left above it", value: theme.usd(equity - maintenance), isSum: true },
    ];
    for (const m of held) {
      const lean = R.lean(lane, row, a, m);
      // The margin asked for moves with the price too.
      const perMove = lean * equity - lane.header.maintenance[m] * Math.abs(lean) * equity;
      const share = -(equity - maintenance) / perMove;
      if (share > -1 && Math.abs(share) < 10) lines.push(distanceLine(area, m, share));
    }
    return lines.concat({ note: recordedNote(area) });
  }

  const recordedNote = (area) =>
    area.live
      ? "From recorded levels; choose the account to have the market state the sum."
      : "From recorded levels, each exact to about 4 %; the market itself can state the sum while it is live.";

  function drawLines(area, place, a) {
    const { theme } = area;
    const { px, words } = place;
    const height = px * 1.5;
    let y = words.y + px * 0.6;
    for (const line of linesOf(area, a, Math.floor(words.height / height))) {
      if (y > words.y + words.height) return;
      if (line.note) {
        for (const part of C.wrap(area, line.note, words.width, place.small)) {
          C.write(area, part, words.x, y + px * 0.3, {
            px: place.small,
            colour: theme.soft,
            baseline: "middle",
          });
          y += place.small * 1.3;
        }
        continue;
      }
      if (line.isSum)
        C.line(area, words.x, y - height / 2, words.x + words.width, y - height / 2, theme.soft, 1);
      const weight = line.isSum ? 700 : 400;
      const room = words.width - C.wide(area, line.value, px, weight) - px * (line.colour ? 1.8 : 0.8);
      if (line.colour) {
        area.context.fillStyle = line.colour;
        area.context.fillRect(words.x, y - px * 0.4, px * 0.6, px * 0.8);
      }
      C.write(area, line.label, words.x + (line.colour ? px : 0), y, {
        px,
        weight,
        baseline: "middle",
        room,
      });
      C.write(area, line.value, words.x + words.width, y, { px, weight, baseline: "middle", align: "right" });
      y += height;
    }
  }

  function headWords(area, a) {
    const { lane } = area;
    if (a < 0) return R.accountName(lane, area.selected.account);
    const name = R.accountName(lane, lane.header.accounts.drawn[a]);
    const isChosen = area.selected && R.drawnIndex(lane).get(area.selected.account) === a;
    const why = R.struck(lane).includes(a) ? "the most liquidated" : "the most endangered";
    return isChosen ? name : `${name} (${why})`;
  }

  function draw(area) {
    const { lane } = area;
    if (lane.accountRow(area.time) < 0 || !lane.A) {
      C.waiting(area, "Accounts appear with the first step.");
      return;
    }
    C.clear(area);
    const place = layout(area);
    const a = accountOf(area);
    const how = { px: place.px * 1.15, weight: 700, baseline: "middle", room: area.width - place.px };
    C.write(area, headWords(area, a), place.px * 0.5, place.px, how);
    if (a >= 0) {
      drawHealth(area, place, a);
      drawLean(area, place, a);
      drawWorth(area, place, a);
    }
    drawLines(area, place, a);
  }

  /* The moment under the pointer in words. */
  function pick(area, x, y) {
    const { lane, theme, time } = area;
    if (lane.accountRow(time) < 0 || !lane.A) return null;
    const { charts } = layout(area);
    if (x < charts.x || x > charts.x + charts.width || y < charts.y) return null;
    const a = accountOf(area);
    if (a < 0) return null;
    const row = lane.accountRow(time - WINDOW * (1 - (x - charts.x) / charts.width));
    const ratio = R.ratio(lane, R.weakest(lane, row, a));
    const id = lane.header.accounts.drawn[a];
    const state = R.isFlat(lane, row, a) ? "flat" : `${ratio.toFixed(2)}× maintenance`;
    const when = R.clock(lane, lane.accounts.step[row]);
    const text = `${R.accountName(lane, id)}, ${when}: ${state}, equity ${theme.usd(R.worth(lane, row, a))}`;
    return { kind: "account", account: id, step: lane.accounts.step[row], text };
  }

  /* Left and right go through the drawn accounts by danger, home to the first of them. */
  function move(area, direction) {
    const { lane } = area;
    if (!lane.A || lane.accountRow(area.time) < 0) return null;
    const list = R.endangered(lane);
    const at = list.indexOf(accountOf(area));
    const by = { left: -1, up: -1, right: 1, down: 1 }[direction];
    const to = direction === "home" ? 0 : direction === "end" ? list.length - 1 : at + by;
    const id = lane.header.accounts.drawn[list[(to + list.length) % list.length]];
    return { kind: "account", account: id, text: R.accountName(lane, id) };
  }

  function text(area) {
    const { lane, time } = area;
    if (!lane.A || lane.accountRow(time) < 0) return "No account yet.";
    const a = accountOf(area);
    const parts = linesOf(area, a, Infinity).map((line) => line.note || `${line.label} ${line.value}`);
    return `${headWords(area, a)}, ${R.clock(lane, time)}: ${parts.join("; ")}`;
  }

  page.views.push({
    id: "inspector",
    title: "Account",
    question: "How is this account's margin computed, and how far can each price go?",
    help:
      "One drawn account: equity over maintenance margin with the line at 1 (black: the shared " +
      "pool, colours: a market's own pool), its positions as multiples of its equity, and its " +
      "equity; bars across are its liquidations. Choose an account in another view, or walk through " +
      "them with the arrow keys. In a live market the sum beside the charts is what the market " +
      "itself states, line by line. In a replay it is worked out from the recorded levels. The way " +
      "to liquidation is how far one market's mark may move alone.",
    draw,
    pick,
    move,
    text,
  });
})((window.page = window.page || {}));
