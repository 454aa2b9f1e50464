// What the widgets share: elements, icons, the theme, files.

/** An element with classes, attributes, listeners (on...) and children: h("button.wide", { title, onclick }, "text"). */
export function h(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  return furnished(document.createElement(tag), classes, attributes, children);
}

/** The same for a drawing. */
export function svg(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  return furnished(document.createElementNS("http://www.w3.org/2000/svg", tag), classes, attributes, children);
}

function furnished(element, classes, attributes, children) {
  if (classes.length) element.setAttribute("class", classes.join(" "));
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null));
  return element;
}

// Strokes on a 20 x 20 grid; a leading "f" fills the shape.
const ICONS = {
  select: ["M5 3l10 7-4.6 1L13 16l-2 1-2.5-5L5 15z"],
  box: ["M4 5h12v10H4z"],
  path: ["M3 15c3-9 5 2 8-4s3-7 6-6"],
  points: ["M4 15l5-8 4 4 4-6", "fM2.4 15a1.6 1.6 0 1 0 3.2 0 1.6 1.6 0 1 0-3.2 0z", "fM7.4 7a1.6 1.6 0 1 0 3.2 0 1.6 1.6 0 1 0-3.2 0z", "fM11.4 11a1.6 1.6 0 1 0 3.2 0 1.6 1.6 0 1 0-3.2 0z"],
  undo: ["M7 4L3.5 7.5 7 11", "M3.5 7.5H12a4.5 4.5 0 0 1 0 9H8"],
  redo: ["M13 4l3.5 3.5L13 11", "M16.5 7.5H8a4.5 4.5 0 0 0 0 9h4"],
  camera: ["M3 6.5h9v7H3z", "M12 9.3l5-2.8v7l-5-2.8"],
  open: ["M10 13V3.5", "M6.5 7L10 3.5 13.5 7", "M4 12v4.5h12V12"],
  save: ["M10 3.5V13", "M6.5 9.5L10 13l3.5-3.5", "M4 12v4.5h12V12"],
  help: ["M7.2 7.6a2.8 2.8 0 1 1 4.3 2.4c-1 .7-1.5 1.2-1.5 2.4", "fM9 15.2a1 1 0 1 0 2 0 1 1 0 1 0-2 0z"],
  play: ["fM6 4l10 6-10 6z"],
  pause: ["fM5.5 4h3.2v12H5.5z", "fM11.3 4h3.2v12h-3.2z"],
  pin: ["M7 3.5h6M8 3.5l-.5 5L5 11.5h10l-2.5-3-.5-5M10 11.5V17"],
  trash: ["M4 6h12M8 6V4h4v2M5.5 6l.8 10.5h7.4L14.5 6"],
  copy: ["M7 7h9v9H7z", "M4 13V4h9"],
  key: ["M10 3.8L16.2 10 10 16.2 3.8 10z"],
  line: ["M4 16L16 4"],
  warning: ["M10 3.5L17.5 16h-15z", "M10 8.3v3.6", "fM9.1 13.9a.9.9 0 1 0 1.8 0 .9.9 0 1 0-1.8 0z"],
  error: ["M6.7 3h6.6L17 6.7v6.6L13.3 17H6.7L3 13.3V6.7z", "M7.5 7.5l5 5m0-5l-5 5"],
  check: ["M4 10.5l4 4L16 6"],
  info: ["M10 2.8a7.2 7.2 0 1 0 0 14.4 7.2 7.2 0 1 0 0-14.4z", "M10 9v5", "fM9.1 6.3a.9.9 0 1 0 1.8 0 .9.9 0 1 0-1.8 0z"],
  close: ["M5 5l10 10M15 5L5 15"],
  picture: ["M3 4h14v12H3z", "M3 13l4-4 4 4 2-2 4 4", "fM12 7.5a1.2 1.2 0 1 0 2.4 0 1.2 1.2 0 1 0-2.4 0z"],
  first: ["M6 4v12", "fM15 4.5v11L7.5 10z"],
  previous: ["fM14 4.5v11L6.5 10z"],
  next: ["fM6 4.5v11l7.5-5.5z"],
};

export function icon(name) {
  const shapes = ICONS[name].map((d) => svg("path", d[0] === "f" ? { d: d.slice(1), class: "fill" } : { d }));
  return svg("svg", { viewBox: "0 0 20 20", class: "sg-icon", "aria-hidden": "true" }, ...shapes);
}

export function button(label, iconName, attributes = {}, showLabel = false) {
  const text = showLabel ? h("span", { class: "sg-label" }, label) : null;
  return h("button", { type: "button", class: "sg-button", title: label, "aria-label": label, ...attributes }, icon(iconName), text);
}

/** The element that has the keyboard, as seen from `root`: in a shadow tree (marimo) the document names only the host. */
export const focusedElement = (root) => root.getRootNode().activeElement;

/** Where an event is in an element, in that element's CSS pixels: a slide may be scaled by `zoom` or a transform. */
export function placeIn(element, event) {
  const { left, top, width, height } = element.getBoundingClientRect();
  return [((event.clientX - left) * element.clientWidth) / width, ((event.clientY - top) * element.clientHeight) / height];
}

/**
 * Follow the pointer from a press on an element until it is let go: `down`, `move`, and at the end `up` or `cancel`.
 * Some ends are never seen (the capture is lost, the button comes up elsewhere); then `up` tells of the last place.
 * `move` also hears of a pointer that only passes.
 */
export function followPointer(element, { down, move, up, cancel }) {
  let held = null;
  const end = (event, how) => {
    if (event.pointerId !== held) return;
    held = null;
    how(event);
  };
  const listen = (name, handler) => element.addEventListener(name, handler);
  listen("pointerdown", (event) => {
    end(event, up);
    if (event.button !== 0 || held !== null) return;
    held = event.pointerId;
    element.setPointerCapture(held);
    down(event);
  });
  listen("pointermove", (event) => {
    if (!(event.buttons & 1)) end(event, up);
    move(event);
  });
  listen("pointerup", (event) => end(event, up));
  listen("lostpointercapture", (event) => end(event, up));
  listen("pointercancel", (event) => end(event, cancel));
}

/** Any colour of CSS, as oklch(...), as four numbers 0..255. */
function rgba(colour) {
  const pixel = h("canvas", { width: 1, height: 1 }).getContext("2d");
  pixel.fillStyle = colour;
  pixel.fillRect(0, 0, 1, 1);
  return pixel.getImageData(0, 0, 1, 1).data;
}

/** Mark the widget's root as dark or light, as what lies behind it is, and go on doing so. Returns the way to stop. */
export function followTheme(root) {
  const update = () => {
    let [element, colour] = [root.parentElement || root.getRootNode().host, null];
    for (; element && !colour; element = element.parentElement || element.getRootNode().host) {
      const [r, g, b, a] = rgba(getComputedStyle(element).backgroundColor);
      if (a > 127) colour = [r, g, b];
    }
    const system = matchMedia("(prefers-color-scheme: dark)").matches && !colour;
    const dark = colour ? 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2] < 128 : system;
    root.dataset.theme = dark ? "dark" : "light";
  };
  const observer = new MutationObserver(() => requestAnimationFrame(update));
  for (const element of [document.documentElement, document.body]) observer.observe(element, { attributes: true });
  // a style sheet that is exchanged comes after the attribute that tells of it
  const links = new MutationObserver(() => setTimeout(update, 50));
  links.observe(document.head, { childList: true });
  update();
  requestAnimationFrame(update);
  return () => [observer, links].forEach((each) => each.disconnect());
}

/**
 * Keys pressed inside a widget are the widget's. Front ends take theirs on the document, before any element hears of
 * them ("b" would add a cell, an arrow leave this one), so they are met on the window. What a browser does by itself, as
 * typing or pressing a button, goes on. With Ctrl or Cmd, what `handle` does not want stays the front end's.
 * `handle` gets the event and the element that has the keyboard, which a shadow tree hides from the window's events.
 * Returns the way to stop.
 */
export function captureKeys(root, handle) {
  const listen = (event) => {
    const [target] = event.composedPath();
    if (!root.contains(target)) return;
    const done = handle(event, target);
    if (done) event.preventDefault();
    if (done || !(event.ctrlKey || event.metaKey)) event.stopPropagation();
  };
  window.addEventListener("keydown", listen, true);
  return () => window.removeEventListener("keydown", listen, true);
}

const GONE = "The kernel behind this was restarted, or is gone: nothing that is done here reaches it. Run the cell again.";

/**
 * Say at the top of a widget when its kernel is no longer there: a message cannot be sent then. One is tried when the
 * front end tells of a restart and, as it does not tell of a crash, at every press and drop. Returns the way to stop.
 */
export function followKernel(model, root) {
  if (root.parentElement.closest(".sgi2v")) return () => {}; // a part of another widget, which says it
  const notice = h("div.sg-gone", { role: "alert", hidden: true, "data-testid": "gone" }, icon("error"), h("span", {}, GONE));
  root.prepend(notice);
  const ask = async () => {
    try {
      await model.send({ kind: "ask" });
    } catch {
      notice.hidden = false;
    }
  };
  const look = () => setTimeout(ask); // once the front end is done with it
  model.on("comm_live_update", look);
  for (const name of ["pointerdown", "keydown", "drop"]) root.addEventListener(name, ask, true);
  return () => model.off("comm_live_update", look);
}

/** Give the reader a file. */
export function download(name, content) {
  const url = URL.createObjectURL(new Blob([content]));
  const link = h("a", { href: url, download: name, style: "display: none" });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/** The bytes of a trait, whatever view the front end gives of them. */
export function bytesOf(value) {
  if (!value) return new Uint8Array();
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}
