// Gradio's answers come on one stream, which the server closes when nothing is asked for any more. A question that is
// put at that moment may hear that it was taken before the page hears that the stream is closed: Gradio then opens no new
// one, and the answer is never read. So what was sent before gets a moment to arrive first.

const HEAD_START_MS = 60;

export function guardStream() {
  const send = window.fetch.bind(window);
  window.fetch = async (...request) => {
    const answer = await send(...request);
    const url = String(request[0]?.url ?? request[0]);
    if (url.includes('/queue/join')) await new Promise(done => setTimeout(done, HEAD_START_MS));
    return answer;
  };
}
