// Copy buttons, the drop zone, the slider, short messages and live parts. Everything else is HTML and htmx.
"use strict";

const SAID_MS = 6000;
const PROBLEM_MS = 20000;

function hush(milliseconds) {
  window.clearTimeout(hush.timer);
  hush.timer = window.setTimeout(() => { document.getElementById("said").textContent = ""; }, milliseconds);
}

function say(text, milliseconds = SAID_MS) {
  document.getElementById("said").textContent = text;
  hush(milliseconds);
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  try {
    // Only where the page came over https or from this machine may a page write to the clipboard.
    await navigator.clipboard.writeText(source.textContent);
    say("Copied.");
  } catch (error) {
    const range = document.createRange();
    range.selectNodeContents(source);
    const selection = window.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    say("Selected: press Ctrl+C to copy.");
  }
});

document.addEventListener("htmx:oobAfterSwap", () => hush(SAID_MS));
document.addEventListener("htmx:responseError", (event) => {
  let text = "The server answered " + event.detail.xhr.status + ".";
  try {
    const problem = JSON.parse(event.detail.xhr.responseText);
    text = problem.title + " " + (problem.detail || "") + (problem.hint ? " Next: " + problem.hint : "");
  } catch (error) { /* not a problem document */ }
  say(text, PROBLEM_MS);
});
document.addEventListener("htmx:sendError", () => say("The server does not answer. Is memoryd running?", PROBLEM_MS));

function wireDrop() {
  const zone = document.querySelector("[data-drop]");
  if (!zone) return;
  const input = zone.querySelector("input[type=file]");
  const shown = document.querySelector("img[data-chosen]");
  if (shown) input.addEventListener("change", () => {
    // The chosen picture beside its candidates, from the browser's own memory.
    if (shown.src) URL.revokeObjectURL(shown.src);
    const file = input.files[0];
    shown.hidden = !(file && file.type.startsWith("image/"));
    if (!shown.hidden) shown.src = URL.createObjectURL(file);
  });
  zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    if (event.dataTransfer.files.length) {
      input.files = event.dataTransfer.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
    }
  });
}
document.addEventListener("DOMContentLoaded", wireDrop);

// One picture laid over the other: a line that a keyboard moves as well as a pointer. Without a script they stand side
// by side, and this part is not there.
document.documentElement.classList.add("scripts");

document.addEventListener("input", (event) => {
  const slider = event.target.closest("[data-slider]");
  if (!slider) return;
  slider.querySelector(".stage").style.setProperty("--at", event.target.value + "%");
  event.target.setAttribute("aria-valuetext", event.target.value + " % original");
});

function slide(event) {
  const stage = event.target.closest("[data-slider] .stage");
  if (!stage || !(event.buttons & 1)) return;
  const box = stage.getBoundingClientRect();
  const input = stage.parentElement.querySelector("input");
  input.value = Math.round(100 * (event.clientX - box.left) / box.width);
  input.dispatchEvent(new Event("input", { bubbles: true }));
}
document.addEventListener("pointerdown", slide);
document.addEventListener("pointermove", slide);
document.addEventListener("dragstart", (event) => { if (event.target.closest("[data-slider]")) event.preventDefault(); });

// Live parts of pages. A part with data-live names kinds of events; when one happens it asks for itself again.
// While the stream of events is not there, they look every second instead.
const SETTLE_MS = 250;
const RATE_MS = 1000;
const POLL_MS = 1000;
const BUSY_MS = 2000;
const AGAIN_MS = 3000;

function look(part) {
  window.clearTimeout(part.settling);
  part.settling = undefined;
  part.lookedAt = Date.now();
  // Nobody looks at a hidden tab.
  if (!document.hidden) window.htmx.trigger(part, "live");
}

function lookSoon(part) {
  // Not put off by each event: a queue that never rests is shown all the same.
  const wait = Math.max(SETTLE_MS, RATE_MS - (Date.now() - (part.lookedAt || 0)));
  if (part.settling === undefined) part.settling = window.setTimeout(() => look(part), wait);
}

function concerns(part, event) {
  const about = part.dataset.about;
  if (!about) return true;
  return event.subject === about || (event.body || {}).group_id === about;
}

function wireLive() {
  const parts = Array.from(document.querySelectorAll("[data-live]"));
  if (!parts.length) return;
  const kinds = new Set(parts.flatMap((part) => part.dataset.live.split(" ")));
  const query = Array.from(kinds, (kind) => "kind=" + encodeURIComponent(kind)).join("&");
  let source = null;
  function open() {
    source = new EventSource("/v1/events?named=false&" + query);
    // What happened while nobody listened was not heard.
    source.addEventListener("open", () => parts.forEach(lookSoon));
    source.addEventListener("missed", () => parts.forEach(lookSoon));
    source.addEventListener("message", (message) => {
      const event = JSON.parse(message.data);
      parts.filter((part) => concerns(part, event)).forEach(lookSoon);
    });
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) window.setTimeout(open, AGAIN_MS);
    });
  }
  if (window.EventSource) open();
  window.setInterval(() => {
    const heard = source !== null && source.readyState === EventSource.OPEN;
    for (const part of parts) {
      // How far a run is, is no event: while something runs, the part is looked at now and then.
      const busy = part.querySelector("[data-busy]") !== null && Date.now() - (part.lookedAt || 0) >= BUSY_MS;
      if (!heard || busy) look(part);
    }
  }, POLL_MS);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) parts.forEach(lookSoon); });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.requestConfig.verb !== "get" && event.detail.successful) parts.forEach(look);
  });
}
document.addEventListener("DOMContentLoaded", wireLive);

// One job, followed by its own stream: progress and the newest picture in place, the rest asked for again.
function wireFollowed() {
  const part = document.querySelector("[data-follow]");
  if (!part) return;
  const find = (selector) => part.querySelector(selector);
  const ended = () => find("[data-ended]") !== null;
  let listening = false;
  function show(told) {
    const state = find("[data-state]");
    if (!state || state.dataset.state !== told.state) lookSoon(part);
    const bar = find("[data-progress]");
    if (bar && told.progress !== null) bar.value = told.progress;
    if (find("[data-phase]")) find("[data-phase]").textContent = told.phase || "";
    if (find("[data-node]")) find("[data-node]").textContent = told.node ? "node " + told.node : "";
  }
  function picture(told) {
    const image = find("[data-newest]");
    if (!image) return;
    image.src = part.dataset.preview + "?n=" + told.number;
    image.hidden = false;
  }
  function open() {
    const source = new EventSource(part.dataset.follow);
    source.addEventListener("open", () => { listening = true; });
    source.addEventListener("job", () => lookSoon(part));
    source.addEventListener("progress", (message) => show(JSON.parse(message.data)));
    source.addEventListener("preview", (message) => picture(JSON.parse(message.data)));
    // The stream ends with the job; a retried one is followed again.
    source.addEventListener("error", () => {
      listening = false;
      source.close();
      look(part);
      window.setTimeout(again, AGAIN_MS);
    });
  }
  function again() {
    if (!ended()) open();
    else if (!listening) window.setTimeout(again, AGAIN_MS);
  }
  if (window.EventSource && !ended()) open();
  else window.setTimeout(again, AGAIN_MS);
  window.setInterval(() => { if (!listening && !ended()) look(part); }, POLL_MS);
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.requestConfig.verb !== "get" && event.detail.successful) look(part);
  });
}
document.addEventListener("DOMContentLoaded", wireFollowed);
