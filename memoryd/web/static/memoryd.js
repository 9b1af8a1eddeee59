// Copy buttons, the drop zone and short messages. Everything else is HTML and htmx.
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
