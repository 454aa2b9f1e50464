// The course's widgets on a page without a kernel: each is drawn from the state in which its cell left it. What the
// browser does alone (play, draw, look at another frame) works; what Python would compute is refused, and a note says so.
const NOTE = "There is no kernel behind this page: frames play and boxes move, but nothing new is computed. For that, run the chapter with make lab.";
const COMPUTED = ["layer", "step", "iteration", "left", "right", "kind", "point", "cell", "cutoff", "order"];
const isComputed = (name, state) =>
  COMPUTED.includes(name) || (name === "frame" && "decoded_mixed_png" in state) || (name === "measure" && "cells" in state);

async function draw({ state, buffers = [] }, place) {
  const { _esm, _css, ...traits } = state;
  for (const { path, data } of buffers) {
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    const holder = path.slice(0, -1).reduce((inside, key) => inside[key], traits);
    holder[path.at(-1)] = new DataView(bytes.buffer);
  }
  const el = document.createElement("div");
  const style = document.createElement("style");
  const note = document.createElement("p");
  style.textContent = _css;
  note.className = "no-kernel";
  note.textContent = NOTE;
  place.after(style, el, note);
  const refuse = () => {
    note.classList.add("now");
    setTimeout(() => note.classList.remove("now"), 1500);
  };
  const heard = {};
  const tell = (event) => (heard[event] ?? []).forEach((handler) => handler());
  const model = {
    get: (name) => traits[name],
    set: (name, value) => {
      if (isComputed(name, traits)) refuse();
      else traits[name] = value;
      tell(`change:${name}`);
    },
    save_changes: () => {},
    send: async ({ kind }) => kind !== "ask" && refuse(),
    on: (event, handler) => (heard[event] ??= []).push(handler),
    off: (event, handler) => (heard[event] = (heard[event] ?? []).filter((each) => each !== handler)),
  };
  const module = await import(URL.createObjectURL(new Blob([_esm], { type: "text/javascript" })));
  await module.default.render({ model, el });
}

document.addEventListener("DOMContentLoaded", () => {
  const saved = document.querySelector('script[type="application/vnd.jupyter.widget-state+json"]');
  const models = saved ? JSON.parse(saved.textContent).state : {};
  for (const place of document.querySelectorAll('script[type="application/vnd.jupyter.widget-view+json"]')) {
    const model = models[JSON.parse(place.textContent).model_id];
    if (model?.state._esm) draw(model, place); // others are progress bars
  }
});

// A strip of frames, which a phone should not shrink to stamps.
addEventListener("load", () => {
  for (const picture of document.querySelectorAll(".cell_output img:not(.sgi2v *)")) {
    picture.classList.toggle("strip", picture.naturalWidth > 2.6 * picture.naturalHeight);
  }
});
