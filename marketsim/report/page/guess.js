/* Guess, then see: the audience drags a price before the shock, and the page keeps it beside the outcome. */
(function (page) {
  "use strict";

  const { say } = page.dom;
  const NUDGE = 0.005;

  class Guessing {
    constructor(app) {
      this.app = app;
      this.asking = false;
    }

    /* Ask for a guess, or take the one there is away. */
    toggle() {
      const { app } = this;
      if (this.asking || app.guess) {
        this.asking = false;
        app.guess = null;
        return;
      }
      app.relative = false;
      this.asking = true;
      this.set(this.markNow());
    }

    markNow() {
      const lane = this.app.lanes[0];
      return lane.price("mark", lane.row(this.app.time), this.app.market);
    }

    set(price) {
      const { app } = this;
      if (!Number.isFinite(price) || price <= 0) return;
      app.guess = { market: app.market, price, at_step: Math.floor(app.time) };
    }

    /* The guess stands; what follows is measured against it. */
    confirm() {
      this.asking = false;
    }

    nudge(direction) {
      if (this.asking) this.set(this.app.guess.price * (1 + direction * NUDGE));
    }

    /* Let the price chart of a panel be dragged on. */
    attach(panel) {
      const drag = (event) => {
        const chart = panel.chart;
        if (!this.asking || !chart || !chart.plot || !chart.plot.scales.usd) return;
        const box = chart.plot.over.getBoundingClientRect();
        this.set(chart.plot.posToVal(event.clientY - box.top, "usd"));
      };
      panel.plot.addEventListener("pointerdown", drag);
      panel.plot.addEventListener("pointermove", (event) => {
        if (event.buttons & 1) drag(event);
      });
      panel.plot.addEventListener("pointerup", (event) => {
        drag(event);
        this.confirm();
      });
    }

    /* How far the mark went since the guess, in its direction; NaN while nothing followed. */
    outcome(lane) {
      const { guess, time } = this.app;
      const from = lane.row(guess.at_step);
      const to = lane.row(time);
      if (to <= from) return NaN;
      const start = lane.price("mark", from, guess.market);
      let far = start;
      for (let row = from + 1; row <= to; row++) {
        const mark = lane.price("mark", row, guess.market);
        if (guess.price <= start ? mark < far : mark > far) far = mark;
      }
      return far;
    }

    /* One sentence, for the stage's line under the prices. */
    sentence() {
      const { guess, lanes } = this.app;
      if (!guess || !lanes.length) return "";
      const price = page.theme.price(guess.price);
      if (this.asking) return `Your guess: ${price}. Drag the line (or ↑ ↓, then Enter): how far does it go?`;
      const far = this.outcome(lanes[0]);
      if (!Number.isFinite(far)) return `The guess is ${price}. Now let it run.`;
      const off = far - guess.price;
      const size = `${page.theme.price(Math.abs(off))} (${page.theme.percent(Math.abs(off) / guess.price)})`;
      const where = `${size} ${off < 0 ? "below" : "above"} the guess`;
      return `The guess was ${price}. It went to ${page.theme.price(far)}: ${where}.`;
    }

    update(target) {
      const sentence = this.sentence();
      target.hidden = !sentence;
      say(target, sentence);
    }
  }

  page.Guessing = Guessing;
})((window.page = window.page || {}));
