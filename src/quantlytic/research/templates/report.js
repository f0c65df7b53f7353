"use strict";
(() => {
  const L = LightweightCharts;
  const data = JSON.parse(document.getElementById("data").textContent);
  const times = data.time;
  const box = document.getElementById("chart");
  const hint = document.getElementById("hint");
  const picker = document.getElementById("instrument");
  const step = times.length > 1 ? (times[times.length - 1] - times[0]) / (times.length - 1) : 60;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const number = (value, digits) => value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const percent = (value) => `${number(value, Math.abs(value) < 10 ? 2 : 1)}\u00a0%`.replace("-", "−");
  const money = (value) => number(value, Math.abs(value) < 1000 ? 2 : 0).replace("-", "−");
  const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 4 });
  const stamp = (seconds) => {
    const text = new Date(seconds * 1000).toISOString();
    return step >= 86000 ? text.slice(0, 10) : `${text.slice(0, 10)} ${text.slice(11, step < 60 ? 19 : 16)}`;
  };
  const custom = (formatter, minMove = 0.001) => ({ type: "custom", formatter, minMove });
  const decimals = (digits) => custom((value) => number(value, digits), 10 ** -digits);
  const points = (values) => values.map((value, i) => (value === null ? { time: times[i] } : { time: times[i], value }));

  const chart = L.createChart(box, {
    autoSize: true,
    layout: { fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 12, panes: { enableResize: false } },
    timeScale: { timeVisible: step < 86000, secondsVisible: step < 60, minBarSpacing: 0.01, rightOffset: 1 },
    localization: { locale: "en-GB", timeFormatter: stamp },
    crosshair: { mode: L.CrosshairMode.Normal },
    // the page keeps its wheel and its swipe; with Ctrl or Cmd the wheel zooms (below), and pinching always does
    handleScroll: { mouseWheel: false, vertTouchDrag: false },
    handleScale: { mouseWheel: false },
  });
  const quiet = { lastValueVisible: false, priceLineVisible: false };
  const candles = chart.addSeries(L.CandlestickSeries, { ...quiet }, 0);
  const line = chart.addSeries(L.LineSeries, { ...quiet, lineWidth: 1.5 }, 0);
  const position = chart.addSeries(L.BaselineSeries, { ...quiet, lineWidth: 1, lineType: L.LineType.WithSteps, baseValue: { type: "price", price: 0 }, priceFormat: custom(percent) }, 1);
  const hold = chart.addSeries(L.LineSeries, { ...quiet, lineWidth: 1 }, 2);
  const equity = chart.addSeries(L.LineSeries, { ...quiet, lineWidth: 2 }, 2);
  const drawdown = chart.addSeries(L.AreaSeries, { ...quiet, lineWidth: 1, invertFilledArea: true, priceFormat: custom(percent) }, 3);
  const rolling = data.sharpe.length ? chart.addSeries(L.BaselineSeries, { ...quiet, lineWidth: 1.5, baseValue: { type: "price", price: 0 }, priceFormat: custom((value) => number(value, 1).replace("-", "−"), 0.1) }, 4) : null;
  chart.panes().forEach((pane, i) => pane.setStretchFactor([46, 11, 28, 15, 14][i]));
  [0.12, 0.42, 0.18, 0.3, 0.34].slice(0, chart.panes().length).forEach((top, i) => chart.priceScale("right", i).applyOptions({ scaleMargins: { top, bottom: 0.08 } }));
  const onCandles = L.createSeriesMarkers(candles, [], { autoScale: false });
  const onLine = L.createSeriesMarkers(line, [], { autoScale: false });
  drawdown.setData(points(data.drawdown));
  if (rolling) rolling.setData(points(data.sharpe));
  const rival = box.dataset.rival[0].toUpperCase() + box.dataset.rival.slice(1);

  // ---- legends: one a pane, following the crosshair

  const legends = chart.panes().map(() => {
    const legend = document.createElement("div");
    legend.className = "legend";
    box.append(legend);
    return legend;
  });
  const escaped = (name) => {
    const label = document.createElement("span");
    label.textContent = name;
    return label.innerHTML;
  };
  const key = (name) => `<span class="key" style="background:var(--${name})"></span>`;

  function placeLegends() {
    const top = box.getBoundingClientRect().top;
    chart.panes().forEach((pane, i) => {
      const element = pane.getHTMLElement();
      if (element) legends[i].style.top = `${element.getBoundingClientRect().top - top + 6}px`;
    });
  }

  function describe(point) {
    const own = current();
    const at = own.index.get(point);
    const narrow = box.clientWidth < 560;
    const ohlc = at === undefined ? "no bar" : (narrow ? ["close"] : ["open", "high", "low", "close"])
      .map((name) => `${name[0].toUpperCase()} <b>${number(own[name][at], own.digits)}</b>`).join(" ");
    legends[0].innerHTML = `<b>${escaped(own.name)}</b> · ${stamp(times[point])} · ${ohlc}`;
    legends[1].innerHTML = `${key("position")}Position${narrow ? "" : ", share of equity"} <b>${at === undefined ? "–" : percent(own.weight[at])}</b>`;
    const value = (list, show) => (list[point] === null ? "–" : show(list[point]));
    legends[2].innerHTML = `${key("equity")}Equity <b>${value(data.equity, money)}</b> &nbsp; ${key("hold")}${narrow && rival.length > 14 ? "Benchmark" : escaped(rival)} <b>${value(data.hold, money)}</b>`;
    legends[3].innerHTML = `${key("down")}Drawdown <b>${value(data.drawdown, percent)}</b>`;
    if (rolling) legends[4].innerHTML = `${key("equity")}Sharpe${narrow ? "" : ` of the last ${box.dataset.window}`} <b>${value(data.sharpe, (ratio) => number(ratio, 2).replace("-", "−"))}</b>`;
  }

  chart.subscribeCrosshairMove((event) => {
    const inside = event.logical !== undefined && event.point;
    describe(inside ? Math.max(0, Math.min(times.length - 1, Math.round(event.logical))) : times.length - 1);
  });

  // ---- the instrument shown, its price and its fills

  const current = () => data.instruments[picker ? Number(picker.value) : 0];
  for (const own of data.instruments) {
    own.index = new Map(own.point.map((point, i) => [point, i]));
    const price = own.close.length ? own.close[own.close.length >> 1] : 1;
    own.digits = Math.max(2, Math.min(8, 4 - Math.floor(Math.log10(price))));
    own.groups = new Map();  // one marker a point and side
    own.fillPoint.forEach((point, i) => {
      const name = `${point}/${own.fillSide[i]}`;
      const group = own.groups.get(name) || { point, side: own.fillSide[i], count: 0, quantity: 0, value: 0 };
      group.count += 1;
      group.quantity += own.fillQuantity[i];
      group.value += own.fillQuantity[i] * own.fillPrice[i];
      own.groups.set(name, group);
    });
    own.groups = [...own.groups.values()].sort((a, b) => a.point - b.point);
  }

  function showInstrument() {
    const own = current();
    candles.setData(own.point.map((point, i) => ({ time: times[point], open: own.open[i], high: own.high[i], low: own.low[i], close: own.close[i] })));
    line.setData(own.point.map((point, i) => ({ time: times[point], value: own.close[i] })));
    position.setData(own.point.map((point, i) => ({ time: times[point], value: own.weight[i] })));
    candles.applyOptions({ priceFormat: decimals(own.digits) });
    line.applyOptions({ priceFormat: decimals(own.digits) });
    describe(times.length - 1);
    showDetail();
  }

  let asCandles = null;
  function showDetail() {
    const range = chart.timeScale().getVisibleLogicalRange();
    const width = chart.timeScale().width();
    if (!range || !width) return;
    const spacing = width / Math.max(range.to - range.from, 1);
    if (asCandles !== spacing >= 3) {
      asCandles = spacing >= 3;
      candles.applyOptions({ visible: asCandles });
      line.applyOptions({ visible: !asCandles });
    }
    const own = current();
    const seen = own.groups.filter((group) => group.point >= range.from - 1 && group.point <= range.to + 1);
    const fills = seen.reduce((sum, group) => sum + group.count, 0);
    const apart = seen.length <= width / 16;
    const named = seen.length <= width / 110;
    const shown = seen.length <= Math.min(300, width / 2) ? seen : [];  // more would hide the price
    const markers = shown.map((group) => {
      const buy = group.side > 0;
      const price = group.value / group.quantity;
      const look = apart
        ? { position: buy ? "belowBar" : "aboveBar", shape: buy ? "arrowUp" : "arrowDown", size: 1 }
        : { position: "atPriceMiddle", price, shape: "circle", size: 0.4 };
      const text = named ? `${group.count > 1 ? `${group.count} × ` : ""}${buy ? "buy" : "sell"} ${number(price, own.digits)}` : "";
      return { time: times[group.point], color: colour(buy ? "up" : "down"), text, ...look };
    });
    onCandles.setMarkers(asCandles ? markers : []);
    onLine.setMarkers(asCandles ? [] : markers);
    const parts = [`${fills.toLocaleString("en-US")} ${fills === 1 ? "fill" : "fills"} in view`];
    if (fills && !shown.length) parts[0] += ": too many to draw, zoom in to see them";
    else if (fills && !apart) parts[0] += ", drawn as dots: zoom in for arrows";
    if (own.fillsLeftOut) parts.push(`the first ${own.fillsLeftOut.toLocaleString("en-US")} fills of ${own.name} are left out of the chart`);
    if (data.barsPerPoint > 1) parts.push(`each candle stands for ${data.barsPerPoint} bars`);
    if (data.instrumentsLeftOut) parts.push(`${data.instrumentsLeftOut} less traded instruments are left out of the chart`);
    parts.push("drag to move, Ctrl + wheel or pinch to zoom");
    hint.textContent = `${parts.join(" · ")}.`;
  }

  // ---- ranges

  const ranges = document.getElementById("ranges");
  function zoom(from, to) {
    chart.timeScale().setVisibleLogicalRange({ from, to });
  }
  function press(pressed) {
    for (const button of ranges.children) button.setAttribute("aria-pressed", String(button === pressed));
  }
  const span = times[times.length - 1] - times[0];
  for (const [name, seconds] of [["All", 0], ["1Y", 31557600], ["3M", 7889400], ["1M", 2629800], ["1W", 604800], ["1D", 86400], ["1H", 3600]]) {
    if (seconds && (seconds > span * 0.9 || seconds < step * 15)) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.onclick = () => {
      const end = times.length - 1;
      if (seconds) zoom(pointAt(times[end] - seconds), end + 1);
      else zoom(-0.5, end + 0.5);
      press(button);
    };
    ranges.append(button);
  }
  function pointAt(seconds) {
    let low = 0;
    let high = times.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (times[middle] <= seconds) low = middle;
      else high = middle - 1;
    }
    return low;
  }
  box.addEventListener("wheel", (event) => {
    const range = chart.timeScale().getVisibleLogicalRange();
    if (!(event.ctrlKey || event.metaKey) || !range) return;
    event.preventDefault();
    const at = chart.timeScale().coordinateToLogical(event.clientX - box.getBoundingClientRect().left);
    const factor = Math.exp(Math.max(-1, Math.min(1, event.deltaY / 200)));
    zoom(at - (at - range.from) * factor, at + (range.to - at) * factor);
    press(null);
  }, { passive: false });

  // ---- equity's scale

  const log = document.getElementById("log");
  const values = [...data.equity, ...data.hold].filter((value) => value !== null);
  const [least, most] = values.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
  function setLog(on) {
    log.setAttribute("aria-pressed", String(on));
    // the scale's own logarithmic mode labels few prices: logarithms on a linear scale get evenly spaced ones
    const format = on ? custom((value) => compact.format(10 ** value), 0.01) : custom((value) => compact.format(value));
    for (const [series, list] of [[hold, data.hold], [equity, data.equity]]) {
      series.applyOptions({ priceFormat: format });
      series.setData(points(on ? list.map((value) => (value === null ? null : Math.log10(value))) : list));
    }
  }
  log.hidden = least <= 0;
  log.onclick = () => setLog(log.getAttribute("aria-pressed") !== "true");
  setLog(least > 0 && most / least > 20);

  // ---- round trips: which, and where on the chart

  for (const button of document.querySelectorAll("[data-trips]")) {
    button.onclick = () => {
      for (const other of document.querySelectorAll("[data-trips]")) other.setAttribute("aria-pressed", String(other === button));
      for (const part of document.querySelectorAll("[data-part]")) part.hidden = part.dataset.part !== button.dataset.trips;
    };
  }
  for (const row of document.querySelectorAll("tr[data-from]")) {
    row.onclick = () => {
      const at = data.instruments.findIndex((own) => own.name === row.dataset.instrument);
      if (picker && at >= 0 && picker.value !== String(at)) {
        picker.value = String(at);
        showInstrument();
      }
      const from = pointAt(Number(row.dataset.from));
      const to = pointAt(Number(row.dataset.to));
      const room = Math.max(20, (to - from) * 0.75);
      zoom(from - room, to + room);
      press(null);
      document.getElementById("chart-title").scrollIntoView({ behavior: "smooth", block: "start" });
    };
  }

  // ---- colours follow the system's theme

  function paint() {
    const [ink, rule, up, down, accent] = ["soft", "line", "up", "down", "position"].map(colour);
    const fade = (value, share) => value + Math.round(share * 255).toString(16).padStart(2, "0");
    chart.applyOptions({
      layout: { background: { color: colour("card") }, textColor: ink, panes: { separatorColor: rule } },
      grid: { vertLines: { color: fade(rule, 0.55) }, horzLines: { color: fade(rule, 0.55) } },
      rightPriceScale: { borderColor: rule },
      timeScale: { borderColor: rule },
    });
    candles.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down, borderVisible: false });
    line.applyOptions({ color: ink });
    position.applyOptions({
      topLineColor: accent, topFillColor1: fade(accent, 0.3), topFillColor2: fade(accent, 0.3),
      bottomLineColor: accent, bottomFillColor1: fade(down, 0.3), bottomFillColor2: fade(down, 0.3),
    });
    equity.applyOptions({ color: colour("equity") });
    hold.applyOptions({ color: colour("hold") });
    if (rolling) {
      rolling.applyOptions({
        topLineColor: colour("equity"), topFillColor1: fade(colour("equity"), 0.22), topFillColor2: fade(colour("equity"), 0.04),
        bottomLineColor: down, bottomFillColor1: fade(down, 0.04), bottomFillColor2: fade(down, 0.22),
      });
    }
    drawdown.applyOptions({ lineColor: down, topColor: fade(down, 0.08), bottomColor: fade(down, 0.35) });
    showDetail();
  }

  let waiting = false;
  chart.timeScale().subscribeVisibleLogicalRangeChange(() => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      showDetail();
      placeLegends();
    });
  });
  chart.timeScale().subscribeSizeChange(placeLegends);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  if (picker) picker.onchange = showInstrument;
  showInstrument();
  paint();
  ranges.firstChild.click();
  requestAnimationFrame(() => {
    placeLegends();
    ranges.firstChild.click();
    box.dataset.ready = "true";
  });
})();
