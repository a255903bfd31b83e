/* Pictures on the stage: each panel shows one chart or one view of one lane, under its question. */
(function (page) {
  "use strict";

  const { element, say } = page.dom;
  const TAB_NAMES = {
    prices: "Prices",
    fire: "Fire",
    funding: "Funding",
    network: "Network",
    tree: "Cascade",
    dial: "Dial",
    vessels: "Pools",
    inspector: "Account",
  };
  const TAB_ORDER = ["network", "tree", "dial", "vessels", "fire", "funding", "inspector"];
  const WORDS_EVERY_MS = 2000;
  const SMALL = 460;
  const WALKS = {
    ArrowLeft: "left",
    ArrowRight: "right",
    ArrowUp: "up",
    ArrowDown: "down",
    Home: "home",
    End: "end",
  };

  /* A canvas's context, scaled so that one unit is a CSS pixel however fine the screen. */
  function scaled(canvas) {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const width = Math.round(canvas.clientWidth * ratio);
    const height = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    return context;
  }

  const chartOf = (id) => page.charts.kinds.find((kind) => kind.id === id);
  const viewOf = (id) => page.views.find((view) => view.id === id);
  const isPrices = (id) => id === "prices";

  /* What can be chosen by tabs, in the order of the story. */
  function tabs(narrow) {
    const rank = (view) => (TAB_ORDER.includes(view.id) ? TAB_ORDER.indexOf(view.id) : TAB_ORDER.length);
    const views = [...page.views].sort((one, other) => rank(one) - rank(other));
    const ids = views.map((view) => view.id);
    return (narrow ? ["prices", ...ids] : ids).map((id) => ({ id, name: TAB_NAMES[id] || viewOf(id).title }));
  }

  class Panel {
    /* `options`: strip, drawn low under the charts; chosen, shows what the tabs choose. */
    constructor(app, laneIndex, id, options) {
      this.app = app;
      this.laneIndex = laneIndex;
      this.options = options || {};
      this.size = [0, 0];
      this.drawn = "";
      this.saidAt = -Infinity;
      this.wanted = true;
      this.title = element("h2");
      this.question = element("p", { class: "question" });
      this.legend = element("p", { class: "legend" });
      this.note = element("p", { class: "gap" });
      this.plot = element("div", { class: "plot" });
      this.before = element("p", { class: "before" });
      const words = element("div", { class: "words" }, this.title, this.question);
      const head = element("header", {}, words);
      this.root = element("section", { class: "panel" }, head, this.legend, this.note, this.plot, this.before);
      if (this.options.strip) this.root.classList.add("strip");
      this.watcher = new ResizeObserver(() => {
        this.size = [Math.floor(this.plot.clientWidth), Math.floor(this.plot.clientHeight)];
      });
      this.watcher.observe(this.plot);
      this.show(id);
    }

    get lane() {
      return this.app.lanes[this.laneIndex];
    }

    /* Show another picture in this panel. */
    show(id) {
      if (id === this.id) return;
      if (this.chart) this.chart.destroy();
      this.id = id;
      this.saidAt = -Infinity;
      this.chart = null;
      this.canvas = null;
      this.drawn = "";
      this.view = viewOf(id);
      this.plot.replaceChildren();
      this.legend.replaceChildren();
      this.note.textContent = "";
      this.plot.removeAttribute("role");
      this.plot.removeAttribute("aria-label");
      if (this.view) this.makeCanvas();
      else this.makeChart();
      const shown = this.view || this.chart.spec;
      this.root.dataset.view = id;
      say(this.question, shown.question || "");
      this.sayTitle();
    }

    sayTitle() {
      const shown = this.view || this.chart.spec;
      const several = this.app.layout === "columns" && this.lane;
      const name = isPrices(this.id) ? this.priceTitle(several) : shown.title;
      say(this.title, several ? `${this.lane.header.label}: ${name}` : name);
    }

    priceTitle(short) {
      if (!this.lane || this.app.relative) return "Change since the left edge";
      const market = this.lane.header.markets[this.app.market];
      return short ? `${market}, USD` : `${market} price, USD`;
    }

    makeCanvas() {
      this.canvas = element("canvas", { role: "img", tabindex: "0", "aria-label": this.view.title });
      this.canvas.addEventListener("click", (event) => this.app.select(this.pick(event)));
      this.canvas.addEventListener("pointermove", (event) => this.showTip(event));
      this.canvas.addEventListener("pointerleave", () => {
        this.tip.hidden = true;
      });
      this.canvas.addEventListener("keydown", (event) => this.walk(event));
      this.tip = element("p", { class: "tip", hidden: true, "aria-hidden": "true" });
      this.plot.append(this.canvas, this.tip);
    }

    /* Say what lies under the pointer, beside it. */
    showTip(event) {
      const found = this.pick(event);
      this.canvas.classList.toggle("pickable", Boolean(found));
      this.tip.hidden = !(found && found.text);
      if (this.tip.hidden) return;
      say(this.tip, found.text);
      const box = this.canvas.getBoundingClientRect();
      const x = event.clientX - box.left;
      const toLeft = x > box.width / 2;
      this.tip.style.left = toLeft ? "" : `${x + 14}px`;
      this.tip.style.right = toLeft ? `${box.width - x + 14}px` : "";
      this.tip.style.top = `${Math.min(event.clientY - box.top, box.height - 40)}px`;
    }

    /* What the picture shows under the pointer, or null. */
    pick(event) {
      if (!this.area || !this.view.pick) return null;
      const box = this.canvas.getBoundingClientRect();
      return this.view.pick(this.area, event.clientX - box.left, event.clientY - box.top);
    }

    /* Arrow keys go from one thing in the picture to the next. */
    walk(event) {
      const direction = WALKS[event.key];
      if (!direction || !this.area || !this.view.move || event.ctrlKey || event.metaKey || event.altKey)
        return;
      const found = this.view.move(this.area, direction);
      if (!found) return;
      event.preventDefault();
      event.stopPropagation();
      this.app.select(found);
      this.saidAt = -Infinity;
    }

    makeChart() {
      const kind = isPrices(this.id)
        ? page.charts[this.app.relative ? "relative" : "prices"]
        : chartOf(this.id);
      this.relative = this.app.relative;
      this.chart = new page.charts.Chart(this.plot, kind);
      if (isPrices(this.id) && this.app.guessing) this.app.guessing.attach(this);
      this.plot.setAttribute("role", "img");
      this.plot.setAttribute("aria-label", kind.title);
    }

    /* Draw if anything changed that this panel shows. */
    update(now) {
      const { app, lane } = this;
      const isAhead = app.live && !this.options.strip && lane && !lane.rows;
      say(this.before, isAhead ? "Not begun: Space lets it run." : "");
      if (!lane || !lane.rows || this.size[0] < 40 || this.size[1] < 30) return;
      if (isPrices(this.id) && this.relative !== app.relative) {
        this.id = null;
        this.show("prices");
      }
      const other = this.ghost();
      const parts = [
        lane.version,
        other && other.version,
        app.time,
        app.span,
        app.market,
        app.relative,
        this.size,
        page.theme.version,
        app.selections,
        app.guess && app.guess.price,
      ];
      const drawn = parts.join("|");
      if (drawn === this.drawn && !this.wanted) return;
      this.drawn = drawn;
      this.wanted = false;
      this.sayTitle();
      if (this.chart) this.updateChart(other);
      else this.updateView(other, now);
      this.sayWords(now);
    }

    /* The lane that is drawn behind: the second one, where only one is on the stage. */
    ghost() {
      const other = this.app.layout === "columns" ? null : this.app.lanes[1];
      return other && other.rows ? other : null;
    }

    updateChart(other) {
      const { app, lane, chart } = this;
      const context = {
        lane,
        other,
        chart,
        lanes: app.layout === "columns" ? app.lanes : [],
        market: app.market,
        relative: app.relative,
        time: app.time,
        span: app.window(),
        width: this.size[0],
        height: this.size[1],
        small: this.size[0] < SMALL,
        guess: app.guess,
      };
      this.area = context;
      const lines = chart.update(context);
      this.sayLegend(lines, chart.sayRow());
      if (chart.spec.note) say(this.note, chart.spec.note(context));
    }

    sayLegend(lines, row) {
      if (this.legend.childElementCount !== lines.length) {
        this.legend.replaceChildren(
          ...lines.map(() =>
            element(
              "span",
              { class: "key" },
              element("i", { class: "swatch" }),
              element("b"),
              element("span"),
            ),
          ),
        );
      }
      lines.forEach((line, i) => {
        const [swatch, value, label] = this.legend.children[i].children;
        swatch.style.borderTopColor = line.colour;
        swatch.style.borderTopStyle = line.dash ? "dashed" : "solid";
        swatch.style.borderTopWidth = `${Math.max(2, line.width || 2)}px`;
        say(value, row >= 0 ? line.say(row) : "–");
        say(label, line.label);
      });
    }

    updateView(other, now) {
      const { app, lane } = this;
      const context = scaled(this.canvas);
      const [width, height] = this.size;
      context.fillStyle = page.theme.paper;
      context.fillRect(0, 0, width, height);
      this.area = {
        context,
        width,
        height,
        theme: page.theme,
        lane,
        other,
        time: app.time,
        span: app.window(),
        live: app.live,
        market: app.market,
        reduced: app.reduced,
        selected: app.selected,
        pulse: now,
        strip: Boolean(this.options.strip),
        select: (what) => app.select(what),
        send: app.live ? (what) => app.send(what) : null,
        animate: () => {
          this.wanted = true;
        },
      };
      context.save();
      this.view.draw(this.area);
      context.restore();
    }

    /* Words for those who do not see the picture; seldom, so that they can be listened to. */
    sayWords(now) {
      if (now - this.saidAt < WORDS_EVERY_MS || !this.area) return;
      this.saidAt = now;
      const target = this.canvas || this.plot;
      const shown = this.view || this.chart.spec;
      const row = this.chart ? this.chart.sayRow() : 0;
      const words = row >= 0 && shown.text ? shown.text(this.area, row) : "";
      target.setAttribute("aria-label", `${shown.title}. ${words || ""}`);
    }

    get picture() {
      return this.canvas || (this.chart && this.chart.canvas);
    }

    destroy() {
      this.watcher.disconnect();
      if (this.chart) this.chart.destroy();
      this.root.remove();
    }
  }

  page.panels = { Panel, scaled, tabs, TAB_NAMES };
})((window.page = window.page || {}));
