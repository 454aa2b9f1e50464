// The trajectory editor: its state, its keys and its talk with the kernel. Drawing is in stage.js, timeline.js, panel.js.
import { button, bytesOf, captureKeys, download, focusedElement, followKernel, followTheme, h, icon } from "./common.js";
import { boxAt, shifted } from "./interpolation.js";
import { moveAt, resizeAt } from "./edits.js";
import { Panel } from "./panel.js";
import { Stage } from "./stage.js";
import { Timeline } from "./timeline.js";

const CHECK_EVERY = 150; // ms between two questions to the kernel while something is dragged
const PART = 4 * 2 ** 20; // bytes of a file in one message: more than 10 MiB would make Jupyter drop the connection
const LARGEST = 256; // MiB of a file
const REST = 500; // ms that the boxes stay at the end before they are played again
const TOOLS = [
  ["select", "Select", "V", "Select, move and resize"],
  ["box", "Box", "B", "Draw a box, or click on an object to have it drawn"],
  ["path", "Path", "P", "Drag the path of a box"],
  ["points", "Points", "W", "Click way-points of a path"],
];
const KEYS = [
  ["Tab", "next box"], ["← ↑ → ↓", "move by 1 px, with Alt by 10"], ["Shift + arrows", "resize"], ["Delete", "delete the box"],
  ["N", "new box in the middle"], ["B V P W", "the tools"], ["Enter", "set a way-point; twice: end the path"], ["B, arrows, Enter", "find the object at the cross"], ["Esc", "drop what is being drawn"],
  ["Space", "play, pause"], [", .", "frame before, after"], ["Home End", "first, last frame"], ["K", "key box here: add, remove"],
  ["Ctrl + Z", "undo"], ["Ctrl + Shift + Z", "redo"], ["Ctrl + D", "duplicate"], ["Alt + drag", "move the whole motion"],
];

class Editor {
  constructor(model) {
    this.model = model;
    this.doc = { trajectories: [] };
    this.marks = []; // per trajectory: "error", "warning" or nothing
    this.tool = "select";
    this.proposal = null; // the trajectories without the box that is proposed
    this.asked = 0; // objects that the kernel has been asked to find
    this.playing = null; // { start, time } while boxes are played
    this.checking = { asked: 0, waiting: false };
    this.choices = model.get("_choices");
    this.status = h("div", { class: "sg-status", role: "status", "aria-live": "polite", "data-testid": "status" });
    this.spoken = h("div", { class: "sg-spoken", "aria-live": "polite" });
    this.file = h("input", {
      type: "file", hidden: true, accept: ".json,.npy,.npz,.pth,.pt,.txt,image/*", "data-testid": "file",
      onchange: () => { if (this.file.files.length) this.openFile(this.file.files[0]); this.file.value = ""; },
    });
    this.stage = new Stage(this);
    this.timeline = new Timeline(this);
    this.panel = new Panel(this);
    this.root = h(
      "div", { class: "sgi2v sg-editor", "data-testid": "trajectory-editor" },
      this.toolbar(),
      h("div", { class: "sg-body" }, h("div", { class: "sg-main" }, this.stage.node, this.timeline.node), this.panel.node),
      this.status, this.spoken, this.file,
    );
    this.stopKeys = captureKeys(this.root, (event, target) => this.keyDown(event, target));
    this.root.addEventListener("keyup", () => { if (this.nudged) this.commit(this.describe(this.selected)); });
    this.root.addEventListener("pointerdown", (event) => {
      for (const menu of this.root.querySelectorAll(".sg-menu")) if (!menu.contains(event.target)) this.openMenu(menu, false);
    });
  }

  // --- what is drawn -------------------------------------------------------------------------------------------------

  get hasPicture() { return bytesOf(this.model.get("_picture")).length > 0; }
  get size() { return this.model.get("_size"); }
  get frames() { return this.model.get("num_frames"); }
  get current() { return this.doc.trajectories[this.selected]; }

  time() { return this.playing ? this.playing.time : this.frame / (this.frames - 1); }
  isCamera(one) { return one.colour === this.choices.camera_colour && /^(pan|zoom|still) \d+$/.test(one.name || ""); }
  nameOf(index) { return this.doc.trajectories[index].name || `Box ${index + 1}`; }
  colourOf(index) { return this.doc.trajectories[index]?.colour || this.choices.palette[index % this.choices.palette.length]; }

  describe(index) {
    const one = this.doc.trajectories[index];
    if (!one) return "";
    const [x0, y0, x1, y1] = boxAt(one, this.time()).map(Math.round);
    const motion = one.path ? "follows a path" : one.keys.length > 1 ? `${one.keys.length} key boxes` : "stays";
    return `${this.nameOf(index)}: at ${x0}, ${y0}, ${x1 - x0} by ${y1 - y0} pixels, ${motion}`;
  }

  /** A trajectory that stays, in a colour that none of the others has. */
  newObject(box, others = this.doc.trajectories) {
    const { palette } = this.choices;
    const used = others.map((one, i) => (one.colour || palette[i % palette.length]).toLowerCase());
    const free = palette.find((colour) => !used.includes(colour.toLowerCase()));
    return { colour: free || palette[others.length % palette.length], keys: [{ time: 0, box }] };
  }

  replaceAll(trajectories) { this.doc = { ...this.doc, trajectories }; }
  replace(index, one) { this.replaceAll(this.doc.trajectories.map((each, i) => (i === index ? one : each))); }

  /** Set traits, in one message; another view of this editor hears of it, this one need not. */
  tell(traits) {
    this.telling = true;
    for (const [name, value] of Object.entries(traits)) this.model.set(name, value);
    this.telling = false;
    this.model.save_changes();
  }

  /** Send what is drawn to the kernel: one message, and one step that can be undone. */
  commit(said = "") {
    this.nudged = false;
    this.proposal = null;
    const [width, height] = this.size;
    this.doc = { format: "sgi2v-trajectories", version: 1, image: { width, height }, trajectories: this.doc.trajectories };
    this.tell({ _document: this.doc, selected: this.selected, frame: this.frame });
    this.said = null;
    this.draw();
    this.spoken.textContent = said;
  }

  draw() {
    const focused = this.root.contains(focusedElement(this.root));
    this.stage.draw();
    this.timeline.draw();
    this.panel.draw();
    const on = this.hasPicture;
    for (const [name, node] of Object.entries(this.tools)) {
      node.setAttribute("aria-pressed", name === this.tool);
      node.disabled = !on;
    }
    this.undoButton.disabled = !this.model.get("_undoable");
    this.redoButton.disabled = !this.model.get("_redoable");
    this.cameraButton.disabled = this.timeline.play.disabled = !on;
    this.saveButton.disabled = !this.doc.trajectories.length;
    this.drawStatus();
    // a button that is pressed and thereby switched off, or an object that goes, would take the keyboard with it
    const active = focusedElement(this.root); // a button that was switched off just now still is, until the next frame
    if (focused && (active?.disabled || !this.root.contains(active))) this.focusSelected();
  }

  /** After each move of the pointer: what is cheap is drawn at once, the kernel is asked now and then. */
  dragged(event, began) {
    const drawn = performance.now();
    if (this.root.dataset.measure) performance.measure("sgi2v-drag", { start: event.timeStamp, end: drawn, detail: drawn - began });
    if (!this.waitingFrame) {
      this.waitingFrame = requestAnimationFrame(() => { this.waitingFrame = 0; if (this.stage.drag) this.panel.draw(); });
    }
    if (this.checking.waiting || drawn - this.checking.asked < CHECK_EVERY || this.stage.drag?.kind === "path") return;
    const [width, height] = this.size;
    this.checking = { asked: drawn, waiting: true };
    this.send({ kind: "check", document: { format: "sgi2v-trajectories", version: 1, image: { width, height }, trajectories: this.doc.trajectories } });
  }

  // --- objects, frames, tools ----------------------------------------------------------------------------------------

  select(index) {
    if (index === this.selected) return;
    if (this.nudged) this.commit();
    this.dropProposal();
    this.selected = index;
    this.tell({ selected: index });
    this.draw();
  }

  show(frame, send = true) {
    this.playing = null;
    this.frame = Math.min(this.frames - 1, Math.max(0, frame));
    if (send) this.tell({ frame: this.frame });
    this.draw();
  }

  setTool(name) {
    if (this.stage.points) this.stage.finishPoints();
    this.stage.cursor = null;
    this.dropProposal();
    this.tool = name;
    this.said = null;
    this.stop();
    this.draw();
  }

  /** Ask the kernel for the box of what is at a place of the picture. */
  find(at) {
    this.asked += 1;
    this.say("info", "Looking for the object …");
    this.send({ kind: "object", at, asked: this.asked });
  }

  /** Show a box that is nobody's yet: Enter or a correction keeps it. */
  propose(box) {
    this.setTool("select");
    this.proposal = this.doc.trajectories;
    this.replaceAll([...this.proposal, this.newObject(box)]);
    this.selected = this.proposal.length;
    this.frame = 0; // as in create
    this.say("info", "Enter keeps this box, dragging or arrow keys correct it, Escape drops it.");
    this.draw();
    this.focusSelected();
  }

  dropProposal() {
    if (!this.proposal) return false;
    this.replaceAll(this.proposal);
    this.proposal = this.said = null;
    this.selected = -1;
    this.draw();
    return true;
  }

  create() {
    const [width, height] = this.size;
    const [w, hgt] = [Math.round(width / 4), Math.round(height / 4)];
    const [x, y] = [Math.round((width - w) / 2), Math.round((height - hgt) / 2)];
    this.replaceAll([...this.doc.trajectories, this.newObject([x, y, x + w, y + hgt])]);
    this.selected = this.doc.trajectories.length - 1;
    this.setTool("select");
    this.frame = 0; // where a box begins; what is done to it next is no motion yet
    this.commit("Box made");
    this.focusSelected();
  }

  duplicate() {
    if (!this.current) return;
    const { name, ...copy } = structuredClone(this.current);
    const by = Math.round(this.size[0] / 32);
    copy.colour = this.newObject([0, 0, 1, 1]).colour;
    copy.keys = copy.keys.map((key) => ({ ...key, box: shifted(key.box, by, by) }));
    if (copy.path) copy.path = copy.path.map(([x, y]) => [x + by, y + by]);
    if (name) copy.name = `${name} copy`;
    this.replaceAll([...this.doc.trajectories, copy]);
    this.selected = this.doc.trajectories.length - 1;
    this.commit("Duplicated");
    this.focusSelected();
  }

  remove() {
    if (!this.current) return;
    const name = this.nameOf(this.selected);
    this.replaceAll(this.doc.trajectories.filter((_, i) => i !== this.selected));
    this.selected = Math.min(this.selected, this.doc.trajectories.length - 1);
    this.commit(`${name} deleted`);
    this.focusSelected();
  }

  focusSelected() {
    (this.stage.views[this.selected]?.node || this.stage.drawing).focus({ preventScroll: true });
  }

  toggle() { this.playing ? this.stop() : this.start(); }

  start() {
    if (!this.hasPicture) return;
    this.playing = { start: performance.now(), time: 0 };
    const length = ((this.frames - 1) / this.model.get("fps")) * 1000;
    const step = (now) => {
      if (!this.playing || !this.root.isConnected) return;
      const gone = (now - this.playing.start) % (length + REST);
      this.playing.time = Math.min(1, Math.max(0, gone / length));
      this.stage.draw();
      this.timeline.draw();
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
    this.drawPlay();
  }

  stop() {
    if (!this.playing) return;
    const frame = Math.round(this.playing.time * (this.frames - 1));
    this.show(frame);
    this.drawPlay();
  }

  drawPlay() {
    const label = this.playing ? "Pause (Space)" : "Play (Space)";
    this.timeline.play.replaceChildren(icon(this.playing ? "pause" : "play"));
    this.timeline.play.title = label;
    this.timeline.play.setAttribute("aria-label", label);
    this.draw();
  }

  // --- toolbar and menus ---------------------------------------------------------------------------------------------

  toolbar() {
    this.tools = Object.fromEntries(TOOLS.map(([name, label, key, title]) => [name, button(label, name, {
      title: `${title} (${key})`, "aria-pressed": "false", "data-testid": `tool-${name}`, onclick: () => this.setTool(name),
    }, true)]));
    this.undoButton = button("Undo (Ctrl+Z)", "undo", { "data-testid": "undo", onclick: () => this.travel("undo") });
    this.redoButton = button("Redo (Ctrl+Shift+Z)", "redo", { "data-testid": "redo", onclick: () => this.travel("redo") });
    const menu = (label, iconName, name, content, attributes = {}) => {
      const toggle = button(label, iconName, { "aria-expanded": "false", "aria-haspopup": "true", "data-testid": `menu-${name}`, ...attributes }, true);
      const node = h("div", { class: `sg-menu is-${name}` }, toggle, h("div", { class: "sg-popover", role: "group", "aria-label": label }, content));
      toggle.addEventListener("click", () => this.openMenu(node, toggle.getAttribute("aria-expanded") === "false"));
      return [node, toggle];
    };
    const amount = h("input", { type: "range", min: 5, max: 60, step: 5, value: 20, "aria-label": "Amount, per cent", "data-testid": "camera-amount", oninput: () => { shown.textContent = `${amount.value} %`; } });
    const shown = h("output", {}, "20 %");
    const moves = this.choices.camera.map((move) => h("button", {
      type: "button", class: "sg-button is-wide", "data-testid": `camera-${move.replace(" ", "-")}`,
      onclick: () => this.send({ kind: "camera", move, amount: Number(amount.value) / 100 }),
    }, move));
    const none = h("button", { type: "button", class: "sg-button is-wide", "data-testid": "camera-none", onclick: () => this.send({ kind: "camera", move: "none", amount: 0 }) }, "no camera boxes");
    const [camera, cameraButton] = menu("Camera", "camera", "camera", [
      h("p", {}, "Boxes on the background, clear of yours. The name says how the picture's content moves."),
      h("div", { class: "sg-moves" }, moves[0], none, moves.slice(1)),
      h("label", { class: "sg-amount" }, "Amount", amount, shown),
    ]);
    const saveAs = (label, suffix, note) => h(
      "button", { type: "button", class: "sg-button is-wide", "data-testid": `save${suffix.replace(".", "-")}`, onclick: () => { this.send({ kind: "save", suffix }); this.openMenu(save, false); } },
      label, h("small", {}, note),
    );
    const [save, saveButton] = menu("Save", "save", "save", [
      saveAs("trajectories.json", ".json", "everything, to be opened here again"),
      saveAs("traj.npy", ".npy", "as SG-I2V's own code reads it; no sizes that change"),
    ]);
    const [help] = menu("Keys", "help", "help", [
      h("dl", {}, KEYS.map(([key, does]) => [h("dt", {}, key), h("dd", {}, does)])),
    ]);
    Object.assign(this, { cameraButton, saveButton });
    return h(
      "div", { class: "sg-toolbar", role: "toolbar", "aria-label": "Trajectory editor" },
      h("div", { class: "sg-group" }, Object.values(this.tools)),
      h("div", { class: "sg-group" }, this.undoButton, this.redoButton),
      h("div", { class: "sg-group" }, camera),
      h("div", { class: "sg-group is-right" }, this.openButton("Open"), save, help),
    );
  }

  openButton(label, primary = false) {
    return button(label, primary ? "picture" : "open", {
      title: "Open a picture, or trajectories: .json, traj.npy, point tracks, KJNodes' splines", "data-testid": primary ? "open-picture" : "open",
      class: `sg-button${primary ? " is-primary" : ""}`, onclick: () => this.file.click(),
    }, true);
  }

  openMenu(menu, open) {
    menu.classList.toggle("is-open", open);
    menu.querySelector("[aria-expanded]").setAttribute("aria-expanded", open);
  }

  // --- messages ------------------------------------------------------------------------------------------------------

  say(kind, text) {
    this.said = text ? { kind, text } : null;
    this.drawStatus();
  }

  drawStatus(remarks = this.model.get("remarks")) {
    const problem = this.model.get("_problem");
    const lines = [];
    if (problem) lines.push({ kind: "error", text: `${problem}. Undo brings back what could be read.` });
    if (this.said) lines.push({ kind: this.said.kind || "info", text: this.said.text });
    if (remarks) lines.push(...remarks);
    const signature = JSON.stringify(lines);
    const marks = this.doc.trajectories.map((_, i) => (remarks || []).find((remark) => remark.index === i)?.kind);
    if (signature === this.statusSignature) return;
    this.statusSignature = signature;
    this.status.replaceChildren(...lines.map(({ kind, text, index }) => {
      const content = [icon(kind), h("span", {}, text)];
      if (index == null) return h("div", { class: `sg-remark is-${kind}` }, content);
      return h("button", { type: "button", class: `sg-remark is-${kind}`, title: "Select this box", onclick: () => { this.select(index); this.focusSelected(); } }, content);
    }));
    if (JSON.stringify(marks) !== JSON.stringify(this.marks)) {
      this.marks = marks;
      this.stage.draw();
      this.timeline.draw();
    }
  }

  send(message, buffers = []) { this.model.send(message, undefined, buffers); }

  travel(kind) {
    if (this.nudged) this.commit();
    this.stage.cancel();
    if (this.dropProposal()) return;
    this.send({ kind });
  }

  /** Send a file in parts; the kernel answers the last one. */
  async openFile(file) {
    const mib = Math.round(file.size / 2 ** 20);
    if (mib > LARGEST) return this.say("error", `${file.name} has ${mib} MiB: expected at most ${LARGEST}. Make it smaller, or open it in Python: editor.image = "${file.name}".`);
    this.say("info", `Opening ${file.name} …`);
    const upload = Math.random().toString(36).slice(2);
    const parts = Math.max(1, Math.ceil(file.size / PART));
    for (let part = 0; part < parts; part++) {
      const content = await file.slice(part * PART, (part + 1) * PART).arrayBuffer().catch(() => null);
      if (!content) return this.say("error", `${file.name} cannot be read: is it a folder, or gone?`);
      this.send({ kind: "open", name: file.name, upload, parts }, [content]);
    }
  }

  hear(message, buffers) {
    if (message.kind === "file") download(message.name, bytesOf(buffers[0]));
    if (message.kind === "remarks" || message.to === "check") this.checking.waiting = false;
    if (message.kind === "remarks" && this.stage.drag) this.drawStatus(message.remarks);
    const wanted = message.asked === this.asked && this.tool === "box" && !this.stage.drag;
    if (message.kind === "object" && wanted) this.propose(message.box);
    if (message.kind === "opened") this.say("", "");
    if (message.kind === "problem") this.say("error", `${message.text}.`);
  }

  // --- keys ----------------------------------------------------------------------------------------------------------

  /** Do what a key means; false if it means nothing here. */
  keyDown(event, target) {
    const typing = target.matches("input:not([type=range]), select, textarea");
    const command = event.ctrlKey || event.metaKey;
    const onStage = this.stage.node.contains(target) && !target.matches("button");
    const onButton = target.matches("button");
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    let done = true;
    if (target.keyDown?.(event)) return true; // a key box on the timeline
    if (key === "Escape") {
      const open = this.root.querySelector(".sg-menu.is-open");
      if (open) { this.openMenu(open, false); open.querySelector("button").focus(); }
      else if (typing) this.stage.drawing.focus();
      else if (this.stage.cancel()) this.say("", "");
      else if (this.dropProposal()) this.setTool("box");
      else { this.tool === "select" ? this.select(-1) : this.setTool("select"); }
    } else if (typing || !this.hasPicture) done = false;
    else if (command && key === "z") this.travel(event.shiftKey ? "redo" : "undo");
    else if (command && key === "y") this.travel("redo");
    else if (command && key === "d") this.duplicate();
    else if (command) done = false;
    else if (onStage && key.startsWith("Arrow")) this.arrow(key, event);
    else if (onStage && key === "Enter") this.enter();
    else if (onStage && (key === "Delete" || key === "Backspace")) this.remove();
    else if (key === " " && !onButton) this.toggle();
    else if (key === "n") this.create();
    else if (key === "k") this.panel.toggleKey();
    else if (key === ",") this.show(this.frame - 1);
    else if (key === ".") this.show(this.frame + 1);
    else if (key === "Home" && !target.matches("input")) this.show(0);
    else if (key === "End" && !target.matches("input")) this.show(this.frames - 1);
    else if (key === "?") this.openMenu(this.root.querySelector(".is-help"), true);
    else if (TOOLS.some(([, , letter]) => letter.toLowerCase() === key)) this.setTool(TOOLS.find(([, , letter]) => letter.toLowerCase() === key)[0]);
    else done = false;
    return done;
  }

  arrow(key, event) {
    const step = event.altKey ? 10 : 1;
    const dx = { ArrowLeft: -step, ArrowRight: step }[key] || 0;
    const dy = { ArrowUp: -step, ArrowDown: step }[key] || 0;
    if (this.tool === "points") return this.stage.nudgePoint(dx, dy);
    if (this.tool === "box") return this.stage.nudgeCross(dx, dy);
    if (!this.current) return;
    this.playing = null;
    if (event.shiftKey) {
      const [x0, y0, x1, y1] = boxAt(this.current, this.time());
      const box = [x0, y0, Math.max(x0 + 1, x1 + dx), Math.max(y0 + 1, y1 + dy)];
      this.replace(this.selected, resizeAt(this.current, this.time(), box));
    } else this.replace(this.selected, moveAt(this.current, this.time(), dx, dy));
    this.nudged = true; // sent when the key comes up
    this.draw();
  }

  enter() {
    if (this.proposal) return this.commit("Box kept");
    if (this.tool === "box") return this.stage.cursor ? this.find(this.stage.cursor) : this.create();
    if (this.tool !== "points") return this.panel.name.focus();
    const { points } = this.stage;
    if (!points?.keyed) return this.stage.finishPoints(); // nowhere led since the last one: that was the end
    const { end } = points;
    Object.assign(points, { end: null, keyed: false });
    this.stage.addPoint(end);
  }
}

/** Draw the editor into an element; returns the way to take it down. */
export function renderEditor({ model, el }) {
  const ed = new Editor(model);
  el.append(ed.root);
  let address = null;
  const readPicture = () => {
    if (address) URL.revokeObjectURL(address);
    address = ed.hasPicture ? URL.createObjectURL(new Blob([bytesOf(model.get("_picture"))])) : null;
    if (address) ed.stage.picture.src = address;
    else ed.stage.picture.removeAttribute("src");
    ed.stage.layout();
  };
  const readDocument = () => {
    if (ed.telling || ed.stage.drag || ed.nudged) return; // what is being drawn comes last, and wins
    const read = model.get("_document");
    ed.proposal = null;
    ed.doc = read.trajectories ? read : { trajectories: [] };
    ed.selected = Math.min(model.get("selected"), ed.doc.trajectories.length - 1);
    ed.frame = Math.min(model.get("frame"), ed.frames - 1);
    ed.draw();
  };
  const redraw = () => ed.draw();
  const hear = (message, buffers) => ed.hear(message, buffers);
  const heard = {
    "change:_picture": readPicture,
    "change:_size": () => ed.stage.layout(),
    "change:_document change:selected change:frame change:num_frames": readDocument,
    "change:remarks change:_problem change:_undoable change:_redoable": redraw,
    "msg:custom": hear,
  };
  for (const [names, handler] of Object.entries(heard)) for (const name of names.split(" ")) model.on(name, handler);
  ed.selected = -1;
  ed.frame = 0;
  readPicture();
  readDocument();
  if (ed.hasPicture && !ed.doc.trajectories.length) ed.setTool("box");
  const stopTheme = followTheme(ed.root);
  const stopKernel = followKernel(model, ed.root);
  ed.root.dataset.ready = "true";
  return () => {
    stopTheme();
    stopKernel();
    ed.stopKeys();
    ed.playing = null;
    ed.stage.observer.disconnect();
    for (const [names, handler] of Object.entries(heard)) for (const name of names.split(" ")) model.off(name, handler);
    if (address) URL.revokeObjectURL(address);
  };
}

export default { render: renderEditor };
