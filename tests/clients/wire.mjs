// A fetch for SDKs that keeps what the gateway sent, and tells when it came.
export class Wire {
  sent = '';
  status = undefined;
  headers = undefined;
  #waiting = [];
  #decoder = new TextDecoder();

  fetch = async (...request) => {
    const response = await fetch(...request);
    this.status = response.status;
    this.headers = response.headers;
    const tap = new TransformStream({
      transform: (bytes, onwards) => {
        this.#note(bytes);
        onwards.enqueue(bytes);
      },
    });
    return new Response(response.body?.pipeThrough(tap), response);
  };

  /** Resolves once the gateway has sent this text, or what a regular expression finds; the time limit is the test's. */
  until(text, from = 0) {
    return new Promise((resolve) => {
      this.#waiting.push({ text, from, resolve });
      this.#wake();
    });
  }

  /** Resolves once the gateway sends this text again. */
  another(text) {
    return this.until(text, this.sent.length);
  }

  #note(bytes) {
    this.sent += this.#decoder.decode(bytes, { stream: true });
    this.#wake();
  }

  #wake() {
    for (const { text, from, resolve } of this.#waiting) {
      const sent = this.sent.slice(from);
      if (text instanceof RegExp ? text.test(sent) : sent.includes(text)) resolve();
    }
  }
}
