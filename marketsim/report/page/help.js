/* What is seen, what is simulated and where the limits are; and the keys. */
(function (page) {
  "use strict";

  const { element, dialogHead } = page.dom;
  const INTRODUCTION =
    "A simulated market of perpetual futures: traders with margin, a venue with its rule book, " +
    "and what happens when positions are closed by force. Nothing here is a forecast.";

  const definitions = (pairs) =>
    element(
      "dl",
      {},
      pairs.flatMap(([term, text]) => [element("dt", { text: term }), element("dd", { text })]),
    );

  class Help {
    constructor(dialog, app) {
      this.dialog = dialog;
      this.app = app;
    }

    open() {
      this.build();
      this.dialog.showModal();
    }

    build() {
      const { app } = this;
      const header = app.lanes.length ? app.lanes[0].header : null;
      const pictures = [page.charts.prices, ...page.views, ...page.charts.kinds];
      this.dialog.replaceChildren(
        dialogHead(this.dialog, "help-title", "What is seen here"),
        element("p", {
          text: INTRODUCTION,
        }),
        element(
          "div",
          { class: "help-columns" },
          element(
            "section",
            {},
            element("h3", { text: "Keys" }),
            this.keys(),
            element("h3", { text: "Simulated, and where the limits are" }),
            element(
              "ul",
              {},
              this.limits(header).map((text) => element("li", { text })),
            ),
          ),
          element(
            "section",
            {},
            element("h3", { text: "Pictures" }),
            definitions(pictures.map((each) => [each.title, `${each.question || ""} ${each.help || ""}`])),
          ),
        ),
        element("p", {
          class: "hint",
          text: header ? `marketsim ${header.version || ""} · ${app.source()}` : "",
        }),
      );
    }

    limits(header) {
      if (!header) return [];
      return [
        ...(header.limits || []),
        ...(header.sampled ? [`Single accounts are a ${this.app.sample()}; sums are of all.`] : []),
      ];
    }

    keys() {
      const shown = page.keys.filter((key) => this.app.live || !key.live);
      return element(
        "table",
        { class: "keys" },
        element(
          "tbody",
          {},
          shown.map((key) =>
            element(
              "tr",
              {},
              element("th", { scope: "row" }, element("kbd", { text: key.name })),
              element("td", { text: key.label }),
            ),
          ),
        ),
      );
    }
  }

  page.Help = Help;
})((window.page = window.page || {}));
