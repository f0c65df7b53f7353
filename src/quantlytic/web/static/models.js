// The panel of models: a block a line, made of the template in the page; changes only the texts that changed.

import * as format from './format.js';

const WIDTH = 120, HEIGHT = 22, FEW = 5; // challengers that are shown at first; as many as in models.css
const SVG = 'http://www.w3.org/2000/svg';
const get = id => document.getElementById(id);
const blocks = new Map();

/** Draw all lines; `now`: the server's time, ms. */
export function drawLines(lines, now) {
  get('models').hidden = !lines.length;
  for (const line of lines) {
    if (!blocks.has(line.line)) blocks.set(line.line, newBlock(line.line));
    fillBlock(blocks.get(line.line), line, now);
  }
  for (const [name, block] of blocks) if (!lines.some(line => line.line === name)) { block.remove(); blocks.delete(name); }
  const order = lines.map(line => blocks.get(line.line));
  if (order.some((block, i) => get('lines').children[i] !== block)) get('lines').replaceChildren(...order);
}

/** The columns of the table of changes. */
export const changeColumns = now => [
  row => ({ text: format.when(row.time_ms, now()), tone: 'figure' }),
  row => [row.kind, row.of, row.instrument && format.symbol(row.instrument)].filter(Boolean).join(' '),
  row => ({ text: changeWords(row), tone: TROUBLE.has(row.cause) ? 'down' : '' }),
  row => ({ text: [row.cause, row.reason].filter(Boolean).join(': '), tone: 'long' }),
];

const ENDED = { refused: 'refused', promotion: 'made champion' };
const TROUBLE = new Set(['refused', 'demoted', 'expired', 'raised']);

function changeWords({ cause, old, new: next }) {
  if (cause === 'refused') return `✕ ${next || old} refused${old && next && old !== next ? `, ${old} goes on` : ''}`;
  return `${TROUBLE.has(cause) ? '✕ ' : ''}${old || 'none'} → ${next || 'none'}`;
}

function newBlock(name) {
  const block = get('line').content.firstElementChild.cloneNode(true);
  block.querySelector('h3').textContent = name;
  for (const [place, label] of [['.scroll', `Forecasts of ${name} by instrument`], ['.rivals', `Challengers of ${name}`]]) {
    block.querySelector(place).setAttribute('aria-label', label);
    block.querySelector(`${place} caption`).textContent = label;
  }
  const fold = block.querySelector('.fold');
  fold.onclick = () => {
    fold.setAttribute('aria-expanded', String(!block.querySelector('.rivals table').classList.toggle('few')));
    foldWords(block);
  };
  return block;
}

function fillBlock(block, line, now) {
  const fact = (name, ...texts) => paragraphs(block.querySelector(`[data-is="${name}"]`), texts);
  const when = ms => format.when(ms, now);
  fact('in-force', line.in_force.map(row => inForce(row, when)));
  fact('speed', line.with_value
    ? `half within ${small(line.latency_p50_ms)}, 99 % within ${small(line.latency_p99_ms)}`
    : 'no forecast yet', line.looked_at && `${format.count(line.with_value)} of the last ${format.count(line.looked_at)} bars have one`);
  const word = { moving: '◐ moving', drifted: '⚠ drifted' }[line.drift_word] ?? line.drift_word;
  fact('drift', line.drift == null ? 'not known yet: too few bars' : { text: `${word}, PSI ${format.number(line.drift, 3)}`, tone: { moving: 'warn', drifted: 'down' }[line.drift_word] ?? '' });
  const { training } = line;
  fact('training', !training ? 'none seen' : training.cause === 'failed'
    ? { text: `✕ ${when(training.time_ms)} ${training.reason}`, tone: 'down' }
    : `${when(training.time_ms)} ${training.model}: ${training.reason}`);
  rows(block.querySelector('tbody'), line, when);
  const more = block.querySelector('.more');
  more.hidden = !line.more_instruments;
  more.textContent = `and ${format.count(line.more_instruments)} more instruments`;
  rivals(block, line, when);
  const { ended } = line;
  fact('challenger', ended && `The last that ended, ${ended.model}: ${ENDED[ended.cause] ?? 'asked no more'} at ${when(ended.time_ms)}${ended.cause === 'promotion' ? '' : `: ${ended.missing}`}`);
}

function inForce(row, when) {
  const where = row.is_all ? '' : ` for ${row.instruments.slice(0, 8).map(format.symbol).join(', ')}${row.instruments.length > 8 ? ` and ${row.instruments.length - 8} more` : ''}`;
  const why = row.cause ? ` (${row.cause}${row.reason ? `: ${row.reason}` : ''})` : '';
  const since = row.since_ms == null ? '' : `, since ${when(row.since_ms)}`;
  return { text: `${row.model || 'none'}${where}${since}${why}`, tone: row.model ? '' : 'warn' };
}

/** The challengers, one a row; those beyond a few are folded away. */
function rivals(block, { challengers, instruments }, when) {
  const place = block.querySelector('.rivals');
  block.querySelector('h4').hidden = place.hidden = !challengers.length;
  const body = place.querySelector('tbody');
  while (body.rows.length > challengers.length) body.deleteRow(-1);
  challengers.forEach((one, i) => {
    const row = body.rows[i] ?? body.insertRow();
    rival(one, instruments, when).forEach((words, k) => text(row.cells[k] ?? newCell(row, place, k), words));
  });
  foldWords(block);
}

function foldWords(block) {
  const fold = block.querySelector('.fold'), more = block.querySelector('.rivals tbody').rows.length - FEW;
  fold.hidden = more <= 0;
  text(fold, block.querySelector('.few') ? `Show ${more} more` : `Show the first ${FEW} only`);
}

function newCell(row, place, k) {
  const head = place.querySelectorAll('th')[k], cell = row.insertCell();
  cell.className = head.className;
  cell.dataset.head = head.textContent;
  return cell;
}

function rival({ model, kind, forecasts, is_whole: isWhole, instruments: its, since_ms: since, judged }, all, when) {
  const where = its.length && its.length < all.length ? ` for ${its.map(format.symbol).join(', ')}` : '';
  const found = judged ? `${judged.missing} (${when(judged.time_ms)})` : forecasts ? `not looked at yet${since == null ? '' : `, since ${when(since)}`}` : 'about to begin';
  return [
    `${model}${where}`, kind || '–', `${isWhole || !forecasts ? '' : '≥ '}${format.count(forecasts)}`,
    format.count(judged?.outcomes), lead(judged), found,
  ];
}

const lead = judged => (judged?.lead == null ? '–' : `${judged.lead > 0 ? '+' : ''}${judged.lead} ${judged.measure}${judged.against === 'the base rate' ? ' over the base rate' : ''}`.replace('-', '−'));

/** Texts, or {text, tone}, as paragraphs of an element. */
function paragraphs(element, texts) {
  const flat = texts.flat(2).filter(Boolean);
  while (element.children.length > flat.length) element.lastChild.remove();
  flat.forEach((content, i) => {
    const { text, tone = '' } = typeof content === 'object' ? content : { text: content };
    const line = element.children[i] ?? element.appendChild(document.createElement('p'));
    if (line.textContent !== text) line.textContent = text;
    if (line.className !== tone) line.className = tone;
  });
}

function rows(body, line, when) {
  const known = new Map([...body.rows].map(row => [row.dataset.instrument, row]));
  for (const one of line.instruments) {
    let row = known.get(one.instrument);
    if (!row) {
      row = body.insertRow();
      row.dataset.instrument = one.instrument;
      for (const kind of ['', 'number', '', 'figure', 'extra', 'long why']) row.insertCell().className = kind;
      row.cells[2].append(course());
    }
    known.delete(one.instrument);
    const isPast = one.time_ms != null && one.time_ms < line.time_ms;
    text(row.cells[0], format.symbol(one.instrument));
    text(row.cells[1], forecast(one.value));
    row.cells[1].classList.toggle('none', one.value == null);
    drawCourse(row.cells[2].firstChild, one);
    text(row.cells[3], when(one.time_ms));
    row.cells[3].classList.toggle('past', isPast);
    text(row.cells[4], one.model || 'none');
    text(row.cells[5], one.time_ms == null ? 'no bar yet' : one.reason);
  }
  for (const row of known.values()) row.remove();
  body.parentElement.classList.toggle('all-well', line.instruments.every(one => one.value != null));
}

function text(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

const forecast = value => (value == null ? 'none' : format.number(value, Math.abs(value) < 0.01 ? 6 : 4));
const small = ms => (ms < 1 ? `${format.number(1000 * ms, 0)} µs` : format.span(ms));

function course() {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'course');
  svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('role', 'img');
  svg.append(document.createElementNS(SVG, 'path'));
  return svg;
}

/** The last forecasts from left to right, between their least and their greatest; a hole where there was none. */
function drawCourse(svg, { course: values, instrument }) {
  const numbers = values.filter(value => value != null);
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  const x = i => (WIDTH * i) / Math.max(1, values.length - 1);
  const y = value => (high > low ? HEIGHT - 2 - ((HEIGHT - 4) * (value - low)) / (high - low) : HEIGHT / 2);
  const steps = values.map((value, i) => (value == null ? '' : `${i === 0 || values[i - 1] == null ? 'M' : 'L'}${x(i).toFixed(1)} ${y(value).toFixed(1)}`));
  svg.firstChild.setAttribute('d', steps.join(''));
  svg.setAttribute('aria-label', numbers.length ? `${format.symbol(instrument)}: the last ${values.length} forecasts, from ${forecast(low)} to ${forecast(high)}` : `${format.symbol(instrument)}: no forecast`);
}
