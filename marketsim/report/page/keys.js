/* Everything by keyboard. One list: what a key does, and what the help says of it. */
(function (page) {
  "use strict";

  const FAR = 30;

  /* `keys` as event.key has them; `live`: needs a running market. */
  page.keys = [
    { keys: [" "], name: "Space", label: "play, pause", act: (app) => app.player.toggle() },
    {
      keys: ["ArrowRight"],
      name: "→",
      label: "one step on (with Shift: 30)",
      act: (app, far) => app.player.step(far ? FAR : 1),
    },
    {
      keys: ["ArrowLeft"],
      name: "←",
      label: "one step back (with Shift: 30)",
      act: (app, far) => app.player.step(far ? -FAR : -1),
    },
    {
      keys: ["f", "F"],
      name: "F",
      label: "forward to the next cascade or settlement",
      act: (app) => app.player.skip(),
    },
    { keys: ["PageDown"], name: "Page ↓", label: "next chapter", act: (app) => app.player.turn(1) },
    { keys: ["PageUp"], name: "Page ↑", label: "chapter before", act: (app) => app.player.turn(-1) },
    {
      keys: ["Home"],
      name: "Home",
      label: "to the beginning",
      act: (app) => app.player.seek(app.player.first),
    },
    {
      keys: ["End"],
      name: "End",
      label: "to the end, or to now",
      act: (app) => app.player.seek(app.player.last),
    },
    {
      keys: ["r", "R"],
      name: "R",
      label: "reset the market (a recording: begin again)",
      act: (app) => (app.live ? app.send({ do: "reset" }) : app.player.seek(app.player.first)),
    },
    {
      keys: ["s", "S"],
      name: "S",
      label: "shock, as set in the controls",
      live: true,
      act: (app) => app.strike && app.strike(),
    },
    {
      keys: ["d", "D"],
      name: "D",
      label: "new seed",
      live: true,
      act: (app) => app.send({ do: "new_seed" }),
    },
    {
      keys: ["w", "W"],
      name: "W",
      label: "rewind the market to the step shown",
      live: true,
      act: (app) => app.player.rewind(),
    },
    {
      keys: ["b", "B"],
      name: "B",
      label: "branch: what if from here",
      live: true,
      act: (app) => app.player.branch(),
    },
    {
      keys: ["g", "G"],
      name: "G",
      label: "guess (↑ ↓, then Enter), or clear it",
      act: (app) => app.guessing.toggle(),
    },
    { keys: ["m", "M"], name: "M", label: "next market, then all", act: (app) => app.nextMarket() },
    {
      keys: ["v", "V"],
      name: "V",
      label: "next picture (1 to 9 choose one)",
      act: (app) => app.stage.chooseNext(),
    },
    { keys: ["l", "L"], name: "L", label: "twins: ghost, or side by side", act: (app) => app.toggleLayout() },
    { keys: ["[", "-"], name: "[ or −", label: "show a shorter time", act: (app) => app.zoom(-1) },
    { keys: ["]", "+"], name: "] or +", label: "show a longer time", act: (app) => app.zoom(1) },
    { keys: ["n", "N"], name: "N", label: "presenter notes", act: (app) => app.toggleNotes() },
    {
      keys: ["k", "K"],
      name: "K",
      label: "tick for each liquidation, on or off",
      act: (app) => app.sound.toggle(),
    },
    { keys: ["c", "C"], name: "C", label: "controls", act: (app) => app.toggleControls() },
    { keys: ["Escape"], name: "Esc", label: "close what is open", act: (app) => app.closeOpen() },
    { keys: ["e", "E"], name: "E", label: "export", act: (app) => app.exports.open() },
    { keys: ["t", "T"], name: "T", label: "light or dark", act: (app) => app.toggleScheme() },
    { keys: ["?"], name: "?", label: "this help", act: (app) => app.help.open() },
  ];

  /* Keys that a focused element needs itself. */
  function keepsKey(target, key) {
    if (target.isContentEditable || /^(SELECT|TEXTAREA)$/.test(target.tagName)) return true;
    if (target.tagName === "INPUT")
      return target.type === "number"
        ? key.length === 1 || /^Arrow|Home|End/.test(key)
        : /^Arrow|Home|End|Page/.test(key);
    return key === " " && target.tagName === "BUTTON";
  }

  page.listen = (app) => {
    // After a click the keys are the page's again: space plays, it does not press the button once more.
    document.addEventListener("click", (event) => {
      const pressed = event.detail > 0 && event.target.closest("button");
      if (pressed) pressed.blur();
    });
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !app.lanes.length) return;
      if (document.querySelector("dialog[open]") || keepsKey(event.target, event.key)) return;
      if (app.guessing.asking && guessKey(app, event)) return;
      if (/^[1-9]$/.test(event.key)) {
        const tab = app.stage.tabs[Number(event.key) - 1];
        if (tab) app.stage.choose(tab.dataset.view);
        return;
      }
      const found = page.keys.find((each) => each.keys.includes(event.key));
      if (!found || (found.live && !app.live)) return;
      event.preventDefault();
      found.act(app, event.shiftKey);
    });
  };

  function guessKey(app, event) {
    const acts = {
      ArrowUp: () => app.guessing.nudge(1),
      ArrowDown: () => app.guessing.nudge(-1),
      Enter: () => app.guessing.confirm(),
      Escape: () => app.guessing.toggle(),
    };
    if (!acts[event.key]) return false;
    event.preventDefault();
    acts[event.key]();
    return true;
  }
})((window.page = window.page || {}));
