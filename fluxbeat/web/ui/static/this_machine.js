// Whether the server is the machine that a person sits at, for what is told of where the music goes. The browser's own
// address decides: a proxy between the two may call the server by another name, and so the server cannot know.

/** As `is_this_machine` in security.py, of a name as `location.hostname` has it; test_known_hosts.py holds them together. */
export const namesThisMachine = name => /^((.+\.)?localhost|127(\.\d+){3}|0\.0\.0\.0|\[::1?\])$/.test(name);

export const isThisMachine = namesThisMachine(location.hostname);
