/* The row of figures under the pictures: each a number to read from the back row, with its recent past. */
(function (page) {
  "use strict";

  const { element, say } = page.dom;

  /* Until the next settlement, as "in 3 h 20 min". */
  function countdown(lane, step) {
    const interval = (lane.header.funding.interval_hours || 0) * 60;
    if (!interval) return "";
    const left = Math.max(0, Math.ceil(interval - ((step * lane.header.step_minutes) % interval)));
    const hours = Math.floor(left / 60);
    return `settles in ${hours ? hours + " h " : ""}${left % 60} min`;
  }

  const reproduction = (lane, row) => {
    const values = lane.frames.reproduction;
    if (!values || row < 0) return NaN;
    const measured = [values[2 * row], values[2 * row + 1]].filter(Number.isFinite);
    return measured.length ? Math.max(...measured) : NaN;
  };

  const sayFactor = (value) => (Number.isFinite(value) ? value.toFixed(2) : "–");

  /* Each: the number, a word under it, what its small line follows, the picture it opens. */
  const MONITORS = [
    {
      id: "liquidated",
      label: "Liquidated",
      value: (lane, row) => page.theme.usd(lane.total("liquidated", row)),
      note: (lane, row, step) => `${page.theme.count(lane.liqRange(-Infinity, step)[1])} liquidations`,
      line: (lane, row) => lane.total("liquidated", row),
    },
    {
      id: "fund",
      label: "Insurance fund",
      value: (lane, row) => page.theme.usd(lane.value("fund", row, 0)),
      note(lane, row) {
        const adl = lane.value("adl", row, 0);
        return adl > 0 ? `${page.theme.usd(adl)} deleveraged` : "no one deleveraged";
      },
      line: (lane, row) => lane.value("fund", row, 0),
    },
    {
      id: "crowd",
      label: "Open interest",
      value: (lane, row) => page.theme.usd(lane.total("interest", row)),
      note: (lane, row, step, market) =>
        `${page.theme.percent(lane.value("long_share", row, market), 0)} long in ${lane.header.markets[market]}`,
      line: (lane, row) => lane.total("interest", row),
    },
    {
      id: "premium",
      label: "Funding, per 8 h",
      value: (lane, row, step, market) => page.theme.bp(lane.value("rate", row, market)),
      note: (lane, row, step) => countdown(lane, step),
      line: (lane, row, market) => lane.value("rate", row, market),
      label_of: (lane, row, market) => `Funding ${lane.header.markets[market]}, per 8 h`,
    },
    {
      id: "distance",
      label: "Distance to liquidation",
      value: (lane, row, step) =>
        lane.accounts.count
          ? page.charts.times(page.charts.healthQuantile(lane, lane.accountRow(step), 0.1))
          : "–",
      note: () => "nine in ten stand above",
    },
    {
      id: "dial",
      label: "Reproduction R",
      value: (lane, row) => sayFactor(reproduction(lane, row)),
      note(lane, row) {
        const factor = reproduction(lane, row);
        return Number.isFinite(factor)
          ? factor >= 1
            ? "runaway: above 1"
            : "dies out: below 1"
          : "not measured yet";
      },
      line: (lane, row) => reproduction(lane, row),
      alarm: (lane, row) => reproduction(lane, row) >= 1,
    },
  ];

  class Monitors {
    /* `open(id)` shows a monitor's picture. */
    constructor(root, lane, app, open) {
      this.lane = lane;
      this.app = app;
      this.drawn = "";
      this.tiles = MONITORS.map((monitor) => {
        const value = element("span", { class: "value" });
        const note = element("span", { class: "note" });
        const label = element("span", { class: "label", text: monitor.label });
        const line = element("canvas", { class: "spark", "aria-hidden": "true" });
        const tile = element(
          "button",
          {
            type: "button",
            class: "monitor",
            "data-monitor": monitor.id,
            on: { click: () => open(monitor.id) },
          },
          label,
          value,
          note,
          line,
        );
        root.append(tile);
        return { monitor, tile, label, value, note, line };
      });
    }

    update(time, chosen) {
      const lane = this.app.lanes[this.lane];
      if (!lane || !lane.rows) return;
      const row = lane.row(time);
      const { market, span } = this.app;
      const drawn = [lane.version, row, market, span, chosen, page.theme.version].join("|");
      if (drawn === this.drawn) return;
      this.drawn = drawn;
      for (const part of this.tiles) this.updateTile(part, lane, row, lane.frames.step[row], chosen);
    }

    updateTile({ monitor, tile, label, value, note, line }, lane, row, step, chosen) {
      const { market } = this.app;
      say(value, monitor.value(lane, row, step, market));
      say(note, monitor.note(lane, row, step, market));
      if (monitor.label_of) say(label, monitor.label_of(lane, row, market));
      tile.setAttribute("aria-pressed", String(chosen === monitor.id));
      tile.classList.toggle("alarmed", Boolean(monitor.alarm && monitor.alarm(lane, row)));
      if (monitor.line && line.clientWidth) this.paintLine(line, lane, row, monitor);
    }

    /* The recent past, without axes: only its shape. */
    paintLine(canvas, lane, row, monitor) {
      const context = page.panels.scaled(canvas);
      const { clientWidth: width, clientHeight: height } = canvas;
      const first = lane.row(this.app.window()[0]);
      const values = [];
      for (let x = 0; x <= width; x += 2) {
        const at = Math.round(first + ((row - first) * x) / width);
        values.push(monitor.line(lane, at, this.app.market));
      }
      const real = values.filter(Number.isFinite);
      const low = Math.min(...real);
      const room = Math.max(...real) - low || 1;
      context.clearRect(0, 0, width, height);
      context.strokeStyle = page.theme.soft;
      context.lineWidth = 1.5;
      context.beginPath();
      values.forEach((value, i) => {
        if (Number.isFinite(value)) context.lineTo(2 * i, height - 2 - ((value - low) / room) * (height - 4));
      });
      context.stroke();
    }
  }

  page.Monitors = Monitors;
  page.monitors = { countdown, reproduction };
})((window.page = window.page || {}));
