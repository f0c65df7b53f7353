// The two charts, by lightweight-charts. Colours come from the style sheet and follow light and dark.

import * as format from './format.js';

const HELD = 2000; // candles, as many as the server holds
const dark = matchMedia('(prefers-color-scheme: dark)');
const colour = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function base() {
  return {
    layout: {
      background: { color: colour('card') }, textColor: colour('quiet'), fontSize: 11,
      fontFamily: getComputedStyle(document.body).fontFamily,
    },
    grid: { vertLines: { color: colour('grid') }, horzLines: { color: colour('grid') } },
    rightPriceScale: { borderColor: colour('line') },
    timeScale: { borderColor: colour('line') },
  };
}

// kinds of marks: 0 year, 1 month, 2 day, 3 minutes, 4 seconds
const tick = (seconds, kind) => [format.day, format.day, format.day, format.hour, format.clock][kind](1000 * seconds);

class Chart {
  constructor(element, options) {
    this.chart = LightweightCharts.createChart(element, { autoSize: true, ...base(), ...options });
    this.digits = 2;
    this.chart.applyOptions({ localization: {
      timeFormatter: seconds => format.moment(1000 * seconds), priceFormatter: value => format.number(value, this.digits),
    } });
    this.chart.applyOptions({ timeScale: { timeVisible: true, secondsVisible: true, tickMarkFormatter: tick } });
    dark.addEventListener('change', () => this.restyle());
  }

  /** Colours or the time zone changed. */
  restyle() {
    this.chart.applyOptions(base());
    this.paint();
  }
}

export class CandleChart extends Chart {
  /** `onLegend(candle)` is told the candle under the pointer, or the last one. */
  constructor(element, onLegend) {
    super(element, { timeScale: { rightOffset: 4, barSpacing: 8 }, crosshair: { mode: 0 } });
    this.onLegend = onLegend;
    this.series = this.chart.addSeries(LightweightCharts.CandlestickSeries, {});
    this.markers = LightweightCharts.createSeriesMarkers(this.series, []);
    this.rows = new Map();
    this.paint();
    this.chart.subscribeCrosshairMove(move => {
      this.pointed = move.time == null ? null : move.time;
      this.legend();
    });
  }

  paint() {
    const up = colour('up'), down = colour('down');
    this.series.applyOptions({ upColor: up, wickUpColor: up, borderUpColor: up, downColor: down, wickDownColor: down, borderDownColor: down });
    if (this.fills) this.mark(this.fills);
  }

  /** Another chart, or the same anew: rows are [ms, open, high, low, close, volume, finished]. */
  set(rows) {
    this.rows = new Map(rows.map(row => [row[0], row]));
    this.last = rows.at(-1)?.[0] ?? -Infinity;
    this.digits = format.decimals(rows.slice(-60).map(row => row[4]));
    this.series.applyOptions({ priceFormat: { type: 'price', precision: this.digits, minMove: 10 ** -this.digits } });
    this.series.setData(rows.map(candle));
    this.legend();
  }

  update(rows) {
    if (this.rows.size === 0) return this.set(rows);
    for (const row of rows) {
      const known = this.rows.has(row[0]);
      if (row[0] < this.last && !known) {
        this.rows.set(row[0], row);
        return this.set([...this.rows.values(), ...rows].sort((a, b) => a[0] - b[0]).filter((r, i, all) => r[0] !== all[i + 1]?.[0]));
      }
      this.rows.set(row[0], row);
      this.series.update(candle(row), row[0] < this.last);
      this.last = Math.max(this.last, row[0]);
    }
    if (this.rows.size > 2 * HELD) {
      this.set([...this.rows.values()].slice(-HELD));
      if (this.fills) this.mark(this.fills);
    }
    this.legend();
  }

  /** Draw fills: [{bar_ms, side, quantity}], one arrow a bar and side. */
  mark(fills) {
    this.fills = fills;
    const arrows = new Map();
    const first = this.rows.keys().next().value ?? Infinity;
    for (const fill of fills) {
      if (fill.bar_ms < first) continue;
      const buy = fill.side === 'BUY';
      arrows.set(`${fill.bar_ms}${fill.side}`, {
        time: fill.bar_ms / 1000, position: buy ? 'belowBar' : 'aboveBar', shape: buy ? 'arrowUp' : 'arrowDown',
        color: colour(buy ? 'buy' : 'sell'), size: 1.4, id: `${fill.id}`,
      });
    }
    this.markers.setMarkers([...arrows.values()].sort((a, b) => a.time - b.time));
  }

  legend() {
    const pointed = this.pointed == null ? null : this.rows.get(Math.round(1000 * this.pointed));
    this.onLegend(pointed ?? this.rows.get(this.last), this.digits);
  }
}

export class CurveChart extends Chart {
  constructor(element, onLegend) {
    super(element, {
      layout: { ...base().layout, attributionLogo: false }, // shown once a page, by the chart above
      timeScale: { rightOffsetPixels: 28, minBarSpacing: 0.005, lockVisibleTimeRangeOnResize: true }, crosshair: { mode: 0 },
      rightPriceScale: { borderColor: colour('line'), scaleMargins: { top: 0.12, bottom: 0.08 } },
    });
    this.series = this.chart.addSeries(LightweightCharts.BaselineSeries, { lineWidth: 2, priceFormat: { type: 'price', precision: 2, minMove: 0.01 } });
    this.follows = true;
    this.points = [];
    this.paint();
    element.addEventListener('pointerdown', () => { this.follows = false; });
    element.addEventListener('wheel', () => { this.follows = false; }, { passive: true });
    element.addEventListener('dblclick', () => { this.follows = true; this.fit(); });
    this.chart.subscribeCrosshairMove(move => onLegend(move.time == null ? null : 1000 * move.time, move.seriesData.get(this.series)?.value));
  }

  paint() {
    const up = colour('up'), down = colour('down');
    this.series.applyOptions({
      topLineColor: up, topFillColor1: colour('up-soft'), topFillColor2: 'transparent',
      bottomLineColor: down, bottomFillColor1: 'transparent', bottomFillColor2: colour('down-soft'),
    });
  }

  /** Points are [ms, equity]; `start` is what the run began with. */
  set(points, start) {
    this.points = points;
    this.start(start);
    this.series.setData(points.map(point));
    this.fit();
  }

  start(value) {
    if (value != null) this.series.applyOptions({ baseValue: { type: 'price', price: value } });
  }

  update(points) {
    for (const [ms, value] of points) {
      const last = this.points.at(-1);
      if (last && ms < last[0]) continue;
      if (last && ms === last[0]) last[1] = value;
      else this.points.push([ms, value]);
      this.series.update(point([ms, value]));
    }
    this.fit();
  }

  fit() {
    if (this.follows) this.chart.timeScale().fitContent();
  }
}

const candle = ([ms, open, high, low, close]) => ({ time: ms / 1000, open, high, low, close });
const point = ([ms, value]) => ({ time: ms / 1000, value });
