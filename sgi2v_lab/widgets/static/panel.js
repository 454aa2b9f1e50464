// What can be said about the selected object in words and numbers.
import { button, focusedElement, h, icon } from "./common.js";
import { boxAt } from "./interpolation.js";
import { keyAt, pinned, removeKey, resizable, resizeAt, moveAt, retime, setKey, straightened } from "./edits.js";

const field = (label, control, kind = "") => h("label", { class: `sg-field ${kind}` }, h("span", {}, label), control);

export class Panel {
  constructor(ed) {
    this.ed = ed;
    const number = (name, change, attributes = {}) =>
      h("input", { type: "number", step: 1, "data-testid": name, onchange: (event) => change(Number(event.target.value)), ...attributes });
    this.name = h("input", { type: "text", maxlength: 60, "data-testid": "name", onchange: () => this.set({ name: this.name.value.trim() }, "Renamed") });
    this.colours = h("div", { class: "sg-colours", role: "radiogroup", "aria-label": "Colour" });
    this.colours.append(...ed.choices.palette.map((colour, i) => h("button", {
      type: "button", role: "radio", class: "sg-swatch", style: `--colour: ${colour}`, "aria-label": `Colour ${i + 1}, ${colour}`, title: colour,
      onclick: () => this.set({ colour }, "Coloured"),
    })));
    this.sides = ["x", "y", "width", "height"].map((name, i) => number(`box-${name}`, (value) => this.setSide(i, value), i > 1 ? { min: 1 } : {}));
    this.easing = h(
      "select", { "data-testid": "easing", onchange: () => this.set({ easing: this.easing.value }, "Timing changed") },
      ed.choices.easings.map((each) => h("option", { value: each }, each.replaceAll("-", " "))),
    );
    this.start = number("start", (value) => this.setTime(0, value), { min: 1 });
    this.end = number("end", (value) => this.setTime(this.ed.current.keys.length - 1, value), { min: 1 });
    this.keyButton = button("Add key box", "key", { "data-testid": "key", onclick: () => this.toggleKey() }, true);
    this.pin = button("Pin", "pin", { "data-testid": "pin", title: "Pin: stay where it is in the first frame", onclick: () => this.change(pinned, "Pinned") }, true);
    this.straight = button("Straighten", "line", { "data-testid": "straighten", title: "A straight way in place of the drawn path", onclick: () => this.change(straightened, "Straightened") }, true);
    this.copy = button("Duplicate", "copy", { "data-testid": "duplicate", onclick: () => ed.duplicate() }, true);
    this.trash = button("Delete", "trash", { "data-testid": "delete", onclick: () => ed.remove() }, true);
    this.at = h("h4", {}, "");
    this.details = h(
      "div", { class: "sg-details" },
      field("Name", this.name), this.colours,
      this.at, h("div", { class: "sg-grid" }, ...["x", "y", "width", "height"].map((label, i) => field(label, this.sides[i]))),
      this.keyButton,
      h("h4", {}, "Motion"),
      h("div", { class: "sg-grid" }, field("easing", this.easing, "is-wide"), field("from frame", this.start), field("to frame", this.end)),
      h("div", { class: "sg-actions" }, this.pin, this.straight, this.copy, this.trash),
    );
    const step = (name, title, text) => h("li", {}, icon(name), h("span", {}, h("strong", {}, title), text));
    this.intro = h(
      "ol", { class: "sg-intro", "data-testid": "intro" },
      step("box", "Draw a box", " around what should move, or hold still. Or click on it."),
      step("path", "Drag its path", " with the Path tool, or move the box at a later frame: that sets a key box there."),
      step("play", "Press play", " to see the boxes move."),
      step("camera", "Move the camera", " with boxes on the background."),
    );
    this.node = h("div", { class: "sg-panel" }, this.intro, this.details);
  }

  set(changes, said) {
    const one = { ...this.ed.current, ...changes };
    for (const name of ["name", "easing"]) if (!one[name] || one[name] === "linear") delete one[name];
    if (changes.easing) one.keys = one.keys.map(({ easing, ...key }) => key); // one timing for all stretches
    this.ed.replace(this.ed.selected, one);
    this.ed.commit(said);
  }

  change(edit, said) {
    this.ed.replace(this.ed.selected, edit(this.ed.current));
    this.ed.commit(said);
  }

  setSide(i, value) {
    const { ed } = this;
    const box = boxAt(ed.current, ed.time());
    if (!Number.isFinite(value)) return this.draw();
    if (i < 2) return this.change((one) => moveAt(one, ed.time(), i ? 0 : value - box[0], i ? value - box[1] : 0), "Moved");
    if (value <= 0) {
      ed.say("error", `The ${i === 2 ? "width" : "height"} is ${value}: expected more than 0 pixels.`);
      return this.draw();
    }
    box[i] = box[i - 2] + value;
    return this.change((one) => resizeAt(one, ed.time(), box), "Resized");
  }

  setTime(k, frame) {
    const gap = 1 / (this.ed.frames - 1);
    this.change((one) => retime(one, k, (frame - 1) * gap, gap), "Timing changed");
  }

  toggleKey() {
    const { ed } = this;
    const one = ed.current;
    if (!one) return;
    if (one.path) return ed.send({ kind: "keys", index: ed.selected });
    const k = keyAt(one, ed.time());
    if (k >= 0) return this.change((each) => removeKey(each, k), "Key box removed");
    return this.change((each) => setKey(each, ed.time(), boxAt(each, ed.time())), "Key box added");
  }

  draw() {
    const { ed } = this;
    const one = ed.current;
    this.intro.style.display = one ? "none" : "";
    this.details.style.display = one ? "" : "none";
    if (!one) return;
    const show = (input, value) => { if (input !== focusedElement(input) || ed.stage.drag) input.value = value; };
    show(this.name, one.name || "");
    this.name.placeholder = ed.nameOf(ed.selected);
    [...this.colours.children].forEach((swatch, i) => {
      const chosen = ed.colourOf(ed.selected).toLowerCase() === ed.choices.palette[i].toLowerCase();
      swatch.setAttribute("aria-checked", chosen);
    });
    const box = boxAt(one, ed.time());
    this.at.textContent = `Box at frame ${Math.round(ed.time() * (ed.frames - 1)) + 1}, pixels`;
    [box[0], box[1], box[2] - box[0], box[3] - box[1]].forEach((value, i) => show(this.sides[i], Math.round(value * 10) / 10));
    const fixed = !resizable(one, ed.time());
    for (const side of this.sides.slice(2)) {
      side.disabled = fixed;
      side.title = fixed ? "Along a path the size is set at its first and last frame" : "";
    }
    const k = keyAt(one, ed.time());
    const label = one.path ? "Key box in every frame" : k < 0 ? "Add key box" : "Remove key box";
    this.keyButton.querySelector(".sg-label").textContent = label;
    this.keyButton.title = `${label} (K)`;
    this.keyButton.setAttribute("aria-label", label);
    this.keyButton.disabled = !one.path && k >= 0 && one.keys.length === 1;
    show(this.easing, one.easing || "linear");
    const moves = one.keys.length > 1;
    const frame = (key) => Math.round(key.time * (ed.frames - 1)) + 1;
    show(this.start, frame(one.keys[0]));
    show(this.end, frame(one.keys.at(-1)));
    for (const input of [this.start, this.end]) input.max = ed.frames;
    for (const input of [this.easing, this.start, this.end, this.pin]) input.disabled = !moves;
    this.straight.disabled = !one.path;
  }
}
