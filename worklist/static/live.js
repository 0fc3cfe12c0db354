// Keeps an open list current: an event of the server makes it fetch its own address again and put
// the new rows in. Without this script the list is a plain page with plain forms.
import { callOut, offerSound } from "./sound.js";

const SLOWEST_MS = 60000;
const ANSWER_MS = 10000; // what hangs for longer does not answer
const TOO_OLD_MS = SLOWEST_MS + 2 * ANSWER_MS; // as after a night in a lid that was shut
const WATCH_MS = 5000;
const UNANSWERED = "Not current: the worklist does not answer. Read all studies in their normal order.";
const JUST_MOVED_MS = 700;
const PARTS = ["a.open", ".thumbnail a", "form.seen button"]; // of a row, that can have the focus
const ACKNOWLEDGE = 'form.seen[action$="/acknowledge"]'; // the other one takes back what somebody saw
const live = () => document.getElementById("live");
const rows = () => [...document.querySelectorAll("#live tr.row")];
let refreshing = null;
let again = false;
let next = ""; // the study that the focus goes on to when the row that has it was dealt with
let pointer = [-1, -1];
let currentAt = Date.now();
let moved = { study: "", at: -JUST_MOVED_MS };

async function refresh() {
  if (refreshing) { again = true; return refreshing; }
  refreshing = renew();
  await refreshing;
  refreshing = null;
  if (again) { again = false; await refresh(); }
}

async function renew() {
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(ANSWER_MS) });
    if (answer.redirected) { location.href = answer.url; return; }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("live");
    if (!fresh) throw new Error("no list in the answer");
    put(fresh, page.title);
    turnCurrent();
  } catch {
    turnStale(UNANSWERED);
  }
}

function put(fresh, title) {
  const focus = whereFocused();
  const pointed = studyUnderPointer();
  // Pictures that are there already stay: no answer of ours is kept in a cache.
  const shown = new Map([...live().querySelectorAll("img")].map((img) => [img.getAttribute("src"), img]));
  for (const img of fresh.querySelectorAll("img")) {
    const same = shown.get(img.getAttribute("src"));
    if (same && same.alt === img.alt) img.replaceWith(same);
  }
  live().replaceWith(document.adoptNode(fresh));
  document.title = title;
  focusAgain(focus);
  const study = studyUnderPointer();
  if (study !== pointed) moved = { study, at: performance.now() };
  callOut(live().dataset.newest);
}

function studyOf(element) {
  const row = element && element.closest("#live tr.row");
  const link = row && row.querySelector("a.open");
  return link ? link.getAttribute("href") : "";
}

function studyUnderPointer() {
  return studyOf(document.elementFromPoint(...pointer));
}

function whereFocused() {
  const active = document.activeElement;
  if (!active || !live().contains(active)) return null;
  return { study: studyOf(active), part: PARTS.find((part) => active.matches(part)) || ".more a" };
}

function focusAgain(focus) {
  if (!focus) return;
  const going = next;
  next = "";
  const row = rows().find((one) => studyOf(one) === (going || focus.study));
  const place = row ? row.querySelector(going ? "a.open" : focus.part) || row.querySelector("a.open") : live().querySelector(".more a");
  if (place) place.focus({ preventScroll: true });
}

function say(text) {
  document.getElementById("connection").textContent = text;
}

function turnStale(text) {
  document.body.classList.add("stale");
  say(text);
}

// Takes back what it said of the list itself; what a reader was told of a study stays to be read.
function turnCurrent() {
  currentAt = Date.now();
  if (document.body.classList.contains("stale")) say("");
  document.body.classList.remove("stale");
}

function watch() {
  if (Date.now() - currentAt > TOO_OLD_MS) turnStale(UNANSWERED);
}

function step(by) {
  const links = [...document.querySelectorAll("a.open")];
  const at = links.findIndex((link) => studyOf(link) === studyOf(document.activeElement));
  const link = links[Math.min(links.length - 1, Math.max(0, at < 0 ? 0 : at + by))];
  if (link) { link.focus(); link.scrollIntoView({ block: "nearest" }); }
}

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select, textarea")) return;
  const row = event.target.closest("tr");
  const search = document.getElementById("search");
  const keys = {
    j: () => step(1), ArrowDown: () => step(1), k: () => step(-1), ArrowUp: () => step(-1),
    // A key that is held down marks one study, not every one that moves up to its place.
    s: () => { const form = row && row.querySelector(ACKNOWLEDGE); if (form && !event.repeat) form.requestSubmit(); },
    "/": () => search && search.focus(),
  };
  if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
}

async function submit(event) {
  const form = event.target.closest("form.seen");
  if (!form) return;
  event.preventDefault();
  say("");
  const row = form.closest("tr");
  const near = row.nextElementSibling || row.previousElementSibling;
  if (row.contains(document.activeElement)) next = studyOf(near);
  try {
    const answer = await fetch("/api" + new URL(form.action).pathname, {
      method: "POST", body: new URLSearchParams(new FormData(form)), signal: AbortSignal.timeout(ANSWER_MS),
    });
    const error = answer.ok ? "" : (await answer.json()).error;
    if (error) next = "";
    await refresh();
    if (error) say(error);
  } catch {
    next = "";
    turnStale("The worklist does not answer, and perhaps has not marked this. Try again.");
  }
}

// A row that came under a pointer which rested is not the one that the reader means to click.
function guard(event) {
  if (!event.detail || performance.now() - moved.at > JUST_MOVED_MS) return;
  if (!moved.study || studyOf(event.target) !== moved.study) return;
  event.preventDefault();
  event.stopPropagation();
  say("The list moved just now. Look again, then click.");
}

const events = new EventSource("/events");
events.addEventListener("change", refresh);
events.addEventListener("error", () => { if (events.readyState === EventSource.CLOSED) refresh(); });
setInterval(refresh, SLOWEST_MS);
setInterval(watch, WATCH_MS);
document.addEventListener("keydown", press);
document.addEventListener("submit", submit);
document.addEventListener("click", guard, true);
document.addEventListener("pointermove", (event) => { pointer = [event.clientX, event.clientY]; moved.study = ""; });
offerSound(document.querySelector(".sound"));
callOut(live().dataset.newest);
