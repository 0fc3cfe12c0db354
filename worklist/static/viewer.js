// Scrolls the analysed series: slices of HU and masks come as they are, windows and overlays are
// made here. Without this script the page shows the key picture and the strip.
"use strict";
(() => {
  const LOWEST = -1024;
  const GREYS = 4096;
  const KEPT = 128; // slices in memory, 100 MB
  const AT_ONCE = 4;
  const FAR = 1e6;
  const WHEEL_PX = 40;
  const TOUCH_PX = 12;
  const FILL = 0.25;
  const ANSWER_MS = 60000; // a slice may have to be decoded first
  const UNMASKED = "The masks could not be written as DICOM and are not shown; why stands below, in Details under “Last error”.";

  const root = document.getElementById("viewer");
  if (!root || root.dataset.images === "0") return;
  const $ = (id) => document.getElementById(id);
  const canvas = $("canvas");
  const context = canvas.getContext("2d");
  const slider = $("slider");
  const kept = new Map();
  const loading = new Set();
  const failed = new Map(); // why, by the slice; asked for again when the reader comes back to it
  const pointers = new Map();
  const colours = new Map();
  const hidden = new Set();
  let series = null;
  let picture = null;
  let index = 0;
  let level = 40;
  let width = 80;
  let moved = 0;

  function say(text) {
    $("says").textContent = text;
  }

  async function open() {
    say("Decoding the images…");
    try {
      const answer = await fetch(`/api/job/${root.dataset.job}/images`);
      const told = await answer.json();
      if (!answer.ok) { say(told.error); return; }
      series = told;
    } catch {
      say("The images can't be shown: the worklist does not answer. Load the page again.");
      return;
    }
    [canvas.width, canvas.height] = [series.columns, series.rows];
    picture = context.createImageData(series.columns, series.rows);
    const [row, column] = series.spacing_mm;
    canvas.style.aspectRatio = String((series.columns * column) / (series.rows * row));
    slider.max = String(series.position_mm.length - 1);
    for (const [side, letter] of Object.entries(series.sides)) root.querySelector(`.side.${side}`).textContent = letter;
    for (const part of root.querySelectorAll("[hidden]")) part.hidden = false;
    const key = root.querySelector(".key");
    if (series.masks_missing) root.querySelector(".layers").replaceChildren(UNMASKED, key ?? "");
    else if (key) key.hidden = true;
    for (const box of root.querySelectorAll("[data-segments]")) {
      for (const segment of box.dataset.segments.split(" ")) colours.set(Number(segment), box.dataset.rgb.split(" ").map(Number));
    }
    say("");
    go(most());
    if (location.hash === "#viewer") canvas.focus({ preventScroll: true });
  }

  function most() {
    const highest = Math.max(...series.blood_ml);
    return highest ? series.blood_ml.indexOf(highest) : series.blood_ml.length >> 1;
  }

  function go(to) {
    index = Math.min(Math.max(to, 0), series.position_mm.length - 1);
    slider.value = String(index);
    const count = series.position_mm.length;
    const bar = root.querySelector(`.slice[data-index="${index}"]`);
    const blood = series.blood_ml[index];
    $("place").textContent = `${index + 1} of ${count}`;
    $("about").textContent = `${series.position_mm[index].toFixed(1)} mm` +
      (blood ? `, ${blood.toFixed(2)} mL of blood ${series.masks_missing ? "found, its mask is not shown" : "marked"}` : ", no blood marked") +
      (series.gaps.includes(index) ? "; no slice was sent above it" : "");
    if (bar) {
      const ground = bar.querySelector(".ground");
      for (const name of ["x", "width"]) $("marker").setAttribute(name, ground.getAttribute(name));
      $("marker").setAttribute("visibility", "visible");
    }
    load();
    draw();
  }

  function nearest() {
    const wanted = [];
    for (let away = 0; wanted.length < KEPT && away < series.position_mm.length; away += 1) {
      for (const at of away ? [index + away, index - away] : [index]) {
        if (at >= 0 && at < series.position_mm.length) wanted.push(at);
      }
    }
    return wanted;
  }

  function load() {
    for (const at of nearest()) {
      if (loading.size >= AT_ONCE) return;
      if (!kept.has(at) && !loading.has(at)) fetchSlice(at);
    }
  }

  async function fetchSlice(at) {
    loading.add(at);
    failed.delete(at);
    try {
      const answer = await fetch(`/api/job/${root.dataset.job}/images/${series.version}/${at}`, { signal: AbortSignal.timeout(ANSWER_MS) });
      if (answer.ok) keep(at, await answer.arrayBuffer());
      else failed.set(at, (await answer.json()).error);
    } catch {
      failed.set(at, "the worklist does not answer");
    }
    loading.delete(at);
    if (at === index) draw();
    if (kept.has(at)) load();
  }

  function keep(at, bytes) {
    const pixels = series.rows * series.columns;
    kept.set(at, { hu: new Int16Array(bytes, 0, pixels), labels: new Uint8Array(bytes, 2 * pixels, pixels) });
    const near = new Set(nearest());
    for (const old of kept.keys()) if (kept.size > KEPT && !near.has(old)) kept.delete(old);
  }

  // Grey values of every HU, once for each window (PS3.3 C.11.2.1.2, linear).
  function greys() {
    const table = new Uint8ClampedArray(GREYS);
    for (let i = 0; i < GREYS; i += 1) table[i] = ((i + LOWEST - (level - width / 2)) / width) * 255;
    return table;
  }

  function draw() {
    $("window").textContent = `${level} / ${width}`;
    for (const button of root.querySelectorAll("[data-level]")) {
      button.setAttribute("aria-pressed", String(Number(button.dataset.level) === level && Number(button.dataset.width) === width));
    }
    const slice = kept.get(index);
    canvas.dataset.shown = slice ? String(index) : "";
    if (!slice) { drawNothing(); return; }
    say("");
    const table = greys();
    const { hu, labels } = slice;
    const out = picture.data;
    for (let i = 0, o = 0; i < hu.length; i += 1, o += 4) {
      const grey = table[hu[i] - LOWEST];
      const colour = labels[i] && !hidden.has(labels[i]) ? colours.get(labels[i]) : null;
      if (colour) {
        const share = isEdge(labels, i) ? 1 : FILL;
        for (let c = 0; c < 3; c += 1) out[o + c] = grey + (colour[c] - grey) * share;
      } else {
        out[o] = out[o + 1] = out[o + 2] = grey;
      }
      out[o + 3] = 255;
    }
    context.putImageData(picture, 0, 0);
  }

  // Never the picture of one slice under the number of another.
  function drawNothing() {
    context.clearRect(0, 0, canvas.width, canvas.height);
    say(failed.has(index)
      ? `Slice ${index + 1} could not be loaded: ${failed.get(index)}. Scroll on and back to try again.`
      : `Loading slice ${index + 1}…`);
  }

  function isEdge(labels, i) {
    const own = labels[i];
    const wide = series.columns;
    return labels[i - 1] !== own || labels[i + 1] !== own || labels[i - wide] !== own || labels[i + wide] !== own;
  }

  function choose(newLevel, newWidth) {
    level = Math.round(Math.min(Math.max(newLevel, LOWEST), 3071));
    width = Math.round(Math.min(Math.max(newWidth, 1), GREYS));
    draw();
  }

  function toggle(box, on) {
    box.checked = on;
    for (const segment of box.dataset.segments.split(" ")) {
      if (on) hidden.delete(Number(segment)); else hidden.add(Number(segment));
    }
    draw();
  }

  function toggleAll() {
    const boxes = [...root.querySelectorAll("[data-segments]")];
    const on = boxes.every((box) => !box.checked);
    for (const box of boxes) toggle(box, on);
  }

  function press(event) {
    if (!series || event.ctrlKey || event.metaKey || event.altKey) return;
    const presets = [...root.querySelectorAll("[data-level]")];
    // A mouse drags for the same: as far as ten pixels.
    const windows = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowRight: [1, 0], ArrowLeft: [-1, 0] };
    const steps = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 5, PageDown: -5, Home: -FAR, End: FAR };
    if (event.shiftKey && event.key in windows) {
      const [across, down] = windows[event.key];
      const pace = 10 * Math.max(width / 200, 0.5);
      choose(level + down * pace, width + across * pace);
    } else if (event.key in steps) go(index + steps[event.key]);
    else if (event.key === "b") go(most());
    else if (event.key === "o") toggleAll();
    else if (presets[event.key - 1]) presets[event.key - 1].click();
    else return;
    event.preventDefault();
  }

  // A mouse, or two fingers, drags the window; one finger scrolls.
  function drag(event) {
    const before = pointers.get(event.pointerId);
    if (!before || !series) return;
    const [across, down] = [event.clientX - before.x, event.clientY - before.y];
    if (event.pointerType === "touch" && pointers.size === 1) {
      moved += down;
      const steps = Math.trunc(moved / TOUCH_PX);
      if (steps) { moved -= steps * TOUCH_PX; go(index - steps); }
    } else {
      const pace = Math.max(width / 200, 0.5) / pointers.size;
      choose(level + down * pace, width + across * pace);
    }
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  }

  function wheel(event) {
    if (!series || event.ctrlKey) return;
    event.preventDefault();
    moved += event.deltaMode ? Math.sign(event.deltaY) * WHEEL_PX : event.deltaY;
    const steps = Math.trunc(moved / WHEEL_PX);
    if (steps) { moved -= steps * WHEEL_PX; go(index - steps); }
  }

  canvas.addEventListener("wheel", wheel, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    moved = 0;
  });
  canvas.addEventListener("pointermove", drag);
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => pointers.delete(event.pointerId));
  canvas.addEventListener("keydown", press);
  slider.addEventListener("input", () => go(Number(slider.value)));
  $("most").addEventListener("click", () => go(most()));
  for (const button of root.querySelectorAll("[data-level]")) {
    button.addEventListener("click", () => choose(Number(button.dataset.level), Number(button.dataset.width)));
  }
  for (const box of root.querySelectorAll("[data-segments]")) box.addEventListener("change", () => toggle(box, box.checked));
  const strip = $("strip");
  if (strip) strip.addEventListener("click", (event) => {
    const slice = event.target.closest(".slice");
    if (slice && series) go(Number(slice.dataset.index));
  });
  open();
})();
