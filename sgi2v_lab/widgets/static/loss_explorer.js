// LossExplorer: the loss over steps and iterations; for one of them, its terms and its gradient.
import { h, svg } from "./common.js";
import { colourBar, count, counted, Explorer, frameRow, outlines, overlaySlider, piece, tenTo, short } from "./explorer.js";

/** Evenly spaced round numbers that cover low..high. */
function roundTicks(low, high, wanted) {
  const raw = (high - low) / wanted || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= raw);
  return count(Math.floor(high / step + 1e-6) + 1).map((i) => i * step).filter((value) => value >= low - 1e-9);
}

/** The loss before every iteration, one line a control step, side by side; a click chooses. */
function lossChart(explorer, steps) {
  const [width, height, left, right, top, bottom] = [440, 250, 52, 6, 12, 44];
  const drawing = svg("svg.chart", {
    viewBox: `0 0 ${width} ${height}`,
    role: "img",
    "data-testid": "loss-chart",
    "aria-label": "Trajectory loss over control steps and their iterations",
  });
  const all = steps.flatMap(({ losses }) => losses);
  const ceiling = Math.max(...all) * 1.06 || 1;
  const group = (width - left - right) / steps.length;
  const middle = (top + height - bottom) / 2;
  const x = (at, iteration, many) => left + group * (at + (iteration + 0.5 + 0.15) / (many + 0.3));
  const y = (loss) => top + (height - top - bottom) * (1 - loss / ceiling);
  for (const value of roundTicks(0, ceiling, 5)) {
    drawing.append(
      svg("line.grid", { x1: left, x2: width - right, y1: y(value), y2: y(value) }),
      svg("text.tick", { x: left - 7, y: y(value) + 4, "text-anchor": "end" }, short(value)),
    );
  }
  const bands = steps.map((step, at) => {
    const band = svg("rect.band", { x: left + group * at, y: top, width: group, height: height - top - bottom });
    drawing.append(band);
    return band;
  });
  const every = Math.ceil((steps.length * 22) / (width - left - right)); // labels that would touch are left out
  const lines = steps.map(({ index, sigma, losses }, at) => {
    const points = losses.map((loss, i) => [x(at, i, losses.length), y(loss)]);
    const line = svg("polyline.line", { points: points.map((p) => p.join(",")).join(" ") });
    const dots = points.map(([cx, cy]) => svg("circle.point", { cx, cy, r: steps.length > 24 ? 1.8 : 2.6 }));
    drawing.append(line, ...dots);
    if (at % every === 0) {
      const middle = left + group * (at + 0.5);
      drawing.append(svg("text.tick", { x: middle, y: height - bottom + 16, "text-anchor": "middle" }, String(index)));
    }
    return { index, sigma, losses, line, dots };
  });
  drawing.append(
    svg("line.axis", { x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }),
    svg("text.axis-name", { x: (left + width - right) / 2, y: height - 8, "text-anchor": "middle" }, "control step"),
    svg("text.axis-name", { transform: `translate(13 ${middle}) rotate(-90)`, "text-anchor": "middle" }, "loss"),
  );
  const marker = svg("circle.marker", { r: 6 });
  drawing.append(marker);
  drawing.addEventListener("click", (event) => {
    const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(drawing.getScreenCTM().inverse());
    const at = Math.min(Math.max(Math.floor((place.x - left) / group), 0), steps.length - 1);
    const many = lines[at].losses.length;
    const share = (place.x - left) / group - at;
    const iteration = Math.min(Math.max(Math.round(share * (many + 0.3) - 0.65), 0), many - 1);
    explorer.set({ step: lines[at].index, iteration });
  });
  drawing.choose = (step, iteration) => {
    for (const [at, each] of lines.entries()) {
      const chosen = each.index === step;
      for (const part of [bands[at], each.line, ...each.dots]) part.classList.toggle("chosen", chosen);
      if (!chosen || !each.dots[iteration]) continue;
      marker.setAttribute("cx", each.dots[iteration].getAttribute("cx"));
      marker.setAttribute("cy", each.dots[iteration].getAttribute("cy"));
    }
  };
  return drawing;
}

const percent = (share) => `${(share * 100).toFixed(share < 0.0995 ? 1 : 0)} %`;

/** What every box adds in every frame, as a table; the sums are in it, so that one sees what the loss is made of. */
function termsTable(explorer, measure) {
  const { model } = explorer;
  const frames = model.get("about").frames;
  const rows = model.get(measure === "share" ? "shares" : "means");
  const top = Math.max(...rows.flat().map((value) => value ?? 0)) || 1;
  const sum = (values) => values.reduce((a, b) => a + (b ?? 0), 0);
  const loss = sum(rows.flat()) || 1;
  const power = Math.floor(Math.log10(top));
  const write = (value) => (measure === "share" ? percent(value / loss) : (value / 10 ** power).toFixed(1));
  const numbers = count(frames).slice(1); // the first frame is the target
  const head = h("tr", {}, h("th", {}), ...numbers.map((f) => h("th", { scope: "col" }, String(f))));
  if (measure === "share") head.append(h("th.sum", { scope: "col" }, "sum"));
  const body = rows.map((row, at) => {
    const chip = h("span.chip");
    chip.style.background = model.get("boxes")[at].colour;
    const line = h("tr", {}, h("th.name", { scope: "row" }, chip, model.get("names")[at] ?? ""));
    for (const value of row.slice(1)) {
      const cell = h("td", {}, value === null ? "–" : write(value));
      if (value === null) cell.classList.add("out");
      else cell.style.setProperty("--share", `${Math.round((value / top) * 62)}%`);
      line.append(cell);
    }
    if (measure === "share") line.append(h("td.sum", {}, write(sum(row))));
    return line;
  });
  const table = h("table", { "data-testid": "terms" }, h("thead", {}, head), h("tbody", {}, ...body));
  if (measure === "share") {
    const columns = numbers.map((f) => write(sum(rows.map((row) => row[f]))));
    const total = h("tr", {}, h("th.name", { scope: "row" }, "sum"));
    total.append(...columns.map((text) => h("td.sum", {}, text)), h("td.sum.total", {}, write(loss)));
    table.append(h("tfoot", {}, total));
  }
  return table;
}

function render({ model, el }) {
  const about = model.get("about");
  const { width, height } = about;
  const subtitle = `${about.model} · ${counted(about)} · ${width} × ${height} px`;
  const explorer = new Explorer(model, el, "loss-explorer", "Loss explorer", subtitle);
  const steps = model.get("steps");
  const sigmas = Object.fromEntries(steps.map(({ index, sigma }) => [index, sigma]));
  const most = Math.max(...steps.map(({ losses }) => losses.length));
  const indices = steps.map(({ index }) => index);
  explorer.slider("step", "Control step", indices, (step) => `${step} · σ = ${short(sigmas[step])}`);
  explorer.slider("iteration", "Iteration", count(most), (iteration) => `${iteration + 1} of ${most}`);
  overlaySlider(explorer);
  explorer.select("measure", "Terms", [
    ["share", "share of the loss"],
    ["mean", "the box's own mean error"],
  ]);

  const chart = lossChart(explorer, steps);
  const hint = h("span.note", {}, "Click a point to look at it.");
  const terms = h("div.terms");
  const title = h("h4");
  const bar = h("div");
  const row = frameRow(about);
  explorer.body.append(
    h(
      "div.pair",
      {},
      h("figure", {}, h("h4", {}, "Loss over the optimiser's iterations"), chart, hint),
      h("figure", {}, title, terms),
    ),
    h("div.section", {}, h("h4", {}, "Where the loss pulls: its gradient on the noisy latents"), bar),
    row,
    h(
      "p.explain",
      {},
      `Colours: length of the gradient at each place of the latents. Percentages: each ${piece(about)}'s part of the squared `,
      `gradient. Boxes: where the content of the first frame's box is asked to be. The first ${piece(about)} is the target and `,
      "adds no term.",
    ),
  );

  explorer.on(["shown", "shares", "means", "measure"], () => {
    const { step, iteration, loss } = model.get("shown");
    const share = model.get("measure") === "share";
    const power = Math.floor(Math.log10(Math.max(...model.get("means").flat().map((value) => value ?? 0)) || 1));
    const unit = h("span.note", {}, ` in ${tenTo(power)}`);
    title.replaceChildren(`${share ? "Share of the loss" : "Mean squared error"} by box and ${piece(model.get("about"))}`, share ? "" : unit);
    const what = share ? "100 % is" : "Their weighted mean is";
    const note = `Columns: ${piece(model.get("about"))}s. ${what} the loss before iteration ${iteration + 1} of step ${step}, ${short(loss)}.`;
    terms.replaceChildren(h("div.scroll", {}, termsTable(explorer, model.get("measure"))), h("span.note", {}, note));
  });
  explorer.on(["step", "iteration"], () => chart.choose(model.get("step"), model.get("iteration")));
  explorer.on(["gradient_png", "gradient_top", "gradient_parts", "frames_png", "boxes", "strength"], () => {
    const parts = model.get("gradient_parts");
    bar.replaceChildren(colourBar(model.get("bar"), "0", short(model.get("gradient_top")), "length of the gradient"));
    row.show(explorer.url("frames_png"), explorer.url("gradient_png"), model.get("strength"));
    for (const [frame, { picture, number }] of row.thumbs.entries()) {
      picture.drawing.replaceChildren(...outlines(model.get("boxes"), frame));
      const part = `${Math.round((parts[frame] ?? 0) * 100)} %`;
      number.replaceChildren(h("strong", {}, String(frame)), ` · ${part}`);
      picture.setAttribute("role", "img");
      picture.setAttribute("aria-label", `gradient in ${piece(about)} ${frame}: ${part} of all`);
    }
  });
  explorer.root.dataset.ready = "true";
  return () => explorer.close();
}

export default { render };
