// Keeps an open list current: an event of the server makes it fetch its own address again and put
// the new rows in. Without this script the list is a plain page with plain forms.
"use strict";
(() => {
  const SLOWEST_MS = 60000;
  const live = () => document.getElementById("live");
  let critical = Number(live().dataset.critical);
  let sound = null;
  let refreshing = false;
  let again = false;

  async function refresh() {
    if (refreshing) { again = true; return; }
    refreshing = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (answer.redirected) { location.href = answer.url; return; }
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("live");
      if (!fresh) throw new Error("no list in the answer");
      put(fresh, page.title);
      say("");
    } catch (error) {
      say("Not current: the worklist does not answer. Read all studies in their normal order.");
    } finally {
      refreshing = false;
      if (again) { again = false; refresh(); }
    }
  }

  function put(fresh, title) {
    const focused = document.activeElement && document.activeElement.closest("tr a.open");
    const href = focused ? focused.getAttribute("href") : null;
    // Pictures that are there already stay: no answer of ours is kept in a cache.
    const shown = new Map([...live().querySelectorAll("img")].map((img) => [img.getAttribute("src"), img]));
    for (const img of fresh.querySelectorAll("img")) {
      const same = shown.get(img.getAttribute("src"));
      if (same && same.alt === img.alt) img.replaceWith(same);
    }
    live().replaceWith(document.adoptNode(fresh));
    document.title = title;
    if (href) {
      const link = [...document.querySelectorAll("a.open")].find((a) => a.getAttribute("href") === href);
      if (link) link.focus({ preventScroll: true });
    }
    const now = Number(live().dataset.critical);
    if (now > critical) beep();
    critical = now;
  }

  function say(text) {
    const place = document.getElementById("connection");
    place.hidden = !text;
    place.textContent = text;
    document.body.classList.toggle("stale", Boolean(text));
  }

  function beep() {
    if (!sound) return;
    for (const [at, hertz] of [[0, 880], [0.25, 660], [0.5, 880]]) {
      const tone = sound.createOscillator();
      const volume = sound.createGain();
      tone.frequency.value = hertz;
      volume.gain.value = 0.2;
      tone.connect(volume).connect(sound.destination);
      tone.start(sound.currentTime + at);
      tone.stop(sound.currentTime + at + 0.18);
    }
  }

  function offerSound() {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet";
    const show = () => {
      button.textContent = sound ? "Sound on" : "Sound off";
      button.setAttribute("aria-pressed", String(Boolean(sound)));
    };
    button.addEventListener("click", () => {
      if (sound) { sound.close(); sound = null; } else { sound = new AudioContext(); beep(); }
      show();
    });
    show();
    document.querySelector(".sound").append(button);
  }

  function step(by) {
    const links = [...document.querySelectorAll("a.open")];
    const at = links.indexOf(document.activeElement);
    const next = links[Math.min(links.length - 1, Math.max(0, at < 0 ? 0 : at + by))];
    if (next) { next.focus(); next.scrollIntoView({ block: "nearest" }); }
  }

  function press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea")) return;
    const row = event.target.closest("tr");
    const search = document.getElementById("search");
    const keys = {
      j: () => step(1), ArrowDown: () => step(1), k: () => step(-1), ArrowUp: () => step(-1),
      s: () => { const form = row && row.querySelector("form.seen"); if (form) form.requestSubmit(); },
      "/": () => search && search.focus(),
    };
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  }

  async function submit(event) {
    const form = event.target.closest("form.seen");
    if (!form) return;
    event.preventDefault();
    const answer = await fetch("/api" + new URL(form.action).pathname, {
      method: "POST", body: new URLSearchParams(new FormData(form)),
    });
    if (answer.ok) refresh();
    else say((await answer.json()).error);
  }

  const events = new EventSource("/events");
  events.addEventListener("change", refresh);
  events.addEventListener("error", () => { if (events.readyState === EventSource.CLOSED) refresh(); });
  setInterval(refresh, SLOWEST_MS);
  document.addEventListener("keydown", press);
  document.addEventListener("submit", submit);
  offerSound();
})();
