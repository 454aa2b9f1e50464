// AtlasExplorer: what each layer knows at each noise level; a cell shows what is computed there on a clip.
import { h } from "./common.js";
import {
  ARROWS, colourBar, count, counted, dot, Explorer, framePlayer, KINDS, layer, piece, pointPicker, short, signed, tile,
} from "./explorer.js";

const written = (value) => (Math.abs(value) < 10 ? value.toFixed(2) : short(value)).replace("-", "−");

/** Layers and noise levels as a table; one cell is looked at, and the arrow keys move on. */
function heatMap(explorer) {
  const { model } = explorer;
  const [layers, sigmas] = [model.get("layers"), model.get("sigmas")];
  const cells = layers.map((_, row) =>
    sigmas.map((_, column) => h("td", { onclick: () => explorer.set({ cell: [row, column] }), "data-testid": `cell-${row}-${column}` })),
  );
  const head = h("tr", {}, h("th", {}, "layer"), ...sigmas.map((sigma) => h("th", { scope: "col" }, short(sigma))));
  const above = h("tr", {}, h("th"), h("th", { colspan: sigmas.length }, "noise level σ"));
  const rows = cells.map((some, row) => h("tr", {}, h("th", { scope: "row" }, layers[row]), ...some));
  const table = h("table", { tabindex: 0, role: "application", "aria-roledescription": "heat map", "data-testid": "atlas" }, h("thead", {}, above, head), h("tbody", {}, ...rows));
  table.addEventListener("pointerdown", () => table.focus({ preventScroll: true }));
  const note = h("span.note");
  const bar = h("div.section");
  explorer.on(["cells", "scale", "cell", "measure"], () => {
    const [scale, at, values] = [model.get("scale"), model.get("cell"), model.get("cells")];
    for (const [row, column] of layers.flatMap((_, i) => sigmas.map((_, j) => [i, j]))) {
      const found = values[row]?.[column];
      const cell = cells[row][column];
      cell.textContent = found ? written(found.value) : "–";
      cell.style.background = found?.colour ?? "";
      cell.className = [
        found && (found.bright ? "bright" : "dark"),
        scale.best?.[0] === row && scale.best[1] === column && "best",
        at[0] === row && at[1] === column && "current",
      ].filter(Boolean).join(" ");
    }
    const found = values[at[0]]?.[at[1]];
    const ends = found?.low == null ? "" : ` (95%: ${written(found.low)} to ${written(found.high)})`;
    const says = `layer ${layers[at[0]]}, noise level ${short(sigmas[at[1]])}: ${found ? written(found.value) + ends : "not measured"}`;
    note.textContent = `${says} · click, or arrow keys`;
    table.setAttribute("aria-label", `${model.get("measures")[model.get("measure")]}; ${says}; arrow keys move`);
    const chance = scale.chance == null ? "" : `chance ${written(scale.chance)}; `;
    bar.replaceChildren(
      colourBar(model.get("bar"), written(scale.low), written(scale.high), model.get("measures")[model.get("measure")]),
      h("span.note", {}, `${chance}framed in orange: best of this kind; denoising goes to the right`),
    );
  });
  const before = explorer.keyDown;
  explorer.keyDown = (event, target) => {
    const way = ARROWS[event.key];
    if (target !== table || !way) return before(event, target);
    const [row, column] = model.get("cell");
    const clamp = (value, size) => Math.min(Math.max(value, 0), size - 1);
    explorer.set({ cell: [clamp(row + way[1], layers.length), clamp(column + way[0], sigmas.length)] });
    return true;
  };
  return h("figure.atlas", {}, table, note, bar);
}

function render({ model, el }) {
  const about = model.get("about");
  const { frames } = about;
  const subtitle = `${about.model} · averages over ${about.clips} clips · shown: ${about.clip}, ${counted(about)}`;
  const explorer = new Explorer(model, el, "atlas-explorer", "Atlas", subtitle);
  explorer.select("measure", "Measure", Object.entries(model.get("measures")));
  explorer.select("kind", "Features", model.get("kinds").map((kind) => [kind, KINDS[kind] ?? kind]));
  const player = framePlayer(explorer, about);
  explorer.slider("strength", "Overlay", count(21).map((i) => i / 20), (value) => `${Math.round(value * 100)} %`, 60);

  const { picker, where } = pointPicker(explorer, about);
  const pca = layer("crisp", "features as colours");
  const shown = tile(about, [pca]);
  const note = h("span.note");
  const similar = count(frames).map((frame) => {
    const [still, heat] = [layer("smooth faded"), layer("crisp heat")];
    const thumb = tile(about, [still, heat]);
    const button = h("button.thumb", { type: "button", tabindex: -1 }, thumb, h("span.number", {}, String(frame)));
    button.addEventListener("click", () => explorer.set({ frame }));
    return { still, heat, thumb, button };
  });
  const row = h("div.strip", {}, ...similar.map(({ button }) => button));
  row.style.setProperty("--columns", Math.min(frames, 8));
  const title = h("h4");
  const bar = h("span");
  const heads = h("div.heads", { "data-testid": "heads" });
  explorer.body.append(
    h(
      "div.pair",
      {},
      heatMap(explorer),
      h(
        "div.stack",
        {},
        h("figure", {}, h("div.caption", {}, h("strong", {}, "First frame"), " — pick a point"), picker, where),
        h("figure", {}, h("div.caption", {}, h("strong", {}, "Features")), shown, note),
      ),
    ),
    h("div.section", {}, h("h4", {}, "Similarity to the point"), colourBar(model.get("similar_bar"), "−1", "1", "cosine similarity")),
    row,
    h("div.section", {}, title, bar),
    heads,
    h(
      "p.explain",
      {},
      "Features are those of the layer and the noise level that are framed in the heat map; three principal components ",
      "are their colours. The yellow dot marks the most similar place of each frame. Heads: how much each place of the ",
      "frame shown attends to the point of the first frame; all heads have one scale.",
    ),
  );
  const show = () => {
    const frame = Number(player.value); // ahead of the trait while it plays
    const { grid, heads: number = 0, kind } = model.get("shown");
    const [stills, heat, weights] = ["frames_png", "similar_png", "heads_png"].map((name) => explorer.url(name));
    const matches = model.get("matches");
    pca.show(explorer.url("pca_png"), frame, frames);
    note.textContent = grid ? `${piece(about)} ${frame} · ${grid[0]} × ${grid[1]} cells` : "";
    for (const [at, each] of similar.entries()) {
      each.still.show(stills, at, frames);
      each.heat.show(heat, at, frames);
      each.heat.style.opacity = model.get("strength");
      each.button.classList.toggle("current", at === frame);
      if (!matches[at]) continue;
      const [x, y, value] = matches[at];
      each.thumb.drawing.replaceChildren(at === 0 ? dot(...model.get("point"), "picked") : dot(x, y, "match"));
      each.button.setAttribute("aria-label", `${piece(about)} ${at}: most similar at (${x.toFixed(0)}, ${y.toFixed(0)}), ${signed(value)}`);
    }
    if (heads.children.length !== number) {
      heads.replaceChildren(
        ...count(number).map((head) => {
          const picture = layer("crisp", `attention of head ${head}`);
          const figure = h("figure", {}, tile(about, [picture]), h("span.note", {}, `head ${head}`));
          figure.picture = picture;
          return figure;
        }),
      );
    }
    for (const [head, { picture }] of [...heads.children].entries()) picture.show(weights, head * frames + frame, number * frames);
    title.textContent = `${kind === "temporal" ? "Attention along time to the first frame" : "Attention to the point"}, head by head · ${piece(about)} ${frame}`;
    bar.replaceChildren(colourBar(model.get("head_bar"), "0", short(model.get("heads_top")), "attention"));
  };
  player.addEventListener("input", show);
  explorer.on(["pca_png", "similar_png", "heads_png", "heads_top", "frames_png", "matches", "shown", "frame", "strength"], show);
  explorer.root.dataset.ready = "true";
  return () => explorer.close();
}

export default { render };
