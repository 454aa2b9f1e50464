// The Studio: the trajectory editor with pictures, settings, a button, videos and a gallery around it.
import { bytesOf, button, captureKeys, focusedElement, followKernel, followTheme, h, icon, svg } from "./common.js";
import { diagnosisSection } from "./diagnosis.js";
import { renderEditor } from "./trajectory_editor.js";

const OTHER = "other"; // the entry of the model menu that asks for a folder or a hub id
const BUSY = ["loading", "generating", "cancelling", "saving"];
const SAID = {
  loading: "Loading the model …", cancelling: "Stopping before the next iteration …", saving: "Measuring and saving …",
  cancelled: "Cancelled. Nothing was kept.", done: "Done.",
};
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const tidy = (value) => (typeof value === "number" ? String(Number(value.toPrecision(4))) : String(value));
const labelled = (text, control, attributes = {}) => h("label", { class: "st-labelled", ...attributes }, h("span", {}, text), control);
const choices = (values, attributes) => h("select", attributes, values.map((value) => h("option", { value: [value].flat()[0] }, [value].flat().at(-1))));

function written(value, field) {
  if (value === null) return field?.none || "none";
  if (value === true || value === false) return value ? "on" : "off";
  if (Array.isArray(value)) return Array.isArray(value[0]) ? value.map((pair) => `(${pair.join(", ")})`).join(" ") : value.join(" – ");
  return tidy(value);
}

function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 1) return "less than a second left";
  if (seconds < 90) return `about ${Math.round(seconds)} s left`;
  return `about ${Math.round(seconds / 60)} min left`;
}

/** One setting: its name and symbol, how it is entered, what it does, and the way back to the model's own value. */
class Control {
  constructor(studio, field) {
    Object.assign(this, { studio, field });
    const id = `${studio.id}-${field.name}`;
    const about = { id, "data-testid": `setting-${field.name}`, "aria-describedby": `${id}-help ${id}-problem` };
    const send = (value) => studio.send({ kind: "setting", name: field.name, value });
    const numeric = (attributes) => h("input", { type: "number", ...attributes });
    this.reset = button("Back to the model's value", "undo", { class: "st-back", onclick: () => send(studio.model.get("_defaults")[field.name]) });
    this.problem = h("p", { class: "st-problem", id: `${id}-problem`, role: "alert" });
    let body;
    if (field.kind === "range") {
      this.inputs = ["first", "last"].map((which, i) => numeric({ min: 0, step: 1, placeholder: field.none, ...about, id: `${id}-${which}`, "aria-label": `${field.label}: ${which}`, "data-testid": `setting-${field.name}-${which}` }));
      const pair = () => this.inputs.map(({ value }, i) => (value === "" ? this.all()[i] : Number(value)));
      for (const input of this.inputs) input.addEventListener("change", () => send(input.value === "" && field.none ? null : pair()));
      this.strip = h("div", { class: "st-steps", "aria-hidden": "true" });
      body = [h("div", { class: "st-pair" }, this.inputs[0], h("span", {}, "to"), this.inputs[1]), this.strip];
      this.all = () => [0, studio.model.get("_values").num_inference_steps - 1];
      this.write = (value) => {
        this.inputs.forEach((input, i) => { input.value = value?.[i] ?? ""; });
        const [first, last] = value ?? this.all();
        this.strip.replaceChildren(...Array.from({ length: Math.min(this.all()[1] + 1, 100) }, (_, i) => h("i", { class: i >= first && i <= last ? "is-on" : "" })));
      };
    } else if (field.kind === "choice") {
      const input = choices(field.choices, about);
      input.addEventListener("change", () => send(input.value));
      this.write = (value) => { input.value = value; };
      body = input;
    } else if (field.kind === "switch") {
      const input = h("input", { type: "checkbox", role: "switch", ...about, onchange: () => send(input.checked) });
      this.write = (value) => { input.checked = value; };
      body = input;
    } else if (field.kind === "text") {
      const input = h("input", { type: "text", ...about, onchange: () => send(input.value) });
      this.write = (value) => { input.value = value; };
      body = input;
    } else if (field.kind === "layers") {
      const pressed = (chip) => chip.getAttribute("aria-pressed") === "true";
      const toggle = (index) => send(field.choices.filter((_, i) => pressed(chips[i]) !== (i === index)));
      const chips = field.choices.map((layer, i) => h("button", { type: "button", class: "st-chip", "data-testid": `layer-${[layer].flat().join("-")}`, onclick: () => toggle(i) }, [layer].flat().join(", ")));
      this.write = (value) => chips.forEach((chip, i) => chip.setAttribute("aria-pressed", value.some((layer) => same(layer, field.choices[i]))));
      body = h("div", { class: "st-chips", role: "group", "aria-label": field.label, id }, chips);
    } else {
      const slider = h("input", { type: "range", min: field.low, max: field.high, step: field.step, "aria-label": `${field.label}, slider`, "data-testid": `slider-${field.name}` });
      const input = numeric({ step: "any", placeholder: field.none, ...about });
      const show = (value) => slider.style.setProperty("--done", `${(100 * (Math.min(Math.max(value ?? field.low, field.low), field.high) - field.low)) / (field.high - field.low)}%`);
      slider.addEventListener("input", () => { input.value = slider.value; show(Number(slider.value)); });
      slider.addEventListener("change", () => send(Number(slider.value)));
      input.addEventListener("change", () => send(input.value === "" ? null : Number(input.value)));
      this.write = (value) => { slider.value = value ?? field.high; input.value = value ?? ""; show(value ?? field.low); };
      body = h("div", { class: "st-number" }, slider, input);
    }
    const title = h("label", { for: field.kind === "range" ? `${id}-first` : id }, field.label, field.symbol && h("var", {}, field.symbol.split("_").map((part, i) => (i ? h("sub", {}, part) : part))));
    this.node = h(
      "div", { class: `st-field is-${field.kind}` }, h("div", { class: "st-name" }, title, this.reset), body,
      h("p", { class: "st-help", id: `${id}-help` }, `${field.description} `, h("span", { class: "st-paper" }, `Paper: ${written(field.paper, field)}.`)), this.problem,
    );
  }

  draw() {
    const { model } = this.studio;
    const [value, own] = ["_values", "_defaults"].map((name) => model.get(name)[this.field.name]);
    const changed = !same(value, own);
    if (value !== undefined) this.write(value);
    this.node.classList.toggle("is-changed", changed);
    this.reset.hidden = !changed;
    this.reset.title = `Back to the model's value, ${written(own, this.field)}`;
    this.reset.setAttribute("aria-label", `${this.field.label}: ${this.reset.title}`);
    this.problem.textContent = model.get("_refused")[this.field.name] || "";
  }
}

/** The loss before every iteration, one line a control step, growing as it falls. */
function lossCurve(given, range) {
  const losses = given.map(([step, values]) => [step, values.filter((value) => value !== null)]).filter(([, values]) => values.length);
  const [width, height, left, bottom, top] = [420, 190, 46, 34, 12];
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "st-curve", role: "img", "data-testid": "loss-curve" });
  drawing.setAttribute("aria-label", losses.length ? `Loss at ${losses.length} control steps, last ${tidy(losses.at(-1)[1].at(-1))}` : "No loss yet");
  const steps = losses.map(([step]) => step);
  const [first, last] = [Math.min(range[0], ...steps), Math.max(range[1], ...steps)];
  const most = Math.max(...losses.flatMap(([, values]) => values), 1e-12) * 1.08;
  const slot = (width - left - 6) / (last - first + 1);
  const [x, y] = [(step, share) => left + slot * (step - first + 0.1 + 0.8 * share), (loss) => top + (height - top - bottom) * (1 - loss / most)];
  for (const share of [0, 0.5, 1]) {
    const value = (most / 1.08) * share;
    drawing.append(svg("line", { class: "grid", x1: left, x2: width - 6, y1: y(value), y2: y(value) }));
    if (losses.length) drawing.append(svg("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, value ? value.toPrecision(2).replace(/e[+]?(-?\d+)/, "e$1") : "0"));
  }
  const every = Math.ceil(26 / slot);
  for (let step = first; step <= last; step += every) drawing.append(svg("text", { x: x(step, 0.5), y: height - bottom + 16, "text-anchor": "middle" }, String(step)));
  drawing.append(svg("text", { class: "axis", x: (left + width) / 2, y: height - 3, "text-anchor": "middle" }, "control step"));
  losses.forEach(([step, values], i) => {
    const points = values.map((loss, k) => [x(step, values.length > 1 ? k / (values.length - 1) : 0.5), y(loss)]);
    const now = i === losses.length - 1 ? " is-now" : "";
    drawing.append(svg("polyline", { class: `line${now}`, points: points.map((point) => point.join(",")).join(" ") }));
    for (const [cx, cy] of points) drawing.append(svg("circle", { class: `dot${now}`, cx, cy, r: slot > 14 ? 2.3 : 1.5 }));
  });
  return drawing;
}

/** A run's videos in step with each other, its boxes over them. */
class Screen {
  constructor(studio, run, names) {
    const { record, videos } = run;
    this.boxes = record.boxes;
    this.videos = names.filter((name) => videos[name]).map((name) => {
      const video = h("video", { loop: true, muted: true, autoplay: true, playsinline: true, "data-testid": `video-${name}`, "aria-label": `Video ${name === "controlled" ? "with" : "without"} control` });
      video.muted = true; // the attribute alone does not count for elements made by a script
      video.src = videos[name];
      const overlay = svg("svg", { class: "st-overlay", viewBox: `0 0 ${record.settings.width} ${record.settings.height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
      const objmc = record.objmc[name] == null ? "" : `ObjMC ${record.objmc[name].toFixed(1)} px`;
      const caption = h("figcaption", {}, h("strong", {}, name === "controlled" ? "With control" : "Without control"), objmc && h("span", {}, objmc));
      const node = h("figure", { class: "st-screen" }, h("div", { class: "st-video", style: `aspect-ratio: ${record.settings.width} / ${record.settings.height}` }, video, overlay), caption);
      return { name, video, overlay, node };
    });
    const palette = studio.model.get("_choices").palette;
    const scale = record.settings.width / 400;
    for (const { overlay } of this.videos) {
      overlay.append(...this.boxes.map((frames, i) => {
        const colour = record.colours[i] || palette[i % palette.length];
        const middles = frames.map(([x0, y0, x1, y1]) => `${(x0 + x1) / 2},${(y0 + y1) / 2}`).join(" ");
        return svg("g", { fill: "none", stroke: colour, "stroke-linejoin": "round" },
          svg("polyline", { points: middles, stroke: "#fff", "stroke-opacity": 0.6, "stroke-width": 3.6 * scale }), svg("polyline", { points: middles, "stroke-width": 1.8 * scale }),
          svg("rect", { stroke: "#fff", "stroke-opacity": 0.6, "stroke-width": 4.2 * scale }), svg("rect", { "stroke-width": 2.2 * scale }));
      }));
    }
    const first = this.videos[0].video;
    const presented = (_, { mediaTime }) => { this.mediaTime = mediaTime; first.requestVideoFrameCallback(presented); };
    if (first.requestVideoFrameCallback) first.requestVideoFrameCallback(presented); // what is seen, not what comes next
    this.node = h("div", { class: "st-screens" }, this.videos.map(({ node }) => node));
    this.fps = record.settings.fps;
  }

  frame() {
    const { video } = this.videos[0];
    const last = Math.max(0, Math.round((video.duration || 0) * this.fps) - 1);
    return [Math.min(Math.floor((this.mediaTime ?? video.currentTime) * this.fps + 1e-3), last), last];
  }

  /** Keep to the time of `lead`, and put the boxes where they are now. */
  tick(boxesOn, lead) {
    const [at] = this.frame();
    for (const { video, overlay } of this.videos) {
      overlay.style.display = boxesOn && this.boxes.length ? "" : "none";
      const apart = Math.abs(video.currentTime - lead.currentTime);
      const alike = Math.abs(video.duration - lead.duration) < 0.02; // of another length it goes its own way
      if (video !== lead && alike && apart > 0.09 && apart < lead.duration - 0.09 && !video.seeking) video.currentTime = lead.currentTime;
      overlay.querySelectorAll("g").forEach((group, i) => {
        const [x0, y0, x1, y1] = this.boxes[i][Math.min(at, this.boxes[i].length - 1)];
        for (const rect of group.querySelectorAll("rect")) {
          for (const [name, value] of Object.entries({ x: x0, y: y0, width: x1 - x0, height: y1 - y0 })) rect.setAttribute(name, value);
        }
      });
    }
  }

  each(what) { for (const { video } of this.videos) what(video); }
}

class StudioView {
  constructor(model) {
    this.model = model;
    this.id = `studio-${Math.random().toString(36).slice(2, 9)}`;
    this.runs = {}; // by id: { record, videos: addresses by name }
    this.asked = new Set();
    this.screens = [];
    this.boxesOn = this.playing = true;
    this.mount = h("div", { class: "st-editor" });
    this.root = h(
      "div", { class: "sgi2v sg-studio", "data-testid": "studio" },
      this.head(), this.pictures(), this.mount, this.settings(), this.launch(), this.result(), this.diagnosis(), this.gallery(),
    );
    this.stopKeys = captureKeys(this.root, (event, target) => {
      if (event.key !== "Enter" || target !== this.prompt) return false;
      this.drawScene();
      return true;
    });
  }

  send(message) { this.model.send(message); }
  set(name, value) { this.model.set(name, value); this.model.save_changes(); }
  get busy() { return BUSY.includes(this.model.get("_job").state); }

  // --- parts ---------------------------------------------------------------------------------------------------------

  head() {
    const { models, devices } = this.model.get("_offered");
    this.modelMenu = choices([...models, [OTHER, "folder or hub id …"]], { "data-testid": "model" });
    this.modelName = h("input", { type: "text", placeholder: "path/to/checkpoint or owner/name", "aria-label": "Folder or hub id", "data-testid": "model-name" });
    this.deviceMenu = choices(devices, { "data-testid": "device" });
    const load = () => this.send({ kind: "model", name: this.modelMenu.value === OTHER ? this.modelName.value.trim() : this.modelMenu.value, device: this.deviceMenu.value });
    this.modelMenu.addEventListener("change", () => { this.modelName.hidden = this.modelMenu.value !== OTHER; if (this.modelName.hidden) load(); else this.modelName.focus(); });
    this.modelName.addEventListener("change", load);
    this.deviceMenu.addEventListener("change", () => { if (this.modelMenu.value !== OTHER || this.modelName.value) load(); });
    this.facts = h("span", { class: "st-facts", "data-testid": "facts" });
    return h("header", { class: "st-bar st-head" }, h("h3", {}, "Studio"), labelled("Model", this.modelMenu), this.modelName, labelled("on", this.deviceMenu), this.facts);
  }

  pictures() {
    const { samples, fits } = this.model.get("_offered");
    const upload = button("Open a picture", "open", { "data-testid": "upload", class: "sg-button is-outlined", onclick: () => this.mount.querySelector("[data-testid=file]").click() }, true);
    const sample = choices([["", "choose …"], ...samples], { "data-testid": "sample", onchange: () => { if (sample.value) this.send({ kind: "sample", name: sample.value }); sample.value = ""; } });
    this.prompt = h("input", { type: "text", value: "a large yellow circle at the left on blue clouds", spellcheck: "false", "data-testid": "scene" });
    this.fit = choices(fits, { "data-testid": "fit", title: "How a picture of other proportions becomes the video's first frame", onchange: () => this.set("fit", this.fit.value) });
    return h(
      "div", { class: "st-bar st-pictures" }, upload, labelled("Photograph", sample),
      h("span", { class: "st-labelled is-wide" }, labelled("Scene", this.prompt), h("button", { type: "button", class: "sg-button is-outlined", "data-testid": "draw-scene", onclick: () => this.drawScene() }, "Draw")),
      labelled("Fit", this.fit),
    );
  }

  drawScene() { this.send({ kind: "scene", prompt: this.prompt.value }); }

  settings() {
    this.groupsNode = h("div", { class: "st-groups" });
    this.resetAll = h("button", { type: "button", class: "sg-button is-outlined", "data-testid": "reset", onclick: () => this.send({ kind: "preset", name: "own" }) }, "Reset all to the model's");
    this.changedCount = h("span", { class: "st-count" });
    this.presetMenu = h("select", { "data-testid": "preset", title: "own: what suits the model; paper: the paper's recipe; fast: in a fraction of its time; best: closest control", onchange: () => this.send({ kind: "preset", name: this.presetMenu.value }) });
    return h("section", { class: "st-section", "aria-label": "Settings" }, h("div", { class: "st-title" }, h("h4", {}, "Settings"), labelled("Preset", this.presetMenu), this.changedCount, this.resetAll), this.groupsNode);
  }

  buildSettings() {
    const open = new Set([...this.groupsNode.querySelectorAll("details[open] summary")].map((node) => node.textContent));
    const built = this.groupsNode.childElementCount > 0;
    this.controls = [];
    const groups = this.model.get("_groups").map(({ title, fields }, i) => {
      const controls = fields.map((field) => new Control(this, field));
      this.controls.push(...controls);
      return h("details", { class: "st-group", open: built ? open.has(title) : i < 4 }, h("summary", {}, title), h("div", { class: "st-fields" }, controls.map(({ node }) => node)));
    });
    this.groupsNode.replaceChildren(...[0, 1, 2].map((column) => h("div", {}, groups.filter((_, i) => i % 3 === column))));
  }

  launch() {
    this.seed = h("input", { type: "number", min: 0, step: 1, "data-testid": "seed", onchange: () => this.set("seed", Math.max(0, Math.round(Number(this.seed.value)))) });
    const another = h("button", { type: "button", class: "sg-button is-outlined", title: "Another seed", "data-testid": "new-seed", onclick: () => this.set("seed", Math.floor(Math.random() * 1e6)) }, "Another");
    this.compare = h("input", { type: "checkbox", "data-testid": "compare", onchange: () => this.set("compare", this.compare.checked) });
    this.generate = button("Generate", "play", { class: "sg-button is-primary", title: "Make the video", "data-testid": "generate", onclick: () => this.send({ kind: "generate" }) }, true);
    this.cancel = button("Cancel", "close", { class: "sg-button is-outlined", title: "Stop before the next iteration", "data-testid": "cancel", onclick: () => this.send({ kind: "cancel" }) }, true);
    this.fill = h("div", { class: "st-fill" });
    this.progress = h("div", { class: "st-progress", role: "progressbar", "aria-label": "Progress", "aria-valuemin": 0, "aria-valuemax": 100, "data-testid": "progress" }, this.fill);
    this.said = h("span", { class: "st-said", tabindex: -1, role: "status", "aria-live": "polite", "data-testid": "said" });
    this.problem = h("div", { class: "st-error", role: "alert", "data-testid": "problem" });
    return h(
      "section", { class: "st-launch", "aria-label": "Generate" },
      h("div", { class: "st-bar" }, labelled("Seed", this.seed), another, h("label", { class: "st-check" }, this.compare, "also without control"), h("span", { class: "st-space" }), this.cancel, this.generate),
      h("div", { class: "st-running" }, this.progress, this.said), this.problem,
    );
  }

  result() {
    this.screensNode = h("div", { class: "st-stage" });
    this.curve = h("div", {});
    this.playButton = button("Pause", "pause", { class: "sg-button is-outlined", "data-testid": "video-play", onclick: () => this.play(!this.playing) });
    this.scrub = h("input", { type: "range", min: 0, max: 1, value: 0, step: 1, "aria-label": "Frame", "data-testid": "video-frame", oninput: () => { this.play(false); this.drawScrub(); for (const screen of this.screens) screen.each((video) => { video.currentTime = (Number(this.scrub.value) + 0.5) / screen.fps; }); } });
    this.overlay = h("input", { type: "checkbox", checked: true, "data-testid": "overlay", onchange: () => { this.boxesOn = this.overlay.checked; } });
    this.player = h("div", { class: "st-player" }, this.playButton, this.scrub, h("label", { class: "st-check" }, this.overlay, "boxes"));
    this.table = h("div", { class: "st-table" });
    this.curveTitle = h("h5", {});
    const losses = h("figure", { class: "st-losses" }, this.curveTitle, this.curve);
    this.resultNode = h("section", { class: "st-section st-result", "aria-label": "Result" }, h("div", { class: "st-shown" }, this.screensNode, this.player), h("div", {}, losses, this.table));
    return this.resultNode;
  }

  diagnosis() {
    this.diagnosisNode = h("section", { class: "st-section", "aria-label": "What went wrong, and what to try", "data-testid": "diagnosis" });
    return this.diagnosisNode;
  }

  gallery() {
    this.cards = h("div", { class: "st-cards", role: "list" });
    this.galleryNode = h("section", { class: "st-section", "aria-label": "Gallery" }, h("div", { class: "st-title" }, h("h4", {}, "Gallery"), h("span", { class: "st-count" }, "every run is kept with its settings; choose one to see it, a second one to compare")), this.cards);
    return this.galleryNode;
  }

  // --- drawing -------------------------------------------------------------------------------------------------------

  drawHead() {
    const { models } = this.model.get("_offered");
    const { name, device } = this.model.get("_loaded");
    const known = models.includes(name);
    this.modelMenu.value = known ? name : OTHER;
    this.modelName.hidden = known;
    if (!known && focusedElement(this.root) !== this.modelName) this.modelName.value = name;
    this.deviceMenu.value = device;
    this.fit.value = this.model.get("fit");
    const frames = this.model.get("num_frames");
    this.facts.textContent = `${this.model.get("width")} × ${this.model.get("height")} px, ${frames} frames`;
  }

  drawSettings() {
    for (const control of this.controls) control.draw();
    const changed = this.controls.filter(({ node }) => node.classList.contains("is-changed")).length;
    this.changedCount.textContent = changed ? `${changed} changed` : "the model's own";
    this.resetAll.disabled = !changed;
    const preset = this.model.get("_preset");
    const names = [...(preset ? [] : [["", "changed"]]), ...this.model.get("_presets")]; // a mix of one's own is none of them
    this.presetMenu.replaceChildren(...names.map((name) => h("option", { value: [name].flat()[0] }, [name].flat().at(-1))));
    this.presetMenu.value = preset;
  }

  drawJob() {
    const job = this.model.get("_job");
    const { busy } = this;
    const percent = Math.round(100 * job.fraction);
    this.root.dataset.state = job.state;
    const launching = [this.cancel, this.generate, this.said];
    const focused = launching.includes(focusedElement(this.root));
    this.generate.hidden = busy;
    this.cancel.hidden = !busy || job.state === "loading";
    this.cancel.disabled = job.state !== "generating";
    // a button that goes would take the keyboard with it, and the notebook would have the next key
    if (focused) launching.find((node) => !node.hidden && !node.disabled).focus();
    for (const node of [this.modelMenu, this.modelName, this.deviceMenu]) node.disabled = busy;
    this.fill.style.width = `${job.state === "done" ? 100 : percent}%`;
    this.progress.classList.toggle("is-waiting", job.state === "loading" || job.state === "saving");
    this.progress.classList.toggle("is-off", !busy);
    this.progress.setAttribute("aria-valuenow", percent);
    const what = job.stage === "uncontrolled" ? "Without control" : "With control";
    const left = duration(job.seconds_left);
    this.said.textContent = job.state === "generating" ? (job.stage ? `${what}: step ${Math.min(job.step + 1, job.steps)} of ${job.steps}${left ? ` · ${left}` : ""}` : "Starting …") : SAID[job.state] || "";
    this.seed.value = this.model.get("seed");
    this.compare.checked = this.model.get("compare");
    const text = this.model.get("error");
    this.problem.replaceChildren(...(text ? [icon("error"), h("span", {}, text)] : []));
  }

  drawLosses() {
    const shown = this.shown?.record;
    this.curveTitle.textContent = `Loss before each iteration${this.busy && shown ? ", of the run under way" : this.shown && this.beside ? ", of A" : ""}`;
    const kept = !this.busy && shown;
    const losses = kept ? Object.entries(shown.losses).map(([step, values]) => [Number(step), values]) : this.model.get("_losses");
    const range = kept ? [losses[0]?.[0], losses.at(-1)?.[0]] : this.model.get("_values").control_steps;
    this.curve.replaceChildren(losses.length || this.busy ? lossCurve(losses, range) : h("p", { class: "st-empty" }, "Draw a box and its path, then generate: the loss falls here, step by step."));
  }

  /** Ask the kernel for a run once; it is drawn when it comes. */
  run(id) {
    if (id && !this.runs[id] && !this.asked.has(id)) { this.asked.add(id); this.send({ kind: "fetch", id }); }
    return this.runs[id];
  }

  drawResult() {
    const [first, second] = ["_shown", "_beside"].map((name) => this.model.get(name));
    [this.shown, this.beside] = [this.run(first), this.run(second)];
    this.drawLosses();
    const signature = JSON.stringify([this.shown && first, this.beside && second]);
    if (signature === this.signature) return;
    this.signature = signature;
    for (const screen of this.screens) screen.each((video) => { video.pause(); video.removeAttribute("src"); });
    const names = ["controlled", "uncontrolled"];
    const pair = Boolean(this.shown && this.beside);
    const runs = pair ? [this.shown, this.beside] : this.shown ? [this.shown] : [];
    this.screens = runs.map((run) => new Screen(this, run, pair ? [names.find((name) => run.videos[name])] : names));
    const titles = ["A", "B"];
    this.screensNode.replaceChildren(...(runs.length ? this.screens.map(({ node }, i) => (pair ? h("div", { class: "st-side" }, h("b", { class: "st-letter" }, titles[i]), node) : node)) : [h("p", { class: "st-empty" }, "The video will be here.")]));
    this.screensNode.classList.toggle("is-pair", pair);
    this.player.hidden = !runs.length;
    this.play(true);
    this.table.replaceChildren(runs.length ? this.records(runs, pair) : "");
    this.diagnosisNode.hidden = !runs.length;
    const title = `What went wrong${pair ? " in A" : ""}, and what to try`;
    this.diagnosisNode.replaceChildren(...(runs.length ? diagnosisSection({ diagnosis: runs[0].record.diagnosis, title }) : []));
    this.drawCards();
  }

  /** What is known of one run, or of two: what differs first, and marked. */
  records(runs, pair) {
    const fields = Object.fromEntries(this.model.get("_groups").flatMap((group) => group.fields).map((field) => [field.name, field]));
    const measured = [
      ["ObjMC, px", ({ record }) => (record.objmc.controlled == null ? "–" : record.objmc.controlled.toFixed(2))],
      ["… without control", ({ record }) => (record.objmc.uncontrolled == null ? "–" : record.objmc.uncontrolled.toFixed(2))],
      ["Last loss", ({ record }) => (record.last_loss == null ? "–" : tidy(record.last_loss))],
      ["Seconds", ({ record }) => tidy(record.seconds)],
    ];
    const chosen = [["Model", "model"], ["Seed", "seed"], ["Fit", "fit"]].map(([label, name]) => [label, ({ record }) => record[name], null]);
    const settings = Object.keys(runs[0].record.settings).map((name) => [fields[name]?.label || name, ({ record }) => record.settings[name], fields[name], this.model.get("_defaults")[name]]);
    const differs = ([, read]) => pair && !same(read(runs[0]), read(runs[1]));
    const row = (entry, format = (value) => value) => h("tr", { class: differs(entry) && entry.length > 2 ? "is-different" : "" }, h("th", { scope: "row" }, entry[0]), runs.map((run) => h("td", {}, String(format(entry[1](run), entry[2])))));
    const rows = [...measured.map((entry) => row(entry)), ...chosen.map((entry) => row(entry)), ...settings.filter((entry) => (pair ? differs(entry) : !same(entry[1](runs[0]), entry[3]))).map((entry) => row(entry, written))];
    const note = pair ? "Settings that are not listed are the same." : "Settings that are not listed are the model's own.";
    const head = pair ? [h("thead", {}, h("tr", {}, h("td", {}), h("th", { scope: "col" }, "A"), h("th", { scope: "col" }, "B")))] : [];
    return h("div", {}, h("table", { "data-testid": "record" }, head, h("tbody", {}, rows)), h("p", { class: "st-note" }, note));
  }

  drawCards() {
    const runs = this.model.get("_runs");
    const [first, second] = ["_shown", "_beside"].map((name) => this.model.get(name));
    this.galleryNode.hidden = !runs.length;
    this.cards.replaceChildren(...runs.map((run) => {
      const title = `${run.model}, seed ${run.seed}`;
      const letter = second ? { [first]: "A", [second]: "B" }[run.id] : undefined;
      const act = (label, name, iconName, onclick, attributes = {}) => button(`${label}: ${title}`, iconName, { title: label, "data-testid": `card-${name}`, onclick, ...attributes });
      return h(
        "div", { class: `st-card${run.id === first ? " is-shown" : ""}${run.id === second ? " is-beside" : ""}`, role: "listitem", "data-testid": "card", "data-run": run.id },
        h("button", { type: "button", class: "st-thumb", title: "Show this run", "aria-label": `Show ${title}`, "data-testid": "card-show", onclick: () => { this.model.set("_beside", ""); this.set("_shown", run.id); } }, h("img", { src: run.thumbnail, alt: "" }), letter && h("b", { class: "st-letter" }, letter)),
        h("div", { class: "st-about" }, h("strong", {}, title), h("span", {}, run.objmc == null ? `${run.objects ? run.objects : "no"} boxes` : `ObjMC ${run.objmc.toFixed(1)} px`), h("span", {}, new Date(run.created).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }))),
        h("div", { class: "st-acts" },
          act("Compare with the one shown", "compare", "copy", () => this.set("_beside", run.id === second ? "" : run.id), { disabled: run.id === first, "aria-pressed": String(run.id === second) }),
          act("Open again: its picture, boxes and settings", "reopen", "open", () => this.send({ kind: "reopen", id: run.id })),
          act("Delete", "delete", "trash", () => this.send({ kind: "delete", id: run.id }))),
      );
    }));
  }

  play(on) {
    this.playing = on;
    for (const screen of this.screens) screen.each((video) => { if (on) video.play().catch(() => {}); else video.pause(); });
    this.playButton.replaceChildren(icon(on ? "pause" : "play"));
    for (const name of ["title", "aria-label"]) this.playButton.setAttribute(name, on ? "Pause the video" : "Play the video");
  }

  drawScrub() { this.scrub.style.setProperty("--done", `${(100 * this.scrub.value) / Math.max(1, this.scrub.max)}%`); }

  tick = () => {
    if (!this.root.isConnected && this.wasShown) return;
    this.wasShown ||= this.root.isConnected;
    for (const screen of this.screens) screen.tick(this.boxesOn, this.screens[0].videos[0].video);
    if (this.screens.length && this.playing) {
      const [at, last] = this.screens[0].frame();
      this.scrub.max = last;
      this.scrub.value = at;
      this.drawScrub();
    }
    this.ticking = requestAnimationFrame(this.tick);
  };

  hear(message, buffers) {
    if (message.kind !== "run" || this.runs[message.id]) return;
    const videos = Object.fromEntries(message.videos.map((name, i) => [name, URL.createObjectURL(new Blob([bytesOf(buffers[i])], { type: "video/mp4" }))]));
    this.runs[message.id] = { record: message.record, videos };
    this.drawResult();
  }

  drop() {
    cancelAnimationFrame(this.ticking);
    for (const { videos } of Object.values(this.runs)) Object.values(videos).forEach((address) => URL.revokeObjectURL(address));
  }
}

function render({ model, el }) {
  const studio = new StudioView(model);
  el.append(studio.root);
  const closeEditor = renderEditor({ model, el: studio.mount });
  const heard = {
    "change:_loaded change:num_frames change:width change:height change:fit": () => studio.drawHead(),
    "change:_groups": () => { studio.buildSettings(); studio.drawSettings(); },
    "change:_values change:_defaults change:_refused change:_preset change:_presets": () => studio.drawSettings(),
    "change:_job change:error change:seed change:compare": () => { studio.drawJob(); studio.drawLosses(); },
    "change:_losses": () => studio.drawLosses(),
    "change:_shown change:_beside": () => { studio.drawResult(); studio.drawCards(); },
    "change:_runs": () => { studio.drawCards(); studio.drawResult(); },
    "msg:custom": (message, buffers) => studio.hear(message, buffers),
  };
  const listeners = Object.entries(heard).flatMap(([names, handler]) => names.split(" ").map((name) => [name, handler]));
  for (const [name, handler] of listeners) model.on(name, handler);
  studio.buildSettings();
  studio.drawHead();
  studio.drawSettings();
  studio.drawJob();
  studio.drawResult();
  studio.drawCards();
  studio.tick();
  const stopTheme = followTheme(studio.root);
  const stopKernel = followKernel(model, studio.root);
  studio.root.dataset.ready = "true";
  return () => {
    stopTheme();
    stopKernel();
    studio.stopKeys();
    closeEditor();
    for (const [name, handler] of listeners) model.off(name, handler);
    studio.drop();
  };
}

export default { render };
