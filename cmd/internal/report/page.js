"use strict";
// Lines are drawn without this script; it shows values beside the pointer and hides runs.
(function () {
  const hidden = new Set();
  document.querySelectorAll(".legend button").forEach(function (button) {
    button.addEventListener("click", function () {
      const id = button.dataset.series;
      const show = hidden.delete(id);
      if (!show) hidden.add(id);
      button.setAttribute("aria-pressed", String(show));
      document.querySelectorAll("figure [data-series]").forEach(function (g) {
        g.classList.toggle("off", hidden.has(g.dataset.series));
      });
    });
  });
  function nearest(xs, x) {
    let lo = 0, hi = xs.length - 1;
    while (hi - lo > 1) {
      const mid = (lo + hi) >> 1;
      if (xs[mid] < x) lo = mid; else hi = mid;
    }
    return Math.abs(xs[lo] - x) <= Math.abs(xs[hi] - x) ? lo : hi;
  }
  document.querySelectorAll("figure[data-chart]").forEach(function (figure) {
    const data = JSON.parse(figure.querySelector("script").textContent);
    const svg = figure.querySelector("svg"), tip = figure.querySelector("output"), cross = svg.querySelector(".cross");
    svg.addEventListener("pointermove", function (e) {
      const box = svg.getBoundingClientRect();
      const at = (e.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
      const x = (at - data.Left) / data.Width * data.Right;
      if (x < 0 || x > data.Right * 1.02) { leave(); return; }
      const rows = [];
      let name = "";
      data.Lines.forEach(function (l) {
        if (hidden.has(String(l.Series)) || !l.X.length) return;
        const i = nearest(l.X, x);
        name = name || (l.Name ? l.Name[i] : l.X[i].toFixed(1) + " s");
        rows.push(l.Label + ": " + l.Y[i]);
      });
      cross.setAttribute("x1", at);
      cross.setAttribute("x2", at);
      cross.setAttribute("visibility", rows.length ? "visible" : "hidden");
      tip.textContent = name + "\n" + rows.join("\n");
      tip.hidden = !rows.length;
      tip.classList.toggle("left", x > data.Right / 2);
    });
    function leave() {
      tip.hidden = true;
      cross.setAttribute("visibility", "hidden");
    }
    svg.addEventListener("pointerleave", leave);
  });
})();
