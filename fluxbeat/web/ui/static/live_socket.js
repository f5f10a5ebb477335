// The page's end of the live WebSocket: sound out, predictions in. See fluxbeat/web/live_socket.py for the messages.

const MOST_UNSENT_S = 2;
const LOST = 'The connection to FluxBeat was lost. Start again when it is back.';

export class LiveSocket {
  /** `on` has the functions prediction(message) and lost(words). */
  constructor(address, rate, model, on) {
    Object.assign(this, {on, rate, model, waiting: [], skippedSeconds: 0, over: false});
    const url = new URL(address, document.baseURI);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    this.socket = new WebSocket(url);
    this.socket.binaryType = 'arraybuffer';
    this.socket.onopen = () => this.introduce();
    this.socket.onmessage = event => this.receive(JSON.parse(event.data));
    this.socket.onclose = () => this.lose(LOST);
  }

  introduce() {
    this.socket.send(JSON.stringify({sample_rate_hz: this.rate, channels: 1, format: 's16le', model: this.model}));
    this.introduced = true;
    for (const piece of this.waiting.splice(0)) this.send(piece);
  }

  /** Sends a piece of sound, or leaves it out if the connection is too slow: what is analysed must be new. */
  send(piece) {
    const most = MOST_UNSENT_S * this.rate;
    if (!this.introduced) {
      if (this.waiting.length * piece.length < most) this.waiting.push(piece);
      else this.skippedSeconds += piece.length / this.rate;
    } else if (this.socket.bufferedAmount < 2 * most) this.socket.send(piece);
    else this.skippedSeconds += piece.length / this.rate;
  }

  receive(message) {
    if (message.type === 'error') this.lose(`FluxBeat stopped listening: ${message.message}.`);
    else this.on[message.type]?.(message);
  }

  lose(words) {
    if (this.over) return;
    this.over = this.lost = true;
    this.on.lost(words);
  }

  close() {
    this.over = true;
    this.socket.close(1000);
  }
}
