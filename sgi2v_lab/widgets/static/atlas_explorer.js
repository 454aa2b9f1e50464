// AtlasExplorer: what each layer knows at each noise level; a cell shows what is computed there on a clip.
import { h } from "./common.js";
import {
  ARROWS, colourBar, count, counted, Explorer, framePlayer, KINDS, layer, overlaySlider, piece, pointPicker, short,
  similarRow, tile,
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
  overlaySlider(explorer);

  const picker = pointPicker(explorer, about);
  const pca = layer("crisp", "features as colours");
  const shown = tile(about, [pca]);
  const note = h("span.note");
  const row = similarRow(explorer, about);
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
        picker,
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
    const weights = explorer.url("heads_png");
    pca.show(explorer.url("pca_png"), frame, frames);
    note.textContent = grid ? `${piece(about)} ${frame} · ${grid[0]} × ${grid[1]} cells` : "";
    row.compare(explorer.url("similar_png"), model.get("matches"), frame);
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
