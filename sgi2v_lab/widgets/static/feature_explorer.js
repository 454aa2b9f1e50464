// FeatureExplorer: features of two kinds as colours, and where each finds what is at a point of the first frame.
import { h } from "./common.js";
import {
  colourBar, count, counted, dot, Explorer, framePlayer, KINDS, layer, piece, pointPicker, short, signed, tile,
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
  explorer.slider("strength", "Overlay", count(21).map((i) => i / 20), (value) => `${Math.round(value * 100)} %`, 60);

  const { picker, where } = pointPicker(explorer, about);
  const sides = ["left", "right"].map((side) => {
    const pca = layer("crisp", `features, ${side}`);
    const shown = tile(about, [pca]);
    const head = h("div.caption");
    const kinds = model.get("kinds").map((kind) => [kind, KINDS[kind] ?? kind]);
    explorer.select(side, `Kind of features, ${side}`, kinds, head);
    const note = h("span.note");
    const name = h("div.row-name");
    const thumbs = count(frames).map((frame) => {
      const still = layer("smooth faded");
      const heat = layer("crisp heat");
      const thumb = tile(about, [still, heat], { title: "" });
      const number = h("span.number", {}, String(frame));
      const button = h("button.thumb", { type: "button", tabindex: -1 }, thumb, number);
      button.addEventListener("click", () => explorer.set({ frame }));
      return { still, heat, thumb, button };
    });
    const row = h("div.strip", {}, ...thumbs.map(({ button }) => button));
    row.style.setProperty("--columns", Math.min(frames, 8));
    return { side, pca, shown, head, note, name, thumbs, row };
  });
  explorer.body.append(
    h(
      "div.trio",
      {},
      h("figure", {}, h("div.caption", {}, h("strong", {}, "First frame"), " — pick a point"), picker, where),
      ...sides.map(({ head, shown, note }) => h("figure", {}, head, shown, note)),
    ),
    h(
      "div.section",
      {},
      h("h4", {}, "Similarity to the point, frame by frame"),
      colourBar(model.get("bar"), "−1", "1", "cosine similarity"),
    ),
    ...sides.flatMap(({ name, row }) => [name, row]),
    h(
      "p.explain",
      {},
      "Same colour, same feature: the three colours are principal components, one basis for all frames (and for ",
      "aligned and self-attention features together). Aligned: all frames attend to the first frame's keys and values. ",
      "The yellow dot marks the most similar place of each frame.",
      about.made_noisy ? " The latents are the finished video's with noise added, not those of its making." : "",
    ),
  );

  const show = () => {
    const frame = Number(player.value); // ahead of the trait while it plays
    const { grid: cells, channels } = model.get("shown");
    const stills = explorer.url("frames_png");
    for (const [index, { side, pca, shown, note, name, thumbs }] of sides.entries()) {
      const matches = model.get("matches")[side] ?? [];
      const kind = model.get(side);
      pca.show(explorer.url(`${side}_png`), frame, frames);
      shown.drawing.replaceChildren(...(matches[frame] ? [dot(matches[frame][0], matches[frame][1], "match")] : []));
      note.textContent = cells ? `${piece(about)} ${frame} · ${cells[0]} × ${cells[1]} cells · ${channels[index]} channels` : "";
      const later = matches.slice(1).map((match) => match[2]);
      const mean = later.length ? later.reduce((a, b) => a + b, 0) / later.length : undefined;
      name.replaceChildren(
        h("strong", {}, KINDS[kind] ?? kind),
        mean === undefined ? "" : h("span.note", {}, `best match in later frames: ${signed(mean)} on average`),
      );
      const similar = explorer.url(`${side}_similar_png`);
      for (const [at, { still, heat, thumb, button }] of thumbs.entries()) {
        still.show(stills, at, frames);
        heat.show(similar, at, frames);
        heat.style.opacity = model.get("strength");
        button.classList.toggle("current", at === frame);
        if (!matches[at]) continue;
        const [x, y, value] = matches[at];
        thumb.drawing.replaceChildren(at === 0 ? dot(...model.get("point"), "picked") : dot(x, y, "match"));
        const says = `${piece(about)} ${at}: most similar at (${x.toFixed(0)}, ${y.toFixed(0)}), ${signed(value)}`;
        button.title = says;
        button.setAttribute("aria-label", says);
      }
    }
  };
  player.addEventListener("input", show);
  const pictures = sides.flatMap(({ side }) => [`${side}_png`, `${side}_similar_png`]);
  explorer.on([...pictures, "frames_png", "matches", "shown", "frame", "strength"], show);
  explorer.root.dataset.ready = "true";
  return () => explorer.close();
}

export default { render };
