// Starts the player on a terminal page: the address of the recording stands in `data-cast`.
"use strict";

const place = document.getElementById("terminal");

AsciinemaPlayer.create(place.dataset.cast, place, {
  fit: "both",
  preload: true,
  controls: true,
  terminalFontFamily: "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace",
});
