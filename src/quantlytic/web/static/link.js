// The one WebSocket. A server that says nothing for a second and a half is lost, whether or not the socket knows.

const SILENT_MS = 1500, GIVE_UP_MS = 5000, FIRST_RETRY_MS = 400, LAST_RETRY_MS = 5000;
const decoder = new TextDecoder();

export class Link {
  /** `onMessage(message)`, `onState('up' | 'down')`; `choice()` gives {run, series} to ask for at each connection. */
  constructor(choice, onMessage, onState) {
    Object.assign(this, { choice, onMessage, onState });
    this.retryMs = FIRST_RETRY_MS;
    this.heardAt = performance.now();
    this.state = 'connecting';
    this.connect();
    setInterval(() => this.check(), 250);
  }

  connect() {
    const wanted = Object.entries(this.choice()).filter(([, value]) => value != null);
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const socket = this.socket = new WebSocket(`${scheme}://${location.host}/stream?${new URLSearchParams(wanted)}`);
    socket.binaryType = 'arraybuffer';
    this.triedAt = performance.now();
    let opened = false;
    socket.onmessage = event => {
      if (socket !== this.socket) return;
      opened = true;
      this.retryMs = FIRST_RETRY_MS;
      this.heardAt = performance.now();
      this.tell('up');
      this.onMessage(JSON.parse(decoder.decode(event.data)));
    };
    socket.onclose = () => {
      if (socket !== this.socket) return;
      this.tell('down');
      if (!opened) this.leaveIfLocked();
      setTimeout(() => this.connect(), this.retryMs);
      this.retryMs = Math.min(2 * this.retryMs, LAST_RETRY_MS);
    };
  }

  /** Ask for another run or chart; answered by a new snapshot. */
  choose() {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(this.choice()));
  }

  check() {
    const now = performance.now();
    if (now - this.heardAt > SILENT_MS) this.tell('down');
    const dead = now - Math.max(this.heardAt, this.triedAt) > GIVE_UP_MS;
    if (dead && this.socket.readyState <= WebSocket.OPEN) {
      const old = this.socket;
      this.socket = null;
      old.close();
      this.connect();
    }
  }

  tell(state) {
    if (state === this.state) return;
    this.state = state;
    this.onState(state);
  }

  /** When the token has changed the page cannot come back by itself: show what to do. */
  async leaveIfLocked() {
    const answer = await fetch('/', { cache: 'no-store' }).catch(() => null);
    if (answer?.status === 401) location.reload();
  }
}
