"""A widget in a page without a kernel: quick, and in whatever surroundings a test wants."""

import base64

import anywidget
from playwright.sync_api import Page

LOAD = """async ({esm, css, state, bytes, html, shadow}) => {
  for (const [name, text] of Object.entries(bytes)) {
    state[name] = new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  }
  document.documentElement.lang = "en";
  document.body.innerHTML = html;
  const host = document.querySelector("#mount");
  const el = shadow ? host.attachShadow({mode: "open"}).appendChild(document.createElement("div")) : host;
  const style = document.createElement("style");
  style.textContent = css;
  el.before(style);
  const heard = {};
  window.state = state;
  window.sent = [];
  window.tell = (name, ...values) => { for (const each of heard[name] || []) each(...values); };
  window.hear = (name, value) => { state[name] = value; window.tell(`change:${name}`); };
  const model = {
    get: (name) => state[name],
    set: (name, value) => { state[name] = value; },
    save_changes: () => {},
    send: (message, callbacks, buffers = []) => {
      window.sent.push({...message, sizes: buffers.map((each) => each.byteLength)});
    },
    on: (name, handler) => (heard[name] ||= []).push(handler),
    off: () => {},
  };
  const address = URL.createObjectURL(new Blob([esm], {type: "text/javascript"}));
  (await import(address)).default.render({model, el});
}"""


def show_alone(
    page: Page, widget: anywidget.AnyWidget, html: str = "<div id=mount></div>", shadow: bool = False
) -> None:
    """Draw a widget in the element #mount of `html`, or in a shadow tree there.

    The page then has `state`, the traits; `sent`, the messages; `hear(trait, value)` and `tell(event, ...)`, which
    stand for the kernel.
    """
    state = {name: value for name, value in widget.get_state().items() if name not in ("_esm", "_css", "layout")}
    raw = {name: bytes(value) for name, value in state.items() if isinstance(value, bytes | memoryview)}
    page.evaluate(
        LOAD,
        {
            "esm": str(widget._esm),
            "css": str(widget._css),
            "state": {name: value for name, value in state.items() if name not in raw},
            "bytes": {name: base64.b64encode(value).decode() for name, value in raw.items()},
            "html": html,
            "shadow": shadow,
        },
    )
    page.locator("[data-ready]").first.wait_for()
