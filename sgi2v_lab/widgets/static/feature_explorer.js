// FeatureExplorer, and above it the kit of which all explorers are built: Python puts this file in front of the other
// explorers' own, and says which one is rendered. Every state lives in the model's traits, so a reloaded page draws
// the same again; pictures come as PNG bytes, all frames side by side.

// --- the kit --------------------------------------------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg";

/** An element: make("button.play", { title: "Play", onclick: ... }, "text", child, ...). */
function make(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const drawing = ["svg", "g", "circle", "rect", "line", "path", "polyline", "text", "title"].includes(tag);
  const element = drawing ? document.createElementNS(SVG, tag) : document.createElement(tag);
  if (classes.length) element.setAttribute("class", classes.join(" "));
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== null && value !== false) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** Call `act` once, `wait` milliseconds after the last of many calls. */
function debounce(act, wait) {
  let timer;
  const call = (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => act(...values), wait);
  };
  call.cancel = () => clearTimeout(timer);
  return call;
}

const signed = (value, digits = 2) => value.toFixed(digits).replace("-", "−");
const scale = (power) => `10${[...String(power)].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻").join("")}`;
const short = (value) => {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e4 || size < 1e-3) {
    const [mantissa, exponent] = value.toExponential(1).split("e");
    return `${mantissa} × ${scale(Number(exponent))}`;
  }
  return String(Number(value.toPrecision(3))).replace("-", "−");
};

/** The frame of an explorer: title, controls, busy sign, errors in place; and what is undone when the view goes. */
class Panel {
  constructor(model, el, name, title, subtitle) {
    this.model = model;
    this.undo = [];
    this.urls = new Map();
    this.busy = make("span.busy", { role: "status", "aria-live": "polite" });
    this.error = make("div.error", { role: "alert" });
    this.controls = make("div.controls");
    this.body = make("div.body");
    const heading = make("div.heading", {}, make("h3", {}, title), make("span.about", {}, subtitle), this.busy);
    this.root = make(
      `section.sgi2v-explorer.${name}`,
      { "aria-label": title, "data-testid": name, "data-lm-suppress-shortcuts": "true" },
      heading,
      this.controls,
      this.error,
      this.body,
    );
    el.append(this.root);
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
    const bytes = this.model.get(name);
    const known = this.urls.get(name);
    if (known?.bytes === bytes) return known.url;
    const url = bytes?.byteLength ? URL.createObjectURL(new Blob([bytes], { type: "image/png" })) : "";
    this.urls.set(name, { bytes, url });
    if (known?.url) setTimeout(() => URL.revokeObjectURL(known.url), 2000); // it may still be on the screen
    return url;
  }

  select(name, label, options, parent = this.controls) {
    const list = make("select", { "aria-label": label, "data-testid": name });
    for (const [value, text] of options) list.append(make("option", { value: JSON.stringify(value) }, text));
    list.addEventListener("change", () => this.set({ [name]: JSON.parse(list.value) }));
    this.on([name], () => (list.value = JSON.stringify(this.model.get(name))));
    parent.append(parent === this.controls ? make("label.control", {}, make("span", {}, label), list) : list);
    return list;
  }

  /** A slider over `values`; what it says changes at once, the trait a moment after it comes to rest. */
  slider(name, label, values, write, wait = 160) {
    const range = make("input", { type: "range", min: 0, max: values.length - 1, step: 1, "data-testid": name });
    const says = make("output");
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
    this.controls.append(make("label.control", {}, make("span", {}, label), make("div.range", {}, range, says)));
    return range;
  }

  close() {
    for (const undo of this.undo) undo();
    for (const { url } of this.urls.values()) URL.revokeObjectURL(url);
  }
}

const count = (n) => Array.from({ length: n }, (_, i) => i);

/** One frame cut out of a strip of frames; several layers of such lie over each other in a tile. */
function layer(kind, alt = "") {
  const picture = make("img", { alt, draggable: "false" });
  const element = make(`div.layer.${kind}`, {}, picture);
  element.show = (url, frame, frames) => {
    picture.hidden = !url;
    if (url && picture.src !== url) picture.src = url;
    picture.style.width = `${frames * 100}%`;
    picture.style.left = `${-frame * 100}%`;
  };
  return element;
}

/** A picture with layers and a drawing in the picture's pixels on top. */
function tile(about, layers, attributes = {}) {
  const drawing = make("svg", { viewBox: `0 0 ${about.width} ${about.height}`, preserveAspectRatio: "none" });
  const element = make("div.tile", attributes, ...layers, drawing);
  element.style.aspectRatio = `${about.width} / ${about.height}`;
  element.drawing = drawing;
  return element;
}

function outlines(boxes, frame) {
  return boxes.flatMap(({ colour, frames }) => {
    const [x, y, right, bottom] = frames[frame];
    const place = { x, y, width: Math.max(right - x, 0), height: Math.max(bottom - y, 0) };
    return [make("rect.casing", place), make("rect.outline", { ...place, stroke: colour })];
  });
}

/** A mark that keeps its shape however the picture is stretched: a line of no length with a thick round end. */
function dot(x, y, name) {
  const path = `M${x} ${y}l0.0001 0`;
  return make("g", {}, make("path.dot.casing", { d: path }), make(`path.dot.${name}`, { d: path }));
}

function colourBar(stops, low, high, label) {
  const bar = make("span.gradient", { role: "img", "aria-label": `${label}: colours from ${low} to ${high}` });
  bar.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
  return make("span.bar", {}, make("span.what", {}, label), make("span", {}, low), bar, make("span", {}, high));
}

/** A slider of frames that plays; `frame` is kept in the trait of that name. */
function framePlayer(panel, frames) {
  const write = (frame) => `${frame} of 0–${frames - 1}`;
  const range = panel.slider("frame", "Frame", count(frames), write, 300); // which does not rest while it plays
  let timer;
  const stop = () => {
    clearInterval(timer);
    timer = undefined;
    sign.setAttribute("d", "M2 1l9 5-9 5z");
    button.setAttribute("aria-label", "Play the frames");
  };
  const sign = make("path");
  const play = () => {
    if (timer) return stop();
    sign.setAttribute("d", "M2 1h3v10H2zM7 1h3v10H7z");
    button.setAttribute("aria-label", "Stop");
    timer = setInterval(() => {
      range.value = (Number(range.value) + 1) % frames;
      range.dispatchEvent(new Event("input"));
    }, 200);
  };
  const drawing = make("svg", { viewBox: "0 0 12 12", "aria-hidden": "true" }, sign);
  const button = make("button.play", { type: "button", title: "Play the frames", onclick: play }, drawing);
  stop();
  panel.undo.push(stop);
  range.before(button);
  return range;
}

// --- the explorer ---------------------------------------------------------------------------------------------------

const KINDS = {
  aligned: "aligned self-attention",
  ordinary: "ordinary self-attention",
  query: "queries",
  key: "keys",
  value: "values",
  temporal: "temporal attention",
  block: "whole block's output",
};

function renderFeatures({ model, el }) {
  const about = model.get("about");
  const { frames, width, height } = about;
  const subtitle = `${about.model} · ${frames} frames · ${width} × ${height} px`;
  const panel = new Panel(model, el, "feature-explorer", "Feature explorer", subtitle);
  const layers = model.get("layers").map((each) => [each, `up block ${each[0]}, transformer ${each[1]}`]);
  const sigmas = model.get("sigmas");
  panel.select("layer", "Layer", layers);
  panel.slider("step", "Denoising step", count(sigmas.length), (step) => `${step} · σ = ${short(sigmas[step])}`);
  const player = framePlayer(panel, frames);
  panel.slider("strength", "Overlay", count(21).map((i) => i / 20), (value) => `${Math.round(value * 100)} %`, 60);

  // the first frame, on which the point is picked
  const first = layer("smooth", "first frame");
  const picker = tile(about, [first], {
    tabindex: 0,
    role: "application",
    "aria-roledescription": "point picker",
    "data-testid": "picker",
  });
  picker.classList.add("picker");
  const where = make("span.note");
  const sides = ["left", "right"].map((side) => {
    const pca = layer("crisp", `features, ${side}`);
    const shown = tile(about, [pca]);
    const head = make("div.caption");
    const kinds = model.get("kinds").map((kind) => [kind, KINDS[kind] ?? kind]);
    panel.select(side, `Kind of features, ${side}`, kinds, head);
    const note = make("span.note");
    const name = make("div.row-name");
    const thumbs = count(frames).map((frame) => {
      const still = layer("smooth faded");
      const heat = layer("crisp heat");
      const thumb = tile(about, [still, heat], { title: "" });
      const number = make("span.number", {}, String(frame));
      const button = make("button.thumb", { type: "button", tabindex: -1 }, thumb, number);
      button.addEventListener("click", () => panel.set({ frame }));
      return { still, heat, thumb, button };
    });
    const row = make("div.strip", {}, ...thumbs.map(({ button }) => button));
    row.style.setProperty("--columns", Math.min(frames, 8));
    return { side, pca, shown, head, note, name, thumbs, row };
  });
  panel.body.append(
    make(
      "div.trio",
      {},
      make("figure", {}, make("div.caption", {}, make("strong", {}, "First frame"), " — pick a point"), picker, where),
      ...sides.map(({ head, shown, note }) => make("figure", {}, head, shown, note)),
    ),
    make(
      "div.section",
      {},
      make("h4", {}, "Similarity to the point, frame by frame"),
      colourBar(model.get("bar"), "−1", "1", "cosine similarity"),
    ),
    ...sides.flatMap(({ name, row }) => [name, row]),
    make(
      "p.explain",
      {},
      "Same colour, same feature: the three colours are principal components, one basis for all frames (and for ",
      "ordinary and aligned features together). Aligned: all frames attend to the first frame's keys and values. ",
      "The yellow dot marks the most similar place of each frame.",
      about.made_noisy ? " The latents are the finished video's with noise added, not those of its making." : "",
    ),
  );

  // picking: the mark follows at once; Python is told when the pointer has entered another cell of the map, or rests
  let point = model.get("point");
  const mark = () => {
    picker.drawing.replaceChildren(...outlines(model.get("boxes"), 0), dot(...point, "picked"));
    const [x, y] = point.map((value) => value.toFixed(0));
    where.textContent = `point (${x}, ${y}) px · click, drag, or arrow keys`;
    picker.setAttribute("aria-label", `Point at x ${x}, y ${y}; arrow keys move it`);
  };
  const cell = ([x, y]) => {
    const [w, h] = model.get("shown").grid ?? [width, height];
    return `${Math.floor((x * w) / width)},${Math.floor((y * h) / height)}`;
  };
  const send = debounce(() => panel.set({ point }), 120);
  panel.undo.push(send.cancel);
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
  picker.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!way) return;
    const [w, h] = model.get("shown").grid ?? [width, height];
    const far = event.shiftKey ? 4 : 1; // cells of the map
    move(point[0] + (way[0] * far * width) / w, point[1] + (way[1] * far * height) / h);
    event.preventDefault();
    event.stopPropagation(); // the notebook's own shortcuts
  });

  panel.on(["point", "boxes", "first_png"], () => {
    point = model.get("point");
    first.show(panel.url("first_png"), 0, 1);
    mark();
  });
  const show = () => {
    const frame = Number(player.value); // ahead of the trait while it plays
    const { grid, channels } = model.get("shown");
    const stills = panel.url("frames_png");
    for (const [index, { side, pca, shown, note, name, thumbs }] of sides.entries()) {
      const matches = model.get("matches")[side] ?? [];
      const kind = model.get(side);
      pca.show(panel.url(`${side}_png`), frame, frames);
      shown.drawing.replaceChildren(...(matches[frame] ? [dot(matches[frame][0], matches[frame][1], "match")] : []));
      note.textContent = grid ? `frame ${frame} · ${grid[0]} × ${grid[1]} cells · ${channels[index]} channels` : "";
      const later = matches.slice(1).map((match) => match[2]);
      const mean = later.length ? later.reduce((a, b) => a + b, 0) / later.length : undefined;
      name.replaceChildren(
        make("strong", {}, KINDS[kind] ?? kind),
        mean === undefined ? "" : make("span.note", {}, `best match in later frames: ${signed(mean)} on average`),
      );
      const similar = panel.url(`${side}_similar_png`);
      for (const [at, { still, heat, thumb, button }] of thumbs.entries()) {
        still.show(stills, at, frames);
        heat.show(similar, at, frames);
        heat.style.opacity = model.get("strength");
        button.classList.toggle("current", at === frame);
        if (!matches[at]) continue;
        const [x, y, value] = matches[at];
        thumb.drawing.replaceChildren(at === 0 ? dot(...point, "picked") : dot(x, y, "match"));
        const says = `frame ${at}: most similar at (${x.toFixed(0)}, ${y.toFixed(0)}), ${signed(value)}`;
        button.title = says;
        button.setAttribute("aria-label", says);
      }
    }
  };
  player.addEventListener("input", show);
  const pictures = sides.flatMap(({ side }) => [`${side}_png`, `${side}_similar_png`]);
  panel.on([...pictures, "frames_png", "matches", "shown", "frame", "strength"], show);
  return () => panel.close();
}
