/* Panel: the garments' U-Net edits test images along singular vectors of its Jacobian. */
"use strict";
(() => {
  const { handed, parts, signed, oneAtATime, session, ddim } = molrgLive;
  const { stored, draw, grey, twoColours, largest } = molrgLive.garments;

  /** Radio buttons with a picture each. */
  function choices(part, name, labels) {
    labels.forEach((label, k) => {
      const item = document.createElement("div"), id = `molrg-live-${name}-${k}`;
      item.innerHTML = `<input type="radio" id="${id}" name="molrg-live-${name}" value="${k}"${k ? "" : " checked"}>`
        + `<label for="${id}"><canvas width="28" height="28" aria-hidden="true"></canvas><span>${label}</span></label>`;
      part(`${name}s`).append(item);
    });
  }

  molrgLive.garmentsPanel = (box, model) => {
    const part = parts(box), { scene } = handed, { pictures, shape } = scene;
    const names = pictures[0].directions.map((_, m) => (m < pictures[0].singular.length ? `direction ${m + 1}` : "random"));
    const unedited = new Map();  // picture -> what comes back at alpha = 0
    const chosen = (name) => Number(box.querySelector(`input[name="molrg-live-${name}"]:checked`).value);
    const icon = (name, k) => box.querySelector(`#molrg-live-${name}-${k} + label canvas`);
    const alpha = () => Number(part("alpha").value);
    const say = (text) => { part("edit-status").textContent = text; };
    const want = oneAtATime(box, (error) => molrgLive.fail(box, error));

    function network() {
      if (!network.begun) say("Loading about 8 MB from the book’s own files. This takes a few seconds, once.");
      network.begun = true;
      return session(model, scene.weights);
    }

    /** From x_t to an image; null where a newer wish came. */
    async function run(x_t, stale, seen = () => {}) {
      let last = null;
      for await (const step of ddim(await network(), x_t, shape, scene.edit)) {
        if (stale()) return null;
        seen(step.x0_hat);
        last = step.x_t;
      }
      return last;
    }

    async function edit(stale) {
      const k = chosen("picture"), m = chosen("direction"), a = alpha(), entry = pictures[k];
      const x_t = stored.half(entry.x_t), v = stored.direction(entry.directions[m], entry.scales[m]), moved = x_t.map((x, i) => x + a * v[i]);
      draw(part("noisy"), grey(moved, 3));
      const back = unedited.get(k) || await run(x_t, stale);
      if (!back) return;
      unedited.set(k, back);
      const compare = (edited) => {
        const change = edited.map((x, i) => x - back[i]);
        draw(part("edited"), grey(edited));
        draw(part("change"), twoColours(change, 1));
        return Math.hypot(...change);
      };
      const edited = await run(moved, stale, compare);  // x0_hat on the way is a preview
      if (edited) say(`${entry.class}, ${names[m]}, α = ${signed(a)}: the image changed by ${compare(edited).toFixed(1)} (Euclidean norm).`);
    }

    function choose() {
      const entry = pictures[chosen("picture")];
      draw(part("test"), grey(stored.pixels(entry.pixels)));
      draw(part("noisy"), grey(stored.half(entry.x_t), 3));
      entry.directions.forEach((text, m) => {
        const v = stored.direction(text, entry.scales[m]);
        draw(icon("direction", m), twoColours(v, largest(v)));
      });
    }

    choices(part, "picture", pictures.map((entry) => entry.class));
    choices(part, "direction", names);
    pictures.forEach((entry, k) => draw(icon("picture", k), grey(stored.pixels(entry.pixels))));
    choose();
    part("pictures").addEventListener("change", () => { choose(); want(edit); });
    part("directions").addEventListener("change", () => want(edit));
    part("alpha").addEventListener("input", () => { part("alpha-text").textContent = signed(alpha()); want(edit); });
    molrgLive.garmentSamples(part, scene, want, network);
  };
})();
