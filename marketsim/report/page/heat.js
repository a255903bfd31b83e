/* Funding by market and time on an absolute scale, and how long until it is paid. */
(function (page) {
  "use strict";

  const C = page.canvas;
  const R = page.readings;
  /* Steps looked at of those that share a column of pixels. */
  const MOST_LOOKED = 16;

  /* The steps shown: those of the charts beside it, where the page says which. */
  const spanOf = (area) => area.span || [0, Math.max(10, area.lane.lastStep)];

  /* Where things stand: names to the left, the map, the countdown to the right, legend below. */
  function layout(area) {
    const px = C.size(area);
    const M = area.lane.M;
    const isNarrow = area.width < 480;
    const names = area.lane.header.markets.map((name) => C.wide(area, C.clean(name), px, 600));
    const left = Math.min(Math.max(...names) + px, area.width * (isNarrow ? 0.2 : 0.16));
    const right = px * (isNarrow ? 6.6 : 10.5);
    const hasLegend = area.height > M * px * 1.2 + px * 7;
    const below = px * 1.6 + (hasLegend ? px * 3.6 : 0);
    const top = px * 1.5;
    const box = { x: left, y: top, width: area.width - left - right, height: area.height - top - below };
    const row = Math.min(box.height / M, px * 8);
    box.height = row * M;
    return { px, left, right, box, row, hasLegend, isNarrow, span: spanOf(area) };
  }

  /* The value of largest size among the rows that share a column, so that no spike is skipped. */
  function extreme(lane, name, m, first, end) {
    const stride = Math.max(1, Math.ceil((end - first) / MOST_LOOKED));
    let found = NaN;
    for (let row = first; row < end; row += stride) {
      const value = lane.value(name, row, m);
      if (!(Math.abs(value) <= Math.abs(found))) found = value;
    }
    return found;
  }

  /* One market's band: equal colours side by side are one rectangle. Columns stand for whole
     steps counted from the run's start, so that they do not shimmer as time moves on. */
  function band(area, name, m, { box, span }, y, height) {
    const { lane, theme, context } = area;
    const scale = box.width / (span[1] - span[0]);
    const wide = Math.max(1, Math.ceil(1 / scale));
    const toX = (step) => box.x + (C.clamp(step, span[0], Math.min(span[1], area.time)) - span[0]) * scale;
    const end = lane.row(Math.min(span[1], area.time)) + 1;
    let row = Math.max(0, lane.row(span[0]));
    let colour = null;
    let from = 0;
    const close = (step) => {
      if (colour === null) return;
      context.fillStyle = colour;
      context.fillRect(toX(from), y, toX(step) - toX(from), height);
    };
    while (row < end) {
      // A row is true at the end of its step: it stands for the step before its number.
      const start = Math.floor((lane.frames.step[row] - 1) / wide) * wide;
      let next = row + 1;
      while (next < end && lane.frames.step[next] - 1 < start + wide) next++;
      const found = theme.funding(extreme(lane, name, m, row, next));
      row = next;
      if (found === colour) continue;
      close(start);
      colour = found;
      from = start;
    }
    close(area.time);
  }

  /* The step of a market's next settlement after a moment. */
  function due(lane, m, time) {
    const { settlements, header } = lane;
    const every = (header.funding.interval_hours * 60) / header.step_minutes;
    let before = -1;
    for (let i = 0; i < settlements.count; i++) {
      if (settlements.market[i] !== m) continue;
      // A recording knows it; so the countdown is exact even where the interval was changed.
      if (settlements.step[i] > time) return settlements.step[i];
      before = settlements.step[i];
    }
    if (!(every > 0)) return NaN;
    if (before >= 0) return before + every * Math.ceil((time - before) / every + 1e-9);
    return every * (Math.floor(time / every + 1e-9) + 1);
  }

  function countdown(lane, m, time) {
    const left = (due(lane, m, time) - time) * lane.header.step_minutes;
    if (!Number.isFinite(left)) return "each step";
    const whole = Math.max(0, Math.ceil(left - 1e-6));
    return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
  }

  function drawNow(area, place, m, y) {
    const { lane, theme, context } = area;
    const { px, box, isNarrow } = place;
    const rate = lane.value("next", lane.row(area.time), m);
    const x = box.x + box.width + px * 0.6;
    const middle = y + place.row / 2;
    context.fillStyle = theme.funding(rate);
    context.fillRect(x, middle - px * 0.55, px * 0.8, px * 1.1);
    C.line(area, x, middle + px * 0.55, x + px * 0.8, middle + px * 0.55, theme.soft, 1);
    const number = theme.bp(rate).replace(" bp", "");
    const how = { px, baseline: "middle", weight: 600 };
    if (isNarrow && place.row < px * 2.3) C.write(area, number, x + px, middle, how);
    else if (isNarrow) {
      C.write(area, number, x + px * 1.1, middle - px * 0.6, how);
      C.write(area, countdown(lane, m, area.time), x + px * 1.1, middle + px * 0.6, { ...how, weight: 400 });
    } else {
      C.write(area, number, x + px * 1.1, middle, how);
      const end = { px, baseline: "middle", align: "right" };
      C.write(area, countdown(lane, m, area.time), area.width - px * 0.5, middle, end);
    }
  }

  function drawMarket(area, place, m) {
    const { theme, context, lane } = area;
    const { px, box, row, span } = place;
    const y = box.y + m * row;
    const inner = row > 8 ? row - 2 : row;
    const strip = Math.max(2, inner * 0.22);
    band(area, "next", m, place, y, inner - strip);
    band(area, "rate", m, place, y + inner - strip, strip);
    const scale = box.width / (span[1] - span[0]);
    const every = (lane.header.funding.interval_hours * 60) / lane.header.step_minutes;
    // Marks closer than a few pixels would cover what they mark.
    const { settlements } = lane;
    context.fillStyle = theme.ink;
    for (let i = 0; every * scale >= 5 && i < settlements.count; i++) {
      const step = settlements.step[i];
      if (settlements.market[i] !== m || step < span[0] || step > Math.min(area.time, span[1])) continue;
      context.fillRect(box.x + (step - span[0]) * scale - 0.5, y + inner - strip, 1, strip);
    }
    const isChosen = area.selected && area.selected.market === m;
    C.write(area, lane.header.markets[m], box.x - px * 0.5, y + row / 2, {
      px,
      weight: isChosen ? 800 : 600,
      align: "right",
      baseline: "middle",
      room: box.x - px * 0.7,
    });
    if (isChosen) {
      context.strokeStyle = theme.ink;
      context.lineWidth = 2;
      context.strokeRect(box.x, y, box.width, inner);
    }
  }

  /* The colours side by side, their limits in basis points where two meet. */
  function drawLegend(area, place) {
    const { px, box } = place;
    const { theme, context } = area;
    const steps = theme.fundingSteps();
    const top = box.y + box.height + px * 1.9;
    const small = px * 0.85;
    const across = area.width - px;
    const x0 = px * 0.5;
    const each = across / steps.length;
    steps.forEach(({ from, colour }, i) => {
      context.fillStyle = colour;
      context.fillRect(x0 + i * each, top, each, px * 0.7);
      if (!i) return;
      const number = (from < 0 ? "−" : "+") + Math.abs(from);
      const how = { px: small, align: "center", baseline: "top", room: each };
      C.write(area, number, x0 + i * each, top + px * 0.85, how);
    });
    context.strokeStyle = theme.soft;
    context.lineWidth = 1;
    context.strokeRect(x0, top, across, px * 0.7);
    const words = "bp per 8 h; below 0 shorts pay longs. Band: due now, strip: last paid";
    C.write(area, words, x0, top + px * 2.1, {
      px: small,
      colour: theme.soft,
      baseline: "top",
      room: across,
    });
  }

  function draw(area) {
    const { lane, theme } = area;
    if (!lane.rows) {
      C.waiting(area, "Funding appears with the first step.");
      return;
    }
    C.clear(area);
    const place = layout(area);
    const { px, box, span } = place;
    for (let m = 0; m < lane.M; m++) {
      drawMarket(area, place, m);
      drawNow(area, place, m, box.y + m * place.row);
    }
    const now = box.x + C.clamp((area.time - span[0]) / (span[1] - span[0]), 0, 1) * box.width;
    C.line(area, now, box.y - 2, now, box.y + box.height, theme.ink, 1.5);
    C.timeAxis(area, box, span[0], span[1], px);
    const head = { px: px * 0.9, colour: theme.soft, baseline: "bottom" };
    const x = box.x + box.width + px * 0.6;
    const soon = place.isNarrow ? "bp · due in" : "now";
    C.write(area, soon, x, box.y - px * 0.2, { ...head, room: area.width - x });
    const end = { ...head, align: "right" };
    if (!place.isNarrow) C.write(area, "due in h:min", area.width - px * 0.5, box.y - px * 0.2, end);
    const title = place.isNarrow ? "bp per 8 h" : "funding, bp per 8 h";
    C.write(area, title, box.x, box.y - px * 0.2, { ...head, room: box.width });
    if (place.hasLegend) drawLegend(area, place);
  }

  const sentenceOf = (area, m) => {
    const { lane, theme, time } = area;
    const rate = lane.value("next", lane.row(time), m);
    const payer = rate > 0 ? "longs pay shorts" : rate < 0 ? "shorts pay longs" : "nobody pays";
    return `${R.market(lane, m)} ${theme.bp(rate)} per 8 h (${payer}), due in ${countdown(lane, m, time)}`;
  };

  function pick(area, x, y) {
    if (!area.lane.rows) return null;
    const { box, row, span } = layout(area);
    const m = Math.floor((y - box.y) / row);
    if (m < 0 || m >= area.lane.M) return null;
    const step = span[0] + ((x - box.x) / box.width) * (span[1] - span[0]);
    if (x < box.x || x > box.x + box.width || step > area.time) {
      return { kind: "market", market: m, text: sentenceOf(area, m) };
    }
    const at = area.lane.row(step);
    const rate = area.theme.bp(area.lane.value("next", at, m));
    const paid = area.theme.bp(area.lane.value("rate", at, m));
    const when = R.clock(area.lane, area.lane.frames.step[at]);
    const text = `${R.market(area.lane, m)}, ${when}: would settle at ${rate} per 8 h; last settled ${paid}`;
    return { kind: "market", market: m, step: area.lane.frames.step[at], text };
  }

  function move(area, direction) {
    const M = area.lane.M;
    const at = area.selected && area.selected.market >= 0 ? area.selected.market : -1;
    const to = { up: at - 1, down: at + 1, home: 0, end: M - 1 }[direction];
    if (to === undefined || !M) return null;
    const market = (to + M) % M;
    return { kind: "market", market, text: sentenceOf(area, market) };
  }

  function text(area) {
    if (!area.lane.rows) return "No funding yet.";
    const all = area.lane.header.markets.map((_, m) => sentenceOf(area, m));
    return `${R.clock(area.lane, area.time)}: funding now due: ${all.join("; ")}.`;
  }

  page.views.push({
    id: "funding",
    title: "Funding",
    question: "Who pays whom to stay in, and when?",
    help:
      "Each row is a market, time runs to the right. The band is the rate at which funding would be " +
      "settled if it were settled then, the strip below it the rate last settled; marks in the " +
      "strip are settlements. Colours stand for fixed basis points per 8 hours around a neutral " +
      "zero, so that two pictures compare. To the right: the rate now and the time until it is due. " +
      "All of it is measured in the simulated market; where several steps share a column it shows " +
      "the largest.",
    draw,
    pick,
    move,
    text,
  });
})((window.page = window.page || {}));
