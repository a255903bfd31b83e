/* Ranges and drop-downs that say their value in words. */
(function (page) {
  "use strict";

  const { element, choice, say } = page.dom;

  /* A labelled range with its value in words beside it; `act(value)` when it is let go. */
  function slider({ label, name, min, max, step, value, unit, log }, act, note) {
    const forth = log && min > 0 ? Math.log : (x) => x;
    const back = log && min > 0 ? Math.exp : (x) => x;
    const digits = step >= 1 ? 0 : Math.min(6, Math.ceil(-Math.log10(step)));
    const snap = (raw) =>
      Math.min(max, Math.max(min, Number((Math.round(back(raw) / step) * step).toFixed(digits))));
    const output = element("output");
    const input = element("input", {
      type: "range",
      min: forth(min),
      max: forth(max),
      value: forth(value),
      step: log ? (forth(max) - forth(min)) / 200 : step,
      "aria-label": name || label,
    });
    const show = (number) => {
      const text = `${page.theme.count(number, digits)}${unit ? ` ${unit}` : ""}`;
      say(output, text);
      input.setAttribute("aria-valuetext", text);
    };
    input.addEventListener("input", () => show(snap(Number(input.value))));
    input.addEventListener("change", () => act(snap(Number(input.value))));
    show(value);
    const top = element("span", { class: "top-line" }, element("span", { text: label }), note, output);
    return {
      root: element("label", { class: "slider" }, top, input),
      get value() {
        return snap(Number(input.value));
      },
      set(number) {
        if (document.activeElement === input) return;
        input.value = forth(number);
        show(number);
      },
    };
  }

  /* A slider, or a drop-down where only some values will do. */
  function valuePicker(control, act, note) {
    if (!control.choices) return slider(control, act, note);
    const isNumber = typeof control.value === "number";
    const pairs = control.choices.map((value) => [value, control.unit ? `${value} ${control.unit}` : value]);
    const made = choice(control.label, pairs, control.value, (value) =>
      act(isNumber ? Number(value) : value),
    );
    const root = element("label", { class: "field" }, element("span", { text: control.label }), note, made);
    return {
      root,
      set: (value) => {
        made.value = value;
      },
    };
  }

  page.sliders = { slider, valuePicker };
})((window.page = window.page || {}));
