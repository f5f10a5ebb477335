// Runs beside the page's own thread: the microphone's sound as pieces of 16-bit mono.

const PIECE_S = 0.1;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.piece = new Int16Array(Math.round(sampleRate * PIECE_S));
    this.filled = 0;
  }

  process([channels]) {
    for (let at = 0; at < (channels[0]?.length ?? 0); at++) {
      let sum = 0;
      for (const channel of channels) sum += channel[at];
      const sample = Math.round(sum / channels.length * 32768);
      this.piece[this.filled++] = Math.min(32767, Math.max(-32768, sample));
      if (this.filled === this.piece.length) this.send();
    }
    return true;
  }

  send() {
    const piece = this.piece;
    this.piece = new Int16Array(piece.length);
    this.filled = 0;
    this.port.postMessage(piece, [piece.buffer]);
  }
}

registerProcessor('fluxbeat-capture', Capture);
