// The red button. What it says comes from /api/halt, which needs neither the tape nor the stream: it works when they do not.

import * as format from './format.js';

const POLL_MS = 2000;
const get = id => document.getElementById(id);
const dialog = get('halt');
let state = null, busySince = 0;

async function ask(path, body) {
  const options = body && { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
  const answer = await fetch(path, { cache: 'no-store', ...options }).catch(() => null);
  if (!answer) return { error: 'The server does not answer. On its machine: quantlytic kill' };
  return answer.json().catch(() => ({ error: `The server answered ${answer.status}.` }));
}

/** Say and do nothing that the server has not confirmed. */
function draw() {
  const { account, mode, halted, cause, by, text, event_time: at, is_working: working, report, held } = state;
  const live = mode === 'live';
  const busy = working || busySince > 0;
  get('stop').hidden = !live;
  get('stop').textContent = halted ? '■ Halted' : '■ Stop trading';
  get('halt-paper').hidden = live;
  for (const element of dialog.querySelectorAll('.when-live')) element.hidden = !live;
  for (const element of dialog.querySelectorAll('.mode')) element.textContent = mode;
  get('halted').hidden = !halted;
  const why = halted && `(${cause}) by ${by || 'nobody known'}, ${at ? `${format.moment(at / 1e6)} ${format.zoneName()}` : 'nobody knows when'}: ${text}`;
  const what = live ? 'TRADING HALTED' : `THE LATCH OF ${account} IS SHUT, no live order is sent; ${mode} goes on`;
  get('halted-text').textContent = halted ? `■ ${what} ${why}` : '';
  get('halt-cause').hidden = !halted;
  get('halt-cause').textContent = halted ? `Halted ${why}.` : '';
  get('halt-from').hidden = halted;
  get('halt-title').textContent = halted ? `Account ${account} is halted` : `Stop trading on account ${account}`;
  get('halt-cancel').textContent = halted ? 'Cancel all orders again' : 'Halt and cancel all orders';
  for (const element of dialog.querySelectorAll('.account')) element.textContent = account;
  drawHeld(held ?? []);
  get('halt-flatten').textContent = halted ? 'Sell everything' : 'Halt and sell everything';
  get('halt-release').hidden = !halted;
  get('halt-cancel').disabled = busy;
  get('halt-flatten').disabled = busy || get('flatten-typed').value.trim() !== account;
  get('halt-let-go').disabled = busy || get('release-typed').value.trim() !== account;
  const seconds = busySince ? Math.round((performance.now() - busySince) / 1000) : 0;
  get('halt-working').hidden = !busy;
  get('halt-working').textContent = `The latch is shut. Asking the venue until it confirms … ${seconds} s`;
  get('halt-report').hidden = busy || !report;
  get('halt-report').textContent = report ? report.lines.join('\n') : '';
  get('halt-report').dataset.verified = String(report?.is_verified ?? '');
}

/** What the runs hold, by instrument: what the second button would sell. */
function drawHeld(held) {
  get('halt-held-title').textContent = held.length
    ? 'The runs hold what is listed. It is sold, and with it whatever else the account has of its instruments, above what [account] keep names:'
    : 'The runs hold nothing. What else the account has of its instruments is sold, above what [account] keep names.';
  const lines = held.map(one => {
    const verb = one.quantity > 0 ? 'sell' : 'buy back';
    const worth = one.value == null ? '' : `, worth ${format.number(Math.abs(one.value))}`;
    return `${verb} ${format.quantity(Math.abs(one.quantity))} ${one.instrument}${worth}`;
  });
  const shown = [...get('halt-held').children].map(item => item.textContent);
  if (lines.join('\n') === shown.join('\n')) return;
  get('halt-held').replaceChildren(...lines.map(text => Object.assign(document.createElement('li'), { textContent: text })));
}

function problem(text) {
  get('halt-problem').hidden = !text;
  get('halt-problem').textContent = text ?? '';
}

function take(answer) {
  if (answer.error) return problem(answer.error);
  state = answer;
  draw();
}

async function act(path, body) {
  problem(null);
  busySince = performance.now();
  draw();
  const answer = await ask(path, body);
  busySince = 0;
  get('flatten-typed').value = get('release-typed').value = '';
  take(answer);
  draw();
}

async function poll() {
  const answer = await ask('/api/halt');
  if (!answer.error && !busySince) take(answer);
  else if (state) draw();
}

for (const id of ['stop', 'halted-open']) {
  get(id).onclick = () => {
    problem(null);
    if (!dialog.open) dialog.showModal();
  };
}
get('halt-close').onclick = () => dialog.close();
get('halt-cancel').onclick = () => act('/api/kill', { flatten: false });
get('halt-flatten').onclick = () => act('/api/kill', { flatten: true, typed: get('flatten-typed').value });
get('halt-let-go').onclick = () => act('/api/release', { typed: get('release-typed').value });
for (const [field, button] of [['flatten-typed', 'halt-flatten'], ['release-typed', 'halt-let-go']]) {
  get(field).oninput = () => state && draw();
  get(field).onkeydown = event => { if (event.key === 'Enter') get(button).click(); };
}
poll();
setInterval(poll, POLL_MS);
setInterval(() => { if (busySince) draw(); }, 500);
