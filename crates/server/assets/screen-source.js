// A desktop's recording as a player needs it: the list of what was drawn when, and the pictures,
// which are ranges of the recording's own file.
"use strict";

/* exported Recording */

// Pictures closer together than this are fetched as one range.
const GAP_BYTES_MAX = 64 << 10;
// Bytes of one range, unless a single picture is longer.
const RANGE_BYTES_MAX = 1 << 20;
// Ranges that are fetched at a time.
const RANGES_AT_ONCE = 4;
// Pixels that are decoded at a time, unless a single picture has more.
const PIXELS_AT_ONCE = 40_000_000;
// Pictures behind one moment of the screen. Older ones below them stay away.
const PICTURES_MAX = 20_000;
// The screen is divided into squares of this side to see what covers what.
const CELL = 16;

class Recording {
  constructor(list, file) {
    this.list = list;
    this.file = file;
    this.events = [];
    this.sizes = [];
    this.pointers = [];
    this.about = null;
    this.end = null;
    // Parts of the file that were fetched before they were needed.
    this.ahead = [];
    this.aheadTo = 0;
    this.isFetching = false;
  }

  // Reads the list, and tells of every piece of it that came.
  async read(tell) {
    const answer = await fetch(this.list);
    if (!answer.ok) throw new Error(`the list of what was drawn: ${answer.status}`);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) this.take(JSON.parse(line));
      tell();
    }
    if (!this.end) throw new Error("the list of what was drawn breaks off");
  }

  take(line) {
    if (!Array.isArray(line)) {
      if (this.about) this.end = line;
      else this.about = line;
      return;
    }
    if (line[1] === "size") this.sizes.push(this.events.length);
    if (line[1] === "pointer") this.pointers.push(this.events.length);
    this.events.push(line);
  }

  // Milliseconds that are known so far.
  get known() {
    if (this.end) return this.end.millis;
    return this.events.length ? this.events.at(-1)[0] : 0;
  }

  // The first moment with something to see, once it is known.
  get firstPicture() {
    return this.events.find((event) => event[1] === "tile")?.[0];
  }

  // How many events there are up to a moment.
  countAt(millis) {
    return firstWhere(this.events.length, (idx) => millis < this.events[idx][0]);
  }

  // The pointer after this many events, if there is one.
  pointerAt(count) {
    const n = firstWhere(this.pointers.length, (idx) => count <= this.pointers[idx]);
    return n ? this.events[this.pointers[n - 1]] : null;
  }

  // What to draw so that a screen after `from` events becomes the screen after `to`: its size,
  // whether it begins anew, and the pictures that are not wholly below later ones.
  between(from, to) {
    const n = firstWhere(this.sizes.length, (idx) => to <= this.sizes[idx]);
    if (!n) return null;
    const sizeIdx = this.sizes[n - 1];
    const [, , width, height] = this.events[sizeIdx];
    const isNew = from <= sizeIdx;
    const begin = isNew ? sizeIdx + 1 : from;
    const cover = new Cover(width, height);
    const tiles = [];
    for (let idx = to - 1; begin <= idx && cover.isOpen && tiles.length < PICTURES_MAX; idx--) {
      if (this.events[idx][1] === "tile" && cover.add(this.events[idx])) tiles.push(idx);
    }
    return { width, height, isNew, tiles: tiles.reverse() };
  }

  // Gives these pictures in order, a few at a time; one that is damaged is missing.
  async *pictures(tiles, signal) {
    let some = [];
    let pixels = 0;
    for (const idx of tiles) {
      const [, , , , width, height] = this.events[idx];
      if (some.length && PIXELS_AT_ONCE < pixels + width * height) {
        yield await this.decode(some, signal);
        some = [];
        pixels = 0;
      }
      some.push(idx);
      pixels += width * height;
    }
    if (some.length) yield await this.decode(some, signal);
  }

  async decode(tiles, signal) {
    const bytes = await this.bytesOf(tiles, signal);
    const decoded = tiles.map(async (idx) => {
      const blob = new Blob([bytes.get(idx)], { type: imageType(bytes.get(idx)) });
      const image = await createImageBitmap(blob).catch(() => null);
      return { event: this.events[idx], image };
    });
    return Promise.all(decoded);
  }

  // The bytes of these pictures, by their index.
  async bytesOf(tiles, signal) {
    const bytes = new Map();
    const missing = [];
    for (const idx of tiles) {
      const [, , , , , , begin, length] = this.events[idx];
      const part = this.ahead.find((part) => part.begin <= begin && begin + length <= part.end);
      if (part) bytes.set(idx, part.bytes.subarray(begin - part.begin, begin - part.begin + length));
      else missing.push(idx);
    }
    const ranges = this.ranges(missing);
    const fetchSome = async () => {
      for (let range = ranges.shift(); range; range = ranges.shift()) {
        const whole = await this.fetchRange(range.begin, range.end, signal);
        for (const idx of range.tiles) {
          const [, , , , , , begin, length] = this.events[idx];
          bytes.set(idx, whole.subarray(begin - range.begin, begin - range.begin + length));
        }
      }
    };
    await Promise.all(Array.from({ length: RANGES_AT_ONCE }, fetchSome));
    return bytes;
  }

  ranges(tiles) {
    const ranges = [];
    for (const idx of tiles) {
      const [, , , , , , begin, length] = this.events[idx];
      const last = ranges.at(-1);
      const end = begin + length;
      if (last && begin - last.end <= GAP_BYTES_MAX && end - last.begin <= RANGE_BYTES_MAX) {
        last.end = end;
        last.tiles.push(idx);
      } else {
        ranges.push({ begin, end, tiles: [idx] });
      }
    }
    return ranges;
  }

  async fetchRange(begin, end, signal) {
    const headers = { Range: `bytes=${begin}-${end - 1}` };
    const answer = await fetch(this.file, { headers, signal, cache: "no-store" });
    if (!answer.ok) throw new Error(`a part of the recording: ${answer.status}`);
    let blob = await answer.blob();
    // Something on the way may not know of ranges.
    if (answer.status === 200) blob = blob.slice(begin, end);
    return new Uint8Array(await blob.arrayBuffer());
  }

  // Fetches what comes after `count` events and before a moment, one range at a time.
  async fetchAhead(count, until) {
    this.ahead = this.ahead.filter((part) => count < part.to);
    if (this.aheadTo < count || !this.ahead.length) this.aheadTo = count;
    const isNear = (idx) => idx < this.events.length && this.events[idx][0] <= until;
    if (this.isFetching || !isNear(this.aheadTo)) return;
    let to = this.aheadTo;
    let range = null;
    for (; isNear(to); to++) {
      if (this.events[to][1] !== "tile") continue;
      const [, , , , , , begin, length] = this.events[to];
      range ??= { begin, end: begin };
      if (range.begin < range.end && RANGE_BYTES_MAX < begin + length - range.begin) break;
      range.end = begin + length;
    }
    this.aheadTo = to;
    if (!range) return;
    this.isFetching = true;
    try {
      const bytes = await this.fetchRange(range.begin, range.end);
      this.ahead.push({ ...range, to, bytes });
    } catch {
      // It is fetched once more when it is needed, and then a failure is told.
    } finally {
      this.isFetching = false;
    }
  }

  // Forgets what was fetched ahead of another place.
  jump() {
    this.ahead = [];
  }
}

// Which squares of a screen lie below what was looked at so far.
class Cover {
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.columns = Math.ceil(width / CELL);
    this.cells = new Uint8Array(this.columns * Math.ceil(height / CELL));
    this.nOpen = this.cells.length;
  }

  get isOpen() {
    return 0 < this.nOpen;
  }

  // Whether any of this picture is seen; what it covers wholly is not seen of earlier ones.
  add([, , x, y, width, height]) {
    const right = Math.min(x + width, this.width);
    const bottom = Math.min(y + height, this.height);
    let isSeen = false;
    for (let top = y - (y % CELL); top < bottom; top += CELL) {
      for (let left = x - (x % CELL); left < right; left += CELL) {
        const cell = (top / CELL) * this.columns + left / CELL;
        if (this.cells[cell]) continue;
        isSeen = true;
        const isWhole =
          x <= left &&
          y <= top &&
          Math.min(left + CELL, this.width) <= right &&
          Math.min(top + CELL, this.height) <= bottom;
        if (!isWhole) continue;
        this.cells[cell] = 1;
        this.nOpen -= 1;
      }
    }
    return isSeen;
  }
}

// The first of so many for which it is so, where it is so for all after it.
function firstWhere(length, isSo) {
  let [low, high] = [0, length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isSo(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

// The forms that the list has in it: never a document.
function imageType(bytes) {
  return { 0xff: "image/jpeg", 0x89: "image/png", 0x52: "image/webp" }[bytes[0]];
}
