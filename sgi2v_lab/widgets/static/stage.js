// The picture with its boxes and paths, and what the pointer does there.
import { followPointer, h, placeIn, svg } from "./common.js";
import { boxAt, centreOf, simplify } from "./interpolation.js";
import { alongPath, boxFrom, moveAt, resizable, resizeAt, shiftAll, withPath } from "./edits.js";

const MARGIN = 18; // CSS pixels around the picture, where boxes can still be taken hold of
const WIDEST = 1024; // CSS pixels: the picture is enlarged, or shrunk, to fit within
const HIGHEST = 576;
const CLICK = 3; // CSS pixels: a shorter way of the pointer is a click, not a drag
const CROSS = 11; // CSS pixels: the arms of the cross that the keyboard leads
const HANDLES = ["nw", "n", "ne", "e", "se", "s", "sw", "w"];
const MOST_DOTS = 60; // frames; more dots than that hide the line

const line = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

function setBox(rect, [x0, y0, x1, y1]) {
  rect.setAttribute("x", x0);
  rect.setAttribute("y", y0);
  rect.setAttribute("width", Math.max(0, x1 - x0));
  rect.setAttribute("height", Math.max(0, y1 - y0));
}

/** The drawing of one trajectory: made once, then only moved. */
class ObjectView {
  constructor() {
    const make = (name, kind, more = {}) => svg(name, { class: kind, ...more });
    this.casing = make("path", "sg-casing");
    this.way = make("path", "sg-way");
    this.dots = make("g", "sg-dots");
    this.lastCasing = make("rect", "sg-casing");
    this.last = make("rect", "sg-last");
    this.rim = make("rect", "sg-rim");
    this.rect = make("rect", "sg-box", { "data-hit": "box" });
    this.tagBox = make("rect", "sg-tag", { rx: 2 });
    this.tagText = make("text", "sg-tag-text");
    this.tag = svg("g", { "data-hit": "box" }, this.tagBox, this.tagText);
    this.node = svg("g", { class: "sg-object", tabindex: 0, role: "button" });
    this.node.append(this.casing, this.way, this.dots, this.lastCasing, this.last, this.rim, this.rect, this.tag);
    this.label = null;
  }

  update(ed, index, put, time) {
    const one = ed.doc.trajectories[index];
    const camera = ed.isCamera(one);
    const selected = index === ed.selected;
    const proposed = selected && ed.proposal;
    const moves = one.keys.length > 1;
    const box = put(boxAt(one, time));
    this.node.dataset.index = index;
    this.node.dataset.testid = `object-${index}`;
    this.node.style.setProperty("--colour", ed.colourOf(index));
    this.node.classList.toggle("is-selected", selected);
    this.node.classList.toggle("is-camera", camera);
    this.node.classList.toggle("is-proposed", Boolean(proposed));
    this.node.setAttribute("aria-pressed", selected);
    this.node.setAttribute("aria-label", ed.describe(index));
    setBox(this.rim, box);
    setBox(this.rect, box);
    for (const element of [this.casing, this.way, this.last, this.lastCasing]) element.style.display = moves ? "" : "none";
    if (moves) {
      const steps = ed.frames > MOST_DOTS ? ed.frames : Math.max(48, ed.frames);
      const way = Array.from({ length: steps + 1 }, (_, i) => centreOf(put(boxAt(one, i / steps))));
      for (const element of [this.casing, this.way]) element.setAttribute("d", line(way));
      const last = put(boxAt(one, 1));
      for (const element of [this.last, this.lastCasing]) setBox(element, last);
    }
    const count = moves && !camera && ed.frames <= MOST_DOTS ? ed.frames : 0;
    while (this.dots.childElementCount > count) this.dots.lastChild.remove();
    while (this.dots.childElementCount < count) this.dots.append(svg("circle", { r: 2.6 }));
    for (let f = 0; f < count; f++) {
      const [x, y] = centreOf(put(boxAt(one, f / (ed.frames - 1))));
      this.dots.children[f].setAttribute("cx", x);
      this.dots.children[f].setAttribute("cy", y);
    }
    const name = proposed ? "Enter keeps it" : ed.nameOf(index);
    const label = camera && !selected ? "" : `${ed.marks[index] ? "⚠ " : ""}${name}`;
    if (label !== this.label) {
      this.label = label;
      this.tagText.textContent = label;
      this.tagBox.setAttribute("width", label ? this.tagText.getComputedTextLength() + 10 : 0);
      this.tagBox.setAttribute("height", label ? 17 : 0);
    }
    const [x, y] = [Math.max(box[0], 2), box[1] > 20 ? box[1] - 18 : Math.max(box[1], 0) + 1];
    this.tag.setAttribute("transform", `translate(${x} ${y})`);
  }
}

export class Stage {
  constructor(ed) {
    this.ed = ed;
    this.scale = 1;
    this.views = [];
    this.drag = null;
    this.points = null; // way-points being clicked: { index, points, end }
    this.cursor = null; // where the keyboard looks for an object
    this.picture = h("img", { alt: "The picture to animate", draggable: "false", "data-testid": "picture" });
    this.cameraLayer = svg("g");
    this.objectLayer = svg("g");
    this.draftCasing = svg("path", { class: "sg-casing" });
    this.draft = svg("path", { class: "sg-draft" });
    this.handles = svg("g", { class: "sg-handles" });
    this.drawing = svg(
      "svg",
      { class: "sg-drawing", tabindex: 0, role: "application", "data-testid": "stage", "aria-roledescription": "drawing area" },
      this.cameraLayer, this.objectLayer, this.draftCasing, this.draft, this.handles,
    );
    this.empty = h(
      "div", { class: "sg-empty", "data-testid": "empty" },
      h("strong", {}, "No picture yet"),
      h("span", {}, "Open one here, or drop it on this place."),
      ed.openButton("Open a picture", true),
    );
    this.node = h("div", { class: "sg-stage" }, this.picture, this.drawing, this.empty);
    const listen = (name, handler) => this.drawing.addEventListener(name, handler);
    followPointer(this.drawing, {
      down: (event) => this.down(event), move: (event) => this.move(event), up: () => this.up(), cancel: () => this.cancel(),
    });
    listen("dblclick", (event) => this.doubleClick(event));
    listen("focusin", (event) => {
      const index = event.target.dataset?.index;
      if (index !== undefined && !this.drag) ed.select(Number(index));
    });
    this.node.addEventListener("dragover", (event) => event.preventDefault());
    this.node.addEventListener("drop", (event) => {
      event.preventDefault();
      if (event.dataTransfer.files.length) ed.openFile(event.dataTransfer.files[0]);
    });
    this.observer = new ResizeObserver(() => this.layout());
    this.observer.observe(this.node);
  }

  /** Fit the picture to the room there is. */
  layout() {
    const [width, height] = this.ed.size;
    const has = this.ed.hasPicture;
    this.empty.style.display = has ? "none" : "";
    this.picture.style.display = this.drawing.style.display = has ? "" : "none";
    if (!has || !this.node.clientWidth) return;
    this.scale = Math.min((this.node.clientWidth - 2 * MARGIN) / width, WIDEST / width, HIGHEST / height);
    const [w, hgt] = [Math.round(width * this.scale), Math.round(height * this.scale)];
    this.left = Math.max(MARGIN, Math.round((this.node.clientWidth - w) / 2));
    Object.assign(this.picture.style, { width: `${w}px`, height: `${hgt}px`, left: `${this.left}px`, top: `${MARGIN}px` });
    this.picture.style.imageRendering = this.scale >= 3 ? "pixelated" : "auto";
    this.node.style.height = `${hgt + 2 * MARGIN}px`;
    this.draw();
  }

  place = ([x, y]) => [this.left + x * this.scale, MARGIN + y * this.scale];
  put = ([x0, y0, x1, y1]) => [...this.place([x0, y0]), ...this.place([x1, y1])];

  /** Where an event is, in pixels of the picture. */
  at(event) {
    const [x, y] = placeIn(this.node, event);
    return [(x - this.left) / this.scale, (y - MARGIN) / this.scale];
  }

  draw() {
    const { ed } = this;
    if (!ed.hasPicture || this.left === undefined) return;
    const { trajectories } = ed.doc;
    while (this.views.length > trajectories.length) this.views.pop().node.remove();
    while (this.views.length < trajectories.length) this.views.push(new ObjectView());
    const time = ed.time();
    this.views.forEach((view, index) => {
      const layer = ed.isCamera(trajectories[index]) ? this.cameraLayer : this.objectLayer;
      if (view.node.parentNode !== layer) layer.append(view.node);
      view.update(ed, index, this.put, time);
    });
    this.drawHandles(time);
    this.drawDraft();
    this.drawing.dataset.tool = ed.tool;
    this.drawing.setAttribute("aria-label", `Picture with ${trajectories.length} boxes. Press ? for the keys.`);
  }

  drawHandles(time) {
    const { ed } = this;
    const one = ed.doc.trajectories[ed.selected];
    const shown = one && !ed.playing && !this.points && this.drag?.kind !== "box" && this.drag?.kind !== "path";
    const spots = [];
    if (shown) {
      const [x0, y0, x1, y1] = this.put(boxAt(one, time));
      const [cx, cy] = [(x0 + x1) / 2, (y0 + y1) / 2];
      if (resizable(one, time)) {
        const room = Math.min(x1 - x0, y1 - y0) > 26; // on a small box the corners are enough
        for (const name of HANDLES.filter((each) => room || each.length === 2)) {
          const x = name.includes("w") ? x0 : name.includes("e") ? x1 : cx;
          const y = name.includes("n") ? y0 : name.includes("s") ? y1 : cy;
          spots.push({ hit: `resize ${name}`, x, y, round: false });
        }
      }
      (one.path || []).forEach((point, i) => {
        const [x, y] = this.place(point);
        if (i > 0) spots.push({ hit: `corner ${i}`, x, y, round: true });
      });
    }
    while (this.handles.childElementCount > spots.length) this.handles.lastChild.remove();
    while (this.handles.childElementCount < spots.length) this.handles.append(svg("rect", { width: 9, height: 9 }));
    this.handles.style.setProperty("--colour", ed.selected >= 0 ? ed.colourOf(ed.selected) : "");
    spots.forEach(({ hit, x, y, round }, i) => {
      const handle = this.handles.children[i];
      handle.setAttribute("x", x - 4.5);
      handle.setAttribute("y", y - 4.5);
      handle.setAttribute("rx", round ? 4.5 : 1);
      handle.dataset.hit = hit;
      handle.dataset.testid = hit.replace(" ", "-");
    });
  }

  drawDraft() {
    let points = [];
    if (this.drag?.kind === "path") points = this.drag.points;
    if (this.points) points = [...this.points.points, ...(this.points.end ? [this.points.end] : [])];
    let d = points.length > 1 ? line(points.map(this.place)) : "";
    if (this.cursor) {
      const [x, y] = this.place(this.cursor);
      d = `M${x - CROSS} ${y}h${2 * CROSS}M${x} ${y - CROSS}v${2 * CROSS}`;
    }
    this.draft.setAttribute("d", d);
    this.draftCasing.setAttribute("d", d);
    const index = this.drag?.index ?? this.points?.index ?? -1;
    if (index >= 0) this.draft.style.setProperty("--colour", this.ed.colourOf(index));
  }

  // --- the pointer ---------------------------------------------------------------------------------------------------

  down(event) {
    const { ed } = this;
    event.preventDefault();
    ed.stop();
    this.cursor = null;
    const hit = event.target.closest?.("[data-hit]")?.dataset.hit || "";
    const over = event.target.closest?.(".sg-object");
    const index = over ? Number(over.dataset.index) : -1;
    const from = this.at(event);
    const start = { from, client: [event.clientX, event.clientY], before: ed.doc, moved: false };
    if (ed.tool === "box") {
      this.drag = { ...start, kind: "box", index: ed.doc.trajectories.length };
    } else if (ed.tool === "path") {
      const owner = index >= 0 ? index : ed.selected;
      if (owner < 0) return ed.say("error", "There is no box for the path: draw one first, or begin on one.");
      ed.select(owner);
      const centre = centreOf(ed.doc.trajectories[owner].keys[0].box);
      const shift = index >= 0 ? [centre[0] - from[0], centre[1] - from[1]] : [0, 0];
      this.drag = { ...start, kind: "path", index: owner, shift, points: [centre] };
    } else if (ed.tool === "points") {
      this.addPoint(from, index);
    } else if (hit.startsWith("resize")) {
      this.drag = { ...start, kind: "resize", index: ed.selected, side: hit.split(" ")[1], box: boxAt(ed.current, ed.time()) };
    } else if (hit.startsWith("corner")) {
      this.drag = { ...start, kind: "corner", index: ed.selected, corner: Number(hit.split(" ")[1]) };
    } else if (index >= 0) {
      ed.select(index);
      this.drag = { ...start, kind: event.altKey ? "shift" : "move", index };
    } else {
      ed.select(-1);
    }
    const target = index >= 0 && ed.tool === "select" ? over : this.drawing;
    target.focus({ preventScroll: true });
  }

  move(event) {
    const { ed, drag } = this;
    const began = performance.now();
    if (this.points && !drag) {
      Object.assign(this.points, { end: this.at(event), keyed: false });
      return this.drawDraft();
    }
    if (!drag) return;
    if (!drag.moved && Math.hypot(event.clientX - drag.client[0], event.clientY - drag.client[1]) < CLICK) return;
    drag.moved = true;
    const [x, y] = this.at(event);
    const [dx, dy] = [x - drag.from[0], y - drag.from[1]];
    const old = drag.before.trajectories[drag.index];
    const time = ed.time();
    const smallest = 1; // pixel of the picture
    if (drag.kind === "box") {
      const box = boxFrom(drag.from, [x, y], smallest);
      ed.replaceAll([...drag.before.trajectories, ed.newObject(box, drag.before.trajectories)]);
      ed.selected = drag.index;
    } else if (drag.kind === "path") {
      for (const each of event.getCoalescedEvents?.() || [event]) {
        const [px, py] = this.at(each);
        drag.points.push([px + drag.shift[0], py + drag.shift[1]]);
      }
    } else if (drag.kind === "move") {
      ed.replace(drag.index, moveAt(old, time, dx, dy));
    } else if (drag.kind === "shift") {
      ed.replace(drag.index, shiftAll(old, dx, dy));
    } else if (drag.kind === "corner") {
      ed.replace(drag.index, withPath(old, old.path.map((point, i) => (i === drag.corner ? [x, y] : point))));
    } else if (drag.kind === "resize") {
      ed.replace(drag.index, resizeAt(old, time, this.resized(drag, dx, dy, smallest, Boolean(old.path))));
    }
    this.draw();
    ed.dragged(event, began);
  }

  /** The box with one side or corner elsewhere; with `centred`, its middle stays. */
  resized({ box, side }, dx, dy, smallest, centred) {
    let [x0, y0, x1, y1] = box;
    const both = centred ? 1 : 0;
    if (side.includes("w")) [x0, x1] = [Math.min(x0 + dx, x1 - smallest), x1 - both * dx];
    if (side.includes("e")) [x1, x0] = [Math.max(x1 + dx, x0 + smallest), x0 - both * dx];
    if (side.includes("n")) [y0, y1] = [Math.min(y0 + dy, y1 - smallest), y1 - both * dy];
    if (side.includes("s")) [y1, y0] = [Math.max(y1 + dy, y0 + smallest), y0 - both * dy];
    return [x0, y0, Math.max(x1, x0 + smallest), Math.max(y1, y0 + smallest)];
  }

  up() {
    const { ed, drag } = this;
    this.drag = null;
    if (!drag) return;
    if (drag.kind === "box" && !drag.moved) {
      ed.find(drag.from);
    } else if (drag.kind === "box") {
      ed.setTool("select");
      ed.frame = 0; // as in Editor.create
      ed.commit("Box drawn");
      this.views[ed.selected]?.node.focus({ preventScroll: true });
    } else if (drag.kind === "path") {
      const points = simplify(drag.points, 1.2 / this.scale);
      const length = points.slice(1).reduce((sum, [x, y], i) => sum + Math.hypot(x - points[i][0], y - points[i][1]), 0);
      if (!drag.moved || length * this.scale < 2 * CLICK) {
        ed.say("error", "The path has no length: press on the box, drag along the way it should go, and let go.");
      } else {
        ed.replace(drag.index, alongPath(drag.before.trajectories[drag.index], points));
        ed.setTool("select");
        ed.commit("Path drawn");
      }
    } else if (drag.moved) {
      ed.commit("Moved");
    }
    this.draw();
  }

  /** Stop what is being drawn; the last committed state shows again. */
  cancel() {
    if (this.drag) this.ed.replaceAll(this.drag.before.trajectories);
    const busy = Boolean(this.drag || this.points || this.cursor);
    this.drag = this.points = this.cursor = null;
    this.draw();
    return busy;
  }

  doubleClick(event) {
    const { ed } = this;
    if (this.points) return this.finishPoints();
    const hit = event.target.closest?.("[data-hit]")?.dataset.hit || "";
    if (!hit.startsWith("corner")) return;
    const { path } = ed.current;
    ed.replace(ed.selected, withPath(ed.current, path.filter((_, i) => i !== Number(hit.split(" ")[1]))));
    ed.commit("Way-point removed");
  }

  // --- way-points ----------------------------------------------------------------------------------------------------

  addPoint(at, index = -1) {
    const { ed } = this;
    if (!this.points) {
      const owner = index >= 0 ? index : ed.selected;
      if (owner < 0) return ed.say("error", "There is no box for the way-points: draw one first, or click on one.");
      ed.select(owner);
      this.points = { index: owner, points: [centreOf(ed.doc.trajectories[owner].keys[0].box)] };
      if (index >= 0) return this.draw();
    }
    const before = this.points.points.at(-1);
    if (Math.hypot(at[0] - before[0], at[1] - before[1]) * this.scale > CLICK) this.points.points.push(at);
    ed.say("", `${this.points.points.length - 1} way-points. Double-click or Enter ends the path, Escape drops it.`);
    this.draw();
  }

  /** The cross that the arrows lead about with the Box tool; Enter then is a click there. */
  nudgeCross(dx, dy) {
    const [width, height] = this.ed.size;
    const [x, y] = this.cursor || [width / 2, height / 2];
    this.cursor = [Math.min(Math.max(x + dx, 0), width - 1), Math.min(Math.max(y + dy, 0), height - 1)];
    this.ed.spoken.textContent = `Cross at ${this.cursor.map(Math.round).join(", ")}`;
    this.drawDraft();
  }

  /** Way-points from the keyboard: arrows lead the end of the line about. */
  nudgePoint(dx, dy) {
    if (!this.points) this.addPoint(centreOf(this.ed.current?.keys[0].box || [0, 0, 0, 0]), this.ed.selected);
    if (!this.points) return;
    const [x, y] = this.points.end || this.points.points.at(-1);
    Object.assign(this.points, { end: [x + dx, y + dy], keyed: true });
    this.drawDraft();
  }

  finishPoints() {
    const drawn = this.points;
    this.points = null;
    if (drawn && drawn.points.length > 1) {
      this.ed.replace(drawn.index, alongPath(this.ed.doc.trajectories[drawn.index], drawn.points));
      this.ed.setTool("select");
      this.ed.commit("Path drawn");
    }
    this.draw();
  }
}
