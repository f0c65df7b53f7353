// The view as the server tells it: a snapshot, then changes. Absolute values and ids: taking a change twice is harmless.
// Candles and curve points are handed on to the charts, which hold them.

const RECENT = 200, MARKED = 2000;

export class State {
  constructor() {
    this.view = null;
  }

  /** Take a message in; returns {parts: names of what changed ("all" after a snapshot), candles, curve: {replace, rows}}. */
  take(message) {
    if (message.kind === 'snapshot') {
      this.view = message;
      return { parts: new Set(['all']), candles: whole(message.candles), curve: whole(message.run?.curve ?? []) };
    }
    if (!this.view || message.sequence <= this.view.sequence) return { parts: new Set() };
    const { runs_changed: runs = {}, markets, candles = {}, candles_replace: replaced = {}, ...rest } = message;
    const { series, run_id: shown } = this.view;
    const parts = new Set(Object.keys(rest));
    Object.assign(this.view, rest);
    if (markets) {
      Object.assign(this.view.markets, markets);
      parts.add('markets');
    }
    const { curve, curve_replace: curveReplaced, ...run } = runs[shown] ?? {};
    if (runs[shown] && this.view.run) for (const part of this.takeRun(run)) parts.add(part);
    return {
      parts,
      candles: replaced[series] ? whole(replaced[series]) : candles[series] && { replace: false, rows: candles[series] },
      curve: curveReplaced ? whole(curveReplaced) : curve && { replace: false, rows: curve },
    };
  }

  takeRun({ signals = [], fills = [], orders = [], ...summary }) {
    const run = this.view.run;
    Object.assign(run, summary);
    append(run.signals, signals, RECENT);
    append(run.fills, fills, MARKED);
    for (const order of orders) {
      const at = run.orders.findIndex(old => old.id === order.id);
      if (at < 0) append(run.orders, [order], RECENT);
      else run.orders[at] = order;
    }
    const lists = { signals, fills, orders };
    return ['run', ...Object.keys(lists).filter(name => lists[name].length)];
  }
}

const whole = rows => ({ replace: true, rows });

function append(list, rows, most) {
  for (const row of rows) if (!list.some(old => old.id === row.id)) list.push(row);
  if (list.length > most) list.splice(0, list.length - most);
}
