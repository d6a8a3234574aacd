// Keeps a page as things are now. Without it the page is as things were when it was loaded; nothing else needs it.
"use strict";
(() => {
  const where = document.body.dataset.live, state = document.getElementById("live");
  if (!where) return;
  const source = new EventSource(where);
  const say = (text) => { if (state.textContent !== text) state.textContent = text; };
  // What was focused inside a part that is drawn again is focused again.
  const redraw = (part, html) => {
    const focused = part.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    part.innerHTML = html;
    if (focused) for (const link of part.querySelectorAll("a")) if (link.getAttribute("href") === focused) { link.focus(); break; }
  };
  const version = () => document.querySelector("[data-version]")?.dataset.version;
  // The buttons are for who looks, and so not in what is sent to everybody: they are fetched once there are others, not all at once.
  const buttons = async () => {
    const mine = document.getElementById("act");
    if (!mine || mine.querySelector("details[open]")) return;
    const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
    const fresh = page.getElementById("act");
    if (fresh && !mine.querySelector("details[open]")) mine.replaceWith(document.adoptNode(fresh));
  };
  source.onmessage = (event) => {
    const before = version();
    for (const [name, html] of Object.entries(JSON.parse(event.data))) {
      const part = document.querySelector(`[data-part="${name}"]`);
      if (part) redraw(part, html);
    }
    if (version() !== before) setTimeout(buttons, 1000 * Math.random());
    say("live");
  };
  source.onerror = () => say("not live: what is shown may be old");
})();
