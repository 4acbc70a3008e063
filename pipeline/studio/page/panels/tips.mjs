/**
 * Tips of buttons, with their keys; and names for readers from the same words.
 */

import { byId, element } from "../dom.mjs";

const DELAY_MS = 450;

export function createTips() {
  let timer = 0;
  const tip = byId("tip");
  const hide = () => {
    clearTimeout(timer);
    tip.hidden = true;
  };
  const offer = (event) => {
    const owner = event.target.closest?.("[data-tip]");
    hide();
    if (owner) timer = setTimeout(() => show(tip, owner), DELAY_MS);
  };
  document.addEventListener("pointerover", (event) => event.pointerType !== "touch" && offer(event));
  document.addEventListener("focusin", (event) => event.target.matches(":focus-visible") && offer(event));
  for (const end of ["pointerdown", "keydown", "focusout"]) document.addEventListener(end, hide);
  addEventListener("resize", hide);
  document.body.append(tip);
  for (const button of document.querySelectorAll("button[data-tip]")) {
    if (!button.textContent.trim()) button.setAttribute("aria-label", button.dataset.tip);
  }
}

function show(tip, owner) {
  if (!owner.isConnected || owner.disabled) return;
  const keys = owner.dataset.key;
  tip.replaceChildren(owner.dataset.tip, ...(keys ? [element("kbd", {}, keys)] : []));
  tip.hidden = false;
  const at = owner.getBoundingClientRect();
  const right = owner.closest(".rail") !== null;
  const x = right ? at.right + 8 : at.left + at.width / 2 - tip.offsetWidth / 2;
  const below = at.bottom + 7;
  const y = right ? at.top + at.height / 2 - tip.offsetHeight / 2
    : below + tip.offsetHeight < innerHeight ? below : at.top - tip.offsetHeight - 7;
  tip.style.left = `${Math.min(Math.max(x, 6), innerWidth - tip.offsetWidth - 6)}px`;
  tip.style.top = `${y}px`;
}
