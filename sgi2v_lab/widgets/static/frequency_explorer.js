// FrequencyExplorer: the low-pass, the spectra, and what they make of the latents and of a decoded frame.
import { h, svg } from "./common.js";
import { colourBar, count, counted, Explorer, frameSlider, layer, tenTo, short, tile } from "./explorer.js";

const CURVES = {
  before: ["before", ""],
  optimized: ["optimised", "5 4"],
  mixed: ["mixed", "0.1 6"],
  change: ["optimised − before", ""],
  kept: ["kept of it", "5 4"],
};

/** Power over radial frequency on a logarithmic scale, with the filter's weight as a shade behind it. */
function spectraChart() {
  const [width, height, left, right, top, bottom] = [560, 280, 54, 22, 22, 44]; // r is written above, at its place
  const drawing = svg("svg.chart", {
    viewBox: `0 0 ${width} ${height}`,
    role: "img",
    "data-testid": "spectra",
    "aria-label": "Mean power over radial frequency, before, optimised and mixed",
  });
  const x = (radius) => left + (width - left - right) * radius;
  const floor = height - bottom;
  drawing.draw = (model, cutoff) => {
    const spectra = model.get("spectra");
    const powers = Object.values(spectra).flat().filter((value) => value > 0);
    const high = Math.ceil(Math.log10(Math.max(...powers, 1e-12)) + 0.05);
    // what the filter has taken away altogether would only stretch the scale
    const low = Math.max(Math.floor(Math.log10(Math.min(...powers, 1))), high - 6);
    const y = (power) => top + (floor - top) * Math.min((high - Math.log10(Math.max(power, 1e-30))) / (high - low), 1);
    const parts = [];
    const weights = model.get("response");
    const radii = model.get("response_radii");
    const shade = radii.map((radius, i) => `${x(radius)},${floor - (floor - top) * weights[i]}`);
    parts.push(svg("path.shade", { d: `M${x(0)},${floor}L${shade.join("L")}L${x(radii.at(-1) ?? 0)},${floor}Z` }));
    for (let power = low; power <= high; power += Math.ceil((high - low) / 6)) {
      parts.push(svg("line.grid", { x1: left, x2: width - right, y1: y(10 ** power), y2: y(10 ** power) }));
      parts.push(svg("text.tick", { x: left - 7, y: y(10 ** power) + 4, "text-anchor": "end" }, tenTo(power)));
    }
    for (const value of [0, 0.25, 0.5, 0.75, 1]) {
      parts.push(svg("text.tick", { x: x(value), y: floor + 17, "text-anchor": "middle" }, String(value)));
    }
    parts.push(svg("line.axis", { x1: left, x2: width - right, y1: floor, y2: floor }));
    parts.push(svg("line.cutoff", { x1: x(cutoff), x2: x(cutoff), y1: top, y2: floor }));
    parts.push(svg("text.axis-name", { x: x(cutoff), y: top - 7, "text-anchor": "middle" }, `r = ${cutoff.toFixed(2)}`));
    for (const [name, [, dashes]] of Object.entries(CURVES)) {
      const points = model.get("radii").map((radius, i) => `${x(radius)},${y(spectra[name][i])}`);
      parts.push(svg(`polyline.curve.${name}`, { points: points.join(" "), "stroke-dasharray": dashes }));
    }
    const middle = (top + floor) / 2;
    const centred = { "text-anchor": "middle" };
    parts.push(
      svg("text.axis-name", { ...centred, x: x(0.5), y: height - 6 }, "radial frequency (1 = highest along an axis)"),
      svg("text.axis-name", { ...centred, transform: `translate(13 ${middle}) rotate(-90)` }, "mean power"),
    );
    drawing.replaceChildren(...parts);
  };
  return drawing;
}

function legend() {
  const entries = Object.entries(CURVES).map(([name, [text, dashes]]) => {
    const line = svg(`line.curve.${name}`, { x1: 1, x2: 25, y1: 4, y2: 4, "stroke-dasharray": dashes });
    const sample = svg("svg", { viewBox: "0 0 26 8", width: 26, height: 8, "aria-hidden": "true" }, line);
    return h("span.entry", {}, sample, text);
  });
  const shade = h("span.entry", {}, h("span.swatch"), "the filter’s weight L, 0 to 1");
  return h("div.legend", {}, ...entries, shade);
}

function render({ model, el }) {
  const about = model.get("about");
  const { frames } = about;
  const [columns, rows] = model.get("grid");
  const subtitle = `${about.model} · ${counted(about)} · latents of ${columns} × ${rows} cells`;
  const explorer = new Explorer(model, el, "frequency-explorer", "Frequency explorer", subtitle);
  const steps = model.get("steps");
  const sigmas = Object.fromEntries(steps.map(({ index, sigma }) => [index, sigma]));
  const cutoff = explorer.slider("cutoff", "Cut-off r", count(101).map((i) => i / 100), (value) => value.toFixed(2));
  explorer.slider("order", "Order (steepness)", count(16).map((i) => i + 1), String);
  const indices = steps.map(({ index }) => index);
  explorer.slider("step", "Control step", indices, (step) => `${step} · σ = ${short(sigmas[step])}`);
  frameSlider(explorer, about);

  const mask = layer("crisp", "low-pass mask");
  // frequencies run from −1 to 1 on both axes, whatever the picture's shape
  const maskTile = tile({ width: 2, height: 2 }, [mask], { "data-testid": "mask" });
  maskTile.classList.add("mask");
  const whence = h("span.note", {}, "white: taken from the optimised latents; ring: r");
  const chart = spectraChart();
  const stages = ["before", "optimized", "mixed"];
  const place = (name, alt, decoded = false) => {
    const picture = layer(decoded ? "smooth" : "crisp", alt);
    return { name, picture, tile: tile(about, [picture], { "data-testid": name }) };
  };
  const latents = stages.map((name) => place(`${name}_png`, `latents, ${CURVES[name][0]}`));
  const changes = ["change_png", "kept_png"].map((name) => place(name, name === "kept_png" ? "kept change" : "change"));
  const decoded = stages.map((name) => place(`decoded_${name}_png`, `decoded, ${CURVES[name][0]}`, true));
  const head = (text) => h("div.head", {}, text);
  const side = (text, more) => h("div.side", {}, h("strong", {}, text), h("span.note", {}, more));
  const bar = h("div.energy");
  explorer.body.append(
    h(
      "div.spectrum",
      {},
      h("figure", {}, h("h4", {}, "Low-pass mask L"), maskTile, whence),
      h("figure", {}, h("h4", {}, "Radial spectra"), chart, legend()),
    ),
    h(
      "div.stages",
      {},
      h("div"),
      ...stages.map((name) => head(name === "mixed" ? "mixed: what goes on" : CURVES[name][0])),
      side("Latents", "three principal components as colours"),
      ...latents.map(({ tile }) => tile),
      side("Change", "by the optimiser, and what the filter keeps of it"),
      bar,
      ...changes.map(({ tile }) => tile),
      side("Decoded", "the model’s guess of the clean frame behind them"),
      ...decoded.map(({ tile }) => tile),
    ),
  );

  const rings = () => {
    const r = Number(cutoff.value) / 100; // ahead of the trait while it moves
    // zero frequency is the cell at (columns // 2, rows // 2), whose middle is half a cell from its corner
    const [cx, cy] = [columns, rows].map((size) => (2 * (Math.floor(size / 2) + 0.5)) / size);
    maskTile.drawing.replaceChildren(svg("circle.ring.casing", { cx, cy, r }), svg("circle.ring", { cx, cy, r }));
    chart.draw(model, r);
  };
  cutoff.addEventListener("input", rings);
  explorer.on(["cutoff", "spectra", "radii", "response", "response_radii", "mask_png"], () => {
    mask.show(explorer.url("mask_png"), 0, 1);
    rings();
  });
  const strips = [...latents, ...changes];
  explorer.on(["frame", "change_top", "kept", ...strips.map(({ name }) => name)], () => {
    for (const { name, picture } of strips) picture.show(explorer.url(name), model.get("frame"), frames);
    const share = `${(model.get("kept") * 100).toFixed(model.get("kept") < 0.1 ? 1 : 0)} %`;
    bar.replaceChildren(
      h("strong.big", {}, share),
      h("span.note", {}, "of the change’s energy is kept"),
      colourBar(model.get("bar"), "0", short(model.get("change_top")), "length of the change"),
    );
  });
  explorer.on(decoded.map(({ name }) => name), () => {
    for (const { name, picture } of decoded) picture.show(explorer.url(name), 0, 1);
  });
  explorer.root.dataset.ready = "true";
  return () => explorer.close();
}

export default { render };
