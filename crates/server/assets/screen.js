// The player on the page of a desktop's recording. The addresses stand in `data-list` and
// `data-file`.
"use strict";

/* global Recording */

// What is left of a pause that is skipped, and how long a pause is.
const PAUSE_REST_MILLIS = 500;
const PAUSE_MILLIS = 2_000;
// How far ahead pictures are fetched, of the time of the person who looks.
const AHEAD_MILLIS = 8_000;
// Time stands still while a picture is late by more than this.
const LATE_MILLIS = 200;
// A step of the clock; a page in the background gets none.
const STEP_MILLIS_MAX = 250;
const JUMP_MILLIS = 5_000;

const element = (id) => document.getElementById(id);
const place = element("player");
const canvas = element("picture");
const pointer = element("pointer");
const play = element("play");
const position = element("position");
const speed = element("speed");

const recording = new Recording(place.dataset.list, place.dataset.file);
const surface = canvas.getContext("2d");
// A screen that begins anew is put together here.
const next = document.createElement("canvas");
// So many events are on the screen, and since when it is being brought to more of them.
let drawn = 0;
let drawing = null;
let nDamaged = 0;

let now = 0;
let isPlaying = false;
let lastTick = 0;
let failure = "";

// ---- The picture ----

// Brings the screen to `now`; while it is being brought somewhere, it goes on from there.
async function draw() {
  if (drawing) return;
  const to = recording.countAt(now);
  if (to === drawn) return;
  drawing = performance.now();
  try {
    await drawTo(to);
    drawn = to;
    failure = "";
  } catch (error) {
    failure = "The recording cannot be read now. Try again in a moment, or ask for a new link.";
    console.info(error.message);
    stop();
  }
  drawing = null;
  place.classList.remove("waiting");
  show();
  if (!failure && recording.countAt(now) !== drawn) draw();
}

async function drawTo(to) {
  const from = drawn < to ? drawn : 0;
  const change = recording.between(from, to);
  if (!change) {
    surface.clearRect(0, 0, canvas.width, canvas.height);
    return;
  }
  // What begins anew is shown when it is whole. What goes on may be drawn twice, if a part of it
  // cannot be had at once.
  const context = change.isNew ? next.getContext("2d") : surface;
  if (change.isNew) [next.width, next.height] = [change.width, change.height];
  for await (const pictures of recording.pictures(change.tiles)) {
    for (const { event, image } of pictures) {
      if (!image) {
        nDamaged += 1;
        continue;
      }
      context.drawImage(image, event[2], event[3]);
      image.close();
    }
  }
  if (change.isNew) {
    // Setting a side empties a canvas.
    [canvas.width, canvas.height] = [change.width, change.height];
    surface.drawImage(next, 0, 0);
    // Nothing is kept of it until it is needed again.
    next.width = next.height = 0;
  }
  const at = recording.pointerAt(to);
  pointer.hidden = !at;
  if (at) {
    pointer.style.left = `${(100 * at[2]) / change.width}%`;
    pointer.style.top = `${(100 * at[3]) / change.height}%`;
    pointer.classList.toggle("pressed", at[4] === 1);
  }
}

// ---- The clock ----

function tick(time) {
  if (!isPlaying) return;
  const factor = speed.value / 10;
  let step = Math.min(time - lastTick, STEP_MILLIS_MAX) * factor;
  lastTick = time;
  const isLate = drawing && LATE_MILLIS < performance.now() - drawing;
  place.classList.toggle("waiting", Boolean(isLate));
  if (isLate) step = 0;
  now = Math.min(now + step, recording.known);
  if (element("pauses").checked) skipPause();
  draw();
  recording.fetchAhead(drawn, now + AHEAD_MILLIS * factor);
  if (recording.end && recording.known <= now) stop();
  show();
  requestAnimationFrame(tick);
}

function skipPause() {
  const count = recording.countAt(now);
  const until = count < recording.events.length ? recording.events[count][0] : recording.end?.millis;
  const begin = count ? recording.events[count - 1][0] : 0;
  const isPause = PAUSE_MILLIS < until - begin && PAUSE_REST_MILLIS < now - begin;
  if (isPause && now < until - PAUSE_REST_MILLIS) now = until - PAUSE_REST_MILLIS;
}

function start() {
  if (isPlaying || play.disabled) return;
  if (recording.end && recording.known <= now) now = 0;
  isPlaying = true;
  failure = "";
  lastTick = performance.now();
  show();
  requestAnimationFrame(tick);
}

function stop() {
  isPlaying = false;
  show();
}

function seek(millis) {
  now = Math.max(0, Math.min(millis, recording.known));
  recording.jump();
  draw();
  show();
}

// ---- What the controls show ----

function clock(millis) {
  const secs = Math.floor(millis / 1_000);
  const two = (number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(secs / 3_600), Math.floor(secs / 60) % 60];
  if (hours) return `${hours}:${two(minutes)}:${two(secs % 60)}`;
  return `${minutes}:${two(secs % 60)}`;
}

function show() {
  place.classList.toggle("playing", isPlaying);
  play.setAttribute("aria-label", isPlaying ? "Pause" : "Play");
  position.max = recording.known;
  position.value = now;
  position.setAttribute("aria-valuetext", `${clock(now)} of ${clock(recording.known)}`);
  element("now").textContent = clock(now);
  element("whole").textContent = clock(recording.known);
  say();
}

function say() {
  const sentences = [];
  if (failure) sentences.push(failure);
  if (!recording.end && !failure) sentences.push("Reading the recording …");
  if (recording.end && play.disabled) sentences.push("There is no picture to show.");
  if (recording.end?.sentence) sentences.push(recording.end.sentence);
  if (nDamaged) sentences.push("Pictures that are damaged are left out.");
  if (recording.end && recording.about?.began) sentences.unshift(told(recording.about));
  const text = sentences.join(" ");
  if (element("said").textContent !== text) element("said").textContent = text;
}

// When, of what and by whom it was recorded.
function told({ began, device, user }) {
  const options = { dateStyle: "long", timeStyle: "medium", timeZone: "UTC" };
  const words = [`Recorded ${new Intl.DateTimeFormat("en-GB", options).format(began)} UTC`];
  // What strangers named keeps its own direction.
  const apart = (name) => `\u2068${name}\u2069`;
  if (device) words.push(`device ${apart(device)}`);
  if (user) words.push(`by ${apart(user)}`);
  return `${words.join(", ")}.`;
}

// ---- What a person does ----

play.addEventListener("click", () => (isPlaying ? stop() : start()));
position.addEventListener("input", () => seek(Number(position.value)));
element("full").addEventListener("click", fullScreen);
canvas.addEventListener("click", () => (isPlaying ? stop() : start()));

function fullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else place.requestFullscreen?.();
}

function changeSpeed(step) {
  const idx = speed.selectedIndex + step;
  if (0 <= idx && idx < speed.options.length) speed.selectedIndex = idx;
}

const KEYS = {
  " ": () => (isPlaying ? stop() : start()),
  k: () => (isPlaying ? stop() : start()),
  ArrowLeft: () => seek(now - JUMP_MILLIS),
  ArrowRight: () => seek(now + JUMP_MILLIS),
  Home: () => seek(0),
  End: () => seek(recording.known),
  "<": () => changeSpeed(-1),
  ">": () => changeSpeed(1),
  f: fullScreen,
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || play.disabled) return;
  const isOn = (...names) => names.includes(event.target.id);
  // These keys mean something else on these controls.
  if (isOn("speed")) return;
  const isOwn = isOn("play", "full", "pauses") || ["A", "SUMMARY"].includes(event.target.tagName);
  if (event.key === " " && isOwn) return;
  const tenths = /^[0-9]$/.test(event.key) ? Number(event.key) : null;
  const act = tenths === null ? KEYS[event.key] : () => seek((recording.known * tenths) / 10);
  if (!act) return;
  event.preventDefault();
  act();
});

// ---- The beginning ----

// The first picture is shown as soon as it is known; before it there is nothing to see.
function begin() {
  const first = play.disabled ? recording.firstPicture : undefined;
  if (first !== undefined) {
    play.disabled = position.disabled = false;
    seek(first);
  }
  show();
}

recording.read(begin).then(show, (error) => {
  console.info(error.message);
  const sentence = recording.events.length
    ? "The rest of the recording could not be read. Load the page again to see it."
    : "The recording cannot be read now. Try again in a moment, or ask for a new link.";
  recording.end = { millis: recording.known, sentence };
  show();
});
