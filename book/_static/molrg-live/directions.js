/* Directions with names, from the law itself, and in words what the exact estimate made of a step.

   A colour's direction is a column of the face's kind: the tangent along that colour, exactly, since pictures are affine
   in their colours. A direction to another kind is the difference of two pictures: no tangent, but named as well. */
"use strict";
(() => {
  const { FACTORS, word, normals, signed } = molrgLive;
  const LIKE = 2;  // the colour, "hair, redder", whose length the pattern for comparison has

  /** The picture of a face less that of another. */
  const difference = (a, b) => a.map((value, i) => value - b[i]);
  const length = (v) => Math.hypot(...v);

  /** The tangent along a colour: what one standard deviation adds. */
  function tangent(law, kind, f) {
    const one = Float64Array.from({ length: FACTORS }, (_, i) => (i === f ? 1 : 0));
    return difference(law.picture(kind, one), law.picture(kind, new Float64Array(FACTORS)));
  }

  function whitePattern(face) {
    const white = normals(face.law.n, 7), scale = length(tangent(face.law, face.kind(), LIKE)) / length(white);
    return white.map((value) => value * scale);
  }

  /** All directions of a face. `ends` name the two ways along it; `vector()` is what alpha = 1 adds to the picture. */
  molrgLive.directionsOf = (face) => {
    const { colours, values } = face.law.data;
    const along = colours.map(({ name, ends }, f) => ({
      group: "colours", name, ends, colour: f, range: [-3, 3], vector: () => tangent(face.law, face.kind(), f),
    }));
    const across = values.flatMap((list, axis) => list.map((value, i) => ({
      group: "to another kind", name: word(value), ends: [word(list[face.chosen[axis]]), word(value)], axis, value: i, range: [-0.5, 1.5],
      vector: () => difference(face.law.picture(face.kind(axis, i), face.factors), face.picture),
    })).filter(({ value: i }) => i !== face.chosen[axis]));
    const pattern = { group: "for comparison", name: "random pattern", ends: ["", ""], range: [-3, 3], vector: () => whitePattern(face) };
    return [...along, ...across, pattern];
  };

  /** How much of a step along a colour came back in the expected colours, and which other colour moved most. */
  function colourMoved(law, { colour, name }, alpha, before, after) {
    const moves = difference(law.colours(after), law.colours(before));
    const others = moves.map((move, f) => [move, f]).filter(([, f]) => f !== colour).sort(([a], [b]) => Math.abs(b) - Math.abs(a));
    const [most, f] = others[0];
    return `${signed(alpha)} standard deviations of “${name}” went in, ${signed(moves[colour], 2)} came back. `
      + `Most of the others: “${law.data.colours[f].name}”, ${signed(most, 2)}. `;
  }

  function valueMoved(law, { axis, value, name }, before, after) {
    const [from, to] = [before, after].map(({ weights }) => law.attributes(weights)[axis][value]);
    return `The probability of “${name}” went from ${from.toFixed(2)} to ${to.toFixed(2)}. `;
  }

  /** The attributes whose likeliest value is another after the step. */
  function kindMoved(law, before, after) {
    const likeliest = ({ weights }) => law.attributes(weights).map((p) => p.indexOf(Math.max(...p)));
    const [from, to] = [before, after].map(likeliest), { names, values } = law.data;
    const changed = names.map((name, axis) => [name, word(values[axis][from[axis]]), word(values[axis][to[axis]])]).filter(([, a, b]) => a !== b);
    return changed.length ? `Likeliest now: ${changed.map(([name, a, b]) => `${name} ${b}, no longer ${a}`).join("; ")}.` : "The likeliest kind is the same.";
  }

  /** In words: what the estimate made of a step. */
  molrgLive.whatCameBack = (law, direction, alpha, before, after) => {
    const own = direction.colour !== undefined ? colourMoved(law, direction, alpha, before, after)
      : direction.axis !== undefined ? valueMoved(law, direction, before, after) : "";
    const size = length(difference(after.estimate, before.estimate)), step = Math.abs(alpha) * length(direction.vector());
    return `${own}The picture moved by ${step.toFixed(1)}, the estimate by ${size.toFixed(1)}. ${kindMoved(law, before, after)}`;
  };
})();
