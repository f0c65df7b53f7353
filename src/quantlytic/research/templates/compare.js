"use strict";
(() => {
  const L = LightweightCharts;
  const runs = JSON.parse(document.getElementById("data").textContent);
  const box = document.getElementById("chart");
  const log = document.getElementById("log");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const custom = (formatter, minMove) => ({ type: "custom", formatter, minMove });
  const fixed = (value, digits) => value.toFixed(digits).replace("-", "−");
  const all = runs.flatMap((run) => run.time);
  const span = Math.max(...runs.map((run) => run.time[run.time.length - 1])) - Math.min(...runs.map((run) => run.time[0]));
  const points = (run, values) => run.time.map((time, i) => (values[i] === null ? { time } : { time, value: values[i] }));

  const chart = L.createChart(box, {
    autoSize: true,
    layout: { fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 12, panes: { enableResize: false } },
    timeScale: { timeVisible: span < 90 * 86400, minBarSpacing: 0.001, rightOffset: 1 },
    localization: { locale: "en-GB", timeFormatter: (seconds) => new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ") },
    crosshair: { mode: L.CrosshairMode.Normal },
    handleScroll: { mouseWheel: false, vertTouchDrag: false },
    handleScale: { mouseWheel: false },
  });
  const quiet = { lastValueVisible: false, priceLineVisible: false };
  const growth = runs.map(() => chart.addSeries(L.LineSeries, { ...quiet, lineWidth: 2 }, 0));
  const drawdown = runs.map(() => chart.addSeries(L.LineSeries, { ...quiet, lineWidth: 1, priceFormat: custom((value) => `${fixed(value, 1)}\u00a0%`, 0.1) }, 1));
  chart.panes().forEach((pane, i) => pane.setStretchFactor([70, 30][i]));
  runs.forEach((run, i) => drawdown[i].setData(points(run, run.drawdown)));

  const values = runs.flatMap((run) => run.growth).filter((value) => value !== null);
  const least = values.reduce((low, value) => Math.min(low, value), Infinity);
  function setLog(on) {
    log.setAttribute("aria-pressed", String(on));
    const format = on ? custom((value) => fixed(10 ** value, 2), 0.01) : custom((value) => fixed(value, 2), 0.01);
    runs.forEach((run, i) => {
      growth[i].applyOptions({ priceFormat: format });
      growth[i].setData(points(run, on ? run.growth.map((value) => (value === null ? null : Math.log10(value))) : run.growth));
    });
  }
  log.hidden = !(least > 0);
  log.onclick = () => setLog(log.getAttribute("aria-pressed") !== "true");
  setLog(false);

  function paint() {
    const [ink, rule] = ["soft", "line"].map(colour);
    const fade = (value, share) => value + Math.round(share * 255).toString(16).padStart(2, "0");
    chart.applyOptions({
      layout: { background: { color: colour("card") }, textColor: ink, panes: { separatorColor: rule } },
      grid: { vertLines: { color: fade(rule, 0.55) }, horzLines: { color: fade(rule, 0.55) } },
      rightPriceScale: { borderColor: rule },
      timeScale: { borderColor: rule },
    });
    runs.forEach((_, i) => {
      for (const series of [growth[i], drawdown[i]]) series.applyOptions({ color: colour(`s${i % 8}`) });
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  paint();
  chart.timeScale().fitContent();
  if (all.length) box.dataset.ready = "true";
})();
