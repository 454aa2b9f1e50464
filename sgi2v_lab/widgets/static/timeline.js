// Time: play, the frame slider, and one row per object with its key boxes.
import { button, focusedElement, followPointer, h, icon, placeIn } from "./common.js";
import { keyAt, removeKey, retime } from "./edits.js";

export class Timeline {
  constructor(ed) {
    this.ed = ed;
    this.play = button("Play (Space)", "play", { onclick: () => ed.toggle(), "data-testid": "play", class: "sg-button sg-play" });
    this.count = h("span", { class: "sg-count", "data-testid": "frame-count" });
    this.slider = h("input", {
      type: "range", min: 0, value: 0, step: 1, class: "sg-slider", "aria-label": "Frame", "data-testid": "frame",
      oninput: () => ed.show(Number(this.slider.value), false),
      onchange: () => ed.show(Number(this.slider.value)),
    });
    this.ticks = h("div", { class: "sg-ticks", "aria-hidden": "true" });
    this.rows = h("div", { class: "sg-rows" });
    this.node = h(
      "div", { class: "sg-timeline" },
      h("div", { class: "sg-row sg-head" },
        h("div", { class: "sg-transport" }, this.play, this.count),
        h("div", { class: "sg-track" }, this.ticks, this.slider)),
      this.rows,
    );
    this.signature = null;
  }

  draw() {
    const { ed } = this;
    const { frames } = ed;
    this.node.classList.toggle("is-off", !ed.hasPicture);
    this.slider.max = frames - 1;
    this.slider.value = Math.round(ed.time() * (frames - 1));
    this.slider.style.setProperty("--done", ed.time());
    this.slider.setAttribute("aria-valuetext", `Frame ${Number(this.slider.value) + 1} of ${frames}`);
    this.count.textContent = `${Number(this.slider.value) + 1} / ${frames}`;
    if (this.ticks.childElementCount !== frames) {
      this.ticks.replaceChildren(...Array.from({ length: frames }, (_, f) => h("i", { style: `left: ${(100 * f) / (frames - 1)}%` })));
    }
    if (this.dragging) return; // the key that is dragged must stay where its pointer is
    const shown = ed.doc.trajectories.map((one, i) => [one.keys.map((key) => key.time), Boolean(one.path), ed.nameOf(i), ed.colourOf(i), ed.marks[i]]);
    const signature = JSON.stringify([shown, frames]);
    if (signature !== this.signature) {
      const active = focusedElement(this.node);
      const focused = this.rows.contains(active) ? active.dataset.testid : null;
      this.signature = signature;
      this.rows.replaceChildren(...ed.doc.trajectories.map((one, index) => this.row(one, index)));
      if (focused) this.rows.querySelector(`[data-testid="${focused}"]`)?.focus();
    }
    [...this.rows.children].forEach((row, index) => {
      row.classList.toggle("is-selected", index === ed.selected);
      row.querySelector(".sg-name").setAttribute("aria-pressed", index === ed.selected);
      row.style.setProperty("--now", ed.time());
      row.querySelectorAll(".sg-key").forEach((key, k) => {
        key.classList.toggle("is-now", keyAt(ed.doc.trajectories[index], ed.time()) === k);
      });
    });
  }

  row(one, index) {
    const { ed } = this;
    const name = h(
      "button",
      { type: "button", class: "sg-name", title: ed.nameOf(index), "data-testid": `name-${index}`, onclick: () => ed.select(index) },
      h("i", { class: "sg-dot" }), h("span", {}, ed.nameOf(index)),
      ed.marks[index] ? h("em", { class: `sg-mark is-${ed.marks[index]}` }, icon(ed.marks[index])) : null,
      one.keys.length === 1 ? h("em", { class: "sg-mark", title: "Stays where it is" }, icon("pin")) : null,
    );
    const [from, to] = [one.keys[0].time, one.keys.at(-1).time];
    const track = h(
      "div", { class: "sg-track" },
      h("div", { class: `sg-bar${one.keys.length > 1 ? "" : " is-still"}`, style: one.keys.length > 1 ? `left: ${from * 100}%; width: ${(to - from) * 100}%` : "left: 0; width: 100%" }),
      h("div", { class: "sg-now" }),
      one.keys.map((key, k) => this.key(one, index, key, k)),
    );
    return h("div", { class: "sg-row", style: `--colour: ${ed.colourOf(index)}` }, name, track);
  }

  key(one, index, key, k) {
    const { ed } = this;
    const frame = (time) => Math.round(time * (ed.frames - 1));
    const label = () => `Key box ${k + 1} of ${ed.nameOf(index)}, frame ${frame(ed.doc.trajectories[index].keys[k].time) + 1}`;
    const gap = 1 / (ed.frames - 1);
    const to = (time) => {
      ed.replace(index, retime(ed.doc.trajectories[index], k, Math.round(time / gap) * gap, gap));
      const now = ed.doc.trajectories[index].keys[k].time;
      diamond.style.left = `${now * 100}%`;
      diamond.setAttribute("aria-label", label());
      ed.show(frame(now), false);
    };
    const diamond = h("button", {
      type: "button", class: "sg-key", style: `left: ${key.time * 100}%`, "aria-label": label(), title: `${label()}. Drag, or use the arrow keys, to change its time.`,
      "data-testid": `key-${index}-${k}`,
      onclick: () => { ed.select(index); ed.show(frame(ed.doc.trajectories[index].keys[k].time)); },
    });
    followPointer(diamond, {
      down: () => {
        ed.select(index);
        this.dragging = { before: ed.doc };
      },
      move: (event) => {
        const track = diamond.parentNode;
        if (this.dragging && one.keys.length > 1) to(placeIn(track, event)[0] / track.clientWidth);
      },
      up: () => {
        const changed = this.dragging.before !== ed.doc;
        this.dragging = null;
        if (changed) ed.commit("Key box moved in time");
      },
      cancel: () => {
        const { before } = this.dragging;
        this.dragging = null;
        ed.replaceAll(before.trajectories);
        ed.draw();
      },
    });
    diamond.keyDown = (event) => { // called by the editor, which has the keys
      const step = { ArrowLeft: -gap, ArrowRight: gap }[event.key];
      if (step && one.keys.length > 1) {
        to(ed.doc.trajectories[index].keys[k].time + step);
        ed.commit("Key box moved in time");
        return true;
      }
      if ((event.key === "Delete" || event.key === "Backspace") && one.keys.length > 1) {
        ed.replace(index, removeKey(ed.doc.trajectories[index], k));
        ed.commit("Key box removed");
        return true;
      }
      return false;
    };
    return diamond;
  }
}
