// A mail opened in a dialog: its text, or its HTML in a frame that can do nothing.

import * as format from './format.js';

const get = id => document.getElementById(id);
const dialog = get('mail');
let address = '';

function show(asHtml) {
  get('mail-as-text').setAttribute('aria-pressed', String(!asHtml));
  get('mail-as-html').setAttribute('aria-pressed', String(asHtml));
  get('mail-text').hidden = asHtml;
  get('mail-html').hidden = !asHtml;
  if (asHtml) get('mail-html').src = `${address}/html`;
}
get('mail-close').onclick = () => dialog.close();
get('mail-as-text').onclick = () => show(false);
get('mail-as-html').onclick = () => show(true);
dialog.addEventListener('click', event => { if (event.target === dialog) dialog.close(); });

export async function openMail(name) {
  address = `/api/mails/${encodeURIComponent(name)}`;
  const answer = await fetch(address).catch(() => null);
  const { mail, text, has_html: hasHtml } = answer?.ok ? await answer.json() : { mail: null, text: 'This mail cannot be read now.' };
  get('mail-subject').textContent = mail?.subject ?? name;
  const headers = mail ? { From: mail.sender, To: mail.recipient, Date: format.moment(mail.time_ms), File: name } : {};
  get('mail-headers').replaceChildren(...Object.entries(headers).flatMap(([key, value]) => [element('dt', key), element('dd', value)]));
  get('mail-text').textContent = text || 'This mail has no plain text.';
  get('mail-as-html').disabled = !hasHtml;
  show(false);
  dialog.showModal();
}

function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}
