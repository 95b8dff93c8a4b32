// A fetch for SDKs that keeps what the gateway sent, and tells when it came.
export class Wire {
  sent = '';
  #waiting = [];
  #decoder = new TextDecoder();

  fetch = async (...request) => {
    const response = await fetch(...request);
    const tap = new TransformStream({
      transform: (bytes, onwards) => {
        this.#note(bytes);
        onwards.enqueue(bytes);
      },
    });
    return new Response(response.body?.pipeThrough(tap), response);
  };

  /** Resolves once the gateway has sent this text; the time limit is the test's. */
  until(text) {
    return new Promise((resolve) => {
      this.#waiting.push({ text, resolve });
      this.#wake();
    });
  }

  #note(bytes) {
    this.sent += this.#decoder.decode(bytes, { stream: true });
    this.#wake();
  }

  #wake() {
    for (const { text, resolve } of this.#waiting) if (this.sent.includes(text)) resolve();
  }
}
