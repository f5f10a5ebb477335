// Whether the server is the machine that a person sits at, for what is told of where the music goes.

const NAMES = ['localhost', '127.0.0.1', '[::1]', '0.0.0.0'];

export const isThisMachine = NAMES.includes(location.hostname);
