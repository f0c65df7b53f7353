// The page: takes in what the server tells and draws what changed, once a frame.

import { CandleChart, CurveChart } from './charts.js';
import * as format from './format.js';
import { Link } from './link.js';
import { openMail } from './mail.js';
import { changeColumns, drawLines } from './models.js';
import { State } from './state.js';
import { Table } from './tables.js';

const SHOWN = 50;
const get = id => document.getElementById(id);
const say = (id, text, tone) => {
  const element = get(id);
  if (element.textContent !== text) element.textContent = text;
  if (tone !== undefined && element.dataset.tone !== tone) {
    element.classList.remove('up', 'down');
    if (tone) element.classList.add(tone);
    element.dataset.tone = tone;
  }
};

const state = new State();
const choice = { run: null, series: sessionStorage.getItem('series') };
let heardAt = 0, downSince = 0, pending = null;

const now = () => (state.view ? state.view.now_ms + performance.now() - heardAt : Date.now());
const digits = instrument => (state.view?.series?.startsWith(`${instrument}|`) && candles.digits) || format.decimals([state.view?.markets[instrument]?.price ?? 0]);
const price = (instrument, value) => format.number(value, digits(instrument));
const time = row => ({ text: format.when(row.time_ms, now()), tone: 'figure' });
const name = row => format.symbol(row.instrument);
const side = row => ({ text: row.side === 'BUY' ? '▲ BUY' : '▼ SELL', tone: row.side === 'BUY' ? 'buy' : 'sell' });
const gain = value => ({ text: format.mark(value) + format.signed(value), tone: format.tone(value) });

const STATUS = {
  PENDING_NEW: '… sent', NEW: '… working', PARTIALLY_FILLED: '◐ part filled', FILLED: '✓ filled', CANCELED: '✕ canceled',
  REJECTED: '✕ rejected', EXPIRED: '✕ expired', UNRESOLVED: '? unresolved',
};
const LEDGER = {
  GAP: 'Gaps: never came', BACKFILL: 'Fetched afterwards', DUPLICATE: 'Duplicates dropped', LATE: 'Late for their bar',
  RECONNECT: 'Reconnects', CROSSED: 'Book crossed', RESYNC: 'Book rebuilt', INVALID: 'Unreadable',
  CORRECTED: 'Corrected by the venue', REPAIRED: 'Repaired by the daily run',
};

const candles = new CandleChart(get('candles'), showCandle);
const curve = new CurveChart(get('curve'), showPoint);
const tables = {
  positions: new Table('positions', [
    name,
    row => ({ text: row.quantity ? format.quantity(row.quantity) : 'flat', tone: row.quantity ? '' : 'quiet' }),
    row => price(row.instrument, row.average_price),
    row => ({ text: price(row.instrument, row.mark), tone: 'live' }),
    row => format.number(row.value),
    row => gain(row.unrealised),
    row => gain(row.realised),
  ], () => (state.view?.run ? 'No position yet.' : 'No run yet: start one with quantlytic up.')),
  ledger: new Table('ledger', [row => LEDGER[row.kind], row => format.count(row.entries), row => format.count(row.count)], () => ''),
  signals: new Table('signals', [time, name, side, row => format.quantity(row.target_quantity), row => price(row.instrument, row.price)], noSignal),
  intents: new Table('intents', [
    row => ({ text: row.words, tone: 'long' }), away, row => ({ text: format.when(row.until_ms, now()), tone: 'figure' }),
  ], () => (state.view?.run?.intent_record ? 'Nothing is near enough to be said.' : 'Nothing announced yet.')),
  fills: new Table('fills', [
    time, name, side, row => format.quantity(row.quantity), row => price(row.instrument, row.price), row => format.number(row.fee),
  ], () => 'No fill yet: the first signal makes the first order.'),
  orders: new Table('orders', [
    time, name, side, row => format.quantity(row.quantity), row => row.type.toLowerCase(),
    row => ({ text: (STATUS[row.status] ?? row.status) + (row.reason ? `: ${row.reason}` : ''), tone: row.status === 'REJECTED' ? 'down' : '' }),
  ], () => 'No order yet.'),
  mails: new Table('mails', [
    time, row => ({ text: row.subject, tone: 'long' }), row => row.recipient, row => row.channel,
    row => ({ text: row.status === 'sent' ? '✓ sent' : `✕ ${row.status}${row.detail ? `: ${row.detail}` : ''}`, tone: row.status === 'sent' ? '' : 'down' }),
    row => (row.mail ? { text: 'Open', button: { name: row.mail, label: `Open the mail “${row.subject}”`, press: () => openMail(row.mail) } } : ''),
  ], () => 'No mail yet: each signal sends one.'),
  notes: new Table('notes', [
    time, row => ({ text: row.detail ? `${LEDGER[row.kind]}: ${row.detail}` : LEDGER[row.kind], tone: 'long' }),
    row => `${format.symbol(row.instrument)} ${row.stream}`, row => format.count(row.count),
  ], () => 'Nothing to note: no gap, no duplicate, no reconnect.'),
  changes: new Table('changes', changeColumns(now), () => 'No change yet.'),
};

/** How far the last price is from what would make the strategy do it. */
function away(row) {
  const last = state.view?.markets[row.instrument]?.price;
  if (last == null) return '–';
  const end = row.low != null && last < row.low ? row.low : row.high != null && last > row.high ? row.high : null;
  return end == null ? { text: 'there', tone: 'live' } : format.signedPercent(end / last - 1);
}

function intentRecord(record) {
  if (!record) return '';
  const lead = record.median_lead_s == null ? '' : `, half of them at least ${format.span(record.median_lead_s * 1000)} ahead`;
  const met = `${format.count(record.met)} of ${format.count(record.said)} were met by a close`;
  return `${met}; ${format.count(record.came_true)} came true${lead}`;
}

function noSignal() {
  const { run, warmup_bars: needed } = state.view ?? {};
  const bars = run?.counts.bars ?? 0;
  if (run && needed && bars < needed) return `No signal yet: the strategy needs ${needed} bars; ${bars} so far.`;
  return run && bars ? `No signal yet, after ${format.count(bars)} bars.` : 'No signal yet: waiting for the first bar.';
}

function showCandle(row, precision) {
  if (!row) return say('legend', 'No bar yet: the first trade draws the first candle.');
  const [ms, ...values] = row;
  const [open, high, low, close] = values.slice(0, 4).map(value => format.number(value, precision));
  say('legend', `${format.when(ms, now())}  O ${open}  H ${high}  L ${low}  C ${close}  V ${format.quantity(values[4])}${values[5] ? '' : '  forming'}`);
}

function showPoint(ms, value) {
  const run = state.view?.run;
  const [at, equity] = ms == null ? [run?.equity_ms, run?.equity] : [ms, value];
  say('equity-legend', equity == null ? 'No equity yet: the first bar marks the account.' : `${format.when(at, now())}  ${format.number(equity)}`);
}

const draw = {
  runs() {
    const { runs, run_id: shown } = state.view;
    const options = runs.map(run => new Option(run.run_id, run.run_id, false, run.run_id === shown));
    get('run').replaceChildren(...(options.length ? options : [new Option('no run yet')]));
    get('run').disabled = runs.length < 2;
  },
  run() {
    const { run } = state.view;
    get('mode').hidden = !run;
    if (!run) return;
    say('mode', run.mode?.toUpperCase() ?? 'MODE UNKNOWN'); // never guessed
    get('mode').dataset.mode = run.mode ?? '';
    const params = Object.entries(run.params ?? {}).map(([key, value]) => `${key} ${value}`).join(', ');
    say('strategy', run.strategy ? `${run.strategy}${params ? ` (${params})` : ''}` : '');
    const change = run.equity == null || run.start == null ? null : run.equity - run.start;
    say('equity', format.number(run.equity));
    say('equity-change', change == null ? '' : `${format.mark(change)}${format.signed(change)} (${format.signedPercent(change / run.start)})`, format.tone(change));
    say('equity-since', run.start_ms == null ? '' : `since ${format.moment(run.start_ms)}`);
    say('drawdown', run.equity == null ? '–' : format.percent(-run.drawdown));
    say('drawdown-max', run.equity == null ? '' : `largest ${format.percent(-run.max_drawdown)}`);
    const held = run.positions.filter(row => row.quantity);
    const open = held.some(row => row.unrealised == null) ? null : held.reduce((sum, row) => sum + row.unrealised, 0);
    const closed = run.positions.some(row => row.realised == null) ? null : run.positions.reduce((sum, row) => sum + row.realised, 0);
    say('open-pnl', run.positions.length ? format.mark(open) + format.signed(open) : '–', format.tone(open));
    say('closed-pnl', run.positions.length ? `closed ${format.signed(closed)}, fees ${format.number(run.fees)}` : '');
    say('signal-count', format.count(run.counts.signals));
    say('trade-count', `${format.count(run.counts.orders)} orders, ${format.count(run.counts.fills)} fills`);
    tables.positions.render(run.positions, row => row.instrument);
    tables.intents.render(run.intents, row => row.id);
    say('intent-record', intentRecord(run.intent_record));
    if (!run.signals.length) tables.signals.render([], null);
    curve.start(run.start);
    showPoint();
  },
  signals: () => renderNewest('signals'),
  fills() {
    renderNewest('fills');
    draw.markers();
  },
  orders: () => renderNewest('orders'),
  markers() {
    const { run, series } = state.view;
    const size = sizeMs(series);
    const fills = (run?.fills ?? []).filter(fill => series?.startsWith(`${fill.instrument}|`));
    candles.mark(fills.map(fill => ({ ...fill, bar_ms: fill.bar_ms - (fill.bar_ms % size) })));
  },
  feed() {
    const { feed } = state.view;
    const rate = feed.rates.trades + feed.rates.quotes + feed.rates.book;
    const replayed = feed.lag_p50_ms > 86400e3;
    say('lag', replayed ? 'replay' : format.span(feed.lag_p50_ms));
    say('rate', `${format.number(rate, rate < 10 ? 1 : 0)}/s`);
    say('feed-rate', `${format.number(rate, rate < 10 ? 1 : 0)} /s`);
    const late = replayed ? `replay of ${format.day(feed.event_ms)}` : `lag ${format.span(feed.lag_p50_ms)}, p99 ${format.span(feed.lag_p99_ms)}`;
    say('feed-kinds', feed.state === 'waiting' ? 'no message yet' : late);
    say('ledger-since', feed.first_ms == null ? '' : `since ${format.when(feed.first_ms, now())}`);
    say('foot', `${format.count(feed.total)} market messages seen by this page's server`);
    status();
  },
  ledger() {
    const { ledger, lost } = state.view;
    say('missing', format.count(lost), lost > 0 ? 'down' : '');
    say('missing-note', `${format.count(ledger.LATE.count)} late, ${format.count(ledger.RECONNECT.entries)} reconnects`);
    tables.ledger.render(Object.entries(ledger).map(([kind, counts]) => ({ kind, ...counts })), row => row.kind);
  },
  notes: () => tables.notes.render([...state.view.notes].reverse(), row => row.id),
  lines: () => drawLines(state.view.lines, now()),
  changes() {
    get('changes-card').hidden = !state.view.changes.length;
    tables.changes.render(state.view.changes, row => row.id);
  },
  notices: () => tables.mails.render(state.view.notices, row => row.id),
  warnings() {
    const { warnings } = state.view;
    const box = get('warnings');
    box.classList.toggle('some', warnings.length > 0);
    box.querySelector('summary').textContent = warnings.length ? `⚠ ${warnings.length} warning${warnings.length > 1 ? 's' : ''}` : '✓ No warnings';
    box.querySelector('ul').replaceChildren(...(warnings.length ? warnings : ['Nothing is off.']).map(text => Object.assign(document.createElement('li'), { textContent: text })));
  },
  markets() {
    for (const button of get('charts').children) {
      const instrument = button.dataset.series.split('|')[0];
      const last = state.view.markets[instrument]?.price;
      const text = last == null ? '' : price(instrument, last);
      if (button.lastChild.textContent !== text) button.lastChild.textContent = text;
    }
  },
  charts() {
    const { charts, series } = state.view;
    get('charts').replaceChildren(...charts.map(key => {
      const [instrument, size] = key.split('|');
      const button = Object.assign(document.createElement('button'), { type: 'button' });
      button.dataset.series = key;
      button.setAttribute('aria-pressed', String(key === series));
      button.append(`${format.symbol(instrument)} ${size} `, Object.assign(document.createElement('span'), { className: 'live quiet' }));
      button.onclick = () => choose({ series: key });
      return button;
    }));
    draw.markets();
  },
};

function renderNewest(part) {
  tables[part].render((state.view.run?.[part] ?? []).slice(-SHOWN).reverse(), row => row.id);
}

function sizeMs(series) {
  const [, value, unit] = /\|(\d+)(ms|s|m|h|d)$/.exec(series ?? '') ?? [null, 1, 's'];
  return value * { ms: 1, s: 1000, m: 60e3, h: 3600e3, d: 86400e3 }[unit];
}

function drawAll() {
  for (const table of Object.values(tables)) table.clear();
  for (const part of ['runs', 'charts', 'run', 'signals', 'fills', 'orders', 'feed', 'ledger', 'notes', 'lines', 'changes', 'notices', 'warnings']) draw[part]();
}

/** The mark of life: a lost server, an unreadable tape, a silent market and a live one look different and read different. */
function status() {
  const { feed, problem, loading } = state.view ?? {};
  const lost = document.body.dataset.link === 'down';
  const since = feed && format.when(feed.last_ms, now());
  const [kind, text, banner] = lost ? ['bad', '✕ DISCONNECTED', `This page lost its server at ${format.clock(downSince)} ${format.zoneName()}. Figures are as of then; it is trying again.`]
    : !feed ? ['', '… CONNECTING', '']
    : problem ? ['bad', '✕ TAPE UNREADABLE', `The tape cannot be read: ${problem}`]
    : loading ? ['', '… LOADING', '']
    : feed.state === 'stale' ? ['stale', `■ STALE since ${since}`, `The market feed has been silent since ${since} ${format.zoneName()}. Prices are as of then.`]
    : feed.state === 'live' ? ['live', '● LIVE', ''] : ['', '○ WAITING', ''];
  const pill = get('state');
  say('state', text);
  pill.dataset.state = kind;
  document.body.dataset.feed = feed?.state ?? 'waiting';
  get('banner').hidden = !banner;
  get('banner').dataset.state = kind;
  if (banner) say('banner', banner);
  const title = `${kind === 'live' || kind === '' ? '' : `${text.split(' ')[1]}: `}${state.view?.run_id ?? ''} Quantlytic`.trim();
  if (document.title !== title) document.title = title;
}

function tickClock() {
  say('now', format.clock(now()));
  say('zone', format.zoneName());
  const age = state.view?.feed.last_ms == null ? null : Math.max(0, now() - state.view.feed.last_ms);
  say('age', age == null ? '–' : `${format.number(age / 1000, 1)} s`);
}

function choose(wanted) {
  Object.assign(choice, wanted);
  if (wanted.series) sessionStorage.setItem('series', wanted.series);
  link.choose();
}

function onMessage(message) {
  const changes = state.take(message);
  heardAt = performance.now();
  const { view } = state;
  if (changes.parts.has('all')) performance.mark('snapshot');
  if (changes.candles) candles[changes.candles.replace ? 'set' : 'update'](changes.candles.rows);
  if (changes.curve?.replace) curve.set(changes.curve.rows, view.run?.start);
  else if (changes.curve) curve.update(changes.curve.rows);
  if (changes.parts.has('charts') && view.series == null && view.charts.length) choose({});
  if (changes.parts.has('current_run') && choice.run == null && view.current_run !== view.run_id) choose({});
  if (pending) for (const part of changes.parts) pending.add(part);
  else {
    pending = changes.parts;
    requestAnimationFrame(() => {
      const parts = pending;
      pending = null;
      if (parts.has('all')) drawAll();
      else for (const part of parts) draw[part]?.();
    });
  }
}

const link = new Link(() => choice, onMessage, linkState => {
  document.body.dataset.link = linkState;
  if (linkState === 'down') downSince = Date.now();
  status();
});
get('run').onchange = event => choose({ run: event.target.value });
get('clock').onclick = () => {
  format.setLocal(!format.isLocal());
  zoneChanged();
};
function zoneChanged() {
  get('clock').setAttribute('aria-label', format.isLocal() ? 'Times in local time; switch to UTC' : 'Times in UTC; switch to local time');
  tickClock();
  candles.restyle();
  curve.restyle();
  if (state.view) drawAll();
}
document.addEventListener('keydown', event => { if (event.key === 'Escape') get('warnings').open = false; });
zoneChanged();
setInterval(tickClock, 500);
