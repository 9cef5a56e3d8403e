// Text of the page whose contrast with what is behind it is below 4.5 (WCAG 2, AA): [[ratio, text], ...].
const luminance = (channels) => {
  const [r, g, b] = channels.map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const channels = (colour) => colour.match(/[\d.]+/g).map(Number);
const behind = (node) => {
  for (; node; node = node.parentElement) {
    const found = channels(getComputedStyle(node).backgroundColor);
    if (found.length < 4 || found[3] > 0) return found.slice(0, 3);
  }
  return [255, 255, 255];
};
const hasText = (node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
return [...document.querySelectorAll("body *:not(svg *):not(script):not(style)")]
  .filter((node) => hasText(node) && node.checkVisibility() && !node.matches(".legend b"))
  .map((node) => {
    const ink = luminance(channels(getComputedStyle(node).color).slice(0, 3));
    const [light, dark] = [ink, luminance(behind(node))].sort((a, b) => b - a);
    return [(light + 0.05) / (dark + 0.05), `${node.tagName}: ${node.textContent.trim().slice(0, 40)}`];
  })
  .filter(([ratio]) => ratio < 4.5);
