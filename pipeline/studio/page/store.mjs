/**
 * Holds the page's state and tells those who look when it changed, once per animation frame.
 */

export class Store {
  #state;
  #viewers = [];
  #due = false;

  constructor(state) {
    this.#state = state;
  }

  get state() {
    return this.#state;
  }

  /** Change the state by a pure function, update(state, ...more) -> state. */
  change(update, ...more) {
    const next = update(this.#state, ...more);
    if (next === this.#state) return;
    this.#state = next;
    this.touch();
  }

  /** Call `viewer(state)` after every change; and for `touch`, when only pictures changed. */
  view(viewer) {
    this.#viewers.push(viewer);
  }

  /** Have everything drawn in the next animation frame. */
  touch() {
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      for (const viewer of this.#viewers) viewer(this.#state);
    });
  }
}
