/** A status as the page shows it: glyph, colour (by CSS) and word. */

const SVG = "http://www.w3.org/2000/svg";

/** `dead_lettered` as "Dead-lettered". */
export function label(status) {
  const words = status.replaceAll("_", "-");
  return words[0].toUpperCase() + words.slice(1);
}

export function glyph(status) {
  return drawing("glyph", `status-${status}`);
}

export function icon(name) {
  return drawing("icon", name);
}

/** Changes a chip that the server rendered. */
export function setStatus(chip, status) {
  if (chip.dataset.status === status) return;
  chip.dataset.status = status;
  chip.querySelector("use").setAttribute("href", `#status-${status}`);
  chip.querySelector("span").textContent = label(status);
}

function drawing(className, name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", className);
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#${name}`);
  svg.append(use);
  return svg;
}
