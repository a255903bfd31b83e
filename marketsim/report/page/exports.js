/* What can be taken away: pictures, numbers, the replay, and the command that repeats it. */
(function (page) {
  "use strict";

  const { element, button, say, dialogHead } = page.dom;
  const FOOT = 34;

  function download(blob, name) {
    const address = URL.createObjectURL(blob);
    const anchor = element("a", { href: address, download: name });
    document.body.append(anchor);
    anchor.click();
    anchor.remove();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  }

  const fileName = (app, what, kind) => {
    const { scenario, seed } = app.lanes[0].header;
    return `${scenario}-seed${seed}-${what}.${kind}`.replace(/[^A-Za-z0-9._-]+/g, "-");
  };

  /* A picture with its title above and, below, what it was made from. */
  function picture(app, panel) {
    const drawn = panel.picture;
    const ratio = drawn.width / Math.max(1, panel.size[0]);
    const head = 34 * ratio;
    const canvas = element("canvas");
    canvas.width = drawn.width;
    canvas.height = drawn.height + head + FOOT * ratio;
    const context = canvas.getContext("2d");
    context.fillStyle = page.theme.paper;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(drawn, 0, head);
    context.fillStyle = page.theme.ink;
    context.font = page.theme.font(18 * ratio, 700);
    context.textBaseline = "middle";
    context.fillText(panel.title.textContent, 12 * ratio, head / 2);
    context.fillStyle = page.theme.soft;
    context.font = page.theme.font(12 * ratio);
    context.fillText(app.source(), 12 * ratio, canvas.height - (FOOT / 2) * ratio);
    return canvas;
  }

  /* The series of all lanes as text, a row for each step and market. */
  function table(app) {
    const prices = ["index", "mark", "last"];
    const numbers = ["premium", "rate", "interest", "long_share", "herd", "liquidated", "fund"];
    const lines = [["lane", "step", "market", ...prices, ...numbers].join(",")];
    const quoted = (text) => `"${text.replace(/"/g, '""')}"`;
    for (const lane of app.lanes) {
      for (let row = 0; row < lane.rows; row++) {
        lane.header.markets.forEach((name, m) => {
          lines.push(
            [
              quoted(lane.header.label),
              lane.frames.step[row],
              quoted(name),
              ...prices.map((price) => lane.price(price, row, m)),
              ...numbers.map((number) => lane.value(number, row, m)),
            ].join(","),
          );
        });
      }
    }
    return lines.join("\r\n") + "\r\n";
  }

  class Exports {
    constructor(dialog, app) {
      this.dialog = dialog;
      this.app = app;
    }

    open() {
      this.build();
      this.dialog.showModal();
      if (this.app.live) this.app.send({ do: "digest" });
    }

    build() {
      const { app } = this;
      this.said = element("p", { class: "hint", role: "status" });
      this.repeat = element("div");
      this.dialog.replaceChildren(
        dialogHead(this.dialog, "exports-title", "Take it away"),
        element("h3", { text: "Pictures (PNG)" }),
        element(
          "div",
          { class: "row wrap" },
          app.stage.panels
            .filter((panel) => panel.picture)
            .map((panel) => button(panel.title.textContent, () => this.savePicture(panel))),
        ),
        element("h3", { text: "Numbers" }),
        element(
          "div",
          { class: "row wrap" },
          button("Series (CSV)", () => this.saveSeries()),
          app.live ? button("Replay (HTML)", () => this.ask("replay")) : null,
          button("Scenario (TOML)", () => this.saveScenario()),
        ),
        element("p", { class: "hint", text: app.live ? "" : "The replay is this file: copy it." }),
        element("h3", { text: "Repeat it" }),
        this.repeat,
        this.said,
      );
      this.update();
    }

    ask(what) {
      this.app.send({ do: "export", what });
      say(this.said, "Asked the market for the file …");
    }

    savePicture(panel) {
      picture(this.app, panel).toBlob(
        (blob) => download(blob, fileName(this.app, panel.id, "png")),
        "image/png",
      );
      say(this.said, `Saved ${panel.title.textContent}.`);
    }

    saveSeries() {
      if (this.app.live && this.app.connected) return this.ask("csv");
      download(new Blob([table(this.app)], { type: "text/csv" }), fileName(this.app, "series", "csv"));
      return say(this.said, "Saved the series.");
    }

    saveScenario() {
      if (this.app.live && this.app.connected) return this.ask("toml");
      const { scenario_toml: text } = this.app.digests[0] || {};
      if (!text) return say(this.said, "This recording holds no scenario file.");
      download(new Blob([text], { type: "application/toml" }), fileName(this.app, "scenario", "toml"));
      return say(this.said, "Saved the scenario.");
    }

    /* A file that the server made. */
    receive(message) {
      download(new Blob([message.columns.bytes], { type: message.mime }), message.name);
      if (this.dialog.open) say(this.said, `Saved ${message.name}.`);
    }

    /* The command and digest of each lane, as they are known. */
    update() {
      if (!this.repeat) return;
      this.repeat.replaceChildren(
        ...this.app.lanes.map((lane, k) => this.command(lane, this.app.digests[k] || {})),
      );
    }

    command(lane, { command, digest, step }) {
      const text = command || lane.header.command;
      const copy = button("Copy", async () => {
        try {
          await navigator.clipboard.writeText(text);
          say(copy, "Copied");
        } catch {
          getSelection().selectAllChildren(code);
          say(copy, "Selected: press Ctrl+C");
        }
      });
      const code = element("code", { text });
      const known = digest
        ? `gives the digest ${digest}${step ? ` at step ${step}` : ""}`
        : "the digest comes with the end of a run";
      return element(
        "div",
        { class: "repeat" },
        element("div", { class: "row" }, code, copy),
        element("p", { class: "hint", text: known }),
      );
    }
  }

  page.Exports = Exports;
  page.exports = { table };
})((window.page = window.page || {}));
