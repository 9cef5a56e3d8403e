// The little of a browser that the case explorer uses: runs its script on the data given, prints what it shows.
const fs = require("fs");
const [script, data] = process.argv.slice(2, 4).map((path) => fs.readFileSync(path, "utf8"));
const node = () => ({
  children: [], attributes: {}, checked: true, listeners: {},
  append(...all) { this.children.push(...all); },
  replaceChildren(...all) { this.children = all; if (all[0] && "value" in all[0]) this.value = all[0].value; },
  setAttribute(key, value) { this.attributes[key] = value; },
  addEventListener(name, call) { this.listeners[name] = call; },
});
const known = { "ex-data": { textContent: data }, "ex-sort": Object.assign(node(), { value: "loss" }) };
globalThis.document = {
  getElementById: (id) => (known[id] ??= node()),
  createElement: node,
  createElementNS: node,
};
globalThis.Option = function (text, value) { Object.assign(this, { text, value }); };
eval(script);
const shown = {};
for (const sort of ["loss", "gain", "worst", "best", "base"]) {
  known["ex-sort"].value = sort;
  known["ex-sort"].listeners.change();
  shown[sort] = known["ex-cases"].children.map((card) => card.children[1].children.map((part) => part.textContent));
}
console.log(JSON.stringify({ status: known["ex-status"].textContent, shown }));
