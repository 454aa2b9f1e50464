// What all explorers are built of: the frame with its controls, pictures cut out of strips, marks and colour bars.
// Every state lives in the model's traits, so a reloaded page draws the same again; pictures come as PNG bytes, all
// frames side by side.
import { button, bytesOf, captureKeys, followKernel, followTheme, h, icon, svg } from "./common.js";

/** Call `act` once, `wait` milliseconds after the last of many calls. */
export function debounce(act, wait) {
  let timer;
  const call = (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => act(...values), wait);
  };
  call.cancel = () => clearTimeout(timer);
  return call;
}

export const KINDS = {
  aligned: "aligned attention",
  "aligned-same-time": "aligned attention, queries at the first frame's time",
  "aligned-unplaced": "aligned attention without positions",
  "self-attention": "the layer's own self-attention",
  query: "queries",
  key: "keys",
  value: "values",
  temporal: "temporal attention",
  block: "whole block's output",
};

/** 0, 1, ... n - 1. */
export const count = (n) => Array.from({ length: n }, (_, i) => i);

// numbers as text: with a true minus sign, as a power of ten, with three digits
export const signed = (value) => value.toFixed(2).replace("-", "−");
export const tenTo = (power) => `10${[...String(power)].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻").join("")}`;
export const short = (value) => {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e4 || size < 1e-3) {
    const [mantissa, exponent] = value.toExponential(1).split("e");
    return `${mantissa} × ${tenTo(Number(exponent))}`;
  }
  return String(Number(value.toPrecision(3))).replace("-", "−");
};

export const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** The frame of an explorer: title, controls, busy sign, errors in place; and what is undone when the view goes. */
export class Explorer {
  constructor(model, el, name, title, subtitle) {
    this.model = model;
    this.id = `explorer-${Math.random().toString(36).slice(2, 9)}`; // of this view
    this.keyDown = () => false; // says whether it has done something with a key
    this.urls = new Map();
    this.busy = h("span.busy", { role: "status", "aria-live": "polite" });
    this.error = h("div.error", { role: "alert" });
    this.controls = h("div.controls");
    this.body = h("div.body");
    const heading = h("div.heading", {}, h("h3", {}, title), h("span.about", {}, subtitle), this.busy);
    this.root = h(
      `section.sgi2v.sg-explorer.${name}`,
      { "aria-label": title, "data-testid": name },
      heading,
      this.controls,
      this.error,
      this.body,
    );
    el.append(this.root);
    this.undo = [followTheme(this.root), followKernel(model, this.root), captureKeys(this.root, (event, target) => this.keyDown(event, target))];
    this.on(["busy", "error"], () => {
      const busy = model.get("busy");
      this.busy.textContent = busy && `${busy}…`;
      this.root.setAttribute("aria-busy", String(Boolean(busy)));
      this.error.textContent = model.get("error");
      this.error.hidden = !model.get("error");
    });
  }

  /** Draw now, and whenever one of the traits changes (once, however many do at a time). */
  on(names, draw) {
    let due = false;
    const soon = () => {
      if (due) return;
      due = true;
      queueMicrotask(() => {
        due = false;
        draw();
      });
    };
    for (const name of names) {
      this.model.on(`change:${name}`, soon);
      this.undo.push(() => this.model.off(`change:${name}`, soon));
    }
    draw();
  }

  set(changes) {
    for (const [name, value] of Object.entries(changes)) this.model.set(name, value);
    this.model.save_changes();
  }

  /** The address of a trait's picture; the one before it is given back. */
  url(name) {
    const given = this.model.get(name);
    const known = this.urls.get(name);
    if (known?.given === given) return known.url;
    const bytes = bytesOf(given);
    const url = bytes.length ? URL.createObjectURL(new Blob([bytes], { type: "image/png" })) : "";
    this.urls.set(name, { given, url });
    if (known?.url) setTimeout(() => URL.revokeObjectURL(known.url), 2000); // it may still be on the screen
    return url;
  }

  select(name, label, options, parent = this.controls) {
    const list = h("select", { "aria-label": label, "data-testid": name });
    for (const [value, text] of options) list.append(h("option", { value: JSON.stringify(value) }, text));
    list.addEventListener("change", () => this.set({ [name]: JSON.parse(list.value) }));
    this.on([name], () => (list.value = JSON.stringify(this.model.get(name))));
    parent.append(parent === this.controls ? h("label.control", {}, h("span", {}, label), list) : list);
    return list;
  }

  /** A slider over `values`; what it says changes at once, the trait a moment after it comes to rest. */
  slider(name, label, values, write, wait = 160) {
    const id = `${this.id}-${name}`;
    const range = h("input", { type: "range", id, min: 0, max: values.length - 1, step: 1, "data-testid": name });
    const says = h("output");
    const send = debounce((value) => this.set({ [name]: value }), wait);
    this.undo.push(send.cancel);
    const say = () => {
      says.textContent = write(values[range.value]);
      range.setAttribute("aria-valuetext", says.textContent);
    };
    range.addEventListener("input", () => {
      say();
      send(values[range.value]);
    });
    this.on([name], () => {
      const value = this.model.get(name);
      const gaps = values.map((each) => Math.abs(each - value));
      range.value = gaps.indexOf(Math.min(...gaps));
      say();
    });
    range.disabled = values.length < 2;
    const row = h("div.range", {}, range, says); // a player's button may come before the slider that the label is for
    this.controls.append(h("label.control", { for: id }, h("span", {}, label), row));
    return range;
  }

  close() {
    for (const undo of this.undo) undo();
    for (const { url } of this.urls.values()) URL.revokeObjectURL(url);
  }
}

/** One frame cut out of a strip of frames; several layers of such lie over each other in a tile. */
export function layer(kind, alt = "") {
  const picture = h("img", { alt, draggable: "false" });
  const element = h(`div.layer.${kind}`, {}, picture);
  element.show = (url, frame, frames) => {
    picture.hidden = !url;
    if (url && picture.src !== url) picture.src = url;
    // every frame a pixel wider than its place, of which half is cut off at either side: no neighbour looks in
    picture.style.width = `calc(${frames * 100}% + ${frames}px)`;
    picture.style.left = `calc(${-frame * 100}% - ${frame + 0.5}px)`;
  };
  return element;
}

/** A picture with layers and a drawing in the picture's pixels on top. */
export function tile(about, layers, attributes = {}) {
  const drawing = svg("svg", { viewBox: `0 0 ${about.width} ${about.height}`, preserveAspectRatio: "none" });
  const element = h("div.tile", attributes, ...layers, drawing);
  element.style.aspectRatio = `${about.width} / ${about.height}`;
  element.drawing = drawing;
  return element;
}

export function outlines(boxes, frame) {
  return boxes.flatMap(({ colour, frames }) => {
    const [x, y, right, bottom] = frames[frame];
    const place = { x, y, width: Math.max(right - x, 0), height: Math.max(bottom - y, 0) };
    return [svg("rect.casing", place), svg("rect.outline", { ...place, stroke: colour })];
  });
}

/** A mark that keeps its shape however the picture is stretched: a line of no length with a thick round end. */
export function dot(x, y, name) {
  const path = `M${x} ${y}l0.0001 0`;
  return svg("g", {}, svg("path.dot.casing", { d: path }), svg(`path.dot.${name}`, { d: path }));
}

export function colourBar(stops, low, high, label) {
  const bar = h("span.gradient", { role: "img", "aria-label": `${label}: colours from ${low} to ${high}` });
  bar.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
  return h("span.bar", {}, h("span.what", {}, label), h("span", {}, low), bar, h("span", {}, high));
}

/** What the maps are of: frames, or latents that hold several of them. */
export const piece = (about) => (about.stride > 1 ? "latent" : "frame");
export const counted = (about) =>
  about.stride > 1 ? `${(about.frames - 1) * about.stride + 1} frames in ${about.frames} latents` : `${about.frames} frames`;
const capital = (word) => word[0].toUpperCase() + word.slice(1);

/** A slider for the opacity of what lies over the frames. */
export const overlaySlider = (explorer) =>
  explorer.slider("strength", "Overlay", count(21).map((i) => i / 20), (value) => `${Math.round(value * 100)} %`, 60);

/** A slider of frames, of the video or of its latents. */
export function frameSlider(explorer, about, rest) {
  const write = (frame) => `${frame} of 0–${about.frames - 1}`;
  return explorer.slider("frame", capital(piece(about)), count(about.frames), write, rest);
}

/** A slider of frames that plays; `frame` is kept in the trait of that name. */
export function framePlayer(explorer, about) {
  const { frames } = about;
  const range = frameSlider(explorer, about, 300); // which does not rest while it plays
  const toggle = button("Play the frames", "play", { "data-testid": "play", onclick: () => (timer ? stop() : play()) });
  let timer;
  const sign = (name, label) => {
    toggle.replaceChildren(icon(name));
    for (const attribute of ["title", "aria-label"]) toggle.setAttribute(attribute, label);
  };
  const stop = () => {
    clearInterval(timer);
    timer = undefined;
    sign("play", "Play the frames");
  };
  const play = () => {
    sign("pause", "Stop");
    timer = setInterval(() => {
      range.value = (Number(range.value) + 1) % frames;
      range.dispatchEvent(new Event("input"));
    }, 200);
  };
  explorer.undo.push(stop);
  range.before(toggle);
  return range;
}

/** All frames in a row, small, each under a heat; with `onclick`, which is told the frame, they are buttons. */
export function frameRow(about, onclick) {
  const { frames } = about;
  const row = h("div.strip");
  row.thumbs = count(frames).map((frame) => {
    const [still, heat, number] = [layer("smooth faded"), layer("crisp heat"), h("span.number", {}, String(frame))];
    const picture = tile(about, [still, heat]);
    const cell = onclick
      ? h("button.thumb", { type: "button", tabindex: -1, onclick: () => onclick(frame) }, picture, number)
      : h("div.thumb", {}, picture, number);
    return { still, heat, picture, number, cell };
  });
  row.append(...row.thumbs.map(({ cell }) => cell));
  row.style.setProperty("--columns", Math.min(frames, 8));
  row.show = (stills, heats, strength) => {
    for (const [frame, { still, heat }] of row.thumbs.entries()) {
      still.show(stills, frame, frames);
      heat.show(heats, frame, frames);
      heat.style.opacity = strength;
    }
  };
  return row;
}

/** All frames in a row, with their similarity to the point and the most similar place; a press on one shows it large. */
export function similarRow(explorer, about) {
  const { model } = explorer;
  const row = frameRow(about, (frame) => explorer.set({ frame }));
  row.compare = (heats, matches, frame) => {
    row.show(explorer.url("frames_png"), heats, model.get("strength"));
    for (const [at, { picture, cell }] of row.thumbs.entries()) {
      cell.classList.toggle("current", at === frame);
      if (!matches[at]) continue;
      const [x, y, value] = matches[at];
      picture.drawing.replaceChildren(at === 0 ? dot(...model.get("point"), "picked") : dot(x, y, "match"));
      cell.title = `${piece(about)} ${at}: most similar at (${x.toFixed(0)}, ${y.toFixed(0)}), ${signed(value)}`;
      cell.setAttribute("aria-label", cell.title);
    }
  };
  return row;
}

/** The first frame, on which a point is picked with the pointer or the arrow keys; it is kept in the trait `point`. */
export function pointPicker(explorer, about) {
  const { model } = explorer;
  const { width, height } = about;
  const first = layer("smooth", "first frame");
  const picker = tile(about, [first], {
    tabindex: 0,
    role: "application",
    "aria-roledescription": "point picker",
    "data-testid": "picker",
  });
  picker.classList.add("picker");
  const where = h("span.note");
  // the mark follows at once; Python is told when the pointer has entered another cell of the map, or rests
  let point = model.get("point");
  const mark = () => {
    picker.drawing.replaceChildren(...outlines(model.get("boxes"), 0), dot(...point, "picked"));
    const [x, y] = point.map((value) => value.toFixed(0));
    where.textContent = `point (${x}, ${y}) px · click, drag, or arrow keys`;
    picker.setAttribute("aria-label", `Point at x ${x}, y ${y}; arrow keys move it`);
  };
  const grid = () => model.get("shown").grid ?? [width, height];
  const cell = ([x, y]) => {
    const [columns, rows] = grid();
    return `${Math.floor((x * columns) / width)},${Math.floor((y * rows) / height)}`;
  };
  const send = debounce(() => explorer.set({ point }), 120);
  explorer.undo.push(send.cancel);
  const move = (x, y) => {
    const before = cell(point);
    point = [Math.min(Math.max(x, 0), width - 0.001), Math.min(Math.max(y, 0), height - 0.001)];
    mark();
    if (cell(point) !== before) send();
  };
  const at = (event) => {
    const box = picker.getBoundingClientRect();
    move(((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height);
  };
  picker.addEventListener("pointerdown", (event) => {
    picker.setPointerCapture(event.pointerId);
    picker.focus({ preventScroll: true });
    at(event);
    event.preventDefault();
  });
  picker.addEventListener("pointermove", (event) => picker.hasPointerCapture(event.pointerId) && at(event));
  const before = explorer.keyDown;
  explorer.keyDown = (event, target) => {
    const way = ARROWS[event.key];
    if (target !== picker || !way) return before(event, target);
    const [columns, rows] = grid();
    const far = event.shiftKey ? 4 : 1; // cells of the map
    move(point[0] + (way[0] * far * width) / columns, point[1] + (way[1] * far * height) / rows);
    return true;
  };
  explorer.on(["point", "boxes", "first_png"], () => {
    point = model.get("point");
    first.show(explorer.url("first_png"), 0, 1);
    mark();
  });
  return h("figure", {}, h("div.caption", {}, h("strong", {}, "First frame"), " — pick a point"), picker, where);
}
