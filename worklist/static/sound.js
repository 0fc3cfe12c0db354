// The sound that a reader switches on: kept for the next page and the next day, and never said to
// be on where the browser holds it back until somebody clicks.
const KEPT = "triage-sound";
const HEARD = "triage-sound-heard";
let sound = null;
let latest = "";

function recall(name) {
  try { return localStorage.getItem(name) || ""; } catch { return ""; }
}

function keep(name, value) {
  try { localStorage.setItem(name, value); } catch { /* asked again on the next page */ }
}

function beep() {
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

const isHeard = () => Boolean(sound) && sound.state === "running";

// Calls out a critical result that is newer than the last one that was heard, on whichever page.
export function callOut(newest) {
  latest = newest;
  if (!isHeard() || newest <= recall(HEARD)) return;
  keep(HEARD, newest);
  beep();
}

export function offerSound(place) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet";
  const show = () => {
    button.textContent = isHeard() ? "Sound on" : sound ? "Click for sound" : "Sound off";
    button.setAttribute("aria-pressed", String(isHeard()));
  };
  const begin = () => {
    sound = new AudioContext();
    sound.addEventListener("statechange", () => { show(); callOut(latest); });
  };
  const wake = () => { if (sound && sound.state === "suspended") sound.resume(); };
  button.addEventListener("click", () => {
    if (isHeard()) { sound.close(); sound = null; }
    else { if (!sound) begin(); wake(); beep(); keep(HEARD, latest); }
    keep(KEPT, sound ? "on" : "");
    show();
  });
  if (recall(KEPT)) begin();
  for (const touched of ["pointerup", "keydown"]) document.addEventListener(touched, (event) => { if (!button.contains(event.target)) wake(); });
  show();
  place.append(button);
}
