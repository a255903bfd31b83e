/* The arrangement of panels: one market large, two or four side by side, or one column on a phone. */
(function (page) {
  "use strict";

  const { element } = page.dom;
  const { Panel, tabs } = page.panels;
  const STRIPS = ["funding", "fire"];

  class Stage {
    constructor(root, app) {
      this.root = root;
      this.app = app;
      this.panels = [];
      this.monitors = [];
      this.built = "";
      this.narrow = window.matchMedia("(max-width: 760px)");
      this.narrow.addEventListener("change", () => this.build());
    }

    /* Make the panels anew when what is to be arranged changed. */
    build() {
      const lanes = this.app.layout === "columns" ? this.app.lanes.length : 1;
      const built = [
        lanes,
        this.narrow.matches,
        this.app.lanes.map((lane) => lane.header.label + lane.M).join(),
      ].join("|");
      if (built === this.built) return;
      this.built = built;
      for (const panel of this.panels) panel.destroy();
      this.panels = [];
      this.monitors = [];
      this.root.replaceChildren();
      this.root.dataset.lanes = lanes;
      this.root.append(this.tabBar());
      for (let k = 0; k < lanes; k++) this.root.append(this.column(k));
      if (lanes === 1 && !this.narrow.matches) this.root.append(this.strips());
      for (let k = 0; k < lanes; k++) this.addMonitors(k);
      this.choose(this.app.view);
    }

    add(panel) {
      this.panels.push(panel);
      return panel.root;
    }

    column(k) {
      const column = element("div", { class: "column" });
      if (!this.narrow.matches) column.append(this.add(new Panel(this.app, k, "prices")));
      const chosen = new Panel(this.app, k, this.known(this.app.view), { chosen: true });
      chosen.root.id = `picture-${k}`;
      chosen.root.setAttribute("role", "tabpanel");
      column.append(this.add(chosen));
      return column;
    }

    strips() {
      const strips = element("div", { class: "strips" });
      for (const id of STRIPS) {
        if (page.views.some((view) => view.id === id)) {
          strips.append(this.add(new Panel(this.app, 0, id, { strip: true })));
        }
      }
      return strips;
    }

    addMonitors(k) {
      const row = element("div", { class: "monitors", role: "group", "aria-label": "Figures" });
      const columns = this.root.querySelectorAll(".column");
      (this.root.dataset.lanes === "1" ? this.root : columns[k]).append(row);
      this.monitors.push(new page.Monitors(row, k, this.app, (id) => this.choose(id)));
    }

    /* Markets on the left, pictures on the right. */
    tabBar() {
      this.tabs = tabs(this.narrow.matches).map(({ id, name }) =>
        element("button", {
          type: "button",
          role: "tab",
          "aria-controls": "picture-0",
          text: name,
          "data-view": id,
          on: { click: () => this.choose(id) },
        }),
      );
      const list = element("div", { class: "tabs", role: "tablist", "aria-label": "Pictures" }, this.tabs);
      list.addEventListener("keydown", (event) => this.walkTabs(event));
      return element("div", { class: "bar" }, this.marketBar(), list);
    }

    marketBar() {
      const { markets } = this.app.lanes[0].header;
      this.chips = [...markets, "All"].map((name, m) => {
        const chip = element("button", {
          type: "button",
          text: name,
          on: { click: () => this.app.chooseMarket(m) },
        });
        return chip;
      });
      return element("div", { class: "markets", role: "group", "aria-label": "Market" }, this.chips);
    }

    walkTabs(event) {
      const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!move) return;
      event.preventDefault();
      event.stopPropagation();
      const at = this.tabs.indexOf(document.activeElement);
      const next = this.tabs[(at + move + this.tabs.length) % this.tabs.length];
      next.focus();
      next.click();
    }

    /* A picture that there is; beside the prices of a wide page, another one than these. */
    known(id) {
      const all = [...page.views, ...page.charts.kinds].map((each) => each.id);
      if (all.includes(id) || (id === "prices" && this.narrow.matches)) return id;
      return all[0];
    }

    /* Show a picture in the panel that changes. */
    choose(id) {
      const view = this.known(id);
      this.app.view = view;
      for (const tab of this.tabs) {
        const chosen = tab.dataset.view === view;
        tab.setAttribute("aria-selected", String(chosen));
        tab.tabIndex =
          chosen || (tab === this.tabs[0] && !this.tabs.some((one) => one.dataset.view === view)) ? 0 : -1;
      }
      for (const panel of this.panels) if (panel.options.chosen) panel.show(view);
    }

    /* The next picture of the tab bar. */
    chooseNext() {
      const at = this.tabs.findIndex((tab) => tab.dataset.view === this.app.view);
      if (this.tabs.length) this.choose(this.tabs[(at + 1) % this.tabs.length].dataset.view);
    }

    update(now) {
      this.chips.forEach((chip, m) => {
        const all = m === this.chips.length - 1;
        const chosen = all ? this.app.relative : !this.app.relative && m === this.app.market;
        chip.setAttribute("aria-pressed", String(chosen));
        chip.style.setProperty("--chip", all ? page.theme.ink : page.theme.market(m));
      });
      for (const panel of this.panels) panel.update(now);
      for (const monitors of this.monitors) monitors.update(this.app.time, this.app.view);
    }
  }

  page.Stage = Stage;
})((window.page = window.page || {}));
