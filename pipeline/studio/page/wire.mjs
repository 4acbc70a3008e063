/**
 * The way to the server: one socket for messages and frames, HTTP for files.
 */

import { parseFrame } from "./state/frame.mjs";

const RETRY_MS = 1000;

/** The server refused; `code` and `message` are its own. */
export class Refused extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

const OFFLINE = "Start it again with “photodrag studio”; nothing is lost.";

export class Wire {
  #socket = null;
  #number = 0;
  #waiting = new Map();
  #hear;
  #frame;
  #line;

  /**
   * @param hear called with each JSON message that is no answer
   * @param frame called with {header, picture} of each frame
   * @param line called with "open" or "lost"
   */
  constructor({ hear, frame, line }) {
    this.#hear = hear;
    this.#frame = frame;
    this.#line = line;
  }

  connect() {
    const address = new URL("socket", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#line("open");
    socket.onmessage = ({ data }) => this.#take(data);
    socket.onclose = () => this.#lost();
    this.#socket = socket;
  }

  /** The number that the next message will have. */
  get next() {
    return this.#number + 1;
  }

  /** Send a message; resolves with the server's answer, rejects with `Refused`. */
  send(what, more = {}) {
    this.#number += 1;
    const id = this.#number;
    if (this.#socket?.readyState !== WebSocket.OPEN) {
      return Promise.reject(new Refused("offline", OFFLINE));
    }
    this.#socket.send(JSON.stringify({ id, do: what, ...more }));
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  /** Tell the server that a frame was drawn. */
  acknowledge(seq) {
    if (this.#socket?.readyState === WebSocket.OPEN) {
      this.#socket.send(JSON.stringify({ do: "ack", seq }));
    }
  }

  /** POST bytes; resolves with the JSON answer, rejects with `Refused`. */
  async post(path, body, name = null) {
    const headers = name === null ? {} : { "X-Name": encodeURIComponent(name) };
    const answer = await this.#fetch(path, { method: "POST", body, headers });
    return answer.json();
  }

  /** GET a file as a blob. */
  async blob(path) {
    return (await this.#fetch(path)).blob();
  }

  async #fetch(path, options) {
    let answer;
    try {
      answer = await fetch(path, options);
    } catch {
      throw new Refused("offline", OFFLINE);
    }
    if (answer.ok) return answer;
    const { code, message } = await answer.json().catch(() => ({}));
    throw new Refused(code ?? "internal", message ?? `The studio answered ${answer.status}.`);
  }

  #take(data) {
    if (data instanceof ArrayBuffer) {
      const frame = parseFrame(data);
      if (frame) this.#frame(frame);
      return;
    }
    const message = JSON.parse(data);
    const waiting = this.#waiting.get(message.re);
    if (!waiting) {
      this.#hear(message);
      return;
    }
    this.#waiting.delete(message.re);
    if (message.type === "error") waiting.reject(new Refused(message.code, message.message));
    else waiting.resolve(message);
  }

  #lost() {
    for (const { reject } of this.#waiting.values()) reject(new Refused("offline", OFFLINE));
    this.#waiting.clear();
    this.#line("lost");
    setTimeout(() => this.connect(), RETRY_MS);
  }
}
