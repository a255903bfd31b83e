/* One dial: R, the dollars that one liquidated dollar liquidates next, on a ruler with 1 marked. */
(function (page) {
  "use strict";

  const C = page.canvas;
  const R = page.readings;
  const FALLS = 0;
  const RISES = 1;
  /* Steps of the past that the tail shows. */
  const TAIL = 120;
  const MARKS = [0, 0.25, 0.5, 1, 2, 4];

  /* R on the ruler, 0 to 1: half and twice stand equally far from 1, which is the middle; no R is off it. */
  const along = (value) => (value > 1e6 ? 1 : value / (1 + value));

  const reproduction = (lane, row, way) => lane.frames.reproduction[2 * row + way];

  function layout(area) {
    const px = C.size(area);
    const large = C.clamp(Math.min(area.width / 11, area.height / 7), 18, 110);
    const x = px * 2;
    const ruler = { x, y: large * 1.5 + px * 4.4, width: area.width - 2 * x };
    const bottom = area.height - px * 3.2;
    return { px, large, ruler, bottom, perStep: (bottom - ruler.y) / TAIL };
  }

  const xOf = (place, value) => place.ruler.x + along(value) * place.ruler.width;

  /* The last values measured by a moment: [falls, rises], NaN where there is none yet. */
  function now(lane, time) {
    const row = lane.row(time);
    if (row < 0 || !lane.frames.reproduction) return [NaN, NaN];
    return [FALLS, RISES].map((way) => {
      let at = row;
      while (at >= 0 && row - at <= TAIL && Number.isNaN(reproduction(lane, at, way))) at--;
      return at >= 0 && row - at <= TAIL ? reproduction(lane, at, way) : NaN;
    });
  }

  const colourOf = (area, way) => (way === FALLS ? area.theme.long : area.theme.short);

  /* The number as it is said: it never rounds across 1. */
  function spoken(value) {
    if (Number.isNaN(value)) return "not measured yet";
    if (value >= 100) return "over 100";
    const text = value.toFixed(value >= 10 ? 1 : 2);
    return value < 1 && Number(text) >= 1 ? "0.99" : text;
  }

  const verdict = (value) => {
    if (Number.isNaN(value)) return "not measured yet";
    if (value >= 1) return "it runs away";
    return value >= 0.7 ? "it dies out, slowly" : "it dies out";
  };

  function drawHead(area, place, values) {
    const { theme } = area;
    const { px, large } = place;
    const lead = values[RISES] > values[FALLS] ? RISES : FALLS;
    const value = values[lead];
    const isAway = value >= 1;
    const colour = isAway ? theme.alarm : theme.ink;
    const words = Number.isNaN(value) ? "not measured yet" : `R = ${spoken(value)}`;
    const room = area.width - px * 2;
    C.write(area, words, px, large * 1.05 + px * 0.3, { px: large, weight: 700, colour, room });
    const side = lead === FALLS ? "if prices fall" : "if prices rise";
    const says = Number.isNaN(value)
      ? "R needs an open position near its line"
      : `${side}: ${verdict(value)}`;
    C.write(area, says, px, large * 1.05 + px * 1.9, { px: px * 1.15, weight: 600, colour, room });
  }

  function drawRuler(area, place) {
    const { theme, context } = area;
    const { px, ruler, bottom } = place;
    const one = xOf(place, 1);
    context.globalAlpha = 0.16;
    context.fillStyle = theme.fire(0.75);
    context.fillRect(one, ruler.y, ruler.x + ruler.width - one, bottom - ruler.y);
    context.globalAlpha = 1;
    C.line(area, ruler.x, ruler.y, ruler.x + ruler.width, ruler.y, theme.ink, 2);
    for (const mark of MARKS) {
      const x = xOf(place, mark);
      const isOne = mark === 1;
      C.line(area, x, ruler.y - px * (isOne ? 0.9 : 0.45), x, ruler.y, theme.ink, isOne ? 3 : 1.5);
      const how = { px: px * (isOne ? 1.4 : 1.05), weight: isOne ? 800 : 400, align: "center" };
      C.write(area, String(mark), x, ruler.y - px * (isOne ? 1.1 : 1), how);
    }
    C.write(area, "∞", ruler.x + ruler.width, ruler.y - px, { px: px * 1.05, align: "center" });
    C.line(area, one, ruler.y, one, bottom, theme.ink, 3);
  }

  function drawZones(area, place) {
    const { theme } = area;
    const { px, ruler, bottom } = place;
    const one = xOf(place, 1);
    const how = { px, colour: theme.soft, baseline: "bottom", room: ruler.width / 2 - px };
    const middle = { ...how, align: "center", halo: true };
    C.write(area, "dies out", ruler.x + ruler.width * 0.25, bottom - px * 0.3, middle);
    C.write(area, "runs away", ruler.x + ruler.width * 0.8, bottom - px * 0.3, { ...middle, halo: false });
    const ago = `↓ ${R.minutes(area.lane, TAIL)} ago`;
    C.write(area, ago, one + px * 0.5, bottom - px * 1.7, { ...how, room: px * 8 });
  }

  /* Where R came from: down from the ruler into the past. */
  function drawTail(area, place, way) {
    const { lane, context, time } = area;
    const end = lane.row(time);
    context.strokeStyle = colourOf(area, way);
    context.lineJoin = "round";
    let isOpen = false;
    context.beginPath();
    for (let row = Math.max(0, lane.row(time - TAIL)); row <= end; row++) {
      const value = reproduction(lane, row, way);
      const ago = time - lane.frames.step[row];
      if (Number.isNaN(value) || ago > TAIL) continue;
      const [x, y] = [xOf(place, value), place.ruler.y + ago * place.perStep];
      if (isOpen) context.lineTo(x, y);
      else context.moveTo(x, y);
      isOpen = true;
    }
    context.lineWidth = place.px * 0.25;
    context.stroke();
  }

  function drawDot(area, place, way, value, isLead) {
    if (Number.isNaN(value)) return;
    const { context, theme } = area;
    const x = xOf(place, value);
    const radius = place.px * (isLead ? 0.85 : 0.55);
    context.fillStyle = colourOf(area, way);
    context.strokeStyle = theme.paper;
    context.lineWidth = 2;
    context.beginPath();
    context.arc(x, place.ruler.y, radius, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  }

  function legendEntries(area, values, ghost) {
    const entries = [FALLS, RISES].map((way) => ({
      colour: colourOf(area, way),
      shape: "dot",
      label: `if prices ${way === FALLS ? "fall" : "rise"}: ${spoken(values[way])}`,
    }));
    if (Number.isNaN(ghost)) return entries;
    const label = `${area.other.header.label || "the other run"}: ${spoken(ghost)}`;
    return [...entries, { colour: area.theme.soft, shape: "ring", label }];
  }

  /* The other run's R, the larger of its two, as a ring on the ruler; NaN where there is none. */
  function ghostOf(area) {
    if (!area.other) return NaN;
    const values = now(area.other, area.time).filter((value) => !Number.isNaN(value));
    return values.length ? Math.max(...values) : NaN;
  }

  function drawGhost(area, place, value) {
    if (Number.isNaN(value)) return;
    const { context, theme } = area;
    context.strokeStyle = theme.soft;
    context.lineWidth = Math.max(2, place.px * 0.18);
    context.beginPath();
    context.arc(xOf(place, value), place.ruler.y, place.px * 0.7, 0, 2 * Math.PI);
    context.stroke();
  }

  function draw(area) {
    const { lane } = area;
    if (!lane.rows) {
      C.waiting(area, "R: not measured yet.");
      return;
    }
    C.clear(area);
    const place = layout(area);
    const values = now(lane, area.time);
    drawHead(area, place, values);
    drawRuler(area, place);
    drawZones(area, place);
    const lead = values[RISES] > values[FALLS] ? RISES : FALLS;
    const order = [1 - lead, lead];
    if (lane.frames.reproduction) order.forEach((way) => drawTail(area, place, way));
    order.forEach((way) => drawDot(area, place, way, values[way], way === lead));
    const ghost = ghostOf(area);
    drawGhost(area, place, ghost);
    const y = place.bottom + place.px * 0.2;
    C.legend(area, legendEntries(area, values, ghost), place.px * 0.5, y, area.width - place.px, place.px);
  }

  /* The moment of the tail under the pointer. */
  function pick(area, x, y) {
    const { lane, time } = area;
    if (!lane.rows || !lane.frames.reproduction) return null;
    const place = layout(area);
    const ago = (y - place.ruler.y) / place.perStep;
    const isBeside = x < place.ruler.x - place.px || x > place.ruler.x + place.ruler.width + place.px;
    if (isBeside || ago < -place.px / place.perStep || ago > TAIL) return null;
    const row = lane.row(time - Math.max(0, ago));
    if (row < 0) return null;
    const [falls, rises] = [FALLS, RISES].map((way) => spoken(reproduction(lane, row, way)));
    const step = lane.frames.step[row];
    const text = `${R.clock(lane, step)}: R ${falls} if prices fall, ${rises} if they rise`;
    return { kind: "moment", step, text };
  }

  function text(area) {
    if (!area.lane.rows) return "R: not measured yet.";
    const [falls, rises] = now(area.lane, area.time);
    if (Number.isNaN(falls) && Number.isNaN(rises)) {
      return `${R.clock(area.lane, area.time)}: R is not measured yet.`;
    }
    return (
      `${R.clock(area.lane, area.time)}: one liquidated dollar leads to ${spoken(falls)} more ` +
      `if prices fall (${verdict(falls)}) ` +
      `and ${spoken(rises)} if they rise (${verdict(rises)}); from 1 on a cascade feeds itself.`
    );
  }

  page.views.push({
    id: "dial",
    title: "Dial",
    question: "How near is the market to running away?",
    help:
      "R says how many dollars are liquidated next because one dollar was liquidated now. Below 1 a " +
      "cascade dies out, from 1 on it feeds itself. The ruler puts half and twice equally far from " +
      "1. The dot is R now, if prices fall and if they rise; its tail runs down into the past; the " +
      "ring is the other run, where there is one. R is calculated from the state alone: every " +
      "account's margin, the book's depth and its recovery, the rule of the mark. It is a model of " +
      "the next small push, not a count of what has happened.",
    draw,
    pick,
    text,
  });
})((window.page = window.page || {}));
