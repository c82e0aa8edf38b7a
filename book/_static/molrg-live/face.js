/* The face that the panels share: its kind, its colours, and the form in which a reader chooses them. */
"use strict";
(() => {
  const { FACTORS, word, parts, paint, signed, normals, uniforms } = molrgLive;

  class Face {
    constructor(law) {
      this.law = law;
      this.listeners = [];
      this.set([2, 0, 0, 1], new Float64Array(FACTORS));
    }

    /** @param chosen a place in each attribute's list of values; @param factors colours in standard deviations */
    set(chosen, factors) {
      Object.assign(this, { chosen, factors });
      this.picture = this.law.picture(this.kind(), factors);
      this.listeners.forEach((listener) => listener());
    }

    /** Another value for one attribute, at once. */
    kind(axis = -1, value = 0) {
      const { shape } = this.law.data;
      return this.chosen.reduce((number, own, i) => number * shape[i] + (i === axis ? value : own), 0);
    }

    /** A kind by chance, and colours from their law. */
    another(seed) {
      const uniform = uniforms(seed);
      this.set(this.law.data.shape.map((length) => Math.floor(length * uniform())), normals(FACTORS, seed + 1));
    }

    whenChanged(listener) { this.listeners.push(listener); }
  }

  /** The form: a list for each attribute, a slider for each colour, and a face by chance. */
  molrgLive.facePanel = (box, face) => {
    const part = parts(box), { names, values, colours } = face.law.data;
    const lists = names.map((name, axis) => {
      const list = part(name);
      values[axis].forEach((value, i) => list.add(new Option(word(value), i)));
      list.addEventListener("change", () => face.set(face.chosen.map((own, a) => (a === axis ? Number(list.value) : own)), face.factors));
      return list;
    });
    const sliders = colours.map(({ name }, f) => {
      const line = document.createElement("label");
      line.innerHTML = `<span>${name}</span><input type="range" min="-2.5" max="2.5" step="0.1"><output></output>`;
      part("colours").append(line);
      const slider = line.querySelector("input");
      slider.addEventListener("input", () => face.set(face.chosen, face.factors.map((own, i) => (i === f ? Number(slider.value) : own))));
      return slider;
    });
    part("another").addEventListener("click", () => face.another(Date.now()));
    part("plain").addEventListener("click", () => face.set(face.chosen, new Float64Array(FACTORS)));
    const show = () => {
      paint(part("face"), face.picture);
      lists.forEach((list, axis) => { list.value = face.chosen[axis]; });
      sliders.forEach((slider, f) => {
        slider.value = face.factors[f];
        slider.nextElementSibling.textContent = signed(face.factors[f]);
        slider.setAttribute("aria-valuetext", `${signed(face.factors[f])} standard deviations`);
      });
      part("status").textContent = `${face.chosen.map((value, axis) => word(values[axis][value])).join(", ")}: kind ${face.kind()} of 0 to ${face.law.kinds - 1}.`;
    };
    face.whenChanged(show);
    show();
  };
  Object.assign(molrgLive, { Face });
})();
