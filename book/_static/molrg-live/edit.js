/* Panel: a noisy face is moved along a direction with a name, and estimated exactly. */
"use strict";
(() => {
  const { parts, paint, fillTable, signed, soon, noiseSlider, normals, directionsOf, whatCameBack } = molrgLive;

  molrgLive.editPanel = (box, face) => {
    const part = parts(box), { law } = face;
    let directions = [], seed = 2;
    const chosen = () => directions[Number(part("direction").value)];
    const alpha = () => Number(part("alpha").value);

    /** The list of directions; the choice is kept where the new face has it, too. */
    function fillDirections() {
      const before = chosen()?.name, groups = new Map();
      directions = directionsOf(face);
      directions.forEach(({ group, name }, i) => {
        if (!groups.has(group)) groups.set(group, Object.assign(document.createElement("optgroup"), { label: group }));
        groups.get(group).append(new Option(name, i));
      });
      part("direction").replaceChildren(...groups.values());
      part("direction").value = Math.max(0, directions.findIndex(({ name }) => name === (before || "hair, redder")));
      begin();
    }

    function begin() {
      const { ends, range: [min, max] } = chosen();
      Object.assign(part("alpha"), { min, max, step: 0.05, value: 0 });
      part("minus").textContent = ends[0];
      part("plus").textContent = ends[1];
      show();
    }

    function edit() {
      const level = sigma().sigma, direction = chosen(), v = direction.vector(), z = normals(law.n, seed), began = performance.now();
      const noisy = face.picture.map((value, i) => value + level * z[i]), moved = noisy.map((value, i) => value + alpha() * v[i]);
      const before = law.denoise(noisy, level), after = law.denoise(moved, level);
      molrgLive.timing.exact = (performance.now() - began) / 2;
      part("alpha-text").textContent = signed(alpha(), 2);
      part("alpha").setAttribute("aria-valuetext", `${signed(alpha(), 2)} along ${direction.name}`);
      paint(part("moved"), moved, Math.max(1, level));
      paint(part("before"), before.estimate);
      paint(part("after"), after.estimate);
      paint(part("change"), after.estimate.map((value, i) => value - before.estimate[i]));
      fillTable(part("table"), law.data, law.attributes(after.weights), face.chosen);
      part("status").textContent = alpha() === 0 ? "Move the slider α." : whatCameBack(law, direction, alpha(), before, after);
    }

    const show = soon(edit), sigma = noiseSlider(part("noise"), part("noise-text"), law.data.levels, 0.5, show);
    part("direction").addEventListener("change", begin);
    part("alpha").addEventListener("input", show);
    part("again").addEventListener("click", () => { seed += 1; show(); });
    face.whenChanged(fillDirections);
    fillDirections();
  };
})();
