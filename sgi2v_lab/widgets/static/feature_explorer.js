// FeatureExplorer: features of two kinds as colours, and where each finds what is at a point of the first frame.
import { h } from "./common.js";
import {
  colourBar, count, counted, dot, Explorer, framePlayer, KINDS, layer, overlaySlider, piece, pointPicker, short, signed,
  similarRow, tile,
} from "./explorer.js";

function render({ model, el }) {
  const about = model.get("about");
  const { frames, width, height } = about;
  const subtitle = `${about.model} · ${counted(about)} · ${width} × ${height} px`;
  const explorer = new Explorer(model, el, "feature-explorer", "Feature explorer", subtitle);
  const layers = model.get("layers").map((each) => [each, each.length > 1 ? `up block ${each[0]}, transformer ${each[1]}` : `block ${each[0]}`]);
  const sigmas = model.get("sigmas");
  explorer.select("layer", "Layer", layers);
  explorer.slider("step", "Denoising step", count(sigmas.length), (step) => `${step} · σ = ${short(sigmas[step])}`);
  const player = framePlayer(explorer, about);
  overlaySlider(explorer);

  const picker = pointPicker(explorer, about);
  const sides = ["left", "right"].map((side) => {
    const pca = layer("crisp", `features, ${side}`);
    const shown = tile(about, [pca]);
    const head = h("div.caption");
    const kinds = model.get("kinds").map((kind) => [kind, KINDS[kind] ?? kind]);
    explorer.select(side, `Kind of features, ${side}`, kinds, head);
    const note = h("span.note");
    const name = h("div.row-name");
    return { side, pca, shown, head, note, name, row: similarRow(explorer, about) };
  });
  explorer.body.append(
    h(
      "div.trio",
      {},
      picker,
      ...sides.map(({ head, shown, note }) => h("figure", {}, head, shown, note)),
    ),
    h(
      "div.section",
      {},
      h("h4", {}, `Similarity to the point, ${piece(about)} by ${piece(about)}`),
      colourBar(model.get("bar"), "−1", "1", "cosine similarity"),
    ),
    ...sides.flatMap(({ name, row }) => [name, row]),
    h(
      "p.explain",
      {},
      `Same colour, same feature: the three colours are principal components, one basis for all ${piece(about)}s (and for `,
      `aligned and self-attention features together). Aligned: every ${piece(about)} attends to the first one's keys and values. `,
      `The yellow dot marks the most similar place of each ${piece(about)}.`,
      about.made_noisy ? " The latents are the finished video's with noise added, not those of its making." : "",
    ),
  );

  const show = () => {
    const frame = Number(player.value); // ahead of the trait while it plays
    const { grid: cells, channels } = model.get("shown");
    for (const [index, { side, pca, shown, note, name, row }] of sides.entries()) {
      const matches = model.get("matches")[side] ?? [];
      const kind = model.get(side);
      pca.show(explorer.url(`${side}_png`), frame, frames);
      shown.drawing.replaceChildren(...(matches[frame] ? [dot(matches[frame][0], matches[frame][1], "match")] : []));
      note.textContent = cells ? `${piece(about)} ${frame} · ${cells[0]} × ${cells[1]} cells · ${channels[index]} channels` : "";
      const later = matches.slice(1).map((match) => match[2]);
      const mean = later.length ? later.reduce((a, b) => a + b, 0) / later.length : undefined;
      name.replaceChildren(
        h("strong", {}, KINDS[kind] ?? kind),
        mean === undefined ? "" : h("span.note", {}, `best match in later ${piece(about)}s: ${signed(mean)} on average`),
      );
      row.compare(explorer.url(`${side}_similar_png`), matches, frame);
    }
  };
  player.addEventListener("input", show);
  const pictures = sides.flatMap(({ side }) => [`${side}_png`, `${side}_similar_png`]);
  explorer.on([...pictures, "frames_png", "matches", "shown", "frame", "strength"], show);
  explorer.root.dataset.ready = "true";
  return () => explorer.close();
}

export default { render };
