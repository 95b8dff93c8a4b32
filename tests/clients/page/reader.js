// What an application's page does: asks for a stream that runs by itself, and reads it with an EventSource.
const state = document.querySelector('#state');
const answer = document.querySelector('#answer');

/** What the page has seen, for the test to look at. */
window.seen = { ids: [], opened: 0, errors: 0, messages: [], superseded: false };

/** Asks the gateway at `gateway`; resolves with the address of the stream. */
window.ask = async (gateway, question) => {
  const response = await fetch(`${gateway}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Prefer: 'respond-async' },
    body: JSON.stringify({ model: 'm', stream: true, messages: [{ role: 'user', content: question }] }),
  });
  return gateway + (await response.json()).stream_url;
};

/** Reads a stream until the gateway says that there is nothing more. */
window.read = (address) => {
  const source = new EventSource(address);
  state.textContent = 'reading';
  source.onopen = () => (window.seen.opened += 1);
  source.onmessage = ({ data, lastEventId }) => {
    window.seen.ids.push(lastEventId);
    window.seen.messages.push(data);
    if (data === '[DONE]') return;
    const { choices, error } = JSON.parse(data);
    if (error?.code === 'superseded') window.seen.superseded = true;
    answer.textContent += choices?.[0]?.delta?.content ?? '';
  };
  source.onerror = () => {
    window.seen.errors += 1;
    state.textContent = source.readyState === EventSource.CLOSED ? 'closed' : 'reconnecting';
  };
};

/** Subscribes to a channel. */
window.subscribe = (address) => {
  const source = new EventSource(address);
  const note = ({ type, data }) => window.seen.messages.push(`${type}: ${data}`);
  source.addEventListener('connected', () => (state.textContent = 'connected'));
  source.addEventListener('step', note);
  source.onmessage = note;
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) state.textContent = 'closed';
  };
};

/** Watches what goes on. */
window.watch = (gateway) => {
  const socket = new WebSocket(`${gateway.replace('http', 'ws')}/events`);
  socket.onmessage = ({ data }) => window.seen.messages.push(data);
};
