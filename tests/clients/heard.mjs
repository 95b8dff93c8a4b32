// What a client has heard of an answer, whatever its SDK calls it.

/** Gathers what a client tells, part by part. */
export async function listen(parts) {
  const heard = new Heard();
  for await (const part of parts) heard.add(part);
  return heard;
}

/** Gathers what a client tells until it throws, and the error. */
export async function listenUntilError(parts) {
  const heard = new Heard();
  try {
    for await (const part of parts) heard.add(part);
  } catch (error) {
    return { heard, error };
  }
  throw new Error(`a broken answer ended in silence: ${JSON.stringify(heard)}`);
}

class Heard {
  /** The pieces in which the text came. */
  pieces = [];
  text = '';
  thought = '';
  calls = [];
  /** 'end', 'tools', 'length' or 'filtered'. */
  ended = undefined;
  spent = undefined;
  /** The answer as the structure that was asked for. */
  parsed = undefined;

  add({ text = '', thought = '', call, ...last }) {
    if (text) this.pieces.push(text);
    this.text += text;
    this.thought += thought;
    if (call) this.calls.push(call);
    Object.assign(this, last);
  }
}
