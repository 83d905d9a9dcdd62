"use strict";

/** Appends children: nodes, texts, and lists of them. Empty ones are left out. */
const fill = (node, attributes, children) => {
  for (const [name, value] of Object.entries(attributes))
    if (value || value === 0) node.setAttribute(name, value);
  node.append(...children.flat(9).filter((child) => child || child === 0));
  return node;
};
const html = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
