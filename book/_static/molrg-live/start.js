/* The live page starts here: this file loads the others, and sees to it that what fails says so in its panel.

   A page that is opened from a disk may not fetch, but may run scripts. So data are scripts, too: they hand over text by
   calling molrgLive.faces, .network, .runtime or .scene. Large ones are loaded when a reader asks for them. */
"use strict";
(() => {
  const FILES = ["differences", "numbers", "law", "drawing", "face", "directions", "edit", "noise", "network-part", "sample"];
  const PANELS = { face: "facePanel", edit: "editPanel", noise: "noisePanel", sample: "samplePanel" };
  const LEAST_MEMORY = 0.5;  // GB, as far as the browser tells
  const site = new URL("..", document.currentScript.src).href;

  const scripts = {};
  /** Load a script of the site, once; several are run in the order of the calls. What failed is tried again when called again. */
  const script = (path) => scripts[path] ??= new Promise((resolve, reject) => {
    const element = Object.assign(document.createElement("script"), { src: site + path, async: false });
    element.onload = resolve;
    element.onerror = () => {
      delete scripts[path];
      reject(new Error(`the file ${path} is missing or was blocked`));
    };
    document.head.append(element);
  });

  const handed = { networks: {} };
  window.molrgLive = {
    handed,
    script,
    timing: {},  // milliseconds of the last estimate, for who asks in the console
    faces: (content) => { handed.faces = content; },
    network: (content) => { handed.networks[content.name] = content; },
    runtime: (content) => { handed.runtime = content; },
    scene: (content) => { handed.scene = content; },
    fail,
  };

  /** The panel says what went wrong, and shows the picture made beforehand. */
  function fail(box, error) {
    const status = box.querySelector('[data-part="status"]');
    box.querySelectorAll('[data-part="controls"]').forEach((controls) => { controls.hidden = true; });
    box.querySelectorAll('[data-part="static"]').forEach((picture) => { picture.hidden = false; });
    status.hidden = false;
    status.textContent = `This panel cannot run here: ${error.message || error}. A picture, where there is one, shows what it does.`;
    status.classList.add("molrg-live-failed");
  }

  function open(box, panel, face) {
    try {
      box.querySelector('[data-part="controls"]').hidden = false;
      molrgLive[panel](box, face);
      box.querySelectorAll('[data-part="static"]').forEach((picture) => { picture.hidden = true; });
    } catch (error) {
      fail(box, error);
    }
  }

  async function start() {
    const boxes = Object.keys(PANELS).map((name) => document.getElementById(`molrg-live-${name}`));
    try {
      if (navigator.deviceMemory < LEAST_MEMORY) throw new Error("this device has little memory");
      if (!window.DecompressionStream) throw new Error("this browser is too old (DecompressionStream is needed)");
      await Promise.all([...FILES.map((name) => script(`molrg-live/${name}.js`)), script("live/faces.js")]);
      const face = new molrgLive.Face(await molrgLive.Faces.of(handed.faces));
      Object.values(PANELS).forEach((panel, i) => open(boxes[i], panel, face));
    } catch (error) {
      boxes.forEach((box) => fail(box, error));
    }
  }

  /** The garments' files are loaded when their section is opened. */
  function awaitGarments() {
    const box = document.getElementById("molrg-live-garments");
    let begun = false;
    box.addEventListener("toggle", async () => {
      if (begun) return;
      begun = true;
      try {
        await Promise.all(["jobs", "runtime", "garments-scene", "garments-sample", "garments"].map((name) => script(`molrg-live/${name}.js`)));
        await script(`live/${box.dataset.model}-scene.js`);
        open(box, "garmentsPanel", box.dataset.model);
      } catch (error) {
        fail(box, error);
      }
    });
  }

  awaitGarments();
  start();
})();
