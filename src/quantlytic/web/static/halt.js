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
  const { account, halted, cause, by, text, event_time: at, is_working: working, report } = state;
  const busy = working || busySince > 0;
  get('stop').textContent = halted ? '■ Halted' : '■ Stop trading';
  get('halted').hidden = !halted;
  const why = halted && `(${cause}) by ${by || 'nobody known'}, ${at ? `${format.moment(at / 1e6)} ${format.zoneName()}` : 'nobody knows when'}: ${text}`;
  get('halted-text').textContent = halted ? `■ TRADING HALTED ${why}` : '';
  get('halt-cause').hidden = !halted;
  get('halt-cause').textContent = halted ? `Halted ${why}.` : '';
  get('halt-from').hidden = halted;
  get('halt-title').textContent = halted ? `Account ${account} is halted` : `Stop trading on account ${account}`;
  get('halt-cancel').textContent = halted ? 'Cancel all orders again' : 'Halt and cancel all orders';
  for (const element of dialog.querySelectorAll('.account')) element.textContent = account;
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
