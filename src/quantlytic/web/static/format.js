// Numbers and times as people read them. One switch for the whole page: UTC or local.

const NONE = '–';
const formats = new Map();
let local = localStorage.getItem('zone') === 'local';

export const isLocal = () => local;
export function setLocal(value) {
  local = value;
  localStorage.setItem('zone', value ? 'local' : 'UTC');
}
export const zoneName = () => (local ? Intl.DateTimeFormat().resolvedOptions().timeZone : 'UTC');

function formatter(key, make) {
  if (!formats.has(key)) formats.set(key, make());
  return formats.get(key);
}
function time(ms, options) {
  const zone = local ? undefined : 'UTC';
  const key = JSON.stringify([local, options]);
  return formatter(key, () => new Intl.DateTimeFormat('en-GB', { timeZone: zone, hourCycle: 'h23', ...options })).format(ms);
}
const HMS = { hour: '2-digit', minute: '2-digit', second: '2-digit' };
const DAY = { year: 'numeric', month: 'short', day: '2-digit' };

export const clock = ms => (ms == null ? NONE : time(ms, HMS));
export const hour = ms => time(ms, { hour: '2-digit', minute: '2-digit' });
export const day = ms => time(ms, { month: 'short', day: 'numeric' });
export const moment = ms => (ms == null ? NONE : `${time(ms, DAY)}, ${time(ms, HMS)}`);
/** The clock time, with the day where it is not today's. */
export const when = (ms, now) => (ms == null ? NONE : Math.abs(now - ms) > 20 * 3600e3 ? `${day(ms)} ${clock(ms)}` : clock(ms));

export function number(value, digits = 2, least = digits) {
  if (value == null || Number.isNaN(value)) return NONE;
  const key = `n${digits}/${least}`;
  const format = formatter(key, () => new Intl.NumberFormat('en-US', { minimumFractionDigits: least, maximumFractionDigits: digits }));
  return format.format(Math.abs(value) < 0.5 * 10 ** -digits ? 0 : value).replace('-', '−');
}
export const quantity = value => number(value, 6, 0);
export const count = value => number(value, 0);
export function signed(value, digits = 2) {
  if (value == null) return NONE;
  return (value > 0 && number(value, digits) !== number(0, digits) ? '+' : '') + number(value, digits);
}
export const percent = (share, digits = 2) => (share == null ? NONE : `${number(100 * share, digits)} %`);
export const signedPercent = share => (share == null ? NONE : `${signed(100 * share)} %`);

/** A mark and a class for a gain or a loss: colour is never the only sign. */
export const mark = value => (value > 0 ? '▲ ' : value < 0 ? '▼ ' : '');
export const tone = value => (value > 0 ? 'up' : value < 0 ? 'down' : '');

export function span(ms) {
  if (ms == null) return NONE;
  const sign = ms < 0 ? '−' : '', size = Math.abs(ms);
  if (size < 1000) return `${sign}${number(size, size < 10 ? 1 : 0)} ms`;
  if (size < 60e3) return `${sign}${number(size / 1000, 1)} s`;
  if (size < 3600e3) return `${sign}${Math.floor(size / 60e3)} min`;
  return size < 86400e3 ? `${sign}${Math.floor(size / 3600e3)} h` : `${sign}${Math.floor(size / 86400e3)} d`;
}
export const symbol = instrument => instrument.slice(instrument.indexOf(':') + 1);

/** Decimals that show these prices in full: at least 2, at most 8. */
export function decimals(prices) {
  let most = 2;
  for (const price of prices) {
    const text = String(price);
    const dot = text.indexOf('.');
    if (dot >= 0 && !text.includes('e')) most = Math.max(most, text.length - dot - 1);
  }
  return Math.min(most, 8);
}
