/* The garments' pictures as they are stored, and how they are drawn: 28 x 28, row by row, grey in [-1, 1]. */
"use strict";
(() => {
  const BRIGHTER = [0, 114, 178], DARKER = [213, 94, 0];  // blue and orange of the book

  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  /** IEEE half precision. */
  const fromHalf = (h) => {
    const sign = h & 0x8000 ? -1 : 1, exponent = (h >> 10) & 31, fraction = h & 1023;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction);
  };
  const stored = {
    pixels: (text) => Float32Array.from(bytes(text), (p) => p / 127.5 - 1),
    half: (text) => Float32Array.from(new Uint16Array(bytes(text).buffer), fromHalf),
    direction: (text, scale) => Float32Array.from(new Int8Array(bytes(text).buffer), (v) => v * scale),
  };

  /** Draw a picture whose pixel i has the colour colour(i). */
  function draw(canvas, colour) {
    const context = canvas.getContext("2d"), side = canvas.width, picture = context.createImageData(side, side);
    for (let i = 0; i < side * side; i++) picture.data.set([...colour(i), 255], 4 * i);
    context.putImageData(picture, 0, 0);
  }
  const grey = (values, scale = 1) => (i) => Array(3).fill(127.5 * (1 + values[i] / scale));
  /** Blue where positive, orange where negative, white at zero. */
  const twoColours = (values, scale) => (i) => {
    const share = Math.min(1, Math.abs(values[i]) / scale), end = values[i] > 0 ? BRIGHTER : DARKER;
    return end.map((c) => 255 + share * (c - 255));
  };
  const largest = (values) => values.reduce((most, v) => Math.max(most, Math.abs(v)), 1e-6);

  molrgLive.garments = { stored, draw, grey, twoColours, largest };
})();
