// Tables that change only the cells whose text changed. The head, caption and scopes are in the HTML.

export class Table {
  /** `columns`: functions row -> text or {text, tone, button}; `emptyText()` says why there is nothing. */
  constructor(id, columns, emptyText) {
    this.table = document.getElementById(id);
    this.body = this.table.tBodies[0];
    this.heads = [...this.table.tHead.rows[0].cells];
    this.columns = columns;
    this.emptyText = emptyText;
    this.rows = new Map();
    this.started = false;
  }

  /** `rows` in the order to be shown; `key(row)` tells one from another. */
  render(rows, key) {
    if (rows.length === 0) return this.renderEmpty();
    if (this.empty) { this.empty.remove(); this.empty = null; }
    const seen = new Set();
    let before = this.body.firstChild;
    for (const row of rows) {
      const id = String(key(row));
      seen.add(id);
      let line = this.rows.get(id);
      if (!line) {
        line = this.newLine();
        if (this.started) line.classList.add('fresh');
        this.rows.set(id, line);
      }
      this.columns.forEach((column, i) => fill(line.cells[i], column(row)));
      if (line === before) before = before.nextSibling;
      else this.body.insertBefore(line, before);
    }
    for (const [id, line] of this.rows) if (!seen.has(id)) { line.remove(); this.rows.delete(id); }
    this.started = true;
  }

  /** Forget all rows: what comes next is another run's. */
  clear() {
    this.rows.clear();
    this.body.replaceChildren();
    this.empty = null;
    this.started = false;
  }

  newLine() {
    const line = document.createElement('tr');
    for (const head of this.heads) line.insertCell().className = head.className;
    return line;
  }

  renderEmpty() {
    if (this.rows.size) this.clear();
    this.started = true;
    if (!this.empty) {
      this.empty = this.body.insertRow();
      const cell = this.empty.insertCell();
      cell.colSpan = this.heads.length;
      cell.className = 'empty';
    }
    fill(this.empty.cells[0], this.emptyText());
  }
}

function fill(cell, content) {
  const { text, tone = '', button } = typeof content === 'object' ? content : { text: content };
  if (cell.dataset.tone !== tone) {
    if (cell.dataset.tone) cell.classList.remove(cell.dataset.tone);
    if (tone) cell.classList.add(tone);
    cell.dataset.tone = tone;
  }
  if (!button) {
    if (cell.textContent !== text) cell.textContent = text;
  } else if (cell.firstChild?.dataset?.name !== button.name) {
    const element = document.createElement('button');
    element.type = 'button';
    element.dataset.name = button.name;
    element.textContent = text;
    element.setAttribute('aria-label', button.label);
    element.onclick = button.press;
    cell.replaceChildren(element);
  }
}
