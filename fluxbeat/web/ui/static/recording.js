// What came from the microphone, kept in the page: 16-bit mono, the last hour of it, as a WAV file.

const PART_S = 10, MOST_S = 3600, HEADER_BYTES = 44;

export class Recording {
  constructor(rate) {
    Object.assign(this, {rate, parts: [], fresh: [], freshSamples: 0, samples: 0, dropped: 0, began: new Date()});
  }

  add(piece) {
    this.fresh.push(piece);
    this.freshSamples += piece.length;
    this.samples += piece.length;
    if (this.freshSamples < PART_S * this.rate) return;
    // a Blob need not stay in the page's memory
    this.parts.push({blob: new Blob(this.fresh), samples: this.freshSamples});
    this.fresh = [];
    this.freshSamples = 0;
    while (this.seconds > MOST_S) this.dropped += this.parts.shift().samples;
  }

  get seconds() { return (this.samples - this.dropped) / this.rate; }
  get shortened() { return this.dropped > 0; }

  file() {
    const two = number => String(number).padStart(2, '0'), at = this.began;
    const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
    const name = `Live recording ${day} ${two(at.getHours())}-${two(at.getMinutes())}.wav`;
    return new File([this.header(), ...this.parts.map(part => part.blob), ...this.fresh], name, {type: 'audio/wav'});
  }

  header() {
    const bytes = (this.samples - this.dropped) * 2, view = new DataView(new ArrayBuffer(HEADER_BYTES));
    const text = (at, words) => [...words].forEach((letter, index) => view.setUint8(at + index, letter.charCodeAt(0)));
    text(0, 'RIFF');
    view.setUint32(4, bytes + HEADER_BYTES - 8, true);
    text(8, 'WAVEfmt ');
    view.setUint32(16, 16, true);
    view.setUint16(20, 1, true);      // PCM
    view.setUint16(22, 1, true);      // mono
    view.setUint32(24, this.rate, true);
    view.setUint32(28, this.rate * 2, true);
    view.setUint16(32, 2, true);
    view.setUint16(34, 16, true);
    text(36, 'data');
    view.setUint32(40, bytes, true);
    return view.buffer;
  }
}
