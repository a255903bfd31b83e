/* Elements made from text only: names from a scenario never become markup. */
(function (page) {
  "use strict";

  const SVG = "http://www.w3.org/2000/svg";
  const ICONS = {
    play: "M7 4 L20 12 L7 20 Z",
    pause: "M6 4 H10 V20 H6 Z M14 4 H18 V20 H14 Z",
    step: "M5 4 L14 12 L5 20 Z M16 4 H19 V20 H16 Z",
    start: "M5 4 H8 V20 H5 Z M20 4 L9 12 L20 20 Z",
    skip: "M4 4 L11 12 L4 20 Z M11 4 L18 12 L11 20 Z M18 4 H21 V20 H18 Z",
    rewind: "M12 5 V1 L5 7 L12 13 V9 A5 5 0 1 1 7 14 H3 A9 9 0 1 0 12 5 Z",
    branch: "M6 2 H9 V9 C9 12 18 9 18 15 V16 H21 L16.5 22 L12 16 H15 C15 13 9 15 9 12 V22 H6 Z",
  };

  /* element("p", {class: "note", text: "...", on: {click: f}}, child, ...) */
  function element(tag, properties, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(properties || {})) {
      if (name === "text") made.textContent = value;
      else if (name === "on")
        for (const [kind, act] of Object.entries(value)) made.addEventListener(kind, act);
      else if (value === true) made.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
    }
    for (const child of children.flat()) if (child) made.append(child);
    return made;
  }

  function icon(name) {
    const drawing = document.createElementNS(SVG, "svg");
    drawing.setAttribute("viewBox", "0 0 24 24");
    drawing.setAttribute("aria-hidden", "true");
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", ICONS[name]);
    drawing.append(path);
    return drawing;
  }

  function button(label, act, properties) {
    return element("button", { type: "button", text: label, on: { click: act }, ...properties });
  }

  /* A button that shows an icon and says, to a pointer and a screen reader, what it does. */
  function iconButton(name, label, act) {
    const made = element("button", {
      type: "button",
      class: "icon",
      "aria-label": label,
      title: label,
      on: { click: act },
    });
    made.append(icon(name));
    return made;
  }

  function setIcon(of, name, label) {
    if (of.dataset.icon === name) return;
    of.dataset.icon = name;
    of.replaceChildren(icon(name));
    of.setAttribute("aria-label", label);
    of.title = label;
  }

  /* A drop-down of [value, label] pairs. */
  function choice(label, pairs, chosen, act) {
    const made = element("select", { "aria-label": label, on: { change: () => act(made.value) } });
    for (const [value, text] of pairs) {
      made.append(element("option", { value, text, selected: String(value) === String(chosen) }));
    }
    return made;
  }

  /* Write only what changed: a live region then stays silent, and nothing is laid out anew. */
  function say(target, text) {
    if (target.textContent !== text) target.textContent = text;
  }

  /* The first line of a dialog; closing stands first, so that the focus is there. */
  function dialogHead(dialog, id, title) {
    return element(
      "div",
      { class: "row head" },
      element("h2", { id, text: title }),
      button("Close", () => dialog.close()),
    );
  }

  const byId = (id) => document.getElementById(id);

  page.dom = { element, button, iconButton, setIcon, choice, say, dialogHead, byId };
})((window.page = window.page || {}));
