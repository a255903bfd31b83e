/* The bar of time: where the liquidations and chapters lie, and the moment shown, to drag. */
(function (page) {
  "use strict";

  const CHAPTER_REACH = 8;

  class Scrub {
    constructor(canvas, app) {
      this.canvas = canvas;
      this.app = app;
      this.drawn = "";
      this.width = 0;
      canvas.setAttribute("role", "slider");
      canvas.setAttribute("aria-label", "Time");
      new ResizeObserver(() => {
        this.width = canvas.clientWidth;
      }).observe(canvas);
      canvas.addEventListener("pointerdown", (event) => {
        canvas.setPointerCapture(event.pointerId);
        this.drag(event);
      });
      canvas.addEventListener("pointermove", (event) => {
        if (event.buttons & 1) this.drag(event);
        else canvas.title = this.said(event);
      });
      canvas.addEventListener("keydown", (event) => this.walk(event));
    }

    get first() {
      return this.app.player.first;
    }

    get room() {
      return Math.max(1, this.app.player.last - this.first);
    }

    at(step) {
      return ((step - this.first) / this.room) * this.width;
    }

    /* The step under the pointer; a chapter nearby draws it in. */
    stepAt(event) {
      const x = event.clientX - this.canvas.getBoundingClientRect().left;
      const chapter = this.app.chapters.find((each) => Math.abs(this.at(each.step) - x) < CHAPTER_REACH);
      return chapter ? chapter.step : Math.round(this.first + (x / Math.max(1, this.width)) * this.room);
    }

    said(event) {
      const step = this.stepAt(event);
      const chapter = this.app.chapters.find((each) => each.step === step);
      return (
        (chapter ? `${chapter.title}, ` : "") + page.theme.clock(step, this.app.lanes[0].header.step_minutes)
      );
    }

    drag(event) {
      if (!this.app.lanes.length) return;
      this.app.player.playing = false;
      this.app.player.seek(this.stepAt(event));
    }

    walk(event) {
      const { player } = this.app;
      const moves = {
        Home: () => player.seek(this.first),
        End: () => player.seek(player.last),
        PageDown: () => player.turn(1),
        PageUp: () => player.turn(-1),
      };
      if (!moves[event.key]) return;
      event.preventDefault();
      event.stopPropagation();
      moves[event.key]();
    }

    update() {
      const { app } = this;
      if (!this.width) return;
      const x = Math.round(this.at(app.time));
      const drawn = [
        x,
        this.width,
        this.room,
        app.lanes.map((lane) => lane.version),
        app.chapters.length,
        page.theme.version,
      ].join("|");
      if (drawn === this.drawn) return;
      this.drawn = drawn;
      this.paint(x);
      const step = Math.round(app.time);
      const say = {
        "aria-valuemin": this.first,
        "aria-valuemax": app.player.last,
        "aria-valuenow": step,
        "aria-valuetext": page.theme.clock(step, app.lanes[0].header.step_minutes),
      };
      for (const [name, value] of Object.entries(say)) this.canvas.setAttribute(name, value);
    }

    paint(x) {
      const { theme } = page;
      const context = page.panels.scaled(this.canvas);
      const width = this.width;
      const height = this.canvas.clientHeight;
      const base = height - 8;
      context.clearRect(0, 0, width, height);
      context.fillStyle = theme.grid;
      context.fillRect(0, base, width, 4);
      context.fillStyle = theme.accent;
      context.fillRect(0, base, x, 4);
      this.paintLiquidations(context, base);
      for (const chapter of this.app.chapters) {
        context.fillStyle = chapter.step <= this.app.time + 1e-9 ? theme.ink : theme.soft;
        context.beginPath();
        context.arc(this.at(chapter.step), base + 2, 4.5, 0, 7);
        context.fill();
      }
      context.fillStyle = theme.ink;
      context.fillRect(x - 1.5, 0, 3, height);
    }

    /* Dollars liquidated, a bar for every three pixels; the root keeps small ones visible. */
    paintLiquidations(context, base) {
      const lane = this.app.lanes[0];
      const sums = new Float64Array(Math.ceil(this.width / 3) + 1);
      for (let i = 0; i < lane.liqs.count; i++)
        sums[Math.max(0, Math.floor(this.at(lane.liqs.step[i]) / 3))] += lane.liqs.usd[i];
      const largest = Math.max(...sums);
      if (!largest) return;
      context.fillStyle = page.theme.alarm;
      sums.forEach((sum, i) => {
        const tall = sum ? Math.max(2, (base - 2) * Math.sqrt(sum / largest)) : 0;
        context.fillRect(3 * i, base - tall, 2, tall);
      });
    }
  }

  page.Scrub = Scrub;
})((window.page = window.page || {}));
