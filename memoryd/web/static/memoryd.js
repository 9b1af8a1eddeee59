// Copy buttons, the drop zone and short messages. Everything else is HTML and htmx.
"use strict";

function say(text) {
  const place = document.getElementById("said");
  place.textContent = text;
  window.clearTimeout(say.timer);
  say.timer = window.setTimeout(() => { place.textContent = ""; }, 6000);
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  try {
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

document.addEventListener("htmx:responseError", (event) => {
  let text = "The server answered " + event.detail.xhr.status + ".";
  try {
    const problem = JSON.parse(event.detail.xhr.responseText);
    text = problem.title + " " + (problem.detail || "") + (problem.hint ? " Next: " + problem.hint : "");
  } catch (error) { /* not a problem document */ }
  say(text);
});
document.addEventListener("htmx:sendError", () => say("The server does not answer. Is memoryd running?"));

function wireDrop() {
  const zone = document.querySelector("[data-drop]");
  if (!zone || zone.dataset.wired) return;
  zone.dataset.wired = "yes";
  const input = zone.querySelector("input[type=file]");
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
document.addEventListener("htmx:afterSwap", wireDrop);
