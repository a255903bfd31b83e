/* What the canvas views share: type sizes, text that fits, axes and legends. */
(function (page) {
  "use strict";

  const clamp = (x, low, high) => Math.min(high, Math.max(low, x));

  /* Type size: it grows with the canvas, so that the back row reads a slide as well as a page. */
  const size = (area) => clamp(Math.min(area.width / 40, area.height / 23), 11, 30);

  /* Names come from scenarios: nothing in them may break a line or turn the direction of writing. */
  const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;
  const clean = (text) => String(text).replace(UNSEEN, "");

  function wide(area, text, px, weight) {
    area.context.font = area.theme.font(px, weight);
    return area.context.measureText(text).width;
  }

  /* The text, or as much of its beginning as there is room for, and an ellipsis. */
  function fit(area, text, room, px, weight) {
    const whole = clean(text);
    if (wide(area, whole, px, weight) <= room) return whole;
    const letters = Array.from(whole.slice(0, 200));
    let low = 0;
    let high = letters.length;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      const part = letters.slice(0, middle).join("").trimEnd() + "…";
      if (wide(area, part, px, weight) <= room) low = middle;
      else high = middle - 1;
    }
    return low ? letters.slice(0, low).join("").trimEnd() + "…" : "";
  }

  /* Write one line; `how`: px, weight, colour, align, baseline, room (cut to it), halo. */
  function write(area, text, x, y, how) {
    const { px = size(area), weight = 400, colour = area.theme.ink, room = Infinity } = how || {};
    const words = Number.isFinite(room) ? fit(area, text, room, px, weight) : clean(text);
    const context = area.context;
    context.font = area.theme.font(px, weight);
    context.textAlign = (how && how.align) || "left";
    context.textBaseline = (how && how.baseline) || "alphabetic";
    if (how && how.halo) {
      context.strokeStyle = area.theme.paper;
      context.lineWidth = px / 4;
      context.lineJoin = "round";
      context.strokeText(words, x, y);
    }
    context.fillStyle = colour;
    context.fillText(words, x, y);
    return words;
  }

  /* A sentence as lines no wider than the room. */
  function wrap(area, text, room, px, weight) {
    const lines = [];
    let line = "";
    for (const word of clean(text).split(" ")) {
      const longer = line ? line + " " + word : word;
      if (!line || wide(area, longer, px, weight) <= room) line = longer;
      else {
        lines.push(line);
        line = word;
      }
    }
    if (line) lines.push(line);
    return lines.map((each) => fit(area, each, room, px, weight));
  }

  function clear(area) {
    area.context.globalAlpha = 1;
    area.context.fillStyle = area.theme.paper;
    area.context.fillRect(0, 0, area.width, area.height);
  }

  /* Say in the middle why there is nothing to see. */
  function waiting(area, words) {
    clear(area);
    const px = size(area);
    const lines = wrap(area, words, area.width - 2 * px, px);
    lines.forEach((line, i) =>
      write(area, line, area.width / 2, area.height / 2 + (i - (lines.length - 1) / 2) * px * 1.4, {
        px,
        colour: area.theme.soft,
        align: "center",
        baseline: "middle",
      }),
    );
  }

  function line(area, x0, y0, x1, y1, colour, thick, dash) {
    const context = area.context;
    context.strokeStyle = colour;
    context.lineWidth = thick || 1;
    context.setLineDash(dash || []);
    context.beginPath();
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
    context.stroke();
    if (dash) context.setLineDash([]);
  }

  /* The round step (1, 2 or 5 times a power of ten) that cuts a range into about `count` parts. */
  function roundStep(range, count) {
    const raw = range / Math.max(1, count);
    const power = 10 ** Math.floor(Math.log10(raw));
    const share = raw / power;
    return power * (share < 1.5 ? 1 : share < 3.5 ? 2 : share < 7.5 ? 5 : 10);
  }

  function roundValues(low, high, count) {
    const values = [];
    if (!(high > low)) return values;
    const step = roundStep(high - low, count);
    for (let i = Math.ceil(low / step); i * step <= high + step * 1e-9; i++) values.push(i * step);
    return values;
  }

  const MINUTES = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 7200, 14400, 43200];

  /* Steps at which a time axis is marked: [{step, words}]; a day's first moment says its day. */
  function timeTicks(lane, from, to, count) {
    const each = lane.header.step_minutes;
    const minutes = (to - from) * each;
    const gap = MINUTES.find((g) => minutes / g <= count) || MINUTES[MINUTES.length - 1];
    const ticks = [];
    const first = Math.max(0, Math.ceil((from * each) / gap - 1e-9));
    for (let i = first; i * gap <= to * each + 1e-9; i++) {
      const step = (i * gap) / each;
      const day = (i * gap) % 1440 === 0;
      ticks.push({ step, words: day ? `day ${(i * gap) / 1440 + 1}` : page.theme.hour(step, each) });
    }
    return ticks;
  }

  /* Marks and words below a box whose width runs from one step to another. */
  function timeAxis(area, box, from, to, px) {
    const { theme, lane } = area;
    const scale = box.width / (to - from);
    const y = box.y + box.height;
    const unit = "time, h:min";
    const unitRoom = wide(area, unit, px) + px;
    line(area, box.x, y, box.x + box.width, y, theme.grid, 1);
    for (const tick of timeTicks(lane, from, to, Math.max(2, box.width / (px * 7)))) {
      const x = box.x + (tick.step - from) * scale;
      const half = wide(area, tick.words, px) / 2;
      line(area, x, y, x, y + px * 0.3, theme.soft, 1);
      if (x - half < box.x - px * 2 || x + half > box.x + box.width - unitRoom) continue;
      write(area, tick.words, x, y + px * 0.4, { px, colour: theme.soft, align: "center", baseline: "top" });
    }
    const end = { px, colour: theme.soft, align: "right", baseline: "top" };
    write(area, unit, box.x + box.width, y + px * 0.4, end);
  }

  /* Where the entries of a legend stand when they flow into a width: rows of [{entry, x}]. */
  function flow(area, entries, width, px) {
    const rows = [[]];
    // Many entries with long names would leave no room for the picture.
    const most = Math.min(width - px * 2, px * (entries.length > 9 ? 14 : 26));
    let x = 0;
    for (const entry of entries) {
      const words = fit(area, entry.label, most, px);
      const need = px * 1.3 + wide(area, words, px) + px * 0.9;
      if (x && x + need > width + px) {
        rows.push([]);
        x = 0;
      }
      rows[rows.length - 1].push({ entry, words, x });
      x += need;
    }
    return rows;
  }

  const legendHeight = (area, entries, width, px) => flow(area, entries, width, px).length * px * 1.4;

  /* How a line between two points bends to its right: where to, and the points on its way (0 to 1). */
  function bend(a, b, most) {
    const length = Math.hypot(b.x - a.x, b.y - a.y) || 1;
    const out = Math.min(length * 0.18, most);
    const across = { x: (-(b.y - a.y) / length) * out, y: ((b.x - a.x) / length) * out };
    const half = { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
    const to = { x: half.x + 2 * across.x, y: half.y + 2 * across.y };
    const along = (from, by, end, t) => (1 - t) ** 2 * from + 2 * t * (1 - t) * by + t * t * end;
    const at = (t) => ({ x: along(a.x, to.x, b.x, t), y: along(a.y, to.y, b.y, t) });
    return { to, at };
  }

  /* A bent arrow that stops short of the point it leads to. */
  function arrow(area, a, b, { most, stop, thick, head, colour }) {
    const context = area.context;
    const { to } = bend(a, b, most);
    const reach = Math.hypot(b.x - to.x, b.y - to.y) || 1;
    const ahead = { x: (b.x - to.x) / reach, y: (b.y - to.y) / reach };
    const tip = { x: b.x - ahead.x * stop, y: b.y - ahead.y * stop };
    const base = { x: tip.x - ahead.x * head, y: tip.y - ahead.y * head };
    context.strokeStyle = context.fillStyle = colour;
    context.lineWidth = thick;
    context.beginPath();
    context.moveTo(a.x, a.y);
    context.quadraticCurveTo(to.x, to.y, base.x, base.y);
    context.stroke();
    context.beginPath();
    context.moveTo(tip.x, tip.y);
    context.lineTo(base.x - ahead.y * head * 0.8, base.y + ahead.x * head * 0.8);
    context.lineTo(base.x + ahead.y * head * 0.8, base.y - ahead.x * head * 0.8);
    context.fill();
  }

  /* A triangle around a point: up for long, down for short. */
  function triangle(area, x, y, size, isUp) {
    const context = area.context;
    const up = isUp ? -1 : 1;
    context.beginPath();
    context.moveTo(x, y + up * size);
    context.lineTo(x - size, y - up * size * 0.8);
    context.lineTo(x + size, y - up * size * 0.8);
    context.fill();
  }

  function sample(area, entry, x, y, px) {
    const context = area.context;
    context.fillStyle = entry.colour;
    if (entry.shape === "line") line(area, x, y, x + px, y, entry.colour, 2.5, entry.dash);
    else if (entry.shape === "up" || entry.shape === "down") {
      triangle(area, x + px * 0.5, y, px * 0.42, entry.shape === "up");
    } else if (entry.shape === "dot" || entry.shape === "ring") {
      context.beginPath();
      context.arc(x + px * 0.5, y, px * 0.4, 0, 2 * Math.PI);
      if (entry.shape === "dot") context.fill();
      else {
        context.strokeStyle = entry.colour;
        context.lineWidth = 2;
        context.stroke();
      }
    } else context.fillRect(x, y - px * 0.4, px, px * 0.8);
  }

  /* Draw a legend from a corner down; entries are {colour, label, shape: box, line, dot, ring, up, down}. */
  function legend(area, entries, x, y, width, px) {
    flow(area, entries, width, px).forEach((row, i) => {
      const middle = y + (i + 0.6) * px * 1.4;
      for (const { entry, words, x: left } of row) {
        sample(area, entry, x + left, middle, px);
        write(area, words, x + left + px * 1.3, middle, { px, colour: area.theme.ink, baseline: "middle" });
      }
    });
  }

  /* A canvas that is painted once and kept while its key stays the same. */
  function layer(keep, key, width, height, scale, paint) {
    if (keep.key === key) return keep.canvas;
    keep.canvas = keep.canvas || document.createElement("canvas");
    keep.canvas.width = Math.max(1, Math.round(width * scale));
    keep.canvas.height = Math.max(1, Math.round(height * scale));
    const context = keep.canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    paint(context);
    keep.key = key;
    return keep.canvas;
  }

  /* What a view remembers of each canvas it draws on (one for each lane, one for a strip). */
  function memory(fresh) {
    const kept = new WeakMap();
    return (area) => {
      const canvas = area.context.canvas;
      let mine = kept.get(canvas);
      if (!mine || mine.lane !== area.lane) kept.set(canvas, (mine = { lane: area.lane, ...fresh() }));
      return mine;
    };
  }

  page.canvas = {
    clamp,
    size,
    clean,
    wide,
    fit,
    write,
    wrap,
    clear,
    waiting,
    line,
    bend,
    arrow,
    triangle,
    roundValues,
    timeAxis,
    legend,
    legendHeight,
    layer,
    memory,
  };
})((window.page = window.page || {}));
